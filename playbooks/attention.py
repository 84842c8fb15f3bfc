"""Who needs somebody, in which order, why, and what to do next: the queue of home.

An account is in the queue when a reason below holds for it. Reasons, ranking and dismissals are
set-based: a fixed handful of queries whether somebody holds six accounts or a hundred thousand.
The order is `playbooks.calculations.priority`; the page opens that formula with its figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

from django.db.models import Case, Exists, F, FloatField, Max, OuterRef, Q, Value, When
from django.db.models.functions import Cast, Coalesce, Greatest, Least

from accounts.models import Account, AccountQuerySet, Assignment, Contact, Renewal, Touch
from csplatform.periods import Period, day_of
from metrics.health.decomposition import Change, Reading, explain_change, readings, signed
from metrics.health.reasons import state_at
from metrics.health.scorecards import Card, cards_by_id
from metrics.models import HealthScore
from playbooks import calculations
from playbooks.models import Dismissal
from surveys.models import Answer
from team.models import User

CHAMPION_LEFT_DAYS = 60
DETRACTOR_DAYS = 30
MONTH_DAYS = 30
MOST_COUNTED = 200
NEEDED_ROLES = [Contact.Role.CHAMPION, Contact.Role.SPONSOR]

# What to do about the signal that costs a score most.
ADVICE = {
    "license_utilization": "Call {who}: ask who stopped using it, and offer a refresher",
    "active_user_trend": "Call {who}: ask why fewer people come back",
    "adoption_breadth": "Show {who} what they pay for and don't use yet",
    "last_login": "Call {who}: find out why nobody logs in",
    "last_nps": "Call {who}: ask what would make it a nine",
    "last_csat": "Call {who}: ask what went wrong with the last request",
    "last_ces": "Call {who}: ask what was hard",
    "open_urgent_tickets": "Tell {who} where the urgent ticket stands",
    "open_tickets": "Go through the open tickets with {who}",
    "mrr_trend": "Talk with {who} about what they cut back",
    "payment_overdue": "Ask {who} about the unpaid invoice",
    "days_to_renewal": "Agree the renewal with {who}",
    "days_since_touch": "Check in with {who}",
    "onboarding_progress": "Agree the next milestone with {who}",
    "champion_left": "Ask {who} who takes over",
    "referrals": "Ask {who} for a reference",
}

Tone = Literal["bad", "warn", "info"]


@dataclass(frozen=True)
class Reason:
    """Why an account is in the queue. The key is what a dismissal remembers."""

    key: str
    words: str
    evidence: str = ""
    tone: Tone = "warn"


@dataclass(frozen=True)
class NextStep:
    """What to do, concretely. `kind` is the touch that doing it would be."""

    words: str
    kind: str = Touch.Kind.CALL
    contact: Contact | None = None


@dataclass
class Line:
    """One account of the queue, with everything its line shows."""

    account: Account
    day: date
    days_to_renewal: int | None
    readings: list[Reading] = field(default_factory=list)
    costs_most: str = ""
    week: Change | None = None
    csm: User | None = None
    last_touch_at: Any = None
    reasons: list[Reason] = field(default_factory=list)
    next_step: NextStep | None = None

    @property
    def health(self) -> Any:
        return self.account.health

    @property
    def used(self) -> int:
        return sum(reading.state == "used" for reading in self.readings)

    @property
    def total(self) -> int:
        return len(self.readings)

    @property
    def oldest_days(self) -> int | None:
        oldest = self.health.oldest_signal_at
        return None if oldest is None else max((self.day - day_of(oldest)).days, 0)

    @property
    def arr(self) -> Decimal | None:
        return None if self.account.mrr is None else self.account.mrr * calculations.MONTHS

    @property
    def likelihood(self) -> Decimal:
        return calculations.likelihood(self.health.score)

    @property
    def urgency(self) -> Decimal:
        return calculations.urgency(self.days_to_renewal, self.health.change_7d)

    @property
    def priority(self) -> Decimal:
        return calculations.priority(
            self.account.mrr, self.health.score, self.days_to_renewal, self.health.change_7d
        )

    @property
    def touch_query(self) -> str:
        contact = self.next_step.contact if self.next_step else None
        kind = self.next_step.kind if self.next_step else Touch.Kind.CALL
        return urlencode({"kind": kind, **({"contact": contact.pk} if contact else {})})

    @property
    def task_query(self) -> str:
        return urlencode(
            {"reason": self.reason_key, "title": self.next_step.words[:200] if self.next_step else ""}
        )

    @property
    def reason_query(self) -> str:
        return urlencode({"reason": self.reason_key})

    @property
    def reason_keys(self) -> set[str]:
        return {reason.key for reason in self.reasons}

    @property
    def reason_key(self) -> str:
        """What a dismissal remembers of the line."""
        return " ".join(reason.key for reason in self.reasons)


def held_by(csm_id: int, day: date) -> Any:
    """Return the accounts that somebody looks after as their CSM on a day."""
    return Assignment.objects.filter(user=csm_id, kind=Assignment.Kind.CSM).in_force(day).values("account")


def open_detractors(day: date) -> Any:
    """Return the answers of 0 to 6 of the last 30 days that nobody has followed up with a touch."""
    window = Period.last_days(DETRACTOR_DAYS, until=day)
    touched = Touch.objects.filter(
        account=OuterRef("response__account"), happened_at__gte=OuterRef("response__given_at")
    ).exclude(kind=Touch.Kind.NOTE)
    return (
        Answer.objects.counted()
        .filter(kind=Answer.Kind.NPS, score__lte=6, response__survey__is_anonymous=False)
        .given_in(window)
        .filter(~Exists(touched))
    )


def recently_left(day: date) -> Any:
    """Return champions and sponsors who left their account in the last 60 days and have no successor."""
    successor = Contact.objects.filter(
        account=OuterRef("account"), role=OuterRef("role"), left_on__isnull=True
    )
    return Contact.objects.filter(
        ~Exists(successor),
        role__in=NEEDED_ROLES,
        left_on__lte=day,
        left_on__gt=day - timedelta(days=CHAMPION_LEFT_DAYS),
    )


def given_notice(day: date) -> Any:
    """Return contract terms still running that are known not to be renewed."""
    return Renewal.objects.filter(outcome=Renewal.Outcome.LOST, due_on__gte=day)


def in_need(user: Any, day: date, *, csm_id: int | None = None) -> AccountQuerySet:
    """Return the customers `user` sees for whom a reason holds, the first to look at first."""
    accounts = Account.objects.visible_to(user).customers()
    if csm_id is not None:
        accounts = accounts.filter(pk__in=held_by(csm_id, day))
    in_sight = day + timedelta(days=calculations.RENEWAL_IN_SIGHT_DAYS)
    # Among everybody's accounts each set is made once; among those of a few people it is cheaper to
    # look at each account than to go through everybody's contacts and answers.
    among_all = csm_id is None and user.role in (User.Role.ADMIN, User.Role.VIEWER)

    def among(rows: Any, path: str) -> Q:
        return Q(pk__in=rows.values(path)) if among_all else Q(Exists(rows.filter(**{path: OuterRef("pk")})))

    return (
        accounts.filter(health__isnull=False)
        .filter(
            Q(health__band__in=["red", "yellow"])
            | Q(health__change_7d__lte=-calculations.NOTABLE_DROP)
            | Q(renews_on__gte=day, renews_on__lte=in_sight)
            | among(given_notice(day), "account")
            | among(recently_left(day), "account")
            | among(open_detractors(day), "response__account")
        )
        .annotate(attention=priority_in_sql(day))
        .order_by(F("attention").desc(nulls_last=True), "pk")
    )


def priority_in_sql(day: date) -> Any:
    """`calculations.priority` as one expression; floats will do for an order."""
    points_missing = (Value(100.0) - Cast("health__score", FloatField())) / Value(100.0)
    # Asked apart: of NULL and a bound, PostgreSQL takes the bound and SQLite takes NULL.
    likelihood = Case(
        When(
            health__score__isnull=True,
            then=Value(float(calculations.LIKELIHOOD_WITHOUT_SCORE)),
        ),
        default=Least(
            Greatest(points_missing, Value(float(calculations.LEAST_LIKELY))),
            Value(float(calculations.MOST_LIKELY)),
        ),
        output_field=FloatField(),
    )
    renewal = Case(
        When(renews_on__isnull=True, then=Value(float(calculations.URGENCY_WITHOUT_TERM))),
        *(
            When(renews_on__lte=day + timedelta(days=days), then=Value(float(weight)))
            for days, weight in calculations.RENEWAL_STEPS
        ),
        default=Value(float(calculations.URGENCY_LATER)),
        output_field=FloatField(),
    )
    lost = Least(
        Greatest(-Cast("health__change_7d", FloatField()), Value(0.0))
        / Value(float(calculations.DROP_THAT_DOUBLES)),
        Value(1.0),
    )
    return (
        Cast("mrr", FloatField())
        * Value(float(calculations.MONTHS))
        * likelihood
        * renewal
        * (Value(1.0) + Coalesce(lost, Value(0.0), output_field=FloatField()))
    )


@dataclass(frozen=True)
class Queue:
    """The lines to show, how many there are in all, and what its reader set aside.

    Beyond 200 nobody reads the number: `count` stops there and `is_more` says so.
    """

    lines: list[Line]
    count: int
    is_more: bool
    set_aside: list[Dismissal]


def queue(user: Any, day: date, *, limit: int, csm_id: int | None = None) -> Queue:
    """Return the first lines of somebody's queue.

    A line set aside stays hidden until its day, unless a reason came up since that it didn't
    have then.
    """
    dismissals = list(
        Dismissal.objects.visible_to(user).in_force(day).select_related("account").order_by("until", "pk")
    )
    known: dict[int, set[str]] = defaultdict(set)
    for dismissal in dismissals:
        known[dismissal.account_id].update(dismissal.reason_key.split())

    accounts = in_need(user, day, csm_id=csm_id)
    shown = accounts.select_related("health", "plan")
    # As many more as could turn out to be hidden, and one that says there are more.
    enough = limit + len(known)
    rows = list(shown[: enough + 1])
    is_all = len(rows) <= enough
    seen = {account.pk for account in rows}
    unseen = [] if is_all or known.keys() <= seen else list(shown.filter(pk__in=known.keys() - seen))
    lines = lines_of([*rows, *unseen], day)
    hidden = {
        line.account.pk
        for line in lines
        if line.account.pk in known and line.reason_keys <= known[line.account.pk]
    }
    visible = [line for line in lines[: len(rows)] if line.account.pk not in hidden]
    # Counting is only worth a query when there is more than was read, and then only so far.
    found = len(rows) if is_all else accounts.order_by()[: MOST_COUNTED + len(hidden) + 1].count()
    count = len(visible) if is_all else found - len(hidden)
    return Queue(
        lines=visible[:limit],
        count=min(count, MOST_COUNTED),
        is_more=count > MOST_COUNTED,
        set_aside=[dismissal for dismissal in dismissals if dismissal.account_id in hidden],
    )


def lines_of(accounts: Sequence[Account], day: date) -> list[Line]:
    """Return a line for each account, with reasons, evidence and next step."""
    ids = [account.pk for account in accounts]
    if not ids:
        return []
    people, left = _people(ids, day)
    answers = _open_answers(ids, day)
    notices = _by_account(given_notice(day).filter(account__in=ids).order_by("due_on"))
    touches = dict(
        Touch.objects.filter(account__in=ids)
        .exclude(kind=Touch.Kind.NOTE)
        .order_by()
        .values_list("account")
        .annotate(Max("happened_at"))
    )
    csms = {
        held.account_id: held.user
        for held in Assignment.objects.filter(account__in=ids, kind=Assignment.Kind.CSM)
        .in_force(day)
        .select_related("user")
    }
    week_ago = state_at(ids, day - timedelta(days=7))
    month_ago = state_at(ids, day - timedelta(days=MONTH_DAYS))
    healths: list[Any] = [account.health for account in accounts]
    cards = cards_by_id(
        state.version_id for state in [*healths, *week_ago.values(), *month_ago.values()] if state.version_id
    )
    lines = []
    for account in accounts:
        days = (account.renews_on - day).days if account.renews_on else None
        line = Line(account, day, days, csm=csms.get(account.pk), last_touch_at=touches.get(account.pk))
        health = line.health
        if health.version_id in cards and health.points:
            line.readings = readings(health, cards[health.version_id])
            line.week = explain_change(week_ago.get(account.pk), health, cards, on=day)
            line.costs_most = _costs_most(line, month_ago.get(account.pk), cards)
        line.reasons = _reasons(line, notices[account.pk], left[account.pk], answers[account.pk])
        line.next_step = _next_step(line, people[account.pk], answers[account.pk])
        lines.append(line)
    return lines


def _costs_most(line: Line, before: HealthScore | None, cards: Mapping[int, Card]) -> str:
    """Say what costs the score most: how it moved in a month, or how it stands."""
    worst = next((reading for reading in line.readings if reading.key == line.health.reason), None)
    if worst is None:
        return ""
    if before is not None and before.version_id in cards and worst.raw is not None:
        then = next((old for old in readings(before, cards[before.version_id]) if old.key == worst.key), None)
        signal = worst.measure.signal
        if (
            then is not None
            and then.raw is not None
            and not worst.key.startswith(("last_", "days_"))
            and signal.sentence is None
            and signal.show(then.raw) != signal.show(worst.raw)
        ):
            return f"{signal.say_change(then.raw, worst.raw)} in a month"
    return worst.sentence(on=line.day)


def _people(ids: Iterable[int], day: date) -> tuple[dict[int, list[Contact]], dict[int, list[Contact]]]:
    """Return whom to talk to at each account, champion and sponsor first, and who has just left.

    As in `recently_left`, somebody with a successor in their role is not missed.
    """
    order = Case(When(role=Contact.Role.CHAMPION, then=0), When(role=Contact.Role.SPONSOR, then=1), default=2)
    known = _by_account(
        Contact.objects.filter(account__in=ids)
        .exclude(role=Contact.Role.BILLING)
        .filter(
            Q(left_on__isnull=True)
            | Q(role__in=NEEDED_ROLES, left_on__lte=day, left_on__gt=day - timedelta(days=CHAMPION_LEFT_DAYS))
        )
        .order_by(order, "-left_on", "created_at", "pk")
    )
    here: dict[int, list[Contact]] = defaultdict(list)
    left: dict[int, list[Contact]] = defaultdict(list)
    for account, contacts in known.items():
        here[account] = [contact for contact in contacts if contact.left_on is None]
        held = {contact.role for contact in here[account]}
        left[account] = [
            contact for contact in contacts if contact.left_on is not None and contact.role not in held
        ]
    return here, left


def _by_account(rows: Iterable[Any]) -> dict[int, list[Any]]:
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.account_id].append(row)
    return grouped


def _open_answers(ids: Iterable[int], day: date) -> dict[int, list[Any]]:
    """Each account's answers to close the loop on, with what was said, the latest first."""
    rows = (
        open_detractors(day)
        .filter(response__account__in=ids)
        .select_related("response__contact")
        .order_by("-response__given_at", "-pk")
    )
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.response.account_id].append(row)
    return grouped


def _reasons(
    line: Line, notices: Sequence[Renewal], left: Sequence[Contact], answers: Sequence[Answer]
) -> list[Reason]:
    """Return why an account is in the queue, the weightiest first."""
    health, account = line.health, line.account
    reasons = []
    for notice in notices[:1]:
        reasons.append(
            Reason(
                f"notice:{notice.due_on}",
                "Leaving"
                if len(notices) == 1 and account.mrr == notice.due_value
                else "Contract not renewed",
                f"last day {notice.due_on:%-d %b %Y}, {notice.due_value:,.0f} {notice.currency} a month",
                "bad",
            )
        )
    for gone in left[:1]:
        assert gone.left_on is not None
        reasons.append(
            Reason(
                f"left:{gone.role}",
                f"{gone.get_role_display()} left",
                f"{gone.name}, {_days_ago((line.day - gone.left_on).days)}; nobody has the role now",
                "bad",
            )
        )
    for answer in answers[:1]:
        who = answer.response.contact
        age = (line.day - day_of(answer.response.given_at)).days
        reasons.append(
            Reason(
                "detractor",
                f"NPS answer {answer.score} of {answer.scale_high}, no contact since",
                f"{who.name if who else 'Somebody'}, {_days_ago(age)}",
                "bad",
            )
        )
    if health.band in ("red", "yellow"):
        words = "At risk" if health.band == "red" else "Watch"
        reasons.append(
            Reason(
                f"{health.band}:{health.reason}",
                words,
                line.costs_most,
                "bad" if health.band == "red" else "warn",
            )
        )
    if health.change_7d is not None and health.change_7d <= -calculations.NOTABLE_DROP:
        reasons.append(
            Reason(
                "drop",
                f"Score down {-health.change_7d:.0f} in 7 days",
                _drivers(line.week),
            )
        )
    days = line.days_to_renewal
    if days is not None and 0 <= days <= calculations.RENEWAL_IN_SIGHT_DAYS and not notices:
        when = "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
        reasons.append(Reason(f"renewal:{account.renews_on}", f"Renewal {when}", "", "info"))
    return reasons


def _drivers(change: Change | None) -> str:
    """The two causes that pulled the score down most, each with its points."""
    down = [driver for driver in (change.drivers if change else []) if driver.effect < 0]
    return ", ".join(f"{driver.words} ({signed(driver.effect)})" for driver in down[:2])


def _days_ago(days: int) -> str:
    return ("today", "yesterday")[days] if days < 2 else f"{days} days ago"


def _next_step(line: Line, people: Sequence[Contact], answers: Sequence[Answer]) -> NextStep:
    """Return what to do about the weightiest reason, and with whom."""
    who = people[0] if people else None
    named = _named(who) if who else "somebody at the account"
    first = line.reasons[0].key if line.reasons else ""
    if first.startswith("notice:"):
        return NextStep(f"Talk with {named}: what would change their mind?", contact=who)
    if first.startswith("left:"):
        if who is None:
            return NextStep("Find out who took over: nobody else is known here")
        return NextStep(f"Call {named}: win a new {first.removeprefix('left:')}", contact=who)
    if first == "detractor":
        answered = answers[0].response.contact
        if answered is not None and answered.left_on is None:
            return NextStep(f"Call {_named(answered)}: ask what is behind the answer", contact=answered)
        return NextStep(f"Call {named}: ask what is behind the answer", contact=who)
    if first.startswith("renewal:"):
        return NextStep(f"Agree the renewal with {named}", Touch.Kind.MEETING, contact=who)
    return NextStep(
        ADVICE.get(line.health.reason, "Call {who}: find out what changed").format(who=named), contact=who
    )


def _named(who: Contact) -> str:
    role = who.get_role_display().lower() or who.title
    return f"{who.name}, {role}" if role else who.name
