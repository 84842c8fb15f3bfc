"""The table of cohorts as pages and files show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode

from metrics.calculations import exact_text
from metrics.kpis.cohorts import COHORT_RETENTION, Cell, Cohort, Matrix
from workspace.charts import HeatCell, HeatMap
from workspace.templatetags.show import as_unit


def heat_map(table: Matrix, *, known_at: str = "", filters: Mapping[str, str] | None = None) -> HeatMap:
    """Return the table, coloured; each cell leads to its rows, among the accounts that `filters` leave."""
    more = {"known_at": known_at, **(filters or {})}
    cohorts = [cohort for cohort in table.cohorts if cohort.joined]
    values = [cell.value for cohort in cohorts for cell in cohort.cells if cell.value is not None]
    # From the tens below the lowest value: nine of ten kept and all of them must not look alike.
    lowest = min(values, default=Decimal(0)) // 10 * 10
    return HeatMap(
        caption=f"{COHORT_RETENTION.label}, {table.variant.label.lower()}: per cent by month of joining "
        "and months since",
        corner="Joined",
        columns=[str(months) for months in range(max((len(each.cells) for each in cohorts), default=0))],
        rows=[
            (
                f"{cohort.month:%b %Y} ({cohort.joined})",
                [_cell(table, cohort, cell, more) for cell in cohort.cells],
            )
            for cohort in cohorts
        ],
        low=max(Decimal(0), min(lowest, Decimal(90))),
        high=max([Decimal(100), *values]) if table.variant.slug == "mrr" else Decimal(100),
    )


def _cell(table: Matrix, cohort: Cohort, cell: Cell, more: Mapping[str, str]) -> HeatCell:
    asked = {
        "start": cell.period.start.isoformat(),
        "last": cell.period.last_day.isoformat(),
        "variant": table.variant.slug,
        "cohort": cohort.key,
        **more,
    }
    address = reverse("workspace:kpi", args=[COHORT_RETENTION.slug])
    query = urlencode({name: value for name, value in asked.items() if value})
    return HeatCell(value=cell.value, href=f"{address}?{query}#rows", note=_note(table, cell))


def _note(table: Matrix, cell: Cell) -> str:
    if cell.value is None:
        return ""
    names = (table.variant.numerator, table.variant.denominator)
    part, whole = (as_unit(cell.counts[name], "count") for name in names)
    return f"{part} of {whole} by {cell.period.last_day:%-d %b %Y}"


def as_dict(table: Matrix) -> dict[str, Any]:
    """Return the table as the API sends it: exact numbers as text, `end` excluded."""
    variant = table.variant
    return {
        "kpi": COHORT_RETENTION.slug,
        "version": COHORT_RETENTION.version,
        "variant": variant.slug,
        "unit": COHORT_RETENTION.unit_of(variant),
        "period": {"start": table.period.start.isoformat(), "end": table.period.end.isoformat()},
        "cohorts": [
            {
                "cohort": cohort.key,
                "joined": cohort.joined,
                "cells": [
                    {
                        "month": number,
                        "end": cell.period.end.isoformat(),
                        "value": exact_text(cell.value),
                        "numerator": exact_text(cell.counts.get(variant.numerator)),
                        "denominator": exact_text(cell.counts.get(variant.denominator)),
                        "reason": cell.reason or None,
                    }
                    for number, cell in enumerate(cohort.cells)
                ],
            }
            for cohort in table.cohorts
        ],
    }


HEAD = ("cohort", "joined", "month", "end", "value", "numerator", "denominator", "reason")


def lines(found: dict[str, Any]) -> Iterator[list[Any]]:
    """Return what `as_dict` says as the lines of a file, one a cell."""
    for cohort in found["cohorts"]:
        for cell in cohort["cells"]:
            yield [cohort["cohort"], cohort["joined"], *(cell[name] for name in HEAD[2:])]
