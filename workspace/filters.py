"""Which accounts are meant: the same filters for the portfolio, its export, its bulk actions and the API.

Every parameter goes through a typed field, so nothing a visitor types reaches the database unread.
A value that is no choice is not an error here: nothing has it, so nothing is found.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import django_filters
from django import forms
from django.core.cache import cache
from django.utils import timezone

from accounts.fields import EARLIEST, LATEST
from accounts.models import Account, AccountQuerySet, Assignment, Plan
from csplatform.periods import day_of
from playbooks.tasking import people_to_ask

HIGHEST_MONEY = Decimal(10) ** 12
CHOICES_KEPT_SECONDS = 60

BANDS = [
    ("red", "At risk"),
    ("yellow", "Watch"),
    ("green", "Healthy"),
    ("insufficient_data", "Not enough data"),
    ("not_scored", "Not scored"),
]


class BoundedDate(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def clean(self, value: Any) -> date | None:
        day: date | None = super().clean(value)
        if day is not None and not EARLIEST <= day <= LATEST:
            raise forms.ValidationError(f"Write a date from {EARLIEST} to {LATEST}.")
        return day


class BoundedDateFilter(django_filters.Filter):
    field_class = BoundedDate


class OneOfFilter(django_filters.CharFilter):
    """A text that has to be equal; the form offers what occurs as a list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, max_length=200, widget=forms.Select(), **kwargs)


def points(**kwargs: Any) -> django_filters.NumberFilter:
    return django_filters.NumberFilter(min_value=0, max_value=100, max_digits=5, decimal_places=2, **kwargs)


def money(**kwargs: Any) -> django_filters.NumberFilter:
    return django_filters.NumberFilter(
        min_value=0, max_value=HIGHEST_MONEY, max_digits=19, decimal_places=6, **kwargs
    )


class AccountFilter(django_filters.FilterSet):
    """Accounts by who looks after them, what they are, how they do, what they pay and when they renew."""

    search = django_filters.CharFilter(label="Search", method="by_text", max_length=200)
    status = django_filters.ChoiceFilter(
        label="Status",
        choices=[("customers", "Customers"), ("former", "Former customers"), ("all", "All accounts")],
        method="by_status",
        empty_label="Customers",
    )
    csm = OneOfFilter(label="CSM", method="by_csm")
    segment = OneOfFilter(label="Segment", field_name="segment")
    plan = OneOfFilter(label="Plan", field_name="plan__code")
    stage = OneOfFilter(label="Stage", field_name="lifecycle_stage")
    band = django_filters.ChoiceFilter(
        label="Health", field_name="health__band", choices=BANDS, empty_label="Any"
    )
    score_min = points(label="Score from", field_name="health__score", lookup_expr="gte")
    score_max = points(label="Score to", field_name="health__score", lookup_expr="lte")
    mrr_min = money(label="MRR from", field_name="mrr", lookup_expr="gte")
    mrr_max = money(label="MRR to", field_name="mrr", lookup_expr="lte")
    renewal_before = BoundedDateFilter(label="Renews before", field_name="renews_on", lookup_expr="lt")

    class Meta:
        model = Account
        fields: list[str] = []

    def by_text(self, accounts: AccountQuerySet, name: str, value: str) -> AccountQuerySet:
        return accounts.filter(name__icontains=value)

    def by_status(self, accounts: AccountQuerySet, name: str, value: str) -> AccountQuerySet:
        match value:
            case "former":
                return accounts.filter(is_customer=False, left_on__isnull=False)
            case "all":
                return accounts
            case _:
                return accounts.customers()

    def by_csm(self, accounts: AccountQuerySet, name: str, value: str) -> AccountQuerySet:
        held = Assignment.objects.filter(kind=Assignment.Kind.CSM).in_force(day_of(timezone.now()))
        if value == "none":
            return accounts.exclude(pk__in=held.values("account"))
        if value == "me":
            return accounts.filter(pk__in=held.filter(user=self.request.user.pk).values("account"))
        if not value.isascii() or not value.isdigit() or len(value) > 18:
            return accounts.none()
        return accounts.filter(pk__in=held.filter(user=int(value)).values("account"))


class PortfolioFilter(AccountFilter):
    """The same with the lists a form offers, and customers alone unless somebody asks for others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        people = [(str(person.pk), str(person)) for person in people_to_ask(user) if person.pk != user.pk]
        lists: dict[str, list[tuple[str, str]]] = {
            "csm": [("", "Anybody"), ("me", "Me"), *people, ("none", "Nobody")],
            **offered_values(user),
        }
        for name, choices in lists.items():
            self.form.fields[name].widget.choices = choices
            # The chips over the table read a field's choices to say a value in words.
            self.form.fields[name].choices = choices

    def filter_queryset(self, queryset: AccountQuerySet) -> AccountQuerySet:
        accounts: AccountQuerySet = super().filter_queryset(queryset)
        return accounts if self.form.cleaned_data.get("status") else accounts.customers()


def offered_values(user: Any) -> dict[str, list[tuple[str, str]]]:
    """Return the segments, plans and stages among the accounts a user sees, looked up once a minute."""
    key = f"workspace.offered_values.{user.pk}.{user.role}.{user.team_id}"
    kept: dict[str, list[tuple[str, str]]] | None = cache.get(key)
    if kept is None:
        seen = Account.objects.visible_to(user).order_by()
        plans = Plan.objects.filter(pk__in=seen.filter(plan__isnull=False).values("plan"))
        kept = {"segment": [("", "Any")], "plan": [("", "Any")], "stage": [("", "Any")]}
        for name, column in (("segment", "segment"), ("stage", "lifecycle_stage")):
            values = seen.exclude(**{column: ""}).values_list(column, flat=True).distinct()
            kept[name] += [(value, value) for value in sorted(values[:200])]
        kept["plan"] += [(plan.code, plan.name) for plan in plans.order_by("product", "level", "name")[:200]]
        cache.set(key, kept, CHOICES_KEPT_SECONDS)
    return kept
