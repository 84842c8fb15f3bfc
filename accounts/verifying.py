"""Checks the ledger and the copies against the subscriptions they follow from; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import ledger
from accounts.models import Account, Movement
from csplatform.periods import day_of

COPIES = ("mrr", "is_customer", "joined_on", "left_on", "renews_on", "plan_id")


def differences() -> Iterator[str]:
    """Yield a sentence for each account whose ledger or copies are not what its facts say.

    The ledger is derived again in a transaction that is rolled back.
    """
    ids = Account.objects.order_by("pk").values_list("pk", flat=True)
    for batch in ledger.in_batches(ids.iterator(chunk_size=ledger.BATCH)):
        yield from _of_batch(batch)


def _copies(ids: list[int]) -> dict[int, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in Account.objects.filter(pk__in=ids).values_list("pk", *COPIES)}


def _of_batch(ids: list[int]) -> list[str]:
    found: list[str] = []
    with transaction.atomic():
        # Copies speak about today: after midnight and before the night's job they may lag a day.
        ledger.refresh_copies(ids, day=day_of(timezone.now()))
        refreshed = _copies(ids)
        transaction.set_rollback(True)
    for pk, stored in _copies(ids).items():
        for name, old, new in zip(COPIES, stored, refreshed[pk], strict=True):
            if old != new:
                found.append(f"Account {pk}: {name} is stored as {old}, the ledger says {new}.")
    with transaction.atomic():
        last = Movement.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        ledger.derive(ids)
        for move in Movement.objects.filter(pk__gt=last, account__in=ids).order_by("pk"):
            found.append(
                f"Account {move.account_id}: the ledger lacks {move.kind} {move.delta} {move.currency} "
                f"on {move.effective_on}."
            )
        transaction.set_rollback(True)
    return found
