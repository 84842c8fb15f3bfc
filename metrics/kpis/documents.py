"""The page of definitions, printed from the code so that the two cannot differ.

KPIs that an installation defined itself are explained on their own pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from metrics.kpis.catalogue import KPIS
from metrics.kpis.definition import DIMENSIONS, Kpi, Variant

INTRODUCTION = """\
# What each number means

This page is printed by `python manage.py kpi_docs` from the definitions in `metrics/kpis/`; a test fails
when it is stale. The same words stand on the page of each KPI and in the API.

Rules that hold for all of them:

- A **period** holds its first day and not its end, in the workspace's time zone. Without dates it is the
  month so far, or as many months as a definition says.
- A **rate** always comes with its counts. A group's or a quarter's rate is the counts added up and divided
  once, never an average of rates.
- What is **undefined** is null with a reason. It is never 0.
- **Money** is exact, and rounded only when shown. It is stated in the reporting currency; where all of it
  is in one other currency without an exchange rate, in that currency. A missing rate gives no value, never
  a wrong sum. Balances are exchanged at the rate of the last day before their boundary, movements at that of
  the first of their month; what rates alone did stands in a line `fx`.
- **Two clocks**: `known_at` asks what we would have said then. A figure that later facts corrected is marked
  *restated*. Usage keeps no second clock: there the answer is the value stored at the time.
- **Groups**: {dimensions}, and day, week, month, quarter, year.
  A CSM is credited with what happened while
  the account was theirs; segment, plan and stage are those at the end of the period.
- **Small samples**, under 10 by default (`SMALL_SAMPLE`), are marked. Intervals hold 95 %.
- **Every number opens**: the rows behind a count add up to exactly that count.
"""

DIRECTIONS = {True: "higher is better", False: "lower is better", None: "neither way is better"}
UNITS = {
    "money": "money",
    "percent": "per cent",
    "points": "points",
    "count": "a count",
    "ratio": "a ratio",
    "hours": "hours",
    "days": "days",
    "months": "months",
}


def page() -> str:
    """Return docs/metrics.md."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    yield INTRODUCTION.format(dimensions=", ".join(f"`{name}`" for name in DIMENSIONS))
    for theme, kpis in groupby(KPIS.built_in.values(), key=lambda kpi: kpi.theme):
        yield f"## {theme}\n"
        for kpi in kpis:
            yield from _kpi(kpi)


def _kpi(kpi: Kpi) -> Iterator[str]:
    yield f"### {kpi.label}: `{kpi.slug}`\n"
    yield f"{kpi.definition}\n"
    unit = UNITS[kpi.unit]
    yield f"Unit: {unit}; {DIRECTIONS[kpi.higher_is_better]}. Version {kpi.version} of the definition.\n"
    if kpi.benchmark:
        low, high = kpi.benchmark
        yield f"Benchmark: {low} to {high}.\n"
    if own := [name for name in kpi.group_words if name not in kpi.shared_groups]:
        yield "Can also be grouped by " + ", ".join(f"`{name}`" for name in own) + ".\n"
    if not kpi.is_additive:
        yield "Groups need not add up to the total.\n"
    yield "| variant | formula | source | numerator ÷ denominator | counts beside it |"
    yield "|---|---|---|---|---|"
    for number, variant in enumerate(kpi.variants):
        yield _row(variant, is_default=number == 0)
    yield ""


def _row(variant: Variant, *, is_default: bool) -> str:
    named = f"`{variant.slug}`{' (default)' if is_default else ''}" if variant.slug else "–"
    parts = f"`{variant.numerator}`" + (f" ÷ `{variant.denominator}`" if variant.denominator else "")
    others = [name for name in variant.count_names if name not in (variant.numerator, variant.denominator)]
    beside = ", ".join(f"`{name}`" for name in others) or "–"
    return f"| {named} | {variant.formula_text} | {variant.source_text} | {parts} | {beside} |"
