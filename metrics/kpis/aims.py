"""Which target and which benchmark a figure is held against, and how it stands to them.

A row for a group beats the KPI's own, and a row for a variant beats one for all variants. What is not
set for a group comes from the KPI as a whole, but only where one standard can hold for both: a rate may
be asked of everybody, a sum may not. A row for periods of a length holds for no other length, since a
churn of 2 % a month is another thing than 2 % a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from dateutil.relativedelta import relativedelta

from csplatform.periods import Period
from metrics.kpis.counting import Filters, sees_everything
from metrics.kpis.definition import STEPS, Kpi, Variant
from metrics.models import Target
from team.models import User

Benchmark = tuple[Decimal, Decimal]


@dataclass(frozen=True)
class Aim:
    """What one figure is held against."""

    target: Decimal | None = None
    benchmark: Benchmark | None = None
    higher_is_better: bool | None = None
    # Targets that hold for periods of another length, as (months, value): to be told, not compared with.
    of_other_lengths: tuple[tuple[int, Decimal], ...] = ()

    def is_met(self, value: Decimal | None) -> bool | None:
        """Return whether the target is met; None without a value, a target or a direction."""
        if value is None or self.target is None or self.higher_is_better is None:
            return None
        return value >= self.target if self.higher_is_better else value <= self.target

    def is_in_band(self, value: Decimal | None) -> bool | None:
        """Return whether the value keeps to the benchmark; the good side of it has no end."""
        if value is None or self.benchmark is None:
            return None
        low, high = self.benchmark
        is_high_enough = value >= low or self.higher_is_better is False
        is_low_enough = value <= high or self.higher_is_better is True
        return is_high_enough and is_low_enough


NO_AIM = Aim()


class _Question(Protocol):
    """What is needed of a question (metrics.kpis.asking)."""

    @property
    def kpi(self) -> Kpi: ...
    @property
    def period(self) -> Period: ...
    @property
    def filters(self) -> Filters: ...
    @property
    def user(self) -> Any: ...


_Selection = tuple[str, str]
_WHOLE: _Selection = ("", "")


class Aims:
    """All that was set, read once."""

    def __init__(self, rows: Iterable[Target] | None = None) -> None:
        """`rows` instead of what is stored: for a preview of what is not saved yet."""
        self._rows = {
            (row.kpi, row.variant, row.group_by, row.group): row
            for row in (Target.objects.all() if rows is None else rows)
        }

    def of(self, question: _Question, variant: Variant, *, group_by: str = "", group: str = "") -> Aim:
        """Return the aim of the answer as a whole, or of one of its groups."""
        kpi = question.kpi
        selections = _selections(question, group_by, group)
        every = [row for each in selections for row in self._of_selection(kpi, variant, each)]
        rows = [row for row in every if kpi.kind == "level" or _fits(row, question.period)]
        own = kpi.benchmark if _WHOLE in selections and _shares_unit(kpi, variant) else None
        return Aim(
            target=next((row.value for row in rows if row.value is not None), None),
            benchmark=next((row.benchmark for row in rows if row.benchmark is not None), own),
            higher_is_better=kpi.higher_is_better,
            of_other_lengths=tuple(
                (row.months, row.value)
                for row in every
                if row not in rows and row.months is not None and row.value is not None
            ),
        )

    def stated(self, kpi: Kpi) -> Target | None:
        """Return the row about the whole of a KPI by its default variant, for whatever length it holds."""
        rows = self._of_selection(kpi, kpi.default, _WHOLE)
        return next(rows, None)

    def _of_selection(self, kpi: Kpi, variant: Variant, selection: _Selection) -> Iterator[Target]:
        slugs = {variant.slug: None, **({"": None} if _shares_unit(kpi, variant) else {})}
        for slug in slugs:
            if row := self._rows.get((kpi.slug, slug, *selection)):
                yield row


def _shares_unit(kpi: Kpi, variant: Variant) -> bool:
    return kpi.unit_of(variant) == kpi.unit_of(kpi.default)


def _fits(row: Target, period: Period) -> bool:
    if row.months is None:
        return True
    return period.start.day == 1 and period.end == period.start + relativedelta(months=row.months)


def _selections(question: _Question, group_by: str, group: str) -> list[_Selection]:
    """Return whose targets hold for what was selected, the narrowest first."""
    filters, user = question.filters, question.user
    dimensions = filters.by_dimension() | dict(filters.own)
    if group_by and group_by not in STEPS:
        dimensions[group_by] = group
    is_cut = filters.account is not None
    if not sees_everything(user) and "csm" not in dimensions:
        if getattr(user, "role", "") == User.Role.CSM:
            dimensions["csm"] = str(user.pk)
        else:
            is_cut = True
    if question.kpi.kind != "rate":
        # Part of a sum has no share of the target for the whole.
        if is_cut or len(dimensions) > 1:
            return []
        return list(dimensions.items()) or [_WHOLE]
    narrow = [(group_by, group)] if group_by in dimensions else []
    if not narrow and len(dimensions) == 1 and not is_cut:
        narrow = list(dimensions.items())
    return [*narrow, _WHOLE]
