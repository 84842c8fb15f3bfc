"""What Celery sees of the queue: two ways to be woken. The work itself is in the database."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.db import InterfaceError, OperationalError

from team import work
from team.work.registry import Lane

log = structlog.get_logger(__name__)

# Short enough for a worker told to stop to be gone in time.
DRAIN_SECONDS = 4.0


@shared_task(name="team.wake")
def wake(lane: Lane) -> None:
    """Work on what is due; when that is much, make room for other messages and come back."""
    try:
        if work.drain(lane, seconds=DRAIN_SECONDS):
            work.hint(lane)
    except (OperationalError, InterfaceError) as error:
        log.warning("database not reached; trying again in a moment", lane=lane, error=str(error).strip())


@shared_task(name="team.tick")
def tick() -> None:
    """Look at the clock, then at the work it made."""
    try:
        work.tick()
    except (OperationalError, InterfaceError) as error:
        log.warning("database not reached; trying again in a moment", error=str(error).strip())
        return
    wake("fast")
