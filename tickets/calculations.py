"""Arithmetic of business hours: no database, no clock.

How long something took is counted in the seconds that support works, by the clock on its
wall. A day on which that clock is moved has as many seconds as it really has.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import accumulate
from zoneinfo import ZoneInfo

END_OF_DAY = 24 * 60
FIRST_YEAR, LAST_YEAR = 1900, 2200

# When one day begins and ends to be worked, in minutes from its midnight.
Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class _Year:
    """The working spans of one year as Unix time, and what they add up to by the end of each."""

    begins: list[int]
    ends: list[int]
    worked: list[int]

    @property
    def total(self) -> int:
        return self.worked[-1] if self.worked else 0

    def until(self, moment: int) -> int:
        """Return the seconds worked in this year before `moment`."""
        at = bisect_right(self.begins, moment) - 1
        if at < 0:
            return 0
        return self.worked[at] - max(self.ends[at] - moment, 0)


@dataclass(frozen=True)
class BusinessHours:
    """The hours of each weekday, Monday first, and the days that are none.

    >>> office = BusinessHours("Europe/Berlin", [[(10 * 60, 18 * 60)]] * 5 + [[], []])
    >>> opened = datetime(2026, 3, 2, 7, tzinfo=UTC)  # a Monday, 8:00 in Berlin
    >>> office.after(opened, 3600)
    datetime.datetime(2026, 3, 2, 10, 0, tzinfo=datetime.timezone.utc)
    >>> office.seconds_between(opened, datetime(2026, 3, 3, 10, tzinfo=UTC)) // 3600
    9
    """

    time_zone: str
    week: Sequence[Spans]
    closed_on: frozenset[date] = frozenset()
    # As (month, day); 29 February is one in leap years only.
    closed_every_year_on: frozenset[tuple[int, int]] = frozenset()

    def seconds_between(self, start: datetime, end: datetime) -> int:
        """Return how many seconds were worked from `start` to `end`; none if that is not later."""
        if end <= start:
            return 0
        first, last = self._year_of(start), self._year_of(end)
        whole = sum(self._year(year).total for year in range(first, last))
        return whole + self._year(last).until(_unix(end)) - self._year(first).until(_unix(start))

    def after(self, start: datetime, seconds: int) -> datetime | None:
        """Return the moment by which so many seconds have been worked since `start`.

        None where that many are never worked.
        """
        year = self._year_of(start)
        wanted = self._year(year).until(_unix(start)) + seconds
        while wanted > self._year(year).total:
            wanted -= self._year(year).total
            year += 1
            if year > LAST_YEAR or not any(self.week):
                return None
        found = self._year(year)
        at = bisect_left(found.worked, wanted)
        return datetime.fromtimestamp(found.ends[at] - (found.worked[at] - wanted), UTC)

    def is_working_day(self, day: date) -> bool:
        return bool(self._spans_of(day))

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def _years(self) -> dict[int, _Year]:
        return {}

    def _year_of(self, moment: datetime) -> int:
        return moment.astimezone(self._zone).year

    def _spans_of(self, day: date) -> Spans:
        if day in self.closed_on or (day.month, day.day) in self.closed_every_year_on:
            return ()
        return self.week[day.weekday()]

    def _year(self, year: int) -> _Year:
        if year not in self._years:
            begins: list[int] = []
            ends: list[int] = []
            day = date(year, 1, 1)
            while day.year == year and FIRST_YEAR <= year <= LAST_YEAR:
                for opens, closes in self._spans_of(day):
                    # Where the clock was moved forward, a span may begin within another one.
                    begin = max(self._moment(day, opens), ends[-1] if ends else -(2**62))
                    end = self._moment(day, closes)
                    if begin < end:
                        begins.append(begin)
                        ends.append(end)
                day += timedelta(days=1)
            lengths = (end - begin for begin, end in zip(begins, ends, strict=True))
            self._years[year] = _Year(begins, ends, list(accumulate(lengths)))
        return self._years[year]

    def _moment(self, day: date, minute: int) -> int:
        if minute == END_OF_DAY:
            day, minute = day + timedelta(days=1), 0
        local = datetime.combine(day, time(minute // 60, minute % 60), self._zone)
        return int(local.timestamp())


def _unix(moment: datetime) -> int:
    return int(moment.timestamp() // 1)


def seconds_between(start: datetime, end: datetime) -> int:
    """Return the whole seconds from `start` to `end`, by any clock; none if that is not later.

    Helpdesks that round the opening up may report a reply before it.
    """
    return max(_unix(end) - _unix(start), 0)
