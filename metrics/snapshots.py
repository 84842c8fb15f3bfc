"""What we said: figures kept as they were when a period was over, and each time they became others.

Roll-ups (metrics.rollups) hold what is true now and are replaced. Here rows are only added, so
that we can say what changed since, and answer `known_at` for facts without a second clock. For
those, single days and the running month are kept each night as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.db import transaction
from django.db.models import F
from django.dispatch import Signal
from django.utils import timezone

from accounts.bulk import update_rows
from csplatform.periods import Period, day_of
from metrics.kpis import KPIS, Answer, Figure, Question
from metrics.kpis.asking import count_many
from metrics.kpis.figures import read, written
from metrics.models import KpiRollUp, KpiSnapshot

# Sent when a night's values are stored and committed; whatever judges them listens. Payload: `now`, the
# moment whose yesterday they reach up to.
kpis_stored = Signal()

STORED = Decimal("1E-10")
BATCH = 500
# Every night for every CSM would be more rows than all facts together.
NIGHTLY_GROUPINGS = ("", "segment", "plan", "lifecycle_stage")

_SAID = ("said", "said_at", "said_last", "restated_at")


def say_all(now: datetime) -> int:
    """Write down what we say from now on about periods that are over; return how many figures.

    Safe to run twice: what was said already is not said again.
    """
    return _say_what_is_over(now) + _say_last_night(now)


def _say_what_is_over(now: datetime) -> int:
    """Say the figures of periods that ended and were never said, if they are right just now."""
    said = 0
    unsaid = KpiRollUp.objects.filter(said="", ends_on__lt=day_of(now), stored=F("generation"))
    for kpi in KPIS.values():
        rows = unsaid.filter(kpi=kpi.slug)
        if kpi.has_known_at:  # the groups of that time can be counted at any time
            rows = rows.filter(group_by="")
        while batch := list(rows.order_by("pk")[:BATCH]):
            with transaction.atomic():
                locked = KpiRollUp.objects.select_for_update().filter(pk__in=[row.pk for row in batch])
                kept = [row for row in locked.order_by("pk") if row.stored and not row.said]
                for row in kept:
                    row.said = row.said_last = row.figure
                    row.said_at = now
                KpiSnapshot.objects.bulk_create([_of_rollup(row, now) for row in kept])
                update_rows(kept, _SAID)
            said += len(kept)
    return said


def _of_rollup(row: KpiRollUp, said_at: datetime) -> KpiSnapshot:
    groups = dict(row.groups.values_list("key", "figure")) if row.group_by else {}
    return _snapshot(
        row.kpi,
        row.variant,
        int(row.fingerprint.partition(":")[0]),
        row.period,
        row.group_by,
        read(row.figure),
        groups,
        unit=row.unit,
        said_at=said_at,
    )


def _snapshot(
    kpi: str,
    variant: str,
    version: int,
    period: Period,
    group_by: str,
    figure: Figure,
    groups: Mapping[str, str],
    *,
    unit: str,
    said_at: datetime,
) -> KpiSnapshot:
    return KpiSnapshot(
        kpi=kpi,
        variant=variant,
        version=version,
        starts_on=period.start,
        ends_on=period.last_day,
        group_by=group_by,
        value=_as_stored(figure.value),
        numerator=_as_stored(figure.numerator),
        denominator=_as_stored(figure.denominator),
        sample_size=figure.sample_size,
        reason=figure.reason,
        unit=unit,
        figure=written(figure),
        groups=json.dumps(groups, sort_keys=True) if group_by else "",
        computed_at=said_at,
    )


def _as_stored(number: Decimal | None) -> Decimal | None:
    return None if number is None else number.quantize(STORED, ROUND_HALF_UP)


def note_restated(row: KpiRollUp, answer: Answer, *, groups_changed: bool) -> KpiSnapshot | None:
    """Note on a roll-up that it now says something else than was said; return the row to be added.

    Called before the roll-up is stored, in the same transaction.
    """
    if not row.said:
        return None
    is_other = answer.figure.says != read(row.said_last).says
    if not is_other and not (groups_changed and row.group_by):
        return None
    now = timezone.now()
    row.said_last = written(answer.figure)
    row.restated_at = now if answer.figure.says != read(row.said).says else None
    return _of_answer(answer, now)


def _of_answer(answer: Answer, said_at: datetime) -> KpiSnapshot:
    return _snapshot(
        answer.kpi.slug,
        answer.variant.slug,
        answer.kpi.version,
        answer.question.period,
        answer.question.group_by,
        answer.figure,
        {group.key: written(group.figure) for group in answer.groups},
        unit=answer.unit,
        said_at=said_at,
    )


def _say_last_night(now: datetime) -> int:
    """Say yesterday and the month up to it, of KPIs whose facts keep no second clock."""
    yesterday = day_of(now) - timedelta(days=1)
    periods = {
        Period.last_days(1, until=yesterday): None,
        Period(yesterday.replace(day=1), yesterday + timedelta(days=1)): None,
    }
    questions = [
        Question(kpi.slug, period, variant=variant.slug, group_by=group_by, now=now)
        for kpi in KPIS.values()
        if not kpi.has_known_at
        for variant in kpi.variants
        for period in periods
        for group_by in NIGHTLY_GROUPINGS
        if not group_by or group_by in kpi.groups
    ]
    said = 0
    for batch in _batches(questions):
        rows = [_of_answer(answer, now) for answer in count_many(batch)]
        known = _latest(rows)
        new = [row for row in rows if known.get(_key(row)) != (row.figure, row.groups)]
        KpiSnapshot.objects.bulk_create(new)
        said += len(new)
    return said


def _batches(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    for at in range(0, len(questions), 8):
        yield questions[at : at + 8]


def _key(row: KpiSnapshot) -> tuple[object, ...]:
    return row.kpi, row.variant, row.group_by, row.starts_on, row.ends_on


def _latest(rows: Iterable[KpiSnapshot]) -> dict[tuple[object, ...], tuple[str, str]]:
    """Return what was said last about the same."""
    wanted = {_key(row) for row in rows}
    found: dict[tuple[object, ...], tuple[str, str]] = {}
    said = KpiSnapshot.objects.filter(
        kpi__in={row.kpi for row in rows},
        starts_on__in={row.starts_on for row in rows},
        ends_on__in={row.ends_on for row in rows},
    )
    for row in said.order_by("computed_at", "pk"):
        if _key(row) in wanted and row.figure:
            found[_key(row)] = (row.figure, row.groups)
    return found
