"""What there is to tell about one account: its score over time, money, usage, and what happened when.

Each function takes rows that are already read and asks the database nothing, except those whose
name begins with `read_`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.db.models import Case, Max, Sum, Value, When

from accounts.models import Account, Contact, Milestone, Movement, Touch
from csplatform.periods import day_of, start_of_day
from metrics.health.decomposition import Change, explain_change
from metrics.health.scorecards import Card
from metrics.models import HealthScore
from surveys.models import Answer, Feedback
from tickets.models import Ticket
from usage.models import ActivityMonth, UsageDay
from workspace.charts import Chart, Mark, Series

WEEKS = 26
MONTHS = 24
MOST_CHANGES = 6
USAGE_DAYS = 56
Tone = Literal["", "good", "warn", "bad", "accent"]


# --- Health over time -----------------------------------------------------------------


def score_on(states: Sequence[HealthScore], days: Sequence[date]) -> list[Decimal | None]:
    """Return the score at the end of each day; `states` are in order of their days."""
    at = [state.day for state in states]
    scores: list[Decimal | None] = []
    for day in days:
        place = bisect_right(at, day)
        scores.append(states[place - 1].score if place else None)
    return scores


def health_chart(
    states: Sequence[HealthScore], happenings: Sequence[Happening], day: date, *, green_from: Decimal
) -> Chart:
    """Draw the score at the end of each of the last 26 weeks, with what happened beside it."""
    days = [day - timedelta(days=7 * n) for n in reversed(range(WEEKS))]
    scores = score_on(states, days)
    known = [(when, score) for when, score in zip(days, scores, strict=True) if score is not None]
    if not known:
        summary = "No score yet."
    else:
        first, last = known[0], known[-1]
        lowest = min(known, key=lambda pair: pair[1])
        summary = f"From {first[1]:.0f} on {first[0]:%-d %B} to {last[1]:.0f} on {last[0]:%-d %B}"
        if lowest[1] < min(first[1], last[1]):
            summary += f", lowest {lowest[1]:.0f} on {lowest[0]:%-d %B}"
        summary += f". Shaded is healthy, from {green_from:.0f}."
    marks = []
    for happening in happenings:
        # The point of the week in which it happened.
        place = next((n for n, when in enumerate(days) if when >= happening.day), None)
        if place is not None and happening.day > days[0] - timedelta(days=7):
            marks.append(Mark(f"{days[place]:%-d %b}", happening.short))
    return Chart(
        kind="line",
        key="score-history",
        summary=summary,
        categories=[f"{when:%-d %b}" for when in days],
        category_label="Day",
        series=[Series(name="Score", values=scores)],
        unit="points",
        benchmark=(green_from, 100),
        from_zero=True,
        marks=marks,
        size="small",
    )


def why_it_moved(
    states: Sequence[HealthScore], cards: Mapping[int, Card], *, since: date
) -> list[tuple[date, Change]]:
    """Return the largest changes of score since a day, each taken apart, the newest first."""
    changes = []
    for before, after in zip([None, *states], states, strict=False):
        if after.day < since or before is None:
            continue
        change = explain_change(before, after, cards, on=after.day)
        if change.change is None or abs(change.change) >= 1:
            changes.append((after.day, change))
    changes.sort(key=lambda pair: abs(pair[1].change or Decimal(100)), reverse=True)
    return sorted(changes[:MOST_CHANGES], key=lambda pair: pair[0], reverse=True)


# --- Money ----------------------------------------------------------------------------


@dataclass(frozen=True)
class LedgerRow:
    """A movement with what the account paid a month after it, in the movement's currency."""

    movement: Movement
    mrr_after: Decimal


def ledger_rows(movements: Sequence[Movement]) -> list[LedgerRow]:
    """Return the ledger with its running sum per currency, the newest first."""
    level: dict[str, Decimal] = defaultdict(Decimal)
    rows = []
    for movement in sorted(movements, key=lambda row: (row.effective_on, row.recorded_at, row.pk)):
        level[movement.currency] += movement.delta
        rows.append(LedgerRow(movement, level[movement.currency]))
    return rows[::-1]


def money_chart(movements: Sequence[Movement], day: date) -> Chart:
    """Draw MRR at the end of each of the last 24 months, today for the running one."""
    first = day.replace(day=1) - relativedelta(months=MONTHS - 1)
    months = [first + relativedelta(months=n) for n in range(MONTHS)]
    ends = [min(month + relativedelta(months=1) - timedelta(days=1), day) for month in months]
    by_currency: dict[str, list[Decimal]] = {}
    for currency in sorted({movement.currency for movement in movements}):
        own = [movement for movement in movements if movement.currency == currency]
        by_currency[currency] = [
            sum((row.delta for row in own if row.effective_on <= end), Decimal(0)) for end in ends
        ]
    one = len(by_currency) == 1
    currency = next(iter(by_currency), settings.REPORTING_CURRENCY)
    if not by_currency:
        summary = "No recurring revenue so far."
    elif one:
        values = by_currency[currency]
        summary = (
            f"{currency} {values[-1]:,.0f} a month now, {currency} {values[0]:,.0f} in {months[0]:%B %Y}."
        )
    else:
        summary = "Recurring revenue in each currency it is billed in."
    return Chart(
        kind="stacked" if one else "line",
        key="mrr-history",
        summary=summary,
        categories=[f"{month:%b %y}" for month in months],
        category_label="Month",
        series=[
            Series(name="MRR" if one else code, values=values, tone="accent" if one else None)
            for code, values in by_currency.items()
        ],
        unit=currency if one else "count",
        from_zero=True,
        size="small",
    )


# --- Usage ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """Who used the product: per day for eight weeks, per week for half a year, of how many seats."""

    weeks: list[tuple[date, int]]
    days: list[tuple[date, int]]
    active_now: int
    active_before: int
    is_known: bool


def read_usage(account: Account, day: date) -> Usage:
    """Count distinct active people per day and week from their months, with one query."""
    monday = day - timedelta(days=day.weekday())
    first_week = monday - timedelta(weeks=WEEKS - 1)
    first_day = day - timedelta(days=USAGE_DAYS - 1)
    per_week: dict[date, set[int]] = defaultdict(set)
    per_day: dict[date, int] = defaultdict(int)
    now: set[int] = set()
    before: set[int] = set()
    is_known = False
    rows = ActivityMonth.objects.filter(account=account, month__gte=first_week.replace(day=1))
    for person, month, bits in rows.values_list("end_user", "month", "days"):
        is_known = True
        while bits:
            lowest = bits & -bits
            bits ^= lowest
            active_on = month + timedelta(days=lowest.bit_length() - 1)
            if active_on > day:
                continue
            per_week[active_on - timedelta(days=active_on.weekday())].add(person)
            if active_on >= first_day:
                per_day[active_on] += 1
            age = (day - active_on).days
            if age < 30:
                now.add(person)
            elif age < 60:
                before.add(person)
    weeks = [first_week + timedelta(weeks=n) for n in range(WEEKS)]
    days = [first_day + timedelta(days=n) for n in range(USAGE_DAYS)]
    return Usage(
        weeks=[(week, len(per_week[week])) for week in weeks],
        days=[(each, per_day[each]) for each in days],
        active_now=len(now),
        active_before=len(before),
        is_known=is_known,
    )


def usage_chart(usage: Usage, *, by: Literal["week", "day"], seats: Decimal) -> Chart:
    points = usage.weeks if by == "week" else usage.days
    values = [count for _, count in points]
    summary = f"{usage.active_now} people active in the last 30 days, {usage.active_before} in the 30 before."
    if by == "week" and values:
        summary += f" This week so far {values[-1]}, at most {max(values)} in a week."
    return Chart(
        kind="line" if by == "week" else "stacked",
        key=f"active-users-{by}",
        summary=summary,
        categories=[f"{when:%-d %b}" for when, _ in points],
        category_label="Week from" if by == "week" else "Day",
        series=[
            Series(
                name="Active people", values=values if usage.is_known else [None] * len(values), tone="teal"
            )
        ],
        target=float(seats) if by == "week" and seats else None,
        target_label=f"{seats:.0f} seats" if seats else "",
        from_zero=True,
        size="small",
    )


@dataclass(frozen=True)
class Feature:
    """A feature of the plan, or one used outside it, and how much it was used in 30 days."""

    name: str
    events: int
    before: int
    last_on: date | None
    is_in_plan: bool
    share: int

    @property
    def change(self) -> Decimal | None:
        return Decimal(100 * (self.events - self.before)) / self.before if self.before else None


def read_features(account: Account, day: date) -> list[Feature]:
    """Return the features in use and those of the plan that nobody uses, with one query."""
    recent = day - timedelta(days=29)
    rows = (
        UsageDay.objects.filter(account=account)
        .on_days(day - timedelta(days=59), day)
        .order_by()
        .values("feature")
        .annotate(
            now=Sum(Case(When(day__gte=recent, then="events"), default=Value(0))),
            earlier=Sum(Case(When(day__lt=recent, then="events"), default=Value(0))),
            last=Max(Case(When(events__gt=0, then="day"))),
        )
    )
    found: dict[str, dict[str, Any]] = {row["feature"]: dict(row) for row in rows}
    planned = [str(name) for name in (account.plan.features if account.plan else []) if name]
    most = max((row["now"] for row in found.values()), default=0) or 1
    features = []
    for name in dict.fromkeys([*found, *planned]):
        row = found.get(name, {"now": 0, "earlier": 0, "last": None})
        features.append(
            Feature(name, row["now"], row["earlier"], row["last"], name in planned, 100 * row["now"] // most)
        )
    features.sort(key=lambda feature: (-feature.events, not feature.is_in_plan, feature.name))
    return features


# --- Answers --------------------------------------------------------------------------


@dataclass
class Voice:
    """One response as a reader wants it: scores first, then words."""

    response: Any
    scores: list[tuple[Answer, Tone]] = field(default_factory=list)
    texts: list[Answer] = field(default_factory=list)


def voices_of(answers: Iterable[Answer]) -> list[Voice]:
    """Group answers by the response they belong to, in the order they come."""
    found: dict[int, Voice] = {}
    for answer in answers:
        voice = found.setdefault(answer.response_id, Voice(answer.response))
        if answer.score is not None:
            voice.scores.append((answer, mood_of(answer)))
        elif answer.text:
            voice.texts.append(answer)
    return list(found.values())


def read_answers(account: Account, *, most: int, before: datetime | None = None) -> list[Answer]:
    """Return the newest confirmed answers of an account; anonymous ones belong to nobody."""
    earlier = {"response__given_at__lt": before} if before else {}
    return list(
        Answer.objects.counted()
        .filter(response__account=account, response__survey__is_anonymous=False, **earlier)
        .select_related("response__contact", "response__survey")
        .order_by("-response__given_at", "-response", "pk")[:most]
    )


def mood_of(answer: Answer) -> Tone:
    """Say whether an answer is good, bad or neither, by the cuts of its own scale."""
    if answer.score is None:
        return ""
    match answer.kind:
        case Answer.Kind.NPS:
            return "good" if answer.score >= 9 else "bad" if answer.score <= 6 else "warn"
        case Answer.Kind.CES:
            return "good" if answer.score >= 5 else "bad" if answer.score <= 3 else "warn"
        case Answer.Kind.CSAT:
            return "good" if answer.score >= (answer.positive_from or 0) else "bad"
    return ""


# --- What happened --------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One line of the timeline."""

    at: datetime
    kind: str
    title: str
    text: str = ""
    who: str = ""
    icon: str = "circle"
    tone: Tone = ""
    href: str = ""


TOUCH_ICONS = {
    "call": "phone",
    "meeting": "users",
    "mail": "mail",
    "training": "school",
    "demo": "presentation",
    "event": "calendar-event",
    "check_in": "message",
    "note": "note",
}
MOVEMENT_TONES: dict[str, Tone] = {
    "new": "good",
    "expansion": "good",
    "reactivation": "good",
    "contraction": "warn",
    "churn": "bad",
}


def of_touches(touches: Iterable[Touch]) -> list[Entry]:
    return [
        Entry(
            touch.happened_at,
            "note" if touch.kind == Touch.Kind.NOTE else "touch",
            f"{touch.get_kind_display()}{f' with {touch.contact}' if touch.contact else ''}",
            touch.notes,
            str(touch.user or touch.source or ""),
            TOUCH_ICONS.get(touch.kind, "circle"),
            "accent",
        )
        for touch in touches
    ]


def of_tickets(tickets: Iterable[Ticket]) -> list[Entry]:
    entries = []
    for ticket in tickets:
        urgent = ticket.priority == Ticket.Priority.URGENT
        entries.append(
            Entry(
                ticket.opened_at,
                "ticket",
                f"{'Urgent ticket' if urgent else 'Ticket'} opened: {ticket}",
                who=str(ticket.contact or ""),
                icon="ticket",
                tone="bad" if urgent else "warn",
            )
        )
        if ticket.resolved_at:
            entries.append(
                Entry(
                    ticket.resolved_at,
                    "ticket",
                    f"Ticket resolved: {ticket}",
                    who=ticket.agent,
                    icon="circle-check",
                )
            )
    return entries


def of_answers(answers: Iterable[Answer]) -> list[Entry]:
    entries = []
    for voice in voices_of(answers):
        words = ", ".join(
            f"{score.get_kind_display().lower()} {score.score} of {score.scale_high}"
            for score, _ in voice.scores
        )
        entries.append(
            Entry(
                voice.response.given_at,
                "answer",
                f"Answered {voice.response.survey}{f': {words}' if words else ''}",
                " ".join(answer.text for answer in voice.texts),
                str(voice.response.contact or ""),
                "message-2",
                voice.scores[0][1] if voice.scores else "",
            )
        )
    return entries


def of_feedback(feedback: Iterable[Feedback]) -> list[Entry]:
    tones: dict[str, Tone] = {"positive": "good", "negative": "bad"}
    return [
        Entry(
            said.given_at,
            "answer",
            f"Feedback{f' in a {said.channel}' if said.channel else ''}",
            said.quote,
            str(said.contact or ""),
            "message-2",
            tones.get(said.sentiment, ""),
        )
        for said in feedback
    ]


def of_movements(movements: Iterable[Movement]) -> list[Entry]:
    entries = []
    for movement in movements:
        name = movement.get_sub_kind_display() or movement.get_kind_display()
        title = f"{name}: {movement.delta:+,.2f} {movement.currency} a month".replace("-", "−")
        if movement.is_reversal:
            title = f"Taken back: {title}"
        entries.append(
            Entry(
                start_of_day(movement.effective_on),
                "money",
                title,
                icon="coin",
                tone="" if movement.is_reversal else MOVEMENT_TONES.get(movement.kind, ""),
            )
        )
    return entries


def of_people(contacts: Iterable[Contact], milestones: Iterable[Milestone]) -> list[Entry]:
    entries = [
        Entry(
            start_of_day(contact.left_on),
            "touch",
            f"{contact.name} left{f' ({contact.get_role_display().lower()})' if contact.role else ''}",
            icon="user-minus",
            tone="bad" if contact.role in ("champion", "sponsor") else "",
        )
        for contact in contacts
        if contact.left_on
    ]
    entries += [
        Entry(
            start_of_day(milestone.reached_on),
            "touch",
            f"Reached: {milestone.name}",
            icon="flag",
            tone="good",
        )
        for milestone in milestones
        if milestone.reached_on
    ]
    return entries


# --- Marks of the score's history -----------------------------------------------------


@dataclass(frozen=True)
class Happening:
    """Something that explains a bend of the score, short enough for a chart."""

    day: date
    short: str


def happenings_of(
    contacts: Iterable[Contact], movements: Iterable[Movement], answers: Iterable[Answer], *, since: date
) -> list[Happening]:
    """Return the few things worth a mark: people who left, contracts that changed, low answers."""
    found = [
        Happening(contact.left_on, f"{contact.get_role_display()} left")
        for contact in contacts
        if contact.left_on and contact.role in ("champion", "sponsor")
    ]
    found += [
        Happening(row.effective_on, row.get_kind_display())
        for row in movements
        if not row.is_reversal and row.kind != Movement.Kind.NEW
    ]
    found += [
        Happening(day_of(answer.response.given_at), f"NPS {answer.score}")
        for answer in answers
        if answer.kind == Answer.Kind.NPS and (answer.score or 0) <= 6
    ]
    # Two words on one week can't be read: the first of a week stays.
    kept: dict[date, Happening] = {}
    for happening in sorted(found, key=lambda each: each.day):
        if happening.day >= since:
            kept.setdefault(happening.day - timedelta(days=happening.day.weekday()), happening)
    return list(kept.values())[-8:]
