"""The rows: put in, claimed, finished, put back. Each change says which state it expects."""

from __future__ import annotations

import os
import random
import socket
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from team.models import Work
from team.work.hints import hint_on_commit
from team.work.registry import HANDLERS, Lane

LONGEST_PAUSE = timedelta(hours=1)
KEPT_FOR = timedelta(days=7)
ERROR_LENGTH = 4000


def enqueue(
    kind: str, *, key: str = "", payload: dict[str, Any] | None = None, due_at: datetime | None = None
) -> Work:
    """Record work in the caller's transaction and return its row.

    With a key, a row of the same kind and key that still waits stands for this call too: it
    takes the newer payload and the earlier moment. Rows with one key never run at the same
    time, and work asked for while its predecessor runs is done afterwards.

    A key saves work; it does not make a decision unique. Whatever may happen only once (this
    mail to this person) needs its own unique row.
    """
    handler = HANDLERS.get(kind)
    if handler is None:
        raise LookupError(f"No function handles {kind!r}; handlers are registered in each app's jobs.py.")
    due_at = due_at or timezone.now()
    with transaction.atomic():
        work = _join_waiting(kind, key, payload or {}, due_at) if key else None
        if work is None:
            work = Work.objects.create(
                kind=kind,
                key=key,
                payload=payload or {},
                lane=handler.lane,
                due_at=due_at,
                max_attempts=handler.max_attempts,
            )
    hint_on_commit(handler.lane)
    return work


def _join_waiting(kind: str, key: str, payload: dict[str, Any], due_at: datetime) -> Work | None:
    # A unique constraint on waiting rows would be simpler, but then a request that enqueues
    # waits for every open transaction that enqueued the same key: an import of a minute
    # would stop all of them. So we join a row nobody else holds, or write another one.
    # Holding it until commit also keeps it from being claimed before our facts can be seen.
    waiting = (
        Work.objects.select_for_update(skip_locked=True)
        .filter(kind=kind, key=key, state=Work.State.QUEUED)
        .order_by("pk")
        .first()
    )
    if waiting is None:
        return None
    if waiting.attempts:  # it failed before: its pause stands, or a storm would use up its attempts
        due_at = waiting.due_at
    due_at = min(due_at, waiting.due_at)
    if (waiting.payload, waiting.due_at) != (payload, due_at):
        waiting.payload, waiting.due_at = payload, due_at
        waiting.save(update_fields=["payload", "due_at"])
    return waiting


def due(lane: Lane | None, now: datetime) -> Any:
    """Rows a worker of this lane may take now, the longest due first."""
    running = Work.objects.filter(kind=OuterRef("kind"), key=OuterRef("key"), state=Work.State.CLAIMED)
    lanes = [lane] if lane else Work.Lane.values
    return (
        Work.objects.filter(state=Work.State.QUEUED, lane__in=lanes, due_at__lte=now)
        .filter(Q(key="") | ~Exists(running))
        .order_by("due_at", "pk")
    )


def claim(lane: Lane | None = None) -> Work | None:
    """Take one due row, or return None. Committed before the work begins."""
    now = timezone.now()
    if not due(lane, now).exists():  # a plain read: idle workers take no write lock on SQLite
        return None
    try:
        with transaction.atomic():
            work: Work | None = due(lane, now).select_for_update(skip_locked=True, of=("self",)).first()
            if work is None:
                return None
            token = uuid.uuid4()
            claimed = Work.objects.filter(pk=work.pk, state=Work.State.QUEUED).update(
                state=Work.State.CLAIMED,
                attempts=work.attempts + 1,
                claim_token=token,
                claimed_by=f"{socket.gethostname()}:{os.getpid()}"[:120],
                claimed_at=now,
                claimed_until=now + timedelta(seconds=settings.WORK_LEASE_SECONDS),
            )
    except IntegrityError:
        # Another worker took the row with the same key a moment ago; ours has to wait for it.
        return None
    if not claimed:
        return None
    work.refresh_from_db()
    return work


def _held(work: Work) -> Any:
    """The row, as long as it is claimed by us and by nobody else."""
    return Work.objects.filter(pk=work.pk, state=Work.State.CLAIMED, claim_token=work.claim_token)


def extend(work: Work) -> bool:
    """Keep the claim a little longer; False when it is no longer ours."""
    until = timezone.now() + timedelta(seconds=settings.WORK_LEASE_SECONDS)
    return bool(_held(work).update(claimed_until=until))


def finish(work: Work) -> bool:
    """Mark done; False when the claim was lost, and whatever was done must be undone."""
    return bool(
        _held(work).update(
            state=Work.State.DONE,
            finished_at=timezone.now(),
            claim_token=None,
            claimed_until=None,
            last_error="",
        )
    )


def fail(work: Work, error: str) -> None:
    """Put back with a pause, or among the dead after the last attempt."""
    now = timezone.now()
    if work.attempts >= work.max_attempts:
        changes: dict[str, Any] = {"state": Work.State.DEAD, "finished_at": now}
    else:
        changes = {"state": Work.State.QUEUED, "due_at": now + pause(work.attempts)}
    _held(work).update(**changes, claim_token=None, claimed_until=None, last_error=error[-ERROR_LENGTH:])


def pause(attempts: int) -> timedelta:
    """How long to wait after so many failures: 2, 8, 32 s … an hour, less up to a half by chance."""
    seconds = min(2 * 4 ** (attempts - 1), LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=seconds * random.uniform(0.5, 1))  # noqa: S311  spreads retries, hides nothing


def release_expired(now: datetime | None = None) -> int:
    """Put back rows whose worker died or ran far over its time; return how many."""
    now = now or timezone.now()
    expired = Work.objects.filter(state=Work.State.CLAIMED, claimed_until__lt=now)
    released = 0
    for work in expired.order_by("pk")[:1000] if expired.exists() else []:
        error = f"The worker {work.claimed_by} died or ran out of time in attempt {work.attempts}."
        if work.attempts >= work.max_attempts:
            changes: dict[str, Any] = {"state": Work.State.DEAD, "finished_at": now}
        else:
            changes = {"state": Work.State.QUEUED, "due_at": now}
        released += (
            _held(work)
            .filter(claimed_until__lt=now)
            .update(**changes, claim_token=None, claimed_until=None, last_error=error)
        )
    return released


def replay(rows: Any) -> int:
    """Queue dead or cancelled rows again, with all their attempts; return how many."""
    again = rows.filter(state__in=[Work.State.DEAD, Work.State.CANCELLED])
    lanes = set(again.values_list("lane", flat=True))
    with transaction.atomic():
        count: int = again.update(
            state=Work.State.QUEUED, attempts=0, due_at=timezone.now(), finished_at=None, claimed_by=""
        )
        for lane in sorted(lanes):
            hint_on_commit(lane)
    return count


def cancel(rows: Any) -> int:
    """Take waiting or dead rows out of the queue for good; what runs now is left to end."""
    return int(
        rows.filter(state__in=[Work.State.QUEUED, Work.State.DEAD]).update(
            state=Work.State.CANCELLED, finished_at=timezone.now()
        )
    )


def prune(now: datetime | None = None) -> int:
    """Delete rows done or cancelled more than a week ago; the dead stay until somebody decides."""
    before = (now or timezone.now()) - KEPT_FOR
    deleted = 0
    while True:
        batch = list(
            Work.objects.filter(
                state__in=[Work.State.DONE, Work.State.CANCELLED], finished_at__lt=before
            ).values_list("pk", flat=True)[:2000]
        )
        if not batch:
            return deleted
        deleted += Work.objects.filter(pk__in=batch).delete()[0]
