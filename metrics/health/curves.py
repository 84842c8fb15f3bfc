"""How many points a raw signal is worth: straight lines between given points, flat outside them.

Written twice, for Python and for SQL; a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BEST = 10_000  # 100 points, in hundredths


@dataclass(frozen=True)
class Curve:
    """Points `(raw, points)` in whole hundredths; raw figures rise strictly.

    >>> licence_use = Curve(((1000, 0), (8000, 10_000)))
    >>> licence_use.at(4500), licence_use.at(200), licence_use.at(12_000)
    (5000, 0, 10000)
    """

    points: tuple[tuple[int, int], ...]

    def at(self, raw: int) -> int:
        """Return the points of `raw`, rounded to whole hundredths, halves away from the line's start."""
        first, last = self.points[0], self.points[-1]
        if raw <= first[0]:
            return first[1]
        for (x0, y0), (x1, y1) in pairwise(self.points):
            if raw <= x1:
                step = (2 * abs(y1 - y0) * (raw - x0) + (x1 - x0)) // (2 * (x1 - x0))
                return y0 + step if y1 >= y0 else y0 - step
        return last[1]

    def sql(self, raw: str) -> str:
        """Return the same as an expression; `raw` is a column that is not null."""
        lines = [f"WHEN {raw} <= {self.points[0][0]} THEN {self.points[0][1]}"]
        for (x0, y0), (x1, y1) in pairwise(self.points):
            if y0 == y1:
                lines.append(f"WHEN {raw} <= {x1} THEN {y0}")
                continue
            sign = "+" if y1 > y0 else "-"
            run = x1 - x0
            step = f"({2 * abs(y1 - y0)} * ({raw} - {x0}) + {run}) / {2 * run}"
            lines.append(f"WHEN {raw} <= {x1} THEN {y0} {sign} {step}")
        return f"CASE {' '.join(lines)} ELSE {self.points[-1][1]} END"

    @property
    def best(self) -> int:
        return max(points for _, points in self.points)

    @property
    def is_rising(self) -> bool:
        return is_rising(self.points)

    @property
    def is_falling(self) -> bool:
        return is_rising(tuple(reversed(self.points)))


def is_rising(points: Sequence[tuple[int, int]]) -> bool:
    return all(before[1] <= after[1] for before, after in pairwise(points))
