"""A small company with something for every KPI to count.

Ada holds Acme, which grows, and Globex, which shrinks and is Grace's from 16 February on.
Initech leaves in February, Hooli joins and leaves within it, Stark joins and stays, Umbrella
comes back. Soylent pays in dollars. All questions are about February 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from accounts import ledger
from accounts.models import (
    Account,
    Assignment,
    Charge,
    Contact,
    Cost,
    ExchangeRate,
    Milestone,
    OutcomeMetric,
    OutcomeValue,
    Plan,
    Referral,
    Renewal,
    Touch,
)
from accounts.tests.factories import change_terms, make_account, make_plan, make_user, subscribe
from csplatform.periods import Period
from metrics import forecasting
from metrics.models import HealthScore, Scorecard, ScorecardVersion
from surveys.models import Answer, Invitation, Response, Survey
from team.models import User
from tickets import calendar, handling
from tickets.models import Ticket, TicketEvent, TicketSource
from usage.models import ActivityMonth, EndUser, FeatureMonth, UsageDay

FEBRUARY = Period(date(2026, 2, 1), date(2026, 3, 1))
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def february(day: int) -> date:
    return date(2026, 2, day)


@dataclass
class Cast:
    ada: User
    grace: User
    acme: Account
    globex: Account
    initech: Account


# What apps above add for KPIs of their own, such as tasks; they are not known here.
ALSO: list[Callable[[Cast], None]] = []


def hire() -> tuple[User, User]:
    return make_user("Ada"), make_user("Grace")


def make_company() -> Cast:
    ada, grace = hire()
    basic, pro = make_plan("basic", level=1), make_plan("pro", level=2, seats_included=50)
    accounts = {
        name: make_account(name)
        for name in ("Acme", "Globex", "Initech", "Hooli", "Umbrella", "Soylent", "Stark")
    }
    acme, globex, initech = accounts["Acme"], accounts["Globex"], accounts["Initech"]
    hold(acme, ada, date(2025, 1, 1))
    hold(globex, ada, date(2025, 1, 1), february(15))
    hold(globex, grace, february(16))
    hold(initech, grace, date(2025, 1, 1))
    ledger.record_traits(
        {
            acme.pk: {"segment": "large", "lifecycle_stage": "grow"},
            globex.pk: {"segment": "small"},
            initech.pk: {"segment": "large"},
        },
        on=date(2025, 1, 1),
    )
    ledger.record_traits({globex.pk: {"segment": "large"}}, on=february(10))

    for day, rate in ((date(2025, 1, 1), "0.9"), (february(1), "0.8")):
        ExchangeRate.objects.create(currency="USD", starts_on=day, rate=Decimal(rate), recorded_at=at(day))
    line = subscribe(acme, "1000.10", date(2025, 1, 1), plan=basic, quantity=Decimal(1))
    change_terms(line, february(5), unit_price=Decimal("1500.30"), plan=pro)
    line = subscribe(globex, 40, date(2025, 3, 1), plan=basic, quantity=Decimal(10))
    change_terms(line, february(20), quantity=Decimal(6))
    subscribe(initech, 300, date(2025, 2, 1), february(11), plan=pro)
    subscribe(accounts["Hooli"], 70, february(3), february(22), plan=basic)
    subscribe(accounts["Stark"], 45, february(17), plan=basic)
    subscribe(accounts["Umbrella"], 80, date(2025, 1, 1), date(2025, 8, 31))
    subscribe(accounts["Umbrella"], 90, february(8))
    line = subscribe(accounts["Soylent"], 200, date(2025, 6, 1), currency="USD")
    change_terms(line, february(12), unit_price=Decimal(250))
    for account, day, amount in ((acme, february(2), 500), (globex, february(28), -120)):
        Charge.objects.create(account=account, day=day, amount=amount, currency="EUR")

    # A second product, and what became of the contract terms that ended.
    subscribe(acme, 60, february(9), plan=make_plan("maps", product="maps"))
    _renewals(accounts)
    for category, amount, account in (("payroll", 900, None), ("events", 60, acme), ("training", 30, globex)):
        Cost.objects.create(category=category, day=february(14), amount=amount, account=account)
    _answers(acme, globex)
    _imported_answers(acme)
    _invitations(acme, globex)
    _tickets(acme, globex)
    _answered_tickets(acme, globex)
    _usage(acme, globex)
    _features(acme, globex, initech)
    _starts(acme, globex)
    _outcomes(acme, globex)
    _referrals(accounts)
    _touches(acme, globex, ada, grace)
    _health(accounts)
    _forecasts()
    company = Cast(ada, grace, acme, globex, initech)
    for add in ALSO:
        add(company)
    return company


def hold(account: Account, user: User, starts_on: date, ends_on: date | None = None) -> None:
    Assignment.objects.create(account=account, user=user, starts_on=starts_on, ends_on=ends_on)


def renewal(
    account: Account,
    due_on: date,
    due_value: str | int,
    renewed_value: str | int | None = None,
    *,
    currency: str = "EUR",
    decided_at: datetime | None = None,
) -> Renewal:
    """Note that a term of the account's first contract ends; a renewed value decides it, 0 as lost."""
    due, value = Decimal(due_value), None if renewed_value is None else Decimal(renewed_value)
    outcome = Renewal.Outcome.OPEN
    if value is not None:
        outcome = Renewal.Outcome.SMALLER if value < due else Renewal.Outcome.LARGER
        if value in (0, due):
            outcome = Renewal.Outcome.RENEWED if value else Renewal.Outcome.LOST
    return Renewal.objects.create(
        account=account,
        subscription=account.subscriptions.order_by("pk")[0],
        due_on=due_on,
        due_value=due,
        renewed_value=value,
        currency=currency,
        outcome=outcome,
        decided_at=None if value is None else decided_at or at(due_on),
        recorded_at=at(due_on - timedelta(days=365)),
    )


def _renewals(accounts: Mapping[str, Account]) -> None:
    renewal(accounts["Acme"], february(4), "1000.10", "1500.30")
    renewal(accounts["Globex"], february(19), 400, 240)
    renewal(accounts["Globex"], february(24), 30, 0)
    renewal(accounts["Initech"], february(10), 300, 0)
    renewal(accounts["Soylent"], february(11), 200, 250, currency="USD")
    renewal(accounts["Umbrella"], february(27), 90)
    # Without a past there is nothing that a forecast could be made of.
    renewal(accounts["Acme"], date(2025, 6, 30), 900, 900)
    renewal(accounts["Globex"], date(2025, 7, 31), 20, 0)


def _forecasts() -> None:
    for day in (date(2025, 11, 1), date(2026, 1, 20), date(2026, 3, 9)):
        forecasting.say(at(day))


def answer(
    kind: str,
    score: int,
    *,
    account: Account | None = None,
    day: date | None = None,
    is_anonymous: bool = False,
    state: str = Response.State.CONFIRMED,
    scale: tuple[int, int] | None = None,
    recorded_at: datetime | None = None,
    contact: Contact | None = None,
) -> Answer:
    survey, _ = Survey.objects.get_or_create(
        name="Quiet" if is_anonymous else "Open", defaults={"is_anonymous": is_anonymous}
    )
    given_at = at(day or february(14))
    response = Response.objects.create(
        survey=survey,
        account=account,
        contact=contact,
        given_at=given_at,
        state=state,
        recorded_at=recorded_at or given_at,
    )
    low, high = scale or {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}[kind]
    return Answer.objects.create(
        response=response,
        kind=kind,
        score=score,
        scale_low=low,
        scale_high=high,
        positive_from=high - 1 if kind == "csat" else None,
    )


def _answers(acme: Account, globex: Account) -> None:
    for account, kind, scores in (
        (acme, "nps", (10, 9, 9, 8, 3)),
        (globex, "nps", (2, 7)),
        (None, "nps", (9,)),
        (acme, "csat", (5, 4, 2)),
        (globex, "csat", (3,)),
        (acme, "ces", (7, 7, 6)),
        (globex, "ces", (5, 4, 2, 1)),
    ):
        for number, score in enumerate(scores):
            answer(kind, score, account=account, day=february(10 + 3 * number))
    answer("nps", 0, account=acme, is_anonymous=True)
    answer("nps", 0, account=acme, state=Response.State.PROVISIONAL)
    answer("nps", 0, account=acme, day=date(2026, 3, 1))


def _imported_answers(acme: Account) -> None:
    """Answers of another survey, in two languages and with further columns."""
    for language, attributes, score in (
        ("es", {"met a problem": "yes", "gate": 3}, 10),
        ("es", {"met a problem": "no"}, 6),
        ("en", {}, 8),
    ):
        response = Response.objects.create(
            survey=Survey.objects.get_or_create(name="Airport")[0],
            account=acme,
            given_at=at(february(17)),
            recorded_at=at(february(17)),
            language=language,
            attributes=attributes,
        )
        Answer.objects.create(response=response, kind="nps", score=score, scale_low=1, scale_high=10)


def invite(
    sent_on: date,
    *,
    account: Account | None = None,
    contact: Contact | None = None,
    answered_on: date | None = None,
    response: Response | None = None,
    state: str = Invitation.State.SENT,
    survey: str = "Open",
    recorded_at: datetime | None = None,
) -> Invitation:
    return Invitation.objects.create(
        survey=Survey.objects.get_or_create(name=survey)[0],
        account=account,
        contact=contact,
        sent_at=at(sent_on, 8),
        state=state,
        answered_at=response.given_at if response else at(answered_on) if answered_on else None,
        response=response,
        recorded_at=recorded_at or at(sent_on, 8),
    )


def _invitations(acme: Account, globex: Account) -> None:
    """Two colleagues at Acme and one at Globex are asked; one answers, late, and one mail bounces."""
    people = [
        Contact.objects.create(account=account, name=name, language="en")
        for account, name in ((acme, "Ann"), (acme, "Art"), (globex, "Gil"))
    ]
    given = answer("nps", 9, account=acme, contact=people[0], day=february(24)).response
    answer("nps", 2, account=acme, contact=people[0], day=february(11))
    invite(february(20), account=acme, contact=people[0], response=given)
    invite(february(18), account=acme, contact=people[1], answered_on=date(2026, 3, 2))
    invite(february(10), account=globex, contact=people[2])
    invite(february(19), account=globex, contact=people[2], state=Invitation.State.BOUNCED)


def ticket(
    external_id: str,
    opened: date,
    resolved: date | None = None,
    *,
    account: Account | None = None,
    **fields: object,
) -> Ticket:
    source, _ = TicketSource.objects.get_or_create(name="desk")
    made = Ticket.objects.create(
        source=source,
        external_id=external_id,
        account=account,
        opened_at=at(opened),
        recorded_at=at(opened),
        first_resolved_at=at(resolved) if resolved else None,
        resolved_at=at(resolved) if resolved else None,
        settles_at=at(resolved) + timedelta(days=7) if resolved else None,
        **fields,
    )
    TicketEvent.objects.create(ticket=made, kind="opened", happened_at=at(opened), recorded_at=at(opened))
    if resolved:
        TicketEvent.objects.create(
            ticket=made, kind="resolved", happened_at=at(resolved), recorded_at=at(resolved)
        )
    return made


def _tickets(acme: Account, globex: Account) -> None:
    ticket("old", date(2026, 1, 20), february(3), account=acme, agent_replies=4)
    ticket("once", february(2), february(2), account=acme, agent_replies=1, is_first_contact=True)
    ticket("long", february(4), february(18), account=globex, agent_replies=5)
    ticket("open", february(19), account=globex)
    closed = ticket("closed", february(5), february(6), account=acme, agent_replies=3)
    TicketEvent.objects.create(ticket=closed, kind="closed", happened_at=at(february(6)), recorded_at=NOW)
    TicketEvent.objects.create(ticket=closed, kind="closed", happened_at=at(february(13)), recorded_at=NOW)
    ticket("nobody's", february(21), february(22), agent_replies=1, is_first_contact=True)
    back = ticket("back", february(6), february(9), account=acme, reopen_count=1, agent_replies=1)
    TicketEvent.objects.create(ticket=back, kind="reopened", happened_at=at(february(8)), recorded_at=NOW)
    TicketEvent.objects.create(ticket=back, kind="resolved", happened_at=at(february(7)), recorded_at=NOW)
    ticket("junk", february(6), account=acme, exclusion="spam")
    merged = ticket("twin", february(20), account=globex, merged_into=back)
    TicketEvent.objects.create(
        ticket=merged, kind="merged", happened_at=at(february(20), 15), recorded_at=NOW
    )


def working_hours(*, high: tuple[int, int] = (60, 240)) -> None:
    """Work from 10 to 18 on Mondays to Fridays, in Berlin; answer what is high within an hour."""
    calendar.store(
        time_zone="Europe/Berlin",
        week=[[(10 * 60, 18 * 60)]] * 5 + [[], []],
        closed=[],
        targets={"high": high},
        at=NOW,
    )


def happens(ticket: Ticket, *events: tuple[str, datetime], **fields: object) -> Ticket:
    """Report what happened to a ticket, and have everything that follows worked out."""
    for kind, moment in events:
        TicketEvent.objects.create(
            ticket=ticket, kind=kind, happened_at=moment, **{"recorded_at": moment, **fields}
        )
    handling.refresh([ticket.pk])
    ticket.refresh_from_db()
    return ticket


def _answered_tickets(acme: Account, globex: Account) -> None:
    """Tickets with agents, answered and resolved after different times, in and out of hours."""
    working_hours()
    for number, (account, agent, priority, channel, category, replied, resolved) in enumerate(
        [
            (acme, "Kim", "high", "mail", "Access", at(february(10), 13), at(february(10), 15)),
            (acme, "Kim", "high", "chat", "", at(february(11), 16), at(february(16))),
            (globex, "Lou", "high", "mail", "Billing", at(february(11)), at(february(20))),
            (globex, "", "normal", "phone", "Access", at(february(17)), at(february(17), 18)),
        ]
    ):
        made = ticket(
            f"answered {number}",
            february(10),
            account=account,
            agent=agent,
            priority=priority,
            channel=channel,
            category=category,
        )
        happens(made, ("replied", replied), ("resolved", resolved))
    happens(made, ("reopened", at(february(18))), ("resolved", at(february(19))))


def milestone(
    account: Account, name: str, started: date | None, reached: date | None = None, **fields: object
) -> Milestone:
    return Milestone.objects.create(
        account=account,
        name=name,
        started_on=started,
        reached_on=reached,
        recorded_at=at(started or february(1)),
        reach_recorded_at=at(reached) if reached else None,
        **fields,
    )


def _starts(acme: Account, globex: Account) -> None:
    """Acme is through its onboarding after 16 days; Globex is late and looks at tutorials."""
    milestone(acme, "Onboarding completed", february(2), february(18), due_on=february(20))
    milestone(globex, "onboarding", february(5), due_on=february(25))
    milestone(acme, "First schedule", february(2), february(10))
    milestone(globex, "First schedule", february(3), date(2026, 3, 3))
    milestone(globex, "100 contacts", february(3))
    for account, feature, day, events in (
        (acme, "Tutorial: first steps", february(5), 3),
        (acme, "Tutorial: reports", february(25), 2),
        (globex, "tutorial: shifts", february(7), 4),
        (globex, "Reports", february(7), 9),
    ):
        UsageDay.objects.create(account=account, feature=feature, day=day, events=events, users=1)


def outcome(
    account: Account, name: str, baseline: object, *readings: tuple[date, object], **fields: object
) -> OutcomeMetric:
    metric = OutcomeMetric.objects.create(account=account, name=name, baseline=baseline, **fields)
    for day, value in readings:
        OutcomeValue.objects.create(metric=metric, day=day, value=value, recorded_at=at(day))
    return metric


def _outcomes(acme: Account, globex: Account) -> None:
    outcome(acme, "Leads", 100, (february(3), 110), (february(20), 130))
    outcome(globex, "Support calls", 50, (february(9), 40), higher_is_better=False)


def refer(account: Account, name: str, day: date, **fields: object) -> Referral:
    return Referral.objects.create(
        account=account, referred_name=name, referred_on=day, recorded_at=at(day), **fields
    )


def _referrals(accounts: Mapping[str, Account]) -> None:
    """Umbrella says it would refer, and does; Globex does without saying so."""
    answer("nps", 10, account=accounts["Umbrella"], day=date(2026, 1, 20))
    refer(accounts["Umbrella"], "Hooli", february(1), referred_account=accounts["Hooli"])
    refer(accounts["Globex"], "Zed", february(9))
    refer(accounts["Acme"], "Pied Piper", february(20), converted_on=date(2026, 3, 1))


def touch(account: Account, user: User | None, kind: str, day: date) -> Touch:
    return Touch.objects.create(
        account=account, user=user, kind=kind, happened_at=at(day), recorded_at=at(day)
    )


def _touches(acme: Account, globex: Account, ada: User, grace: User) -> None:
    touch(acme, ada, "call", february(3))
    touch(acme, ada, "demo", february(25))
    touch(acme, None, "training", february(12))
    touch(globex, ada, "training", february(20))
    touch(globex, grace, "note", february(26))
    touch(globex, grace, "demo", date(2026, 3, 20))


def scored(account: Account, day: date, score: int | None, band: str = "") -> HealthScore:
    card, _ = Scorecard.objects.get_or_create(name="All alike")
    version, _ = ScorecardVersion.objects.get_or_create(
        scorecard=card, number=1, defaults={"measures": [], "reason": "A cast needs one."}
    )
    bands = ((75, "green"), (50, "yellow"), (0, "red"))
    found = "insufficient_data" if score is None else next(name for low, name in bands if score >= low)
    return HealthScore.objects.create(
        account=account,
        day=day,
        version=version,
        score=score,
        band=band or found,
        coverage=100 if score is not None else 20,
        computed_at=at(day),
    )


def _health(accounts: Mapping[str, Account]) -> None:
    """Globex slips into the red; Initech was red and has left; of Soylent too little is known."""
    for name, day, score in (
        ("Acme", date(2026, 1, 2), 60),
        ("Acme", february(9), 80),
        ("Globex", date(2026, 1, 15), 70),
        ("Globex", february(20), 40),
        ("Initech", date(2026, 1, 5), 20),
        ("Soylent", date(2026, 1, 5), None),
        ("Umbrella", february(10), 90),
        ("Umbrella", date(2026, 3, 2), 30),
    ):
        scored(accounts[name], day, score)


def active(user: EndUser, account: Account, *days: date) -> None:
    for day in days:
        row, _ = ActivityMonth.objects.get_or_create(end_user=user, account=account, month=day.replace(day=1))
        row.days |= 1 << (day.day - 1)
        row.save()


def _usage(acme: Account, globex: Account) -> None:
    people = [
        EndUser.objects.create(account=acme, source="app", external_id=f"person {number}")
        for number in range(5)
    ]
    active(people[0], acme, february(28), february(27), february(1))
    active(people[1], acme, february(22))
    active(people[1], globex, february(25))
    active(people[2], globex, date(2026, 1, 30), date(2026, 1, 29))
    active(people[3], globex, date(2026, 1, 28))
    active(people[4], globex, date(2026, 3, 1))


def used(
    user: EndUser | None, account: Account, feature: str, *days: date, events: int = 1, users: int = 1
) -> None:
    """Let somebody use a feature on these days, in all roll-ups; without a person only the account's."""
    for day in days:
        if user is not None:
            active(user, account, day)
            row, _ = FeatureMonth.objects.get_or_create(
                end_user=user, account=account, feature=feature, month=day.replace(day=1)
            )
            row.days |= 1 << (day.day - 1)
            row.save()
        UsageDay.objects.create(account=account, feature=feature, day=day, events=events, users=users)


def _features(acme: Account, globex: Account, initech: Account) -> None:
    """Acme uses two of the three features of its plan, Globex one that is not in its own."""
    Plan.objects.filter(code="basic").update(features=["board", "reports"])
    Plan.objects.filter(code="pro").update(features=["board", "reports", "forecast"])
    regular, new, former = (
        EndUser.objects.create(
            account=acme, source="app", external_id=name, first_seen_on=seen, removed_on=removed
        )
        for name, seen, removed in (
            ("regular", date(2026, 1, 9), None),
            ("new", february(5), None),
            ("former", date(2025, 6, 1), february(20)),
        )
    )
    used(regular, acme, "board", date(2026, 1, 9), february(2), february(3), february(27), events=4)
    used(regular, acme, "reports", february(3))
    used(new, acme, "board", february(5), events=7)
    used(former, globex, "forecast", date(2026, 1, 20), february(4))
    used(None, globex, "board", february(6), events=3)
    used(None, initech, "board", february(6), events=0, users=0)
