"""The queue's own work: proof that it moves, and its housekeeping."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from team import mail
from team.models import Heartbeat, IdempotentRequest, Work
from team.work import every, handles, prune


@every("heartbeat of the fast lane", seconds=10, kind="team.beat_fast")
@handles("team.beat_fast", max_attempts=1, time_limit=10)
def beat_fast(work: Work) -> None:
    Heartbeat.beat("fast", timezone.now())


@every("heartbeat of the slow lane", seconds=10, kind="team.beat_slow")
@handles("team.beat_slow", lane="slow", max_attempts=1, time_limit=10)
def beat_slow(work: Work) -> None:
    Heartbeat.beat("slow", timezone.now())


@every("old work is deleted", cron="20 3 * * *", kind="team.prune_work")
@handles("team.prune_work", lane="slow", time_limit=1800, atomic=False)
def prune_work(work: Work) -> None:
    prune()


@every("old answers to idempotency keys are deleted", cron="40 3 * * *", kind="team.prune_idempotent")
@handles("team.prune_idempotent", lane="slow", time_limit=600)
def prune_idempotent(work: Work) -> None:
    """Programs repeat a request within minutes or hours, not after a week."""
    IdempotentRequest.objects.filter(created_at__lt=timezone.now() - timedelta(days=7)).delete()


# Half an hour of pauses between the attempts outlasts most mail servers' "come back later".
@handles("team.send_mail", max_attempts=8, time_limit=110, atomic=False)
def send_mail(work: Work) -> None:
    mail.deliver(work.payload["mail"], is_last_attempt=work.attempts >= work.max_attempts)
