"""Checks what is copied onto tickets against their events and messages; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from tickets import handling
from tickets.models import Ticket


def _copies(ids: list[int]) -> dict[int, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in Ticket.objects.filter(pk__in=ids).values_list("pk", *handling.COPIES)}


def differences() -> Iterator[str]:
    """Yield a sentence for each ticket whose copies are not what its events say."""
    ids = list(Ticket.objects.order_by("pk").values_list("pk", flat=True))
    for at in range(0, len(ids), handling.BATCH):
        batch = ids[at : at + handling.BATCH]
        stored = _copies(batch)
        with transaction.atomic():
            handling.refresh(batch)
            worked_out = _copies(batch)
            transaction.set_rollback(True)
        for pk in batch:
            for name, old, new in zip(handling.COPIES, stored[pk], worked_out[pk], strict=True):
                if old != new:
                    yield f"Ticket {pk}: {name} is stored as {old}, its events say {new}."
