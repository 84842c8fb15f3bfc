"""What admins type in about the numbers."""

from __future__ import annotations

from typing import Any

from django import forms

from metrics.kpis.catalogue import KPIS
from metrics.kpis.definition import Kpi
from metrics.kpis.judging import groupings_of
from metrics.models import Target
from team.models import User


def _kpis() -> list[tuple[str, str]]:
    return [(kpi.slug, kpi.label) for kpi in KPIS.values()]


class TargetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A target, a benchmark, or both: of a KPI, one of its variants, one group."""

    kpi = forms.ChoiceField(label="KPI", choices=_kpis)

    class Meta:
        model = Target
        fields = [
            "kpi",
            "variant",
            "group_by",
            "group",
            "months",
            "value",
            "benchmark_low",
            "benchmark_high",
            "watch_by",
        ]
        labels = {
            "value": "Target",
            "months": "Holds for periods of",
            "benchmark_low": "Benchmark from",
            "benchmark_high": "Benchmark to",
            "group_by": "Only for one",
            "watch_by": "Alert also for each",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kpi = KPIS.get(cleaned.get("kpi", ""))
        if kpi is not None:
            self._check_selection(kpi, cleaned)
            self._check_numbers(kpi, cleaned)
        return cleaned

    def _check_selection(self, kpi: Kpi, cleaned: dict[str, Any]) -> None:
        slugs = [variant.slug for variant in kpi.variants if variant.slug]
        variant, group_by, group = (cleaned.get(name) or "" for name in ("variant", "group_by", "group"))
        if variant and variant not in slugs:
            self.add_error("variant", f"{kpi.label} has {', '.join(slugs) or 'no variants'}.")
        if group_by and group_by not in groupings_of(kpi):
            self.add_error("group_by", f"{kpi.label} can be grouped by {', '.join(groupings_of(kpi))}.")
        elif group_by and not group:
            self.add_error("group", "Say which group.")
        elif group and not group_by:
            self.add_error("group_by", "Say what kind of group this is.")
        elif group_by == "csm" and not _is_user(group):
            self.add_error("group", "Give the id of a user.")
        if watch_by := cleaned.get("watch_by"):
            if group_by:
                self.add_error("watch_by", "A group has no groups to watch.")
            elif kpi.kind != "rate":
                self.add_error("watch_by", "Part of a sum has no share of its target: set one for the group.")
            elif watch_by not in groupings_of(kpi):
                self.add_error("watch_by", f"{kpi.label} can be grouped by {', '.join(groupings_of(kpi))}.")
        if kpi.kind == "level" and cleaned.get("months"):
            self.add_error("months", "This is a level on one day: leave the length of the period open.")

    def _check_numbers(self, kpi: Kpi, cleaned: dict[str, Any]) -> None:
        value = cleaned.get("value")
        low, high = cleaned.get("benchmark_low"), cleaned.get("benchmark_high")
        if low is not None and high is None and "benchmark_high" not in self.errors:
            self.add_error("benchmark_high", "A benchmark needs both ends, or none.")
        elif high is not None and low is None and "benchmark_low" not in self.errors:
            self.add_error("benchmark_low", "A benchmark needs both ends, or none.")
        elif low is not None and high is not None and high < low:
            self.add_error("benchmark_high", "The upper end is below the lower end.")
        elif value is None and low is None and not self.errors:
            self.add_error("value", "Set a target, a benchmark, or both.")
        if value is not None and kpi.higher_is_better is None:
            self.add_error("value", f"{kpi.label} is neither better high nor low: set a benchmark instead.")


def _is_user(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19 and User.objects.filter(pk=int(text)).exists()
