"""What people type in on the pages of accounts and the portfolio."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, cast

from django import forms
from django.http import QueryDict

from accounts.fields import EARLIEST, LATEST
from accounts.models import Account, AccountQuerySet, Contact, Touch
from playbooks.forms import DateInput
from playbooks.tasking import people_to_ask
from team.models import User
from workspace.models import SavedView

MOST_AT_ONCE = 1_000


class TouchForm(forms.Form):
    """A call, a meeting, a note: what was said, and only if it differs, when and with whom."""

    kind = forms.ChoiceField(choices=Touch.Kind.choices, label="What")
    notes = forms.CharField(
        label="Notes",
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 5, "data-focus": "", "autofocus": True}),
    )
    contact = forms.ModelChoiceField(
        Contact.objects.none(), label="With", required=False, empty_label="Nobody in particular"
    )
    happened_at = forms.DateTimeField(
        label="When",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def __init__(
        self,
        *args: Any,
        account: Account,
        now: datetime,
        people: Sequence[Contact] | None = None,
        **kwargs: Any,
    ) -> None:
        """`people` are the account's contacts where the page has read them already."""
        super().__init__(*args, **kwargs)
        self.now = now
        contact = self.fields["contact"]
        contact.queryset = account.contacts.filter(left_on__isnull=True)  # type: ignore[attr-defined]
        if people is not None:
            here = [(person.pk, str(person)) for person in people if person.left_on is None]
            contact.choices = [("", "Nobody in particular"), *here]  # type: ignore[attr-defined]

    def clean_happened_at(self) -> datetime:
        moment: datetime = self.cleaned_data["happened_at"] or self.now
        if moment > self.now + timedelta(minutes=5):
            raise forms.ValidationError("That is in the future: make it a task instead.")
        if moment < self.now - timedelta(days=3_660):
            raise forms.ValidationError("That is more than ten years ago.")
        return moment


class SavedViewForm(forms.Form):
    """A name for the filters in force."""

    name = forms.CharField(
        max_length=60, label="Name", widget=forms.TextInput(attrs={"data-focus": "", "autocomplete": "off"})
    )
    query = forms.CharField(max_length=2_000, required=False, widget=forms.HiddenInput())

    def __init__(self, *args: Any, user: User, view: SavedView | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.view = view

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        same = SavedView.objects.visible_to(self.user).filter(page=SavedView.Page.PORTFOLIO, name=name)
        if (same.exclude(pk=self.view.pk) if self.view else same).exists():
            raise forms.ValidationError("You have a view of this name already.")
        return name


class BulkForm(forms.Form):
    """What to do with the accounts that were ticked, or with all that the filters find."""

    ACTIONS = [("assign", "Hand over"), ("task", "Add a task")]

    action = forms.ChoiceField(choices=ACTIONS)
    everything = forms.BooleanField(required=False)
    accounts = forms.ModelMultipleChoiceField(Account.objects.none(), required=False)
    to = forms.ModelChoiceField(User.objects.none(), required=False, label="To", empty_label="Choose…")
    title = forms.CharField(max_length=200, required=False, label="What to do")
    due_on = forms.DateField(required=False, label="Due", widget=DateInput())
    assignee = forms.ModelChoiceField(
        User.objects.none(), required=False, label="Who", empty_label="Each account's CSM"
    )

    def __init__(self, *args: Any, user: User, today: date, found: AccountQuerySet, **kwargs: Any) -> None:
        kwargs["initial"] = {"due_on": today + timedelta(days=7), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.user, self.today, self.found = user, today, found
        people = people_to_ask(user)
        self.fields["accounts"].queryset = Account.objects.editable_by(user)  # type: ignore[attr-defined]
        self.fields["to"].queryset = people  # type: ignore[attr-defined]
        self.fields["assignee"].queryset = people  # type: ignore[attr-defined]

    @property
    def may_assign(self) -> bool:
        return self.user.role in (User.Role.ADMIN, User.Role.MANAGER)

    def clean_accounts(self) -> Any:
        chosen = self.cleaned_data["accounts"]
        if len(cast(QueryDict, self.data).getlist("accounts")) > MOST_AT_ONCE:
            raise forms.ValidationError(f"Choose {MOST_AT_ONCE} accounts at most.")
        return chosen

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        match cleaned.get("action"):
            case "assign":
                if not self.may_assign:
                    self.add_error("action", "Only managers and admins hand accounts over.")
                elif "to" not in self.errors and cleaned.get("to") is None:
                    self.add_error("to", "Choose who is to look after them.")
            case "task":
                if "title" not in self.errors and not cleaned.get("title"):
                    self.add_error("title", "Write what is to be done.")
                if "due_on" not in self.errors:
                    due_on = cleaned.get("due_on")
                    if due_on is None or not self.today <= due_on <= self.today + timedelta(days=3_660):
                        self.add_error("due_on", "Choose today or a later day, within ten years.")
        return cleaned

    def account_ids(self) -> list[int]:
        """Return whom it concerns; too many at once is an error that says so."""
        if self.cleaned_data.get("everything"):
            ids = list(self.found.order_by().values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        else:
            ids = [account.pk for account in self.cleaned_data["accounts"]]
        if not ids:
            raise forms.ValidationError("Choose at least one account.")
        if len(ids) > MOST_AT_ONCE:
            raise forms.ValidationError(
                f"More than {MOST_AT_ONCE} at once is more than one can take back: narrow the filters."
            )
        return ids


def errors_in_words(form: forms.BaseForm) -> str:
    """Return every error of a form in one line, each with its field."""
    lines = []
    for name, errors in form.errors.items():
        label = form.fields[name].label or name.replace("_", " ").capitalize() if name in form.fields else ""
        lines += [f"{label}: {error}" if label else str(error) for error in errors]
    return " ".join(lines)


class TouchAskedForm(forms.Form):
    """What the form is to begin with."""

    kind = forms.ChoiceField(choices=Touch.Kind.choices, required=False)
    contact = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False)


class TimelineForm(forms.Form):
    """What of an account's history is shown, and how its usage is drawn."""

    KINDS = [
        ("", "Everything"),
        ("touch", "Contact"),
        ("note", "Notes"),
        ("ticket", "Tickets"),
        ("answer", "Voice"),
        ("money", "Money"),
    ]
    kind = forms.ChoiceField(choices=KINDS, required=False)
    before = forms.DateTimeField(
        required=False, input_formats=["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"]
    )
    usage = forms.ChoiceField(choices=[("week", "Weeks"), ("day", "Days")], required=False)

    def clean_before(self) -> datetime | None:
        before: datetime | None = self.cleaned_data["before"]
        if before is not None and not EARLIEST <= before.date() <= LATEST:
            raise forms.ValidationError(f"Choose a day from {EARLIEST} to {LATEST}.")
        return before


class HomeForm(forms.Form):
    """Whose accounts home is about, how many lines, and since when."""

    csm = forms.ModelChoiceField(
        User.objects.none(), required=False, label="CSM", empty_label="Everybody's accounts"
    )
    backup = forms.BooleanField(required=False)
    all = forms.BooleanField(required=False)
    since = forms.ChoiceField(choices=[("week", "7 days"), ("yesterday", "Yesterday")], required=False)

    def __init__(self, *args: Any, people: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if people is not None:
            self.fields["csm"].queryset = people  # type: ignore[attr-defined]


class SearchForm(forms.Form):
    q = forms.CharField(max_length=200, required=False, strip=True, label="Search")
