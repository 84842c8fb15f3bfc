"""From opening to closing MRR, step by step; each step leads to what it consists of."""

from __future__ import annotations

from collections.abc import Callable

from metrics.kpis import Answer
from workspace.charts import Chart, Series
from workspace.dashboards.selection import in_words
from workspace.templatetags.show import as_unit

# Each step: its words, the count of the KPI `mrr` it shows, and its sign.
_STEPS = [
    ("Opening", "opening", 1),
    ("New", "new", 1),
    ("Expansion", "expansion", 1),
    ("Reactivation", "reactivation", 1),
    ("Contraction", "contraction", -1),
    ("Churned", "churned", -1),
    ("Handed over", "transferred", 1),
    ("Exchange rates", "fx", 1),
    ("Closing", "mrr", 1),
]
_LEVELS = ("Opening", "Closing")
# What is worked out from the other steps has no rows of its own.
_DERIVED = {"transferred", "fx"}


def waterfall(answer: Answer, link: Callable[[str], str], *, key: str = "waterfall") -> Chart | None:
    """Draw an answer of the KPI `mrr`; `link` gives the address of the rows behind a count."""
    counts = answer.figure.counts
    if not counts:
        return None
    shown = [step for step in _STEPS if counts[step[1]] or step[0] in _LEVELS]
    return Chart(
        kind="waterfall",
        key=key,
        summary=(
            f"From {as_unit(counts['opening'], answer.unit)} at the start "
            f"to {as_unit(counts['mrr'], answer.unit)} at the end of {in_words(answer.question.period)}."
        ),
        categories=[words for words, _, _ in shown],
        series=[
            Series(
                name="MRR",
                values=[sign * counts[count] for _, count, sign in shown],
                links=[link("" if count in _DERIVED else count) for _, count, _ in shown],
            )
        ],
        unit=answer.unit,
        totals=_LEVELS,
        category_label="Movement",
    )
