"""What only time changes about accounts."""

from __future__ import annotations

from django.utils import timezone

from accounts import ledger
from csplatform.periods import day_of
from team.work import Work, every, handles


@every("copies of the ledger for the new day", cron="5 0 * * *", kind="accounts.refresh_copies")
@handles("accounts.refresh_copies", lane="slow", time_limit=3600, atomic=False)
def refresh_copies(work: Work) -> None:
    """Terms that began or ended at midnight change MRR and renewal dates without a new fact."""
    ledger.refresh_all_copies(day=day_of(timezone.now()))


@handles("accounts.refresh_after_rate", lane="slow", time_limit=3600, atomic=False)
def refresh_after_rate(work: Work) -> None:
    """A rate was recorded: the copies of whoever pays in that currency are not those of midnight any more."""
    ledger.refresh_mrr(work.payload["currency"], day=day_of(timezone.now()))
