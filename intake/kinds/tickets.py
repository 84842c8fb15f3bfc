"""Requests for help: tickets as they stand, the log of what happened to them, their messages.

However a helpdesk writes it down, it becomes ticket events; `tickets.handling` works out
the rest from those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from accounts.bulk import insert_rows, update_rows
from intake.kinds.base import (
    Kind,
    Run,
    alive,
    attributes,
    check_order,
    natural_id,
    resolve_accounts,
    resolve_contacts,
    store,
)
from intake.kinds.customers import ACCOUNT_ID, ACCOUNT_NAME
from intake.kinds.dealings import CONTACT
from intake.mapping import Parsed
from intake.values import Field
from tickets import handling
from tickets.models import Message, Ticket, TicketEvent, TicketSource

JUST_BEFORE = timedelta(microseconds=1)
_DONE = (Ticket.Status.RESOLVED, Ticket.Status.CLOSED)
_EventKind = TicketEvent.Kind


def check_ticket_source(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [("ticket_source", "An object with “fcr_rule” and “settle_days” is needed.")]
    problems = [
        (f"ticket_source.{key}", "This is unknown; known are fcr_rule, settle_days.")
        for key in value
        if key not in {"fcr_rule", "settle_days"}
    ]
    if "fcr_rule" in value and value["fcr_rule"] not in TicketSource.FcrRule.values:
        problems.append(("ticket_source.fcr_rule", f"Known are {', '.join(TicketSource.FcrRule.values)}."))
    days = value.get("settle_days", 7)
    if type(days) is not int or not 0 <= days <= 365:
        problems.append(("ticket_source.settle_days", "A whole number of days from 0 to 365 is needed."))
    return problems


def ticket_source(run: Run) -> TicketSource:
    """Return the helpdesk of this import, with the settings its mapping states."""
    wanted = run.options.get("ticket_source", {})
    source, is_new = TicketSource.objects.get_or_create(name=run.source, defaults=wanted)
    different = {key: value for key, value in wanted.items() if getattr(source, key) != value}
    if different and not is_new:
        for key, value in different.items():
            setattr(source, key, value)
        source.save(update_fields=list(different))
        run.made["ticket source settings"] += 1
    return source


def tickets_by_id(ids: set[str], source: TicketSource) -> dict[Hashable, Any]:
    return {one.external_id: one for one in Ticket.objects.filter(source=source, external_id__in=ids)}


_ABOUT_THE_TICKET = (
    ACCOUNT_ID,
    ACCOUNT_NAME,
    CONTACT,
    Field(
        name="subject", label="Subject", max_length=300, synonyms=("title", "summary", "short description")
    ),
    Field(name="category", label="Category", max_length=100, synonyms=("topic", "type", "issue type")),
    Field(name="channel", label="Channel", max_length=40, synonyms=("contact type", "via", "origin")),
    Field(
        name="priority",
        label="Priority",
        type="choice",
        choices=tuple(Ticket.Priority.choices),
        synonyms=("urgency", "severity"),
    ),
    Field(
        name="status",
        label="Status",
        type="choice",
        choices=tuple(Ticket.Status.choices),
        synonyms=("state", "incident state"),
    ),
    Field(
        name="source_status",
        label="Status as the helpdesk names it",
        max_length=60,
        help="Where its names are not ours; “status” then translates them.",
    ),
    Field(
        name="agent",
        label="Agent",
        max_length=150,
        synonyms=("assignee", "assigned to", "owner", "technician"),
    ),
    Field(
        name="exclusion", label="Not counted because", type="choice", choices=tuple(Ticket.Exclusion.choices)
    ),
)
_PLAIN = ("subject", "category", "channel", "priority", "status", "source_status", "agent", "exclusion")


def resolve_asker(rows: list[Parsed], run: Run) -> list[Parsed]:
    """Find account and contact; a ticket may have neither."""
    rows = resolve_accounts(rows, run, is_required=False)
    return resolve_contacts(rows, run) if "contact" in run.mapped else rows


def _ticket_values(row: Parsed, run: Run, plain: list[str]) -> dict[str, Any]:
    values = attributes(Ticket, row.values, [name for name in plain if row.values.get(name) is not None])
    for name in ("account_id", "contact_id"):
        if row.values.get(name):
            values[name] = row.values[name]
    return values


class Tickets(Kind):
    slug = "tickets"
    label = "Tickets"
    about = "One row for each ticket as it stands now."
    creates = ("accounts", "contacts")
    fields = (
        Field(
            name="external_id",
            label="Ticket id",
            max_length=200,
            is_required=True,
            synonyms=("id", "ticket id", "ticket", "number", "key", "case number"),
        ),
        *_ABOUT_THE_TICKET,
        Field(
            name="opened_at",
            label="Opened",
            type="moment",
            is_required=True,
            synonyms=("created at", "created", "opened", "open date", "created on"),
        ),
        Field(
            name="first_response_at",
            label="First reply",
            type="moment",
            synonyms=("first reply at", "responded at"),
        ),
        Field(
            name="resolved_at",
            label="Resolved",
            type="moment",
            synonyms=("solved at", "resolved", "resolution date"),
        ),
        Field(name="closed_at", label="Closed", type="moment", synonyms=("closed", "closed on")),
        Field(
            name="reopen_count",
            label="Times reopened",
            type="integer",
            low="0",
            synonyms=("reopens", "reopened"),
        ),
        Field(
            name="reassignment_count",
            label="Times reassigned",
            type="integer",
            low="0",
            synonyms=("reassignments", "transfers"),
        ),
    )
    check_ticket_source = staticmethod(check_ticket_source)

    def apply(self, rows: list[Parsed], run: Run) -> None:
        check_order(
            rows, ("opened_at", "first_response_at"), ("opened_at", "resolved_at"), ("opened_at", "closed_at")
        )
        rows = resolve_asker(alive(rows), run)
        source = ticket_source(run)
        plain = [name for name in _PLAIN if name in run.mapped]
        for row in rows:
            if not row.values.get("status"):
                row.values["status"] = (
                    Ticket.Status.CLOSED
                    if row.values.get("closed_at")
                    else Ticket.Status.RESOLVED
                    if row.values.get("resolved_at")
                    else Ticket.Status.OPEN
                )
        stored = store(
            Ticket,
            rows,
            key_of=lambda row: row.values["external_id"],
            existing=tickets_by_id({row.values["external_id"] for row in rows}, source),
            wanted_of=lambda row: {
                **_ticket_values(row, run, sorted({*plain, "status"})),
                "opened_at": row.values["opened_at"],
            },
            identity_of=lambda row: {
                "source": source,
                "external_id": row.values["external_id"],
                "recorded_at": run.now,
            },
        )
        self._store_events(rows, stored.by_key, run)

    @staticmethod
    def _store_events(rows: list[Parsed], tickets: dict[Any, Any], run: Run) -> None:
        pks = {tickets[row.values["external_id"]].pk for row in rows}
        known: dict[int, list[TicketEvent]] = defaultdict(list)
        for event in TicketEvent.objects.filter(ticket__in=pks).order_by("happened_at", "pk"):
            known[event.ticket_id].append(event)
        new: list[TicketEvent] = []
        changed: set[int] = set()
        for row in rows:
            ticket = tickets[row.values["external_id"]]
            before = known[ticket.pk]
            have = {(event.kind, event.happened_at) for event in before}
            count = dict.fromkeys(_EventKind.values, 0)
            for event in before:
                count[event.kind] += 1
            for kind, moment, is_estimated in _events_of(row, count, before, run):
                if (kind, moment) not in have:
                    have.add((kind, moment))
                    event = TicketEvent(
                        ticket=ticket,
                        kind=kind,
                        happened_at=moment,
                        recorded_at=run.now,
                        status=ticket.source_status,
                        agent=ticket.agent,
                        is_estimated=is_estimated,
                    )
                    before.append(event)
                    new.append(event)
                    changed.add(ticket.pk)
                    if row.outcome == "unchanged":
                        row.outcome = "updated"
            if row.outcome != "unchanged":
                changed.add(ticket.pk)
                if ticket.account_id:
                    run.touched.add(ticket.account_id)
        insert_rows(TicketEvent, new)
        handling.refresh(changed)


def _events_of(
    row: Parsed, count: dict[str, int], before: list[TicketEvent], run: Run
) -> list[tuple[str, datetime, bool]]:
    """Return what a ticket's row says has happened: kind, moment, and whether that is estimated.

    How often it was reopened is known, but not when: the resolutions that did not last are
    put just before the one that did, so that received, reopened and resolved still balance.
    """
    values = row.values
    opened_at: datetime = values["opened_at"]
    resolved_at: datetime | None = values.get("resolved_at")
    closed_at: datetime | None = values.get("closed_at")
    ended_at = resolved_at or closed_at
    events: list[tuple[str, datetime, bool]] = []
    if not count[_EventKind.OPENED]:
        events.append((_EventKind.OPENED, opened_at, False))
    if values.get("first_response_at"):
        events.append((_EventKind.REPLIED, values["first_response_at"], False))
    for number in range(count[_EventKind.REASSIGNED], min(values.get("reassignment_count") or 0, 1000)):
        events.append((_EventKind.REASSIGNED, opened_at + number * JUST_BEFORE, True))

    resolved = [event.happened_at for event in before if event.kind == _EventKind.RESOLVED]
    is_open = count[_EventKind.RESOLVED] <= count[_EventKind.REOPENED]
    if resolved_at in resolved:
        is_open = True  # its last resolution is told below, and known
    comes_back = not is_open and (
        resolved_at > max(resolved) if resolved_at else not closed_at and values.get("status") not in _DONE
    )
    missing = min(values.get("reopen_count") or 0, 1000) - count[_EventKind.REOPENED]
    missing = max(missing, int(comes_back))
    base = ended_at or (opened_at + 2 * missing * JUST_BEFORE if is_open else run.now)
    for number in range(missing, 0, -1):
        moment = base - 2 * number * JUST_BEFORE
        if is_open:
            events.append((_EventKind.RESOLVED, moment, True))
        events.append((_EventKind.REOPENED, moment + JUST_BEFORE, True))
        is_open = True
    if resolved_at:
        events.append((_EventKind.RESOLVED, resolved_at, False))
    elif closed_at and is_open:
        events.append((_EventKind.RESOLVED, closed_at, True))
    if closed_at:
        events.append((_EventKind.CLOSED, closed_at, False))
    return events


@dataclass
class _Story:
    """The events of one ticket, as its rows tell them one after the other."""

    known: list[TicketEvent]
    status: str = ""
    is_done: bool = False
    is_closed: bool = False
    reassigned: int = 0
    told: set[tuple[str, datetime]] = field(default_factory=set)

    def begin(self, first_at: datetime) -> None:
        """Take up what was known before the first of the new rows."""
        for event in self.known:
            # Resolved and reopened are moments of the ticket, whatever the status was called.
            self.told.add(
                (event.kind, event.happened_at)
                if event.kind != _EventKind.STATUS
                else ("", event.happened_at)
            )
            if event.happened_at >= first_at:
                continue
            match event.kind:
                case _EventKind.STATUS:
                    self.status = event.status
                case _EventKind.RESOLVED:
                    self.is_done = True
                case _EventKind.CLOSED:
                    self.is_done = self.is_closed = True
                case _EventKind.REOPENED:
                    self.is_done = self.is_closed = False
                case _EventKind.REASSIGNED:
                    self.reassigned += 1


class TicketEvents(Kind):
    slug = "ticket-events"
    label = "Ticket events"
    about = (
        "The log of a helpdesk: one row for each event, or for each update of a ticket with its state "
        "at that time. Rows of one ticket stand together, oldest first."
    )
    creates = ("accounts", "contacts")
    fields = (
        Field(
            name="ticket",
            label="Ticket id",
            max_length=200,
            is_required=True,
            synonyms=("ticket id", "number", "id", "case", "key", "incident"),
        ),
        Field(
            name="happened_at",
            label="When",
            type="moment",
            is_required=True,
            synonyms=("updated at", "at", "when", "timestamp", "date", "sys updated at"),
        ),
        Field(
            name="kind",
            label="Kind of event",
            type="choice",
            choices=tuple(TicketEvent.Kind.choices),
            help="Where each row is one event. Without it, events follow from how the state changes.",
            synonyms=("event", "event type", "action"),
        ),
        *_ABOUT_THE_TICKET,
        Field(name="opened_at", label="Opened", type="moment", synonyms=("created at", "created")),
        Field(
            name="resolved_at",
            label="Resolved",
            type="moment",
            help="When the ticket was resolved for good, where the helpdesk says so on each row.",
            synonyms=("solved at",),
        ),
        Field(name="closed_at", label="Closed", type="moment", synonyms=("closed",)),
        Field(
            name="reassignment_count",
            label="Times reassigned so far",
            type="integer",
            low="0",
            synonyms=("reassignments",),
        ),
    )
    check_ticket_source = staticmethod(check_ticket_source)

    def check_mapping(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        if not {"kind", "status"} & set(document.get("fields", {})):
            return [("fields", "Either the kind of each event or the ticket's status is needed.")]
        return []

    def group_of(self, values: dict[str, Any]) -> Hashable:
        return values.get("ticket")

    def apply(self, rows: list[Parsed], run: Run) -> None:
        rows = resolve_asker(rows, run)
        source = ticket_source(run)
        by_ticket: dict[str, list[Parsed]] = defaultdict(list)
        for row in rows:
            by_ticket[row.values["ticket"]].append(row)
        tickets = self._store_tickets(by_ticket, source, run)
        known: dict[int, list[TicketEvent]] = defaultdict(list)
        pks = [ticket.pk for ticket in tickets.values()]
        for event in TicketEvent.objects.filter(ticket__in=pks).order_by("happened_at", "pk"):
            known[event.ticket_id].append(event)
        new: list[TicketEvent] = []
        changed: set[int] = set()
        for key, told in by_ticket.items():
            ticket = tickets[key]
            story = _Story(known[ticket.pk])
            story.begin(min(row.values["happened_at"] for row in told))
            tell = self._events if "kind" in run.mapped else self._updates
            before = len(new)
            tell(ticket, told, story, new, run)
            if len(new) > before:
                changed.add(ticket.pk)
        insert_rows(TicketEvent, new)
        run.made["ticket events"] += len(new)
        changed.update(tickets[row.values["ticket"]].pk for row in rows if row.outcome != "unchanged")
        handling.refresh(changed)
        run.touched.update(t.account_id for t in tickets.values() if t.pk in changed and t.account_id)

    @staticmethod
    def _store_tickets(
        by_ticket: dict[str, list[Parsed]], source: TicketSource, run: Run
    ) -> dict[str, Ticket]:
        """Create tickets we do not know; bring those we know to what their last row says."""
        plain = [name for name in _PLAIN if name in run.mapped]
        known = tickets_by_id(set(by_ticket), source)
        moments = TicketEvent.objects.filter(ticket__in=[one.pk for one in known.values()])
        newest = dict(moments.order_by("happened_at").values_list("ticket_id", "happened_at"))
        new: list[Ticket] = []
        changed: list[Ticket] = []
        found: dict[str, Ticket] = {}
        for key, rows in by_ticket.items():
            last = rows[-1]
            wanted = _ticket_values(last, run, plain)
            ticket: Ticket | None = known.get(key)
            for row in rows:
                row.outcome = "unchanged"
            if ticket is None:
                opened_at = last.values.get("opened_at") or rows[0].values["happened_at"]
                ticket = Ticket(
                    source=source, external_id=key, opened_at=opened_at, recorded_at=run.now, **wanted
                )
                new.append(ticket)
                rows[0].outcome = "created"
            elif last.values["happened_at"] >= newest.get(ticket.pk, ticket.opened_at):
                different = {name: value for name, value in wanted.items() if getattr(ticket, name) != value}
                if different:
                    for name, value in different.items():
                        setattr(ticket, name, value)
                    changed.append(ticket)
                    last.outcome = "updated"
            found[key] = ticket
        insert_rows(Ticket, new)
        run.made["tickets"] += len(new)
        update_rows(changed, [*plain, "account", "contact"])
        return found

    @staticmethod
    def _events(ticket: Ticket, rows: list[Parsed], story: _Story, new: list[TicketEvent], run: Run) -> None:
        """Each row is one event."""
        known = {(one.kind, one.happened_at, one.status, one.agent) for one in story.known}
        kinds = {one.kind for one in story.known} | {row.values["kind"] for row in rows}
        if _EventKind.OPENED not in kinds:
            new.append(
                TicketEvent(
                    ticket=ticket, kind=_EventKind.OPENED, happened_at=ticket.opened_at, recorded_at=run.now
                )
            )
        for row in rows:
            values = row.values
            if not values.get("kind"):
                row.reject("kind", "is empty and must not be.")
                continue
            status = values.get("source_status") or values.get("status") or ""
            key = (values["kind"], values["happened_at"], status, values.get("agent") or "")
            if key in known:
                continue
            known.add(key)
            row.outcome = row.outcome if row.outcome == "updated" else "created"
            new.append(
                TicketEvent(
                    ticket=ticket,
                    kind=key[0],
                    happened_at=key[1],
                    status=status,
                    agent=key[3],
                    recorded_at=run.now,
                )
            )

    @staticmethod
    def _updates(ticket: Ticket, rows: list[Parsed], story: _Story, new: list[TicketEvent], run: Run) -> None:
        """Each row is the ticket's state at a time; events are what changed between rows.

        Where the helpdesk states when the ticket was resolved for good, that moment is taken
        for its last resolution. Where it says it does not know, the moment we first see the
        ticket resolved stands in, marked as estimated.
        """
        last_open = max(
            (at for at, row in enumerate(rows) if row.values.get("status") not in _DONE), default=-1
        )
        states_resolution = "resolved_at" in run.mapped

        def tell(
            row: Parsed, kind: str, moment: datetime, key: str | None = None, is_estimated: bool = False
        ) -> None:
            if ((kind if key is None else key), moment) in story.told:
                return
            story.told.add((kind if key is None else key, moment))
            new.append(
                TicketEvent(
                    ticket=ticket,
                    kind=kind,
                    happened_at=moment,
                    recorded_at=run.now,
                    status=row.values.get("source_status") or row.values.get("status") or "",
                    agent=row.values.get("agent") or "",
                    is_estimated=is_estimated,
                )
            )
            row.outcome = row.outcome if row.outcome == "updated" else "created"

        if not any(event.kind == _EventKind.OPENED for event in story.known):
            tell(rows[0], _EventKind.OPENED, ticket.opened_at)
        statuses = {
            (event.happened_at, event.status) for event in story.known if event.kind == _EventKind.STATUS
        }
        for at, row in enumerate(rows):
            values = row.values
            moment = max(values["happened_at"], ticket.opened_at)  # minutes may round the opening up
            status = values.get("status") or story.status
            name = values.get("source_status") or status
            is_last = at > last_open
            if name != story.status:
                story.status = name
                if (moment, name) not in statuses:
                    statuses.add((moment, name))
                    tell(row, _EventKind.STATUS, moment, key=f"status {name}")
            if (count := values.get("reassignment_count") or 0) > story.reassigned:
                story.reassigned = count
                tell(row, _EventKind.REASSIGNED, moment)
            if status in _DONE and not story.is_done:
                story.is_done = True
                stated = values.get("resolved_at") if is_last else None
                tell(
                    row,
                    _EventKind.RESOLVED,
                    stated or moment,
                    is_estimated=is_last and states_resolution and stated is None,
                )
            elif status not in _DONE and story.is_done:
                story.is_done = story.is_closed = False
                tell(row, _EventKind.REOPENED, moment)
            if status == Ticket.Status.CLOSED and not story.is_closed:
                story.is_closed = True
                tell(row, _EventKind.CLOSED, (values.get("closed_at") if is_last else None) or moment)


class Messages(Kind):
    slug = "messages"
    label = "Ticket messages"
    about = "One row for each message of a ticket."
    fields = (
        Field(
            name="ticket",
            label="Ticket id",
            max_length=200,
            is_required=True,
            synonyms=("ticket id", "case", "conversation id"),
        ),
        Field(
            name="external_id",
            label="Message id",
            max_length=200,
            synonyms=("id", "message id", "comment id"),
        ),
        Field(
            name="author",
            label="Written by",
            type="choice",
            is_required=True,
            choices=tuple(Message.Author.choices),
            synonyms=("author type", "from", "role", "sender"),
        ),
        Field(
            name="sent_at",
            label="Sent",
            type="moment",
            is_required=True,
            synonyms=("created at", "date", "at", "timestamp"),
        ),
        Field(name="is_public", label="Public", type="boolean", synonyms=("public",)),
        Field(name="is_thanks", label="Only thanks", type="boolean"),
        Field(
            name="body", label="Text", max_length=100_000, synonyms=("text", "message", "comment", "content")
        ),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        tickets: dict[Any, Any] = {}
        if source := TicketSource.objects.filter(name=run.source).first():
            tickets = tickets_by_id({row.values["ticket"] for row in rows}, source)
        for row in rows:
            ticket = tickets.get(row.values["ticket"])
            if ticket is None:
                row.reject("ticket", f"Ticket “{row.values['ticket']}” of source “{run.source}” is unknown.")
            else:
                row.values["ticket_id"] = ticket.pk
                row.values["external_id"] = row.values.get("external_id") or natural_id(
                    row.values["sent_at"], row.values["author"]
                )
        rows = alive(rows)
        names = [
            name for name in ("author", "sent_at", "is_public", "is_thanks", "body") if name in run.mapped
        ]

        def key(row: Parsed) -> tuple[int, str]:
            return row.values["ticket_id"], row.values["external_id"]

        existing: dict[Hashable, Any] = {
            (one.ticket_id, one.external_id): one
            for one in Message.objects.filter(
                ticket__in={row.values["ticket_id"] for row in rows},
                external_id__in={row.values["external_id"] for row in rows},
            )
        }
        store(
            Message,
            rows,
            key_of=key,
            existing=existing,
            wanted_of=lambda row: attributes(Message, row.values, names),
            identity_of=lambda row: {
                "ticket_id": row.values["ticket_id"],
                "external_id": row.values["external_id"],
                "recorded_at": run.now,
            },
        )
        changed = [row for row in rows if row.outcome != "unchanged"]
        handling.refresh({row.values["ticket_id"] for row in changed})
        run.touched.update(
            account_id for row in changed if (account_id := tickets[row.values["ticket"]].account_id)
        )
