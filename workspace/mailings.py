"""The pages of dashboards by mail: list, set up, preview, pause, leave, delete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, cast

from csp.decorators import csp_replace
from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from playbooks.answers import changed
from team.mail import NotWantedError, is_configured
from team.models import Mail, User
from team.requests import StaffRequest
from workspace import mailing
from workspace.dashboards.catalogue import DASHBOARDS
from workspace.dashboards.forms import csms_shown_to
from workspace.dashboards.selection import COMPARISONS, PRESETS
from workspace.filters import offered_values
from workspace.models import DashboardMail

# A mail carries its looks in its own markup, and nothing else.
MAIL_POLICY: dict[str, Any] = {
    "script-src": ["'none'"],
    "img-src": ["'none'"],
    "style-src": ["'unsafe-inline'"],
}


class DashboardMailForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = DashboardMail
        fields = [
            "dashboard",
            "period",
            "compare",
            "csm",
            "segment",
            "plan",
            "lifecycle_stage",
            "recipients",
            "cadence",
            "weekday",
            "day_of_month",
            "hour",
        ]
        labels = {
            "period": "Which days",
            "compare": "Compared with",
            "csm": "CSM",
            "lifecycle_stage": "Stage",
            "recipients": "To",
            "cadence": "How often",
            "weekday": "On",
            "day_of_month": "Day of the month",
            "hour": "At",
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        row = self.instance
        hours = [(hour, f"{hour:02}:00") for hour in range(24)]
        offered = offered_values(user)
        self._choose("dashboard", [(each.slug, each.label) for each in DASHBOARDS.values()])
        self._choose("period", list(PRESETS.items()))
        self._choose("compare", list(COMPARISONS.items()))
        self._choose("hour", hours, coerce=int)
        self._choose("segment", self._kept(offered["segment"], row.segment), is_required=False)
        self._choose("plan", self._kept(offered["plan"], row.plan), is_required=False)
        self._choose("lifecycle_stage", self._kept(offered["stage"], row.lifecycle_stage), is_required=False)
        fields["csm"].queryset = csms_shown_to(user)
        fields["csm"].empty_label = "Everybody"
        fields["recipients"].queryset = User.objects.filter(is_active=True).order_by("name", "email")
        fields["recipients"].widget = forms.CheckboxSelectMultiple(choices=fields["recipients"].choices)
        fields["day_of_month"].widget.attrs |= {"min": 1, "max": 31}

    def _choose(
        self, name: str, choices: list[Any], *, is_required: bool = True, coerce: Callable[..., Any] = str
    ) -> None:
        label = self.fields[name].label
        self.fields[name] = forms.TypedChoiceField(
            label=label, choices=choices, required=is_required, coerce=coerce, empty_value=""
        )

    @staticmethod
    def _kept(choices: list[tuple[str, str]], value: str) -> list[tuple[str, str]]:
        """Keep what is stored selectable though no account has it any more."""
        return choices if not value or value in dict(choices) else [*choices, (value, value)]

    def clean_day_of_month(self) -> int:
        day: int = self.cleaned_data["day_of_month"]
        if not 1 <= day <= 31:
            raise forms.ValidationError("Choose a day from 1 to 31.")
        return day

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        dashboard = DASHBOARDS.get(cleaned.get("dashboard", ""))
        if dashboard and dashboard.is_of_one_csm and "csm" in cleaned and cleaned["csm"] is None:
            others = [user for user in cleaned.get("recipients", ()) if user.role != User.Role.CSM]
            if others:
                names = ", ".join(map(str, others))
                self.add_error("csm", f"Choose whose board it is: {names} has none of their own.")
        return cleaned


@dataclass(frozen=True, kw_only=True)
class Line:
    mailing: DashboardMail
    dashboard: str
    period: str
    recipients: list[User]
    next_at: datetime | None
    may_edit: bool
    is_received: bool
    failed: int


def writers_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @login_required
    @wraps(view)
    def checked(request: StaffRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.may_write:
            raise PermissionDenied("Viewers can look, not change.")
        return view(request, *args, **kwargs)

    return checked


@login_required
@require_safe
def mailing_list(request: StaffRequest) -> HttpResponse:
    """Dashboards that go out by mail: one's own, and those one gets."""
    user, now = request.user, timezone.now()
    rows = list(
        DashboardMail.objects.visible_to(user)
        .select_related("owner", "csm")
        .prefetch_related("recipients")
        .order_by("dashboard", "pk")
    )
    editable = set(DashboardMail.objects.editable_by(user).values_list("pk", flat=True))
    failed = _not_arrived(rows)
    lines = [
        Line(
            mailing=row,
            dashboard=DASHBOARDS[row.dashboard].label if row.dashboard in DASHBOARDS else row.dashboard,
            period=PRESETS.get(row.period, row.period),
            recipients=list(row.recipients.all()),
            next_at=None if row.is_paused else mailing.next_slot(row, now),
            may_edit=row.pk in editable,
            is_received=any(each.pk == user.pk for each in row.recipients.all()),
            failed=failed.get(row.pk, 0),
        )
        for row in rows
    ]
    context = {"lines": lines, "goes_out": is_configured(), "may_write": user.may_write}
    return render(request, "workspace/mailings.html", context)


def _not_arrived(rows: list[DashboardMail]) -> dict[int, int]:
    """Return how many mails of each mailing's last slot were refused or perhaps not sent."""
    found: dict[int, int] = {}
    slots = {row.pk: row.last_slot_at for row in rows}
    states = [Mail.State.FAILED, Mail.State.UNCERTAIN]
    for payload in Mail.objects.filter(kind=mailing.KIND, state__in=states).values_list("payload", flat=True):
        pk = payload.get("mailing")
        if pk in slots and datetime.fromisoformat(payload["slot"]) == slots[pk]:
            found[pk] = found.get(pk, 0) + 1
    return found


@writers_only
@require_http_methods(["GET", "HEAD", "POST"])
def mailing_new(request: StaffRequest) -> HttpResponse:
    given = {name: request.GET[name] for name in ("dashboard", "period", "compare") if name in request.GET}
    initial = {"recipients": [request.user.pk], "dashboard": "executive", "period": "last_month", **given}
    return _edit(request, DashboardMail(owner=request.user), initial)


@writers_only
@require_http_methods(["GET", "HEAD", "POST"])
def mailing_edit(request: StaffRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(DashboardMail.objects.editable_by(request.user), pk=pk)
    return _edit(request, found, {})


def _edit(request: StaffRequest, row: DashboardMail, initial: dict[str, Any]) -> HttpResponse:
    now = timezone.now()
    form = DashboardMailForm(request.POST or None, instance=row, user=request.user, initial=initial)
    if form.is_bound and form.is_valid():
        if "preview" in request.POST:
            return _preview(request, form.instance)
        with transaction.atomic():
            # What is set up or changed now is owed nothing for the past.
            form.instance.last_slot_at = mailing.latest_slot(form.instance, now)
            saved = form.save()
        words = f"Mailed {saved.when_in_words}, next on {mailing.next_slot(saved, now):%-d %B}."
        return changed(request, words, fallback=reverse("workspace:mailings"))
    context = {
        "form": form,
        "is_new": row.pk is None,
        "action": request.path,
        "goes_out": is_configured(),
        "zone": timezone.get_default_timezone_name(),
    }
    return render(request, "workspace/mailing_form.html", context, status=422 if form.is_bound else 200)


@login_required
@require_safe
def mailing_preview(request: StaffRequest, pk: int) -> HttpResponse:
    """The mail as the reader would get it now."""
    found = get_object_or_404(DashboardMail.objects.visible_to(request.user), pk=pk)
    return _preview(request, found)


def _preview(request: StaffRequest, row: DashboardMail) -> HttpResponse:
    try:
        letter = mailing.letter(row, request.user, timezone.now())
    except NotWantedError as reason:
        words = f"No mail for you: {reason}"
        return HttpResponse(words, status=409, content_type="text/plain; charset=utf-8")
    shown = csp_replace(MAIL_POLICY)(lambda _: HttpResponse(letter.html))(request)
    return cast(HttpResponse, shown)


@writers_only
@require_POST
def mailing_pause(request: StaffRequest, pk: int) -> HttpResponse:
    """Pause it, or let it go on; what fell into the pause is not made up for."""
    row = get_object_or_404(DashboardMail.objects.editable_by(request.user), pk=pk)
    row.is_paused = not row.is_paused
    row.last_slot_at = mailing.latest_slot(row, timezone.now())
    row.save(update_fields=["is_paused", "last_slot_at"])
    words = "Paused." if row.is_paused else f"Goes on, {row.when_in_words}."
    return changed(request, words, fallback=reverse("workspace:mailings"))


@login_required
@require_POST
def mailing_leave(request: StaffRequest, pk: int) -> HttpResponse:
    """Stop getting it; the others still do."""
    row = get_object_or_404(DashboardMail.objects.visible_to(request.user), pk=pk)
    row.recipients.remove(request.user)
    return changed(request, "You don’t get this one any more.", fallback=reverse("workspace:mailings"))


@writers_only
@require_POST
def mailing_delete(request: StaffRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(DashboardMail.objects.editable_by(request.user), pk=pk)
    row.delete()
    return changed(request, "Deleted: nobody gets it any more.", fallback=reverse("workspace:mailings"))
