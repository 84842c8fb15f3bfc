"""What follows from a ticket's events and messages: its moments, its counts, whether it was
resolved on first contact.

`refresh` works them out anew for a set of tickets from what the helpdesk reported, so the
order in which reports arrive does not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from accounts.bulk import update_rows
from tickets.calculations import BusinessHours, seconds_between
from tickets.calendar import Calendar, Target, current
from tickets.models import BusinessCalendar, Message, Ticket, TicketEvent, TicketSource

BATCH = 2_000

COPIES = [
    "first_response_at",
    "first_resolved_at",
    "resolved_at",
    "closed_at",
    "merged_at",
    "reopen_count",
    "reassignment_count",
    "agent_replies",
    "customer_replies",
    "is_repeated",
    "is_first_contact",
    "settles_at",
    "response_recorded_at",
    "resolution_recorded_at",
    "response_seconds",
    "response_business_seconds",
    "resolution_seconds",
    "resolution_business_seconds",
    "response_due_at",
    "resolution_due_at",
]


def refresh(ticket_ids: Iterable[int]) -> None:
    """Bring the copies on these tickets in line with their events and messages.

    Earlier tickets that these ones may have made repeated (same contact, same category, not yet
    settled) are judged again with them.
    """
    ids = sorted(set(ticket_ids) | _asked_before(set(ticket_ids)))
    for at in range(0, len(ids), BATCH):
        with transaction.atomic():
            _refresh_batch(ids[at : at + BATCH])


def _refresh_batch(ids: list[int]) -> None:
    tickets = list(
        Ticket.objects.select_for_update(of=("self",))
        .filter(pk__in=ids)
        .select_related("source")
        .order_by("pk")
    )
    events: dict[int, list[TicketEvent]] = defaultdict(list)
    for event in TicketEvent.objects.filter(ticket__in=ids).order_by("happened_at", "pk"):
        events[event.ticket_id].append(event)
    messages: dict[int, list[Message]] = defaultdict(list)
    for message in Message.objects.filter(ticket__in=ids).defer("body").order_by("sent_at", "pk"):
        messages[message.ticket_id].append(message)
    # Read while the tickets are locked: a changed calendar measures them after us, or is the one we see.
    calendar = current()
    for ticket in tickets:
        _copy_events(ticket, events[ticket.pk])
        _copy_messages(ticket, messages[ticket.pk], events[ticket.pk])
        _measure(ticket, calendar)
    _mark_repeated(tickets)
    for ticket in tickets:
        judge_first_contact(ticket)
    update_rows(tickets, COPIES)


def _copy_events(ticket: Ticket, events: list[TicketEvent]) -> None:
    kinds = TicketEvent.Kind
    resolutions = [e for e in events if e.kind in (kinds.RESOLVED, kinds.CLOSED)]
    reopenings = [e for e in events if e.kind == kinds.REOPENED]
    ticket.reopen_count = len(reopenings)
    ticket.merged_at = next((e.happened_at for e in events if e.kind == kinds.MERGED), None)
    ticket.reassignment_count = sum(e.kind == kinds.REASSIGNED for e in events)
    ticket.first_resolved_at = resolutions[0].happened_at if resolutions else None
    since = reopenings[-1].happened_at if reopenings else None
    standing = [e for e in resolutions if since is None or e.happened_at >= since]
    ticket.resolved_at = standing[0].happened_at if standing else None
    ticket.resolution_recorded_at = standing[0].recorded_at if standing else None
    ticket.resolution_seconds = (
        seconds_between(ticket.opened_at, standing[0].happened_at)
        if standing and not standing[0].is_estimated
        else None
    )
    closings = [e for e in standing if e.kind == kinds.CLOSED]
    ticket.closed_at = closings[-1].happened_at if closings else None


def _copy_messages(ticket: Ticket, messages: list[Message], events: list[TicketEvent]) -> None:
    agent = [m for m in messages if m.author == Message.Author.AGENT and m.is_public]
    customer = [m for m in messages if m.author == Message.Author.CUSTOMER]
    replies = [e for e in events if e.kind == TicketEvent.Kind.REPLIED]
    ticket.first_response_at = ticket.response_recorded_at = ticket.response_seconds = None
    is_estimated = False
    if agent:
        ticket.first_response_at, ticket.response_recorded_at = agent[0].sent_at, agent[0].recorded_at
    elif replies:
        ticket.first_response_at, ticket.response_recorded_at = (
            replies[0].happened_at,
            replies[0].recorded_at,
        )
        is_estimated = replies[0].is_estimated
    if ticket.first_response_at is not None and not is_estimated:
        ticket.response_seconds = seconds_between(ticket.opened_at, ticket.first_response_at)
    ticket.agent_replies = len(agent) or len(replies)
    ticket.customer_replies = sum(not m.is_thanks for m in customer[1:])


def _measure(ticket: Ticket, calendar: Calendar) -> None:
    """Say how long it took in business hours, and when it is due by its priority's target."""
    opened_at, hours = ticket.opened_at, calendar.hours
    ticket.response_business_seconds = ticket.resolution_business_seconds = None
    if ticket.response_seconds is not None and ticket.first_response_at is not None:
        ticket.response_business_seconds = hours.seconds_between(opened_at, ticket.first_response_at)
    if ticket.resolution_seconds is not None and ticket.resolved_at is not None:
        ticket.resolution_business_seconds = hours.seconds_between(opened_at, ticket.resolved_at)
    target = calendar.targets.get(ticket.priority, Target())
    ticket.response_due_at, ticket.resolution_due_at = due_times(opened_at, target, hours)


def due_times(
    opened_at: datetime, target: Target, hours: BusinessHours
) -> tuple[datetime | None, datetime | None]:
    """Return by when a ticket opened then is to be answered and resolved; None where nothing is promised."""
    return (
        None if target.response is None else hours.after(opened_at, target.response),
        None if target.resolution is None else hours.after(opened_at, target.resolution),
    )


def measure_all(at: datetime) -> None:
    """Work all tickets out anew, because the calendar has changed, in batches that each commit."""
    changed_at = BusinessCalendar.objects.values_list("changed_at", flat=True).first()
    last = 0
    while ids := list(Ticket.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        last = ids[-1]
        with transaction.atomic():
            _refresh_batch(ids)
    if changed_at is not None:
        # A change made meanwhile has its own turn.
        BusinessCalendar.objects.filter(changed_at=changed_at).update(applied_at=at)


def _mark_repeated(tickets: list[Ticket]) -> None:
    """Mark tickets whose contact asked about the same category again before they settled."""
    asked = [t for t in tickets if t.contact_id and t.category]
    later: dict[tuple[int, str], list[datetime]] = defaultdict(list)
    if asked:
        again = (
            Ticket.objects.counted()
            .filter(contact__in={t.contact_id for t in asked}, category__in={t.category for t in asked})
            .order_by("opened_at")
            .values_list("contact_id", "category", "opened_at")
        )
        for contact_id, category, opened_at in again:
            later[(contact_id, category)].append(opened_at)
    for ticket in tickets:
        ticket.is_repeated = False
        if ticket.contact_id and ticket.category and ticket.resolved_at:
            until = ticket.resolved_at + timedelta(days=ticket.source.settle_days)
            ticket.is_repeated = any(
                ticket.opened_at < other <= until for other in later[(ticket.contact_id, ticket.category)]
            )


def judge_first_contact(ticket: Ticket) -> None:
    """Set whether `ticket` was resolved on first contact, and from when on that is final.

    By replies: at most one public reply of an agent, nothing more from the customer but thanks,
    no reopening, no repeated question. By assignment, for helpdesks that report no messages:
    resolved without reassignment and reopening.
    """
    source = ticket.source
    is_resolved = ticket.resolved_at is not None
    if source.fcr_rule == TicketSource.FcrRule.NO_REASSIGNMENT_NO_REOPEN:
        ticket.is_first_contact = is_resolved and not ticket.reassignment_count and not ticket.reopen_count
    else:
        ticket.is_first_contact = (
            is_resolved
            and ticket.agent_replies <= 1
            and not ticket.customer_replies
            and not ticket.reopen_count
            and not ticket.is_repeated
        )
    ticket.settles_at = (
        ticket.resolved_at + timedelta(days=source.settle_days) if ticket.resolved_at is not None else None
    )


def _asked_before(ids: set[int]) -> set[int]:
    """Return the earlier tickets of the same contacts and categories that had not settled yet."""
    found: set[int] = set()
    ordered = sorted(ids)
    for at in range(0, len(ordered), BATCH):
        asked = list(
            Ticket.objects.filter(pk__in=ordered[at : at + BATCH], contact__isnull=False)
            .exclude(category="")
            .values_list("contact_id", "category", "opened_at")
        )
        if not asked:
            continue
        moments: dict[tuple[int | None, str], list[datetime]] = defaultdict(list)
        for contact_id, category, opened_at in asked:
            moments[(contact_id, category)].append(opened_at)
        earlier = Ticket.objects.filter(
            contact__in={contact_id for contact_id, _, _ in asked},
            category__in={category for _, category, _ in asked},
            settles_at__gte=min(opened_at for _, _, opened_at in asked),
            opened_at__lt=max(opened_at for _, _, opened_at in asked),
        ).values_list("pk", "contact_id", "category", "opened_at", "settles_at")
        for pk, contact_id, category, opened_at, settles_at in earlier:
            if settles_at and any(
                opened_at < again <= settles_at for again in moments[(contact_id, category)]
            ):
                found.add(pk)
    return found
