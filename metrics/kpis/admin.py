"""Targets, which admins set, and stored values, which nobody edits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from csplatform.periods import Period
from metrics import snapshots
from metrics.forms import TargetForm
from metrics.models import Annotation, CustomKpi, CustomKpiVersion, KpiSnapshot, Target

# More at once belongs to the night.
MOST_PERIODS = 5


@admin.register(Target)
class TargetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = TargetForm
    list_display = [
        "kpi",
        "variant",
        "group_by",
        "group",
        "months",
        "value",
        "benchmark_low",
        "benchmark_high",
        "watch_by",
        "set_by",
        "set_at",
    ]
    list_filter = ["kpi", "group_by"]
    list_select_related = ["set_by"]
    search_fields = ["kpi", "variant", "group"]

    def save_model(self, request: HttpRequest, obj: Target, form: Any, change: bool) -> None:
        obj.set_by, obj.set_at = request.user, timezone.now()  # type: ignore[assignment]
        super().save_model(request, obj, form, change)


@admin.register(Annotation)
class AnnotationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["day", "text", "created_by", "created_at"]
    list_select_related = ["created_by"]
    search_fields = ["text"]
    date_hierarchy = "day"
    readonly_fields = ["created_by"]

    def save_model(self, request: HttpRequest, obj: Annotation, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)


@admin.register(KpiSnapshot)
class KpiSnapshotAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "kpi",
        "variant",
        "starts_on",
        "ends_on",
        "group_by",
        "group",
        "value",
        "numerator",
        "denominator",
        "sample_size",
        "reason",
        "computed_at",
    ]
    list_filter = ["kpi", "group_by"]
    search_fields = ["kpi", "group"]
    date_hierarchy = "ends_on"
    actions = ["work_out_again"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Work these periods out again", permissions=["view"])
    def work_out_again(self, request: HttpRequest, rows: QuerySet[KpiSnapshot]) -> None:
        days = list(rows.order_by().values_list("starts_on", "ends_on").distinct()[: MOST_PERIODS + 1])
        if len(days) > MOST_PERIODS:
            messages.error(request, f"Choose rows of at most {MOST_PERIODS} periods.")
            return
        periods = [Period.last_days((last - first).days + 1, until=last) for first, last in days]
        changed = snapshots.refresh(periods, timezone.now())
        messages.success(request, f"{changed} stored values changed.")


class CustomKpiVersionInline(admin.TabularInline):  # type: ignore[type-arg]
    model = CustomKpiVersion
    fields = ["number", "label", "direction", "definition", "formula", "made_by", "made_at", "reason"]
    readonly_fields = fields  # type: ignore[assignment]
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CustomKpi)
class CustomKpiAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To read: which KPIs were defined here, by whom, and each version; the pages of KPIs change them."""

    list_display = ["slug", "state", "label", "version", "state_by", "state_at"]
    list_filter = ["state"]
    search_fields = ["slug", "current__label"]
    list_select_related = ["current", "state_by"]
    inlines = [CustomKpiVersionInline]

    @admin.display(ordering="current__label")
    def label(self, kpi: CustomKpi) -> str:
        return kpi.current.label if kpi.current else ""

    @admin.display(ordering="current__number")
    def version(self, kpi: CustomKpi) -> int | None:
        return kpi.current.number if kpi.current else None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
