"""The page of alerts, and how many of them are new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from playbooks import alerting
from playbooks.answers import changed, is_htmx
from playbooks.models import Alert, AlertReceipt
from team.models import User
from team.requests import StaffRequest

PER_PAGE = 50
MOST_COUNTED = 99
EVENTS: dict[str, Any] = {"alertsChanged": {}}


class AlertListForm(forms.Form):
    """Which alerts are shown."""

    show = forms.ChoiceField(choices=[("new", "New"), ("all", "All")], required=False)
    page = forms.IntegerField(min_value=1, max_value=100_000, required=False)


@dataclass(frozen=True)
class Line:
    """An alert as its reader may see it."""

    alert: Alert
    shows_figures: bool


@login_required
@require_safe
@vary_on_headers("HX-Request")
def alert_list(request: StaffRequest) -> HttpResponse:
    """Numbers that fell behind their targets, newest first: those still new to the reader, or all."""
    form = AlertListForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    show = asked.get("show") or "new"
    user = request.user
    seen = AlertReceipt.objects.filter(alert=OuterRef("pk"), user=user)
    found = Alert.objects.visible_to(user).annotate(is_seen=Exists(seen))
    if show == "new":
        found = found.filter(is_seen=False)
    page = Paginator(found, PER_PAGE).get_page(asked.get("page"))
    here = reverse("playbooks:alert-list")
    context = {
        "page": page,
        "lines": [Line(alert, alert.figures_are_for(user)) for alert in page],
        "show": show,
        "tabs": [
            {"label": label, "href": f"{here}?show={key}", "is_current": key == show}
            for key, label in form.fields["show"].choices  # type: ignore[attr-defined]
        ],
        "sets_targets": user.is_admin,
        "page_shortcuts": [(["d"], "Acknowledge the alert")],
    }
    template = "playbooks/_alert_list.html" if is_htmx(request) else "playbooks/alert_list.html"
    return render(request, template, context)


def count_new(user: User) -> int:
    """Return how many alerts are new to `user`, up to a hundred."""
    return Alert.objects.visible_to(user).unread_by(user)[: MOST_COUNTED + 1].count()


@login_required
@require_safe
@never_cache
def unread(request: StaffRequest) -> HttpResponse:
    """The count for the sidebar, fetched once a page is on the screen so that no page waits for it."""
    number = count_new(request.user)
    text = f"{MOST_COUNTED}+" if number > MOST_COUNTED else str(number)
    return render(request, "playbooks/_alerts_unread.html", {"number": number, "text": text})


@login_required
@require_POST
def acknowledge(request: StaffRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert.objects.visible_to(request.user), pk=pk)
    alerting.acknowledge(Alert.objects.filter(pk=alert.pk), by=request.user, at=timezone.now())
    return changed(
        request,
        f"Acknowledged: {alert.title}.",
        fallback=reverse("playbooks:alert-list"),
        undo=reverse("playbooks:alert-forget", args=[alert.pk]),
        events=EVENTS,
    )


@login_required
@require_POST
def acknowledge_all(request: StaffRequest) -> HttpResponse:
    number = alerting.acknowledge(Alert.objects.visible_to(request.user), by=request.user, at=timezone.now())
    words = f"{number} alert{'' if number == 1 else 's'} acknowledged."
    return changed(request, words, fallback=reverse("playbooks:alert-list"), events=EVENTS)


@login_required
@require_POST
def forget(request: StaffRequest, pk: int) -> HttpResponse:
    """Take an acknowledgement back: the alert is new again."""
    alert = get_object_or_404(Alert.objects.visible_to(request.user), pk=pk)
    alerting.forget(alert, by=request.user)
    return changed(
        request, f"New again: {alert.title}.", fallback=reverse("playbooks:alert-list"), events=EVENTS
    )
