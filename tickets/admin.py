"""Requests for help, to look things up: they are kept in the helpdesk and arrive from there."""

from __future__ import annotations

from django.contrib import admin

from accounts.admin import ReadOnly
from tickets.models import Message, Ticket, TicketEvent, TicketSource


@admin.register(TicketSource)
class TicketSourceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "fcr_rule", "settle_days"]
    search_fields = ["name"]


class TicketEventInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = TicketEvent
    extra = 0
    fields = ["happened_at", "kind", "status", "agent", "recorded_at"]


class MessageInline(ReadOnly, admin.StackedInline):  # type: ignore[type-arg]
    model = Message
    extra = 0
    fields = ["sent_at", "author", "is_public", "body"]


@admin.register(Ticket)
class TicketAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "external_id",
        "subject",
        "account",
        "priority",
        "status",
        "opened_at",
        "resolved_at",
        "agent",
    ]
    list_filter = ["status", "priority", "source", "is_first_contact", "exclusion"]
    list_select_related = ["account", "source"]
    search_fields = ["external_id", "subject", "account__name"]
    date_hierarchy = "opened_at"
    inlines = [TicketEventInline, MessageInline]
    show_full_result_count = False
