"""Keeps the roll-ups of usage in step with the events, in the caller's transaction.

An event counts once, by its source and message id, however often it is reported. Who was
active on which day is kept as bits, so the order in which events arrive does not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils.timezone import get_default_timezone

from accounts.bulk import insert_rows, update_rows
from accounts.models import Account
from csplatform.periods import day_of, start_of_day
from usage.models import MASK_DAYS, ActivityMonth, EndUser, Event, FeatureMonth, UsageDay

MASK = (1 << MASK_DAYS) - 1
BATCH = 2_000

# Who used what for which account on which days.
Used = dict[tuple[int, int], dict[str, set[date]]]


@dataclass
class Recorded:
    """What became of a batch of events."""

    created: int = 0
    duplicates: int = 0
    accounts: frozenset[int] = frozenset()


def shift_mask(mask: int, *, from_day: date, to_day: date) -> int:
    """Return a 63-day mask that ended on `from_day` as it stands on a later `to_day`.

    >>> shift_mask(0b1, from_day=date(2026, 1, 1), to_day=date(2026, 1, 3))
    4
    """
    days = (to_day - from_day).days
    return (mask << days) & MASK if days < MASK_DAYS else 0


def window_mask(*, until: date, mask_until: date, days: int) -> tuple[int, int]:
    """Return how to read a mask for the `days` days up to `until`: shift right by the first, AND the second.

    A mask reaches 63 days back; a window that begins before that is not in it (the caller asks
    ActivityMonth). `until` after the mask's last day leaves fewer of its bits in the window.
    """
    ahead = (until - mask_until).days
    if ahead >= 0:
        return 0, (1 << max(days - ahead, 0)) - 1
    return -ahead, (1 << days) - 1


@transaction.atomic
def record_events(events: Sequence[Event]) -> Recorded:
    """Store events that are not there yet and bring the roll-ups of their days up to date.

    Unsaved `Event` rows with account and end user ids filled in; of two with one message id the
    first counts. Events and roll-ups are stored together or not at all.
    """
    by_source: dict[str, dict[str, Event]] = defaultdict(dict)
    for event in events:
        by_source[event.source].setdefault(event.message_id, event)
    new: list[Event] = []
    for source, by_id in by_source.items():
        known = set(
            Event.objects.filter(source=source, message_id__in=list(by_id)).values_list(
                "message_id", flat=True
            )
        )
        new += [event for message_id, event in by_id.items() if message_id not in known]
    insert_rows(Event, new)

    used: Used = defaultdict(lambda: defaultdict(set))
    last_seen: dict[int, tuple[datetime, int]] = {}
    touched: dict[tuple[int, date], set[str]] = defaultdict(set)
    for event in new:
        day = day_of(event.happened_at)
        touched[(event.account_id, day)].add(event.feature)
        if event.end_user_id is not None:
            used[(event.end_user_id, event.account_id)][event.feature].add(day)
            seen = (event.happened_at, event.account_id)
            last_seen[event.end_user_id] = max(last_seen.get(event.end_user_id, seen), seen)
    record_activity(used, last_seen=last_seen)
    _count_days(touched)
    return Recorded(
        created=len(new),
        duplicates=len(events) - len(new),
        accounts=frozenset(account_id for account_id, _ in touched),
    )


@transaction.atomic
def record_activity(
    used: Mapping[tuple[int, int], Mapping[str, set[date]]],
    *,
    last_seen: Mapping[int, tuple[datetime, int]] | None = None,
) -> None:
    """Mark people active.

    `used` is {(end user, account): {feature: days}}, `last_seen` is {end user: (moment, account)}.
    """
    active: dict[tuple[Any, ...], int] = defaultdict(int)
    by_feature: dict[tuple[Any, ...], int] = defaultdict(int)
    days_of: dict[int, set[date]] = defaultdict(set)
    for (end_user_id, account_id), features in used.items():
        for feature, days in features.items():
            days_of[end_user_id] |= days
            for day in days:
                bit, month = 1 << (day.day - 1), day.replace(day=1)
                active[(end_user_id, account_id, month)] |= bit
                by_feature[(end_user_id, account_id, month, feature)] |= bit
    merge_days(ActivityMonth, active)
    merge_days(FeatureMonth, by_feature)
    _move_masks(days_of, last_seen or {})


def features_of_events() -> QuerySet[Any, Any]:
    """Return who used which feature for which account on which day, as far back as events are kept."""
    day = TruncDate("happened_at", tzinfo=get_default_timezone())
    return (
        Event.objects.filter(end_user_id__isnull=False)
        .values("end_user_id", "account_id", "feature", day=day)
        .distinct()
        .order_by("end_user_id", "account_id", "day", "feature")
    )


def fill_features() -> None:
    """Make the days of each feature from the events that are kept; again it changes nothing."""
    found = features_of_events().iterator(chunk_size=BATCH)
    while batch := list(islice(found, BATCH)):
        rows: dict[tuple[Any, ...], int] = defaultdict(int)
        # Whoever or whatever was deleted since has left events behind.
        people = EndUser.objects.in_bulk({row["end_user_id"] for row in batch})
        accounts = Account.objects.in_bulk({row["account_id"] for row in batch})
        for row in batch:
            day: date = row["day"]
            if row["end_user_id"] in people and row["account_id"] in accounts:
                key = (row["end_user_id"], row["account_id"], day.replace(day=1), row["feature"])
                rows[key] |= 1 << (day.day - 1)
        merge_days(FeatureMonth, rows)


def merge_days(model: type[models.Model], rows: Mapping[tuple[Any, ...], int]) -> None:
    """Add days to a roll-up of months: `rows` is {the key that makes a row one of its kind: bits}.

    The ORM's upsert replaces; here two workers' bits have to be united in one statement.
    """
    quote = connection.ops.quote_name
    constraint = next(each for each in model._meta.constraints if isinstance(each, models.UniqueConstraint))
    keys = [str(model._meta.get_field(name).column) for name in constraint.fields]  # type: ignore[union-attr]
    names, table = ", ".join(map(quote, keys)), quote(model._meta.db_table)
    marks = f"({', '.join(['%s'] * (len(keys) + 1))})"
    ordered = sorted(rows.items())
    most = 800 // (len(keys) + 1)  # parameters: below every limit of SQLite
    with connection.cursor() as cursor:
        for at in range(0, len(ordered), most):
            part = ordered[at : at + most]
            cursor.execute(
                f"INSERT INTO {table} ({names}, days) VALUES {', '.join([marks] * len(part))}"
                f" ON CONFLICT ({names}) DO UPDATE SET days = {table}.days | excluded.days",
                [value for key, bits in part for value in (*key, bits)],
            )


def _move_masks(days_of: Mapping[int, set[date]], last_seen: Mapping[int, tuple[datetime, int]]) -> None:
    changed: list[EndUser] = []
    ids = sorted(days_of)
    for at in range(0, len(ids), BATCH):
        people = EndUser.objects.select_for_update().filter(pk__in=ids[at : at + BATCH]).order_by("pk")
        for person in people:
            days = days_of[person.pk]
            newest = max(days)
            until = max(person.activity_until or newest, newest)
            mask = person.activity
            if person.activity_until and until > person.activity_until:
                mask = shift_mask(mask, from_day=person.activity_until, to_day=until)
            for day in days:
                back = (until - day).days
                if back < MASK_DAYS:
                    mask |= 1 << back
            person.activity, person.activity_until = mask, until
            person.first_seen_on = min(person.first_seen_on or newest, *days)
            seen = last_seen.get(person.pk)
            if seen and (person.last_seen_at is None or seen[0] >= person.last_seen_at):
                person.last_seen_at, person.account_id = seen
            changed.append(person)
    update_rows(changed, ["activity", "activity_until", "first_seen_on", "last_seen_at", "account"])


def _count_days(touched: dict[tuple[int, date], set[str]]) -> None:
    """Count the touched days of the touched accounts anew from their events, month by month."""
    accounts_by_month: dict[date, set[int]] = defaultdict(set)
    for account_id, day in touched:
        accounts_by_month[day.replace(day=1)].add(account_id)
    rows: list[UsageDay] = []
    for month, account_ids in sorted(accounts_by_month.items()):
        days = [day for account_id, day in touched if day.replace(day=1) == month]
        counts = (
            Event.objects.filter(
                account_id__in=account_ids,
                happened_at__gte=start_of_day(min(days)),
                happened_at__lt=start_of_day(max(days) + timedelta(days=1)),
            )
            .values("account_id", "feature", day=TruncDate("happened_at", tzinfo=get_default_timezone()))
            .annotate(events=Count("pk"), users=Count("end_user_id", distinct=True))
            .order_by()
        )
        rows += [
            UsageDay(**row)
            for row in counts.iterator()
            if row["feature"] in touched.get((row["account_id"], row["day"]), ())
        ]
    UsageDay.objects.bulk_create(
        rows,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["account", "day", "feature"],
        update_fields=["events", "users"],
    )
