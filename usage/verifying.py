"""Checks the roll-ups of usage against the events and against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils.timezone import get_default_timezone

from usage.models import MASK_DAYS, ActivityMonth, EndUser, Event, FeatureMonth, UsageDay
from usage.rollups import features_of_events

BATCH = 2_000


def differences() -> Iterator[str]:
    """Yield a sentence for each day, feature or person whose roll-up is not what it follows from."""
    yield from _days()
    yield from _masks()
    yield from _features()


def _days() -> Iterator[str]:
    # Days without raw events are left out: their events were dropped, or came as days.
    counts = (
        Event.objects.values(
            "account_id", "feature", day=TruncDate("happened_at", tzinfo=get_default_timezone())
        )
        .annotate(events=Count("pk"), users=Count("end_user_id", distinct=True))
        .order_by("account_id", "day", "feature")
        .iterator(chunk_size=BATCH)
    )
    while batch := list(islice(counts, BATCH)):
        days = {row["day"] for row in batch}
        stored = {
            (row.account_id, row.day, row.feature): (row.events, row.users)
            for row in UsageDay.objects.filter(
                account__in={row["account_id"] for row in batch}, day__gte=min(days), day__lte=max(days)
            )
        }
        for row in batch:
            key = (row["account_id"], row["day"], row["feature"])
            counted = (row["events"], row["users"])
            if stored.get(key) != counted:
                yield (
                    f"Account {key[0]}, {key[2]} on {key[1]}: stored are {stored.get(key)} events and users, "
                    f"the events say {counted}."
                )


def _features() -> Iterator[str]:
    """Whoever used a feature was active that day, and every event we have is in its feature's days."""
    rows = FeatureMonth.objects.order_by("end_user", "account", "month").iterator(chunk_size=BATCH)
    while batch := list(islice(rows, BATCH)):
        active = {
            (row.end_user_id, row.account_id, row.month): row.days
            for row in ActivityMonth.objects.filter(end_user__in={row.end_user_id for row in batch})
        }
        for row in batch:
            beyond = row.days & ~active.get((row.end_user_id, row.account_id, row.month), 0)
            if beyond:
                day = row.month + timedelta(days=(beyond & -beyond).bit_length() - 1)
                yield f"End user {row.end_user_id} used {row.feature} on {day}, but was not active that day."
    events = features_of_events().iterator(chunk_size=BATCH)
    while told := list(islice(events, BATCH)):
        known: dict[tuple[int, int, date, str], int] = {
            (row.end_user_id, row.account_id, row.month, row.feature): row.days
            for row in FeatureMonth.objects.filter(end_user__in={row["end_user_id"] for row in told})
        }
        for event in told:
            day = event["day"]
            key = (event["end_user_id"], event["account_id"], day.replace(day=1), event["feature"])
            if not known.get(key, 0) >> (day.day - 1) & 1:
                yield f"End user {key[0]} used {key[3]} on {day} by the events, by the roll-up not."


def _masks() -> Iterator[str]:
    people = EndUser.objects.exclude(activity_until=None).order_by("pk").iterator(chunk_size=BATCH)
    while batch := list(islice(people, BATCH)):
        active: dict[int, set[date]] = defaultdict(set)
        for month in ActivityMonth.objects.filter(end_user__in=batch):
            for bit in range(31):
                if month.days >> bit & 1:
                    active[month.end_user_id].add(month.month + timedelta(days=bit))
        for person in batch:
            until = person.activity_until
            if until is None:
                continue
            days = {until - timedelta(days=bit) for bit in range(MASK_DAYS) if person.activity >> bit & 1}
            recent = {day for day in active[person.pk] if day > until - timedelta(days=MASK_DAYS)}
            if days != recent:
                day = min(days ^ recent)
                yield f"End user {person.pk}: mask and months disagree about {day}."
