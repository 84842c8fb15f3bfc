"""The worked examples of the definitions, by arithmetic alone."""

from __future__ import annotations

import doctest
from decimal import Decimal

import pytest

from accounts.calculations import monthly_amount
from metrics import calculations
from metrics.calculations import (
    Estimate,
    Interval,
    cohort_churn_rate,
    customer_churn_rate,
    customer_effort_score,
    customer_retention_rate,
    customer_satisfaction,
    ease_share,
    exact_text,
    exchange_effect,
    gross_renewal_rate,
    gross_revenue_churn_rate,
    gross_revenue_retention,
    license_utilization,
    mean_estimate,
    mean_interval,
    net_promoter_estimate,
    net_promoter_interval,
    net_promoter_score,
    net_renewal_rate,
    net_revenue_retention,
    predictive_lifetime_value,
    quick_ratio,
    renewal_rate,
    share_estimate,
    significance_of,
    stickiness,
    widened_churn_rate,
    wilson_interval,
)


def shown(value: Decimal | None, places: int = 2) -> str:
    assert value is not None
    return str(round(value, places))


def both_ends(interval: Interval | None) -> list[str]:
    assert interval is not None
    return [shown(bound) for bound in interval]


@pytest.mark.parametrize(
    ("example", "value", "expected"),
    [
        ("50 of 1000 leave", customer_churn_rate(churned=50, customers_at_start=1000), "5.00"),
        ("300 of 1000 leave", customer_churn_rate(churned=300, customers_at_start=1000), "30.00"),
        ("24 of 75 renew", renewal_rate(renewed=24, decided=75), "32.00"),
        ("35 of 50 are satisfied", customer_satisfaction(satisfied=35, answers=50), "70.00"),
        ("40 of 50 are satisfied", customer_satisfaction(satisfied=40, answers=50), "80.00"),
        ("80 of 100 licences", license_utilization(active_users=80, seats=100), "80.00"),
        ("D1 every churn", customer_churn_rate(churned=12, customers_at_start=100), "12.00"),
        ("D1 cohort", cohort_churn_rate(lost=9, customers_at_start=100), "9.00"),
        ("D1 widened", widened_churn_rate(churned=12, customers_at_start_or_joined=150), "8.00"),
        ("D2 net", net_revenue_retention(mrr_at_end=120, mrr_at_start=100), "120.00"),
        ("D2 gross", gross_revenue_retention(mrr_kept=100, mrr_at_start=100), "100.00"),
        ("D2 churn by movements", gross_revenue_churn_rate(mrr_lost=30, opening_mrr=100), "30.00"),
        ("D3 net", net_revenue_retention(mrr_at_end=1000 + 100 - 50 - 150, mrr_at_start=1000), "90.00"),
        ("D4 net", net_revenue_retention(mrr_at_end=110, mrr_at_start=110), "100.00"),
        ("D4 fx", exchange_effect(opening=110, movements=0, closing=100), "-10.00"),
        ("D5 renewals", renewal_rate(renewed=5, decided=6), "83.33"),
        ("D5 retention", customer_retention_rate(kept=9, customers_at_start=10), "90.00"),
        ("D6 weekly", monthly_amount(quantity=Decimal(1), unit_price=Decimal(25), interval="week"), "108.33"),
        ("D11 renewals", renewal_rate(renewed=8, decided=10), "80.00"),
        ("D11 gross", gross_renewal_rate(value_kept=8 * 1000, value_due=10_000), "80.00"),
        ("D11 net", net_renewal_rate(value_renewed=7 * 1000 + 4000, value_due=10_000), "110.00"),
        ("D12 score", net_promoter_score(promoters=50, detractors=20, answers=100), "30.00"),
        ("D13 score", net_promoter_score(promoters=10, detractors=0, answers=10), "100.00"),
        ("D14 5,5,4,3,1", customer_satisfaction(satisfied=3, answers=5), "60.00"),
        ("D15 mean", customer_effort_score(score_total=7 + 7 + 6 + 5 + 4 + 2 + 1, answers=7), "4.57"),
        ("D15 share", ease_share(easy=4, answers=7), "57.14"),
        ("D19", stickiness(daily_active_total=30 * 20_000, monthly_active_users=100_000), "20.00"),
    ],
)
def test_a_worked_example_comes_out(example: str, value: Decimal | None, expected: str) -> None:
    assert shown(value) == expected, example


@pytest.mark.parametrize(
    ("example", "interval", "expected"),
    [
        ("D12", net_promoter_interval(promoters=50, detractors=20, answers=100), ["14.05", "44.20"]),
        ("D13", net_promoter_interval(promoters=10, detractors=0, answers=10), ["47.50", "100.00"]),
        ("D14", wilson_interval(part=45, whole=50), ["78.64", "95.65"]),
    ],
)
def test_the_interval_of_a_worked_example_comes_out(
    example: str, interval: Interval | None, expected: list[str]
) -> None:
    assert both_ends(interval) == expected, example


@pytest.mark.parametrize(
    ("before", "now", "z", "is_significant"),
    [((12, 3, 20), (9, 5, 20), "0.949", False), ((120, 30, 200), (90, 50, 200), "3.193", True)],
)
def test_d16_a_change_of_the_score_is_told_from_chance(
    before: tuple[int, int, int], now: tuple[int, int, int], z: str, is_significant: bool
) -> None:
    def estimate(wave: tuple[int, int, int]) -> Estimate | None:
        promoters, detractors, answers = wave
        return net_promoter_estimate(promoters=promoters, detractors=detractors, answers=answers)

    found = significance_of(estimate(now), estimate(before))
    assert found is not None
    assert (shown(found.z, 3), found.is_significant) == (z, is_significant)
    assert significance_of(estimate(before), estimate(now)) == found, "a rise is as far as a fall"


def test_two_shares_are_compared_by_their_adjusted_variances() -> None:
    found = significance_of(share_estimate(part=80, whole=100), share_estimate(part=60, whole=100))
    # 81/102 and 61/102 lie 20/102 apart; their variances are 1701/102³ and 2501/102³.
    assert found is not None
    assert shown(found.z, 3) == shown(Decimal(20) * Decimal(102).sqrt() / Decimal(1701 + 2501).sqrt(), 3)


def test_two_means_are_compared_by_their_variances() -> None:
    # 3, 5 and 7, 9: means 4 and 8, each with s² ÷ n = 1.
    first = mean_estimate(total=8, squares=34, answers=2)
    second = mean_estimate(total=16, squares=130, answers=2)
    found = significance_of(second, first)
    assert found is not None
    assert shown(found.z, 3) == "2.828"


def test_without_variation_there_is_nothing_to_measure_a_change_with() -> None:
    same = Estimate(Decimal(4), Decimal(0))
    assert significance_of(same, Estimate(Decimal(5), Decimal(0))) is None
    assert significance_of(same, same) == (0, False)
    assert significance_of(same, None) is None


@pytest.mark.parametrize(
    ("population", "expected"),
    [
        (None, ["14.05", "44.20"]),
        (200, ["18.44", "39.81"]),
        (100, ["29.13", "29.13"]),
        (50, ["14.05", "44.20"]),
    ],
)
def test_the_more_of_those_asked_have_answered_the_less_is_left_to_chance(
    population: int | None, expected: list[str]
) -> None:
    interval = net_promoter_interval(promoters=50, detractors=20, answers=100, population=population)
    assert both_ends(interval) == expected


@pytest.mark.parametrize(
    "value",
    [
        customer_churn_rate(churned=0, customers_at_start=0),
        net_revenue_retention(mrr_at_end=0, mrr_at_start=0),
        gross_revenue_retention(mrr_kept=0, mrr_at_start=0),
        quick_ratio(mrr_won=100, mrr_lost=0),
        predictive_lifetime_value(arpa=100, margin_percent=100, monthly_churn_percent=0),
        net_promoter_score(promoters=0, detractors=0, answers=0),
        net_promoter_interval(promoters=0, detractors=0, answers=0),
        wilson_interval(part=0, whole=0),
        mean_interval(total=5, squares=25, answers=1),
    ],
)
def test_what_is_undefined_is_none_and_not_0(value: object) -> None:
    assert value is None


def test_a_share_of_more_than_the_whole_has_no_interval() -> None:
    assert wilson_interval(part=12, whole=10) is None


@pytest.mark.parametrize(
    ("number", "at_least", "text"),
    [
        ("26.5369870", 0, "26.536987"),
        ("5", 0, "5"),
        ("5", 2, "5.00"),
        ("-3.5", 2, "-3.50"),
        ("-0.0000001", 0, "0"),
        ("0.0000005", 0, "0.000001"),
        ("1E+3", 0, "1000"),
        ("100000000000000000.25", 2, "100000000000000000.25"),
    ],
)
def test_a_number_goes_out_as_exact_text(number: str, at_least: int, text: str) -> None:
    assert exact_text(Decimal(number), at_least=at_least) == text


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(calculations).failed == 0
