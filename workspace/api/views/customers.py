"""Accounts, contacts and subscriptions."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from rest_framework import mixins, viewsets

from accounts.models import Account, Assignment, Contact, Subscription
from accounts.models.customers import today
from workspace.api.filters import AccountFilter, ContactFilter, SubscriptionFilter
from workspace.api.reading import StrictFilters
from workspace.api.serializers import AccountSerializer, ContactSerializer, SubscriptionSerializer
from workspace.api.writing import KindWrites, with_writes


class Readable(StrictFilters, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    lookup_value_regex = r"\d{1,18}"


@with_writes
class AccountViewSet(KindWrites, Readable):
    """Customer organisations: who they are, who looks after them, what they pay, how they are."""

    kind = "accounts"
    queryset = Account.objects.none()
    serializer_class = AccountSerializer
    filterset_class = AccountFilter
    orderings = {
        "name": "name",
        "mrr": "mrr",
        "renews_on": "renews_on",
        "score": "health__score",
        "joined_on": "joined_on",
    }

    def get_queryset(self) -> QuerySet[Account]:
        held_now = (
            Assignment.objects.in_force(today()).filter(kind=Assignment.Kind.CSM).select_related("user")
        )
        return (
            Account.objects.visible_to(self.request.user)
            .select_related("plan", "health")
            .prefetch_related("external_ids", Prefetch("assignments", queryset=held_now, to_attr="held_now"))
        )

    def by_external_id(self, source: str, external_id: str) -> QuerySet[Account]:
        return self.get_queryset().filter(external_ids__source=source, external_ids__external_id=external_id)


@with_writes
class ContactViewSet(KindWrites, Readable):
    """People at customers."""

    kind = "contacts"
    queryset = Contact.objects.none()
    serializer_class = ContactSerializer
    filterset_class = ContactFilter
    orderings = {"name": "name", "email": "email"}

    def get_queryset(self) -> QuerySet[Contact]:
        return Contact.objects.visible_to(self.request.user)


@with_writes
class SubscriptionViewSet(KindWrites, Readable):
    """Lines of contracts; the revenue ledger follows from them."""

    kind = "subscriptions"
    queryset = Subscription.objects.none()
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilter
    orderings = {"starts_on": "starts_on", "term_ends_on": "term_ends_on", "mrr": "mrr"}

    def get_queryset(self) -> QuerySet[Subscription]:
        return Subscription.objects.visible_to(self.request.user).select_related("plan")
