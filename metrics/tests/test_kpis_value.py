"""What customers are worth and what keeping them costs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from accounts.models import Charge, Cost
from accounts.tests.factories import change_terms, make_account, make_user, subscribe
from csplatform.periods import Period
from metrics.kpis import Filters, rows
from metrics.kpis.reading import read_question
from metrics.tests.cast import february, hold
from metrics.tests.test_kpis_examples import asked, at

pytestmark = pytest.mark.django_db
A_YEAR = Period(date(2025, 3, 1), date(2026, 3, 1))


def spend(amount: int, category: str = "payroll", **fields: object) -> None:
    Cost.objects.create(category=category, day=february(14), amount=amount, **fields)


def test_a_hundred_a_month_over_five_years_is_worth_6000() -> None:
    subscribe(make_account("Stays"), 100, date(2024, 1, 1))
    # 1,825 days, and a customer at the ends of eleven of the year's months.
    subscribe(make_account("Leaves"), 100, date(2021, 2, 16), february(14))
    found = asked("clv", A_YEAR)
    assert found.figure.counts["lifetime_days"] == 5 * 365
    assert (found.value, found.unit) == (6000, "EUR")


def test_one_off_lines_are_purchases_too() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 2, 15), february(14))
    for amount in (30, 20, -10):
        Charge.objects.create(account=account, day=date(2025, 7, 3), amount=amount, currency="EUR")
    counts = asked("clv", A_YEAR).figure.counts
    assert (counts["one_off_revenue"], counts["invoices"], counts["customer_months"]) == (40, 1, 11)
    assert asked("clv", A_YEAR).value == Decimal(1140) / 12 * (Decimal(12) / 11 * 12) * 1


def test_d7_without_churn_a_lifetime_has_no_end() -> None:
    subscribe(make_account(), 100, date(2025, 1, 1))
    for variant in ("simple", "predictive"):
        figure = asked("clv", variant=variant).figure
        assert (figure.value, figure.reason) == (None, "nobody_churned")


def test_the_predicted_value_brings_churn_to_a_month_and_takes_the_margin(settings) -> None:
    for number in range(20):
        left = february(9) if number < 2 else None
        subscribe(make_account(f"Account {number}"), 90, date(2025, 1, 1), left)
    assert asked("clv", variant="predictive").value == 900, "90 a month, a tenth leaves each month"
    quarter = Period(date(2026, 1, 1), date(2026, 4, 1))
    assert asked("clv", quarter, variant="predictive").value == 2700
    settings.GROSS_MARGIN_PERCENT = Decimal(80)
    assert asked("clv", variant="predictive").value == 720


def test_the_predicted_value_says_what_is_missing() -> None:
    assert asked("clv", variant="predictive").figure.reason == "no_paying_customers"
    subscribe(make_account(), 100, february(3))
    assert asked("clv", variant="predictive").figure.reason == "no_customers_at_start"


def test_the_historic_value_is_the_revenue_to_date() -> None:
    account = make_account()
    line = subscribe(account, 100, date(2024, 3, 1))
    change_terms(line, date(2025, 3, 1), unit_price=Decimal(150))
    Charge.objects.create(account=account, day=date(2023, 5, 1), amount=70, currency="EUR")
    subscribe(make_account("Globex"), 10, february(1))
    alone = asked("clv", variant="historic", filters=Filters(account=account.pk))
    assert alone.value == 12 * 100 + 12 * 150 + 70
    assert asked("clv", variant="historic").value == Decimal(3070 + 10) / 2


def test_clv_is_asked_of_twelve_months() -> None:
    asked_now = read_question("clv", {}, user=None, now=at(3, 10))
    assert asked_now.period == Period(date(2025, 3, 11), date(2026, 3, 11))


def test_d21_ten_thousand_for_five_hundred_customers_is_20() -> None:
    accounts = [make_account(f"Account {number}") for number in range(5)]
    for account in accounts:
        subscribe(account, 10, date(2025, 1, 1))
    spend(70)
    spend(30, "events", account=accounts[0])
    assert asked("customer_retention_cost").value == 20
    by_category = asked("customer_retention_cost", group_by="category")
    assert {group.label: group.figure.value for group in by_category.groups} == {
        "Payroll": 14,
        "Engagement events": 6,
    }


def test_customers_are_an_average_of_both_ends_or_those_at_the_end() -> None:
    subscribe(make_account("Stays"), 10, date(2025, 1, 1))
    subscribe(make_account("Leaves"), 10, date(2025, 1, 1), february(9))
    for number in range(3):
        subscribe(make_account(f"Joins {number}"), 10, february(9))
    spend(60)
    found = asked("customer_retention_cost")
    assert (found.figure.denominator, found.value) == (3, 20)
    assert sorted(row["amount"] for row in rows(found.question, "denominator")) == [
        Decimal("0.5"),
        Decimal("0.5"),
        Decimal("0.5"),
        Decimal("0.5"),
        1,
    ]
    assert asked("customer_retention_cost", variant="at_end").value == 15


def test_no_costs_entered_is_not_a_cost_of_0() -> None:
    ada = make_user("Ada")
    hold(account := make_account(), ada, date(2025, 1, 1))
    subscribe(account, 10, date(2025, 1, 1))
    for slug in ("customer_retention_cost", "retention_margin"):
        assert asked(slug).figure.reason == "no_costs"
    spend(60)
    groups = {group.label: group.figure for group in asked("customer_retention_cost", group_by="csm").groups}
    assert groups["Ada"].reason == "no_costs", "what was entered for no account is nobody's"
    assert groups["none"].numerator == 60


def test_a_margin_below_0_is_a_loss() -> None:
    for number in range(4):
        subscribe(make_account(f"Account {number}"), 100, date(2025, 1, 1))
    spend(120)
    quarter = Period(date(2026, 1, 1), date(2026, 4, 1))
    assert asked("retention_margin").value == 70
    assert asked("retention_margin", quarter).value == 90
    spend(480)
    assert asked("retention_margin").value == -50


def test_a_cost_entered_later_was_not_known_before() -> None:
    subscribe(make_account(), 100, date(2025, 1, 1), recorded_at=at(1, 1, 2025))
    spend(50, recorded_at=at(2, 14))
    spend(30, recorded_at=at(3, 14))
    assert asked("customer_retention_cost").value == 80
    then = asked("customer_retention_cost", known_at=at(3, 1))
    assert (then.value, then.restated) == (50, True)
