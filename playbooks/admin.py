"""Tasks to look up and reassign; what people set aside, to look at."""

from __future__ import annotations

from django.contrib import admin

from accounts.admin import ReadOnly
from playbooks.models import Alert, Dismissal, Task


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["title", "account", "assignee", "due_on", "state", "rule"]
    list_filter = ["state", "assignee"]
    list_select_related = ["account", "assignee"]
    search_fields = ["title", "account__name"]
    autocomplete_fields = ["account", "assignee"]
    # Why a task exists is kept as it was; done is a fact with its moment, marked on the pages.
    readonly_fields = ["rule", "fired_by", "state", "done_at", "created_by", "created_at"]
    date_hierarchy = "due_on"
    show_full_result_count = False


@admin.register(Dismissal)
class DismissalAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["dismissed_at", "account", "user", "kind", "until", "reason_key", "note"]
    list_filter = ["kind"]
    list_select_related = ["account", "user"]
    search_fields = ["account__name", "note", "reason_key"]
    show_full_result_count = False


@admin.register(Alert)
class AlertAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["raised_at", "title", "period_words", "value_before", "value", "target", "sample_size"]
    list_filter = ["kind", "group_by", "kpi"]
    search_fields = ["kpi", "label", "of"]
    date_hierarchy = "raised_at"
    show_full_result_count = False
