"""Writing down that we dealt with a customer: one way for pages, API and playbooks."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts import due
from accounts.models import Account, Contact, Touch
from team.models import User


@transaction.atomic
def log_touch(
    account: Account,
    *,
    by: User,
    kind: str,
    notes: str,
    happened_at: datetime,
    contact: Contact | None = None,
) -> Touch:
    """Record a call, a meeting, a note; the account's health is worked out again soon after.

    Raises ValidationError naming the field when the contact works elsewhere or a value is no choice.
    """
    if contact is not None and contact.account_id != account.pk:
        raise ValidationError({"contact": f"{contact} is not a contact of {account}."})
    touch = Touch(account=account, contact=contact, user=by, kind=kind, notes=notes, happened_at=happened_at)
    touch.full_clean(
        exclude=["account", "contact", "user"], validate_unique=False, validate_constraints=False
    )
    touch.save()
    due.mark_due([account.pk])
    return touch
