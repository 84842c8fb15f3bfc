"""How long support takes, from a ticket's events to the answer: the worked examples and the edges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from csplatform.periods import Period
from metrics.kpis import Question, ask, rows, series
from metrics.tests.cast import happens, ticket, working_hours
from metrics.tests.test_kpis_examples import APRIL, asked, at, shown
from tickets.models import Ticket

pytestmark = pytest.mark.django_db

MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))


def asked_for_help(number: int, opened: datetime, **fields: object) -> Ticket:
    made = ticket(f"help {number}", opened.date(), **fields)
    Ticket.objects.filter(pk=made.pk).update(opened_at=opened)
    made.events.update(happened_at=opened, recorded_at=opened)
    made.refresh_from_db()
    return made


def monday(hour: float, *, later: float = 0) -> datetime:
    """Return a moment of Monday, 2 March 2026, by the clock in Berlin, or hours after it."""
    return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hour - 1 + later)


def test_d20_a_high_ticket_is_due_by_business_hours_and_judged_on_the_day_it_is_due() -> None:
    working_hours(high=(60, 240))
    in_time = happens(asked_for_help(1, monday(8), priority="high"), ("replied", monday(11)))
    late = happens(asked_for_help(2, monday(8), priority="high"), ("replied", monday(11.5)))
    assert (in_time.response_due_at, in_time.resolution_due_at) == (monday(11), monday(14))
    happens(late, ("resolved", monday(13)))
    happens(asked_for_help(3, monday(17.5), priority="high"))  # due on Tuesday, and waiting
    happens(asked_for_help(4, monday(9), priority="low"), ("replied", monday(9.5)))
    first = asked("in_time_rate", MARCH, variant="response")
    assert (first.figure.numerator, first.figure.denominator) == (1, 3)
    assert first.figure.counts["still_waiting"] == 1
    by_day = ask(
        Question("in_time_rate", Period(date(2026, 3, 2), date(2026, 3, 4)), group_by="day", now=at(12, 1))
    )
    assert [(group.figure.numerator, group.figure.denominator) for group in by_day.groups] == [(1, 2), (0, 1)]
    resolved = asked("in_time_rate", MARCH, variant="resolution")
    assert (resolved.figure.numerator, resolved.figure.denominator) == (1, 3)
    assert resolved.figure.counts["still_waiting"] == 2


def test_a_ticket_is_not_judged_before_it_is_due() -> None:
    working_hours(high=(60, 240))
    happens(asked_for_help(1, monday(8), priority="high"))
    early = ask(Question("in_time_rate", MARCH, variant="response", now=monday(10.5)))
    assert (early.value, early.figure.reason) == (None, "no_tickets_due")
    late = ask(Question("in_time_rate", MARCH, variant="response", now=monday(11.5)))
    assert late.value == 0


def test_the_typical_time_is_the_median_and_business_hours_leave_the_night_out() -> None:
    working_hours()
    for number, hours in enumerate((1, 2, 3, 26)):
        happens(asked_for_help(number, monday(10)), ("replied", monday(10, later=hours)))
    happens(asked_for_help(9, monday(10)))  # nobody answered: it counts nowhere yet
    assert shown(asked("first_response_time", MARCH)) == "2.50"
    assert asked("first_response_time", MARCH).figure.sample_size == 4
    assert shown(asked("first_response_time", MARCH, variant="p90")) == "26.00"
    assert shown(asked("first_response_time", MARCH, variant="business_median")) == "2.50"
    assert shown(asked("first_response_time", MARCH, variant="business_p90")) == "10.00"
    found = rows(asked("first_response_time", MARCH).question)
    assert sorted(row["hours"] for row in found) == [1, 2, 3, 26]


def test_a_duration_counts_in_the_period_in_which_it_ended() -> None:
    made = happens(asked_for_help(1, at(2, 20)), ("resolved", at(3, 2)))
    assert asked("resolution_time").figure.reason == "nothing_resolved"
    assert asked("resolution_time", MARCH).value == 240
    happens(made, ("reopened", at(3, 5)), ("resolved", at(4, 1)))
    assert asked("resolution_time", MARCH).figure.reason == "nothing_resolved"
    assert asked("resolution_time", APRIL).value == 24 * 40


def test_a_resolution_recorded_late_was_not_known_before() -> None:
    happens(asked_for_help(1, at(2, 20)), ("resolved", at(2, 21)), recorded_at=at(3, 5))
    assert asked("resolution_time").value == 24
    then = asked("resolution_time", known_at=at(3, 1))
    assert (then.value, then.figure.reason, then.restated) == (None, "nothing_resolved", True)


def test_an_estimated_moment_counts_as_closed_and_has_no_duration() -> None:
    happens(asked_for_help(1, at(2, 20)), ("replied", at(2, 21)), ("resolved", at(2, 21)), is_estimated=True)
    assert asked("tickets_closed").value == 1
    assert asked("resolution_time").value is None
    assert asked("first_response_time").value is None


def test_of_a_hundred_times_the_interval_of_the_median_is_the_40th_to_the_61st() -> None:
    for number in range(100):
        happens(asked_for_help(number, monday(10)), ("replied", monday(10, later=number + 1)))
    figure = asked("first_response_time", MARCH).figure
    assert (figure.value, figure.interval) == (Decimal("50.5"), (40, 61))


def test_a_ticket_that_came_back_counts_in_the_month_it_was_first_resolved() -> None:
    back = happens(asked_for_help(1, at(2, 2)), ("resolved", at(2, 3)))
    happens(asked_for_help(2, at(2, 2)), ("resolved", at(2, 3)))
    assert shown(asked("reopen_rate")) == "0.00"
    happens(back, ("reopened", at(3, 8)), recorded_at=at(3, 8))
    found = asked("reopen_rate")
    assert (found.figure.numerator, found.figure.denominator) == (1, 2)
    assert asked("reopen_rate", known_at=at(3, 1)).value == 0
    assert asked("reopen_rate", MARCH).value is None


@pytest.mark.parametrize(
    ("zone", "days"),
    [("Europe/Berlin", [28, 29]), ("America/Los_Angeles", [28, 28]), ("UTC", [28, 28])],
)
def test_a_reply_at_the_edge_of_the_day_the_clock_is_moved_counts_on_its_day_here(
    settings, zone, days
) -> None:
    settings.TIME_ZONE = zone
    timezone.get_default_timezone.cache_clear()
    opened = datetime(2026, 3, 28, 20, tzinfo=UTC)
    edges = [datetime(2026, 3, 28, 22, 59, tzinfo=UTC), datetime(2026, 3, 28, 23, tzinfo=UTC)]
    for number, moment in enumerate(edges):
        happens(asked_for_help(number, opened), ("replied", moment))
    answers = series(Question("first_response_time", MARCH, now=at(12, 1)), "day")
    counted = [
        (answer.question.period.start.day, int(answer.figure.numerator or 0))
        for answer in answers
        if answer.figure.numerator
    ]
    assert [day for day, times in counted for _ in range(times)] == days
    # That Sunday has 23 hours: what ends at its end took them, and not 24.
    if zone == "Europe/Berlin":
        last = happens(asked_for_help(9, edges[1]), ("replied", datetime(2026, 3, 29, 21, 59, tzinfo=UTC)))
        assert last.response_seconds == 23 * 3600 - 60
        day = Period(date(2026, 3, 29), date(2026, 3, 30))
        assert asked("first_response_time", day).figure.numerator == 2
