from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import Account, Contact
from tickets.handling import refresh
from tickets.models import Message, Ticket, TicketEvent, TicketSource

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def hours(count: float) -> datetime:
    return MONDAY + timedelta(hours=count)


@pytest.fixture
def contact() -> Contact:
    return Contact.objects.create(account=Account.objects.create(name="Acme"), name="Bob")


def make_ticket(
    contact: Contact, number: int = 1, opened_at: datetime = MONDAY, rule: str = "replies"
) -> Ticket:
    source, _ = TicketSource.objects.get_or_create(name="desk", defaults={"fcr_rule": rule})
    ticket = Ticket.objects.create(
        source=source,
        external_id=str(number),
        contact=contact,
        account=contact.account,
        category="login",
        opened_at=opened_at,
    )
    happens(ticket, "opened", opened_at)
    says(ticket, "customer", opened_at)
    return ticket


def happens(ticket: Ticket, kind: str, moment: datetime) -> None:
    TicketEvent.objects.create(ticket=ticket, kind=kind, happened_at=moment)


def says(ticket: Ticket, author: str, moment: datetime, **fields: bool) -> None:
    Message.objects.create(ticket=ticket, author=author, sent_at=moment, **fields)


def judged(ticket: Ticket) -> Ticket:
    refresh([ticket.pk])
    ticket.refresh_from_db()
    return ticket


def test_one_reply_and_a_resolution_is_first_contact(contact):
    ticket = make_ticket(contact)
    says(ticket, "agent", hours(1))
    happens(ticket, "resolved", hours(2))
    assert judged(ticket).is_first_contact
    assert (ticket.first_response_at, ticket.resolved_at) == (hours(1), hours(2))
    assert ticket.settles_at == hours(2) + timedelta(days=7)


def test_a_second_reply_is_not_first_contact(contact):
    ticket = make_ticket(contact)
    says(ticket, "agent", hours(1))
    says(ticket, "agent", hours(2))
    happens(ticket, "resolved", hours(3))
    assert not judged(ticket).is_first_contact


def test_an_internal_note_is_no_reply(contact):
    ticket = make_ticket(contact)
    says(ticket, "agent", hours(1), is_public=False)
    says(ticket, "agent", hours(2))
    happens(ticket, "resolved", hours(3))
    assert judged(ticket).is_first_contact


def test_thanks_afterwards_do_not_spoil_first_contact(contact):
    ticket = make_ticket(contact)
    says(ticket, "agent", hours(1))
    happens(ticket, "resolved", hours(2))
    says(ticket, "customer", hours(3), is_thanks=True)
    assert judged(ticket).is_first_contact


def test_a_reopened_ticket_is_open_again_and_not_first_contact(contact):
    ticket = make_ticket(contact)
    happens(ticket, "resolved", hours(2))
    happens(ticket, "reopened", hours(5))
    assert not judged(ticket).is_first_contact
    assert (ticket.resolved_at, ticket.first_resolved_at, ticket.reopen_count) == (None, hours(2), 1)


def test_the_same_question_within_a_week_takes_first_contact_back(contact):
    first = make_ticket(contact, 1)
    happens(first, "resolved", hours(2))
    assert judged(first).is_first_contact
    again = make_ticket(contact, 2, opened_at=hours(48))
    refresh([again.pk])
    first.refresh_from_db()
    assert not first.is_first_contact


def test_the_same_question_after_the_week_changes_nothing(contact):
    first = make_ticket(contact, 1)
    happens(first, "resolved", hours(2))
    again = make_ticket(contact, 2, opened_at=hours(2 + 24 * 7 + 1))
    refresh([first.pk, again.pk])
    first.refresh_from_db()
    assert first.is_first_contact


def test_a_desk_without_messages_judges_by_assignment_and_reopening(contact):
    ticket = make_ticket(contact, rule="no_reassignment_no_reopen")
    says(ticket, "agent", hours(1))
    says(ticket, "agent", hours(2))
    happens(ticket, "resolved", hours(3))
    assert judged(ticket).is_first_contact
    happens(ticket, "reassigned", hours(1))
    assert not judged(ticket).is_first_contact
