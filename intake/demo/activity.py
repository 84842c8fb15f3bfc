"""Who used the product on which day, as bits: bit n is day n of the demo.

A person's two years are one whole number. It is drawn by comparing one random number a day with
that day's likelihood, for all days at once, bit by bit: thousands of people a second. Masks,
months and daily counts are read from the same number, so they always agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from intake.demo.calendar import Calendar, Month
from usage.models import MASK_DAYS

LEVELS = 32  # likelihoods are multiples of 1/32
PLANES = 5
STEPS = 20  # of liveliness
# How likely the three kinds of people are to work in the product on a full working day.
KINDS = (0.88, 0.52, 0.17)
# Whoever sticks with the product least stops first when the account's usage falls.
STOPS_BELOW = (0.05, 0.15, 0.25, 0.34, 0.43, 0.52, 0.6, 0.67)

_PLANE = [bytes(49 if level >> plane & 1 else 48 for level in range(256)) for plane in range(PLANES)]
_DIGIT = bytes(byte & 1 for byte in range(256))


class Rhythm:
    """The likelihoods of every week of the calendar, for each kind of person and step of liveliness."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.weeks = calendar.weeks
        self.span = 7 * calendar.weeks
        busy = [calendar.liveliness(day) for day in range(self.span)]
        self._blocks = [
            [
                [
                    bytes(
                        min(
                            LEVELS - 1, round(LEVELS * share * _pull(step / STEPS) * busy[7 * week + weekday])
                        )
                        for weekday in range(7)
                    )
                    for step in range(STEPS + 1)
                ]
                for week in range(self.weeks)
            ]
            for share in KINDS
        ]
        self.happened = (1 << calendar.end) - 1

    def planes(self, liveliness: Sequence[float], rng: Random) -> list[list[int]]:
        """Return the likelihoods of an account's days as bit planes, for each kind of person."""
        steps = [
            0 if value <= 0 else min(STEPS, max(1, round(STEPS * (value + rng.gauss(0, 0.03)))))
            for value in liveliness
        ]
        found = []
        for blocks in self._blocks:
            found.append(_planes(b"".join([block[step] for block, step in zip(blocks, steps, strict=True)])))
        return found

    def weeks_above(self, liveliness: Sequence[float], floor: float) -> int:
        """Return the days of the weeks that are livelier than `floor`, as bits."""
        text = "".join(["1111111" if value > floor else "0000000" for value in liveliness])
        return int(text[::-1], 2)


def planes_of(likelihood: Sequence[float]) -> list[int]:
    """Return likelihoods, one for each day, as bit planes."""
    return _planes(bytes(min(LEVELS - 1, round(LEVELS * chance)) for chance in likelihood))


def _planes(levels: bytes) -> list[int]:
    backwards = levels[::-1]  # day 0 is the lowest bit
    return [int(backwards.translate(plane), 2) for plane in _PLANE]


def _pull(liveliness: float) -> float:
    """People who stay also come less often when things go badly, but less so than people leave."""
    return liveliness**0.6 if liveliness else 0.0


def draw(planes: Sequence[int], span: int, rng: Random) -> int:
    """Return the days on which a random number is below the day's likelihood."""
    below = 0
    for threshold in planes:
        number = rng.getrandbits(span)
        below = (threshold & ~number) | (below & ~(number ^ threshold))
    return below


def days_between(start: int, end: int) -> int:
    """Return the days from `start` to the day before `end`, as bits."""
    start = max(start, 0)
    return ((1 << (end - start)) - 1) << start if end > start else 0


def mask_of(days: int) -> tuple[int, int]:
    """Return the 63-day mask that ends on the last active day, and that day; `days` must not be 0."""
    last = days.bit_length() - 1
    window = days >> (last - MASK_DAYS + 1) if last >= MASK_DAYS else days << (MASK_DAYS - 1 - last)
    return int(format(window, f"0{MASK_DAYS}b")[::-1], 2), last


def first_day(days: int) -> int:
    return (days & -days).bit_length() - 1


def by_month(days: int, months: Sequence[Month]) -> Iterator[tuple[str, int]]:
    """Yield each month with activity and its days, bit 0 for the first of the month."""
    for month in months:
        if month.start >= 0:
            bits = (days >> month.start) & ((1 << (month.end - month.start)) - 1)
        else:
            bits = (days & ((1 << month.end) - 1)) << -month.start
        if bits:
            yield month.iso, bits


def count_by_day(people: Sequence[int], span: int) -> bytes:
    """Return how many people were active on each day; 255 people at most.

    Each person's bits become bytes of one long number; adding the numbers adds up all days at once.
    """
    total = 0
    for days in people:
        total += int.from_bytes(format(days, f"0{span}b").encode().translate(_DIGIT), "big")
    return total.to_bytes(span, "big")[::-1]
