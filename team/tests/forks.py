"""Run as a program: workers that are forked, so that a hundred of them can be killed in seconds.

    python -m team.tests.forks kill KIND ITEMS KILLS
    python -m team.tests.forks mail ITEMS KILLS
    python -m team.tests.forks tick PROCESSES SECONDS

Prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import django
from django.db import connection, connections, transaction
from django.utils import timezone


def fork(run: Callable[[], Any]) -> int:
    connections.close_all()
    pid = os.fork()
    if pid:
        return pid
    try:
        run()
    finally:
        os._exit(0)


def worker() -> None:
    from team import work

    while True:
        work.drain("fast", seconds=5)
        time.sleep(0.01)


def work_under_fire(kills: int) -> None:
    """Have two workers work, kill them at random moments, and let the last ones finish."""
    from team.models import Work

    chance = random.Random(7)
    pids = [fork(worker), fork(worker)]
    for _ in range(kills):
        time.sleep(chance.uniform(0.01, 0.12))
        os.kill(victim := pids.pop(0), signal.SIGKILL)
        os.waitpid(victim, 0)
        pids.append(fork(worker))
    unfinished = Work.objects.filter(state__in=["queued", "claimed"])
    end = time.monotonic() + 60
    while unfinished.exists() and time.monotonic() < end:
        Work.objects.filter(state="queued").update(due_at=timezone.now())  # no pauses here
        time.sleep(0.1)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def mail(items: int, kills: int) -> dict[str, Any]:
    """Decide so many mails; kill workers at random moments; say what became of each mail."""
    from team.mail import send_later
    from team.models import Mail, User, Work

    ada = User.objects.create_user("ada@example.com", name="Ada")
    with transaction.atomic():
        for item in range(items):
            send_later("extra.greeting", str(item), user=ada)
    work_under_fire(kills)
    return {
        "states": dict(Mail.objects.values_list("pk", "state")),
        "retried": Work.objects.filter(kind="team.send_mail", attempts__gt=1).count(),
    }


def kill(kind: str, items: int, kills: int) -> dict[str, Any]:
    """Queue so many items; kill workers at random moments; let the last ones finish."""
    from team.models import Work
    from team.work import enqueue

    with transaction.atomic():
        for item in range(items):
            enqueue(kind, payload={"item": item})
    work_under_fire(kills)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT item) FROM effect WHERE kind = %s", [kind])
        effects, distinct = cursor.fetchone()
    return {
        "effects": effects,
        "items": distinct,
        "done": Work.objects.filter(kind=kind, state="done").count(),
        "retried": Work.objects.filter(kind=kind, attempts__gt=1).count(),
    }


def tick(processes: int, seconds: float) -> dict[str, Any]:
    """Let several schedulers look at the clock at once; count rows and slots."""
    from team.models import Work
    from team.work import run_due
    from team.work import tick as look

    def look_often() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            look()
            run_due("fast")

    for pid in [fork(look_often) for _ in range(processes)]:
        os.waitpid(pid, 0)
    slots = [row.payload["slot"] for row in Work.objects.filter(kind="extra.scheduled")]
    return {"rows": len(slots), "slots": len(set(slots))}


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "kill":
        print(json.dumps(kill(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))  # noqa: T201
    elif sys.argv[1] == "mail":
        print(json.dumps(mail(int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201
    else:
        print(json.dumps(tick(int(sys.argv[2]), float(sys.argv[3]))))  # noqa: T201
