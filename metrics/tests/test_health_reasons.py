"""Why a score is what it is and why it moved, on figures one can check with a pencil."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from accounts.tests.factories import make_account, subscribe
from metrics.health import reasons, scorecards, scores
from metrics.health.signals import SIGNALS
from metrics.models import AccountHealth, Scorecard
from metrics.tests.health_cast import NOON, TODAY, answer, make_acme, make_globex, open_ticket

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_effects_say_what_each_measure_takes_off_a_hundred():
    acme = make_acme()
    scores.score_all(now=NOON)
    taken = {reading.key: reading.effect for reading in reasons.explain(acme) if reading.effect}
    assert taken == {"active_user_trend": Decimal("-1.50"), "mrr_trend": Decimal("-1.00")}


def test_a_fall_is_told_in_one_line_with_its_causes():
    acme = make_acme()
    scores.score_all(now=NOON - DAY)
    answer(acme, "csat", 2, back=0)
    open_ticket(acme, back=0)
    open_ticket(acme, back=0)
    scores.score_all(now=NOON)
    change = reasons.drivers(acme, TODAY - DAY, today=TODAY)
    assert change is not None
    assert change.sentence(since=reasons.since(TODAY - DAY, today=TODAY)) == (
        "down 15 since yesterday: last CSAT 2 (−8), urgent tickets open 0 → 2 (−8)"
    )
    assert [(driver.key, driver.effect) for driver in change.drivers] == [
        ("last_csat", Decimal("-7.50")),
        ("open_urgent_tickets", Decimal("-7.50")),
    ]


def test_a_signal_grown_stale_moves_the_score_by_its_weight_going_to_the_others():
    acme = make_acme()
    acme.responses.filter(answers__kind="csat").delete()
    answer(acme, "csat", 1, back=90)
    scores.score_all(now=NOON)
    scores.score_all(now=NOON + DAY)
    change = reasons.drivers(acme, TODAY, today=TODAY + DAY)
    # 10 of 100 weight at 0 points gone: 87.5 → 87.5 × 100 ÷ 90 = 97.22
    assert change.change == Decimal("9.72")
    assert [(d.key, d.cause, d.effect, d.words) for d in change.drivers] == [
        ("last_csat", "signal_lost", Decimal("9.72"), "Last CSAT answer too old to count")
    ]


def test_a_new_version_is_a_cause_of_its_own():
    globex = make_globex()
    scores.score_all(now=NOON)
    card = Scorecard.objects.get()
    heavier = [scorecards.suggested(m.key, str(m.weight)) for m in scorecards.current_cards()[0].measures]
    heavier[3]["weight"] = "115"  # NPS, 15 points, instead of 15
    scorecards.save_version(card, measures=heavier, reason="Listen more", by=None, based_on=1)
    scores.score_all(now=NOON + DAY)
    change = reasons.drivers(globex, TODAY, today=TODAY + DAY)
    version = next(driver for driver in change.drivers if driver.cause == "version")
    # (2658.4 + 100×15) ÷ 200 = 20.79
    assert version.effect == Decimal("-5.79")
    assert version.words == "scorecard Standard v1 → v2"
    assert sum(driver.effect for driver in change.drivers) == change.change


def test_the_first_score_and_a_missing_one_are_said_so():
    acme = make_acme()
    hooli = make_account("Hooli")
    subscribe(hooli, 100, date(2025, 1, 1))
    scores.score_all(now=NOON)
    assert reasons.drivers(acme, TODAY - DAY, today=TODAY).sentence() == "first score: 98"
    assert reasons.drivers(hooli, TODAY - DAY, today=TODAY).sentence() == "not enough data: 3 of 8 signals"


def test_history_tells_each_change_with_drivers_that_add_up():
    globex = make_globex()
    scores.backfill([TODAY - back * DAY for back in (16, 9, 2)], now=NOON)
    scores.score_all(now=NOON)
    told = reasons.history(globex, TODAY - 9 * DAY, TODAY + DAY)
    assert [row["day"] for row in told] == ["2026-06-08", "2026-06-15", "2026-06-17"]
    for row in told:
        if row["change"] is not None:
            assert sum(Decimal(driver["effect"]) for driver in row["drivers"]) == Decimal(row["change"])
    assert told[-1]["drivers"][0] == {
        "key": "adoption_breadth",
        "label": "Adoption breadth",
        "cause": "measure",
        "points_before": "0.00",
        "points_after": "33.33",
        "effect": "3.33",
        "words": "features in use 0 % → 25 %",
    }
    assert told[-1]["is_backfilled"] is False
    assert told[0]["is_backfilled"] is True


def test_the_api_shape_holds_the_score_and_each_measure():
    globex = make_globex()
    scores.score_all(now=NOON)
    shape = reasons.api_shape(globex, today=TODAY)
    measures = shape.pop("measures")
    assert shape == {
        "score": "26.58",
        "band": "red",
        "coverage": "100.00",
        "oldest_signal_at": "2026-05-28T09:00:00Z",
        "computed_at": "2026-06-17T12:00:00Z",
        "checked_at": "2026-06-17T12:00:00Z",
        "scorecard": "Standard",
        "version": 1,
        "change_7d": None,
        "trend_30d": None,
        "override": None,
    }
    assert measures[3] == {
        "key": "last_nps",
        "label": "Last NPS answer",
        "raw": "3.00",
        "unit": "of 10",
        "points": "15.00",
        "weight": "15.00",
        "weight_used": "15.00",
        "observed_at": "2026-06-05T09:00:00Z",
        "state": "used",
        "effect": "-12.75",
        "words": "last NPS 3, 12 days ago",
    }


def test_an_account_never_looked_at_has_the_same_shape_without_figures():
    shape = reasons.api_shape(make_account("New"), today=TODAY)
    assert (shape["score"], shape["band"], shape["measures"]) == (None, "not_scored", [])


@pytest.mark.parametrize(
    ("back", "said"),
    [
        (0, "today"),
        (1, "since yesterday"),
        (2, "since Monday"),
        (7, "since last Wednesday"),
        (30, "since 18 May"),
    ],
)
def test_a_day_is_named_as_one_would_aloud(back, said):
    assert reasons.since(TODAY - back * DAY, today=TODAY) == said


def test_reasons_of_a_list_take_the_same_queries_however_long(django_assert_num_queries):
    for make in (make_acme, make_globex):
        make()
    scores.score_all(now=NOON - 9 * DAY)
    scores.score_all(now=NOON)
    healths = list(AccountHealth.objects.all())
    for some in (healths[:1], healths):
        with django_assert_num_queries(1):
            reasons.biggest_reasons(some, today=TODAY)
        with django_assert_num_queries(2):
            reasons.changes_since(some, TODAY - 7 * DAY, today=TODAY)


@pytest.mark.parametrize("key", sorted(SIGNALS))
def test_every_signal_can_be_said(key):
    signal = SIGNALS[key]
    for raw in (Decimal(0), Decimal(1), Decimal("-3.5"), Decimal(12345)):
        assert signal.say(raw, age_days=1)
        assert signal.say_change(raw, raw + 1)
    assert signal.definition.endswith(".")
