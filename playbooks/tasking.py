"""Adding, finishing and taking back tasks: one way for pages, bulk actions and the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction

from accounts.models import Account, Assignment
from playbooks.models import Task
from team.models import User


def people_to_ask(user: User) -> Any:
    """Return the users whom `user` may give a task: their team, themselves, and for admins everybody."""
    people = User.objects.filter(is_active=True).exclude(role=User.Role.VIEWER)
    if user.is_admin:
        return people
    if user.team_id is None:
        return people.filter(pk=user.pk)
    return people.filter(team=user.team_id)


def csm_of(account: Account, day: date) -> User | None:
    """Return who looks after an account on a day."""
    held = (
        Assignment.objects.filter(account=account, kind=Assignment.Kind.CSM)
        .in_force(day)
        .select_related("user")
        .first()
    )
    return held.user if held else None


@transaction.atomic
def add_tasks(
    account_ids: Iterable[int],
    *,
    title: str,
    due_on: date,
    assignee: User | None,
    by: User,
    on: date,
    rule: str = "",
    fired_by: Mapping[str, Any] | None = None,
) -> list[Task]:
    """Add the same task for each account; without an assignee it goes to the account's CSM, else to `by`."""
    ids = sorted(set(account_ids))
    csms: dict[int, int] = {}
    if assignee is None:
        held = Assignment.objects.filter(account__in=ids, kind=Assignment.Kind.CSM).in_force(on)
        csms = dict(held.values_list("account", "user"))
    return Task.objects.bulk_create(
        [
            Task(
                account_id=pk,
                assignee_id=assignee.pk if assignee else csms.get(pk, by.pk),
                title=title,
                due_on=due_on,
                rule=rule,
                fired_by=dict(fired_by or {}),
                created_by=by,
            )
            for pk in ids
        ],
        batch_size=1_000,
    )


def complete(task: Task, *, at: datetime) -> bool:
    """Mark a task done; False when somebody else did it before."""
    changed = Task.objects.open().filter(pk=task.pk).update(state=Task.State.DONE, done_at=at)
    task.refresh_from_db(fields=["state", "done_at"])
    return bool(changed)


def reopen(task: Task) -> bool:
    """Take back that a task was done; False when it is open already."""
    changed = Task.objects.done().filter(pk=task.pk).update(state=Task.State.OPEN, done_at=None)
    task.refresh_from_db(fields=["state", "done_at"])
    return bool(changed)
