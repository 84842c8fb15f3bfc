"""Which function does which kind of work, and which kinds come round by the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from celery.schedules import ParseException, crontab_parser
from django.conf import settings
from django.utils import timezone

if TYPE_CHECKING:
    from team.models import Work

Lane = Literal["fast", "slow"]
Run = Callable[["Work"], None]
Function = TypeVar("Function", bound=Callable[..., Any])

# The longest a handler may ask for, in seconds. A fast lane with hour-long jobs is a slow one.
LONGEST: dict[str, int] = settings.WORK_LONGEST_SECONDS


@dataclass(frozen=True, kw_only=True)
class Handler:
    kind: str
    run: Run
    lane: Lane
    max_attempts: int
    time_limit: int
    atomic: bool


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Work that comes round: every so many seconds, or at the minutes a cron line names.

    A slot is one such moment. Only the latest one counts: after six hours off there is
    one catch-up, not a flood.
    """

    name: str
    kind: str
    seconds: int = 0
    cron: str = ""
    payload: dict[str, Any] = field(default_factory=dict)

    def latest_slot(self, now: datetime) -> datetime:
        """Return the last moment, `now` included, at which this was to happen."""
        if self.seconds:
            return datetime.fromtimestamp(int(now.timestamp()) // self.seconds * self.seconds, UTC)
        minutes, hours, days, months, weekdays = _parse_cron(self.cron)
        local = timezone.localtime(now, timezone.get_default_timezone())
        for back in range(366 * 8):  # eight years hold every 29 February
            day = local.date() - timedelta(days=back)
            if day.day not in days or day.month not in months or day.isoweekday() % 7 not in weekdays:
                continue
            for hour in sorted(hours, reverse=True):
                for minute in sorted(minutes, reverse=True):
                    slot = timezone.make_aware(
                        datetime.combine(day, time(hour, minute)), timezone.get_default_timezone()
                    )
                    if slot <= now:
                        return slot
        raise ValueError(f"{self.name}: the cron line {self.cron!r} names no day of the calendar.")


def _parse_cron(line: str) -> tuple[set[int], set[int], set[int], set[int], set[int]]:
    """Return minutes, hours, days of month, months, weekdays (Sunday is 0); all must match."""
    try:
        minute, hour, day, month, weekday = line.split()
        return (
            crontab_parser(60).parse(minute),
            crontab_parser(24).parse(hour),
            crontab_parser(31, 1).parse(day),
            crontab_parser(12, 1).parse(month),
            crontab_parser(7).parse(weekday),
        )
    except (ValueError, ParseException) as error:
        raise ValueError(
            f"{line!r} is no cron line: minute, hour, day, month and weekday are needed ({error})."
        ) from error


HANDLERS: dict[str, Handler] = {}
SCHEDULES: dict[str, Schedule] = {}


def handles(
    kind: str, *, lane: Lane = "fast", max_attempts: int = 8, time_limit: int = 60, atomic: bool = True
) -> Callable[[Run], Run]:
    """Make the decorated function do the work of this kind.

    With `atomic` the function and the mark "done" are one transaction: whatever it writes
    is written exactly once, however often workers die. It must then touch nothing but the
    database, and be short: on SQLite it keeps every other writer waiting.

    Without, it runs outside a transaction and may run again after a crash: it sends, calls,
    or works through batches, and must be safe to repeat.

    `time_limit` is in seconds. After `max_attempts` failures the row is dead: listed for the
    admins, never run again unless they replay it.
    """
    if not 1 <= time_limit <= LONGEST[lane]:
        raise ValueError(f"{kind}: a time limit in the {lane} lane is 1 to {LONGEST[lane]} seconds.")

    def register(run: Run) -> Run:
        if kind in HANDLERS and HANDLERS[kind].run.__qualname__ != run.__qualname__:
            raise ValueError(f"{kind} is handled by {HANDLERS[kind].run.__qualname__} already.")
        HANDLERS[kind] = Handler(
            kind=kind, run=run, lane=lane, max_attempts=max_attempts, time_limit=time_limit, atomic=atomic
        )
        return run

    return register


def every(
    name: str, *, kind: str, seconds: int = 0, cron: str = "", payload: dict[str, Any] | None = None
) -> Callable[[Function], Function]:
    """Enqueue this kind every so many seconds, or by a cron line in the workspace's time zone.

    Call it in `jobs.py`, or put it above the handler as a decorator. Being run twice, late
    or by two schedulers at once makes one row. A cron job first seen today is owed nothing
    for yesterday.
    """
    if bool(seconds) == bool(cron):
        raise ValueError(f"{name}: give either seconds or a cron line.")
    if cron:
        _parse_cron(cron)
    SCHEDULES[name] = Schedule(name=name, kind=kind, seconds=seconds, cron=cron, payload=payload or {})
    return lambda function: function
