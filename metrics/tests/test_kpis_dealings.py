"""Outcomes, referrals, what the team did, and the health of all customers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from accounts.models import Account, ExchangeRate, OutcomeValue
from accounts.tests.factories import make_account, make_user, subscribe
from csplatform.periods import Period
from metrics.kpis import Answer, Filters, Question, ask, rows
from metrics.tests.cast import FEBRUARY, answer, february, hold, outcome, refer, scored, touch

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))


def asked(slug: str, period: Period = FEBRUARY, **more: object) -> Answer:
    return ask(Question(slug, period, **{"now": NOW, **more}))  # type: ignore[arg-type]


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 12, tzinfo=UTC)


def customer(name: str, mrr: object = 100, **fields: object) -> Account:
    account = make_account(name)
    subscribe(account, mrr, date(2025, 1, 1), recorded_at=datetime(2025, 1, 1, tzinfo=UTC), **fields)
    return account


# --- Outcomes -------------------------------------------------------------------------


def test_the_latest_reading_is_held_against_the_baseline() -> None:
    account = customer("Acme")
    outcome(account, "Leads", 100, (february(3), 110), (february(20), 130), (date(2026, 3, 9), 90))
    assert asked("outcome_change").value == 30
    assert asked("outcome_change", MARCH).value == -10
    [row] = rows(asked("outcome_change").question, "figures")
    assert (row["figure"], row["baseline"], row["now"], row["read_on"]) == ("Leads", 100, 130, february(20))


def test_of_many_figures_the_middle_one_counts_and_their_direction_stands_beside_it() -> None:
    account = customer("Acme")
    outcome(account, "Leads", 1, (february(3), 300))
    outcome(account, "Revenue", 1000, (february(3), 1100))
    outcome(account, "Support calls", 50, (february(3), 40), higher_is_better=False)
    outcome(account, "Staff", 20, (february(3), 20))
    found = asked("outcome_change")
    # −20, 0, 10 and 29,900 %.
    assert found.value == 5
    assert [found.figure.counts[name] for name in ("improved", "worsened", "figures")] == [3, 0, 4]
    assert asked("outcome_change", variant="improvement").value == 15
    by_figure = {group.key: group.figure.value for group in asked("outcome_change", group_by="metric").groups}
    assert by_figure == {"Leads": 29900, "Revenue": 10, "Staff": 0, "Support calls": -20}


def test_a_figure_that_was_below_nought_improves_upwards() -> None:
    outcome(customer("Acme"), "Profit", -200, (february(3), -100))
    assert asked("outcome_change").value == 50


@pytest.mark.parametrize(
    ("baseline", "readings"), [(None, [(february(3), 5)]), (0, [(february(3), 5)]), (7, [])]
)
def test_what_cannot_be_held_against_anything_is_left_out(
    baseline: object, readings: list[tuple[date, object]]
) -> None:
    outcome(customer("Acme"), "Leads", baseline, *readings)
    assert asked("outcome_change").figure.reason == "no_outcomes"


def test_figures_of_accounts_that_left_are_left_out() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 1, 1), february(10))
    outcome(account, "Leads", 100, (february(3), 110))
    assert asked("outcome_change").figure.reason == "no_outcomes"
    assert asked("outcome_change", Period(february(1), february(9))).value == 10


def test_a_corrected_reading_counts_and_the_first_one_was_said_then() -> None:
    metric = outcome(customer("Acme"), "Leads", 100, (february(3), 110))
    OutcomeValue.objects.create(metric=metric, day=february(3), value=120, recorded_at=at(3, 5))
    assert asked("outcome_change").value == 20
    then = asked("outcome_change", known_at=at(3, 1))
    assert (then.value, then.restated) == (10, True)


@pytest.mark.parametrize("value", ["999999999999", "-999999999999"])
def test_a_change_beyond_all_measure_breaks_nothing(value: str) -> None:
    outcome(customer("Acme"), "Leads", Decimal("0.000001"), (february(3), Decimal(value)))
    found = asked("outcome_change").value
    assert found is not None
    assert abs(found) == 10**12


# --- Referrals ------------------------------------------------------------------------


def test_a_referral_that_became_a_customer_counts_in_the_month_it_was_made() -> None:
    account, won = make_account("Acme"), make_account("Won")
    refer(account, "Noted", february(3), converted_on=date(2026, 4, 2), conversion_recorded_at=at(4, 2))
    refer(account, "Won", february(4), referred_account=won)
    refer(account, "Lost", february(5))
    subscribe(won, 100, date(2026, 3, 20), recorded_at=at(3, 20))
    assert asked("referrals").value == 3
    found = asked("referral_conversion_rate")
    assert (found.figure.numerator, found.figure.denominator) == (2, 3)
    assert asked("referral_conversion_rate", now=at(3, 1)).figure.numerator == 0
    assert asked("referral_conversion_rate", known_at=at(4, 1)).figure.numerator == 1
    assert [(row["account"]["name"], row["referred"]) for row in rows(found.question)] == [
        ("Acme", "Noted"),
        ("Acme", "Won"),
    ]


def test_who_was_a_customer_before_was_not_brought_by_the_referral() -> None:
    refer(make_account(), "Old", february(3), referred_account=customer("Old"))
    assert asked("referral_conversion_rate").value == 0


def test_who_would_refer_stands_beside_who_did() -> None:
    says, does, both = (make_account(name) for name in ("Says", "Does", "Both"))
    for account, score in ((says, 10), (does, 3), (both, 9)):
        answer("nps", score, account=account, day=date(2025, 9, 1))
    answer("nps", 10, account=make_account("Long ago"), day=date(2024, 9, 1))
    for account in (does, both, make_account("Never asked")):
        refer(account, "Somebody", february(3))
    counts = asked("referrals").figure.counts
    assert (counts["promoting_accounts"], counts["promoters_who_referred"], counts["by_promoters"]) == (
        2,
        1,
        1,
    )
    groups = {group.label: group.figure.numerator for group in asked("referrals", group_by="likely").groups}
    assert groups == {
        "none": 1,
        "Likely to refer (promoters)": 1,
        "Unlikely to refer (detractors)": 1,
    }


# --- Team -----------------------------------------------------------------------------


def test_touches_are_counted_by_kind_and_by_who_made_them() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    account = make_account(csm=ada)
    for user, kind in ((ada, "call"), (grace, "call"), (grace, "meeting"), (None, "mail"), (ada, "note")):
        touch(account, user, kind, february(9))
    assert asked("touches").value == 4
    by = {group.label: group.figure.value for group in asked("touches", group_by="by").groups}
    assert by == {"none": 1, "Ada": 1, "Grace": 2}
    kinds = {group.label: group.figure.value for group in asked("touches", group_by="kind").groups}
    assert kinds == {"Call": 2, "Mail": 1, "Meeting": 1}
    assert [group.label for group in asked("touches", group_by="csm").groups] == ["Ada"]
    assert asked("touches", filters=Filters(own=(("by", str(grace.pk)),))).value == 2


def test_a_demo_is_booked_before_it_is_held_and_a_training_is_not() -> None:
    account = make_account()
    for kind in ("demo", "training", "call"):
        touch(account, None, kind, february(3))
        touch(account, None, kind, february(25))
    seen = {slug: asked(slug, now=at(2, 10)).value for slug in ("demos_booked", "trainings_held", "touches")}
    assert seen == {"demos_booked": 2, "trainings_held": 1, "touches": 3}


def test_coverage_is_asked_of_the_accounts_somebody_holds() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    for name, touched, kind in (
        ("Lately", february(2), "call"),
        ("On the first of the thirty days", date(2026, 1, 30), "mail"),
        ("Too long ago", date(2026, 1, 29), "call"),
        ("Only a note", february(20), "note"),
    ):
        touch(make_account(name, csm=ada), grace, kind, touched)
    handed_over = make_account("Handed over")
    hold(handed_over, ada, date(2025, 1, 1), february(27))
    hold(handed_over, grace, february(28))
    touch(make_account("Nobody's"), ada, "call", february(9))
    found = asked("touch_coverage", group_by="csm")
    assert (found.figure.numerator, found.figure.denominator) == (2, 5)
    assert {group.label: (group.figure.numerator, group.figure.denominator) for group in found.groups} == {
        "Ada": (2, 4),
        "Grace": (0, 1),
    }


# --- Health ---------------------------------------------------------------------------


def test_health_is_what_held_at_the_end_and_of_customers_only() -> None:
    big, small = customer("Big", 900), customer("Small", 100)
    scored(big, date(2026, 1, 2), 20)
    scored(big, february(3), 80)
    scored(small, february(9), 20)
    scored(customer("Unknown", 500), february(9), None)
    scored(make_account("No customer"), february(9), 10)
    found = asked("average_health")
    assert (found.value, found.figure.counts["customers_scored"]) == (50, 2)
    assert found.figure.counts["without_score"] == 1
    assert asked("average_health", variant="mrr").value == 74
    assert (asked("accounts_at_risk").value, asked("mrr_at_risk").value) == (1, 100)
    assert asked("accounts_at_risk", variant="share").value == 50
    assert asked("mrr_at_risk", variant="share").value == 10
    january = Period(date(2026, 1, 1), date(2026, 2, 1))
    assert (asked("average_health", january).value, asked("mrr_at_risk", january).value) == (20, 900)


@pytest.mark.parametrize("slug", ["average_health", "accounts_at_risk", "mrr_at_risk"])
def test_before_the_first_score_nobody_knows_whether_somebody_was_at_risk(slug: str) -> None:
    account = customer("Acme")
    scored(account, date(2026, 3, 5), 20)
    assert (asked(slug).value, asked(slug).figure.reason) == (None, "no_scores")
    assert asked(slug, MARCH).value is not None


def test_revenue_at_risk_is_exchanged_as_all_revenue_is() -> None:
    ExchangeRate.objects.create(currency="USD", starts_on=date(2025, 1, 1), rate=Decimal("0.9"))
    scored(customer("Dollars", 100, currency="USD"), february(3), 20)
    scored(customer("Euros", 50), february(3), 30)
    found = asked("mrr_at_risk")
    assert (found.value, found.unit) == (140, "EUR")
    # (20 × 90 + 30 × 50) ÷ 140
    assert round(asked("average_health", variant="mrr").value or 0, 4) == Decimal("23.5714")


def test_a_score_that_was_worked_out_later_was_not_known_then() -> None:
    account = customer("Acme")
    scored(account, february(3), 80)
    late = scored(account, february(20), 20)
    late.computed_at = at(3, 9)
    late.save()
    assert asked("average_health").value == 20
    assert asked("average_health", known_at=at(3, 1)).value == 80
