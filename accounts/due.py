"""The one way to say that an account's facts changed.

`metrics` works the scores of due accounts out again; it hears of them through the signal,
so that this app need not know it.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from accounts.models import DueAccount

# Sent once the marks are committed. No payload: the rows say which accounts are due.
accounts_became_due = Signal()


def mark_due(account_ids: Iterable[int]) -> None:
    """Mark accounts whose facts changed, in the caller's transaction."""
    ids = sorted(set(account_ids))  # sorted: two markers lock rows in the same order
    if not ids:
        return
    now = timezone.now()
    DueAccount.objects.bulk_create(
        [DueAccount(account_id=pk, marked_at=now) for pk in ids],
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["marked_at"],
        batch_size=5_000,
    )
    transaction.on_commit(lambda: accounts_became_due.send(sender=DueAccount))
