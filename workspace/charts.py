"""What a chart shows, said once: drawing, table of figures and sentence come from the same object.

The browser draws it (static/js/charts.js); the page carries the same numbers as a table, which is what
a reader without sight, script or colour gets. Heat maps are tables in the first place and need no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Number = int | float | Decimal
Kind = Literal["line", "stacked", "bars", "waterfall", "histogram"]
Tone = Literal["accent", "violet", "teal", "green", "yellow", "red", "grey"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One row of figures. `links` open each point's explanation; `low` and `high` draw its interval."""

    name: str
    values: Sequence[Number | None]
    tone: Tone | None = None
    links: Sequence[str | None] = ()
    low: Sequence[Number | None] = ()
    high: Sequence[Number | None] = ()


@dataclass(frozen=True)
class Mark:
    """Something that happened at one category: an upright line with a few words.

    `text` is the whole of it, listed under the chart; without it the few words stand alone.
    """

    category: str
    label: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of any kind.

    `unit` is one that the filter `as_unit` knows. `summary` is the sentence a reader gets instead of the
    picture: write what it shows, with the figures that matter. `target` draws a line, `benchmark` a band,
    `marks` upright lines (on line and stacked charts).
    For `waterfall` the one series holds the changes; `totals` names the categories that are levels instead
    (the opening and closing figure).
    """

    kind: Kind
    key: str
    summary: str
    categories: Sequence[str]
    series: Sequence[Series]
    unit: str = "count"
    target: Number | None = None
    target_label: str = ""
    benchmark: tuple[Number, Number] | None = None
    benchmark_label: str = ""
    totals: Sequence[str] = ()
    size: Literal["small", "medium", "large"] = "medium"
    category_label: str = ""
    from_zero: bool = field(default=False)
    marks: Sequence[Mark] = ()

    def __post_init__(self) -> None:
        for series in self.series:
            for part in (series.values, series.links, series.low, series.high):
                if part and len(part) != len(self.categories):
                    raise ValueError(
                        f"Chart {self.key!r}: {series.name!r} has {len(part)} values "
                        f"for {len(self.categories)} categories."
                    )

    @property
    def explained_marks(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.text]

    @property
    def is_empty(self) -> bool:
        return all(value is None for series in self.series for value in series.values)

    def for_browser(self) -> dict[str, Any]:
        """Return what charts.js draws; numbers are floats here, the exact ones are in the table."""
        return {
            "kind": self.kind,
            "unit": self.unit,
            "categories": list(self.categories),
            "series": [
                {
                    "name": series.name,
                    "values": _floats(series.values),
                    "tone": series.tone,
                    "links": list(series.links),
                    "low": _floats(series.low),
                    "high": _floats(series.high),
                }
                for series in self.series
            ],
            "target": None
            if self.target is None
            else {"value": float(self.target), "label": self.target_label},
            "benchmark": None
            if self.benchmark is None
            else {"range": _floats(self.benchmark), "label": self.benchmark_label},
            "totals": list(self.totals),
            "fromZero": self.from_zero,
            "marks": [{"category": mark.category, "label": mark.label} for mark in self.marks],
            "summary": self.summary,
        }

    def rows(self) -> list[tuple[str, list[tuple[Number | None, str | None]]]]:
        """Return the table behind the chart: per category, each series' value and its link."""
        return [
            (
                category,
                [
                    (series.values[place], series.links[place] if series.links else None)
                    for series in self.series
                ],
            )
            for place, category in enumerate(self.categories)
        ]


def _floats(values: Sequence[Number | None]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One cell of a heat map: its value, where it leads, and how many stand behind it."""

    value: Number | None
    href: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """A matrix coloured by value, such as retention by cohort. Rows may be shorter than the head."""

    caption: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]
    unit: str = "percent"
    low: Number = 0
    high: Number = 100

    STEPS = 10

    def step(self, value: Number | None) -> int | None:
        """Return the colour step of a value, 0 to 10; what lies outside the scale gets its end."""
        if value is None:
            return None
        span = float(self.high) - float(self.low)
        share = (float(value) - float(self.low)) / span if span else 1.0
        return round(min(max(share, 0.0), 1.0) * self.STEPS)

    def body(self) -> list[tuple[str, list[tuple[HeatCell, int | None]]]]:
        """Return the rows with each cell's colour step."""
        return [(label, [(cell, self.step(cell.value)) for cell in cells]) for label, cells in self.rows]
