"""The way back from a bulk action or a deletion, kept in the session of whoever did it.

Each kind of action names a function that takes it back; the function checks again what its
user may do, since rights may have changed in the meantime.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import date
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.assigning import HandOver, take_back
from accounts.models import Account
from metrics.models import Annotation, Target, may_annotate
from playbooks.answers import changed
from playbooks.models import Task
from team.models import User
from team.requests import StaffRequest

KEPT = 5
_SESSION_KEY = "undo"


def remember(request: StaffRequest, kind: str, data: Any) -> str:
    """Keep what is needed to take an action back and return the address that does it."""
    key = secrets.token_urlsafe(9)
    kept = [*request.session.get(_SESSION_KEY, []), [key, kind, data]]
    request.session[_SESSION_KEY] = kept[-KEPT:]
    return reverse("workspace:undo", args=[key])


def _undo_hand_over(user: User, data: Any) -> str:
    to = User.objects.filter(pk=data["to"]).first()
    if to is None:
        return "Nothing could be taken back."
    mine = set(
        Account.objects.editable_by(user)
        .filter(pk__in=[row["account"] for row in data["rows"]])
        .values_list("pk", flat=True)
    )
    # A manager who handed accounts to another team doesn't see them any more, but may take back
    # what they did themselves: the session they did it in is the proof.
    allowed = user.is_admin or user.role == User.Role.MANAGER
    rows = [HandOver(**row) for row in data["rows"] if allowed or row["account"] in mine]
    return f"{take_back(rows, to=to)} hand-overs taken back."


def _undo_tasks(user: User, data: Any) -> str:
    number, _ = Task.objects.open().filter(pk__in=data["tasks"], created_by=user).delete()
    return f"{number} tasks removed again."


def _undo_deleted_annotation(user: User, data: Any) -> str:
    if not may_annotate(user):
        return "Nothing could be taken back."
    day = date.fromisoformat(data["day"])
    Annotation.objects.create(day=day, text=data["text"], created_by_id=data["created_by"])
    return f"Back: {data['text']}"


def _undo_deleted_target(user: User, data: Any) -> str:
    if not user.is_admin:
        return "Nothing could be taken back."
    try:
        with transaction.atomic():
            target = Target.objects.create(**data, set_by=user)
    except IntegrityError:
        return "There is another target for this by now."
    return f"Back: {target}."


UNDO: dict[str, Callable[[User, Any], str]] = {
    "hand_over": _undo_hand_over,
    "tasks": _undo_tasks,
    "annotation": _undo_deleted_annotation,
    "target": _undo_deleted_target,
}


@login_required
@require_POST
def undo(request: StaffRequest, key: str) -> HttpResponse:
    """Take back an action of this session, once."""
    kept = request.session.get(_SESSION_KEY, [])
    found = next((entry for entry in kept if entry[0] == key), None)
    if found is None or not request.user.may_write:
        raise Http404
    request.session[_SESSION_KEY] = [entry for entry in kept if entry[0] != key]
    text = UNDO[found[1]](request.user, found[2])
    events: dict[str, Any] = {"portfolioChanged": {}, "annotationsChanged": {}, "targetsChanged": {}}
    return changed(request, text, fallback=reverse("workspace:portfolio"), events=events)
