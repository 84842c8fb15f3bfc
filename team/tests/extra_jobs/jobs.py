"""Each job leaves a row in `effect`, a table without any rule: what is done twice is seen twice."""

from __future__ import annotations

import time

from django.db import connection

from team.mail import Letter, composes
from team.models import Mail, Work
from team.work import every, handles


def leave_effect(work: Work) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO effect (kind, item) VALUES (%s, %s)", [work.kind, work.payload["item"]])


@handles("extra.once", max_attempts=100)
def once(work: Work) -> None:
    leave_effect(work)
    time.sleep(0.003)  # a moment in which to be killed


@handles("extra.repeatable", max_attempts=100, atomic=False)
def repeatable(work: Work) -> None:
    time.sleep(0.003)
    leave_effect(work)


@handles("extra.long", lane="slow", atomic=False)
def long(work: Work) -> None:
    time.sleep(work.payload["seconds"])


@handles("extra.poison", max_attempts=2)
def poison(work: Work) -> None:
    leave_effect(work)
    raise ValueError("this item cannot be done")


@handles("extra.scheduled")
def scheduled(work: Work) -> None:
    pass


@composes("extra.greeting")
def greet(mail: Mail) -> Letter:
    return Letter(f"Hello {mail.key}", "Good morning.")


every("extra", seconds=1, kind="extra.scheduled")
