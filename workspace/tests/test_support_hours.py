"""The page on which admins say when support works: what it takes, refuses, shows and starts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django import forms
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import FactChange
from csplatform.periods import Period
from metrics.kpis import Question, ask
from playbooks.tests.cast import World
from team.models import User
from team.work import Work, run_due
from tickets import calendar
from tickets.calculations import BusinessHours
from tickets.handling import refresh
from tickets.models import Ticket, TicketEvent, TicketSource
from workspace.support_hours import (
    SupportHoursForm,
    closed_in_words,
    effects,
    read_closed,
    read_spans,
    spans_in_words,
)

pytestmark = pytest.mark.django_db
PAGE = reverse("workspace:support-hours")
D20 = {
    "time_zone": "Europe/Berlin",
    **{f"day_{day}": "10:00–18:00" for day in range(5)},
    "closed": "2026-04-03 Good Friday\n12-25 Christmas Day",
    "response_high": "1",
    "resolution_high": "4",
    "resolution_low": "20",
}


@pytest.fixture
def admin(world: World) -> Client:
    client = Client()
    client.force_login(world.admin)
    return client


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", []),
        ("10:00–18:00", [(600, 1080)]),
        ("9-12, 13:30 - 17", [(540, 720), (810, 1020)]),
        ("13-17,9-12", [(540, 720), (780, 1020)]),
        ("0–24", [(0, 1440)]),
    ],
)
def test_hours_are_read_as_people_write_them(text, spans):
    assert read_spans(text) == spans
    assert read_spans(spans_in_words(spans)) == spans


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ten to six", "not a time"),
        ("10–", "not a time"),
        ("18–10", "ends before"),
        ("10–10", "ends before"),
        ("10:75–18", "60 minutes"),
        ("10–25", "24 hours"),
        ("9–13, 12–17", "overlap"),
    ],
)
def test_hours_that_cannot_be_are_refused_with_a_sentence(text, problem):
    with pytest.raises(forms.ValidationError, match=problem):
        read_spans(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Christmas", "Line 1: begin with a day"),
        ("2026-12-25\n2026-02-30 Never", "Line 2: the calendar has no such day"),
        ("13-01 x", "Line 1: the calendar has no such day"),
        ("12-25 one\n12-25 other", "Line 2: that day stands there twice"),
        ("1850-01-01", "Line 1: choose a day from 1900"),
    ],
)
def test_holidays_that_cannot_be_name_their_line(text, problem):
    with pytest.raises(forms.ValidationError, match=problem):
        read_closed(text)


def test_29_february_can_be_a_holiday_of_every_year():
    (closed,) = read_closed("02-29 Leap day")
    assert (closed.day.month, closed.day.day, closed.is_yearly) == (2, 29, True)
    assert closed_in_words([closed]) == "02-29 Leap day"


def test_saving_measures_the_tickets_there_are(admin):
    source = TicketSource.objects.create(name="desk")
    opened = datetime(2026, 3, 2, 7, tzinfo=UTC)
    ticket = Ticket.objects.create(source=source, external_id="1", priority="high", opened_at=opened)
    TicketEvent.objects.create(
        ticket=ticket, kind="replied", happened_at=datetime(2026, 3, 2, 10, tzinfo=UTC)
    )
    refresh([ticket.pk])
    assert admin.post(PAGE, D20).status_code == 302
    assert "Being applied" in admin.get(PAGE).content.decode()
    assert Work.objects.filter(kind="tickets.measure", state="queued").count() == 1
    run_due("slow")
    ticket.refresh_from_db()
    assert ticket.response_due_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert ticket.response_business_seconds == 3600
    assert "Being applied" not in admin.get(PAGE).content.decode()


def test_what_was_saved_stands_in_the_form_again(admin):
    admin.post(PAGE, D20)
    text = admin.get(PAGE).content.decode()
    for words in (
        'value="10:00–18:00"',
        "12-25 Christmas Day\n2026-04-03 Good Friday",
        'value="4"',
        'value="20"',
    ):
        assert words in text
    before = calendar.current()
    admin.post(PAGE, {**D20, "closed": "12-25 Christmas Day\n2026-04-03 Good Friday"})
    assert calendar.current() == before
    assert date(2026, 4, 3) in before.hours.closed_on


def test_a_preview_says_when_tickets_would_be_due_and_stores_nothing(admin):
    response = admin.post(PAGE, {**D20, "preview": "1"}, headers={"HX-Request": "true"})
    text = response.content.decode()
    assert "<html" not in text
    # It is Wednesday, 17 June 2026: the next Monday at 8, and the Friday after it at 16:30.
    for words in (
        "Mon 22 Jun, 08:00",
        "Mon 22 Jun, 11:00",
        "Mon 22 Jun, 14:00",
        "Fri 26 Jun, 17:30",
        "Mon 29 Jun, 12:30",
    ):
        assert words in text
    assert calendar.stored() is None


def answered_in_may(number: int, opened_at: datetime, answered_at: datetime) -> Ticket:
    """Have a ticket answered in the last full month: it is June."""
    source, _ = TicketSource.objects.get_or_create(name="desk")
    ticket = Ticket.objects.create(source=source, external_id=str(number), opened_at=opened_at)
    TicketEvent.objects.create(ticket=ticket, kind="replied", happened_at=answered_at)
    refresh([ticket.pk])
    return ticket


def test_a_preview_says_what_the_hours_would_make_of_the_last_full_month(admin):
    # Monday, 4 May 2026, until one is open from 9 to 17; the other is answered on the Saturday after.
    answered_in_may(1, datetime(2026, 5, 4, 8, tzinfo=UTC), datetime(2026, 5, 4, 11, tzinfo=UTC))
    answered_in_may(2, datetime(2026, 5, 8, 16, tzinfo=UTC), datetime(2026, 5, 9, 12, tzinfo=UTC))
    answered_in_may(3, datetime(2026, 4, 30, 9, tzinfo=UTC), datetime(2026, 4, 30, 10, tzinfo=UTC))
    hours = calendar.Calendar(
        BusinessHours("UTC", [((9 * 60, 17 * 60),)] * 6 + [()], frozenset({date(2026, 5, 4)}))
    )
    response, resolution = effects(hours, date(2026, 6, 17))
    # By the usual week 2 hours and 1; with a free Monday none, and with a working Saturday 4.
    assert (response.before, response.after) == (Decimal("1.5"), Decimal(2))
    assert (response.tickets, response.changed) == (2, 2)
    assert (resolution.before, resolution.tickets, resolution.reason) == (None, 0, "nothing_resolved")
    assert calendar.stored() is None


def test_what_the_preview_says_is_what_the_number_becomes(admin):
    answered_in_may(1, datetime(2026, 5, 8, 15, tzinfo=UTC), datetime(2026, 5, 11, 10, tzinfo=UTC))
    may = Period(date(2026, 5, 1), date(2026, 6, 1))

    def said() -> Decimal | None:
        return ask(Question("first_response_time", may, variant="business_median")).value

    (effect, _) = effects(calendar.current(), date(2026, 6, 17))
    assert said() == effect.before == effect.after
    given = {**D20, "time_zone": "UTC", "day_5": "10–18"}
    form = SupportHoursForm(given)
    assert form.is_valid()
    (effect, _) = effects(form.calendar(), date(2026, 6, 17))
    assert effect.after == Decimal(11) != effect.before
    admin.post(PAGE, given)
    run_due("slow")
    assert said() == effect.after


def test_stored_figures_of_the_month_become_stale_when_the_hours_change(admin):
    answered_in_may(1, datetime(2026, 5, 8, 15, tzinfo=UTC), datetime(2026, 5, 11, 10, tzinfo=UTC))
    FactChange.objects.all().delete()
    admin.post(PAGE, {**D20, "day_5": "10–18"})
    run_due("slow")
    changed = FactChange.objects.filter(source=Ticket._meta.db_table)
    assert changed.filter(first_on__lte=date(2026, 5, 11), last_on__gte=date(2026, 5, 11)).exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"day_0": "18–10"}, "ends before it begins"),
        ({f"day_{day}": "" for day in range(5)}, "Support works at no time"),
        ({"time_zone": "Mars/Olympus"}, "Select a valid choice"),
        ({"response_high": "0"}, "greater than or equal to 0.02"),
        ({"response_high": "-1"}, "greater than or equal to 0.02"),
        ({"response_high": "NaN"}, "Enter a number"),
        ({"response_high": "9", "resolution_high": "4"}, "cannot be resolved before"),
        ({"closed": "2026-02-30"}, "no such day"),
        ({"closed": "x\x00"}, "Null characters"),
    ],
)
def test_what_cannot_be_is_refused_and_stores_nothing(admin, changes, sentence):
    response = admin.post(PAGE, {**D20, **changes})
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert calendar.stored() is None


@pytest.mark.parametrize("role", [User.Role.MANAGER, User.Role.CSM, User.Role.VIEWER])
def test_only_admins_set_them(world, role):
    client = Client()
    client.force_login(
        User.objects.filter(role=role).first()
        or User.objects.create_user("v@example.com", name="V", role=role)
    )
    assert client.get(PAGE).status_code == client.post(PAGE, D20).status_code == 403
    assert calendar.stored() is None


def test_the_page_takes_few_queries(admin):
    admin.post(PAGE, D20)
    with CaptureQueriesContext(connection) as queries:
        admin.get(PAGE)
    assert len(queries) <= 20
