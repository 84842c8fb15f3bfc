"""When support works, and within which time it promises to answer: read, and changed.

Every ticket keeps what follows from it (seconds in business hours, when an answer is due), so
that counting stays in the database. A change has all tickets measured anew in the background.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from django.conf import settings
from django.db import transaction

from team.work import enqueue
from tickets.calculations import END_OF_DAY, BusinessHours, Spans
from tickets.models import BusinessCalendar, ClosedDay, OpeningHours, ServiceTarget

# What holds until an admin says otherwise.
USUAL_WEEK: Sequence[Spans] = [((9 * 60, 17 * 60),)] * 5 + [(), ()]


@dataclass(frozen=True)
class Target:
    """Seconds of business hours; None where nothing is promised."""

    response: int | None = None
    resolution: int | None = None


@dataclass(frozen=True)
class Calendar:
    """What tickets are measured by."""

    hours: BusinessHours
    targets: Mapping[str, Target] = field(default_factory=dict)


@dataclass(frozen=True)
class Closed:
    """A holiday: once, or on that day of every year."""

    day: date
    name: str = ""
    is_yearly: bool = False


def stored() -> BusinessCalendar | None:
    return BusinessCalendar.objects.filter(pk=BusinessCalendar.THE_ONLY).first()


def current() -> Calendar:
    """Return the calendar as it is now; until one is set, Monday to Friday from 9 to 17."""
    row = stored()
    if row is None:
        return Calendar(BusinessHours(settings.TIME_ZONE, USUAL_WEEK))
    week: list[list[tuple[int, int]]] = [[] for _ in OpeningHours.Weekday]
    for span in row.opening_hours.all():
        week[span.weekday].append((_minutes(span.opens_at), _minutes(span.closes_at) or END_OF_DAY))
    closed = list(row.closed_days.all())
    return Calendar(
        BusinessHours(
            row.time_zone or settings.TIME_ZONE,
            week,
            frozenset(each.day for each in closed if not each.is_yearly),
            frozenset((each.day.month, each.day.day) for each in closed if each.is_yearly),
        ),
        {
            target.priority: Target(_seconds(target.response_minutes), _seconds(target.resolution_minutes))
            for target in row.targets.all()
        },
    )


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute


def _seconds(minutes: int | None) -> int | None:
    return None if minutes is None else minutes * 60


def _time(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)


@transaction.atomic
def change(
    *,
    time_zone: str,
    week: Sequence[Spans],
    closed: Iterable[Closed],
    targets: Mapping[str, tuple[int | None, int | None]],
    at: datetime,
) -> BusinessCalendar:
    """Store another calendar and have all tickets measured by it.

    `targets` are minutes for the first answer and the resolution, by priority.
    """
    row = store(time_zone=time_zone, week=week, closed=closed, targets=targets, at=at)
    enqueue("tickets.measure", key="all")
    return row


@transaction.atomic
def store(
    *,
    time_zone: str,
    week: Sequence[Spans],
    closed: Iterable[Closed],
    targets: Mapping[str, tuple[int | None, int | None]],
    at: datetime,
) -> BusinessCalendar:
    """Store the calendar in place of the one there is; tickets stay as they are."""
    row, _ = BusinessCalendar.objects.update_or_create(
        pk=BusinessCalendar.THE_ONLY, defaults={"time_zone": time_zone, "changed_at": at}
    )
    for children in (row.opening_hours, row.closed_days, row.targets):
        children.all().delete()
    OpeningHours.objects.bulk_create(
        OpeningHours(calendar=row, weekday=weekday, opens_at=_time(opens), closes_at=_time(closes))
        for weekday, spans in enumerate(week)
        for opens, closes in spans
    )
    ClosedDay.objects.bulk_create(
        ClosedDay(calendar=row, day=each.day, name=each.name, is_yearly=each.is_yearly) for each in closed
    )
    ServiceTarget.objects.bulk_create(
        ServiceTarget(
            calendar=row, priority=priority, response_minutes=response, resolution_minutes=resolution
        )
        for priority, (response, resolution) in targets.items()
        if response or resolution
    )
    return row
