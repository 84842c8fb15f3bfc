"""One account, all around: who, money, health with its reasons, usage, tickets, voice, people, history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db.models import Case, F, Prefetch, Value, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.models import Account, Assignment, OutcomeMetric, OutcomeValue, Touch
from accounts.touches import log_touch
from csplatform.periods import day_of
from metrics.health.decomposition import Reading, explain_change, readings
from metrics.health.scorecards import cards_by_id
from metrics.models import HealthScore
from playbooks.answers import changed, is_htmx, safe_next
from surveys.models import Feedback
from team.requests import StaffRequest
from workspace import story
from workspace.forms import TimelineForm, TouchAskedForm, TouchForm

TIMELINE = 25
MOST_TICKETS = 60
MOST_ANSWERS = 60
MOST_PEOPLE = 60
MOST_LEDGER = 24
STATES = 250


def account_of(request: StaffRequest, pk: int) -> Account:
    """Return an account of the reader's, with what its head shows; anybody else's is not there."""
    accounts = Account.objects.visible_to(request.user)
    return get_object_or_404(
        accounts.select_related("plan__product", "parent", "health__version__scorecard"), pk=pk
    )


@login_required
@require_safe
def account(request: StaffRequest, pk: int) -> HttpResponse:
    account = account_of(request, pk)
    now = timezone.now()
    day = day_of(now)
    form = TimelineForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    held = list(
        Assignment.objects.filter(account=account).in_force(day).select_related("user").order_by("-kind")
    )
    contacts = list(
        account.contacts.order_by(F("left_on").asc(nulls_first=True), _by_role(), "name")[:MOST_PEOPLE]
    )
    tickets = list(
        account.tickets.select_related("contact", "source").order_by(
            Case(When(resolved_at__isnull=True, then=Value(0)), default=Value(1)), "-opened_at", "-pk"
        )[:MOST_TICKETS]
    )
    answers = story.read_answers(account, most=MOST_ANSWERS)
    feedback = list(account.feedback.select_related("contact").order_by("-given_at", "-pk")[:TIMELINE])
    movements = list(account.movements.order_by("effective_on", "pk"))
    touches = list(
        account.touches.select_related("user", "contact").order_by("-happened_at", "-pk")[:TIMELINE]
    )
    milestones = list(account.milestones.order_by("due_on", "name"))
    health = health_context(
        account,
        story.happenings_of(contacts, movements, answers, since=day - timedelta(weeks=story.WEEKS)),
        day,
    )
    entries = [
        *story.of_touches(touches),
        *story.of_tickets(tickets),
        *story.of_answers(answers),
        *story.of_feedback(feedback),
        *story.of_movements(movements),
        *story.of_people(contacts, milestones),
    ]
    money = money_context(account, movements, day)
    context = {
        "account": account,
        "day": day,
        "csm": next((row.user for row in held if row.kind == Assignment.Kind.CSM), None),
        "backup": next((row.user for row in held if row.kind == Assignment.Kind.BACKUP), None),
        "arr": None if account.mrr is None else account.mrr * 12,
        "last_touch_at": next((row.happened_at for row in touches if row.kind != Touch.Kind.NOTE), None),
        **health,
        **money,
        **usage_context(account, day, money["seats"], by="day" if asked.get("usage") == "day" else "week"),
        "tickets": tickets[:10],
        "open_tickets": sum(ticket.resolved_at is None for ticket in tickets),
        "more_tickets": max(len(tickets) - 10, 0),
        "voices": story.voices_of(answers)[:6],
        "feedback": feedback[:6],
        "contacts": contacts,
        "tasks": list(
            account.tasks.select_related("assignee")
            .order_by("-state", "due_on", "pk")
            .filter(state="open")[:20]
        ),
        "outcomes": outcomes_of(account),
        "milestones": milestones,
        **timeline_context(entries, form),
        "touch_form": TouchForm(account=account, now=now, people=contacts, initial={"kind": Touch.Kind.CALL}),
        "may_edit": request.user.may_write,
        "page_shortcuts": [(["c"], "Log a call"), (["n"], "Write a note"), (["t"], "New task")],
    }
    return render(request, "workspace/account.html", context)


def _by_role() -> Any:
    return Case(When(role="champion", then=Value(0)), When(role="sponsor", then=Value(1)), default=Value(2))


@dataclass(frozen=True)
class MeasureRow:
    """A measure of the score, with its bar: from the right, as wide as what it takes off."""

    reading: Reading
    bar_x: int
    bar_width: int

    @classmethod
    def of(cls, reading: Reading, most: Decimal) -> MeasureRow:
        width = round(100 * abs(reading.effect) / most)
        return cls(reading, 100 - width, width)


def health_context(account: Account, happenings: list[story.Happening], day: date) -> dict[str, Any]:
    """Return the score taken apart, its history, and what moved it in a month."""
    health = getattr(account, "health", None)
    states = list(HealthScore.objects.filter(account=account).order_by("-day")[:STATES])[::-1]
    cards = cards_by_id(
        {state.version_id for state in [*states, *([health] if health else [])] if state.version_id}
    )
    found = []
    month = None
    if health is not None and health.version_id in cards and health.points:
        found = readings(health, cards[health.version_id])
        before = next((state for state in reversed(states) if state.day <= day - timedelta(days=30)), None)
        month = explain_change(before, health, cards, on=day) if before else None
    oldest = health.oldest_signal_at if health else None
    most = max((abs(reading.effect) for reading in found), default=Decimal(0)) or Decimal(1)
    return {
        "health": health,
        "readings": [MeasureRow.of(reading, most) for reading in found],
        "used": sum(reading.state == "used" for reading in found),
        "oldest_days": None if oldest is None else max((day - day_of(oldest)).days, 0),
        "month_change": month,
        "changes": story.why_it_moved(states, cards, since=day - timedelta(days=90)),
        "score_chart": story.health_chart(
            states,
            happenings,
            day,
            green_from=health.version.green_from if health and health.version else Decimal(75),
        ),
    }


def money_context(account: Account, movements: list[Any], day: date) -> dict[str, Any]:
    lines = sorted(
        account.subscriptions.select_related("plan").order_by("-starts_on", "-pk"),
        key=lambda line: line.ends_on is not None and line.ends_on < day,
    )
    rows = story.ledger_rows(movements)
    seats = sum(
        (
            line.quantity
            for line in lines
            if line.kind == line.Kind.RECURRING
            and line.starts_on <= day
            and (line.ends_on is None or line.ends_on >= day)
        ),
        Decimal(0),
    )
    return {
        "subscriptions": lines[:12],
        "ledger": rows[:MOST_LEDGER],
        "ledger_count": len(rows),
        "money_chart": story.money_chart(movements, day),
        "renewals": list(account.renewals.order_by("-due_on")[:6]),
        "seats": seats,
    }


def usage_context(account: Account, day: date, seats: Decimal, *, by: Any) -> dict[str, Any]:
    usage = story.read_usage(account, day)
    features = story.read_features(account, day)
    return {
        "usage": usage,
        "usage_by": by,
        "usage_chart": story.usage_chart(usage, by=by, seats=seats),
        "features": features,
        "features_planned": sum(feature.is_in_plan for feature in features),
        "features_used": sum(feature.is_in_plan and feature.events > 0 for feature in features),
    }


def outcomes_of(account: Account) -> list[dict[str, Any]]:
    """Return the customer's own figures with their latest reading."""
    latest = OutcomeValue.objects.order_by("metric", "-day", "-recorded_at", "-pk")
    found = []
    for metric in OutcomeMetric.objects.filter(account=account).prefetch_related(
        Prefetch("values", queryset=latest, to_attr="readings")
    ):
        readings: list[OutcomeValue] = metric.readings  # type: ignore[attr-defined]
        now = readings[0] if readings else None
        change = None
        if now is not None and metric.baseline:
            change = 100 * (now.value - metric.baseline) / abs(metric.baseline)
        found.append(
            {
                "metric": metric,
                "now": now,
                "change": change,
                "better": "up" if metric.higher_is_better else "down",
                "line": [reading.value for reading in reversed(readings)],
            }
        )
    return found


# --- The timeline ---------------------------------------------------------------------


def timeline_context(entries: list[story.Entry], form: TimelineForm) -> dict[str, Any]:
    asked = form.cleaned_data if form.is_valid() else {}
    kind, before = asked.get("kind") or "", asked.get("before")
    chosen = [
        entry
        for entry in sorted(entries, key=lambda entry: entry.at, reverse=True)
        if (not kind or entry.kind == kind) and (before is None or entry.at < before)
    ]
    shown = chosen[:TIMELINE]
    return {
        "entries": shown,
        "older_than": shown[-1].at if len(chosen) > len(shown) else None,
        "kind": kind,
        "kinds": TimelineForm.KINDS,
    }


@login_required
@require_safe
@vary_on_headers("HX-Request")
def timeline(request: StaffRequest, pk: int) -> HttpResponse:
    """What happened, newest first; of one kind, or older than a moment, if asked."""
    account = account_of(request, pk)
    form = TimelineForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    kind, before = asked.get("kind") or "", asked.get("before")
    entries: list[story.Entry] = []
    for of_kind, read in READERS:
        if not kind or kind in of_kind:
            entries += read(account, before)
    context = {"account": account, **timeline_context(entries, form)}
    template = "workspace/_timeline.html" if is_htmx(request) else "workspace/timeline.html"
    return render(request, template, context)


def _earlier(rows: Any, field: str, before: datetime | None) -> Any:
    """Read one more than a page, so that the page knows whether there is more."""
    if before is not None:
        rows = rows.filter(**{f"{field}__lt": before})
    return rows.order_by(f"-{field}", "-pk")[: TIMELINE + 1]


def _touches(account: Account, before: datetime | None) -> list[story.Entry]:
    return story.of_touches(
        _earlier(account.touches.select_related("user", "contact"), "happened_at", before)
    )


def _tickets(account: Account, before: datetime | None) -> list[story.Entry]:
    return story.of_tickets(_earlier(account.tickets.select_related("contact"), "opened_at", before))


def _answers(account: Account, before: datetime | None) -> list[story.Entry]:
    return story.of_answers(story.read_answers(account, most=2 * TIMELINE, before=before))


def _feedback(account: Account, before: datetime | None) -> list[story.Entry]:
    rows = Feedback.objects.filter(account=account).select_related("contact")
    return story.of_feedback(_earlier(rows, "given_at", before))


def _movements(account: Account, before: datetime | None) -> list[story.Entry]:
    return story.of_movements(account.movements.all())


def _people(account: Account, before: datetime | None) -> list[story.Entry]:
    return story.of_people(account.contacts.filter(left_on__isnull=False), account.milestones.all())


READERS: list[tuple[Iterable[str], Callable[[Account, datetime | None], list[story.Entry]]]] = [
    (("touch", "note"), _touches),
    (("ticket",), _tickets),
    (("answer",), _answers),
    (("answer",), _feedback),
    (("money",), _movements),
    (("touch",), _people),
]


# --- Log a call -----------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def touch_new(request: StaffRequest, pk: int) -> HttpResponse:
    """Log a call, a meeting, a note: in a dialog, or on a page of its own without scripts."""
    account = get_object_or_404(Account.objects.editable_by(request.user), pk=pk)
    now = timezone.now()
    here = account.get_absolute_url()
    if request.method == "POST":
        form = TouchForm(request.POST, account=account, now=now)
        if form.is_valid():
            data = form.cleaned_data
            try:
                touch = log_touch(
                    account,
                    by=request.user,
                    kind=data["kind"],
                    notes=data["notes"],
                    happened_at=data["happened_at"],
                    contact=data["contact"],
                )
            except ValidationError as error:
                form.add_error(None, error)
            else:
                return changed(
                    request,
                    f"{touch.get_kind_display()} with {account.name} logged."
                    if touch.kind != Touch.Kind.NOTE
                    else f"Note on {account.name} kept.",
                    fallback=here,
                    events={"touchLogged": {}, "queueChanged": {}, "closeDialog": "touch"},
                )
    else:
        given = TouchAskedForm(request.GET)
        asked = given.cleaned_data if given.is_valid() else {}
        form = TouchForm(
            account=account,
            now=now,
            initial={"kind": asked.get("kind") or Touch.Kind.CALL, "contact": asked.get("contact")},
        )
    context = {"account": account, "touch_form": form, "next": safe_next(request, here)}
    template = "workspace/_touch_form.html" if is_htmx(request) else "workspace/touch.html"
    return render(request, template, context, status=422 if form.is_bound else 200)
