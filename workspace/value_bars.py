"""Bars beside the values of a table, all on one scale, made on the server as SVG. No Django, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from metrics.calculations import Interval

WIDTH = 100


@dataclass(frozen=True)
class ValueBar:
    """Where a bar lies in a box 100 wide: from where 0 is to its value, with its interval across it."""

    zero: float
    end: float
    low: float | None = None
    high: float | None = None

    @property
    def start(self) -> float:
        return min(self.zero, self.end)

    @property
    def length(self) -> float:
        return round(abs(self.end - self.zero), 2)

    @property
    def is_negative(self) -> bool:
        return self.end < self.zero


def value_bars(
    values: Sequence[Decimal | None], intervals: Sequence[Interval | None] = ()
) -> list[ValueBar | None]:
    """Return a bar for each value, None for a missing one; the scale holds 0 and every interval.

    >>> [(bar.start, bar.length) for bar in value_bars([Decimal(30), Decimal(-10)]) if bar]
    [(25.0, 75.0), (0.0, 25.0)]
    """
    intervals = intervals or [None] * len(values)
    ends = [Decimal(0), *(value for value in values if value is not None)]
    for interval in intervals:
        ends += [*interval] if interval else []
    lowest, highest = min(ends), max(ends)
    span = highest - lowest

    def at(value: Decimal) -> float:
        return round(float((value - lowest) / span) * WIDTH, 2) if span else 0.0

    return [
        None
        if value is None
        else ValueBar(
            zero=at(Decimal(0)),
            end=at(value),
            low=at(interval.low) if interval else None,
            high=at(interval.high) if interval else None,
        )
        for value, interval in zip(values, intervals, strict=True)
    ]
