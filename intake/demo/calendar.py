"""The days of the demo, as numbers: day 0 is the first Monday, day `end` is the date it is made for.

Nothing has happened on day `end` yet: the last complete day is the one before.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from dateutil.relativedelta import relativedelta

from csplatform.periods import start_of_day

DAYS = 730
HOUR = 3600


class Month(NamedTuple):
    iso: str  # its first day
    start: int
    end: int


class Calendar:
    """Turns day numbers into dates and moments; never asks the clock."""

    def __init__(self, until: date) -> None:
        first = until - timedelta(days=DAYS)
        self.first = first - timedelta(days=first.weekday())
        self.until = until
        self.end = (until - self.first).days
        self.weeks = (self.end + 6) // 7
        self._iso: dict[int, str] = {}
        self._epoch: dict[int, int] = {}
        self.months = self._months()
        # Nothing can have been recorded later than this.
        self.last_moment = self._start(self.end) - 60

    def _months(self) -> list[Month]:
        found = []
        at = self.first.replace(day=1)
        while at < self.until:
            following = at + relativedelta(months=1)
            found.append(Month(at.isoformat(), self.number(at), self.number(following)))
            at = following
        return found

    def number(self, day: date) -> int:
        return (day - self.first).days

    def day(self, number: int) -> date:
        return self.first + timedelta(days=number)

    def iso(self, number: int) -> str:
        text = self._iso.get(number)
        if text is None:
            text = self._iso[number] = self.day(number).isoformat()
        return text

    def plus_months(self, number: int, months: int) -> int:
        return self.number(self.day(number) + relativedelta(months=months))

    def _start(self, number: int) -> int:
        epoch = self._epoch.get(number)
        if epoch is None:
            epoch = self._epoch[number] = int(start_of_day(self.day(number)).timestamp())
        return epoch

    def at(self, number: int, seconds: int) -> int:
        """Return the moment `seconds` after that day began here, never one that is still to come."""
        return min(self._start(number) + seconds, self.last_moment)

    def is_weekend(self, number: int) -> bool:
        return number % 7 >= 5

    def workday(self, number: int) -> int:
        """Return that day, or the Monday after it."""
        weekday = number % 7
        return number if weekday < 5 else number + 7 - weekday

    def liveliness(self, number: int) -> float:
        """Return how busy our customers' planners are on that day, 0 to 1: week, holidays, summer."""
        day = self.day(number)
        weekday = (0.96, 1.0, 1.0, 0.98, 0.88, 0.14, 0.08)[day.weekday()]
        if (day.month, day.day) in {(12, 25), (12, 26), (1, 1), (5, 1)}:
            return 0.08 * weekday
        if (day.month == 12 and day.day >= 22) or (day.month == 1 and day.day <= 4):
            return 0.45 * weekday
        if day.month == 8:
            return 0.86 * weekday
        return weekday


def stamp(moment: int) -> str:
    """Return a moment as the databases take it: UTC, without an offset."""
    return datetime.fromtimestamp(moment, UTC).isoformat(" ")[:19]
