"""What the address of a dashboard may say, checked before anything is asked."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, cast

from django import forms
from django.db.models import Exists, OuterRef
from django.http import QueryDict

from accounts.models import Assignment, Plan
from csplatform.periods import Period, PeriodError, day_of
from metrics.kpis import Filters, month_so_far
from playbooks.forms import DateInput
from team.models import User
from workspace.dashboards.selection import COMPARISONS, FREE_DAYS, PRESETS, Compare, Selection, preset_period
from workspace.filters import offered_values

# A course looks back two years from the first day, so the calendar begins a little later here.
FIRST_DAY, LAST_DAY = date(1950, 1, 1), date(2199, 12, 31)
DEFAULT_PERIOD = "this_quarter"
LONGEST_TEXT = 200


class BoundedDay(forms.DateField):
    widget = DateInput

    def clean(self, value: Any) -> date | None:
        day = cast(date | None, super().clean(value))
        if day is not None and not FIRST_DAY <= day <= LAST_DAY:
            raise forms.ValidationError(f"Choose a day from {FIRST_DAY} to {LAST_DAY}.")
        return day


def csms_shown_to(user: User) -> Any:
    """Return the people whose numbers `user` may choose: their own, their team's, or everybody's.

    Those who left are among them: the past has numbers of theirs.
    """
    people = User.objects.filter(Exists(Assignment.objects.filter(user=OuterRef("pk"))))
    if user.role == User.Role.CSM:
        return people.filter(pk=user.pk)
    if user.role == User.Role.MANAGER:
        return people.filter(team__isnull=False, team=user.team_id)
    return people


class SelectionForm(forms.Form):
    """Which days, compared with which, and which accounts."""

    period = forms.ChoiceField(
        label="Period", required=False, choices=[*PRESETS.items(), (FREE_DAYS, "Free days…")]
    )
    start = BoundedDay(label="From", required=False)
    last = BoundedDay(label="To, included", required=False)
    compare = forms.ChoiceField(label="Compared with", required=False, choices=list(COMPARISONS.items()))
    csm = forms.ModelChoiceField(User.objects.none(), label="CSM", required=False, empty_label="Everybody")
    segment = forms.ChoiceField(label="Segment", required=False)
    plan = forms.ChoiceField(label="Plan", required=False)
    lifecycle_stage = forms.ChoiceField(label="Stage", required=False)

    def __init__(self, data: Any, *, user: User, now: datetime) -> None:
        self.user, self.now = user, now
        # What the address said, before anything was filled in.
        self.given = data
        data = data.copy()
        if not data.get("period"):
            has_days = data.get("start") or data.get("last")
            data["period"] = FREE_DAYS if has_days else DEFAULT_PERIOD
        data.setdefault("compare", "previous")
        super().__init__(data)
        fields: dict[str, Any] = self.fields
        fields["csm"].queryset = csms_shown_to(user)
        offered = offered_values(user)
        for name, values in (("segment", "segment"), ("plan", "plan"), ("lifecycle_stage", "stage")):
            fields[name].choices = self._with_given(name, offered[values])

    def _with_given(self, name: str, choices: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Keep what the address says selectable though no account has it any more: history has it."""
        given = str(self.data.get(name, "")).strip()
        if not given or given in dict(choices) or len(given) > LONGEST_TEXT or "\x00" in given:
            return choices
        if name == "plan":
            return [*choices, *Plan.objects.filter(code=given).values_list("code", "name")]
        return [*choices, (given, given)]

    @property
    def has_free_days(self) -> bool:
        return self.data.get("period") == FREE_DAYS

    @property
    def more(self) -> list[forms.BoundField]:
        """The filters that stand behind one button, and tell by chips which of them are in force."""
        return [self[name] for name in ("segment", "plan", "lifecycle_stage")]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.has_free_days and not {"start", "last"} & set(self.errors):
            self._clean_days(cleaned)
        return cleaned

    def _clean_days(self, cleaned: dict[str, Any]) -> None:
        start, last = cleaned.get("start"), cleaned.get("last")
        if start is None and last is None:
            # "Free days" was chosen just now: they begin as this month's and are changed from there.
            so_far = month_so_far(day_of(self.now))
            start, last = so_far.start, so_far.last_day
            days = cast(QueryDict, self.data)
            days["start"], days["last"] = start.isoformat(), last.isoformat()
        if start is None:
            return self.add_error("start", "Choose the first day.")
        if last is None:
            return self.add_error("last", "Choose the last day.")
        if last < start:
            return self.add_error("last", "The last day is before the first.")
        try:
            cleaned["days"] = Period(start, last + timedelta(days=1))
        except PeriodError as error:
            self.add_error({"end": "last"}.get(error.field, error.field), error.message)

    def selection(self) -> Selection:
        """Return what was chosen; the form must be valid."""
        given = self.cleaned_data
        preset = given["period"]
        return Selection(
            user=self.user,
            period=given["days"] if preset == FREE_DAYS else preset_period(preset, day_of(self.now)),
            compare=cast(Compare, given["compare"] or "previous"),
            filters=Filters(
                csm=given["csm"].pk if given["csm"] else None,
                segment=given["segment"] or None,
                plan=given["plan"] or None,
                lifecycle_stage=given["lifecycle_stage"] or None,
            ),
            now=self.now,
        )
