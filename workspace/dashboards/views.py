"""The pages of the dashboards: the frame at once, its sections as they are ready, print and export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from playbooks.answers import is_htmx
from team.models import User
from workspace.dashboards import exporting
from workspace.dashboards.answering import ShownDashboard, answered
from workspace.dashboards.blocks import Table
from workspace.dashboards.catalogue import DASHBOARDS
from workspace.dashboards.definition import Dashboard, Section
from workspace.dashboards.forms import SelectionForm, csms_shown_to
from workspace.dashboards.selection import COMPARISONS, Selection, in_words
from workspace.exports import csv_response
from workspace.forms import errors_in_words


@dataclass(frozen=True)
class Asked:
    """What an address asks for; no selection where it cannot be asked, or nobody was chosen yet."""

    dashboard: Dashboard
    form: SelectionForm
    selection: Selection | None
    needs_csm: bool = False

    @property
    def carried(self) -> str:
        """The days and filters as a query string, to be taken along to another dashboard."""
        query = self.form.given.copy()
        for name in list(query):
            if name not in self.form.fields or not query[name]:
                query.pop(name)
        return str(query.urlencode())

    def address(self, name: str, *arguments: str) -> str:
        path = reverse(f"workspace:{name}", args=[self.dashboard.slug, *arguments])
        return f"{path}?{self.carried}" if self.carried else path


def _asked(request: HttpRequest, slug: str) -> Asked:
    dashboard = DASHBOARDS.get(slug)
    if dashboard is None:
        raise Http404(f"There is no dashboard {slug!r}.")
    user = request.user
    assert isinstance(user, User)
    form = SelectionForm(request.GET, user=user, now=timezone.now())
    if not form.is_valid():
        return Asked(dashboard, form, None)
    selection = form.selection()
    if dashboard.is_of_one_csm and selection.filters.csm is None:
        if user.role != User.Role.CSM:
            return Asked(dashboard, form, None, needs_csm=True)
        selection = replace(selection, filters=replace(selection.filters, csm=user.pk))
    return Asked(dashboard, form, selection)


@login_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The board one most likely came for: a CSM's own, for others the executive one."""
    assert isinstance(request.user, User)
    slug = "csm" if request.user.role == User.Role.CSM else "executive"
    query = request.GET.urlencode()
    return redirect(reverse("workspace:dashboard", args=[slug]) + (f"?{query}" if query else ""))


@login_required
@require_safe
def dashboard(request: HttpRequest, slug: str) -> HttpResponse:
    """The frame of a dashboard; its sections follow, each as soon as it is worked out."""
    asked = _asked(request, slug)
    status = 200 if asked.form.is_valid() else 400
    return render(request, "workspace/dashboards/dashboard.html", _context(request, asked), status=status)


@login_required
@require_safe
def printout(request: HttpRequest, slug: str) -> HttpResponse:
    """The whole dashboard on one page, to be printed, or read without script."""
    asked = _asked(request, slug)
    context = _context(request, asked)
    status = 200 if asked.form.is_valid() else 400
    if asked.selection:
        shown = answered(asked.dashboard, asked.selection, asked.dashboard.sections)
        context |= {
            "shown": _in_order(request, shown),
            "address": request.build_absolute_uri(asked.address("dashboard")),
            "printed_at": asked.selection.now,
        }
    return render(request, "workspace/dashboards/dashboard.html", context, status=status)


@login_required
@require_safe
@vary_on_headers("HX-Request")
def section(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One section alone, for htmx."""
    asked = _asked(request, slug)
    found = asked.dashboard.section(key)
    if found is None:
        raise Http404(f"The dashboard {slug!r} has no section {key!r}.")
    if asked.selection is None:
        return _refused(asked)
    shown = _in_order(request, answered(asked.dashboard, asked.selection, [found]))
    if not is_htmx(request):
        context = _context(request, asked) | {"shown": shown}
        return render(request, "workspace/dashboards/dashboard.html", context)
    return render(request, "workspace/dashboards/_section.html", {"shown": shown.sections[0]})


@login_required
@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse | StreamingHttpResponse:
    """Every figure of the dashboard, with the counts it came from, as CSV."""
    asked = _asked(request, slug)
    if asked.selection is None:
        return _refused(asked)
    shown = answered(asked.dashboard, asked.selection, asked.dashboard.sections)
    period = asked.selection.period
    filename = f"{slug}-{period.start}-{period.last_day}.csv"
    return csv_response(filename, exporting.HEAD, exporting.lines(shown))


def _refused(asked: Asked) -> HttpResponse:
    words = "CSM: choose whose board it is." if asked.needs_csm else errors_in_words(asked.form)
    return HttpResponse(words, status=400, content_type="text/plain; charset=utf-8")


def _in_order(request: HttpRequest, shown: ShownDashboard) -> ShownDashboard:
    """Sort the tables as the address says."""
    order = request.GET.get("sort", "")
    for each in shown.sections:
        for card in each.cards:
            if isinstance(card.content, Table):
                card.content.sort(order)
    return shown


def _context(request: HttpRequest, asked: Asked) -> dict[str, Any]:
    selection = asked.selection
    context: dict[str, Any] = {
        "dashboard": asked.dashboard,
        "form": asked.form,
        "more_in_force": sum(bool(field.value()) for field in asked.form.more),
        "carried": asked.carried,
        "tabs": [
            {
                "label": each.label,
                "href": replace(asked, dashboard=each).address("dashboard"),
                "is_current": each == asked.dashboard,
            }
            for each in DASHBOARDS.values()
        ],
        "page_shortcuts": [(["f"], "Choose days and filters")],
    }
    if asked.needs_csm:
        context["people"] = [
            (person, f"?{_with(asked, 'csm', str(person.pk))}")
            for person in csms_shown_to(asked.form.user).filter(is_active=True).order_by("name")
        ]
    if selection:
        before = selection.before
        context |= {
            "selection": selection,
            "period_words": in_words(selection.period),
            "than_words": in_words(before) if before else "",
            "comparisons": [
                {
                    "label": label,
                    "href": f"?{_with(asked, 'compare', name)}",
                    "is_current": name == selection.compare,
                }
                for name, label in COMPARISONS.items()
            ],
            "parts": [_part(asked, each) for each in asked.dashboard.sections],
            "export_address": asked.address("dashboard-export"),
            "print_address": asked.address("dashboard-print"),
            "heading": _heading(asked, selection),
        }
    return context


def _heading(asked: Asked, selection: Selection) -> str:
    if not asked.dashboard.is_of_one_csm:
        return asked.dashboard.label
    chosen = asked.form.cleaned_data["csm"] or asked.form.user
    return f"{chosen}’s board"


def _part(asked: Asked, section: Section) -> dict[str, Any]:
    return {"section": section, "href": asked.address("dashboard-section", section.key)}


def _with(asked: Asked, name: str, value: str) -> str:
    query = asked.form.given.copy()
    query[name] = value
    for each in list(query):
        if each not in asked.form.fields or not query[each]:
            query.pop(each)
    return str(query.urlencode())
