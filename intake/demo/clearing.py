"""Empties what customers' facts fill, and nothing else: users, teams and settings stay."""

from __future__ import annotations

from django.apps import apps
from django.db import connection, models, transaction

from accounts.models import Account, Cost, ExchangeRate, Plan, Product
from metrics.models import KpiSnapshot
from surveys.models import Survey
from tickets.models import TicketSource
from usage.models import Event

# Customer data that no foreign key says to belong to an account.
LOOSE: tuple[type[models.Model], ...] = (
    Cost,
    Event,
    ExchangeRate,
    KpiSnapshot,
    Product,
    Survey,
    TicketSource,
)
OURS = {"accounts", "usage", "tickets", "surveys", "metrics", "playbooks", "intake", "workspace"}


def customer_tables() -> list[type[models.Model]]:
    """Return the tables of customers' facts and what cannot be without them, children first."""
    ours = [model for model in apps.get_models() if model._meta.app_label in OURS]
    chosen: set[type[models.Model]] = {Account, Plan, *LOOSE}
    grown = True
    while grown:
        grown = False
        for model in ours:
            if model not in chosen and any(parent in chosen for parent in _needs(model)):
                chosen.add(model)
                grown = True
    ordered: list[type[models.Model]] = []
    while chosen:
        free = {m for m in chosen if not any(m in _needs(other) - {other} for other in chosen)}
        if not free:
            raise RuntimeError(f"These tables need each other: {sorted(m.__name__ for m in chosen)}")
        ordered += sorted(free, key=lambda m: m._meta.label)
        chosen -= free
    return ordered


def _needs(model: type[models.Model]) -> set[type[models.Model]]:
    return {
        field.related_model
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey)
        and field.remote_field.on_delete in (models.CASCADE, models.PROTECT, models.RESTRICT)
    }


@transaction.atomic
def clear_customer_data() -> None:
    """Delete all rows of the customer tables; whatever else points at them forgets them."""
    tables = customer_tables()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
    for model in set(apps.get_models()) - set(tables):
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey) and field.null and field.related_model in tables:
                model._base_manager.filter(**{f"{field.name}__isnull": False}).update(**{field.name: None})
    for model in tables:
        query = model._base_manager.all()
        query._raw_delete(using=query.db)
