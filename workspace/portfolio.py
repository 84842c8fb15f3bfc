"""All accounts somebody sees: filter, sort, save the view, export, and act on many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.db.models import Case, CharField, Count, F, Max, OuterRef, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, NullIf
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.assigning import hand_over
from accounts.models import Account, AccountQuerySet, Assignment, Touch
from csplatform.periods import day_of
from metrics.health.decomposition import Reading, readings
from metrics.health.scorecards import cards_by_id
from playbooks import tasking
from playbooks.answers import changed, is_htmx
from team.models import User
from team.requests import StaffRequest
from workspace.exports import csv_response
from workspace.filters import BANDS, PortfolioFilter
from workspace.forms import BulkForm, SavedViewForm, errors_in_words
from workspace.models import SavedView
from workspace.undo import remember

PER_PAGE = 50
DEFAULT_SORT = "-mrr"
# Column of the table → what it is ordered by.
SORTS = {
    "name": "name",
    "segment": "segment",
    "plan": "plan__name",
    "stage": "lifecycle_stage",
    "csm": "csm_name",
    "mrr": "mrr",
    "score": "health__score",
    "change": "health__change_7d",
    "reason": "health__reason",
    "renewal": "renews_on",
    "touch": "touched_at",
}


@dataclass
class Row:
    """An account of the table, with what lives in other tables."""

    account: Account
    day: date
    csm: User | None
    touched_at: Any
    readings: list[Reading]

    @property
    def health(self) -> Any:
        return getattr(self.account, "health", None)

    @property
    def reason(self) -> str:
        """What costs the score most, in words."""
        worst = self.health.reason if self.health else ""
        return next((r.sentence(on=self.day) for r in self.readings if r.key == worst), "")

    @property
    def used(self) -> int:
        return sum(reading.state == "used" for reading in self.readings)

    @property
    def total(self) -> int:
        return len(self.readings)

    @property
    def is_low(self) -> bool:
        return self.used * 2 < self.total

    @property
    def oldest_days(self) -> int | None:
        oldest = self.health.oldest_signal_at if self.health else None
        return None if oldest is None else max((self.day - day_of(oldest)).days, 0)


@dataclass(frozen=True)
class BandTotal:
    band: str
    label: str
    accounts: int
    mrr: Decimal


@dataclass(frozen=True)
class Totals:
    """The line under the table: what all rows that the filters find add up to, on every page."""

    accounts: int
    mrr: Decimal
    without_rate: int
    bands: Sequence[BandTotal]


class CountedPaginator(Paginator[Account]):
    """A paginator that was told the count: the totals have it already."""

    def __init__(self, object_list: Any, per_page: int, *, count: int) -> None:
        super().__init__(object_list, per_page)
        self._count = count

    @property
    def count(self) -> int:
        return self._count


def csm_name(day: date) -> Any:
    held = Assignment.objects.filter(account=OuterRef("pk"), kind=Assignment.Kind.CSM).in_force(day)
    name = Coalesce(NullIf("user__name", Value("")), "user__email", output_field=CharField())
    return Subquery(held.values(shown=name)[:1])


def last_touch() -> Any:
    touches = Touch.objects.filter(account=OuterRef("pk")).exclude(kind=Touch.Kind.NOTE)
    return Subquery(touches.order_by("-happened_at").values("happened_at")[:1])


def in_order(accounts: AccountQuerySet, sort: str, day: date) -> AccountQuerySet:
    """Sort by a column; what has no value comes last either way, and ties keep still."""
    key = sort.removeprefix("-")
    if key not in SORTS:
        sort, key = DEFAULT_SORT, DEFAULT_SORT.removeprefix("-")
    if key == "csm":
        accounts = accounts.annotate(csm_name=csm_name(day))
    elif key == "touch":
        accounts = accounts.annotate(touched_at=last_touch())
    by = F(SORTS[key])
    return accounts.order_by(
        by.desc(nulls_last=True) if sort.startswith("-") else by.asc(nulls_last=True), "pk"
    )


def totals_of(accounts: AccountQuerySet) -> Totals:
    found = (
        accounts.order_by()
        .values("health__band")
        .annotate(
            accounts=Count("pk"),
            money=Coalesce(Sum("mrr"), Value(Decimal(0))),
            without_rate=Count(Case(When(mrr__isnull=True, then=1))),
        )
    )
    by_band: dict[str, list[Any]] = {row["health__band"] or "not_scored": [0, Decimal(0)] for row in found}
    for row in found:
        total = by_band[row["health__band"] or "not_scored"]
        total[0] += row["accounts"]
        total[1] += row["money"]
    return Totals(
        accounts=sum(row["accounts"] for row in found),
        mrr=sum((row["money"] for row in found), Decimal(0)),
        without_rate=sum(row["without_rate"] for row in found),
        bands=[
            BandTotal(band, label, int(by_band[band][0]), Decimal(by_band[band][1]))
            for band, label in BANDS
            if band in by_band
        ],
    )


def rows_of(accounts: Sequence[Account], day: date) -> list[Row]:
    """Return the rows of one page, with three queries for all of them."""
    ids = [account.pk for account in accounts]
    csms = {
        held.account_id: held.user
        for held in Assignment.objects.filter(account__in=ids, kind=Assignment.Kind.CSM)
        .in_force(day)
        .select_related("user")
    }
    touches = dict(
        Touch.objects.filter(account__in=ids)
        .exclude(kind=Touch.Kind.NOTE)
        .order_by()
        .values_list("account")
        .annotate(Max("happened_at"))
    )
    rows = [Row(account, day, csms.get(account.pk), touches.get(account.pk), []) for account in accounts]
    cards = cards_by_id(row.health.version_id for row in rows if row.health and row.health.version_id)
    for row in rows:
        if row.health and row.health.version_id in cards and row.health.points:
            row.readings = readings(row.health, cards[row.health.version_id])
    return rows


def asked_for(request: StaffRequest, query: QueryDict | None = None) -> PortfolioFilter:
    """Return the filter for what the address says, over what this user sees."""
    return PortfolioFilter(
        request.GET if query is None else query,
        queryset=Account.objects.visible_to(request.user),
        request=request,
    )


def found_by(chosen: PortfolioFilter) -> AccountQuerySet:
    """Return the accounts; a filter that can't be read finds none rather than all."""
    if not chosen.form.is_valid():
        return Account.objects.none()
    accounts: AccountQuerySet = chosen.qs
    return accounts


@login_required
@require_safe
@vary_on_headers("HX-Request")
def portfolio(request: StaffRequest) -> HttpResponse:
    """The table; htmx asks for it alone."""
    day = day_of(timezone.now())
    chosen = asked_for(request)
    accounts = found_by(chosen)
    sort = request.GET.get("sort", DEFAULT_SORT)
    totals = totals_of(accounts)
    paginator = CountedPaginator(
        in_order(accounts, sort, day).select_related("health", "plan"),
        PER_PAGE,
        count=totals.accounts,
    )
    page: Page[Account] = paginator.get_page(request.GET.get("page"))
    rows = rows_of(list(page.object_list), day)
    query = request.GET.copy()
    query.pop("page", None)
    views = list(SavedView.objects.visible_to(request.user).filter(page=SavedView.Page.PORTFOLIO))
    context = {
        "filter": chosen,
        "rows": rows,
        "page": page,
        "totals": totals,
        "default_sort": DEFAULT_SORT,
        "query": query.urlencode(),
        "views": views,
        "view_tabs": view_tabs(views, query.urlencode()),
        "bulk": BulkForm(user=request.user, today=day, found=accounts),
        "save_form": SavedViewForm(user=request.user, initial={"query": query.urlencode()}),
        "is_filtered": any(value for key, value in query.items() if key != "sort"),
        "page_shortcuts": [(["x"], "Select the row"), (["f"], "Go to the filters")],
    }
    template = "workspace/_portfolio.html" if is_htmx(request) else "workspace/portfolio.html"
    status = 200 if chosen.form.is_valid() else 422
    return render(request, template, context, status=status)


def view_tabs(views: Sequence[SavedView], query: str) -> list[dict[str, Any]]:
    """Return the saved views as tabs; the one whose filters are in force is current."""
    now = normal(query)
    here = reverse("workspace:portfolio")
    tabs = [{"label": "All customers", "href": here, "is_current": not now}]
    for view in views:
        tabs.append(
            {"label": view.name, "href": f"{here}?{view.query}", "is_current": now == normal(view.query)}
        )
    return tabs


def normal(query: str) -> list[tuple[str, str]]:
    """Return a query without empty values, in a fixed order, so that two can be compared."""
    pairs = QueryDict(query)
    return sorted((key, value) for key in pairs for value in pairs.getlist(key) if value)


# --- Export ---------------------------------------------------------------------------

EXPORT = [
    ("account_id", "pk"),
    ("name", "name"),
    ("segment", "segment"),
    ("industry", "industry"),
    ("region", "region"),
    ("plan", "plan__name"),
    ("stage", "lifecycle_stage"),
    ("csm", "csm_name"),
    ("mrr", "mrr"),
    ("score", "health__score"),
    ("band", "health__band"),
    ("coverage_percent", "health__coverage"),
    ("oldest_signal_at", "health__oldest_signal_at"),
    ("score_change_7d", "health__change_7d"),
    ("costs_most", "health__reason"),
    ("renews_on", "renews_on"),
    ("customer_since", "joined_on"),
    ("left_on", "left_on"),
    ("last_touch_at", "touched_at"),
]


@login_required
@require_safe
def export(request: StaffRequest) -> HttpResponse | StreamingHttpResponse:
    """The rows the filters find, all of them, as CSV."""
    day = day_of(timezone.now())
    chosen = asked_for(request)
    if not chosen.form.is_valid():
        return redirect(f"{reverse('workspace:portfolio')}?{request.GET.urlencode()}")
    accounts = in_order(
        found_by(chosen).annotate(csm_name=csm_name(day), touched_at=last_touch()),
        request.GET.get("sort", DEFAULT_SORT),
        day,
    )
    rows: Iterator[Any] = accounts.values_list(*(column for _, column in EXPORT)).iterator(chunk_size=2_000)
    return csv_response(f"portfolio-{day.isoformat()}.csv", [name for name, _ in EXPORT], rows)


# --- Saved views ----------------------------------------------------------------------


@login_required
@require_POST
def save_view(request: StaffRequest) -> HttpResponse:
    form = SavedViewForm(request.POST, user=request.user)
    if not form.is_valid():
        messages.error(request, errors_in_words(form))
        return redirect("workspace:portfolio")
    query = QueryDict(form.cleaned_data["query"], mutable=True)
    query.pop("page", None)
    view = SavedView.objects.create(
        user=request.user, name=form.cleaned_data["name"], query=query.urlencode()[:2_000]
    )
    messages.success(request, f"Saved as “{view.name}”.")
    return redirect(f"{reverse('workspace:portfolio')}?{view.query}")


@login_required
@require_POST
def rename_view(request: StaffRequest, pk: int) -> HttpResponse:
    view = get_object_or_404(SavedView.objects.visible_to(request.user), pk=pk)
    form = SavedViewForm(request.POST, user=request.user, view=view)
    if form.is_valid():
        view.name = form.cleaned_data["name"]
        view.save(update_fields=["name"])
    else:
        messages.error(request, errors_in_words(form))
    return redirect(f"{reverse('workspace:portfolio')}?{view.query}")


@login_required
@require_POST
def delete_view(request: StaffRequest, pk: int) -> HttpResponse:
    view = get_object_or_404(SavedView.objects.visible_to(request.user), pk=pk)
    view.delete()
    messages.success(request, f"The view “{view.name}” is gone; its accounts are not.")
    return redirect("workspace:portfolio")


# --- Many at once ---------------------------------------------------------------------


@login_required
@require_POST
def bulk(request: StaffRequest) -> HttpResponse:
    """Hand accounts over or add a task to each; both can be taken back."""
    day = day_of(timezone.now())
    chosen = asked_for(request, QueryDict(request.POST.get("query", "")[:2_000]))
    form = BulkForm(request.POST, user=request.user, today=day, found=found_by(chosen))
    here = reverse("workspace:portfolio")
    if not request.user.may_write:
        return changed(request, "Viewers can look, not change.", fallback=here, level="bad")
    if not form.is_valid():
        return changed(request, errors_in_words(form), fallback=here, level="bad")
    try:
        ids = form.account_ids()
    except forms.ValidationError as error:
        return changed(request, error.messages[0], fallback=here, level="bad")
    data = form.cleaned_data
    if data["action"] == "assign":
        done = hand_over(ids, to=data["to"], on=day)
        undo = remember(request, "hand_over", {"to": data["to"].pk, "rows": [row.as_dict() for row in done]})
        text = f"{len(done)} accounts handed over to {data['to']}."
        if len(done) < len(ids):
            text += f" {len(ids) - len(done)} were theirs already."
    else:
        tasks = tasking.add_tasks(
            ids,
            title=data["title"],
            due_on=data["due_on"],
            assignee=data["assignee"],
            by=request.user,
            on=day,
        )
        undo = remember(request, "tasks", {"tasks": [task.pk for task in tasks]})
        text = f"Task added to {len(tasks)} accounts."
    return changed(
        request,
        text,
        fallback=f"{here}?{chosen.data.urlencode()}",
        undo=undo,
        events={"portfolioChanged": {}, "closeDialog": "bulk-dialog"},
    )
