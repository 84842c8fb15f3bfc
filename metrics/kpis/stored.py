"""Answers that were worked out beforehand, where they are as good as counting anew.

A stored figure is right unless its roll-up was marked stale, the clock made it another one, or
the log of changed facts holds a row that concerns it. Where the log is not empty, it is read
before the roll-ups: a row that is taken from it later has by then marked what it concerns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.db.models import Exists, Min
from django.utils import timezone

from accounts.models import FactChange
from csplatform.periods import Period
from metrics.kpis.counting import Filters, RateChange, sees_everything
from metrics.kpis.definition import DIMENSIONS, STEPS, Kpi
from metrics.kpis.figures import Figure, read
from metrics.kpis.reach import Reads, fingerprint
from metrics.models import KpiRollUp, KpiRollUpGroup

_Key = tuple[str, str, str, date, date]


class _Question(Protocol):
    """What is needed of a question (metrics.kpis.asking)."""

    @property
    def kpi(self) -> Kpi: ...
    @property
    def variant(self) -> str: ...
    @property
    def period(self) -> Period: ...
    @property
    def group_by(self) -> str: ...
    @property
    def known_at(self) -> datetime | None: ...
    @property
    def filters(self) -> Filters: ...
    @property
    def user(self) -> Any: ...
    @property
    def now(self) -> datetime: ...


@dataclass(frozen=True)
class Said:
    """What we said about a period first once it was over; `restated_at` is when we began to say otherwise."""

    figure: Figure
    at: datetime
    restated_at: datetime | None


@dataclass(frozen=True)
class Stored:
    """A stored answer. Without a figure there is nothing that counts in it."""

    figure: Figure | None
    unit: str
    currency: str
    computed_at: datetime
    data_as_of: datetime
    rate_changes: Sequence[RateChange] = ()
    groups: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What is kept about a question: the answer if it can be relied on, and what was said before."""

    stored: Stored | None = None
    said: Said | None = None


NOTHING = Found()


def look_up(questions: Sequence[_Question], max_age: timedelta | None = None) -> list[Found]:
    """Return what is kept about each question, with a few statements for all of them.

    `max_age` also takes figures that facts have overtaken for no longer than that.
    """
    wanted = [_key_of(question) for question in questions]
    keys = {key for key in wanted if key}
    if not keys:
        return [NOTHING] * len(questions)
    rollups = _rollups(keys)
    log: Sequence[_Change] = ()
    if any(row.has_changes for row in rollups.values()):
        log = _log()
        rollups = _rollups(keys)
    groups = _groups(questions, wanted, rollups)
    return [
        _found(question, rollups[key], groups.get(at, {}), log, max_age)
        if key and key in rollups
        else NOTHING
        for at, (question, key) in enumerate(zip(questions, wanted, strict=True))
    ]


def _key_of(question: _Question) -> _Key | None:
    """Return where the answer would be kept, or None for what is always counted."""
    if question.known_at is not None or not sees_everything(question.user):
        return None
    group_by = "" if question.group_by in STEPS else question.group_by
    chosen = _chosen(question)
    if chosen is None:
        return None
    if chosen:
        if group_by:
            return None
        group_by = chosen[0]
    variant = question.kpi.variant(question.variant)
    return question.kpi.slug, variant.slug, group_by, question.period.start, question.period.last_day


def _chosen(question: _Question) -> tuple[str, str] | tuple[()] | None:
    """Return the one group that is asked for, nothing when all is, None when it is anything else."""
    filters = question.filters
    if filters.account is not None:
        return None
    found = [*filters.by_dimension().items(), *filters.own]
    if not found:
        return ()
    # "In no group" has other rows when it is asked for: anonymous ones then stay out.
    return found[0] if len(found) == 1 and found[0][1] else None


def _rollups(keys: set[_Key]) -> dict[_Key, Any]:
    """Return the roll-ups there are, each with `has_changes`: whether the log held anything just then."""
    kpis, variants, groupings, firsts, lasts = (set(names) for names in zip(*keys, strict=True))
    rows = KpiRollUp.objects.filter(
        kpi__in=kpis, variant__in=variants, group_by__in=groupings, starts_on__in=firsts, ends_on__in=lasts
    ).annotate(has_changes=Exists(FactChange.objects.all()))
    found = {(row.kpi, row.variant, row.group_by, row.starts_on, row.ends_on): row for row in rows}
    return {key: row for key, row in found.items() if key in keys}


def _groups(
    questions: Sequence[_Question], wanted: Sequence[_Key | None], rollups: Mapping[_Key, KpiRollUp]
) -> dict[int, dict[str, str]]:
    """Return {number of the question: {group: figure as text}} for those that need groups."""
    grouped = {at: rollups[key] for at, key in enumerate(wanted) if key and key in rollups and key[2]}
    if not grouped:
        return {}
    ids = {row.pk for row in grouped.values()}
    rows = KpiRollUpGroup.objects.filter(rollup__in=ids)
    chosen = {at: _chosen(questions[at]) for at in grouped}
    if all(chosen.values()):
        rows = rows.filter(key__in={group[1] for group in chosen.values() if group})
    of_rollup: dict[int, dict[str, str]] = {}
    for pk, key, figure in rows.order_by().values_list("rollup_id", "key", "figure"):
        of_rollup.setdefault(pk, {})[key] = figure
    # Stored anew since we read their total: then total and groups may not fit.
    stored = dict(KpiRollUp.objects.filter(pk__in=ids).values_list("pk", "stored"))
    for row in grouped.values():
        if stored.get(row.pk) != row.stored:
            row.stored = 0
    return {at: of_rollup.get(row.pk, {}) for at, row in grouped.items()}


class _Change(NamedTuple):
    """Changes that no roll-up knows of yet."""

    source: str
    first_on: date
    last_on: date
    since: datetime


def _log() -> list[_Change]:
    rows = FactChange.objects.order_by().values_list("source", "first_on", "last_on")
    return [_Change(*row) for row in rows.annotate(since=Min("logged_at"))]


def rate_changes_as_text(changes: Sequence[RateChange]) -> str:
    return json.dumps([astuple(change) for change in changes], default=str) if changes else ""


def rate_changes_from_text(text: str) -> list[RateChange]:
    return [
        RateChange(
            currency,
            date.fromisoformat(starts_on),
            None if before is None else Decimal(before),
            Decimal(after),
            datetime.fromisoformat(recorded_at),
        )
        for currency, starts_on, before, after, recorded_at in (json.loads(text) if text else ())
    ]


def reads_as_text(reads: Sequence[Reads]) -> str:
    return json.dumps([[each.tables, each.since and each.since.isoformat()] for each in reads])


def reads_from_text(text: str) -> list[Reads]:
    return [
        Reads(tuple(tables), date.fromisoformat(since) if since else None)
        for tables, since in json.loads(text)
    ]


def _overtaken_since(rollup: KpiRollUp, log: Sequence[_Change], now: datetime) -> datetime | None:
    """Return since when a stored figure may be another one than counting gives; None while it is not."""
    reads = reads_from_text(rollup.reads) if log else []
    end = rollup.ends_on + timedelta(days=1)
    since = [
        change.since
        for change in log
        if any(
            each.concerns(source=change.source, first_on=change.first_on, last_on=change.last_on, end=end)
            for each in reads
        )
    ]
    if rollup.stored < rollup.generation:
        since.append(rollup.stale_since or rollup.computed_at or now)
    if rollup.steady_until is not None and rollup.steady_until <= now:
        since.append(rollup.steady_until)
    return min(since, default=None)


def _found(
    question: _Question,
    rollup: KpiRollUp,
    groups: Mapping[str, str],
    log: Sequence[_Change],
    max_age: timedelta | None,
) -> Found:
    said = None
    if rollup.said and rollup.said_at and not question.filters.are_set:
        said = Said(read(rollup.said), rollup.said_at, rollup.restated_at)
    if not rollup.stored or rollup.fingerprint != fingerprint(question.kpi):
        return Found(said=said)
    assert rollup.computed_at is not None
    # Whatever follows the clock is only known from the moment on at which it was counted.
    if rollup.steady_until is not None and question.now < rollup.computed_at:
        return Found(said=said)
    since = _overtaken_since(rollup, log, question.now)
    if since is not None and (max_age is None or timezone.now() - since > max_age):
        return Found(said=said)
    chosen = _chosen(question)
    if chosen and not _is_same_alone(rollup, groups, chosen):
        return Found(said=said)
    text = groups.get(chosen[1], "") if chosen else rollup.figure
    return Found(
        stored=Stored(
            figure=read(text) if text else None,
            unit=rollup.unit,
            currency=rollup.currency,
            computed_at=rollup.computed_at,
            data_as_of=since or question.now,
            rate_changes=rate_changes_from_text(rollup.rate_changes),
            groups={} if chosen else {key: read(text) for key, text in groups.items()},
        ),
        said=said,
    )


def _is_same_alone(rollup: KpiRollUp, groups: Mapping[str, str], chosen: tuple[str, str]) -> bool:
    """Return whether a group of many has the figure that asking for it alone gives."""
    dimension, key = chosen
    if rollup.rate_changes:
        return False  # perhaps of currencies that others pay in
    if key not in groups:
        # By one of its own groupings, the parts without it count in full also where nothing else does.
        return dimension in DIMENSIONS
    # Alone, money that has no exchange rate may be the only one there is, and then needs none.
    has_rates = rollup.currency == settings.REPORTING_CURRENCY
    return has_rates and read(groups[key]).reason != "no_exchange_rate"
