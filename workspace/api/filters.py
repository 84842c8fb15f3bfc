"""What lists of the API can be narrowed by; every value is checked by its type."""

from __future__ import annotations

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from accounts.models import Account, Assignment, Contact, Subscription
from accounts.models.customers import today
from metrics.models import Band
from team.models import User


class AccountFilter(django_filters.FilterSet):
    csm = django_filters.ModelChoiceFilter(
        queryset=User.objects.all(), method="held_by", label="Id of the user who holds the account today."
    )
    segment = django_filters.CharFilter(max_length=60)
    plan = django_filters.CharFilter(field_name="plan__code", max_length=100, label="Code of the plan.")
    stage = django_filters.CharFilter(field_name="lifecycle_stage", max_length=60)
    band = django_filters.ChoiceFilter(field_name="health__band", choices=Band.choices)
    score_min = django_filters.NumberFilter(
        field_name="health__score", lookup_expr="gte", min_value=0, max_value=100
    )
    score_max = django_filters.NumberFilter(
        field_name="health__score", lookup_expr="lte", min_value=0, max_value=100
    )
    mrr_min = django_filters.NumberFilter(field_name="mrr", lookup_expr="gte", min_value=0, max_value=10**12)
    mrr_max = django_filters.NumberFilter(field_name="mrr", lookup_expr="lte", min_value=0, max_value=10**12)
    renewal_before = django_filters.DateFilter(field_name="renews_on", lookup_expr="lt")
    is_customer = django_filters.BooleanFilter()
    search = django_filters.CharFilter(
        method="named", max_length=100, label="Part of the name, or an external id."
    )

    class Meta:
        model = Account
        fields: list[str] = []

    @extend_schema_field(OpenApiTypes.INT)
    def held_by(self, queryset: QuerySet[Account], name: str, user: User) -> QuerySet[Account]:
        held = Assignment.objects.filter(account=OuterRef("pk"), user=user, kind=Assignment.Kind.CSM)
        return queryset.filter(Exists(held.in_force(today())))

    def named(self, queryset: QuerySet[Account], name: str, text: str) -> QuerySet[Account]:
        return queryset.filter(Q(name__icontains=text) | Q(external_ids__external_id=text)).distinct()


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
