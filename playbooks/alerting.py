"""Alerts: which figures crossed their targets, and who has taken notice.

A figure is compared with the last one before it that had a value, so a month without data hides no
crossing. Only figures whose days are over are judged, and every night again: what late facts change is
found then. The row is the decision, so running twice or beside itself raises nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import transaction

from csplatform.periods import Period, day_of
from metrics.kpis import Aim, Answer, Figure, Kpi, ask_many
from metrics.kpis.judging import Selection, days_up_to, months_up_to, names_of
from metrics.models import Target
from playbooks.models import Alert, AlertReceipt
from team.models import User

# How far back a figure is looked for when the one before has no value.
LOOKED_BACK = 3
STORED = Decimal("1E-10")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one figure stood over the last periods, oldest first."""

    kpi: Kpi
    variant: str
    group_by: str = ""
    group: str = ""
    periods: Sequence[Period]
    figures: Sequence[Figure | None]
    aim: Aim
    unit: str

    def crossing(self) -> Alert | None:
        """Return an alert, not stored yet, when the newest figure is the first on the wrong side."""
        *earlier, newest = [figure.value if figure else None for figure in self.figures]
        before = next((value for value in reversed(earlier) if value is not None), None)
        if newest is None or before is None:
            return None
        if self.aim.is_met(before) and self.aim.is_met(newest) is False:
            kind = Alert.Kind.TARGET
        elif self.aim.is_in_band(before) and self.aim.is_in_band(newest) is False:
            kind = Alert.Kind.BENCHMARK
        else:
            return None
        low, high = self.aim.benchmark or (None, None)
        figure = self.figures[-1]
        assert figure is not None
        return Alert(
            kind=kind,
            kpi=self.kpi.slug,
            label=self.kpi.label,
            variant=self.variant,
            group_by=self.group_by,
            group=self.group,
            starts_on=self.periods[-1].start,
            ends_on=self.periods[-1].last_day,
            unit=self.unit,
            higher_is_better=self.kpi.higher_is_better,
            value=newest.quantize(STORED, ROUND_HALF_UP),
            value_before=before.quantize(STORED, ROUND_HALF_UP),
            sample_size=figure.sample_size,
            is_small_sample=figure.is_small_sample,
            target=self.aim.target,
            benchmark_low=low,
            benchmark_high=high,
        )


def raise_alerts(now: datetime) -> list[Alert]:
    """Raise an alert for every figure that has crossed its target since; return the new ones."""
    found = [(standing.kpi, alert) for standing in standings(now) if (alert := standing.crossing())]
    names = names_of((kpi, alert.group_by, alert.group) for kpi, alert in found)
    raised = []
    for _, alert in found:
        alert.of = names.get((alert.kpi, alert.group_by, alert.group), "")
        alert.raised_at = now
        if _is_first(alert):
            raised.append(alert)
    return raised


_DECISION = ("kpi", "variant", "group_by", "group", "kind", "starts_on", "ends_on")


def _is_first(alert: Alert) -> bool:
    """Store an alert unless another worker, or an earlier night, was first."""
    fields = {field.name: getattr(alert, field.name) for field in Alert._meta.fields if not field.primary_key}
    decision = {name: fields.pop(name) for name in _DECISION}
    with transaction.atomic():
        stored, is_new = Alert.objects.get_or_create(**decision, defaults=fields)
        alert.pk = stored.pk
    return is_new


def standings(now: datetime) -> Iterator[Standing]:
    """Work out how all figures stood that have a target of their own, or are watched by one."""
    selections = [(row, selection) for row in Target.objects.all() if (selection := Selection.of(row))]
    periods = [_periods(selection, now) for _, selection in selections]
    asked: list[tuple[int, str]] = []
    questions = []
    for at, (row, selection) in enumerate(selections):
        for group_by in ("", row.watch_by) if row.watch_by else ("",):
            asked.append((at, group_by))
            questions += [selection.question(period, group_by=group_by, now=now) for period in periods[at]]
    answers = iter(ask_many(questions))
    for at, group_by in asked:
        _, selection = selections[at]
        course = [next(answers) for _ in periods[at]]
        if group_by:
            yield from _of_groups(course, periods[at])
        else:
            yield Standing(
                kpi=selection.kpi,
                variant=course[-1].variant.slug,
                group_by=selection.group_by,
                group=selection.group,
                periods=periods[at],
                figures=[answer.figure for answer in course],
                aim=course[-1].aim,
                unit=course[-1].unit,
            )


def _periods(selection: Selection, now: datetime) -> list[Period]:
    today = day_of(now)
    if selection.kpi.kind == "level":
        return days_up_to(today, steps=LOOKED_BACK + 1)
    return months_up_to(today, length=selection.months, steps=LOOKED_BACK + 1)


def _of_groups(course: Sequence[Answer], periods: Sequence[Period]) -> Iterator[Standing]:
    """Return how each group stood; a handful of answers says too little to call somebody for."""
    newest = course[-1]
    figures = [{group.key: group.figure for group in answer.groups} for answer in course]
    for group in newest.groups:
        if group.key and not group.figure.is_small_sample:
            yield Standing(
                kpi=newest.kpi,
                variant=newest.variant.slug,
                group_by=newest.question.group_by,
                group=group.key,
                periods=periods,
                figures=[each.get(group.key) for each in figures],
                aim=group.aim,
                unit=newest.unit,
            )


# --- Taking notice --------------------------------------------------------------------


def acknowledge(alerts: Any, *, by: User, at: datetime) -> int:
    """Note that `by` has seen these alerts; return how many were new to them."""
    new = alerts.unread_by(by)
    receipts = [
        AlertReceipt(alert_id=pk, user=by, acknowledged_at=at) for pk in new.values_list("pk", flat=True)
    ]
    AlertReceipt.objects.bulk_create(receipts, ignore_conflicts=True, batch_size=500)
    return len(receipts)


def forget(alert: Alert, *, by: User) -> None:
    """Make an alert new again for whoever acknowledged it by mistake."""
    alert.receipts.filter(user=by).delete()
