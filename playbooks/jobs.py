"""What follows from stored numbers: alerts on those that fell behind."""

from __future__ import annotations

from typing import Any

import structlog
from django.dispatch import receiver
from django.utils import timezone

from metrics.snapshots import kpis_stored
from playbooks import alerting
from team.work import Work, enqueue, every, handles

log = structlog.get_logger(__name__)


@receiver(kpis_stored, dispatch_uid="playbooks.judge")
def judge_them(**kwargs: Any) -> None:
    """Numbers of finished days are stored: see which of them crossed their targets."""
    enqueue("playbooks.raise_alerts", key="alerts")


# Usually there is nothing left to do by then: this is for nights in which numbers could not be stored.
@every("alerts are raised in the morning", cron="30 5 * * *", kind="playbooks.raise_alerts")
@handles("playbooks.raise_alerts", lane="slow", time_limit=60 * 60, atomic=False)
def raise_alerts(work: Work) -> None:
    raised = alerting.raise_alerts(timezone.now())
    log.info("alerts raised", alerts=len(raised))
