"""The queue's lines set aside and brought back, tasks, renewals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from dateutil.relativedelta import relativedelta
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncMonth
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.models import Account, Renewal
from csplatform.periods import day_of, floor_to
from playbooks import tasking
from playbooks.answers import changed, is_htmx, safe_next
from playbooks.forms import (
    DISMISSALS,
    QueueForm,
    RenewalListForm,
    TaskForAccountForm,
    TaskForm,
    TaskListForm,
)
from playbooks.models import Dismissal, Task
from team.requests import StaffRequest

PER_PAGE = 50
SAID = {"done": "Done", "snooze": "Snoozed", "not-useful": "Noted, thank you"}


def today() -> date:
    return day_of(timezone.now())


# --- The queue ------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def set_aside(request: StaffRequest, account_id: int, kind: str) -> HttpResponse:
    """Ask how, then set a line of the reader's own queue aside."""
    account = get_object_or_404(Account.objects.visible_to(request.user), pk=account_id)
    day = today()
    form_class = DISMISSALS[kind]
    form = form_class(request.POST or None, today=day)
    reason = QueueForm(request.POST or request.GET)
    reason_key = reason.cleaned_data["reason"] if reason.is_valid() else ""
    if request.method == "POST" and form.is_valid():
        dismissal = Dismissal.objects.create(
            account=account,
            user=request.user,
            kind=form.kind,
            until=form.until(),
            reason_key=reason_key,
            note=form.cleaned_data["note"][:500],
        )
        return changed(
            request,
            f"{SAID[kind]}: {account.name}. Back on {dismissal.until:%-d %B} if the reason still stands.",
            fallback=reverse("workspace:home"),
            undo=reverse("playbooks:bring-back", args=[dismissal.pk]),
            events={"queueChanged": {}, "closeDialog": "queue-dialog"},
        )
    template = "playbooks/_set_aside.html" if is_htmx(request) else "playbooks/set_aside.html"
    context = {
        "account": account,
        "kind": kind,
        "form": form,
        "reason": reason_key,
        "next": safe_next(request, reverse("workspace:home")),
    }
    return render(request, template, context, status=422 if form.is_bound else 200)


@login_required
@require_POST
def bring_back(request: StaffRequest, pk: int) -> HttpResponse:
    """Take a line out of what was set aside: it is in the queue again at once."""
    dismissal = get_object_or_404(Dismissal.objects.visible_to(request.user).select_related("account"), pk=pk)
    dismissal.delete()
    return changed(
        request,
        f"{dismissal.account.name} is back in the queue.",
        fallback=reverse("workspace:home"),
        events={"queueChanged": {}},
    )


# --- Tasks ----------------------------------------------------------------------------


@login_required
@require_safe
@vary_on_headers("HX-Request")
def task_list(request: StaffRequest) -> HttpResponse:
    """Tasks of the accounts one sees: mine, overdue, everybody's, done."""
    form = TaskListForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    day = today()
    show = asked.get("show") or "mine"
    visible = Task.objects.visible_to(request.user)
    mine = Q(assignee=request.user)
    counts = visible.open().aggregate(
        mine=Count("pk", filter=mine),
        overdue=Count("pk", filter=Q(due_on__lt=day)),
        all=Count("pk"),
    )
    tasks = {
        "mine": visible.open().filter(mine),
        "overdue": visible.overdue(day),
        "all": visible.open(),
        "done": visible.done(),
    }[show]
    order = ["-done_at", "-pk"] if show == "done" else ["due_on", "pk"]
    page = Paginator(
        tasks.select_related("account__health", "assignee", "created_by").order_by(*order), PER_PAGE
    ).get_page(asked.get("page"))
    here = reverse("playbooks:task-list")
    tabs = [
        {"label": label, "href": f"{here}?show={key}", "is_current": key == show, "count": counts.get(key)}
        for key, label in form.fields["show"].choices  # type: ignore[attr-defined]
    ]
    context = {
        "page": page,
        "groups": by_urgency(page.object_list, day) if show != "done" else [("", page.object_list)],
        "show": show,
        "tabs": tabs,
        "day": day,
        "page_shortcuts": [(["d"], "Mark the task done"), (["c"], "New task")],
    }
    template = "playbooks/_task_list.html" if is_htmx(request) else "playbooks/task_list.html"
    return render(request, template, context)


def by_urgency(tasks: Iterable[Task], day: date) -> list[tuple[str, list[Task]]]:
    """Return the tasks under headings: overdue, today, the next seven days, later."""
    groups: dict[str, list[Task]] = {"Overdue": [], "Today": [], "Next 7 days": [], "Later": []}
    for task in tasks:
        if task.due_on < day:
            groups["Overdue"].append(task)
        elif task.due_on == day:
            groups["Today"].append(task)
        elif task.due_on <= day + timedelta(days=7):
            groups["Next 7 days"].append(task)
        else:
            groups["Later"].append(task)
    return [(label, found) for label, found in groups.items() if found]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def task_new(request: StaffRequest, account_id: int | None = None) -> HttpResponse:
    """Add a task, for the account in the address or one named in the form."""
    day = today()
    user = request.user
    account = None
    if account_id is not None:
        account = get_object_or_404(Account.objects.editable_by(user), pk=account_id)
    given = QueueForm(request.GET)
    asked = given.cleaned_data if given.is_valid() else {}
    data = request.POST if request.method == "POST" else None
    form: TaskForm
    if account is None:
        form = TaskForAccountForm(data, user=user, today=day)
    else:
        form = TaskForm(data, user=user, today=day, initial={"title": asked.get("title", "")})
    if form.is_bound and form.is_valid():
        chosen = account or form.cleaned_data["account"]
        posted = QueueForm(request.POST)
        rule = posted.cleaned_data["reason"] if posted.is_valid() else ""
        task = tasking.add_tasks(
            [chosen.pk],
            title=form.cleaned_data["title"],
            due_on=form.cleaned_data["due_on"],
            assignee=form.cleaned_data["assignee"],
            by=user,
            on=day,
            rule=rule[:100],
            fired_by=fired_by(chosen) if rule else None,
        )[0]
        return changed(
            request,
            f"Task added for {chosen.name}, due {task.due_on:%-d %B}.",
            fallback=reverse("playbooks:task-list"),
            events={"tasksChanged": {}, "closeDialog": "task-dialog"},
        )
    template = "playbooks/_task_form.html" if is_htmx(request) else "playbooks/task_form.html"
    context = {
        "form": form,
        "account": account,
        "reason": asked.get("reason", ""),
        "next": safe_next(request, reverse("playbooks:task-list")),
    }
    return render(request, template, context, status=422 if form.is_bound else 200)


def fired_by(account: Account) -> dict[str, Any]:
    """Return the figures of the day that a task was made for, to read them later as they were."""
    health = getattr(account, "health", None)
    return {
        "score": str(health.score) if health and health.score is not None else None,
        "band": health.band if health else None,
        "change_7d": str(health.change_7d) if health and health.change_7d is not None else None,
        "mrr": str(account.mrr) if account.mrr is not None else None,
        "renews_on": account.renews_on.isoformat() if account.renews_on else None,
    }


@login_required
@require_POST
def task_done(request: StaffRequest, pk: int) -> HttpResponse:
    task = get_object_or_404(Task.objects.editable_by(request.user), pk=pk)
    tasking.complete(task, at=timezone.now())
    return changed(
        request,
        f"Done: {task.title}",
        fallback=reverse("playbooks:task-list"),
        undo=reverse("playbooks:task-reopen", args=[task.pk]),
        events={"tasksChanged": {}},
    )


@login_required
@require_POST
def task_reopen(request: StaffRequest, pk: int) -> HttpResponse:
    task = get_object_or_404(Task.objects.editable_by(request.user), pk=pk)
    tasking.reopen(task)
    return changed(
        request,
        f"Open again: {task.title}",
        fallback=reverse("playbooks:task-list"),
        events={"tasksChanged": {}},
    )


# --- Renewals -------------------------------------------------------------------------


@dataclass
class RenewalMonth:
    """What comes up for renewal in a month, per currency, and what became of it."""

    month: date
    is_current: bool = False
    renewals: int = 0
    open: int = 0
    due: dict[str, Decimal] = field(default_factory=dict)
    at_risk: dict[str, Decimal] = field(default_factory=dict)


@login_required
@require_safe
@vary_on_headers("HX-Request")
def renewal_list(request: StaffRequest) -> HttpResponse:
    """Contract terms that end, month by month: how much is due, how the accounts do, what came of it."""
    form = RenewalListForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    day = today()
    show = asked.get("show") or "coming"
    first = floor_to(day, "month") if show == "coming" else floor_to(day, "month") - relativedelta(months=11)
    beyond = first + relativedelta(months=12)
    wanted = Q(due_on__gte=first, due_on__lt=beyond)
    # A term that ended with nothing decided is still to be settled, however long ago.
    wanted = wanted | Q(due_on__lt=first, outcome=Renewal.Outcome.OPEN) if show == "coming" else wanted
    renewals = Renewal.objects.visible_to(request.user).filter(wanted)
    if show == "past":
        renewals = renewals.filter(due_on__lt=day)
    months = months_of(renewals, asked.get("month"))
    if chosen := asked.get("month"):
        renewals = renewals.filter(due_on__gte=chosen, due_on__lt=chosen + relativedelta(months=1))
    order = ["due_on", "pk"] if show == "coming" else ["-due_on", "-pk"]
    page = Paginator(
        renewals.select_related("account__health", "subscription__plan").order_by(*order), PER_PAGE
    ).get_page(asked.get("page"))
    here = reverse("playbooks:renewal-list")
    context = {
        "page": page,
        "months": months,
        "chosen": asked.get("month"),
        "show": show,
        "day": day,
        "tabs": [
            {"label": label, "href": f"{here}?show={key}", "is_current": key == show}
            for key, label in form.fields["show"].choices  # type: ignore[attr-defined]
        ],
    }
    template = "playbooks/_renewal_list.html" if is_htmx(request) else "playbooks/renewal_list.html"
    return render(request, template, context)


def months_of(renewals: Any, chosen: date | None) -> list[RenewalMonth]:
    """Add up what is due by month, with one grouped query."""
    months: dict[date, RenewalMonth] = {}
    rows = (
        renewals.order_by()
        .annotate(month=TruncMonth("due_on"))
        .values("month", "currency")
        .annotate(
            renewals=Count("pk"),
            open=Count("pk", filter=Q(outcome=Renewal.Outcome.OPEN)),
            due=Sum("due_value"),
            at_risk=Sum("due_value", filter=Q(outcome=Renewal.Outcome.OPEN, account__health__band="red")),
        )
    )
    for row in rows:
        entry = months.setdefault(row["month"], RenewalMonth(row["month"], row["month"] == chosen))
        entry.renewals += row["renewals"]
        entry.open += row["open"]
        entry.due[row["currency"]] = row["due"]
        if row["at_risk"]:
            entry.at_risk[row["currency"]] = row["at_risk"]
    return [months[month] for month in sorted(months)]
