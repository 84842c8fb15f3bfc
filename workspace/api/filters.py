"""What lists of the API can be narrowed by; every value is checked by its type."""

from __future__ import annotations

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from accounts.models import (
    Account,
    AccountExternalId,
    AccountQuerySet,
    Assignment,
    Contact,
    Subscription,
)
from accounts.models.customers import today
from team.models import User
from workspace import filters


class AccountFilter(filters.AccountFilter):
    """The portfolio's filters; who is meant by `csm` is an id, and external ids are found too."""

    csm = django_filters.ModelChoiceFilter(
        queryset=User.objects.all(), method="held_by", label="Id of the user who holds the account today."
    )
    is_customer = django_filters.BooleanFilter()

    @extend_schema_field(OpenApiTypes.INT)
    def held_by(self, queryset: QuerySet[Account], name: str, user: User) -> QuerySet[Account]:
        held = Assignment.objects.filter(account=OuterRef("pk"), user=user, kind=Assignment.Kind.CSM)
        return queryset.filter(Exists(held.in_force(today())))

    def by_text(self, accounts: AccountQuerySet, name: str, value: str) -> AccountQuerySet:
        called = AccountExternalId.objects.filter(account=OuterRef("pk"), external_id=value)
        return accounts.filter(Q(name__icontains=value) | Exists(called))


class ContactFilter(django_filters.FilterSet):
    account = django_filters.NumberFilter(field_name="account_id", min_value=1, max_value=2**63 - 1)
    role = django_filters.ChoiceFilter(choices=Contact.Role.choices)
    email = django_filters.CharFilter(max_length=254)

    class Meta:
        model = Contact
        fields: list[str] = []


class SubscriptionFilter(django_filters.FilterSet):
    account = django_filters.NumberFilter(field_name="account_id", min_value=1, max_value=2**63 - 1)
    status = django_filters.ChoiceFilter(choices=Subscription.Status.choices)
    plan = django_filters.CharFilter(field_name="plan__code", max_length=100)
    term_ends_before = django_filters.DateFilter(field_name="term_ends_on", lookup_expr="lt")

    class Meta:
        model = Subscription
        fields: list[str] = []
