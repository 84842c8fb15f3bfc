"""How long something takes when some are still waiting: Kaplan and Meier 1958. No database, no clock.

Those who are still waiting count for as long as they have waited and are never left out, which
would make everything look faster than it is. Both methods below are those of the textbooks:
Kalbfleisch and Prentice for the interval of the curve, Brookmeyer and Crowley for the median's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from metrics.calculations import Z_95, Interval, Number, Spread

HALF = Decimal("0.5")
# A product of many fractions is a half when it is one but for the last digits.
NEARLY = Decimal("1E-20")


class Observed(NamedTuple):
    """Of those who waited this long: how many got there then, and how many were still waiting."""

    value: Decimal
    reached: Decimal
    waiting: Decimal


class Point(NamedTuple):
    """How things stood once some got there: the share that was still waiting, with its 95 % interval."""

    value: Decimal
    at_risk: Decimal
    reached: Decimal
    still_waiting: Decimal
    low: Decimal | None
    high: Decimal | None


def observed(rows: Iterable[tuple[Number, Number, Number]]) -> list[Observed]:
    """Return (value, reached, still waiting) in order, one for each value.

    >>> observed([(7, 1, 0), (6, 2, 0), (6, 1, 1)])[0]
    Observed(value=Decimal('6'), reached=Decimal('3'), waiting=Decimal('1'))
    """
    found: dict[Decimal, Observed] = {}
    for value, reached, waiting in rows:
        key = Decimal(value)
        before = found.get(key, Observed(key, Decimal(0), Decimal(0)))
        found[key] = Observed(key, before.reached + reached, before.waiting + waiting)
    return [found[key] for key in sorted(found)]


def survival_curve(rows: Sequence[Observed]) -> list[Point]:
    """Return a point for each value at which somebody got there, lowest first.

    Who is still waiting at a value is at risk at it and no longer after it.

    >>> [round(p.still_waiting, 4) for p in survival_curve(observed([(1, 1, 0), (2, 0, 1), (3, 1, 1)]))]
    [Decimal('0.7500'), Decimal('0.3750')]
    """
    at_risk = sum((row.reached + row.waiting for row in rows), Decimal(0))
    share, greenwood = Decimal(1), Decimal(0)
    points = []
    for row in rows:
        if row.reached:
            left = at_risk - row.reached
            share *= left / at_risk
            if left:
                greenwood += row.reached / (at_risk * left)
            low, high = _around(share, greenwood)
            points.append(Point(row.value, at_risk, row.reached, share, low, high))
        at_risk -= row.reached + row.waiting
    return points


def _around(share: Decimal, greenwood: Decimal) -> tuple[Decimal | None, Decimal | None]:
    """Return the 95 % interval of a share by its log(−log), which stays between 0 and 1."""
    if not 0 < share < 1:
        return None, None
    logarithm = share.ln()
    reach = (Z_95 * greenwood.sqrt() / -logarithm).exp()
    return (logarithm * reach).exp(), (logarithm / reach).exp()


def share_waiting_at(points: Sequence[Point], value: Number) -> Decimal:
    """Return the share still waiting after `value`: that of the last point up to it."""
    share = Decimal(1)
    for point in points:
        if point.value > value:
            break
        share = point.still_waiting
    return share


def median(points: Sequence[Point]) -> Decimal | None:
    """Return the value at which half of all got there; None when fewer than half did.

    Where exactly half are left from one value to the next it is the middle of the two, so that
    with nobody waiting it is the usual median.

    >>> median(survival_curve(observed([(10, 1, 0), (20, 1, 0)])))
    Decimal('15')
    """
    for number, point in enumerate(points):
        if abs(point.still_waiting - HALF) < NEARLY:
            following = points[number + 1 :]
            return (point.value + following[0].value) / 2 if following else point.value
        if point.still_waiting < HALF:
            return point.value
    return None


def median_interval(points: Sequence[Point]) -> Interval | None:
    """Return the 95 % interval of the median: the values at which half lies within the curve's interval.

    None when its upper end is not reached yet.
    """
    first = next((p.value for p in points if p.low is None or p.low <= HALF), None)
    last = next((p.value for p in points if _is_below_half(p)), None)
    return None if first is None or last is None else Interval(first, last)


def _is_below_half(point: Point) -> bool:
    high = point.still_waiting if point.high is None else point.high
    return high < HALF


# --- Medians of KPIs ------------------------------------------------------------------


def observed_in(spread: Spread, *, reached: str) -> list[Observed]:
    """Return the spread of a KPI that counts `started`, and under the name `reached` who got there."""
    return observed((value, counts[reached], counts["started"] - counts[reached]) for value, counts in spread)


def curve_of(spread: Spread, *, reached: str) -> list[Point]:
    return survival_curve(observed_in(spread, reached=reached))


def interval_of(spread: Spread, *, reached: str) -> Interval | None:
    return median_interval(curve_of(spread, reached=reached))


def onboarding_time(*, spread: Spread) -> Decimal | None:
    """Return after how many days half of those who started have completed onboarding.

    Formula: median days from start to completion by Kaplan and Meier: whoever is not done yet
             counts for as long as they have been at it and is never left out
    Unit:    days
    Source:  milestones that end the onboarding, of the accounts that started in the period

    None while fewer than half are done.

    >>> onboarding_time(spread=[(Decimal(30), {"started": Decimal(1), "completed": Decimal(1)})])
    Decimal('30')
    """
    return median(curve_of(spread, reached="completed"))


def time_to_value(*, spread: Spread) -> Decimal | None:
    """Return after how many days half of those who started have reached a milestone.

    Formula: median days from start to the milestone by Kaplan and Meier: whoever has not reached
             it counts for as long as they have been at it and is never left out
    Unit:    days
    Source:  milestones by the day they were started on, those that end the onboarding left out

    None while fewer than half have reached it.

    >>> time_to_value(spread=[(Decimal(9), {"started": Decimal(2), "reached": Decimal(2)})])
    Decimal('9')
    """
    return median(curve_of(spread, reached="reached"))
