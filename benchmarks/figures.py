"""What a benchmark reports: each figure beside the ceiling measured in the same run.

Seconds differ between machines and between a quiet and a busy minute; the ratio of two things done
one after the other in one process differs far less. So the ratio is what a target speaks of.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What a benchmark is told."""

    accounts: int  # in the company it runs on, if it needs one
    is_quick: bool  # small sizes: shows that the benchmark works, not how fast we are
    folder: Path  # for its files; removed afterwards


@dataclass(frozen=True)
class Figure:
    """One row of the table. `target` is empty where none is set; `is_met` is None then."""

    what: str
    measured: str
    ceiling: str
    ratio: str
    target: str = ""
    is_met: bool | None = None

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @property
    def verdict(self) -> str:
        return "" if self.is_met is None else ("yes" if self.is_met else "**no**")


HEADINGS = ("what", "measured", "ceiling, same run", "ratio", "target", "met")


def as_table(figures: Iterable[Figure]) -> list[str]:
    """Return the figures as lines of a Markdown table with columns in line."""
    rows = [HEADINGS, *((f.what, f.measured, f.ceiling, f.ratio, f.target, f.verdict) for f in figures)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADINGS))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)) + " |" for r in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` % of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(-(-percent * len(ordered) // 100) - 1, 0)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def duration(seconds: float) -> str:
    """Write a duration with as many digits as mean something."""
    if seconds < 0.01:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def rate(rows: int, seconds: float) -> str:
    """Write a rate, rounded to three digits."""
    a_second = rows / seconds
    unit = 10 ** max(len(str(int(a_second))) - 3, 0)
    return f"{round(a_second / unit) * unit:,.0f} rows/s"


def times(factor: float) -> str:
    """Write how many times the ceiling a duration is."""
    return f"{factor:.2f} ×" if factor < 10 else f"{factor:,.0f} ×"


def share(part: float) -> str:
    """Write which part of the ceiling a rate is."""
    return f"{100 * part:.0f} %" if part >= 0.1 else f"{100 * part:.1f} %"
