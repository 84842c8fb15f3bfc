"""Home: who needs somebody first, then what moved, what is due, and whom to answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.models import Account, Assignment, Movement, Renewal
from csplatform.periods import Period, day_of
from metrics.kpis import Filters, Question, ask_many, month_so_far
from metrics.models import HealthScore
from playbooks import attention
from playbooks.alerts import count_new
from playbooks.answers import is_htmx
from playbooks.models import Task
from playbooks.tasking import people_to_ask
from surveys.models import Answer
from team.models import User
from workspace.forms import HomeForm

FIRST_LINES = 10
MOST_LINES = attention.MOST_COUNTED
CALENDAR_WEEKS = 5
MOST_MOVES = 6


@dataclass(frozen=True)
class Range:
    """Whose accounts, for whom, and as of which day."""

    user: User
    day: date
    csm: User | None = None

    @property
    def csm_id(self) -> int | None:
        return self.csm.pk if self.csm else None

    @property
    def is_everything(self) -> bool:
        return self.csm is None and self.user.role in (User.Role.ADMIN, User.Role.VIEWER)

    def of_accounts(self, rows: Any, path: str = "account") -> Any:
        """Keep the rows of these accounts; for whoever sees all, there is nothing to look up."""
        return rows if self.is_everything else rows.filter(**{f"{path}__in": self.accounts()})

    def accounts(self) -> Any:
        seen = Account.objects.visible_to(self.user)
        if self.csm_id is None:
            return seen
        return seen.filter(pk__in=attention.held_by(self.csm_id, self.day))


def range_of(request: HttpRequest) -> tuple[Range, HomeForm]:
    """Read whose home this is.

    A CSM sees the accounts they hold, and on request those they only stand in for; managers and
    admins see all of theirs, or those of a CSM they choose.
    """
    user = request.user
    assert isinstance(user, User)
    is_csm = user.role == User.Role.CSM
    form = HomeForm(request.GET, people=None if is_csm else people_to_ask(user))
    asked = form.cleaned_data if form.is_valid() else {}
    day = day_of(timezone.now())
    if is_csm:
        return Range(user, day, None if asked.get("backup") else user), form
    return Range(user, day, asked.get("csm")), form


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    chosen, form = range_of(request)
    asked = form.cleaned_data if form.is_valid() else {}
    found = queue_context(chosen, show_all=bool(asked.get("all")))
    nothing = not found["queue"].count and not found["queue"].set_aside
    if nothing and not Account.objects.visible_to(chosen.user).exists():
        return render(request, "workspace/home_empty.html", {"is_new": not Account.objects.exists()})
    days = 1 if asked.get("since") == "yesterday" else 7
    context = {
        "form": form,
        "day": chosen.day,
        "backup": backup_of(chosen),
        **found,
        "days": days,
        "movers": score_moves(chosen, days=days),
        "movements": money_moves(chosen, days=days),
        "weeks": weeks_ahead(chosen),
        "answers": answers_to_close(chosen),
        "new_alerts": count_new(chosen.user),
        "page_shortcuts": [
            (["d"], "Done with the line"),
            (["s"], "Snooze it"),
            (["n"], "Not useful"),
            (["c"], "Log a call"),
            (["t"], "Make it a task"),
        ],
    }
    return render(request, "workspace/home.html", context)


@login_required
@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    """The queue alone, for htmx, after a line was set aside or brought back."""
    chosen, form = range_of(request)
    asked = form.cleaned_data if form.is_valid() else {}
    return render(request, "workspace/_queue.html", queue_context(chosen, show_all=bool(asked.get("all"))))


@login_required
@require_safe
@vary_on_headers("HX-Request")
def figures(request: HttpRequest) -> HttpResponse:
    """The strip of numbers; home fetches it once the queue is on the screen."""
    chosen, _ = range_of(request)
    template = "workspace/_figures.html" if is_htmx(request) else "workspace/figures.html"
    return render(request, template, {"figures": figures_of(chosen)})


def backup_of(chosen: Range) -> dict[str, Any] | None:
    """Return whether a CSM stands in for somebody, and whether those accounts are shown."""
    if chosen.user.role != User.Role.CSM:
        return None
    held = Assignment.objects.filter(user=chosen.user, kind=Assignment.Kind.BACKUP).in_force(chosen.day)
    return {"is_on": chosen.csm is None, "accounts": held.count()}


def queue_context(chosen: Range, *, show_all: bool) -> dict[str, Any]:
    limit = MOST_LINES if show_all else FIRST_LINES
    return {
        "queue": attention.queue(chosen.user, chosen.day, limit=limit, csm_id=chosen.csm_id),
        "show_all": show_all,
        "most_lines": MOST_LINES,
        "csm": chosen.csm,
    }


# --- The figures ----------------------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """A number of the strip: what `kpi_card` shows."""

    label: str
    value: Decimal | int | None
    unit: str
    href: str
    period: str = ""
    change: Decimal | None = None
    than: str = ""
    better: str = "up"
    note: str = ""
    interval: tuple[Any, Any] | None = None
    sample_size: int | None = None
    small_sample: bool = False
    reason: str = ""
    short: bool = False


def figures_of(chosen: Range) -> list[Card]:
    """Return recurring revenue, customers, NPS and what stands in red: each leads to its explanation."""
    user, day, of_csm = chosen.user, chosen.day, chosen.csm_id
    month = month_so_far(day)
    quarter = Period.last_days(90, until=day)
    filters = Filters(csm=of_csm)
    mrr = Question("mrr", month, filters=filters, user=user)
    customers = Question("customer_count", month, filters=filters, user=user)
    nps = Question("nps", quarter, filters=filters, user=user)
    # The level at the end of last month: one day is enough, both are taken at a period's end.
    eve = Period(month.start - timedelta(days=1), month.start)
    asked = [mrr, replace(mrr, period=eve), customers, replace(customers, period=eve), nps]
    now, before, count, count_before, voice = ask_many([*asked])
    csm = {"csm": of_csm} if of_csm else {}

    def link(slug: str, period: Period) -> str:
        dates = {"start": period.start.isoformat(), "end": period.end.isoformat()}
        return f"/kpis/{slug}/?{urlencode({**dates, **csm})}"

    risk = _at_risk(chosen)
    portfolio = f"{reverse('workspace:portfolio')}?" + urlencode(
        {"band": "red", **({"csm": "me"} if of_csm == user.pk else csm)}
    )
    than = f"since the end of {eve.start:%B}"
    interval = voice.figure.interval
    return [
        Card(
            "MRR",
            now.value,
            "money",
            link("mrr", month),
            "today",
            _difference(now.value, before.value),
            than,
            reason=now.figure.reason,
            short=True,
        ),
        Card(
            "Customers",
            count.value,
            "count",
            link("customer_count", month),
            "today",
            _difference(count.value, count_before.value),
            than,
            reason=count.figure.reason,
        ),
        Card(
            "NPS",
            voice.value,
            "points",
            link("nps", quarter),
            "90 days",
            interval=(interval.low, interval.high) if interval else None,
            sample_size=voice.figure.sample_size if voice.value is not None else None,
            small_sample=voice.figure.is_small_sample,
            reason=voice.figure.reason,
        ),
        Card(
            "MRR at risk",
            risk["mrr"],
            "money",
            portfolio,
            "today",
            better="down",
            note=f"{risk['accounts']} account{'' if risk['accounts'] == 1 else 's'} in red",
            short=True,
        ),
    ]


def _difference(now: Decimal | None, before: Decimal | None) -> Decimal | None:
    return None if now is None or before is None else now - before


def _at_risk(chosen: Range) -> dict[str, Any]:
    accounts = chosen.accounts().customers().filter(health__band="red")
    found = accounts.order_by().aggregate(mrr=Sum("mrr"), accounts=Count("pk"))
    return {"mrr": found["mrr"] or Decimal(0), "accounts": found["accounts"]}


# --- What moved -----------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreMove:
    account: Account
    score: Decimal
    change: Decimal


def score_moves(chosen: Range, *, days: int) -> list[ScoreMove]:
    """Return whose score moved most since a day, down and up, the largest moves first."""
    if days == 7:
        # Two reads of an index's ends instead of one sort of everybody by size.
        rows = chosen.accounts().customers().filter(health__score__isnull=False).select_related("health")
        moves = [
            ScoreMove(account, account.health.score, account.health.change_7d)
            for account in [
                *rows.filter(health__change_7d__lt=0).order_by("health__change_7d")[:MOST_MOVES],
                *rows.filter(health__change_7d__gt=0).order_by("-health__change_7d")[:MOST_MOVES],
            ]
        ]
    else:
        earlier = HealthScore.objects.filter(account=OuterRef("account"), day__lt=chosen.day)
        scores = (
            HealthScore.objects.filter(
                account__in=chosen.accounts().customers(), day=chosen.day, score__isnull=False
            )
            .annotate(before=Subquery(earlier.order_by("-day").values("score")[:1]))
            .annotate(change=F("score") - F("before"))
            .exclude(change=0)
            .filter(before__isnull=False)
            .select_related("account")
        )
        moves = [
            ScoreMove(row.account, row.score, row.change)  # type: ignore[attr-defined]
            for row in [*scores.order_by("change")[:MOST_MOVES], *scores.order_by("-change")[:MOST_MOVES]]
        ]
        moves = list({move.account.pk: move for move in moves}.values())
    moves.sort(key=lambda move: (-abs(move.change), move.account.pk))
    return moves[:MOST_MOVES]


def money_moves(chosen: Range, *, days: int) -> Sequence[Movement]:
    """Return the largest movements of revenue in the last days; corrections are left to the ledger."""
    period = Period.last_days(days, until=chosen.day)
    return list(
        chosen.of_accounts(Movement.objects.filter(is_reversal=False))
        .effective_in(period)
        .exclude(delta=0)
        .select_related("account")
        .order_by("-effective_on", "-pk")[:MOST_MOVES]
    )


# --- What is due ----------------------------------------------------------------------


@dataclass
class Day:
    day: date
    is_today: bool
    is_past: bool
    renewals: list[Renewal] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.renewals and not self.tasks


def weeks_ahead(chosen: Range) -> list[list[Day]]:
    """Return five weeks from this Monday with the renewals and open tasks of each day."""
    monday = chosen.day - timedelta(days=chosen.day.weekday())
    last = monday + timedelta(days=7 * CALENDAR_WEEKS - 1)
    renewals: dict[date, list[Renewal]] = defaultdict(list)
    for renewal in (
        chosen.of_accounts(Renewal.objects.all())
        .filter(due_on__gte=chosen.day, due_on__lte=last, outcome=Renewal.Outcome.OPEN)
        .select_related("account")
        .order_by("due_on", "-due_value", "pk")[:MOST_LINES]
    ):
        renewals[renewal.due_on].append(renewal)
    tasks: dict[date, list[Task]] = defaultdict(list)
    whose = Q(assignee=chosen.csm_id or chosen.user.pk)
    for task in (
        Task.objects.visible_to(chosen.user)
        .open()
        .filter(whose, due_on__lte=last)
        .select_related("account")
        .order_by("due_on", "pk")[:MOST_LINES]
    ):
        # What is overdue is for today.
        tasks[max(task.due_on, chosen.day)].append(task)
    days = [monday + timedelta(days=n) for n in range(7 * CALENDAR_WEEKS)]
    found = [Day(day, day == chosen.day, day < chosen.day, renewals[day], tasks[day]) for day in days]
    return [found[n : n + 7] for n in range(0, len(found), 7)]


def answers_to_close(chosen: Range, most: int = 5) -> list[dict[str, Any]]:
    """Return the newest low answers that nobody has followed up, with what was said."""
    words = Answer.objects.filter(response=OuterRef("response"), kind=Answer.Kind.TEXT).exclude(text="")
    rows = (
        chosen.of_accounts(attention.open_detractors(chosen.day), "response__account")
        .filter(response__account__isnull=False)
        .annotate(words=Subquery(words.values("text")[:1]))
        .select_related("response__account", "response__contact")
        .order_by("-response__given_at", "-pk")[:most]
    )
    return [{"answer": row, "text": row.words or ""} for row in rows]
