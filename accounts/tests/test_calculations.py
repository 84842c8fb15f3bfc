from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.calculations import Line, Terms, account_history, monthly_amount, state_of

JAN, FEB, MAR, APR = (date(2026, month, 1) for month in (1, 2, 3, 4))


def line(pk=1, starts_on=JAN, ends_on=None, *terms, is_addon=False):
    return Line(pk, starts_on, ends_on, terms or (Terms(starts_on, unit_price=Decimal(100)),), is_addon)


def told(*lines, by_hand=None):
    """Return the movements in short: day, kind, sub-kind, amount, heads."""
    moves = account_history(lines, by_hand=by_hand).moves
    return [(m.effective_on, m.kind, m.sub_kind, int(m.delta), m.customers) for m in moves]


@pytest.mark.parametrize(
    ("interval", "count", "price", "month"),
    [
        ("month", 1, 100, "100"),
        ("quarter", 1, 300, "100"),
        ("half_year", 1, 600, "100"),
        ("year", 1, 1200, "100"),
        ("year", 3, 3600, "100"),
        ("week", 1, 25, "108.333333"),  # D6
        ("day", 1, 12, "365"),
    ],
)
def test_every_billing_interval_is_brought_to_a_month(interval, count, price, month):
    amount = monthly_amount(
        quantity=Decimal(1), unit_price=Decimal(price), interval=interval, interval_count=count
    )
    assert amount == Decimal(month)


def test_d9_discounts_and_extras_are_mrr_and_setup_fees_are_not():
    subscriptions = monthly_amount(quantity=Decimal(200), unit_price=Decimal(50), discount_amount=Decimal(10))
    addons = monthly_amount(quantity=Decimal(50), unit_price=Decimal(10))
    assert subscriptions + addons == 8_500


def test_a_discount_larger_than_the_price_is_never_negative_revenue():
    assert monthly_amount(quantity=Decimal(1), unit_price=Decimal(5), discount_amount=Decimal(9)) == 0


def test_a_line_joins_on_its_first_day_and_churns_the_day_after_its_last():
    assert told(line(1, JAN, date(2026, 3, 31))) == [
        (JAN, "new", "", 100, 1),
        (APR, "churn", "", -100, -1),
    ]


def test_a_renewal_that_follows_on_is_no_movement():
    assert told(line(1, JAN, date(2026, 1, 31)), line(2, FEB)) == [(JAN, "new", "", 100, 1)]


def test_a_customer_who_comes_back_is_reactivated_not_new():
    kinds = [m[1] for m in told(line(1, JAN, date(2026, 1, 31)), line(2, MAR))]
    assert kinds == ["new", "churn", "reactivation"]


def test_several_changes_of_one_day_are_one_movement():
    assert told(line(1, JAN, date(2026, 1, 31)), line(2, FEB, None, Terms(FEB, unit_price=Decimal(130))))[
        1:
    ] == [(FEB, "expansion", "price_increase", 30, 0)]


@pytest.mark.parametrize(
    ("before", "after", "sub_kind"),
    [
        ({"quantity": Decimal(10)}, {"quantity": Decimal(12)}, "upsell"),
        ({"quantity": Decimal(10)}, {"quantity": Decimal(8)}, "downsell"),
        ({"level": 1}, {"level": 2, "unit_price": Decimal(150)}, "upsell"),
        ({"level": 2}, {"level": 1, "unit_price": Decimal(60)}, "downsell"),
        ({}, {"unit_price": Decimal(110)}, "price_increase"),
        ({}, {"unit_price": Decimal(90)}, "price_decrease"),
        ({"discount_percent": Decimal(20)}, {}, "discount_end"),
        ({}, {"discount_percent": Decimal(20)}, "discount_start"),
        ({}, {"is_paused": True}, "pause"),
        ({"is_paused": True}, {}, "resume"),
    ],
)
def test_a_change_of_terms_is_named_for_what_changed(before, after, sub_kind):
    first = Terms(JAN, unit_price=Decimal(100), product="suite")._replace(**before)
    later = Terms(FEB, unit_price=Decimal(100), product="suite")._replace(**after)
    moves = told(line(1, JAN, None, first, later), line(2, JAN, None, Terms(JAN, unit_price=Decimal(1))))
    assert moves[-1][2] == sub_kind


def test_a_product_not_held_before_is_cross_sell():
    second = line(2, FEB, None, Terms(FEB, unit_price=Decimal(50), product="other"))
    assert told(line(), second)[-1][1:3] == ("expansion", "cross_sell")


def test_an_extra_outside_the_plan_is_an_addon():
    extra = line(2, FEB, date(2026, 2, 28), Terms(FEB, unit_price=Decimal(5)), is_addon=True)
    assert [m[2] for m in told(line(), extra)] == ["", "addon", "addon_removed"]


def test_the_end_of_a_discount_is_expansion():
    terms = Terms(
        JAN, unit_price=Decimal(100), discount_percent=Decimal(30), discount_ends_on=date(2026, 1, 31)
    )
    assert told(line(1, JAN, None, terms))[1:] == [(FEB, "expansion", "discount_end", 30, 0)]


def test_a_full_discount_is_no_paying_customer():
    assert told(line(1, JAN, None, Terms(JAN, unit_price=Decimal(9), discount_percent=Decimal(100)))) == []


def test_a_pause_is_contraction_and_keeps_the_customer():
    terms = (Terms(JAN, unit_price=Decimal(100)), Terms(FEB, unit_price=Decimal(100), is_paused=True))
    assert told(line(1, JAN, date(2026, 2, 28), *terms)) == [
        (JAN, "new", "", 100, 1),
        (FEB, "contraction", "pause", -100, 0),
        (MAR, "churn", "", 0, -1),
    ]


def test_a_customer_marked_by_hand_counts_without_money():
    assert told(by_hand=(JAN, date(2026, 1, 31))) == [(JAN, "new", "", 0, 1), (FEB, "churn", "", 0, -1)]


def test_of_two_terms_for_one_day_the_one_recorded_later_holds():
    terms = (Terms(JAN, unit_price=Decimal(100)), Terms(JAN, unit_price=Decimal(80)))
    assert told(line(1, JAN, None, *terms)) == [(JAN, "new", "", 80, 1)]


def test_the_main_plan_is_the_dearest_and_stays_after_churn():
    small = line(1, JAN, date(2026, 3, 31), Terms(JAN, plan="small", unit_price=Decimal(10)))
    large = line(2, FEB, date(2026, 2, 28), Terms(FEB, plan="large", unit_price=Decimal(50)))
    assert account_history([small, large]).plans == [(JAN, "small"), (FEB, "large"), (MAR, "small")]


DAYS = st.integers(0, 400).map(lambda n: JAN + timedelta(days=n))


def terms(day, price, quantity, product, is_paused):
    return Terms(
        day, unit_price=Decimal(price), quantity=Decimal(quantity), product=product, is_paused=is_paused
    )


TERMS = st.builds(
    terms, DAYS, st.integers(0, 500), st.integers(0, 5), st.sampled_from(["a", "b"]), st.booleans()
)


@st.composite
def lines(draw):
    found = []
    for pk in range(draw(st.integers(0, 4))):
        starts_on = draw(DAYS)
        length = draw(st.none() | st.integers(0, 200))
        ends_on = None if length is None else starts_on + timedelta(days=length)
        found.append(Line(pk, starts_on, ends_on, draw(st.lists(TERMS, max_size=3)), draw(st.booleans())))
    return found


@given(lines(), DAYS)
def test_the_movements_up_to_a_day_add_up_to_the_lines_in_force_that_day(history, day):
    moves = [m for m in account_history(history).moves if m.effective_on <= day]
    states = [s for one in history if (s := state_of(one, day))]
    assert sum(m.delta for m in moves) == sum(s.mrr for s in states)
    assert sum(m.customers for m in moves) == any(s.mrr or s.paused_mrr for s in states)


@given(lines())
def test_an_account_joins_before_it_leaves_and_never_twice(history):
    heads = [m.customers for m in account_history(history).moves if m.customers]
    assert heads == [1, -1] * (len(heads) // 2) + [1] * (len(heads) % 2)
