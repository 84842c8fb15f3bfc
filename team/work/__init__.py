"""Work that must not be lost: a queue in our own database.

Whoever decides that something has to happen (a mail, a recomputation, an export) writes a
row with `enqueue` in the same transaction as the decision. A worker claims the row, runs
the function that `handles` its kind, and marks it done. Celery carries no work: it only
wakes a worker earlier than its next look at the table.

    # accounts/jobs.py
    @handles("accounts.check_ledger", lane="slow", time_limit=600)
    def check_ledger(work: Work) -> None: ...

    every("nightly ledger check", cron="15 2 * * *", kind="accounts.check_ledger")

    # anywhere
    enqueue("accounts.check_ledger", key=f"account:{account.pk}", payload={"account": account.pk})

Each app's `jobs.py` is imported when Django starts, in every process. Payloads hold ids and
plain values, no personal data: rows are kept for a week and shown to admins.
"""

from team.models import Work
from team.work.hints import hint
from team.work.queue import cancel, enqueue, prune, release_expired, replay
from team.work.registry import HANDLERS, SCHEDULES, every, handles
from team.work.running import OutOfTimeError, drain, run_due
from team.work.schedule import tick

__all__ = [
    "HANDLERS",
    "SCHEDULES",
    "OutOfTimeError",
    "Work",
    "cancel",
    "drain",
    "enqueue",
    "every",
    "handles",
    "hint",
    "prune",
    "release_expired",
    "replay",
    "run_due",
    "tick",
]
