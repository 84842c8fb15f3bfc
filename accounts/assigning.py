"""Handing accounts over from one CSM to another, set-based, and taking a hand-over back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction

from accounts.bulk import update_rows
from accounts.models import Assignment
from team.models import User

DAY = timedelta(days=1)


@dataclass(frozen=True)
class HandOver:
    """What happened to one account's assignment, enough to take it back.

    `ended` is the assignment cut short the day before, `ended_on` its last day until then (ISO).
    `added` is the new assignment. When the old one began that same day it was handed on in
    place: `added` is that row, and `was_user` who held it.
    """

    account: int
    added: int
    ended: int | None = None
    ended_on: str | None = None
    was_user: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@transaction.atomic
def hand_over(account_ids: Iterable[int], *, to: User, on: date) -> list[HandOver]:
    """Make `to` the CSM of these accounts from `on`; accounts they hold already are left alone.

    A later assignment that is planned stays: the new one then ends the day before it. Four
    queries and two bulk writes, however many accounts there are.
    """
    ids = sorted(set(account_ids))
    of_csm = Assignment.objects.filter(account__in=ids, kind=Assignment.Kind.CSM)
    current = {row.account_id: row for row in of_csm.in_force(on).select_for_update()}
    following: dict[int, date] = {}
    for account, starts_on in of_csm.filter(starts_on__gt=on).values_list("account", "starts_on"):
        following[account] = min(starts_on, following.get(account, starts_on))

    changed: list[Assignment] = []
    added: list[Assignment] = []
    before: dict[int, tuple[int | None, date | None, int | None]] = {}
    for account in ids:
        old = current.get(account)
        if old is not None and old.user_id == to.pk:
            continue
        ends_on = old.ends_on if old is not None else None
        if ends_on is None and account in following:
            ends_on = following[account] - DAY
        if old is None:
            before[account] = (None, None, None)
        elif old.starts_on == on:
            before[account] = (None, None, old.user_id)
            old.user = to
            changed.append(old)
            continue
        else:
            before[account] = (old.pk, old.ends_on, None)
            old.ends_on = on - DAY
            changed.append(old)
        added.append(Assignment(account_id=account, user=to, starts_on=on, ends_on=ends_on))
    update_rows(changed, ["user", "ends_on"])
    Assignment.objects.bulk_create(added, batch_size=1_000)

    new_rows = {row.account_id: row.pk for row in [*added, *(row for row in changed if row.starts_on == on)]}
    return [
        HandOver(
            account=account,
            added=new_rows[account],
            ended=ended,
            ended_on=ended_on.isoformat() if ended_on else None,
            was_user=was_user,
        )
        for account, (ended, ended_on, was_user) in before.items()
    ]


@transaction.atomic
def take_back(hand_overs: Sequence[HandOver], *, to: User) -> int:
    """Undo hand-overs to `to` and return how many; those somebody changed since stay as they are."""
    rows = Assignment.objects.select_for_update().in_bulk(
        [pk for done in hand_overs for pk in (done.added, done.ended) if pk]
    )
    changed: list[Assignment] = []
    unwanted: list[int] = []
    for done in hand_overs:
        new = rows.get(done.added)
        old = rows.get(done.ended) if done.ended else None
        if new is None or new.user_id != to.pk or new.account_id != done.account:
            continue
        if done.was_user is not None:
            new.user_id = done.was_user
            changed.append(new)
            continue
        if done.ended is not None:
            if old is None or old.ends_on != new.starts_on - DAY:
                continue
            old.ends_on = date.fromisoformat(done.ended_on) if done.ended_on else None
            changed.append(old)
        unwanted.append(new.pk)
    Assignment.objects.filter(pk__in=unwanted).delete()
    update_rows(changed, ["user", "ends_on"])
    return len(unwanted) + sum(row.pk in {done.added for done in hand_overs} for row in changed)
