"""What scores and numbers ask of the work queue: due accounts at once, the rest every night."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import structlog
from django.db import DatabaseError
from django.dispatch import receiver
from django.utils import timezone

from accounts.due import accounts_became_due
from csplatform.periods import day_of
from metrics import forecasting, rollups, snapshots
from metrics.health import scores
from metrics.models import KpiSnapshot
from team.work import Work, enqueue, every, handles

# After an import of everybody the pass takes longer than others of the fast lane like to wait.
TURN_SECONDS = 15
# Figures are worked out in short turns: an import, a mail or a score that waits comes between them.
FIGURES_SECONDS = 5
SLOW_FIGURES_SECONDS = 10
NIGHT_SECONDS = 2.5 * 60 * 60

log = structlog.get_logger(__name__)


@receiver(accounts_became_due, dispatch_uid="metrics.score_due")
def score_them_soon(**kwargs: Any) -> None:
    """Facts changed: ask for the pass. The facts are committed already, so nothing here may fail them."""
    try:
        enqueue("metrics.score_due", key="due")
    except DatabaseError as error:
        log.warning("due accounts wait for the next look", error=str(error).strip())


@every("due accounts nobody asked about are scored", seconds=10, kind="metrics.score_due")
@handles("metrics.score_due", atomic=False)
def score_due(work: Work) -> None:
    passed = scores.score_due(seconds=TURN_SECONDS)
    if scores.some_are_due():
        enqueue("metrics.score_due", key="due")
    if passed.checked:
        log.info("due accounts scored", accounts=passed.checked, changed=passed.written)


# After midnight's refresh of the copies: what only time changes, such as days without contact.
@every("every account is scored at night", cron="40 1 * * *", kind="metrics.score_all")
@handles("metrics.score_all", lane="slow", time_limit=3 * 60 * 60, atomic=False)
def score_all(work: Work) -> None:
    passed = scores.score_all()
    log.info("all accounts scored", accounts=passed.checked, changed=passed.written, failed=passed.failed)


@every("what becomes of open contract terms is forecast", cron="5 * * * *", kind="metrics.forecast_renewals")
@handles("metrics.forecast_renewals", lane="slow", time_limit=30 * 60, atomic=False)
def forecast_renewals(work: Work) -> None:
    """Every hour, since terms are decided by day; a row is written only for what is new."""
    said = forecasting.say(timezone.now())
    log.info("renewals forecast", said=said)


@every("the running month's figures follow the facts", seconds=20, kind="metrics.refresh_totals")
@handles("metrics.refresh_totals", time_limit=60, atomic=False)
def refresh_totals(work: Work) -> None:
    """What is looked at most must not wait for an import in the other lane."""
    rollups.refresh(seconds=FIGURES_SECONDS, rows=partial(rollups.due, most_urgent_only=True))


@every("stored figures follow the facts", seconds=20, kind="metrics.refresh_rollups")
@handles("metrics.refresh_rollups", lane="slow", time_limit=15 * 60, atomic=False)
def refresh_rollups(work: Work) -> None:
    """In turns, so that imports get theirs between them."""
    began = time.monotonic()
    is_planned = rollups.plan_if_needed(timezone.now(), seconds=SLOW_FIGURES_SECONDS)
    done = rollups.refresh(seconds=SLOW_FIGURES_SECONDS - (time.monotonic() - began))
    if not is_planned or rollups.due(timezone.now()).exists():
        enqueue("metrics.refresh_rollups", key="rollups")
    if done.counted or done.failed:
        log.info("figures worked out", counted=done.counted, changed=done.changed, failed=done.failed)


# After the scores, when yesterday is over in the workspace's time zone.
@every("KPIs are stored at night", cron="10 2 * * *", kind="metrics.store_kpis")
@handles("metrics.store_kpis", lane="slow", time_limit=3 * 60 * 60, atomic=False)
def store_kpis(work: Work) -> None:
    """Bring everything up to date first, so that the night's figures lack no fact of the day."""
    now = timezone.now()
    rollups.plan(day_of(now))
    rollups.refresh(seconds=NIGHT_SECONDS, rows=rollups.due_now)
    said = snapshots.say_all(now)
    log.info("KPIs stored", said=said)
    snapshots.kpis_stored.send(sender=KpiSnapshot, now=now)


@handles("metrics.store_kpi", lane="slow", time_limit=60 * 60, atomic=False)
def store_kpi(work: Work) -> None:
    """Work out the past of one KPI, which was defined anew."""
    slug = work.payload["kpi"]
    rollups.plan(day_of(timezone.now()))
    rollups.refresh(rows=lambda now: rollups.due_now(now).filter(kpi=slug))
