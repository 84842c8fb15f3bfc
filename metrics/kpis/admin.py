"""Targets, which admins set, and stored values, which nobody edits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from metrics import rollups
from metrics.forms import TargetForm
from metrics.models import Annotation, CustomKpi, CustomKpiVersion, KpiRollUp, KpiSnapshot, Target
from team.work import enqueue


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


class ReadOnly:
    """Shows rows and changes none: nobody writes figures by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(KpiSnapshot)
class KpiSnapshotAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What was said, and when it became something else."""

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


@admin.register(KpiRollUp)
class KpiRollUpAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What is kept ready, and what of it waits to be worked out again."""

    list_display = [
        "kpi",
        "variant",
        "group_by",
        "starts_on",
        "ends_on",
        "computed_at",
        "stale_since",
        "failures",
        "said_at",
        "restated_at",
    ]
    list_filter = ["kpi", "group_by", ("stale_since", admin.EmptyFieldListFilter)]
    search_fields = ["kpi", "error"]
    date_hierarchy = "ends_on"
    actions = ["work_out_again"]
    show_full_result_count = False

    @admin.action(description="Work out again", permissions=["view"])
    def work_out_again(self, request: HttpRequest, rows: QuerySet[KpiRollUp]) -> None:
        count = rollups.forget(KpiRollUp.objects.filter(pk__in=rows.order_by().values("pk")))
        enqueue("metrics.refresh_rollups", key="rollups")
        messages.success(request, f"{count} figures are counted from the facts until they are worked out.")


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
