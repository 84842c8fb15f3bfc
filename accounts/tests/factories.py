"""The smallest valid customers; a test names only what it is about."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from accounts import ledger
from accounts.models import Account, Assignment, Plan, Product, Subscription, SubscriptionTerms
from team.models import User


def make_user(name: str, role: str = User.Role.CSM, **fields: Any) -> User:
    return User.objects.create_user(f"{name.lower()}@example.com", name=name, role=role, **fields)


def make_account(name: str = "Acme", *, csm: User | None = None, **fields: Any) -> Account:
    account = Account.objects.create(name=name, **fields)
    if csm:
        Assignment.objects.create(account=account, user=csm, starts_on=date(2020, 1, 1))
    return account


def make_plan(code: str, *, product: str = "suite", **fields: Any) -> Plan:
    sold, _ = Product.objects.get_or_create(code=product, defaults={"name": product.title()})
    return Plan.objects.get_or_create(code=code, defaults={"name": code.title(), "product": sold, **fields})[
        0
    ]


def subscribe(
    account: Account,
    amount: str | int | Decimal,
    starts_on: date,
    ends_on: date | None = None,
    *,
    kind: str = Subscription.Kind.RECURRING,
    plan: Plan | None = None,
    term_ends_on: date | None = None,
    recorded_at: datetime | None = None,
    **terms: Any,
) -> Subscription:
    """Sell a line at `amount` a month (or per `interval`) and bring the ledger up to date."""
    recorded = {"recorded_at": recorded_at} if recorded_at else {}
    subscription = Subscription.objects.create(
        account=account,
        starts_on=starts_on,
        ends_on=ends_on,
        term_ends_on=term_ends_on,
        kind=kind,
        **recorded,
    )
    SubscriptionTerms.objects.create(
        subscription=subscription,
        effective_on=starts_on,
        unit_price=Decimal(amount),
        plan=plan,
        **recorded,
        **terms,
    )
    ledger.derive([account.pk], recorded_at=recorded_at)
    return subscription


def change_terms(
    subscription: Subscription, effective_on: date, *, recorded_at: datetime | None = None, **changes: Any
) -> SubscriptionTerms:
    """Agree other terms from a day on; what is not named stays as it was."""
    old = subscription.terms.order_by("effective_on", "recorded_at", "pk").last()
    assert old is not None
    for name, value in changes.items():
        setattr(old, name, value)
    old.pk, old.effective_on = None, effective_on
    if recorded_at:
        old.recorded_at = recorded_at
    old.save(force_insert=True)
    ledger.derive([subscription.account_id], recorded_at=recorded_at)
    return old
