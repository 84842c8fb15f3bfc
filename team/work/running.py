"""Doing the work: claim, commit, run, mark."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction

from team.models import Work
from team.stopping import is_told_to_stop
from team.work import queue
from team.work.registry import HANDLERS, Handler, Lane

log = structlog.get_logger(__name__)

JOB_STATEMENT_SECONDS = 60
JOB_LOCK_SECONDS = 10
# A handler out of time ends by its own exception; the database steps in if even that fails.
IDLE_GRACE_SECONDS = 10


class OutOfTimeError(BaseException):
    """The handler used up its time. Not an Exception, so that `except Exception` lets it pass."""


class _LostClaimError(Exception):
    """Somebody else has the row by now; what we did must not be committed."""


def run_due(lane: Lane | None = None, limit: int | None = None) -> int:
    """Do everything that is due, here and now, and return how many rows were run.

    For commands, tests and installations without a broker; errors land on the row.
    """
    count = 0
    while (limit is None or count < limit) and _run_next(lane):
        count += 1
    return count


def drain(lane: Lane, *, seconds: float) -> bool:
    """Work on due rows for about so many seconds; True when there may be more."""
    end = time.monotonic() + seconds
    queue.release_expired()
    while time.monotonic() < end and not is_told_to_stop():
        if not _run_next(lane):
            return False
    return True


def _run_next(lane: Lane | None) -> bool:
    work = queue.claim(lane)
    if work is None:
        return False
    handler = HANDLERS.get(work.kind)
    if handler is None:
        queue.fail(work, f"No function handles {work.kind!r} in this release.")
        return True
    try:
        with _job_timeouts(handler), _kept_claim(work, handler), _time_limit(handler):
            _run(work, handler)
    except _LostClaimError:
        log.warning("work was taken over by another worker", kind=work.kind, work=work.pk)
    except (Exception, OutOfTimeError) as error:
        _note_failure(work, error)
    return True


def _run(work: Work, handler: Handler) -> None:
    if not handler.atomic:
        handler.run(work)
        if not queue.finish(work):
            raise _LostClaimError
        return
    with transaction.atomic():
        handler.run(work)
        if not queue.finish(work):
            raise _LostClaimError


def _note_failure(work: Work, error: BaseException) -> None:
    is_last = work.attempts >= work.max_attempts
    summary = f"{type(error).__name__}: {error}"
    (log.error if is_last else log.warning)(
        "work is dead" if is_last else "work failed",
        kind=work.kind,
        work=work.pk,
        attempt=work.attempts,
        error=summary,
    )
    queue.fail(work, "".join(traceback.format_exception(error)))


@contextmanager
def _time_limit(handler: Handler) -> Iterator[None]:
    """Raise OutOfTimeError in the handler when its time is up.

    Signals reach only the main thread, which is where workers run us. Elsewhere the claim
    lapses, another worker takes over, and what the late one did is rolled back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_signum: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError(f"not done after {handler.time_limit} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, handler.time_limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _kept_claim(work: Work, handler: Handler) -> Iterator[None]:
    """Renew the claim from a second thread for as long as the handler may run."""
    is_over = threading.Event()
    end = time.monotonic() + handler.time_limit

    def renew() -> None:
        while not is_over.wait(settings.WORK_LEASE_SECONDS / 3) and time.monotonic() < end:
            try:
                if not queue.extend(work):
                    return
            except DatabaseError:
                # On SQLite the handler's own transaction keeps us, and every thief, waiting.
                continue
            finally:
                connection.close()

    threading.Thread(target=renew, name="work-claim", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


@contextmanager
def _job_timeouts(handler: Handler) -> Iterator[None]:
    """Give jobs the longer time-outs of docs/operating.md, on PostgreSQL."""
    if connection.vendor != "postgresql":
        yield
        return
    statement = min(JOB_STATEMENT_SECONDS, handler.time_limit)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false)",
            [f"{statement}s", f"{JOB_LOCK_SECONDS}s", f"{handler.time_limit + IDLE_GRACE_SECONDS}s"],
        )
    try:
        yield
    finally:
        try:
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout; RESET lock_timeout")
                cursor.execute("RESET idle_in_transaction_session_timeout")
        except (DatabaseError, InterfaceError):
            connection.close()  # a new one starts with the ordinary time-outs
