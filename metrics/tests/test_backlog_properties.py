"""The ticket backlog, for any histories: whatever was reported, in whichever order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from csplatform.periods import Period
from metrics.kpis import Filters, Question, ask, ask_many, series
from tickets import handling
from tickets.models import Ticket, TicketEvent, TicketSource

pytestmark = pytest.mark.django_db

FIRST = date(2026, 3, 26)
DAYS = 6  # with the Sunday on which the clock is moved
WEEK = Period(FIRST, FIRST + timedelta(days=DAYS))
NOW = datetime(2026, 6, 1, tzinfo=UTC)

# A ticket: half-days after the first day's beginning, and what happened then.
Event = tuple[int, str]
History = tuple[int, list[Event], str]

kinds = st.sampled_from(["resolved", "closed", "reopened", "merged", "replied", "status"])
histories: st.SearchStrategy[History] = st.tuples(
    st.integers(0, 2 * DAYS - 1),
    st.lists(st.tuples(st.integers(0, 2 * DAYS), kinds), max_size=6),
    st.sampled_from(["", "", "", "spam"]),
)


def moment(half_day: int, number: int = 0) -> datetime:
    start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    return start + timedelta(hours=12 * half_day, minutes=number)


def tell(histories: list[History], *, backwards: bool = False) -> None:
    """Report these histories; the order in which their events are recorded must not matter."""
    source = TicketSource.objects.create(name="desk")
    for number, (opened, events, exclusion) in enumerate(histories):
        ticket = Ticket.objects.create(
            source=source,
            external_id=str(number),
            opened_at=moment(opened),
            recorded_at=moment(opened),
            exclusion=exclusion,
            agent="Kim" if number % 2 else "Lou",
        )
        told = [("opened", moment(opened))]
        told += [(kind, moment(opened + later, at + 1)) for at, (later, kind) in enumerate(events)]
        for kind, happened_at in reversed(told) if backwards else told:
            TicketEvent.objects.create(
                ticket=ticket, kind=kind, happened_at=happened_at, recorded_at=happened_at
            )
        if backwards:
            handling.refresh([ticket.pk])
    handling.refresh(Ticket.objects.values_list("pk", flat=True))


def waiting(histories: list[History], until: datetime) -> int:
    """Count what waits at a moment by playing each history through."""
    count = 0
    for opened, events, exclusion in histories:
        told = sorted((moment(opened + later, at + 1), kind) for at, (later, kind) in enumerate(events))
        is_waiting = moment(opened) < until
        for happened_at, kind in told:
            if happened_at < until and kind in ("resolved", "closed", "merged"):
                is_waiting = False
            elif happened_at < until and kind == "reopened":
                is_waiting = True
        count += is_waiting and not exclusion
    return count


@contextmanager
def undone() -> Iterator[None]:
    """Take back what an example has stored."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def over_any_histories(examples: int):
    def decorate(test):
        slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
        test = given(st.lists(histories, max_size=4))(test)
        # Merged and then closed; resolved before it came back; closed a second time.
        test = example([(0, [(1, "merged"), (3, "resolved")], "")])(test)
        test = example([(0, [(2, "resolved"), (4, "reopened"), (4, "reopened"), (6, "closed")], "")])(test)
        test = example([(0, [(2, "closed"), (2, "resolved"), (5, "closed")], "")])(test)
        return settings(max_examples=examples, deadline=None, suppress_health_check=slow)(test)

    return decorate


@over_any_histories(12)
def test_each_days_backlog_follows_from_the_day_before(histories):
    with undone():
        tell(histories)
        days = series(Question("ticket_backlog", WEEK, now=NOW), "day")
        for before, after in pairwise(days):
            counts = after.figure.counts
            came, went = counts["received"] + counts["reopened"], counts["closed"] + counts["merged"]
            assert counts["opening"] == before.value
            assert after.value == before.value + came - went
        for day in days:
            assert day.value == waiting(histories, day.question.period.ends_at), day.question.period


@over_any_histories(6)
def test_the_days_add_up_to_the_period_and_the_agents_to_all(histories):
    with undone():
        tell(histories)
        whole = ask(Question("ticket_backlog", WEEK, group_by="agent", now=NOW))
        days = [day.figure.counts for day in series(Question("ticket_backlog", WEEK, now=NOW), "day")]
        for name in ("received", "reopened", "closed", "merged"):
            assert sum(counts[name] for counts in days) == whole.figure.counts[name]
            assert sum(group.figure.counts[name] for group in whole.groups) == whole.figure.counts[name]
        closed, backlog = ask_many(
            [
                Question(slug, WEEK, filters=Filters(own=(("agent", "Kim"),)), now=NOW)
                for slug in ("tickets_closed", "ticket_backlog")
            ]
        )
        assert closed.value == backlog.figure.counts["closed"]


@over_any_histories(6)
def test_the_order_in_which_events_are_recorded_changes_nothing(histories):
    found = []
    for backwards in (False, True):
        with undone():
            tell(histories, backwards=backwards)
            questions = [
                Question(slug, WEEK, known_at=known_at, now=NOW)
                for slug in ("ticket_backlog", "tickets_closed", "reopen_rate", "resolution_time")
                for known_at in (None, NOW)
            ]
            found.append([answer.figure for answer in ask_many(questions)])
    assert found[0] == found[1]
    assert found[0][::2] == found[0][1::2], "what was known long after is what we know now"
