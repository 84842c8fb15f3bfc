"""Requests for help: how many come, wait, and need one contact only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.expressions import Combinable

from metrics.calculations import (
    first_contact_resolution_rate,
    immediate_resolution_rate,
    wilson_interval,
)
from metrics.kpis.counting import ONE, day_of_moment
from metrics.kpis.definition import Amount, Kpi, Part, Scope, Variant
from tickets.models import Ticket, TicketEvent, TicketEventQuerySet, TicketSource

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


def _received(scope: Scope) -> QuerySet[Any]:
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
        .filter(merged_into__isnull=True)
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
)

FIRST_CONTACT_RESOLUTION_RATE = Kpi(
    slug="first_contact_resolution_rate",
    label="First-contact resolution",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "The share of tickets received in the period that one contact resolved: at most one public reply by "
        "a person, nothing more from the customer but thanks, no reopening, and no new ticket of the same "
        "contact about the same in the days after. A ticket is pending until those days have passed. A "
        "source can be judged by 'no reassignment, no reopening' instead."
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
    definition="Tickets opened in the period; spam, outbound and automatically closed ones left out.",
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_received,
                    amounts={"received": Amount(ONE)},
                    csm_on=day_of_moment("opened_at"),
                    columns=COLUMNS,
                    recorded="recorded_at",
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
    leaves_once = Q(ticket__reopen_count=0, ticket__merged_into__isnull=True)
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
    definition=(
        "Tickets waiting at the end of the period. Each day it is the day before's, plus those received and "
        "reopened, less those resolved or closed, and merged. Spam, outbound and automatically closed ones "
        "are left out."
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_events_until("ends_at"),
                    amounts={"backlog": Amount(_STEPS)},
                    account="ticket__account",
                    columns=_EVENT_COLUMNS,
                    recorded="recorded_at",
                ),
                Part(
                    facts=_events_until("starts_at"),
                    amounts={"opening": Amount(_STEPS)},
                    account="ticket__account",
                    csm_on="start",
                    columns=_EVENT_COLUMNS,
                    recorded="recorded_at",
                ),
                Part(
                    facts=_events_within,
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
                ),
            ),
            numerator="backlog",
            formula="backlog(t) = backlog(t − 1) + received + reopened − closed − merged",
            source="ticket events",
        ),
    ),
)

KPIS = (FIRST_CONTACT_RESOLUTION_RATE, TICKETS_RECEIVED, TICKET_BACKLOG)
