"""How figures stood to a target over time: what a preview shows and an alert is raised on.

A figure is judged once its days are over. Rates and flows are taken by whole months, as many as the
target says; a level is taken on its day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta

from accounts.models import Plan
from csplatform.periods import Period, floor_to
from metrics.kpis.asking import NOBODY, Question
from metrics.kpis.catalogue import KPIS
from metrics.kpis.counting import Filters, names_of_csms
from metrics.kpis.definition import DIMENSIONS, STEPS, Kpi
from metrics.models import Target


def groupings_of(kpi: Kpi) -> list[str]:
    """Return by what a KPI's targets can differ; days and months are no groups to aim for."""
    named = {grouping.slug for grouping in kpi.own_groups if grouping.takes_name}
    return [name for name in kpi.groups if name not in STEPS and name not in named]


GROUPING_LABELS = {"csm": "CSM", "segment": "Segment", "plan": "Plan", "lifecycle_stage": "Stage"}


def grouping_label(kpi: Kpi, slug: str) -> str:
    grouping = kpi.grouping(slug)
    return grouping.label if grouping else GROUPING_LABELS[slug]


def names_of(rows: Iterable[tuple[Kpi, str, str]]) -> dict[tuple[str, str, str], str]:
    """Return what groups are called, by (KPI, grouping, key): "Segment: Enterprise", "CSM: Ada"."""
    given = list(rows)
    csms = names_of_csms(key for _, group_by, key in given if group_by == "csm" and key.isdigit())
    codes = {key for _, group_by, key in given if group_by == "plan"}
    plans = dict(Plan.objects.filter(code__in=codes).values_list("code", "name")) if codes else {}
    found = {}
    for kpi, group_by, key in given:
        if not group_by:
            continue
        grouping = kpi.grouping(group_by)
        known = grouping.known_labels() if grouping else {"csm": csms, "plan": plans}.get(group_by, {})
        found[kpi.slug, group_by, key] = f"{grouping_label(kpi, group_by)}: {known.get(key, key) or NOBODY}"
    return found


@dataclass(frozen=True)
class Selection:
    """Of what a target speaks: a KPI by one variant, as a whole or of one group."""

    kpi: Kpi
    variant: str = ""
    group_by: str = ""
    group: str = ""
    months: int = 1

    @classmethod
    def of(cls, target: Target) -> Selection | None:
        """Return what a stored target speaks of; None when that KPI, variant or group is no more."""
        kpi = KPIS.get(target.kpi)
        if kpi is None or target.variant not in {"", *(variant.slug for variant in kpi.variants)}:
            return None
        if target.group_by and target.group_by not in groupings_of(kpi):
            return None
        if target.group_by == "csm" and not target.group.isdigit():
            return None
        return cls(kpi, target.variant, target.group_by, target.group, target.months or 1)

    @property
    def filters(self) -> Filters:
        if not self.group_by:
            return Filters()
        if self.group_by not in DIMENSIONS:
            return Filters(own=((self.group_by, self.group),))
        value: Any = int(self.group) if self.group_by == "csm" else self.group
        return Filters(**{self.group_by: value})

    def question(self, period: Period, *, group_by: str = "", user: Any = None, now: datetime) -> Question:
        return Question(
            self.kpi.slug,
            period,
            variant=self.variant,
            group_by=group_by,
            filters=self.filters,
            user=user,
            now=now,
        )


def months_up_to(today: date, *, length: int, steps: int) -> list[Period]:
    """Return the periods of `length` whole months that ended with each of the last `steps` months."""
    first_of_month = floor_to(today, "month")
    ends = [first_of_month - relativedelta(months=back) for back in reversed(range(steps))]
    return [Period(end - relativedelta(months=length), end) for end in ends]


def days_up_to(today: date, *, steps: int) -> list[Period]:
    """Return each of the last `steps` days that are over."""
    days = [today - timedelta(days=back) for back in range(steps, 0, -1)]
    return [Period(day, day + timedelta(days=1)) for day in days]
