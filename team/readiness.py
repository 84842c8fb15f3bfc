"""Whether each part this installation is made of works now. Looks, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from team import broker
from team.models import Heartbeat, Work
from team.work.schedule import SCHEDULER

State = Literal["ok", "failed", "not configured"]

# Six beats of ten seconds: a worker that restarts is not an alarm.
FRESH = timedelta(seconds=60)


@dataclass(frozen=True)
class Check:
    """One part, and in words what its failure stops, what goes on, and what being without it means."""

    name: str
    state: State
    if_failed: str = ""
    if_missing: str = ""


def checks(now: datetime | None = None) -> list[Check]:
    """Return every part's state; takes two seconds at most when the broker hangs."""
    now = now or timezone.now()
    database = _database()
    worker, scheduler = (_worker(now), _scheduler(now)) if database == "ok" else ("failed", "failed")
    return [
        Check("database", database, "Nothing works without it. Answers and events are refused, not lost."),
        Check(
            "broker",
            _broker(),
            "Pages, the API and surveys work. Jobs are kept in the database and done when it is back.",
            "None is needed here: the workers look at the database themselves.",
        ),
        Check(
            "worker",
            worker,
            "Pages, the API and surveys work. Mails, scores and imports wait until it is back.",
        ),
        Check(
            "scheduler",
            scheduler,
            "What is asked for is still done. What comes round by the clock waits, and is caught up once.",
        ),
        Check(
            "mail",
            "ok" if settings.EMAIL_URL else "not configured",
            if_missing="No mail leaves this installation: set EMAIL_URL.",
        ),
    ]


def _database() -> State:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        return "failed"
    return "ok"


def _broker() -> State:
    if not settings.REDIS_URL:
        return "not configured"
    return "ok" if broker.answers(settings.REDIS_URL) else "failed"


def _worker(now: datetime) -> State:
    """Both lanes must move. A slow lane in the middle of a long job moves, though it can't beat."""
    fresh = set(Heartbeat.objects.filter(beat_at__gte=now - FRESH).values_list("name", flat=True))
    busy = set(
        Work.objects.filter(state=Work.State.CLAIMED, claimed_until__gte=now).values_list("lane", flat=True)
    )
    return "ok" if set(Work.Lane.values) <= fresh | busy else "failed"


def _scheduler(now: datetime) -> State:
    is_fresh = Heartbeat.objects.filter(name=SCHEDULER, beat_at__gte=now - FRESH).exists()
    return "ok" if is_fresh else "failed"
