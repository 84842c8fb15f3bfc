"""What an installation's own KPIs can count, and by which fields: the whole allow-list.

A set of facts is a queryset at the grain of a row, as known at the moment asked for, and never
cut to the period: that is what the conditions on its days do. Facts of a day after the period
count only where a condition asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.conf import settings
from django.core.cache import cache
from django.db.models import (
    Case,
    CharField,
    DecimalField,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat

from accounts.models import (
    Account,
    AccountTrait,
    Assignment,
    Charge,
    Contact,
    Cost,
    ExchangeRate,
    Milestone,
    Movement,
    Plan,
    Referral,
    Renewal,
    Subscription,
    SubscriptionTerms,
    Touch,
)
from metrics.kpis import ledger
from metrics.kpis.counting import MICRO, ONE, day_of_moment, in_micro
from metrics.kpis.custom.conditions import COMPARE, Field, column, day_q, text_q
from metrics.kpis.definition import Boundary, Grouping, Scope
from metrics.models import Band, HealthScore
from surveys.models import Answer, Feedback
from tickets.models import Ticket, TicketSource
from usage.models import UsageDay

SUGGESTED_SECONDS = 600
MOST_SUGGESTED = 200
Condition = Callable[[Scope], Q]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of each row that can be added up."""

    slug: str
    label: str
    of: Combinable
    # count: a whole number; quantity: any exact number; money: in the currency of the row.
    kind: Literal["count", "quantity", "money"] = "count"
    unit: str = "count"
    # Rows that have the figure.
    only: Q = field(default_factory=Q)
    # Tells apart what must not be added up.
    scale: Combinable | None = None
    # Where the figure of the chosen accounts lies in other rows, such as their ledger.
    rows: Callable[[Scope, QuerySet[Any]], QuerySet[Any]] | None = None
    # How many were counted, where that is not the number of rows.
    sampled: Combinable = ONE


@dataclass(frozen=True, kw_only=True)
class FactSet:
    """Facts of one kind. `account` is the path to their account, empty where they are accounts."""

    slug: str
    label: str
    one: str
    many: str
    source: str
    facts: Callable[[Scope], QuerySet[Any]]
    fields: tuple[Field, ...]
    measures: tuple[Measure, ...] = ()
    account: str = "account"
    # The field that says when it happened, and the day of the row as an expression.
    main_day: str = ""
    day: Combinable | None = None
    currency: str = ""
    rate_on: Boundary | str = "end"
    anonymous: str = ""
    columns: Mapping[str, str | Combinable] = field(default_factory=dict)
    groups: tuple[tuple[Grouping, str | Combinable], ...] = ()
    # What one row counts for: a movement that was taken back counts for less than nothing.
    weight: Combinable = ONE
    has_clock: bool = True
    # The path to the moment at which we learned of it, where it is kept.
    recorded: str = "recorded_at"
    # Said of accounts that have some: "with at least 2 …"; empty where that makes no sense.
    can_be_had: bool = True

    def field(self, slug: str) -> Field | None:
        return next((each for each in self.fields if each.slug == slug), None)

    def measure(self, slug: str) -> Measure | None:
        return next((each for each in self.measures if each.slug == slug), None)


def _recorded_by(facts: QuerySet[Any], known_at: datetime | None, path: str = "recorded_at") -> QuerySet[Any]:
    return facts if known_at is None else facts.filter(**{f"{path}__lte": known_at})


def _facts_of(model: Any, path: str = "recorded_at") -> Callable[[Scope], QuerySet[Any]]:
    return lambda scope: _recorded_by(model.objects.all(), scope.known_at, path)


def _suggested(model: Any, path: str) -> Callable[[], list[str]]:
    """Return a look-up of the values that occur, kept for a while: some tables are long."""

    def values() -> list[str]:
        key = f"metrics.suggested.{model._meta.label_lower}.{path}"
        kept: list[str] | None = cache.get(key)
        if kept is None:
            found = model.objects.order_by().exclude(**{path: ""}).values_list(path, flat=True).distinct()
            kept = sorted(found[:MOST_SUGGESTED])
            cache.set(key, kept, SUGGESTED_SECONDS)
        return kept

    return values


def _choices(of: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(value), str(label)) for value, label in of.choices)


# --- Accounts -------------------------------------------------------------------------


def _trait(kind: str) -> Callable[[Scope, str, Any], Q]:
    """Match accounts by what they were on the last day: the same rows that group a KPI."""

    def where(scope: Scope, operator: str, value: Any) -> Q:
        day = scope.period.last_day
        in_force = AccountTrait.objects.filter(
            Q(ends_on__isnull=True) | Q(ends_on__gte=day), kind=kind, starts_on__lte=day
        )
        # An account without any value on that day is none of those that are named.
        opposite = {"is_not": "is", "is_none_of": "is_any_of", "does_not_contain": "contains"}
        opposite["is_not_set"] = "is_set"
        asked = opposite.get(operator, operator)
        found = Q(pk__in=in_force.filter(text_q("value", asked, value)).values("account"))
        return ~found if operator in opposite else found

    return where


def _status(scope: Scope, operator: str, value: Any) -> Q:
    customers = Q(pk__in=ledger.accounts_that_are_customers(scope, "end"))
    ever = Q(pk__in=ledger.until(scope, "end").filter(customers=1).values("account"))
    found = {"customer": customers, "former": ever & ~customers, "never": ~ever & ~customers}
    values = value if isinstance(value, tuple) else (value,)
    match = Q(pk__in=[])
    for each in values:
        match |= found[each]
    return ~match if operator in ("is_not", "is_none_of") else match


def _at_start(scope: Scope, operator: str, value: Any) -> Q:
    found = Q(pk__in=ledger.accounts_that_are_customers(scope, "start"))
    return found if value else ~found


def _has_csm(scope: Scope, operator: str, value: Any) -> Q:
    held = Assignment.objects.filter(kind=Assignment.Kind.CSM).in_force(scope.period.last_day)
    found = Q(pk__in=held.values("account"))
    return found if value else ~found


def _moved(kind: str, sign: int) -> Callable[[Scope, str, Any], Q]:
    """Match accounts by the day on which a movement made them a customer, or none any more."""

    def where(scope: Scope, operator: str, value: Any) -> Q:
        asked = "by_end" if operator == "not_by_end" else operator
        rows = Movement.objects.known_at(scope.known_at).filter(
            day_q("effective_on", scope, asked, value, is_moment=False), kind=kind
        )
        sums = rows.order_by().values("account").annotate(kpi_heads=Sum(F("customers") * Value(sign)))
        found = Q(pk__in=sums.filter(kpi_heads__gt=0).values("account"))
        return ~found if operator == "not_by_end" else found

    return where


def by_sum(rows: QuerySet[Any], of: Any, operator: str, value: Any, *, account: str = "account") -> Q:
    """Match accounts by a sum over their rows; an account without rows has the sum 0."""
    rows = rows.filter(**{f"{account}__isnull": False}).order_by().values(account).annotate(kpi_sum=of)
    bounds = {f"kpi_sum__{COMPARE[operator]}": value}
    compare = {"at_least": value <= 0, "at_most": value >= 0, "more_than": value < 0, "less_than": value > 0}
    if compare.get(operator, value == 0):
        return ~Q(pk__in=rows.exclude(**bounds).values(account))
    return Q(pk__in=rows.filter(**bounds).values(account))


def _mrr(scope: Scope, operator: str, value: Any) -> Q:
    rates = ExchangeRate.objects.known_at(scope.known_at).filter(
        currency=OuterRef("currency"), starts_on__lte=scope.period.last_day
    )
    rates = rates.newest_first()
    exchanged = Case(
        When(currency=settings.REPORTING_CURRENCY, then=F("delta")),
        # Books in one other currency alone need no rate: there an amount is taken as it stands.
        default=F("delta") * Coalesce(Subquery(rates.values("rate")[:1]), Value(Decimal(1))),
        output_field=DecimalField(max_digits=38, decimal_places=15),
    )
    return by_sum(ledger.until(scope, "end"), Sum(in_micro(exchanged)), operator, int(value * MICRO))


def _accounts(scope: Scope) -> QuerySet[Any]:
    """Return all accounts with their health at the end of the period, looked up where it is asked for."""
    known = HealthScore.objects.filter(account=OuterRef("pk"), day__lte=scope.period.last_day)
    scores = _recorded_by(known, scope.known_at, "computed_at").order_by("-day")
    return Account.objects.alias(
        own_band=Coalesce(
            Subquery(scores.values("band")[:1]), Value(Band.NOT_SCORED.value), output_field=CharField()
        ),
        own_score=Subquery(scores.values("score")[:1]),
    )


def _mrr_rows(scope: Scope, accounts: QuerySet[Any]) -> QuerySet[Any]:
    return ledger.until(scope, "end").filter(account__in=accounts.values("pk"))


STATUS = Field(
    slug="status",
    label="Status",
    type="choice",
    where=_status,
    choices=(("customer", "Customer"), ("former", "Former customer"), ("never", "Never a customer")),
    only=("is", "is_not"),
    help="At the end of the period.",
    is_state=True,
)
ACCOUNT_FIELDS = (
    STATUS,
    Field(
        slug="segment",
        label="Segment",
        type="text",
        where=_trait(AccountTrait.Kind.SEGMENT),
        suggest=_suggested(Account, "segment"),
        help="At the end of the period.",
    ),
    Field(
        slug="plan",
        label="Plan",
        type="text",
        where=_trait(AccountTrait.Kind.PLAN),
        suggest=_suggested(Plan, "code"),
        help="By its code, at the end of the period.",
    ),
    Field(
        slug="lifecycle_stage",
        label="Stage",
        type="text",
        where=_trait(AccountTrait.Kind.LIFECYCLE_STAGE),
        suggest=_suggested(Account, "lifecycle_stage"),
        help="At the end of the period.",
    ),
    Field(
        slug="mrr",
        label="MRR",
        type="number",
        where=_mrr,
        only=("at_least", "at_most", "more_than", "less_than", "equals"),
        help="At the end of the period, in the reporting currency.",
    ),
    column("band", "Health", "choice", "own_band", choices=_choices(Band), help="At the end of the period."),
    column("score", "Health score", "number", "own_score", help="0 to 100, at the end of the period."),
    Field(
        slug="customer_at_start",
        label="Customer at the start",
        type="yes_no",
        where=_at_start,
        yes="that were customers at the start of the period",
        no="that were no customers at the start of the period",
    ),
    Field(
        slug="joined",
        label="Joined",
        type="day",
        verb="that became customers",
        where=_moved(Movement.Kind.NEW, 1),
    ),
    Field(slug="left", label="Left", type="day", verb="that churned", where=_moved(Movement.Kind.CHURN, -1)),
    Field(
        slug="has_csm",
        label="Has a CSM",
        type="yes_no",
        where=_has_csm,
        yes="that have a CSM",
        no="without a CSM",
        help="On the last day of the period.",
    ),
    column("region", "Region", "text", suggest=_suggested(Account, "region")),
    column("industry", "Industry", "text", suggest=_suggested(Account, "industry")),
    column(
        "country", "Country", "text", suggest=_suggested(Account, "country"), help="Two letters, such as DE."
    ),
)

ACCOUNTS = FactSet(
    slug="accounts",
    label="Accounts",
    one="account",
    many="accounts",
    source="accounts and the movement ledger",
    facts=_accounts,
    account="",
    fields=ACCOUNT_FIELDS,
    measures=(
        Measure(
            slug="mrr",
            label="MRR at the end of the period",
            of=F("delta"),
            kind="money",
            unit="money",
            rows=_mrr_rows,
            sampled=F("customers"),
        ),
        Measure(
            slug="score",
            label="Health score",
            of=F("own_score"),
            kind="quantity",
            unit="points",
            only=Q(own_score__isnull=False),
        ),
    ),
    can_be_had=False,
    recorded="",
)


# --- Tickets --------------------------------------------------------------------------


def _tickets(scope: Scope) -> QuerySet[Any]:
    is_over = Q(resolved_at__lt=scope.period.ends_at)
    if scope.known_at is not None:
        # The copies on a ticket speak of today; then we knew of a resolution only once it was recorded.
        is_over &= Q(resolution_recorded_at__isnull=True) | Q(resolution_recorded_at__lte=scope.known_at)
    is_open = Case(
        When(is_over | Q(merged_into__isnull=False) | Q(opened_at__gte=scope.period.ends_at), then=Value(0)),
        default=ONE,
        output_field=IntegerField(),
    )
    return _recorded_by(Ticket.objects.filter(exclusion=""), scope.known_at).alias(own_open=is_open)


_TICKET_CATEGORY = Grouping(slug="ticket_category", label="Category")
_TICKET_PRIORITY = Grouping(slug="ticket_priority", label="Priority", labels=dict(_choices(Ticket.Priority)))
_TICKET_CHANNEL = Grouping(slug="ticket_channel", label="Channel")
_TICKET_AGENT = Grouping(slug="ticket_agent", label="Agent")

TICKETS = FactSet(
    slug="tickets",
    label="Tickets",
    one="ticket",
    many="tickets",
    source="tickets; spam, outbound and automatically closed ones never count",
    facts=_tickets,
    main_day="opened",
    day=day_of_moment("opened_at"),
    fields=(
        column("opened", "Opened", "moment", "opened_at", verb="opened"),
        column("resolved", "Resolved", "moment", "resolved_at", verb="resolved"),
        column(
            "open",
            "Open",
            "yes_no",
            "own_open",
            yes="that are open at the end of the period",
            no="that are not open at the end of the period",
            is_state=True,
        ),
        column("priority", "Priority", "choice", choices=_choices(Ticket.Priority)),
        column("category", "Category", "text", suggest=_suggested(Ticket, "category")),
        column("channel", "Channel", "text", suggest=_suggested(Ticket, "channel")),
        column("agent", "Agent", "text", suggest=_suggested(Ticket, "agent")),
        column("source", "Source", "text", "source__name", suggest=_suggested(TicketSource, "name")),
        column("subject", "Subject", "text"),
        column("reopened", "Number of reopenings", "number", "reopen_count"),
        column("replies", "Number of replies by agents", "number", "agent_replies"),
    ),
    measures=(
        Measure(slug="replies", label="Replies by agents", of=F("agent_replies")),
        Measure(slug="reopened", label="Reopenings", of=F("reopen_count")),
    ),
    columns={
        "day": day_of_moment("opened_at"),
        "ticket": "external_id",
        "source": "source__name",
        "subject": "subject",
        "id": "pk",
    },
    groups=(
        (_TICKET_CATEGORY, "category"),
        (_TICKET_PRIORITY, "priority"),
        (_TICKET_CHANNEL, "channel"),
        (_TICKET_AGENT, "agent"),
    ),
)


# --- What customers say ---------------------------------------------------------------

_SCALE = Concat(
    Cast("scale_low", CharField()), Value("–"), Cast("scale_high", CharField()), output_field=CharField()
)

ANSWERS = FactSet(
    slug="answers",
    label="Survey answers",
    one="survey answer",
    many="survey answers",
    source="confirmed survey answers",
    facts=lambda scope: _recorded_by(Answer.objects.counted(), scope.known_at, "response__recorded_at"),
    account="response__account",
    main_day="given",
    day=day_of_moment("response__given_at"),
    anonymous="response__survey__is_anonymous",
    recorded="response__recorded_at",
    fields=(
        column("given", "Given", "moment", "response__given_at", verb="given"),
        column("kind", "Question", "choice", choices=_choices(Answer.Kind)),
        column("score", "Score", "number"),
        column("survey", "Survey", "text", "response__survey__name"),
        column("question", "Name of the question", "text", suggest=_suggested(Answer, "question")),
        column("text", "Comment", "text"),
        column("language", "Language", "text", "response__language", help="Two letters, such as de."),
    ),
    measures=(
        Measure(
            slug="score",
            label="Score",
            of=F("score"),
            unit="points",
            only=Q(score__isnull=False),
            scale=_SCALE,
        ),
    ),
    columns={
        "day": day_of_moment("response__given_at"),
        "survey": "response__survey__name",
        "question": "question",
        "score": "score",
        "answer": "pk",
    },
    groups=(
        (Grouping(slug="survey", label="Survey"), "response__survey__name"),
        (Grouping(slug="answer_kind", label="Question", labels=dict(_choices(Answer.Kind))), "kind"),
    ),
)

FEEDBACK = FactSet(
    slug="feedback",
    label="Feedback noted",
    one="piece of feedback",
    many="pieces of feedback",
    source="feedback noted by us",
    facts=_facts_of(Feedback),
    main_day="given",
    day=day_of_moment("given_at"),
    fields=(
        column("given", "Given", "moment", "given_at", verb="given"),
        column("sentiment", "Sentiment", "choice", choices=_choices(Feedback.Sentiment)),
        column("area", "Area", "choice", choices=_choices(Feedback.Area)),
        column("channel", "Channel", "text", suggest=_suggested(Feedback, "channel")),
        column("quote", "Words", "text"),
    ),
    columns={"day": day_of_moment("given_at"), "area": "area", "sentiment": "sentiment", "id": "pk"},
    groups=(
        (
            Grouping(slug="feedback_sentiment", label="Sentiment", labels=dict(_choices(Feedback.Sentiment))),
            "sentiment",
        ),
        (Grouping(slug="feedback_area", label="Area", labels=dict(_choices(Feedback.Area))), "area"),
    ),
)


# --- What we do -----------------------------------------------------------------------

TOUCHES = FactSet(
    slug="touches",
    label="Touches",
    one="touch",
    many="touches",
    source="touches: calls, meetings, mails, trainings …",
    facts=_facts_of(Touch),
    main_day="happened",
    day=day_of_moment("happened_at"),
    fields=(
        column("happened", "Happened", "moment", "happened_at", verb="that happened"),
        column("kind", "Kind", "choice", choices=_choices(Touch.Kind)),
        column("notes", "Notes", "text"),
        column("source", "Source", "text", suggest=_suggested(Touch, "source")),
    ),
    columns={"day": day_of_moment("happened_at"), "kind": "kind", "by": "user__name", "id": "pk"},
    groups=((Grouping(slug="touch_kind", label="Kind of touch", labels=dict(_choices(Touch.Kind))), "kind"),),
)

COSTS = FactSet(
    slug="costs",
    label="Costs of retention",
    one="cost",
    many="costs",
    source="costs entered or imported",
    facts=_facts_of(Cost),
    main_day="day",
    day=F("day"),
    currency="currency",
    rate_on="day",
    fields=(
        column("day", "Day", "day", verb="entered for a day"),
        column("category", "Category", "choice", choices=_choices(Cost.Category)),
        column("amount", "Amount", "number", help="In the currency it was entered in."),
        column("note", "Note", "text"),
    ),
    measures=(Measure(slug="amount", label="Amount", of=F("amount"), kind="money", unit="money"),),
    columns={"day": "day", "category": "category", "note": "note", "id": "pk"},
    groups=(
        (Grouping(slug="cost_category", label="Category", labels=dict(_choices(Cost.Category))), "category"),
    ),
)


# --- What they pay --------------------------------------------------------------------

_SIGN = Case(When(is_reversal=True, then=Value(-1)), default=ONE, output_field=IntegerField())

MOVEMENTS = FactSet(
    slug="movements",
    label="Movements of MRR",
    one="movement of MRR",
    many="movements of MRR",
    source="the movement ledger",
    facts=lambda scope: Movement.objects.known_at(scope.known_at),
    main_day="day",
    day=F("effective_on"),
    currency="currency",
    rate_on="effective_on",
    weight=_SIGN,
    fields=(
        column("day", "Took effect", "day", "effective_on", verb="that took effect"),
        column("kind", "Kind", "choice", choices=_choices(Movement.Kind)),
        column("detail", "Detail", "choice", "sub_kind", choices=_choices(Movement.SubKind)),
        column("amount", "Change", "number", "delta", help="Below zero for a loss, in its own currency."),
        column("currency", "Currency", "text"),
    ),
    measures=(
        Measure(
            slug="change",
            label="Change of MRR, losses below zero",
            of=F("delta"),
            kind="money",
            unit="money",
            sampled=_SIGN,
        ),
        Measure(
            slug="lost",
            label="MRR lost, above zero",
            of=-F("delta"),
            kind="money",
            unit="money",
            sampled=_SIGN,
        ),
    ),
    columns=ledger.COLUMNS,
    groups=(
        (Grouping(slug="movement_kind", label="Kind", labels=dict(_choices(Movement.Kind))), "kind"),
        (
            Grouping(slug="movement_detail", label="Detail", labels=dict(_choices(Movement.SubKind))),
            "sub_kind",
        ),
    ),
)

_SEATS = DecimalField(max_digits=14, decimal_places=4)


def _subscriptions(scope: Scope) -> QuerySet[Any]:
    """Return the contract lines, each with its plan, price and seats as agreed for the last day."""
    day = scope.period.last_day
    terms = _recorded_by(SubscriptionTerms.objects.filter(subscription=OuterRef("pk")), scope.known_at)
    in_force = terms.filter(effective_on__lte=day).order_by("-effective_on", "-recorded_at", "-pk")
    # Terms agreed for a later day only reach back to the start of the line.
    first = terms.filter(effective_on__gt=day).order_by("effective_on", "-recorded_at", "-pk")

    def of_terms(column: str, otherwise: Combinable) -> Coalesce:
        return Coalesce(Subquery(in_force.values(column)[:1]), Subquery(first.values(column)[:1]), otherwise)

    is_in_force = Q(starts_on__lte=day) & (Q(ends_on__isnull=True) | Q(ends_on__gte=day))
    return _recorded_by(Subscription.objects.all(), scope.known_at).alias(
        own_seats=of_terms("quantity", F("quantity")),
        own_plan=of_terms("plan__code", F("plan__code")),
        own_in_force=Case(When(is_in_force, then=ONE), default=Value(0), output_field=IntegerField()),
    )


SUBSCRIPTIONS = FactSet(
    slug="subscriptions",
    label="Contract lines",
    one="contract line",
    many="contract lines",
    source="subscriptions and their terms",
    facts=_subscriptions,
    main_day="starts",
    day=F("starts_on"),
    fields=(
        column(
            "in_force",
            "In force",
            "yes_no",
            "own_in_force",
            yes="in force on the last day of the period",
            no="not in force on the last day of the period",
            is_state=True,
        ),
        column("starts", "Starts", "day", "starts_on", verb="that start"),
        column("ends", "Ends", "day", "ends_on", verb="that end"),
        column("term_ends", "Term ends", "day", "term_ends_on", verb="whose term ends", has_clock=False),
        column("kind", "Kind", "choice", choices=_choices(Subscription.Kind)),
        column(
            "plan",
            "Plan",
            "text",
            "own_plan",
            suggest=_suggested(Plan, "code"),
            help="By its code.",
        ),
        column("seats", "Quantity", "number", "own_seats", help="As agreed for the last day."),
    ),
    measures=(Measure(slug="seats", label="Quantity", of=F("own_seats"), kind="quantity"),),
    columns={"line": "pk", "kind": "kind", "starts": "starts_on", "ends": "ends_on"},
    groups=(
        (
            Grouping(slug="line_kind", label="Kind of line", labels=dict(_choices(Subscription.Kind))),
            "kind",
        ),
    ),
)

CHARGES = FactSet(
    slug="charges",
    label="One-off charges",
    one="one-off charge",
    many="one-off charges",
    source="one-off invoiced lines",
    facts=_facts_of(Charge),
    main_day="day",
    day=F("day"),
    currency="currency",
    rate_on="day",
    fields=(
        column("day", "Invoiced", "day", verb="invoiced"),
        column("description", "Description", "text"),
        column("supplier", "Supplier", "text", suggest=_suggested(Charge, "supplier")),
        column("amount", "Amount", "number", help="In its own currency; credit notes are below zero."),
        column("currency", "Currency", "text"),
    ),
    measures=(Measure(slug="amount", label="Amount", of=F("amount"), kind="money", unit="money"),),
    columns={"day": "day", "description": "description", "supplier": "supplier", "id": "pk"},
    groups=((Grouping(slug="charge_supplier", label="Supplier"), "supplier"),),
)


def _renewals(scope: Scope) -> QuerySet[Any]:
    """Return the renewals with their outcome as it was known at the end of the period, or is now."""
    facts = _recorded_by(Renewal.objects.all(), scope.known_at)
    outcome: Any = F("outcome")
    if scope.known_at is not None:
        was_decided = Q(decided_at__isnull=True) | Q(decided_at__lte=scope.known_at)
        outcome = Case(
            When(was_decided, then=F("outcome")),
            default=Value(Renewal.Outcome.OPEN.value),
            output_field=CharField(),
        )
    return facts.alias(own_outcome=outcome)


RENEWALS = FactSet(
    slug="renewals",
    label="Renewals",
    one="renewal",
    many="renewals",
    source="contract terms by the day they end",
    facts=_renewals,
    main_day="due",
    day=F("due_on"),
    currency="currency",
    rate_on="due_on",
    fields=(
        column("due", "Due", "day", "due_on", verb="due"),
        column("outcome", "Outcome", "choice", "own_outcome", choices=_choices(Renewal.Outcome)),
        column("value", "Value due", "number", "due_value", help="MRR, in its own currency."),
    ),
    measures=(
        Measure(slug="due", label="Value due", of=F("due_value"), kind="money", unit="money"),
        Measure(
            slug="renewed",
            label="Value renewed",
            of=F("renewed_value"),
            kind="money",
            unit="money",
            only=Q(renewed_value__isnull=False),
        ),
    ),
    columns={"day": "due_on", "outcome": "outcome", "subscription": "subscription"},
    groups=(
        (
            Grouping(slug="renewal_outcome", label="Outcome", labels=dict(_choices(Renewal.Outcome))),
            "own_outcome",
        ),
    ),
)


# --- What they do and reach -----------------------------------------------------------

USAGE = FactSet(
    slug="usage_days",
    label="Usage by feature and day",
    one="day of use of a feature",
    many="days of use of a feature",
    source="the daily roll-up of usage",
    facts=lambda scope: UsageDay.objects.all(),
    main_day="day",
    day=F("day"),
    has_clock=False,
    recorded="",
    fields=(
        column("day", "Day", "day", verb="used"),
        column("feature", "Feature", "text", suggest=_suggested(UsageDay, "feature")),
        column("events", "Events", "number"),
        column("users", "People", "number"),
    ),
    measures=(
        Measure(slug="events", label="Events", of=F("events")),
        Measure(slug="users", label="People, each day anew", of=F("users")),
    ),
    columns={"day": "day", "feature": "feature"},
    groups=((Grouping(slug="feature", label="Feature"), "feature"),),
)

MILESTONES = FactSet(
    slug="milestones",
    label="Milestones",
    one="milestone",
    many="milestones",
    source="milestones of accounts",
    facts=_facts_of(Milestone),
    fields=(
        column("name", "Name", "text", suggest=_suggested(Milestone, "name")),
        column("started", "Started", "day", "started_on", verb="started"),
        column("due", "Due", "day", "due_on", verb="due"),
        column("reached", "Reached", "day", "reached_on", verb="reached", has_clock=False),
    ),
    columns={"milestone": "name", "due": "due_on", "reached": "reached_on"},
    groups=((Grouping(slug="milestone", label="Milestone"), "name"),),
)

REFERRALS = FactSet(
    slug="referrals",
    label="Referrals",
    one="referral",
    many="referrals",
    source="referrals",
    facts=_facts_of(Referral),
    main_day="made",
    day=F("referred_on"),
    fields=(
        column("made", "Made", "day", "referred_on", verb="made"),
        column(
            "converted",
            "Became a customer",
            "day",
            "converted_on",
            verb="that led to a customer",
            has_clock=False,
        ),
        column("referred", "Who was referred", "text", "referred_name"),
    ),
    columns={"day": "referred_on", "referred": "referred_name", "converted": "converted_on"},
)

CONTACTS = FactSet(
    slug="contacts",
    label="Contacts",
    one="contact",
    many="contacts",
    source="contacts",
    facts=_facts_of(Contact, "created_at"),
    recorded="created_at",
    fields=(
        column("role", "Role", "choice", choices=_choices(Contact.Role)),
        column("left", "Left", "day", "left_on", verb="who left", has_clock=False),
        column("title", "Title", "text"),
        column("language", "Language", "text"),
        column(
            "surveys_stopped", "Wants no surveys", "moment", "surveys_stopped_at", verb="who refused surveys"
        ),
    ),
    columns={"contact": "name", "role": "role", "id": "pk"},
    groups=((Grouping(slug="contact_role", label="Role", labels=dict(_choices(Contact.Role))), "role"),),
)

FACT_SETS: Mapping[str, FactSet] = {
    each.slug: each
    for each in (
        ACCOUNTS,
        TICKETS,
        ANSWERS,
        FEEDBACK,
        TOUCHES,
        CHARGES,
        MOVEMENTS,
        SUBSCRIPTIONS,
        RENEWALS,
        USAGE,
        MILESTONES,
        REFERRALS,
        CONTACTS,
        COSTS,
    )
}
