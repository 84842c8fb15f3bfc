"""Requests for help: how many come, wait and come back, and how long they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from django.db.models import (
    Case,
    CharField,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from metrics.calculations import (
    HALF,
    NINE_TENTHS,
    Interval,
    Spread,
    first_contact_resolution_rate,
    immediate_resolution_rate,
    in_time_rate,
    interval_in_hours,
    interval_of_percentile,
    median_resolution_hours,
    median_response_hours,
    reopen_rate,
    slow_resolution_hours,
    slow_response_hours,
    wilson_interval,
)
from metrics.kpis.counting import ONE, day_of_moment
from metrics.kpis.definition import Amount, Grouping, Kpi, Part, Scope, Variant, up_to_end, within
from tickets.models import Ticket, TicketEvent, TicketEventQuerySet, TicketQuerySet, TicketSource

THEME = "Support"
Kind = TicketEvent.Kind
NOTHING = Value(0)
COLUMNS: Mapping[str, str | Combinable] = {
    "day": day_of_moment("opened_at"),
    "ticket": "external_id",
    "source": "source__name",
    "subject": "subject",
    "id": "pk",
}
AGENT = Grouping(slug="agent", label="Agent")
GROUPINGS = (
    AGENT,
    Grouping(
        slug="priority",
        label="Priority",
        labels={str(value): str(label) for value, label in Ticket.Priority.choices},
    ),
    Grouping(slug="channel", label="Channel"),
    Grouping(slug="category", label="Category"),
)
_OF_TICKET: Mapping[str, str | Combinable] = {grouping.slug: grouping.slug for grouping in GROUPINGS}
_OF_EVENT: Mapping[str, str | Combinable] = {
    grouping.slug: f"ticket__{grouping.slug}" for grouping in GROUPINGS
}
WHOSE = (
    "Agent, priority, channel and category are those the ticket has now: an agent is credited with the "
    "tickets that stand in their name."
)


def _received(scope: Scope) -> TicketQuerySet:
    tickets = Ticket.objects.filter(
        exclusion="", opened_at__gte=scope.period.starts_at, opened_at__lt=scope.period.ends_at
    )
    return tickets if scope.known_at is None else tickets.filter(recorded_at__lte=scope.known_at)


def _judged(scope: Scope) -> QuerySet[Any]:
    """Return the tickets received, with what could be said about them at the moment we look back from."""
    is_known = Q(resolved_at__isnull=False)
    if scope.known_at is not None:
        # Copies on the ticket speak of today; then we knew of a resolution only once it was recorded.
        is_known &= Q(resolution_recorded_at__isnull=True) | Q(resolution_recorded_at__lte=scope.known_at)
    one_reply = Q(source__fcr_rule=TicketSource.FcrRule.REPLIES, agent_replies__lte=1, customer_replies=0)
    one_agent = Q(source__fcr_rule=TicketSource.FcrRule.NO_REASSIGNMENT_NO_REOPEN, reassignment_count=0)
    is_settled = Q(settles_at__lte=scope.as_of)
    return (
        _received(scope)
        .not_merged()
        .annotate(
            kpi_settled=Case(When(is_settled, then=ONE), default=NOTHING),
            kpi_first_contact=Case(
                When(is_settled & is_known & Q(is_first_contact=True), then=ONE), default=NOTHING
            ),
            kpi_immediate=Case(
                When(is_known & Q(reopen_count=0) & (one_reply | one_agent), then=ONE), default=NOTHING
            ),
        )
    )


def _next_settlement(scope: Scope) -> datetime | None:
    """Return when the next of these tickets settles."""
    waiting = _received(scope).filter(settles_at__gt=scope.as_of)
    return cast("datetime | None", waiting.aggregate(next=Min("settles_at"))["next"])


_TICKETS = Part(
    facts=_judged,
    amounts={
        "resolved_on_first_contact": Amount(F("kpi_first_contact")),
        "settled": Amount(F("kpi_settled")),
        "closed_after_one_interaction": Amount(F("kpi_immediate")),
        "received": Amount(ONE),
        "pending": Amount(ONE - F("kpi_settled")),
        "reopened": Amount(Case(When(reopen_count__gt=0, then=ONE), default=NOTHING)),
    },
    csm_on=day_of_moment("opened_at"),
    columns=COLUMNS,
    groups=_OF_TICKET,
    first_on=within,
    steady_until=_next_settlement,
)

FIRST_CONTACT_RESOLUTION_RATE = Kpi(
    slug="first_contact_resolution_rate",
    label="First-contact resolution",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    own_groups=GROUPINGS,
    definition=(
        "The share of tickets received in the period that one contact resolved: at most one public reply by "
        "a person, nothing more from the customer but thanks, no reopening, and no new ticket of the same "
        "contact about the same in the days after. A ticket is pending until those days have passed. A "
        f"source can be judged by 'no reassignment, no reopening' instead. {WHOSE}"
    ),
    variants=(
        Variant(
            slug="settled",
            label="Settled tickets only",
            parts=(_TICKETS,),
            numerator="resolved_on_first_contact",
            denominator="settled",
            calculate=first_contact_resolution_rate,
            interval=lambda counts: wilson_interval(
                part=counts["resolved_on_first_contact"], whole=counts["settled"]
            ),
            reason="no_settled_tickets",
        ),
        Variant(
            slug="immediate",
            label="Closed after one interaction, no waiting",
            parts=(_TICKETS,),
            numerator="closed_after_one_interaction",
            denominator="received",
            calculate=immediate_resolution_rate,
            interval=lambda counts: wilson_interval(
                part=counts["closed_after_one_interaction"], whole=counts["received"]
            ),
            reason="no_tickets",
        ),
    ),
)

TICKETS_RECEIVED = Kpi(
    slug="tickets_received",
    label="Tickets received",
    theme=THEME,
    unit="count",
    higher_is_better=None,
    kind="flow",
    own_groups=GROUPINGS,
    definition=(
        f"Tickets opened in the period; spam, outbound and automatically closed ones left out. {WHOSE}"
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_received,
                    amounts={"received": Amount(ONE)},
                    csm_on=day_of_moment("opened_at"),
                    columns=COLUMNS,
                    recorded="recorded_at",
                    groups=_OF_TICKET,
                    first_on=within,
                ),
            ),
            numerator="received",
            formula="tickets by the day they were opened, counted",
            source="tickets",
        ),
    ),
)

# A ticket waits from the first of these until one of those.
_ENTERS = (Kind.OPENED, Kind.REOPENED)
_LEAVES = (Kind.RESOLVED, Kind.CLOSED, Kind.MERGED)


def _steps(events: TicketEventQuerySet, known_at: datetime | None) -> QuerySet[Any]:
    """Add what each event does to the number of tickets that wait: 1, -1, or nothing.

    A ticket that was resolved and then closed leaves once, so an event counts by what the
    ticket was just before it. Most tickets leave once only, at their first resolution; for
    the others, and for what was known then, the event before is looked up.
    """
    before = TicketEvent.objects.filter(
        Q(happened_at__lt=OuterRef("happened_at"))
        | Q(happened_at=OuterRef("happened_at"), pk__lt=OuterRef("pk")),
        ticket=OuterRef("ticket"),
        kind__in=(*_ENTERS, *_LEAVES),
    )
    leaves_once = Q(ticket__reopen_count=0, ticket__merged_at__isnull=True)
    if known_at is not None:
        events = events.filter(recorded_at__lte=known_at)
        before = before.filter(recorded_at__lte=known_at)
        leaves_once = Q(pk__isnull=True)
    is_first = Q(happened_at=F("ticket__first_resolved_at"))
    # A closing at that very moment counts unless the ticket was resolved just then.
    settled = leaves_once & (Q(kind=Kind.RESOLVED) | Q(Q(kind=Kind.CLOSED) & ~is_first))
    last = Subquery(before.order_by("-happened_at", "-pk").values("kind")[:1])
    return (
        events.filter(kind__in=(*_ENTERS, *_LEAVES), ticket__exclusion="")
        .annotate(
            kpi_before=Case(
                When(Q(kind=Kind.OPENED) | settled, then=None), default=last, output_field=CharField()
            )
        )
        .annotate(
            kpi_step=Case(
                When(kind=Kind.OPENED, then=ONE),
                When(settled & Q(kind=Kind.RESOLVED) & is_first, then=Value(-1)),
                When(settled, then=NOTHING),
                When(kind=Kind.REOPENED, kpi_before__in=_LEAVES, then=ONE),
                When(kind=Kind.REOPENED, then=NOTHING),
                # Reported without an opening before it: the opening counts, so this does too.
                When(Q(kpi_before__isnull=True) | Q(kpi_before__in=_ENTERS), then=Value(-1)),
                default=NOTHING,
            )
        )
    )


def _events_until(moment: str) -> Any:
    def facts(scope: Scope) -> QuerySet[Any]:
        events = TicketEvent.objects.filter(happened_at__lt=getattr(scope.period, moment))
        return _steps(events, scope.known_at)

    return facts


def _events_within(scope: Scope) -> QuerySet[Any]:
    period = scope.period
    events = TicketEvent.objects.filter(happened_at__gte=period.starts_at, happened_at__lt=period.ends_at)
    return _steps(events, scope.known_at)


_STEPS = F("kpi_step")
_EVENT_COLUMNS = {"ticket": "ticket__external_id", "source": "ticket__source__name", "id": "ticket__pk"}


def _came(*kinds: str) -> Amount:
    return Amount(Case(When(kind__in=kinds, then=_STEPS), default=NOTHING))


def _left(*kinds: str) -> Amount:
    return Amount(Case(When(kind__in=kinds, then=-_STEPS), default=NOTHING))


TICKET_BACKLOG = Kpi(
    slug="ticket_backlog",
    label="Ticket backlog",
    theme=THEME,
    unit="count",
    higher_is_better=False,
    kind="level",
    own_groups=GROUPINGS,
    definition=(
        "Tickets waiting at the end of the period. Each day it is the day before's, plus those received and "
        "reopened, less those resolved or closed, and merged. Spam, outbound and automatically closed ones "
        f"are left out. {WHOSE}"
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_events_until("ends_at"),
                    first_on=up_to_end,
                    amounts={"backlog": Amount(_STEPS)},
                    account="ticket__account",
                    columns=_EVENT_COLUMNS,
                    recorded="recorded_at",
                    groups=_OF_EVENT,
                ),
                Part(
                    facts=_events_until("starts_at"),
                    first_on=up_to_end,
                    amounts={"opening": Amount(_STEPS)},
                    account="ticket__account",
                    csm_on="start",
                    columns=_EVENT_COLUMNS,
                    recorded="recorded_at",
                    groups=_OF_EVENT,
                ),
                Part(
                    facts=_events_within,
                    first_on=up_to_end,
                    amounts={
                        "received": _came(Kind.OPENED),
                        "reopened": _came(Kind.REOPENED),
                        "closed": _left(Kind.RESOLVED, Kind.CLOSED),
                        "merged": _left(Kind.MERGED),
                    },
                    account="ticket__account",
                    csm_on=day_of_moment("happened_at"),
                    columns=_EVENT_COLUMNS,
                    recorded="recorded_at",
                    groups=_OF_EVENT,
                ),
            ),
            numerator="backlog",
            formula="backlog(t) = backlog(t − 1) + received + reopened − closed − merged",
            source="ticket events",
        ),
    ),
)

TICKETS_CLOSED = Kpi(
    slug="tickets_closed",
    label="Tickets closed",
    theme=THEME,
    unit="count",
    higher_is_better=None,
    kind="flow",
    own_groups=GROUPINGS,
    definition=(
        "How often a waiting ticket was resolved or closed in the period. One that was resolved and closed "
        "later counts once; one that came back and was resolved again counts twice, so that received, "
        "reopened and closed make the backlog. Spam, outbound and automatically closed ones are left out. "
        f"{WHOSE}"
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_events_within,
                    first_on=up_to_end,
                    amounts={"closed": _left(Kind.RESOLVED, Kind.CLOSED)},
                    account="ticket__account",
                    csm_on=day_of_moment("happened_at"),
                    columns={
                        "day": day_of_moment("happened_at"),
                        "ticket": "ticket__external_id",
                        "source": "ticket__source__name",
                        "subject": "ticket__subject",
                        "id": "ticket__pk",
                    },
                    groups=_OF_EVENT,
                    recorded="recorded_at",
                ),
            ),
            numerator="closed",
            formula="resolutions and closings that ended a ticket's wait, by the day they happened, counted",
            source="ticket events",
        ),
    ),
)


def _first_resolved(scope: Scope) -> QuerySet[Any]:
    """Return the tickets resolved for the first time in the period, with whether they came back."""
    period = scope.period
    tickets = Ticket.objects.counted().filter(
        first_resolved_at__gte=period.starts_at, first_resolved_at__lt=period.ends_at
    )
    came_back: Any = Q(reopen_count__gt=0)
    if scope.known_at is not None:
        known = TicketEvent.objects.filter(ticket=OuterRef("pk"), recorded_at__lte=scope.known_at)
        resolved = known.filter(
            kind__in=(Kind.RESOLVED, Kind.CLOSED), happened_at=OuterRef("first_resolved_at")
        )
        tickets = tickets.filter(Exists(resolved))
        came_back = Exists(known.filter(kind=Kind.REOPENED))
    return tickets.annotate(kpi_reopened=Case(When(came_back, then=ONE), default=NOTHING))


REOPEN_RATE = Kpi(
    slug="reopen_rate",
    label="Reopen rate",
    theme=THEME,
    unit="percent",
    higher_is_better=False,
    kind="rate",
    own_groups=GROUPINGS,
    definition=(
        "Of the tickets resolved for the first time in the period, the share that came back at least once "
        "since: it can still rise while the newest ones may be reopened. Merged, spam, outbound and "
        f"automatically closed ones are left out. {WHOSE}"
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_first_resolved,
                    amounts={"reopened": Amount(F("kpi_reopened")), "resolved": Amount(ONE)},
                    csm_on=day_of_moment("first_resolved_at"),
                    columns={**COLUMNS, "day": day_of_moment("first_resolved_at")},
                    groups=_OF_TICKET,
                    first_on=within,
                ),
            ),
            numerator="reopened",
            denominator="resolved",
            calculate=reopen_rate,
            interval=lambda counts: wilson_interval(part=counts["reopened"], whole=counts["resolved"]),
            reason="nothing_resolved",
        ),
    ),
)

# --- How long it takes ----------------------------------------------------------------

_BY_THE_CALENDAR = "in the hours of the calendar in the settings, as they are set now"


def _known_by(scope: Scope, tickets: QuerySet[Any], recorded_at: str) -> QuerySet[Any]:
    if scope.known_at is None:
        return tickets
    # What was recorded before we kept that moment was known all along.
    unknown = Q(**{f"{recorded_at}__isnull": True})
    return tickets.filter(unknown | Q(**{f"{recorded_at}__lte": scope.known_at}))


def _that_took(moment: str, seconds: str, recorded_at: str) -> Any:
    """Return facts: the tickets to which it happened in the period, and that say how long it took."""

    def facts(scope: Scope) -> QuerySet[Any]:
        period = scope.period
        tickets = Ticket.objects.counted().filter(
            **{
                f"{moment}__gte": period.starts_at,
                f"{moment}__lt": period.ends_at,
                f"{seconds}__isnull": False,
            }
        )
        return _known_by(scope, tickets, recorded_at)

    return facts


def _hours(seconds: str) -> Combinable:
    return ExpressionWrapper(Cast(seconds, FloatField()) / Value(3600.0), output_field=FloatField())


def _duration(moment: str, seconds: str, recorded_at: str, count: str) -> Part:
    return Part(
        facts=_that_took(moment, seconds, recorded_at),
        amounts={count: Amount(ONE)},
        csm_on=day_of_moment(moment),
        columns={**COLUMNS, "day": day_of_moment(moment), "hours": _hours(seconds)},
        groups=_OF_TICKET,
        spread=F(seconds),
        recorded=recorded_at,
        first_on=within,
    )


def _interval(count: str, share: Any) -> Any:
    def interval(spread: Spread) -> Interval | None:
        return interval_in_hours(interval_of_percentile(spread, count, share=share))

    return interval


def _durations(
    step: str, moment: str, count: str, *, calculations: tuple[Any, Any], reason: str
) -> tuple[Variant, ...]:
    """Return median and 90th percentile, by any clock and in business hours."""
    variants = []
    for clock, seconds in (("", f"{step}_seconds"), ("business_", f"{step}_business_seconds")):
        part = _duration(moment, seconds, f"{step}_recorded_at", count)
        for (slug, label, share), calculate in zip(
            (("median", "Median", HALF), ("p90", "Nine of ten within", NINE_TENTHS)),
            calculations,
            strict=True,
        ):
            variant = Variant(
                slug=f"{clock}{slug}",
                label=f"{label}, business hours" if clock else label,
                parts=(part,),
                numerator=count,
                sample=count,
                calculate=calculate,
                interval_of_spread=_interval(count, share),
                reason=reason,
            )
            if clock:
                variant = replace(
                    variant,
                    formula=f"{variant.says('Formula')}, {_BY_THE_CALENDAR}",
                )
            variants.append(variant)
    return tuple(variants)


FIRST_RESPONSE_TIME = Kpi(
    slug="first_response_time",
    label="First response time",
    theme=THEME,
    unit="hours",
    higher_is_better=False,
    kind="rate",
    own_groups=GROUPINGS,
    definition=(
        "How long customers wait for the first public reply by a person. A ticket counts in the period in "
        "which it was first answered, and nowhere until then. Where the helpdesk does not say when that "
        "was, no duration is taken. Merged, spam, outbound and automatically closed ones are left out. "
        f"{WHOSE}"
    ),
    variants=_durations(
        "response",
        "first_response_at",
        "answered",
        calculations=(median_response_hours, slow_response_hours),
        reason="nothing_answered",
    ),
)

RESOLUTION_TIME = Kpi(
    slug="resolution_time",
    label="Resolution time",
    theme=THEME,
    unit="hours",
    higher_is_better=False,
    kind="rate",
    own_groups=GROUPINGS,
    definition=(
        "How long it takes from a ticket's opening until it is resolved for good: a ticket that came back "
        "counts once it is resolved again, with all the time since its opening. It counts in the period "
        "of that resolution. Where the helpdesk does not say when that was, no duration is taken. Merged, "
        f"spam, outbound and automatically closed ones are left out. {WHOSE}"
    ),
    variants=_durations(
        "resolution",
        "resolved_at",
        "resolved",
        calculations=(median_resolution_hours, slow_resolution_hours),
        reason="nothing_resolved",
    ),
)


def _that_were_due(step: str, moment: str) -> Any:
    """Return facts: the tickets due in the period and by now, with whether it happened in time."""
    due_at = f"{step}_due_at"

    def facts(scope: Scope) -> QuerySet[Any]:
        period = scope.period
        happened = Q(**{f"{moment}__isnull": False})
        if scope.known_at is not None:
            recorded_at = f"{step}_recorded_at"
            happened &= Q(**{f"{recorded_at}__isnull": True}) | Q(**{f"{recorded_at}__lte": scope.known_at})
        is_judged = happened | Q(**{f"{due_at}__lt": scope.as_of})
        tickets = Ticket.objects.counted().filter(
            is_judged, **{f"{due_at}__gte": period.starts_at, f"{due_at}__lt": period.ends_at}
        )
        # It happened, and the helpdesk does not say when.
        tickets = tickets.exclude(**{f"{moment}__isnull": False, f"{step}_seconds__isnull": True})
        if step == "response":
            # Resolved without a reply: in another way than by answering, or nobody tells us of replies.
            tickets = tickets.exclude(first_response_at__isnull=True, resolved_at__isnull=False)
        if scope.known_at is not None:
            tickets = tickets.filter(recorded_at__lte=scope.known_at)
        in_time = happened & Q(**{f"{moment}__lte": F(due_at)})
        return tickets.annotate(
            kpi_in_time=Case(When(in_time, then=ONE), default=NOTHING),
            kpi_waiting=Case(When(happened, then=NOTHING), default=ONE),
        )

    return facts


def _next_overdue(step: str, moment: str) -> Callable[[Scope], datetime | None]:
    """Return when the next of those that wait is overdue, and counts."""
    due_at = f"{step}_due_at"

    def next_one(scope: Scope) -> datetime | None:
        period = scope.period
        waiting = Ticket.objects.counted().filter(
            **{
                f"{moment}__isnull": True,
                f"{due_at}__gte": max(period.starts_at, scope.as_of),
                f"{due_at}__lt": period.ends_at,
            }
        )
        return cast("datetime | None", waiting.aggregate(next=Min(due_at))["next"])

    return next_one


def _in_time(step: str, moment: str, label: str) -> Variant:
    return Variant(
        slug=step,
        label=label,
        parts=(
            Part(
                facts=_that_were_due(step, moment),
                amounts={
                    "in_time": Amount(F("kpi_in_time")),
                    "due": Amount(ONE),
                    "still_waiting": Amount(F("kpi_waiting")),
                },
                csm_on=day_of_moment(f"{step}_due_at"),
                columns={**COLUMNS, "day": day_of_moment(f"{step}_due_at")},
                groups=_OF_TICKET,
                first_on=within,
                steady_until=_next_overdue(step, moment),
            ),
        ),
        numerator="in_time",
        denominator="due",
        calculate=in_time_rate,
        interval=lambda counts: wilson_interval(part=counts["in_time"], whole=counts["due"]),
        reason="no_tickets_due",
    )


IN_TIME_RATE = Kpi(
    slug="in_time_rate",
    label="Service targets met",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    own_groups=GROUPINGS,
    definition=(
        "Of the tickets due in the period, the share answered (or resolved) by then. When a ticket is due "
        "follows from its opening, the target of its priority and the business hours, as they are set now. "
        "One that waits beyond its time was missed; a ticket resolved without any reply has no first "
        "answer to judge. Tickets of a priority without a target, and merged, spam, outbound and "
        f"automatically closed ones, are left out. {WHOSE}"
    ),
    variants=(
        _in_time("response", "first_response_at", "First answer in time"),
        _in_time("resolution", "resolved_at", "Resolved in time"),
    ),
)

KPIS = (
    TICKETS_RECEIVED,
    TICKETS_CLOSED,
    TICKET_BACKLOG,
    FIRST_RESPONSE_TIME,
    RESOLUTION_TIME,
    FIRST_CONTACT_RESOLUTION_RATE,
    REOPEN_RATE,
    IN_TIME_RATE,
)
