"""KPI values kept as they were said: for pages that must be quick, and for facts without a second clock.

Each night stores yesterday and the month up to it, in total and by segment, plan and CSM.
Everything comes from `metrics.kpis`; nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from dateutil.relativedelta import relativedelta
from django.db import transaction
from django.db.models import Q
from django.dispatch import Signal

from csplatform.periods import Period, day_of
from metrics.kpis import KPIS, Answer, Figure, Kpi, Question, ask_many
from metrics.models import KpiSnapshot

# Sent when a night's values are stored and committed; whatever judges them listens. Payload: `now`, the
# moment whose yesterday they reach up to.
kpis_stored = Signal()

GROUPINGS = ("", "segment", "plan", "csm")
MONTHS_KEPT_FILLED = 13
STORED = Decimal("1E-10")
BATCH = 1_000

_FIGURES = ("version", "value", "numerator", "denominator", "sample_size", "reason", "unit")
_Key = tuple[str, str, str, str, date, date]


def refresh_last_night(now: datetime) -> int:
    """Store yesterday and the month up to it, and earlier months that were never stored.

    Return how many rows changed. Run again it changes none.
    """
    yesterday = day_of(now) - timedelta(days=1)
    month = yesterday.replace(day=1)
    changed = refresh(
        [Period.last_days(1, until=yesterday), Period(month, yesterday + timedelta(days=1))], now
    )
    for period in _months_never_stored(month):
        changed += refresh([period], now)
    return changed


def _last_months(before: date) -> list[Period]:
    return [
        Period.month_of(before - relativedelta(months=back)) for back in range(MONTHS_KEPT_FILLED - 1, 0, -1)
    ]


def _months_never_stored(before: date) -> list[Period]:
    months = _last_months(before)
    stored = KpiSnapshot.objects.filter(group_by="", starts_on__gte=months[0].start)
    known = set(stored.values_list("starts_on", "ends_on").distinct())
    return [period for period in months if (period.start, period.last_day) not in known]


def refresh_kpi(kpi: Kpi, now: datetime) -> int:
    """Store one KPI for all that the nights have stored of the others: a new one has a past at once."""
    yesterday = day_of(now) - timedelta(days=1)
    month = yesterday.replace(day=1)
    periods = [Period.last_days(1, until=yesterday), Period(month, yesterday + timedelta(days=1))]
    return refresh([*periods, *_last_months(month)], now, kpis=[kpi])


def refresh(periods: Iterable[Period], now: datetime, *, kpis: Collection[Kpi] | None = None) -> int:
    """Work KPIs, all by default, out for these periods and store what differs, one transaction a period.

    Until it commits, readers see the whole of what was stored before. What was stored of a KPI
    that is no longer there, such as a retired one, stays.
    """
    wanted = KPIS.values() if kpis is None else kpis
    return sum(_refresh_period(period, now, wanted) for period in periods)


def _refresh_period(period: Period, now: datetime, kpis: Collection[Kpi]) -> int:
    wanted = {_key(row): row for row in _rows(period, now, kpis)}
    with transaction.atomic():
        stored = KpiSnapshot.objects.select_for_update().filter(
            starts_on=period.start, ends_on=period.last_day, kpi__in=[kpi.slug for kpi in kpis]
        )
        known = {_key(row): row for row in stored}
        gone = [row.pk for key, row in known.items() if key not in wanted]
        new = [row for key, row in wanted.items() if key not in known]
        changed = []
        for key, row in known.items():
            if key in wanted and _figures(row) != _figures(wanted[key]):
                wanted[key].pk = row.pk
                changed.append(wanted[key])
        for at in range(0, len(gone), BATCH):
            KpiSnapshot.objects.filter(Q(pk__in=gone[at : at + BATCH])).delete()
        KpiSnapshot.objects.bulk_update(changed, [*_FIGURES, "computed_at"], batch_size=200)
        KpiSnapshot.objects.bulk_create(new, batch_size=BATCH)
    return len(gone) + len(new) + len(changed)


def _rows(period: Period, now: datetime, kpis: Iterable[Kpi]) -> Iterator[KpiSnapshot]:
    for kpi in kpis:
        questions = [
            Question(kpi.slug, period, variant=variant.slug, group_by=group_by, now=now, definition=kpi)
            for variant in kpi.variants
            for group_by in GROUPINGS
            if not group_by or group_by in kpi.groups
        ]
        for answer in ask_many(questions):
            if not answer.question.group_by:
                yield _row(answer, answer.figure, "")
            for group in answer.groups:
                yield _row(answer, group.figure, group.key)


def _row(answer: Answer, figure: Figure, group: str) -> KpiSnapshot:
    period = answer.question.period
    return KpiSnapshot(
        kpi=answer.kpi.slug,
        variant=answer.variant.slug,
        version=answer.kpi.version,
        starts_on=period.start,
        ends_on=period.last_day,
        group_by=answer.question.group_by,
        group=group,
        value=_as_stored(figure.value),
        numerator=_as_stored(figure.numerator),
        denominator=_as_stored(figure.denominator),
        sample_size=figure.sample_size,
        reason=figure.reason,
        unit=answer.unit,
        computed_at=answer.computed_at,
    )


def _as_stored(number: Decimal | None) -> Decimal | None:
    return None if number is None else number.quantize(STORED, ROUND_HALF_UP)


def _key(row: KpiSnapshot) -> _Key:
    return row.kpi, row.variant, row.group_by, row.group, row.starts_on, row.ends_on


def _figures(row: KpiSnapshot) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in _FIGURES)
