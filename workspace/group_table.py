"""The groups of an answer as a table: each with its bar, how it moved, and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from csplatform.periods import Step
from metrics.kpis import STEPS, Answer, Group
from metrics.kpis.figures import Figure
from workspace.value_bars import ValueBar, value_bars

DEFAULT_ORDER = "-value"
IN_TIME = "name"


@dataclass(frozen=True, kw_only=True)
class GroupLine:
    group: Group
    href: str
    bar: ValueBar | None
    # How far its value moved since the earlier period, in the answer's unit.
    change: Decimal | None
    remark: str
    # The values of other KPIs for the same group: what they are called, the figure, its unit.
    beside: Sequence[tuple[str, Figure | None, str]]

    @property
    def value(self) -> Decimal | None:
        return self.group.figure.value

    @property
    def is_missed(self) -> bool:
        return self.group.aim.is_met(self.value) is False


def default_order(group_by: str) -> str:
    """Months stand in their order; everything else begins with the largest."""
    return IN_TIME if group_by in STEPS else DEFAULT_ORDER


def group_lines(
    request: HttpRequest,
    answer: Answer,
    *,
    earlier: Answer | None,
    beside: Sequence[Answer],
    order: str,
) -> list[GroupLine]:
    """Return the groups in the order asked for: by name, value or change, with a minus downwards."""
    groups = answer.groups
    before = _by_key(earlier) if earlier and earlier.unit == answer.unit else {}
    others = [(other.kpi.label, _by_key(other), other.unit) for other in beside]
    figures = [group.figure for group in groups]
    bars = value_bars([figure.value for figure in figures], [figure.interval for figure in figures])
    lines = [
        GroupLine(
            group=group,
            href=_address(request, answer, group),
            bar=bar,
            change=_change(group.figure, before.get(group.key)),
            remark=answer.variant.remark_on(group.figure.value),
            beside=[(label, found.get(group.key), unit) for label, found, unit in others],
        )
        for group, bar in zip(groups, bars, strict=True)
    ]
    return _in_order(lines, order, is_in_time=answer.question.group_by in STEPS)


def _by_key(answer: Answer) -> Mapping[str, Figure]:
    return {group.key: group.figure for group in answer.groups}


def _change(now: Figure, before: Figure | None) -> Decimal | None:
    if before is None or now.value is None or before.value is None or now.scale != before.scale:
        return None
    return now.value - before.value


def _in_order(lines: list[GroupLine], order: str, *, is_in_time: bool) -> list[GroupLine]:
    column, is_down = order.removeprefix("-"), order.startswith("-")
    if column == "name":

        def by_name(line: GroupLine) -> str:
            return line.group.key if is_in_time else line.group.label.casefold()

        return sorted(lines, key=by_name, reverse=is_down)
    if column not in ("value", "change"):
        return lines

    def by_amount(line: GroupLine) -> tuple[bool, Decimal]:
        # What has no value comes last, whichever way the others stand.
        amount: Decimal | None = getattr(line, column)
        return amount is None, (amount or Decimal(0)) * (-1 if is_down else 1)

    return sorted(lines, key=by_amount)


def _address(request: HttpRequest, answer: Answer, group: Group) -> str:
    """Return the way to a group's own page; those without one have none."""
    question = answer.question
    if not group.key:
        return ""
    query = request.GET.copy()
    for name in ("page", "group_by", "end", "sort"):
        query.pop(name, None)
    if question.group_by in STEPS:
        start = date.fromisoformat(group.key)
        step = next(each for each in question.period.steps(_step(question.group_by)) if each.start == start)
        query.pop("period", None)
        query["start"], query["last"] = step.start.isoformat(), step.last_day.isoformat()
    else:
        query[question.group_by] = group.key
    return f"?{query.urlencode()}"


def _step(name: str) -> Step:
    found: Any = name
    return found
