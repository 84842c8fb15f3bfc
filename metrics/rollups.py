"""Keeps the stored answers right: which there are, which became stale, and working them out again.

Three steps, each safe to repeat, to run beside itself and to be killed in:

- `plan` adds the roll-ups of calendar periods that are looked at, and drops those that no longer are;
- `absorb` takes the log of changed facts and marks stale what they concern, in one transaction;
- `refresh` counts stale ones anew, a few at a time, the most urgent first.

A figure is stored for the generation that was read before counting began. Facts that change
meanwhile are in the log, so they raise the generation sooner or later, and until then the log
itself tells readers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from dateutil.relativedelta import relativedelta
from django.db import connection, transaction
from django.db.models import DateTimeField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from accounts import changes
from accounts.bulk import insert_rows, update_rows
from accounts.models import FactChange
from csplatform.periods import Period, day_of, floor_to
from metrics import snapshots
from metrics.kpis import DIMENSIONS, KPIS, Answer, Kpi, Question
from metrics.kpis.asking import count_many
from metrics.kpis.definition import Scope
from metrics.kpis.figures import written
from metrics.kpis.reach import FleetingError, Reads, fingerprint, reads_of, steady_until
from metrics.kpis.reading import default_period
from metrics.kpis.stored import rate_changes_as_text, reads_as_text, reads_from_text
from metrics.models import KpiRollUp, KpiRollUpGroup, KpiSnapshot
from team.stopping import is_told_to_stop

MONTHS_BACK = 36
YEAR = 12
# There are many CSMs, and nobody compares them further back, nor variants by groups.
MONTHS_BACK_BY_CSM = 12

# What is worked out first: the running month, what else is running, what is over.
TOTALS_NOW, GROUPS_NOW, TOTALS_BEFORE, GROUPS_BEFORE = range(4)
# How long one waits after it was worked out, however many facts come.
REST = {
    TOTALS_NOW: timedelta(seconds=30),
    GROUPS_NOW: timedelta(minutes=5),
    TOTALS_BEFORE: timedelta(minutes=1),
    GROUPS_BEFORE: timedelta(minutes=5),
}
FIRST_BATCH, LARGEST_BATCH = 8, 200
BATCH_SECONDS = 4.0
CHUNK = 2_000
LONGEST_PAUSE = timedelta(hours=6)
LOCK = 0x63737001  # our key among PostgreSQL's advisory locks

log = structlog.get_logger(__name__)

_Key = tuple[str, str, str, date, date]


# --- Which roll-ups there are -------------------------------------------------------------


@dataclass
class Shelf:
    """A period that is kept, and by what."""

    urgency: int
    is_for_all: bool = True  # also of KPIs that are not usually asked of twelve months
    dimensions: set[str] = field(default_factory=set)
    has_own_groups: bool = False
    # By groups only of the variant that is shown when nothing is said.
    is_default_grouped: bool = False


def shelves(today: date) -> dict[Period, Shelf]:
    """Return the periods that are kept on a day: months, quarters, years, twelve months to each
    month's end, and what has passed of the running ones."""
    found: dict[Period, Shelf] = {}

    def keep(
        period: Period, *, is_for_all: bool = True, by: Sequence[str] = (), is_old: bool = False
    ) -> None:
        shelf = found.setdefault(period, Shelf(TOTALS_BEFORE, is_for_all=False))
        if period.end > today:
            shelf.urgency = TOTALS_NOW
        shelf.is_for_all |= is_for_all
        shelf.dimensions |= set(by)
        shelf.has_own_groups |= bool(by)
        shelf.is_default_grouped = is_old

    month = floor_to(today, "month")
    for back in range(MONTHS_BACK + 1):
        first = month - relativedelta(months=back)
        is_old = back > MONTHS_BACK_BY_CSM
        dimensions = [name for name in DIMENSIONS if name != "csm" or not is_old]
        keep(Period.month_of(first), by=dimensions, is_old=is_old)
        keep(Period(first - relativedelta(months=11), first + relativedelta(months=1)), is_for_all=False)
    keep(Period(month - relativedelta(months=12), month))
    tomorrow = today + timedelta(days=1)
    keep(Period(month, tomorrow), by=DIMENSIONS)
    for step, months in (("quarter", 3), ("year", 12)):
        first = floor_to(today, step)  # type: ignore[arg-type]
        keep(Period(first, tomorrow))
        while first >= month - relativedelta(months=MONTHS_BACK):
            keep(Period(first, first + relativedelta(months=months)))
            first -= relativedelta(months=months)
    return found


def _kept_for(kpi: Kpi, kept: Mapping[Period, Shelf], today: date) -> dict[Period, Shelf]:
    """Return the periods that are kept of one KPI, with the one that it shows when nothing is said."""
    found = {p: shelf for p, shelf in kept.items() if shelf.is_for_all or kpi.default_months == YEAR}
    shown = default_period(kpi, today)
    shelf = kept.get(shown, Shelf(TOTALS_NOW))
    found[shown] = replace(shelf, dimensions=set(DIMENSIONS), is_default_grouped=False)
    return found


def _wanted(kpi: Kpi, kept: Mapping[Period, Shelf], today: date) -> Iterator[KpiRollUp]:
    """Yield the roll-ups of one KPI, without what they read."""
    mark = fingerprint(kpi)
    own = [grouping.slug for grouping in kpi.own_groups if not grouping.takes_name]
    for variant in kpi.variants:
        for period, shelf in _kept_for(kpi, kept, today).items():
            groupings = [""]
            if variant is kpi.default or not shelf.is_default_grouped:
                groupings += [name for name in kpi.shared_groups if name in shelf.dimensions]
                groupings += own if shelf.has_own_groups else ()
            for group_by in groupings:
                yield KpiRollUp(
                    kpi=kpi.slug,
                    variant=variant.slug,
                    group_by=group_by,
                    starts_on=period.start,
                    ends_on=period.last_day,
                    fingerprint=mark,
                    urgency=shelf.urgency + 1 if group_by else shelf.urgency,
                )


@contextmanager
def _alone() -> Iterator[None]:
    """Open a transaction that changes roll-ups; one at a time, so that none waits for another in a ring."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield


def _key(row: KpiRollUp) -> _Key:
    return row.kpi, row.variant, row.group_by, row.starts_on, row.ends_on


_IDENTITY = ("kpi", "variant", "group_by", "starts_on", "ends_on")
_DEFINED = ("fingerprint", "reads", "urgency", "said", "said_at", "said_last", "restated_at")


def _version(row: KpiRollUp) -> str:
    return row.fingerprint.partition(":")[0]


def plan(today: date) -> int:
    """Make the roll-ups those that are looked at today, as they are defined now; return how many changed.

    One that is new, or defined in another way than it was stored, is stale.
    """
    kept = shelves(today)
    return sum(_plan_one(kpi, kept, today) for kpi in KPIS.values()) + _drop_unknown()


# For which day, and by which definition, this process planned each KPI last.
_planned: dict[str, tuple[date, str]] = {}


def plan_if_needed(now: datetime, *, seconds: float) -> bool:
    """Plan the KPIs that this process did not plan yet as they are today, for about so many seconds.

    Return whether all are planned.
    """
    today = day_of(now)
    wanted = {kpi.slug: (today, fingerprint(kpi)) for kpi in KPIS.values()}
    if wanted == _planned:
        return True
    end = time.monotonic() + seconds
    kept = shelves(today)
    for slug, asked in wanted.items():
        if _planned.get(slug) == asked:
            continue
        if time.monotonic() >= end or is_told_to_stop():
            return False
        _plan_one(KPIS[slug], kept, today)
        _planned[slug] = asked
    _drop_unknown()
    for slug in _planned.keys() - wanted.keys():
        del _planned[slug]
    return True


def _drop_unknown() -> int:
    return _drop(KpiRollUp.objects.exclude(kpi__in=list(KPIS)).values_list("pk", flat=True))


def _plan_one(kpi: Kpi, kept: Mapping[Period, Shelf], today: date) -> int:
    there = KpiRollUp.objects.filter(kpi=kpi.slug).order_by()
    known = {_key(row): row for row in there.only(*_IDENTITY, *_DEFINED)}
    new: list[KpiRollUp] = []
    moved: dict[int, list[int]] = defaultdict(list)
    redefined: list[KpiRollUp] = []
    for row in _wanted(kpi, kept, today):
        old = known.get(_key(row))
        # What the same definition reads was found when it was stored.
        if old is None or old.fingerprint != row.fingerprint:
            try:
                reads = reads_of(kpi, kpi.variant(row.variant), row.group_by, row.period)
            except FleetingError:
                continue  # counted whenever it is asked
            row.reads = reads_as_text(reads)
        known.pop(_key(row), None)
        if old is None:
            new.append(row)
        elif old.fingerprint != row.fingerprint:
            row.pk = old.pk
            if _version(old) == _version(row):
                row.said, row.said_at = old.said, old.said_at
                row.said_last, row.restated_at = old.said_last, old.restated_at
            redefined.append(row)
        elif old.urgency != row.urgency:
            moved[row.urgency].append(old.pk)
    for batch in _chunks(new):
        with _alone():
            KpiRollUp.objects.bulk_create(batch, ignore_conflicts=True)
    for batch in _chunks(redefined):
        with _alone():
            _mark(KpiRollUp.objects.filter(pk__in=[row.pk for row in batch]), timezone.now())
            update_rows(batch, _DEFINED)
    for urgency, ids in moved.items():
        for batch in _chunks(ids):
            with _alone():
                KpiRollUp.objects.filter(pk__in=batch).update(urgency=urgency)
    return len(new) + len(redefined) + _drop([row.pk for row in known.values()])


def _drop(ids: Iterable[int]) -> int:
    gone = list(ids)
    for batch in _chunks(gone):
        with _alone():
            KpiRollUp.objects.filter(pk__in=batch).delete()
    return len(gone)


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for at in range(0, len(rows), CHUNK):
        yield rows[at : at + CHUNK]


# --- Which became stale -------------------------------------------------------------------


def _mark(rollups: QuerySet[KpiRollUp], since: datetime) -> int:
    """Say of these that facts changed. One that is stale already and not worked on needs no new mark."""
    return rollups.filter(generation=F("taken")).update(
        generation=F("generation") + 1,
        stale_since=_or_earlier("stale_since", since),
        marked_at=_or_earlier("marked_at", since),
    )


def _or_earlier(name: str, moment: datetime) -> Least:
    known = Value(moment, output_field=DateTimeField())
    return Least(Coalesce(F(name), known), known)


def absorb(now: datetime | None = None) -> int:
    """Mark what the logged changes concern and take them from the log; return how many were marked.

    Both happen together or not at all, so at every moment a change is in the log or in the marks.
    """
    now = now or timezone.now()
    expired = KpiRollUp.objects.filter(steady_until__lte=now)
    if not FactChange.objects.exists() and not expired.exists():
        return 0
    marked = 0
    with _alone():
        rows = list(FactChange.objects.exclude(source=changes.UNWATCHED).order_by("pk"))
        for since, ids in _concerned(rows):
            for batch in _chunks(ids):
                marked += _mark(KpiRollUp.objects.filter(pk__in=batch), since)
        marked += _mark(expired, now)
        expired.update(steady_until=None)
        FactChange.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return marked


def _concerned(rows: Sequence[FactChange]) -> Iterator[tuple[datetime, list[int]]]:
    """Yield the roll-ups that changed facts count in, with the moment of the first such change."""
    spans: dict[tuple[str, date, date], datetime] = {}
    for row in rows:
        span = (row.source, row.first_on, row.last_on)
        spans[span] = min(spans.get(span, row.logged_at), row.logged_at)
    if not spans:
        return
    found: dict[datetime, list[int]] = defaultdict(list)
    known: dict[tuple[str, date], datetime | None] = {}
    fresh = KpiRollUp.objects.filter(generation=F("taken")).order_by("pk")
    for pk, reads, ends_on in fresh.values_list("pk", "reads", "ends_on").iterator(chunk_size=CHUNK):
        if (reads, ends_on) not in known:
            known[reads, ends_on] = _first_of(reads_from_text(reads), ends_on + timedelta(days=1), spans)
        if since := known[reads, ends_on]:
            found[since].append(pk)
    yield from found.items()


def _first_of(
    reads: Sequence[Reads], end: date, spans: Mapping[tuple[str, date, date], datetime]
) -> datetime | None:
    return min(
        (
            since
            for (source, first_on, last_on), since in spans.items()
            if any(
                each.concerns(source=source, first_on=first_on, last_on=last_on, end=end) for each in reads
            )
        ),
        default=None,
    )


def forget(rollups: QuerySet[KpiRollUp]) -> int:
    """Have these worked out again, whatever the log says; return how many."""
    with _alone():
        return _mark(rollups, timezone.now())


def forget_all() -> int:
    """Have everything worked out again; return how many figures that makes."""
    forget(KpiRollUp.objects.all())
    return stale().count()


# --- Working them out ---------------------------------------------------------------------


def stale() -> QuerySet[KpiRollUp]:
    return KpiRollUp.objects.filter(stored__lt=F("generation"))


def due(now: datetime, *, most_urgent_only: bool = False) -> QuerySet[KpiRollUp]:
    """Return what is to be worked out now, the most urgent first."""
    rested = Q(computed_at__isnull=True)
    for urgency, pause in REST.items():
        rested |= Q(urgency=urgency, computed_at__lte=now - pause)
    rows = stale().filter(Q(retry_at__isnull=True) | Q(retry_at__lte=now)).filter(rested)
    if most_urgent_only:
        rows = rows.filter(urgency=TOTALS_NOW)
    return rows.order_by("urgency", "-ends_on", "pk")


def due_now(now: datetime) -> QuerySet[KpiRollUp]:
    """Return everything that is stale, also what was worked out a moment ago."""
    rows = stale().filter(Q(retry_at__isnull=True) | Q(retry_at__lte=now))
    return rows.order_by("urgency", "-ends_on", "pk")


@dataclass
class Refreshed:
    """What a refresh did."""

    counted: int = 0
    changed: int = 0
    failed: int = 0


def refresh(
    *,
    seconds: float | None = None,
    rows: Callable[[datetime], QuerySet[KpiRollUp]] = due,
    progress: Callable[[Refreshed], None] | None = None,
) -> Refreshed:
    """Work out what is due, for about so many seconds; changed facts are taken in between batches."""
    done = Refreshed()
    end = None if seconds is None else time.monotonic() + seconds
    size = FIRST_BATCH
    absorb()
    while batch := list(rows(timezone.now())[:size]):
        began = time.monotonic()
        _work_out(batch, done)
        if progress:
            progress(done)
        took = time.monotonic() - began
        size = min(size * 2, LARGEST_BATCH) if took < BATCH_SECONDS / 2 else size
        size = max(size // 2, 1) if took > BATCH_SECONDS else size
        if (end is not None and time.monotonic() >= end) or is_told_to_stop():
            break
        absorb()
    return done


def _work_out(batch: Sequence[KpiRollUp], done: Refreshed) -> None:
    """Count these anew; of a batch that fails, find the ones that do."""
    _take(batch)
    try:
        counted = _count(batch)
        done.changed += _store(counted)
    except Exception as error:  # a broken definition, a statement that takes too long
        if len(batch) > 1:
            middle = len(batch) // 2
            _work_out(batch[:middle], done)
            _work_out(batch[middle:], done)
            return
        _note_failure(batch[0], error)
        done.failed += 1
        return
    done.counted += len(batch)


def _take(batch: Sequence[KpiRollUp]) -> None:
    """Note which generations are worked on, before any counting begins."""
    mine = KpiRollUp.objects.filter(pk__in=[row.pk for row in batch])
    with _alone():
        mine.update(taken=F("generation"), marked_at=None)
        generations = dict(mine.values_list("pk", "generation"))
    for row in batch:
        row.taken = generations.get(row.pk, 0)


@dataclass
class _Counted:
    """A roll-up with what it came to."""

    rollup: KpiRollUp
    answer: Answer
    steady_until: datetime | None
    reads: str


def _count(batch: Sequence[KpiRollUp]) -> list[_Counted]:
    now = timezone.now()
    asked: list[KpiRollUp] = []
    questions: list[Question] = []
    steady: list[datetime | None] = []
    reads: list[str] = []
    for row in batch:
        kpi = KPIS.get(row.kpi)
        if kpi is None or row.variant not in {variant.slug for variant in kpi.variants}:
            continue  # dropped from the catalogue since; the next plan drops it here
        question = Question(
            row.kpi, row.period, variant=row.variant, group_by=row.group_by, now=now, definition=kpi
        )
        variant = kpi.variant(row.variant)
        # Before counting: what is read may itself follow from facts, such as the features of plans.
        reads.append(reads_as_text(reads_of(kpi, variant, row.group_by, row.period)))
        steady.append(steady_until(kpi, variant, row.group_by, Scope(row.period, now)))
        asked.append(row)
        questions.append(question)
    answers = count_many(questions)
    return [_Counted(*each) for each in zip(asked, answers, steady, reads, strict=True)]


_STORED = (
    "stored",
    "stale_since",
    "steady_until",
    "reads",
    "figure",
    "unit",
    "currency",
    "rate_changes",
    "computed_at",
    "said_last",
    "restated_at",
    "failures",
    "retry_at",
    "error",
)


def _store(counted: Sequence[_Counted]) -> int:
    """Store what was counted where nobody stored something newer; return how many figures changed."""
    changed = 0
    with _alone():
        there = KpiRollUp.objects.in_bulk([each.rollup.pk for each in counted])
        kept: list[KpiRollUp] = []
        said: list[KpiSnapshot] = []
        fresh = [each for each in counted if _is_newer(each.rollup, there.get(each.rollup.pk))]
        groups = {
            each.rollup.pk: {group.key: written(group.figure) for group in each.answer.groups}
            for each in fresh
            if each.rollup.group_by
        }
        regrouped = _store_groups(groups)
        for each in fresh:
            row = there[each.rollup.pk]
            figure = written(each.answer.figure)
            changed += figure != row.figure or row.pk in regrouped
            row.stored = each.rollup.taken
            row.stale_since = None if row.generation == row.stored else row.marked_at
            row.steady_until, row.reads = each.steady_until, each.reads
            row.figure, row.unit, row.currency = figure, each.answer.unit, each.answer.currency
            row.rate_changes = rate_changes_as_text(each.answer.rate_changes)
            row.computed_at = each.answer.computed_at
            row.failures, row.retry_at, row.error = 0, None, ""
            if snapshot := snapshots.note_restated(row, each.answer, groups_changed=row.pk in regrouped):
                said.append(snapshot)
            kept.append(row)
        update_rows(kept, _STORED)
        KpiSnapshot.objects.bulk_create(said)
    return changed


def _is_newer(counted: KpiRollUp, there: KpiRollUp | None) -> bool:
    """Return whether what was counted may replace what is there; not if its definition changed meanwhile."""
    return there is not None and there.stored < counted.taken and there.fingerprint == counted.fingerprint


def _store_groups(wanted: Mapping[int, Mapping[str, str]]) -> set[int]:
    """Make the groups of these roll-ups those that were counted; return the roll-ups of which some changed.

    Rows that stay the same are not written.
    """
    if not wanted:
        return set()
    new: list[KpiRollUpGroup] = []
    changed: list[KpiRollUpGroup] = []
    gone: list[KpiRollUpGroup] = []
    known: dict[int, dict[str, KpiRollUpGroup]] = defaultdict(dict)
    for row in KpiRollUpGroup.objects.filter(rollup__in=list(wanted)).order_by():
        known[row.rollup_id][row.key] = row
    for pk, figures in wanted.items():
        for key, figure in figures.items():
            old = known[pk].pop(key, None)
            if old is None:
                new.append(KpiRollUpGroup(rollup_id=pk, key=key, figure=figure))
            elif old.figure != figure:
                old.figure = figure
                changed.append(old)
        gone += known[pk].values()
    for batch in _chunks([row.pk for row in gone]):
        KpiRollUpGroup.objects.filter(pk__in=batch).delete()
    update_rows(changed, ["figure"])
    insert_rows(KpiRollUpGroup, new)
    return {row.rollup_id for row in (*new, *changed, *gone)}


def _note_failure(row: KpiRollUp, error: Exception) -> None:
    failures = row.failures + 1
    pause = min(timedelta(minutes=1) * 4 ** min(failures, 6), LONGEST_PAUSE)
    log.warning("a figure could not be worked out", kpi=row.kpi, rollup=row.pk, error=str(error).strip())
    KpiRollUp.objects.filter(pk=row.pk).update(
        failures=failures, retry_at=timezone.now() + pause, error=f"{type(error).__name__}: {error}"[:2_000]
    )
