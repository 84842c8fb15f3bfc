"""What grows and shrinks the customers one has, what is signed, what renews, and how long they stay."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from dateutil.relativedelta import relativedelta

from accounts.models import Charge, ExchangeRate, Subscription
from accounts.tests.factories import change_terms, make_account, make_plan, make_user, subscribe
from csplatform.periods import Period
from metrics.kpis import Filters, rows
from metrics.tests.cast import february, hold, renewal
from metrics.tests.test_kpis_examples import APRIL, JANUARY, asked, at, shown

pytestmark = pytest.mark.django_db
THE_YEAR = Period(date(2025, 3, 1), date(2026, 3, 1))


def test_upsell_cross_sell_and_downsell_say_how_much_and_of_how_many() -> None:
    suite, maps = make_plan("suite"), make_plan("maps", product="maps")
    for name in ("Acme", "Globex"):
        line = subscribe(make_account(name), 10, date(2025, 1, 1), plan=suite, quantity=Decimal(10))
        change_terms(line, february(3), quantity=Decimal(12))
        change_terms(line, february(9), quantity=Decimal(15))
    change_terms(line, february(20), quantity=Decimal(14))
    account = make_account("Initech")
    dearer = subscribe(account, 50, date(2025, 1, 1), plan=suite)
    change_terms(dearer, february(5), unit_price=Decimal(60))
    subscribe(account, 30, february(6), plan=maps)
    found = {
        slug: (asked(slug).value, asked(slug).figure.counts["accounts"])
        for slug in ("upsell_mrr", "cross_sell_mrr", "downsell_mrr")
    }
    assert found == {"upsell_mrr": (100, 2), "cross_sell_mrr": (30, 1), "downsell_mrr": (10, 1)}
    kinds = {group.label: group.figure.value for group in asked("expansion_mrr", group_by="sub_kind").groups}
    assert kinds == {"Upsell": 100, "Cross-sell": 30, "Price increase": 10}
    only = asked("expansion_mrr", filters=Filters(own=(("sub_kind", "price_increase"),)))
    assert (only.value, [row["amount"] for row in rows(only.question)]) == (10, [10])


def test_an_upsell_that_was_taken_back_is_none() -> None:
    account = make_account()
    line = subscribe(account, 10, date(2025, 1, 1), plan=make_plan("suite"), recorded_at=at(1, 1, 2025))
    more = change_terms(line, february(3), quantity=Decimal(5), recorded_at=at(2, 3))
    assert asked("upsell_mrr").figure.counts["accounts"] == 1
    more.delete()
    change_terms(line, february(3), quantity=Decimal(1), recorded_at=at(2, 20))
    found = asked("upsell_mrr")
    assert (found.value, found.figure.counts["accounts"], found.figure.counts["movements"]) == (0, 0, 0)
    assert asked("upsell_mrr", known_at=at(2, 10)).figure.counts["accounts"] == 1


def test_an_account_that_was_upsold_twice_stands_with_the_csm_of_the_last_time() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    account = make_account()
    hold(account, ada, date(2025, 1, 1), february(9))
    hold(account, grace, february(10))
    line = subscribe(account, 10, date(2025, 1, 1), plan=make_plan("suite"))
    change_terms(line, february(5), quantity=Decimal(2))
    change_terms(line, february(15), quantity=Decimal(4))
    groups = {group.label: group.figure for group in asked("upsell_mrr", group_by="csm").groups}
    assert {name: (figure.value, figure.counts["accounts"]) for name, figure in groups.items()} == {
        "Ada": (10, 0),
        "Grace": (20, 1),
    }


def test_the_portfolio_grows_by_what_its_customers_pay_more_and_renewals_are_shown() -> None:
    suite = make_plan("suite")
    account = make_account("Acme")
    line = subscribe(account, 100, date(2025, 1, 1), plan=suite, quantity=Decimal(4))
    change_terms(line, february(5), quantity=Decimal(5))
    change_terms(line, february(6), unit_price=Decimal(110))
    renewal(account, february(8), 550, 550)
    leaver = make_account("Globex")
    subscribe(leaver, 100, date(2025, 1, 1), february(9), plan=suite)
    renewal(leaver, february(9), 100, 0)
    subscribe(make_account("Newcomer"), 1000, february(3))
    counts = asked("portfolio_growth").figure.counts
    assert counts == {
        "growth": 50,
        "expansions": 50,
        "upgrades": 100,
        "downgrades": 0,
        "contractions": 0,
        "churned": 100,
        "renewals": 550,
        "contracts_renewed": 1,
    }
    assert asked("portfolio_growth", variant="percent").value == 10
    assert asked("portfolio_growth", variant="with_renewals").value == 600
    assert asked("portfolio_growth", APRIL, variant="percent").value == 0


def test_d2_the_portfolio_of_one_account_grew_by_20() -> None:
    line = subscribe(make_account(), 100, date(2025, 1, 1))
    change_terms(line, february(5), unit_price=Decimal(150))
    change_terms(line, february(15), unit_price=Decimal(120))
    assert shown(asked("portfolio_growth", variant="percent")) == "20.00"


def test_a_cancellation_leaves_the_committed_revenue_at_once() -> None:
    line = subscribe(make_account(), 100, date(2025, 1, 1), recorded_at=at(1, 1, 2025))
    subscribe(make_account("Globex"), 40, date(2026, 4, 1), recorded_at=at(2, 10))
    Subscription.objects.filter(pk=line.pk).update(ends_on=date(2026, 5, 31))
    change_terms(line, date(2026, 1, 1), recorded_at=at(2, 20))
    assert asked("mrr").value == 100
    found = asked("committed_mrr").figure
    assert (found.value, found.counts["future_ends"], found.counts["future_starts"]) == (40, 100, 40)
    then = asked("committed_mrr", JANUARY, variant="known_then")
    assert then.value == 100, "in January nobody knew of either"
    assert asked("committed_mrr", JANUARY).value == 40


def test_committed_is_the_revenue_less_ends_plus_starts_in_every_group() -> None:
    ada = make_user("Ada")
    hold(account := make_account(), ada, date(2025, 1, 1))
    line = subscribe(account, 100, date(2025, 1, 1), date(2026, 6, 30))
    change_terms(line, date(2026, 4, 1), unit_price=Decimal(130))
    subscribe(make_account("Globex"), 40, date(2026, 4, 1))
    for group_by in ("", "csm"):
        answer = asked("committed_mrr", group_by=group_by)
        for figure in (answer.figure, *(group.figure for group in answer.groups)):
            counts = figure.counts
            signed = counts["mrr"] - counts["future_ends"] + counts["future_starts"]
            assert counts["committed"] == signed


def test_a_year_of_an_account_is_the_revenue_of_twelve_months_and_what_was_invoiced() -> None:
    account = make_account()
    line = subscribe(account, 100, date(2025, 1, 1))
    change_terms(line, date(2025, 9, 1), unit_price=Decimal(150))
    subscribe(account, 10, date(2025, 12, 15), date(2026, 1, 31))
    for day, amount in ((date(2025, 2, 28), 999), (date(2025, 3, 1), 700), (february(28), -50)):
        Charge.objects.create(account=account, day=day, amount=amount, currency="EUR")
    other = make_account("Globex")
    subscribe(other, 5, february(28))
    alone = asked("account_annual_revenue", filters=Filters(account=account.pk))
    recurring = 6 * 100 + 6 * 150 + 2 * 10
    assert (alone.value, alone.figure.counts["recurring"]) == (recurring + 650, recurring)
    assert asked("account_annual_revenue").value == recurring + 650 + 5
    assert asked("account_annual_revenue", variant="per_account").value == Decimal(recurring + 655) / 2


@pytest.mark.parametrize("end", [date(2026, 3, 1), date(2026, 3, 11), date(2025, 2, 20), date(2026, 3, 31)])
def test_a_year_is_the_sum_of_what_mrr_says_at_the_end_of_each_month(end: date) -> None:
    ExchangeRate.objects.create(currency="USD", starts_on=date(2020, 1, 1), rate=Decimal("0.8"))
    for number, day in enumerate((1, 11, 12, 20, 28)):
        start = date(2025, 1 + number, day)
        line = subscribe(make_account(f"Account {day}"), 100, start, currency="USD")
        change_terms(line, date(2025, 12, day), quantity=Decimal(3))
    ends = [end - relativedelta(months=back) for back in range(12)]
    months = [asked("mrr", Period(last - relativedelta(days=1), last)).value for last in ends]
    assert asked("account_annual_revenue", Period(date(2025, 1, 1), end)).value == sum(months)


def test_a_life_runs_from_the_day_of_joining_or_coming_back_to_the_day_of_leaving() -> None:
    subscribe(make_account("Acme"), 10, date(2025, 2, 10), february(9))
    back = make_account("Globex")
    subscribe(back, 10, date(2020, 1, 1), date(2020, 12, 31))
    subscribe(back, 10, date(2024, 2, 11), february(9))
    subscribe(make_account("Initech"), 10, date(2020, 1, 1))
    found = asked("customer_lifespan")
    assert found.figure.counts == {"lifetime_days": 365 + 730, "churned": 2, "still_active": 1}
    assert (found.value, found.figure.is_small_sample) == (18, True)
    assert {row["joined"] for row in rows(found.question)} == {date(2025, 2, 10), date(2024, 2, 11)}


def test_a_churn_that_was_taken_back_ended_no_life() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 4, 1), date(2026, 3, 31), recorded_at=at(4, 1, 2025))
    subscribe(account, 100, date(2026, 4, 1), recorded_at=at(4, 20))
    assert asked("customer_lifespan", APRIL).figure.reason == "nobody_churned"
    assert shown(asked("customer_lifespan", APRIL, known_at=at(4, 5))) == "12.00"


def test_one_divided_by_the_churn_rate_is_brought_to_a_month() -> None:
    for number in range(20):
        subscribe(
            make_account(f"Account {number}"), 10, date(2025, 1, 1), february(9) if number < 2 else None
        )
    assert asked("customer_lifespan", variant="from_churn_rate").value == 10
    quarter = Period(date(2026, 1, 1), date(2026, 4, 1))
    assert asked("customer_lifespan", quarter, variant="from_churn_rate").value == 30


def test_an_account_with_two_terms_due_counts_once() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    account = make_account()
    hold(account, ada, date(2025, 1, 1), february(9))
    hold(account, grace, february(10))
    subscribe(account, 100, date(2025, 1, 1))
    renewal(account, february(5), 100, 0)
    renewal(account, february(15), 50, 60)
    counts = asked("renewal_rate").figure.counts
    assert counts == {"renewed": 1, "decided": 1, "lost": 0, "open": 0}
    groups = {group.label: group.figure.numerator for group in asked("renewal_rate", group_by="csm").groups}
    assert groups == {"Ada": 1}, "the CSM of the first term that was due"
    assert shown(asked("gross_renewal_rate")) == "33.33"


def test_an_outcome_counts_from_the_day_we_learned_it() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 1, 1))
    renewal(account, february(5), 100, 100, decided_at=at(2, 20))
    then = asked("renewal_rate", known_at=at(2, 10))
    assert (then.value, then.figure.counts["open"], then.figure.reason) == (None, 1, "nothing_due")
    assert asked("net_renewal_rate", known_at=at(2, 10)).figure.counts["value_open"] == 100
    assert asked("renewal_rate").value == 100
