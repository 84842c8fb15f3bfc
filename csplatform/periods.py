"""Stretches of time, written once so that every number means the same days.

A period is half-open: its first day counts, its end does not. It knows nothing of the
clock; callers say which days they speak about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from dateutil.relativedelta import relativedelta
from django.utils import timezone

Step = Literal["day", "week", "month", "quarter", "year"]

EARLIEST = date(1900, 1, 1)
LATEST = date(2200, 1, 1)
LONGEST = timedelta(days=366 * 100)

_STEP = {
    "day": relativedelta(days=1),
    "week": relativedelta(weeks=1),
    "month": relativedelta(months=1),
    "quarter": relativedelta(months=3),
    "year": relativedelta(years=1),
}


class PeriodError(ValueError):
    """A period that cannot be: names the field and the rule."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def start_of_day(day: date) -> datetime:
    """Return the first instant of `day` in the workspace's time zone."""
    return timezone.make_aware(datetime.combine(day, time.min), timezone.get_default_timezone())


def day_of(moment: datetime) -> date:
    """Return the day, in the workspace's time zone, that `moment` falls in."""
    return timezone.localtime(moment, timezone.get_default_timezone()).date()


def floor_to(day: date, step: Step) -> date:
    """Return the first day of the week (Monday), month, quarter or year that holds `day`."""
    match step:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)


@dataclass(frozen=True)
class Period:
    """The days from `start` up to, and without, `end`.

    >>> Period(date(2026, 1, 1), date(2026, 2, 1)).days
    31
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise PeriodError(
                "end", "The end must be later than the start; the end day itself is not counted."
            )
        if self.start < EARLIEST:
            raise PeriodError("start", f"The start must be on or after {EARLIEST.isoformat()}.")
        if self.end > LATEST:
            raise PeriodError("end", f"The end must be on or before {LATEST.isoformat()}.")
        if self.end - self.start > LONGEST:
            raise PeriodError("end", "A period can be 100 years long at most.")

    @property
    def starts_at(self) -> datetime:
        return start_of_day(self.start)

    @property
    def ends_at(self) -> datetime:
        return start_of_day(self.end)

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def last_day(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def months(self) -> Decimal:
        """Return how many months these days are: whole ones exactly, else 365 ÷ 12 days to each.

        >>> Period(date(2026, 1, 15), date(2026, 3, 15)).months
        Decimal('2')
        """
        apart = relativedelta(self.end, self.start)
        return Decimal(self.days * 12) / 365 if apart.days else Decimal(apart.years * 12 + apart.months)

    @classmethod
    def month_of(cls, day: date) -> Period:
        start = floor_to(day, "month")
        return cls(start, start + relativedelta(months=1))

    @classmethod
    def last_days(cls, days: int, *, until: date) -> Period:
        """Return the `days` days that end with, and include, `until`."""
        return cls(until - timedelta(days=days - 1), until + timedelta(days=1))

    def previous(self) -> Period:
        """Return the period just before, whole months for whole months, else as many days."""
        if self.start.day == 1 and self.end.day == 1:
            months = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month
            return Period(self.start - relativedelta(months=months), self.start)
        return Period(self.start - (self.end - self.start), self.start)

    def year_before(self) -> Period:
        """Return the same days of the year before; the 29th of February is then the 28th."""
        year = relativedelta(years=1)
        start, end = self.start - year, self.end - year
        return Period(start, max(end, start + timedelta(days=1)))

    def steps(self, step: Step) -> Iterator[Period]:
        """Split into calendar weeks, months and so on; the first and the last may be cut."""
        at = self.start
        while at < self.end:
            following = floor_to(at, step) + _STEP[step]
            yield Period(at, min(following, self.end))
            at = following
