"""Health in the admin: scorecards and their versions to keep, scores to look up."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest

from metrics.health import scorecards, scores
from metrics.health.scorecards import StaleVersion
from metrics.health.signals import counted
from metrics.models import AccountHealth, HealthScore, Scorecard, ScorecardVersion

MOST_AT_ONCE = 1_000


class NeverEdited:
    """Rows that stay as they were made."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NeverByHand(NeverEdited):
    """Rows that only the platform writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VersionInline(NeverByHand, admin.TabularInline):  # type: ignore[type-arg]
    model = ScorecardVersion
    fields = ["number", "made_at", "made_by", "reason", "yellow_from", "green_from", "min_coverage"]
    show_change_link = True
    extra = 0


@admin.register(Scorecard)
class ScorecardAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "order", "applies_to", "is_active", "current_version"]
    search_fields = ["name"]
    inlines = [VersionInline]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Scorecard]:
        return super().get_queryset(request).annotate(newest=models.Max("versions__number"))

    @admin.display(description="version", ordering="newest", empty_value="none yet: judges nobody")
    def current_version(self, scorecard: Any) -> int | None:
        newest: int | None = scorecard.newest
        return newest

    def has_delete_permission(self, request: HttpRequest, obj: Scorecard | None = None) -> bool:
        return False  # scores point to its versions for good; make it inactive instead


class VersionForm(forms.ModelForm):  # type: ignore[type-arg]
    """The next version of a scorecard, made from the one that was current when the form was opened."""

    based_on = forms.IntegerField(widget=forms.HiddenInput, min_value=0, initial=0)

    class Meta:
        model = ScorecardVersion
        fields = ["scorecard", "measures", "yellow_from", "green_from", "min_coverage", "reason"]
        help_texts = {
            "measures": 'A list such as [{"signal": "last_nps", "weight": "10", "curve": [["0", "0"],'
            ' ["9", "100"]], "shelf_days": 180}].'
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        wanted = ("measures", "yellow_from", "green_from", "min_coverage")
        if all(name in data for name in wanted):
            data["measures"] = scorecards.check(
                data["measures"], **{name: data[name] for name in wanted if name != "measures"}
            )
        if "scorecard" in data and "based_on" in data:
            # Held until the version is stored: of two forms saved at once, one is refused here.
            Scorecard.objects.select_for_update().get(pk=data["scorecard"].pk)
            newest = data["scorecard"].versions.aggregate(newest=models.Max("number"))["newest"] or 0
            if newest != data["based_on"]:
                raise StaleVersion(
                    f"Version {newest} of {data['scorecard']} is there by now and yours was made from"
                    f" version {data['based_on']}. Look at it, then save again."
                )
        return data


@admin.register(ScorecardVersion)
class ScorecardVersionAdmin(NeverEdited, admin.ModelAdmin):  # type: ignore[type-arg]
    """Saving a form here makes the next version; the old ones stay."""

    form = VersionForm
    list_display = ["scorecard", "number", "made_at", "made_by", "reason"]
    list_filter = ["scorecard"]
    list_select_related = ["scorecard", "made_by"]
    date_hierarchy = "made_at"

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the current version of the scorecard named in the address, else of the first."""
        given = request.GET.get("scorecard", "")
        cards = Scorecard.objects.order_by("order", "pk")
        scorecard = cards.filter(pk=given).first() if given.isascii() and given.isdigit() else cards.first()
        newest = scorecard.versions.first() if scorecard else None
        if newest is None:
            return {"scorecard": scorecard, "based_on": 0}
        return {
            "scorecard": scorecard,
            "based_on": newest.number,
            "measures": newest.measures,
            "yellow_from": newest.yellow_from,
            "green_from": newest.green_from,
            "min_coverage": newest.min_coverage,
        }

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        data = form.cleaned_data
        made = scorecards.save_version(
            data["scorecard"],
            measures=data["measures"],
            reason=data["reason"],
            by=request.user if request.user.is_authenticated else None,
            based_on=data["based_on"],
            yellow_from=data["yellow_from"],
            green_from=data["green_from"],
            min_coverage=data["min_coverage"],
        )
        obj.pk, obj.number = made.pk, made.number

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """A version has no rows of its own to save."""


@admin.register(HealthScore)
class HealthScoreAdmin(NeverByHand, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["account", "day", "score", "band", "coverage", "version", "is_backfilled"]
    list_filter = ["band", "is_backfilled", "version__scorecard"]
    list_select_related = ["account", "version__scorecard"]
    search_fields = ["account__name"]
    show_full_result_count = False


@admin.register(AccountHealth)
class AccountHealthAdmin(NeverByHand, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["account", "score", "band", "coverage", "change_7d", "reason", "checked_at"]
    list_filter = ["band", "version__scorecard"]
    list_select_related = ["account"]
    search_fields = ["account__name"]
    ordering = ["score", "account"]
    actions = ["recompute"]
    show_full_result_count = False

    @admin.action(description="Work the scores of the selected accounts out again")
    def recompute(self, request: HttpRequest, queryset: models.QuerySet[AccountHealth]) -> None:
        ids = list(queryset.values_list("account", flat=True)[: MOST_AT_ONCE + 1])
        if len(ids) > MOST_AT_ONCE:
            self.message_user(request, f"Select {MOST_AT_ONCE} accounts at most.", messages.ERROR)
            return
        passed = scores.score_accounts(ids)
        self.message_user(
            request,
            f"{counted(passed.checked, 'account', 'accounts')} worked out, {passed.written} changed.",
            messages.SUCCESS,
        )

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Working out again changes no row by hand, so who may look may also ask for it."""
        return {"recompute": self.get_action("recompute")}
