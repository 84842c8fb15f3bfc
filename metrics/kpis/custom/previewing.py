"""What a KPI says before it is saved: the figure, the year up to it, its groups, and the first rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from dateutil.relativedelta import relativedelta

from csplatform.periods import EARLIEST, Period, day_of, floor_to
from metrics.kpis.asking import Answer, Rows, ask_many, rows
from metrics.kpis.definition import STEPS, Kpi
from metrics.kpis.reading import month_so_far, read_question

MONTHS = 12
ROWS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Preview:
    """An answer to a definition, and what leads to it. `before` is what another version says of the same."""

    answer: Answer
    series: Sequence[Answer]
    rows: Rows
    shown: Sequence[Mapping[str, Any]]
    before: Answer | None = None


def preview(
    kpi: Kpi, given: Mapping[str, Any], *, user: Any, now: datetime, before: Kpi | None = None
) -> Preview:
    """Ask a definition for days and a group, or for its newest month by the first group that it has."""
    asked = {name: given.get(name) for name in ("start", "end", "group_by")}
    question = read_question(kpi.slug, asked, user=user, now=now, kpi=kpi)
    if not asked["start"] and not asked["end"]:
        question = replace(question, period=_newest(kpi, day_of(now)))
    if not question.group_by:
        question = replace(question, group_by=_first_group(kpi))
    period = question.period
    first = max(floor_to(period.last_day, "month") - relativedelta(months=MONTHS - 1), EARLIEST)
    months = [
        replace(question, period=month, group_by="") for month in Period(first, period.end).steps("month")
    ]
    other = [replace(question, definition=before, group_by="")] if before else []
    answer, *answers = ask_many([question, *months, *other])
    found = rows(question)
    return Preview(
        answer=answer,
        series=answers[: len(months)],
        rows=found,
        shown=found[:ROWS_SHOWN],
        before=answers[-1] if other else None,
    )


def _newest(kpi: Kpi, today: date) -> Period:
    """A level is said of today; what adds up over days is said of a whole month."""
    return month_so_far(today) if kpi.kind == "level" else Period.month_of(today).previous()


def _first_group(kpi: Kpi) -> str:
    groups = [name for name in kpi.groups if name not in STEPS]
    return "segment" if "segment" in groups else groups[0] if groups else ""
