from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Account, Contact
from team.work import Work, run_due
from tickets import calendar, handling
from tickets.calendar import Closed
from tickets.handling import refresh
from tickets.models import BusinessCalendar, Message, Ticket, TicketEvent, TicketSource
from tickets.verifying import differences

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


# --- How long it took -----------------------------------------------------------------


def in_berlin(**targets) -> None:
    calendar.store(
        time_zone="Europe/Berlin",
        week=[[(10 * 60, 18 * 60)]] * 5 + [[], []],
        closed=[],
        targets=targets,
        at=MONDAY,
    )


def test_durations_run_from_the_opening_to_the_event_whatever_is_edited_later(contact):
    in_berlin()
    ticket = make_ticket(contact)  # Monday, 10:00 in Berlin
    happens(ticket, "replied", hours(1.5))
    happens(ticket, "resolved", hours(26))
    judged(ticket)
    ticket.subject = "A typo less"
    ticket.save()
    assert (judged(ticket).response_seconds, ticket.resolution_seconds) == (1.5 * 3600, 26 * 3600)
    assert (ticket.response_business_seconds, ticket.resolution_business_seconds) == (1.5 * 3600, 10 * 3600)


def test_what_has_not_happened_has_no_duration(contact):
    ticket = make_ticket(contact)
    judged(ticket)
    assert (ticket.response_seconds, ticket.response_business_seconds) == (None, None)
    assert (ticket.resolution_seconds, ticket.resolution_business_seconds) == (None, None)


def test_a_ticket_that_came_back_takes_until_it_is_resolved_again(contact):
    ticket = make_ticket(contact)
    happens(ticket, "resolved", hours(2))
    assert judged(ticket).resolution_seconds == 2 * 3600
    happens(ticket, "reopened", hours(5))
    assert judged(ticket).resolution_seconds is None
    happens(ticket, "resolved", hours(9))
    happens(ticket, "closed", hours(90))
    assert judged(ticket).resolution_seconds == 9 * 3600


def test_an_estimated_moment_gives_no_duration(contact):
    ticket = make_ticket(contact)
    for kind in ("replied", "resolved"):
        TicketEvent.objects.create(ticket=ticket, kind=kind, happened_at=hours(3), is_estimated=True)
    happens(ticket, "closed", hours(4))
    judged(ticket)
    assert (ticket.first_response_at, ticket.resolved_at) == (hours(3), hours(3))
    assert (ticket.response_seconds, ticket.resolution_seconds) == (None, None)
    assert (ticket.response_business_seconds, ticket.resolution_business_seconds) == (None, None)


def test_the_first_reply_is_the_earliest_however_late_it_is_reported(contact):
    ticket = make_ticket(contact)
    says(ticket, "agent", hours(4))
    assert judged(ticket).response_seconds == 4 * 3600
    says(ticket, "agent", hours(1))
    assert judged(ticket).response_seconds == 3600


def test_a_ticket_is_due_by_the_target_of_its_priority(contact):
    in_berlin(high=(60, 240), urgent=(30, None))
    ticket = make_ticket(contact, opened_at=datetime(2026, 3, 2, 7, tzinfo=UTC))  # 8:00 in Berlin
    assert (judged(ticket).response_due_at, ticket.resolution_due_at) == (None, None)
    Ticket.objects.filter(pk=ticket.pk).update(priority="high")
    judged(ticket)
    assert ticket.response_due_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert ticket.resolution_due_at == datetime(2026, 3, 2, 13, tzinfo=UTC)
    Ticket.objects.filter(pk=ticket.pk).update(priority="urgent")
    assert judged(ticket).response_due_at == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert ticket.resolution_due_at is None


# --- A changed calendar ---------------------------------------------------------------


def test_a_changed_calendar_has_all_tickets_measured_by_a_worker(contact):
    in_berlin(high=(60, 240))
    ticket = make_ticket(contact)
    Ticket.objects.update(priority="high")
    happens(ticket, "replied", hours(24))
    assert judged(ticket).response_business_seconds == 8 * 3600
    row = calendar.change(
        time_zone="UTC",
        week=[[(8 * 60, 20 * 60)]] * 7,
        closed=[Closed(date(2026, 3, 2), "A holiday")],
        targets={"high": (120, None)},
        at=hours(30),
    )
    ticket.refresh_from_db()
    assert ticket.response_business_seconds == 8 * 3600
    assert row.applied_at is None
    run_due("slow")
    ticket.refresh_from_db()
    row.refresh_from_db()
    assert ticket.response_business_seconds == 3600
    assert ticket.response_due_at == datetime(2026, 3, 3, 10, tzinfo=UTC)
    assert ticket.resolution_due_at is None
    assert row.applied_at is not None
    assert list(differences()) == []


def test_changing_it_twice_before_the_worker_comes_is_one_pass(contact):
    make_ticket(contact)
    for at in (hours(1), hours(2)):
        calendar.change(time_zone="", week=calendar.USUAL_WEEK, closed=[], targets={}, at=at)
    assert Work.objects.filter(kind="tickets.measure", state="queued").count() == 1


def test_a_pass_over_an_older_calendar_does_not_say_the_newer_one_is_applied(contact, monkeypatch):
    make_ticket(contact)
    in_berlin()
    refresh_batch = handling._refresh_batch

    def changed_meanwhile(ids):
        refresh_batch(ids)
        BusinessCalendar.objects.update(changed_at=hours(5))

    monkeypatch.setattr(handling, "_refresh_batch", changed_meanwhile)
    handling.measure_all(hours(6))
    assert BusinessCalendar.objects.get().applied_at is None


def test_without_a_calendar_support_works_on_weekdays_from_nine_to_five(contact):
    ticket = make_ticket(contact)  # Monday, 9:00
    happens(ticket, "replied", hours(24))
    assert judged(ticket).response_business_seconds == 8 * 3600


@pytest.mark.parametrize(
    "broken",
    [
        lambda row: BusinessCalendar.objects.create(pk=2),
        lambda row: row.opening_hours.create(weekday=7, opens_at=time(9), closes_at=time(17)),
        lambda row: row.opening_hours.create(weekday=5, opens_at=time(17), closes_at=time(9)),
        lambda row: row.targets.create(priority="high", response_minutes=0),
        lambda row: row.targets.create(priority="mild", response_minutes=5),
    ],
)
def test_the_database_refuses_a_calendar_that_cannot_be(broken, db):
    in_berlin()
    with pytest.raises(IntegrityError), transaction.atomic():
        broken(BusinessCalendar.objects.get())
