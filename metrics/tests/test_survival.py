"""How long something takes when some still wait: against published figures, and what must always hold."""

from __future__ import annotations

import csv
import doctest
import gzip
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from statistics import median as usual_median

import pytest
from hypothesis import given
from hypothesis import strategies as some

from metrics import survival
from metrics.survival import Point, median, median_interval, observed, share_waiting_at, survival_curve


def curve(rows: Sequence[tuple[int, int]]) -> list[Point]:
    """Return the curve of (how long, 1 if it was reached or 0 if still waiting)."""
    return survival_curve(observed((value, reached, 1 - reached) for value, reached in rows))


def four(value: Decimal | None) -> str:
    assert value is not None
    return str(round(value, 4))


# --- Published figures ----------------------------------------------------------------


@pytest.fixture(scope="module")
def trial(real_data: Path) -> list[dict[str, str]]:
    with (real_data / "survival" / "drug6mp.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_6mp_trial_comes_out_as_published(trial: list[dict[str, str]]) -> None:
    points = curve([(int(row["t2"]), int(row["relapse"])) for row in trial])
    assert [(int(point.value), four(point.still_waiting)) for point in points] == [
        (6, "0.8571"),
        (7, "0.8067"),
        (10, "0.7529"),
        (13, "0.6902"),
        (16, "0.6275"),
        (22, "0.5378"),
        (23, "0.4482"),
    ]
    assert median(points) == 23
    assert median_interval(points) is None, "its upper end was not reached"
    # The interval by log(−log), as Stata and SAS print it for these data.
    assert (four(points[0].low), four(points[0].high)) == ("0.6197", "0.9516")
    assert (four(points[-1].low), four(points[-1].high)) == ("0.1881", "0.6801")


def test_the_placebo_arm_in_which_nobody_was_left_has_the_usual_median(trial: list[dict[str, str]]) -> None:
    points = curve([(int(row["t1"]), 1) for row in trial])
    assert points[-1].still_waiting == 0
    assert median(points) == usual_median(int(row["t1"]) for row in trial) == 8
    assert median_interval(points) == (4, 11)


def test_how_long_telco_customers_stay_comes_out_by_contract(real_data: Path) -> None:
    with gzip.open(real_data / "telco-churn" / "Telco-Customer-Churn.csv.gz", "rt") as file:
        customers = list(csv.DictReader(file))

    def shares(rows: list[dict[str, str]]) -> list[str]:
        points = curve([(int(row["tenure"]), int(row["Churn"] == "Yes")) for row in rows])
        return [str(round(share_waiting_at(points, months), 6)) for months in (12, 24, 72)]

    assert shares(customers) == ["0.843200", "0.788736", "0.592790"]
    monthly = [row for row in customers if row["Contract"] == "Month-to-month"]
    assert shares(monthly) == ["0.703097", "0.585915", "0.128952"]


# --- By hand --------------------------------------------------------------------------


def test_d18_who_has_not_reached_it_yet_counts_as_waiting() -> None:
    reached = [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 58, 60]
    waiting = [70, 75, 80, 85, 90, 95, 100, 105]
    points = curve([*((day, 1) for day in reached), *((day, 0) for day in waiting)])
    # Ten of twenty are there after 55 days and the eleventh after 58; the twelve alone say 37.5.
    assert median(points) == Decimal("56.5")
    assert usual_median(reached) == 37.5
    assert share_waiting_at(points, 60) == Decimal("0.4")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], None),
        ([(5, 0)], None),
        ([(5, 1), (9, 0), (9, 0)], None),
        ([(5, 1)], 5),
        ([(0, 1), (0, 1)], 0),
        ([(5, 1), (7, 0)], 5),
        ([(5, 1), (7, 1)], 6),
        # Who waits at 5 is at risk at 5 and no longer at 6.
        ([(5, 1), (5, 0), (6, 1)], 6),
    ],
)
def test_the_median_of_a_few(rows: list[tuple[int, int]], expected: int | None) -> None:
    assert median(curve(rows)) == expected


def test_before_the_first_point_everybody_waits() -> None:
    points = curve([(5, 1), (7, 1)])
    assert [share_waiting_at(points, day) for day in (0, 4, 5, 99)] == [1, 1, Decimal("0.5"), 0]


# --- What must always hold ------------------------------------------------------------

waits = some.lists(some.tuples(some.integers(0, 60), some.integers(0, 1)), min_size=1, max_size=60)


@given(waits)
def test_the_curve_is_the_product_worked_out_exactly(rows: list[tuple[int, int]]) -> None:
    share = Fraction(1)
    points = iter(curve(rows))
    for day in sorted({value for value, reached in rows if reached}):
        at_risk = sum(1 for value, _ in rows if value >= day)
        share *= 1 - Fraction(sum(1 for value, reached in rows if value == day and reached), at_risk)
        point = next(points)
        assert (point.value, point.at_risk) == (day, at_risk)
        assert abs(Fraction(point.still_waiting) - share) < Fraction(1, 10**20)
        if point.low is not None and point.high is not None:
            assert 0 <= point.low <= point.still_waiting <= point.high <= 1
    assert next(points, None) is None


@given(some.lists(some.integers(0, 400), min_size=1, max_size=80))
def test_with_nobody_waiting_it_is_the_usual_median(days: list[int]) -> None:
    assert median(curve([(day, 1) for day in days])) == Decimal(usual_median(days))


@given(waits)
def test_waiting_longer_never_makes_us_look_faster(rows: list[tuple[int, int]]) -> None:
    points = curve(rows)
    patient = curve([(value + (100 if not reached else 0), reached) for value, reached in rows])
    found, later = median(points), median(patient)
    assert later is None or (found is not None and later >= found)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(survival).failed == 0
