"""From opening to closing revenue, step by step; each step leads to what it consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from metrics.kpis import Answer
from workspace.charts import Chart, Series
from workspace.dashboards.selection import in_words
from workspace.templatetags.show import as_unit

# What leads from one level to the other: the count, its words, and its sign.
_STEPS = (
    ("new", "New", 1),
    ("expansion", "Expansion", 1),
    ("reactivation", "Reactivation", 1),
    ("contraction", "Contraction", -1),
    ("churned", "Churned", -1),
    ("transferred", "Handed over", 1),
    ("fx", "Exchange rates", 1),
)
# The KPIs that have one, with the counts it begins and ends with.
WATERFALLS: Mapping[str, tuple[str, str]] = {
    "mrr": ("opening", "mrr"),
    "nrr": ("mrr_at_start", "mrr_at_end"),
}


def waterfall(answer: Answer, link: Callable[[str], str | None], *, key: str) -> Chart | None:
    """Draw the movements of an answer; `link` gives the address of the rows behind a count."""
    counts = answer.figure.counts
    if answer.kpi.slug not in WATERFALLS or not counts:
        return None
    opening, closing = WATERFALLS[answer.kpi.slug]
    currency = answer.currency
    steps = [(opening, "Opening", counts[opening])]
    steps += [
        (name, words, sign * counts[name]) for name, words, sign in _STEPS if counts.get(name, Decimal(0))
    ]
    steps.append((closing, "Closing", counts[closing]))
    return Chart(
        kind="waterfall",
        key=key,
        summary=(
            f"From {as_unit(counts[opening], currency)} at the start "
            f"to {as_unit(counts[closing], currency)} at the end of {in_words(answer.question.period)}."
        ),
        categories=[words for _, words, _ in steps],
        series=[
            Series(
                name="MRR",
                values=[amount for _, _, amount in steps],
                links=[link(name) for name, _, _ in steps],
            )
        ],
        unit=currency,
        totals=("Opening", "Closing"),
        category_label="Movement",
    )
