"""The customers and everything about them, as admins look things up and put them right.

What the ledger and history rest on is shown and never edited here: a correction comes in as a
new fact, through an import, the API or a page.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db import models, transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import rates
from accounts.models import (
    Account,
    AccountExternalId,
    AccountTrait,
    Assignment,
    Charge,
    Contact,
    Cost,
    DueAccount,
    ExchangeRate,
    Milestone,
    Movement,
    OutcomeMetric,
    OutcomeValue,
    Plan,
    Product,
    Referral,
    Renewal,
    Subscription,
    SubscriptionTerms,
    Touch,
)


class ReadOnly:
    """Shows rows and changes none: for what is append-only, or kept by the platform itself."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ExternalIdInline(admin.TabularInline):  # type: ignore[type-arg]
    model = AccountExternalId
    extra = 0


class AssignmentInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Assignment
    extra = 0
    autocomplete_fields = ["user"]
    fields = ["kind", "user", "starts_on", "ends_on"]


class TraitInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = AccountTrait
    extra = 0
    fields = ["kind", "value", "starts_on", "ends_on"]


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "name",
        "segment",
        "plan",
        "lifecycle_stage",
        "is_customer",
        "mrr",
        "renews_on",
    ]
    list_filter = ["is_customer", "segment", "lifecycle_stage", "region"]
    list_select_related = ["plan"]
    search_fields = ["name", "external_ids__external_id"]
    autocomplete_fields = ["parent"]
    readonly_fields = [
        "plan", "mrr", "is_customer", "joined_on", "left_on", "renews_on", "created_at",
    ]  # fmt: skip
    inlines = [AssignmentInline, ExternalIdInline, TraitInline]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        """Deleting an account would take its ledger along, and with it last year's figures."""
        return False


@admin.register(Contact)
class ContactAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "account", "role", "title", "email", "left_on"]
    list_filter = ["role", ("left_on", admin.EmptyFieldListFilter)]
    list_select_related = ["account"]
    search_fields = ["name", "email", "account__name"]
    autocomplete_fields = ["account"]
    show_full_result_count = False


@admin.register(Assignment)
class AssignmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["account", "kind", "user", "starts_on", "ends_on"]
    list_filter = ["kind", ("ends_on", admin.EmptyFieldListFilter)]
    list_select_related = ["account", "user"]
    search_fields = ["account__name", "user__name", "user__email"]
    autocomplete_fields = ["account", "user"]
    show_full_result_count = False


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "code"]
    search_fields = ["name", "code"]


@admin.register(Plan)
class PlanAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "product", "level", "seats_included", "code"]
    list_filter = ["product"]
    list_select_related = ["product"]
    search_fields = ["name", "code"]
    autocomplete_fields = ["product"]


class TermsInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """Terms are never edited: a later row for the same day replaces an earlier one."""

    model = SubscriptionTerms
    extra = 0
    fields = [
        "effective_on", "recorded_at", "plan", "quantity", "unit_price", "currency", "interval",
        "interval_count", "discount_percent", "discount_amount", "discount_ends_on", "is_paused",
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).select_related("plan")


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Read-only: the ledger is derived from these rows by one function, which the admin does not call."""

    list_display = [
        "account",
        "plan",
        "kind",
        "quantity",
        "mrr",
        "currency",
        "status",
        "starts_on",
        "term_ends_on",
    ]
    list_filter = ["status", "kind", "currency"]
    list_select_related = ["account", "plan"]
    search_fields = ["account__name", "external_id"]
    inlines = [TermsInline]
    show_full_result_count = False


@admin.register(Movement)
class MovementAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "effective_on",
        "account",
        "kind",
        "sub_kind",
        "delta",
        "currency",
        "is_reversal",
        "recorded_at",
    ]
    list_filter = ["kind", "sub_kind", "origin", "is_reversal"]
    list_select_related = ["account"]
    search_fields = ["account__name", "external_id"]
    date_hierarchy = "effective_on"
    show_full_result_count = False


@admin.register(Renewal)
class RenewalAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["due_on", "account", "due_value", "renewed_value", "currency", "outcome", "decided_at"]
    list_filter = ["outcome"]
    list_select_related = ["account"]
    search_fields = ["account__name"]
    autocomplete_fields = ["account", "subscription"]
    date_hierarchy = "due_on"
    show_full_result_count = False


@admin.register(Charge)
class ChargeAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["day", "account", "amount", "currency", "description"]
    list_filter = ["currency"]
    list_select_related = ["account"]
    search_fields = ["account__name", "description", "external_id"]
    date_hierarchy = "day"
    show_full_result_count = False


class ExchangeRateForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ExchangeRate
        fields = ["currency", "starts_on", "rate"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "currency" in cleaned and "rate" in cleaned:
            rates.check(cleaned["currency"], cleaned["rate"])
        return cleaned


@admin.register(ExchangeRate)
class ExchangeRateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rates are added, never changed: a correction is a further row for the same day."""

    form = ExchangeRateForm
    list_display = ["currency", "starts_on", "rate", "recorded_at"]
    list_filter = ["currency"]
    search_fields = ["currency"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ExchangeRate, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            rates.refresh_soon([obj.currency])


@admin.register(Touch)
class TouchAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["happened_at", "account", "kind", "user", "contact"]
    list_filter = ["kind"]
    list_select_related = ["account", "user", "contact"]
    search_fields = ["account__name", "notes"]
    autocomplete_fields = ["account", "contact", "user"]
    date_hierarchy = "happened_at"
    show_full_result_count = False


@admin.register(Referral)
class ReferralAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["referred_on", "account", "referred_name", "referred_account", "converted_on"]
    list_filter = [("converted_on", admin.EmptyFieldListFilter)]
    list_select_related = ["account", "referred_account"]
    search_fields = ["account__name", "referred_name"]
    autocomplete_fields = ["account", "contact", "referred_account"]
    readonly_fields = ["conversion_recorded_at"]
    date_hierarchy = "referred_on"

    def save_model(self, request: HttpRequest, obj: Referral, form: Any, change: bool) -> None:
        if change and "converted_on" in form.changed_data:
            obj.conversion_recorded_at = timezone.now() if obj.converted_on else None
        super().save_model(request, obj, form, change)


@admin.register(Cost)
class CostAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["day", "category", "amount", "currency", "account", "note"]
    list_filter = ["category", "currency"]
    list_select_related = ["account"]
    search_fields = ["note", "account__name"]
    autocomplete_fields = ["account"]
    date_hierarchy = "day"


class OutcomeValueInline(admin.TabularInline):  # type: ignore[type-arg]
    model = OutcomeValue
    extra = 0
    fields = ["day", "value", "recorded_at"]


@admin.register(OutcomeMetric)
class OutcomeMetricAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "account", "unit", "baseline", "baseline_on", "target"]
    list_select_related = ["account"]
    search_fields = ["name", "account__name"]
    autocomplete_fields = ["account"]
    inlines = [OutcomeValueInline]


@admin.register(Milestone)
class MilestoneAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "account", "started_on", "due_on", "reached_on"]
    list_filter = [("reached_on", admin.EmptyFieldListFilter)]
    list_select_related = ["account"]
    search_fields = ["name", "account__name"]
    autocomplete_fields = ["account"]
    readonly_fields = ["reach_recorded_at"]

    def save_model(self, request: HttpRequest, obj: Milestone, form: Any, change: bool) -> None:
        if change and "reached_on" in form.changed_data:
            obj.reach_recorded_at = timezone.now() if obj.reached_on else None
        super().save_model(request, obj, form, change)


@admin.register(DueAccount)
class DueAccountAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Whose score waits to be worked out again; normally empty within seconds."""

    list_display = ["account", "marked_at"]
    list_select_related = ["account"]
    search_fields = ["account__name"]
