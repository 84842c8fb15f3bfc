"""What customers do in the product, to look things up: reported by machines, edited by nobody."""

from __future__ import annotations

from django.contrib import admin

from accounts.admin import ReadOnly
from usage.models import EndUser, Event, UsageDay


@admin.register(EndUser)
class EndUserAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["__str__", "account", "email", "source", "first_seen_on", "last_seen_at", "removed_on"]
    list_filter = ["source", ("removed_on", admin.EmptyFieldListFilter)]
    list_select_related = ["account"]
    search_fields = ["external_id", "email", "name", "account__name"]
    show_full_result_count = False


@admin.register(UsageDay)
class UsageDayAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["day", "account", "feature", "events", "users"]
    list_select_related = ["account"]
    search_fields = ["account__name", "feature"]
    # No order by day: the table is kept by account, and holds a row per account, feature and day.
    ordering = ["-pk"]
    show_full_result_count = False


@admin.register(Event)
class EventAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "happened_at",
        "feature",
        "account_id",
        "end_user_id",
        "source",
        "message_id",
        "recorded_at",
    ]
    search_fields = ["=message_id"]
    ordering = ["-pk"]
    show_full_result_count = False
