"""The clock: turns each slot that has come into one row, whoever looks and how often."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from team.models import Heartbeat, ScheduledJob
from team.work.queue import enqueue, release_expired
from team.work.registry import SCHEDULES

SCHEDULER = "scheduler"
BEAT_EVERY = timedelta(seconds=10)


def tick(now: datetime | None = None) -> int:
    """Enqueue every job whose slot has come, put back what dead workers held; return how many."""
    now = now or timezone.now()
    release_expired(now)
    known = dict(ScheduledJob.objects.values_list("name", "last_slot_at"))
    enqueued = 0
    for name, job in SCHEDULES.items():
        slot = job.latest_slot(now)
        if name not in known:
            # Jobs by the clock wait for their first slot; the others begin at once.
            first = slot if job.cron else slot - timedelta(seconds=job.seconds)
            ScheduledJob.objects.bulk_create(
                [ScheduledJob(name=name, last_slot_at=first)], ignore_conflicts=True
            )
        elif known[name] >= slot:
            continue
        with transaction.atomic():
            # Two schedulers may both see the old slot; the row lets only one of them move it.
            if ScheduledJob.objects.filter(name=name, last_slot_at__lt=slot).update(last_slot_at=slot):
                enqueue(job.kind, key=f"every: {name}", payload={**job.payload, "slot": slot.isoformat()})
                enqueued += 1
    Heartbeat.beat(SCHEDULER, now, unless_within=BEAT_EVERY)
    return enqueued
