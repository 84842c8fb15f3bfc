"""Telling a worker to look now. Nothing depends on it: the next look is seconds away.

The broker is spoken to by a thread of its own. A request therefore never waits for it, be
it gone, slow, or accepting connections without ever answering.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction

from team.work.registry import LONGEST

log = structlog.get_logger(__name__)

# After a failure we leave the broker alone for a while: the scheduler's wake-ups do instead.
QUIET_SECONDS = 5.0


class _Hinter:
    """One background thread per process, started with the first hint."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lanes: set[str] = set()
        self.quiet_until = 0.0
        self.asked = threading.Condition()
        threading.Thread(target=self._send_forever, name="work-hints", daemon=True).start()

    def ask(self, lane: str) -> None:
        with self.asked:
            if time.monotonic() >= self.quiet_until:
                self.lanes.add(lane)
                self.asked.notify()

    def _send_forever(self) -> None:
        while True:
            with self.asked:
                self.asked.wait_for(lambda: self.lanes)
                lanes, self.lanes = self.lanes, set()
            try:
                for lane in lanes:
                    send_wake(lane)
            except Exception as error:  # whatever the broker does, it must not end this thread
                self.quiet_until = time.monotonic() + QUIET_SECONDS
                log.warning("broker not reached; workers look by themselves", error=str(error))


_hinter: _Hinter | None = None
_starting = threading.Lock()


def send_wake(lane: str) -> None:
    """Publish one wake-up; raises what the broker client raises."""
    current_app.send_task(
        "team.wake", args=[lane], queue=lane, retry=False, expires=60, time_limit=wake_limit(lane)
    )


def wake_limit(lane: str) -> int:
    """Seconds after which a worker process that hangs is killed."""
    return LONGEST[lane] + 30


def hint(lane: str) -> None:
    """Tell the workers of this lane that there is something to do. Returns at once, never raises."""
    global _hinter
    if not settings.CELERY_BROKER_URL:
        return
    if _hinter is None or _hinter.pid != os.getpid():  # threads don't survive a fork
        with _starting:
            if _hinter is None or _hinter.pid != os.getpid():
                _hinter = _Hinter()
    _hinter.ask(lane)


_HINTS: dict[str, Callable[[], None]] = {lane: partial(hint, lane) for lane in LONGEST}


def hint_on_commit(lane: str) -> None:
    """Hint when the caller's transaction commits; once, however many rows it enqueues."""
    connection = transaction.get_connection()
    call = _HINTS[lane]
    sids = set(connection.savepoint_ids)
    if any(function is call and known == sids for known, function, _ in connection.run_on_commit[-4:]):
        return
    transaction.on_commit(call, robust=True)
