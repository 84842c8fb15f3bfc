"""What is expected of open contract terms, kept as it was said, and held against what came of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Account, Renewal
from accounts.tests.factories import make_account, subscribe
from csplatform.periods import Period
from metrics import forecasting, rollups
from metrics.calculations import Likelihood, renewal_likelihood
from metrics.kpis import Answer, Question, ask, ask_stored, read_question, rows
from metrics.kpis.reach import fingerprint
from metrics.models import KpiRollUp, RenewalForecast
from metrics.tests.cast import FEBRUARY, NOW, at, february, renewal, scored
from team.work import enqueue, run_due

pytestmark = pytest.mark.django_db

MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))
NOVEMBER = date(2025, 11, 1)


def asked(variant: str = "", period: Period = FEBRUARY, **more: Any) -> Answer:
    return ask(Question("renewal_forecast", period, variant=variant, now=more.pop("now", NOW), **more))


def customer(name: str, *scores: tuple[date, int]) -> Account:
    account = make_account(name)
    subscribe(account, 100, date(2024, 1, 1))
    for day, score in scores:
        scored(account, day, score)
    return account


def past(*, green: tuple[int, int] = (0, 0), red: tuple[int, int] = (0, 0)) -> None:
    """Have so many of so many terms of accounts in a band been renewed, half a year ago."""
    for score, (renewed, ended) in ((90, green), (20, red)):
        for number in range(ended):
            account = customer(f"Past {score} {number}", (date(2025, 1, 1), score))
            renewal(account, date(2025, 7, 31), 100, 100 if number < renewed else 0)


@pytest.mark.parametrize(
    ("renewed", "decided", "all_renewed", "all_decided", "expected"),
    [(0, 0, 80, 100, "0.80"), (90, 90, 90, 90, "1.00"), (45, 50, 80, 100, "0.88"), (0, 10, 10, 20, "0.25")],
)
def test_a_band_is_as_likely_as_its_terms_and_ten_of_all(
    renewed: int, decided: int, all_renewed: int, all_decided: int, expected: str
) -> None:
    found = renewal_likelihood(
        renewed=renewed, decided=decided, all_renewed=all_renewed, all_decided=all_decided
    )
    assert found is not None
    assert found.expected == Decimal(expected)
    assert 0 <= found.low <= found.expected <= found.high <= 1


def test_without_any_term_decided_nothing_is_likely() -> None:
    assert renewal_likelihood(renewed=0, decided=0, all_renewed=0, all_decided=0) is None


def test_open_terms_are_weighted_by_how_accounts_that_stood_alike_renewed() -> None:
    past(green=(20, 20), red=(5, 20))
    renewal(customer("Acme", (february(1), 90)), date(2026, 3, 20), 1000)
    renewal(customer("Globex", (february(1), 10)), date(2026, 3, 25), 100)
    renewal(customer("Initech", (february(1), 90)), date(2026, 4, 2), 7)
    forecasting.say(at(february(20)))
    # Of all, 25 of 40 renewed: (20 + 6.25) ÷ 30 and (5 + 6.25) ÷ 30.
    found = asked(period=MARCH)
    assert found.value == Decimal("880") + Decimal("38")
    counts = found.figure.counts
    assert (counts["value_due"], counts["contracts_open"]) == (1100, 2)
    assert counts["worst_case"] < counts["weighted"] < counts["best_case"] < counts["value_due"]
    assert found.figure.is_small_sample
    shares = {row["account"]["name"]: row["amount"] for row in rows(found.question, "weighted")}
    assert shares == {"Acme": 880, "Globex": 38}


def test_the_band_that_counts_is_the_one_90_days_before_the_end() -> None:
    early = customer("Early", (date(2025, 1, 1), 90), (date(2025, 5, 3), 20))
    late = customer("Late", (date(2025, 1, 1), 90), (date(2025, 5, 2), 20))
    for account in (early, late):
        renewal(account, date(2025, 7, 31), 100, 0 if account is late else 100)
    found = forecasting.likelihoods(at(february(1)))
    assert found["green"].expected == Decimal("0.55"), "one of one, and ten at one half"
    assert found["red"].expected == Decimal("0.45"), "of Late, red since 90 days before"


def test_a_worse_band_is_not_held_likelier_because_nobody_was_in_it() -> None:
    past(green=(5, 10))
    found = forecasting.likelihoods(at(february(1)))
    assert {found[band].expected for band in ("red", "yellow", "green")} == {Decimal("0.50")}
    past(red=(10, 10))
    found = forecasting.likelihoods(at(february(1)))
    assert found["red"].expected == found["green"].expected < Decimal("0.75")


def test_a_term_that_ends_on_another_day_leaves_the_stored_month_it_was_in() -> None:
    past(green=(5, 10))
    term = renewal(customer("Acme", (february(1), 90)), date(2026, 3, 20), 1000)
    forecasting.say(at(february(10)))
    question = asked(period=MARCH).question
    store(question)
    Renewal.objects.filter(pk=term.pk).update(due_on=date(2026, 6, 20))
    store(question)
    forecasting.say(at(february(11)))
    assert ask_stored([question]) == [None]
    store(question)
    (stored,) = ask_stored([question])
    assert stored is not None
    assert stored.figure.counts["contracts_forecast"] == 0


def store(question: Question) -> None:
    """Work out the figure of a question, whose roll-up is made if there is none."""
    KpiRollUp.objects.get_or_create(
        kpi=question.slug,
        variant=question.kpi.variant("").slug,
        starts_on=question.period.start,
        ends_on=question.period.last_day,
        fingerprint=fingerprint(question.kpi),
        defaults={"urgency": rollups.TOTALS_NOW, "reads": "[]"},
    )
    rollups.refresh(rows=rollups.due_now)


def test_terms_that_ended_more_than_a_year_ago_or_were_decided_later_say_nothing() -> None:
    renewal(customer("Old"), date(2024, 11, 30), 100, 0)
    renewal(customer("Late"), date(2025, 11, 30), 100, 0, decided_at=at(date(2026, 1, 5)))
    assert forecasting.likelihoods(at(date(2025, 12, 5))) == {}
    assert set(forecasting.likelihoods(at(date(2026, 1, 6)))) == {"green", "yellow", "red", ""}


def test_without_history_there_is_no_value_and_a_reason_but_what_is_due_is_shown() -> None:
    renewal(customer("Acme"), date(2026, 3, 20), 1000)
    assert asked(period=MARCH).figure.reason == "not_forecast_yet"
    forecasting.say(at(february(20)))
    found = asked(period=MARCH)
    assert (found.value, found.figure.reason) == (None, "no_renewal_history")
    assert found.figure.counts["value_due"] == 1000


def test_a_month_in_which_nothing_is_open_has_no_forecast() -> None:
    past(green=(1, 1))
    forecasting.say(at(february(20)))
    assert (asked(period=MARCH).value, asked(period=MARCH).figure.reason) == (None, "nothing_open")


def test_what_was_said_on_a_day_stays_what_was_said() -> None:
    past(green=(20, 20))
    acme = customer("Acme", (date(2025, 12, 1), 90))
    term = renewal(acme, date(2026, 3, 20), 1000)
    forecasting.say(at(february(1)))
    scored(acme, february(10), 20)
    Renewal.objects.filter(pk=term.pk).update(due_value=500)
    forecasting.say(at(february(11)))
    then, now = asked(period=MARCH, known_at=at(february(10))), asked(period=MARCH)
    assert (then.figure.counts["value_due"], now.figure.counts["value_due"]) == (1000, 500)
    assert then.restated
    assert asked(period=MARCH, known_at=at(date(2026, 1, 31))).figure.reason == "not_forecast_yet"


def test_a_term_that_is_decided_is_no_longer_open_at_once_and_still_was_then() -> None:
    past(green=(20, 20))
    term = renewal(customer("Acme"), date(2026, 3, 20), 1000)
    forecasting.say(at(february(1)))
    Renewal.objects.filter(pk=term.pk).update(
        outcome=Renewal.Outcome.RENEWED, renewed_value=1000, decided_at=at(february(5))
    )
    assert asked(period=MARCH).figure.reason == "nothing_open"
    assert asked(period=MARCH, known_at=at(february(4))).value == 1000
    assert asked(period=MARCH, known_at=at(february(6))).value is None
    forecasting.say(at(february(7)))
    assert list(term.forecasts.order_by("said_at").values_list("is_open", flat=True)) == [True, False]


def test_saying_the_same_again_writes_nothing_and_a_changed_word_one_row() -> None:
    past(green=(5, 10))
    acme = customer("Acme", (february(1), 90))
    renewal(acme, date(2026, 3, 20), 1000)
    assert forecasting.say(at(february(2))) == 1
    assert forecasting.say(at(february(2))) == 0
    assert forecasting.say(at(february(3))) == 0
    scored(acme, february(4), 60)
    assert forecasting.say(at(february(4))) == 1


def test_nothing_is_said_after_the_event() -> None:
    renewal(customer("Acme"), date(2026, 3, 20), 1000)
    forecasting.say(at(february(2)))
    with pytest.raises(ValueError, match="Later forecasts"):
        forecasting.say(at(february(1)))


def forecast_of(due_value: int, renewed_value: int | None, *, said: date, name: str = "Acme") -> None:
    """Forecast a term that ends on 19 February, and decide it on that day."""
    term = renewal(customer(name), february(19), due_value, renewed_value, decided_at=at(february(19)))
    forecasting.say(at(said))
    assert term.forecasts.get().likelihood == 1


def test_a_forecast_is_held_against_what_was_kept_of_its_value() -> None:
    past(green=(20, 20))
    renewal(customer("Globex"), february(20), 1000, 600, decided_at=at(february(19)))
    renewal(customer("Initech"), february(21), 3000, 5000, decided_at=at(february(19)))
    forecast_of(1000, 0, said=NOVEMBER)
    found = asked("error")
    counts = found.figure.counts
    assert (counts["forecast"], counts["value_kept"], counts["value_due"]) == (5000, 3600, 5000)
    assert (found.value, found.unit) == (28, "percent")
    assert {row["account"]["name"]: row["amount"] for row in rows(found.question)} == {
        "Acme": 1000,
        "Globex": 400,
    }, "what was kept in full is no error, and growth makes up for nothing"


@pytest.mark.parametrize(
    ("days", "variant", "is_judged"),
    [(90, "error", True), (89, "error", False), (89, "error_30", True), (29, "error_30", False)],
)
def test_only_what_was_said_so_long_before_the_end_is_judged(
    days: int, variant: str, is_judged: bool
) -> None:
    past(green=(20, 20))
    forecast_of(1000, 1000, said=february(19) - timedelta(days=days))
    found = asked(variant)
    assert (found.value, found.figure.reason) == ((0, "") if is_judged else (None, "not_forecast"))


def test_the_last_word_before_counts_and_what_was_said_later_does_not() -> None:
    past(green=(20, 20), red=(0, 20))
    acme = customer("Acme", (date(2025, 6, 1), 90))
    renewal(acme, february(19), 1000, 1000, decided_at=at(february(19)))
    forecasting.say(at(date(2025, 10, 1)))
    scored(acme, date(2025, 10, 20), 20)
    forecasting.say(at(NOVEMBER))
    scored(acme, date(2025, 12, 20), 90)
    forecasting.say(at(date(2026, 1, 2)))
    assert asked("error").figure.counts["forecast"] == 170
    assert asked("error_30").figure.counts["forecast"] == 830


def test_terms_of_days_that_are_not_over_are_not_judged_however_early_they_were_given_up() -> None:
    past(green=(20, 20))
    term = renewal(customer("Acme"), february(19), 1000, 0, decided_at=at(date(2026, 1, 5)))
    forecasting.say(at(NOVEMBER))
    assert term.forecasts.get().is_open
    early = asked("error", now=at(february(19)))
    assert (early.value, early.figure.reason) == (None, "not_forecast")
    assert asked("error", now=at(february(20))).value == 100


def test_an_overdue_term_is_shown_and_left_out_until_it_is_decided() -> None:
    past(green=(20, 20))
    renewal(customer("Acme"), february(19), 1000)
    forecasting.say(at(NOVEMBER))
    found = asked("error")
    assert (found.value, found.figure.reason) == (None, "nothing_decided")
    assert (found.figure.counts["value_open"], found.figure.counts["contracts_open"]) == (1000, 1)


def test_the_error_of_two_months_is_that_of_their_contracts() -> None:
    past(green=(20, 20))
    renewal(customer("Globex"), date(2026, 1, 31), 500, 0)
    forecast_of(1500, 1500, said=date(2025, 10, 1))
    both = Period(date(2026, 1, 1), date(2026, 3, 1))
    january = Period(date(2026, 1, 1), date(2026, 2, 1))
    assert (asked("error").value, asked("error", january).value) == (0, 100)
    assert asked("error", both).value == 25


def test_it_can_be_grouped_by_the_band_that_the_likelihood_came_from() -> None:
    past(green=(20, 20), red=(0, 20))
    renewal(customer("Acme", (february(1), 90)), date(2026, 3, 20), 1000)
    renewal(customer("Globex", (february(1), 10)), date(2026, 3, 25), 100)
    forecasting.say(at(february(20)))
    found = {group.label: group.figure.value for group in asked(period=MARCH, group_by="band").groups}
    assert found == {"Green": 830, "Red": 17}


def test_asked_without_days_it_looks_half_a_year_ahead() -> None:
    question = read_question("renewal_forecast", {}, user=None, now=datetime(2026, 2, 14, tzinfo=UTC))
    assert question.period == Period(date(2026, 2, 1), date(2026, 8, 1))


def test_the_job_of_the_hour_writes_it_down() -> None:
    renewal(customer("Acme"), date(2026, 3, 20), 1000)
    enqueue("metrics.forecast_renewals", key="now")
    run_due()
    assert RenewalForecast.objects.count() == 1


def test_bounds_of_a_worse_band_are_no_higher_either() -> None:
    better = Likelihood(Decimal("0.5"), Decimal("0.6"), Decimal("0.7"))
    worse = Likelihood(Decimal("0.4"), Decimal("0.7"), Decimal("0.9"))
    assert worse.at_most(better) == (Decimal("0.4"), Decimal("0.6"), Decimal("0.7"))
