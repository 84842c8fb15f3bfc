"""What follows on all tickets from a change of the calendar."""

from __future__ import annotations

from django.utils import timezone

from team.work import Work, handles
from tickets import handling


@handles("tickets.measure", lane="slow", time_limit=3 * 60 * 60, atomic=False)
def measure(work: Work) -> None:
    handling.measure_all(timezone.now())
