"""What people type in about their queue and their tasks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.db.models import Q

from accounts.fields import EARLIEST, LATEST
from accounts.models import Account
from playbooks.models import Dismissal
from playbooks.tasking import people_to_ask
from team.models import User

LONGEST_SNOOZE = 365


class DateInput(forms.DateInput):
    input_type = "date"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%Y-%m-%d", **kwargs)


class TaskForm(forms.Form):
    """A task for one account."""

    title = forms.CharField(
        max_length=200,
        label="What to do",
        widget=forms.TextInput(attrs={"data-focus": "", "autocomplete": "off"}),
    )
    due_on = forms.DateField(label="Due", widget=DateInput())
    assignee = forms.ModelChoiceField(
        User.objects.none(), label="Who", required=False, empty_label="The account's CSM"
    )

    def __init__(self, *args: Any, user: User, today: date, **kwargs: Any) -> None:
        kwargs["initial"] = {"due_on": today + timedelta(days=3), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.fields["assignee"].queryset = people_to_ask(user)  # type: ignore[attr-defined]
        self.today = today

    def clean_due_on(self) -> date:
        due_on: date = self.cleaned_data["due_on"]
        if due_on < self.today:
            raise forms.ValidationError("Choose today or a later day.")
        if due_on > LATEST:
            raise forms.ValidationError(f"Choose a day before {LATEST.isoformat()}.")
        return due_on


class TaskForAccountForm(TaskForm):
    """A task from the list of tasks, where the account has to be named."""

    account = forms.CharField(
        max_length=200,
        label="Account",
        widget=forms.TextInput(attrs={"list": "account-names", "autocomplete": "off", "data-focus": ""}),
    )
    field_order = ["account", "title", "due_on", "assignee"]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.user = user
        self.fields["title"].widget.attrs.pop("data-focus", None)

    def clean_account(self) -> Account:
        wanted = self.cleaned_data["account"].strip()
        found = list(Account.objects.editable_by(self.user).filter(Q(name__iexact=wanted))[:2])
        if not found:
            raise forms.ValidationError("None of your accounts has this name.")
        if len(found) > 1:
            raise forms.ValidationError(
                "Several accounts have this name: add the task on the account's page."
            )
        return found[0]


class DoneForm(forms.Form):
    """A line of the queue is dealt with."""

    kind = Dismissal.Kind.DONE
    note = forms.CharField(
        max_length=500,
        required=False,
        label="What came of it?",
        widget=forms.TextInput(attrs={"data-focus": "", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, today: date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.today = today

    def until(self) -> date:
        """A fortnight: whoever still has the same trouble then belongs in front of their CSM again."""
        return self.today + timedelta(days=14)


class NotUsefulForm(DoneForm):
    """The line should not have been there: why?"""

    kind = Dismissal.Kind.NOT_USEFUL
    REASONS = [
        ("wrong", "The facts are wrong or out of date"),
        ("known", "I know, and it is under control"),
        ("unimportant", "It doesn't matter for this account"),
        ("other", "Something else"),
    ]
    why = forms.ChoiceField(
        choices=REASONS, label="Why?", widget=forms.RadioSelect(attrs={"data-focus": ""}), initial="known"
    )
    note = forms.CharField(max_length=400, required=False, label="Note")
    field_order = ["why", "note"]

    def until(self) -> date:
        return self.today + timedelta(days=90)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "why" in cleaned:
            words = dict(self.REASONS)[cleaned["why"]]
            cleaned["note"] = f"{words}. {cleaned.get('note', '')}".strip()
        return cleaned


class SnoozeForm(DoneForm):
    kind = Dismissal.Kind.SNOOZED
    length = forms.ChoiceField(
        choices=[("1", "Until tomorrow"), ("7", "For a week"), ("date", "Until a day")],
        label="How long?",
        widget=forms.RadioSelect(attrs={"data-focus": ""}),
        initial="1",
    )
    day = forms.DateField(required=False, label="Day", widget=DateInput())
    note = forms.CharField(max_length=500, required=False, label="Note")
    field_order = ["length", "day", "note"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("length") != "date":
            return cleaned
        day = cleaned.get("day")
        if day is None:
            if "day" not in self.errors:
                self.add_error("day", "Choose the day the line is to come back.")
        elif not self.today < day <= self.today + timedelta(days=LONGEST_SNOOZE):
            self.add_error("day", f"Choose a day after today and within {LONGEST_SNOOZE} days.")
        return cleaned

    def until(self) -> date:
        length = self.cleaned_data["length"]
        if length == "date":
            day: date = self.cleaned_data["day"]
            return day
        return self.today + timedelta(days=int(length))


DISMISSALS: dict[str, type[DoneForm]] = {
    "done": DoneForm,
    "snooze": SnoozeForm,
    "not-useful": NotUsefulForm,
}


class QueueForm(forms.Form):
    """What a line of the queue passes on: its reasons, and the next step it proposed."""

    reason = forms.CharField(max_length=200, required=False)
    title = forms.CharField(max_length=200, required=False)


class TaskListForm(forms.Form):
    """Which tasks are shown."""

    show = forms.ChoiceField(
        choices=[("mine", "Mine"), ("overdue", "Overdue"), ("all", "Everybody's"), ("done", "Done")],
        required=False,
    )
    page = forms.IntegerField(min_value=1, max_value=100_000, required=False)


class RenewalListForm(forms.Form):
    """Which renewals are shown."""

    show = forms.ChoiceField(choices=[("coming", "Coming"), ("past", "Past")], required=False)
    month = forms.DateField(required=False, input_formats=["%Y-%m"])
    page = forms.IntegerField(min_value=1, max_value=100_000, required=False)

    def clean_month(self) -> date | None:
        month: date | None = self.cleaned_data["month"]
        if month is not None and not EARLIEST <= month < LATEST:
            raise forms.ValidationError(f"Choose a month from {EARLIEST.year} to {LATEST.year}.")
        return month
