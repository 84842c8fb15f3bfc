"""What must hold for any scorecard and any figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import due
from accounts.tests.factories import make_account, subscribe
from metrics.health import scorecards, scores
from metrics.health.curves import BEST, Curve
from metrics.health.decomposition import explain_change, readings
from metrics.health.scorecards import Card, Measure
from metrics.health.signals import SIGNALS
from metrics.models import AccountHealth, HealthScore, Scorecard
from metrics.tests.health_cast import NOON, answer, be_active, open_ticket, touch

DAY = timedelta(days=1)
DATE = date(2026, 6, 17)
SECOND = int(datetime(2026, 6, 17, tzinfo=UTC).timestamp())

raws = st.integers(-(10**9), 10**9)


@st.composite
def curves(draw: Any) -> Curve:
    xs = draw(st.lists(raws, min_size=2, max_size=6, unique=True).map(sorted))
    ys = draw(st.lists(st.integers(0, BEST), min_size=len(xs), max_size=len(xs)))
    return Curve(tuple(zip(xs, ys, strict=True)))


@st.composite
def cards(draw: Any, *, version_id: int = 1) -> Card:
    keys = draw(st.lists(st.sampled_from(sorted(SIGNALS)), min_size=1, max_size=8, unique=True))
    measures = tuple(
        Measure(SIGNALS[key], Decimal(draw(st.integers(1, 10_000))) / 100, draw(curves()), 30) for key in keys
    )
    return Card(version_id, version_id, "Any", measures, 5000, 7500, 0)


def state_of(card: Card, figures: dict[str, int | None]) -> HealthScore:
    """Judge figures as the pass does; None is a missing signal, of which none gives no score."""
    points, shown = [], []
    weighted = used = 0
    for measure in card.measures:
        raw = figures.get(measure.key)
        if raw is None:
            points.append("m")
            shown.append("")
            continue
        given_points = measure.curve.at(raw)
        weighted += given_points * measure.weight_hundredths
        used += measure.weight_hundredths
        points.append(str(given_points))
        shown.append(f"{raw}@{SECOND}")
    score = None
    if used:
        score = Decimal((2 * weighted + used) // (2 * used)) / 100
    return HealthScore(
        account_id=1, version_id=card.version_id, score=score, points=",".join(points), raws=",".join(shown)
    )


def figures_for(*some: Card) -> st.SearchStrategy[dict[str, int | None]]:
    keys = sorted({measure.key for card in some for measure in card.measures})
    return st.fixed_dictionaries({key: st.none() | raws for key in keys})


# --- Curves ---------------------------------------------------------------------------


@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(curve=curves(), more=st.lists(raws, max_size=6))
def test_a_curve_gives_the_same_points_in_the_database(curve, more):
    asked = [*more, *[x for x, _ in curve.points], *[x + 1 for x, _ in curve.points]]
    rows = " UNION ALL ".join(
        f"SELECT {at} AS n, CAST({raw} AS BIGINT) AS raw" for at, raw in enumerate(asked)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {curve.sql('raw')} FROM ({rows}) AS asked ORDER BY n", [])
        found = [row[0] for row in cursor.fetchall()]
    assert found == [curve.at(raw) for raw in asked]


@given(curve=curves(), raw=raws)
def test_points_lie_within_those_of_the_curve(curve, raw):
    ys = [y for _, y in curve.points]
    assert min(ys) <= curve.at(raw) <= max(ys)


@given(curve=curves())
def test_a_curve_goes_through_its_points(curve):
    assert [curve.at(x) for x, _ in curve.points] == [y for _, y in curve.points]


@given(curve=curves(), values=st.lists(raws, min_size=2, max_size=20).map(sorted))
def test_a_rising_curve_never_falls(curve, values):
    rising = Curve(tuple(zip([x for x, _ in curve.points], sorted(y for _, y in curve.points), strict=True)))
    assert all(rising.at(a) <= rising.at(b) for a, b in pairwise(values))


# --- Taking scores apart --------------------------------------------------------------


@given(data=st.data())
def test_effects_and_a_perfect_hundred_make_the_score(data):
    card = data.draw(cards())
    state = state_of(card, data.draw(figures_for(card)))
    found = readings(state, card)
    if state.score is None:
        assert not any(reading.effect for reading in found)
        return
    assert 100 + sum(reading.effect for reading in found) == state.score
    assert all(reading.effect <= 0 for reading in found)


@settings(max_examples=400)
@given(data=st.data())
def test_the_drivers_of_a_change_add_up_to_it_exactly(data):
    card = data.draw(cards())
    other = data.draw(st.just(card) | cards(version_id=2))
    before = state_of(card, data.draw(figures_for(card)))
    after = state_of(other, data.draw(figures_for(other)))
    change = explain_change(before, after, {1: card, 2: other}, on=DATE)
    if before.score is None or after.score is None:
        assert change.change is None
        return
    assert sum((driver.effect for driver in change.drivers), Decimal(0)) == after.score - before.score
    assert len({driver.key for driver in change.drivers}) == len(change.drivers)


@given(data=st.data())
def test_measures_that_stay_as_they_are_drive_nothing(data):
    card = data.draw(cards())
    state = state_of(card, data.draw(figures_for(card)))
    assert explain_change(state, state, {1: card}, on=DATE).drivers == []


@given(data=st.data())
def test_with_all_signals_there_the_effect_is_weight_times_points(data):
    card = data.draw(cards())
    whole = {m.key: data.draw(raws) for m in card.measures}
    moved = {**whole, card.measures[0].key: data.draw(raws)}
    before, after = state_of(card, whole), state_of(card, moved)
    change = explain_change(before, after, {1: card}, on=DATE)
    first = card.measures[0]
    points = first.curve.at(moved[first.key]) - first.curve.at(whole[first.key])
    exact = Fraction(points * first.weight_hundredths, card.weight * 100)
    assert abs(Fraction(change.change) - exact) <= Fraction(1, 100)


@given(data=st.data())
def test_losing_a_signal_equals_removing_its_measure(data):
    card = data.draw(cards())
    figures = data.draw(figures_for(card))
    lost = card.measures[0].key
    without = replace(card, measures=card.measures[1:])
    left = state_of(card, {**figures, lost: None})
    removed = state_of(without, figures) if without.measures else None
    assert left.score == (removed.score if removed else None)


# --- The pass -------------------------------------------------------------------------


def install(measures: list[dict[str, Any]], **limits: Any) -> None:
    scorecard = Scorecard.objects.get()
    newest = scorecard.versions.first()
    scorecards.save_version(
        scorecard, measures=measures, reason="Property", by=None, based_on=newest.number, **limits
    )


SCORED = [
    "license_utilization",
    "last_nps",
    "last_csat",
    "open_urgent_tickets",
    "days_since_touch",
    "mrr_trend",
]


@st.composite
def any_card(draw: Any) -> list[dict[str, Any]]:
    """A scorecard as somebody might make it: weights with cents, bent curves, short shelf lives."""
    keys = draw(st.lists(st.sampled_from(SCORED), min_size=1, max_size=6, unique=True))
    measures = []
    for key in keys:
        xs = draw(st.lists(st.integers(-10_000, 30_000), min_size=2, max_size=5, unique=True).map(sorted))
        ys = draw(st.lists(st.integers(0, BEST), min_size=len(xs), max_size=len(xs)).map(sorted))
        ys[-1] = max(ys[-1], 1)
        if SIGNALS[key].higher_is_better is False:
            ys.reverse()
        measures.append(
            {
                "signal": key,
                "weight": str(Decimal(draw(st.integers(1, 10**6))) / 100),
                "curve": [
                    [str(Decimal(x) / 100), str(Decimal(y) / 100)] for x, y in zip(xs, ys, strict=True)
                ],
                "shelf_days": draw(st.none() | st.integers(1, 60)),
            }
        )
    return measures


def some_customers() -> list[Any]:
    accounts = []
    for number in range(5):
        account = make_account(f"Customer {number}")
        subscribe(account, 100 + number, date(2025, 1, 1), quantity=3 + number)
        be_active(account, *[(number * 9, 35)] * (number + 1))
        answer(account, "nps", number * 2, back=number * 20)
        answer(account, "csat", number + 1, back=number * 30)
        for _ in range(number % 3):
            open_ticket(account, back=number)
        touch(account, back=number * 15)
        accounts.append(account)
    make_account("Prospect")
    return accounts


database_property = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def customers(db: Any) -> list[Any]:
    return some_customers()


@database_property
@given(measures=any_card())
def test_a_score_is_the_weighted_mean_of_its_points_within_0_to_100(customers, measures):
    install(measures, min_coverage=0)
    scores.score_all(now=NOON)
    for health in AccountHealth.objects.exclude(score=None):
        pairs = [
            (Decimal(row["weight"]), Decimal(points) / 100)
            for row, points in zip(measures, health.points.split(","), strict=True)
            if points.isdigit()
        ]
        mean = sum(w * p for w, p in pairs) / sum(w for w, _ in pairs)
        assert health.score == mean.quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert 0 <= health.score <= 100


@database_property
@given(measures=any_card(), factor=st.sampled_from([2, 3, 7, 10, 100]))
def test_weights_times_a_constant_change_no_score(customers, measures, factor):
    install(measures)
    scores.score_all(now=NOON)
    before = list(AccountHealth.objects.order_by("pk").values_list("score", "band", "coverage", "points"))
    install([{**row, "weight": str(Decimal(row["weight"]) * factor)} for row in measures])
    scores.score_all(now=NOON)
    after = list(AccountHealth.objects.order_by("pk").values_list("score", "band", "coverage", "points"))
    assert after == before


@database_property
@given(measures=any_card())
def test_all_measures_at_their_best_make_100(customers, measures):
    flat = [{**row, "curve": [["-1000000", "100"], ["1000000", "100"]]} for row in measures]
    install(flat, min_coverage=0)
    scores.score_all(now=NOON)
    found = set(AccountHealth.objects.exclude(score=None).values_list("score", flat=True))
    assert found <= {Decimal(100)}


@database_property
@given(
    measures=any_card(),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["nps", "csat", "touch", "ticket", "active"]),
            st.integers(0, 4),
            st.integers(0, 10),
            st.integers(0, 40),
        ),
        max_size=8,
    ),
)
def test_scores_kept_up_fact_by_fact_equal_a_full_recompute(customers, measures, steps):
    install(measures)
    scores.score_all(now=NOON)
    for kind, who, value, back in steps:
        account = customers[who]
        if kind == "nps":
            answer(account, "nps", value, back=back)
        elif kind == "csat":
            answer(account, "csat", value % 5 + 1, back=back)
        elif kind == "touch":
            touch(account, back=back)
        elif kind == "ticket":
            open_ticket(account, back=back)
        else:
            be_active(account, (back,), prefix=f"new{value}")
        due.mark_due([account.pk])
        scores.score_due(now=NOON)
    columns = ("account", "day", "version", "score", "band", "points", "raws", "oldest_signal_at")
    rows = HealthScore.objects.order_by("account").values_list(*columns)
    kept_up = list(rows)
    HealthScore.objects.all().delete()
    AccountHealth.objects.all().delete()
    scores.score_all(now=NOON)
    assert list(rows.all()) == kept_up


@database_property
@given(measures=any_card())
def test_a_second_pass_writes_nothing(customers, measures):
    install(measures)
    scores.score_all(now=NOON)
    assert scores.score_all(now=NOON).written == 0
