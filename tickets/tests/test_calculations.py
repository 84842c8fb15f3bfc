"""Business hours: worked examples, days on which the clock is moved, and what holds for any hours."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets import calculations
from tickets.calculations import BusinessHours

TEN_TO_SIX = [[(10 * 60, 18 * 60)]] * 5 + [[], []]
ALWAYS = [[(0, 24 * 60)]] * 7
HOUR = 3600


def office(week=TEN_TO_SIX, zone: str = "Europe/Berlin", **closed) -> BusinessHours:
    return BusinessHours(zone, week, **closed)


def local(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def hours(start: str, end: str, hours: BusinessHours | None = None) -> float:
    hours = hours or office()
    return hours.seconds_between(local(start, hours.time_zone), local(end, hours.time_zone)) / HOUR


def due(start: str, after: float, hours: BusinessHours | None = None) -> str:
    hours = hours or office()
    moment = hours.after(local(start, hours.time_zone), int(after * HOUR))
    assert moment is not None
    return f"{moment.astimezone(ZoneInfo(hours.time_zone)):%Y-%m-%d %H:%M}"


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(calculations).failed == 0


def test_d20_a_ticket_of_monday_eight_is_due_at_eleven_and_fourteen():
    assert due("2026-03-02 08:00", 1) == "2026-03-02 11:00"
    assert due("2026-03-02 08:00", 4) == "2026-03-02 14:00"


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        # What remains at 18:00 goes on at 10:00 on the next working day.
        ("2026-03-02 17:30", 1, "2026-03-03 10:30"),
        ("2026-03-06 17:30", 1, "2026-03-09 10:30"),
        # A day used up ends with it, not with the next one's beginning.
        ("2026-03-02 10:00", 8, "2026-03-02 18:00"),
        ("2026-03-02 18:00", 8, "2026-03-03 18:00"),
        ("2026-03-07 12:00", 1, "2026-03-09 11:00"),
        ("2025-12-31 17:00", 2, "2026-01-01 11:00"),
    ],
)
def test_a_due_time_waits_for_working_hours(start, after, expected):
    assert due(start, after) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-03-02 08:00", "2026-03-02 11:00", 1),
        ("2026-03-02 12:00", "2026-03-02 12:30", 0.5),
        ("2026-03-02 17:00", "2026-03-03 11:00", 2),
        ("2026-03-06 17:00", "2026-03-09 11:00", 2),
        ("2026-03-07 08:00", "2026-03-08 20:00", 0),
        ("2026-03-02 19:00", "2026-03-03 09:00", 0),
        ("2026-03-03 11:00", "2026-03-02 11:00", 0),
        ("2025-12-29 00:00", "2026-01-05 00:00", 40),
    ],
)
def test_only_working_hours_count(start, end, expected):
    assert hours(start, end) == expected


def test_a_holiday_is_no_working_day_and_the_next_year_it_is_one_again():
    closed = office(closed_on=frozenset({date(2026, 12, 25)}))
    assert hours("2026-12-24 10:00", "2026-12-29 00:00", closed) == 16
    assert hours("2025-12-25 00:00", "2025-12-26 00:00", closed) == 8


def test_a_yearly_holiday_is_closed_every_year():
    closed = office(closed_every_year_on=frozenset({(12, 25)}))
    for year in (2025, 2026):
        assert hours(f"{year}-12-25 00:00", f"{year}-12-26 00:00", closed) == 0


def test_29_february_counts_in_leap_years():
    assert hours("2028-02-28 10:00", "2028-03-01 10:00") == 16  # Monday, Tuesday
    closed = office(closed_every_year_on=frozenset({(2, 29)}))
    assert hours("2028-02-28 10:00", "2028-03-01 10:00", closed) == 8
    assert due("2028-02-28 17:00", 2, closed) == "2028-03-01 11:00"
    assert hours("2027-02-26 10:00", "2027-03-02 10:00", closed) == 16


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-28", 24)],
)
def test_a_day_on_which_the_clock_is_moved_has_the_hours_it_has(day, expected):
    begin = datetime.fromisoformat(day)
    end = f"{begin + timedelta(days=1):%Y-%m-%d}"
    assert hours(day, end, office(ALWAYS)) == expected


def test_office_hours_follow_the_clock_on_the_wall_when_it_is_moved():
    # The Monday after: ten o'clock is an hour earlier by universal time.
    assert office().after(local("2026-03-27 18:00"), HOUR) == datetime(2026, 3, 30, 9, tzinfo=UTC)
    assert office().after(local("2026-03-20 18:00"), HOUR) == datetime(2026, 3, 23, 10, tzinfo=UTC)


def test_hours_of_a_night_that_lacks_one_are_those_that_happened():
    night = office([[(60, 4 * 60)]] * 7)  # 1:00 to 4:00
    assert hours("2026-03-29 00:00", "2026-03-29 12:00", night) == 2
    assert hours("2026-10-25 00:00", "2026-10-25 12:00", night) == 4
    skipped = office([[(2 * 60 + 15, 2 * 60 + 45)]] * 7)  # a half-hour that this night does not have
    assert hours("2026-03-28 12:00", "2026-03-30 12:00", skipped) == 1


def test_a_break_and_two_stretches_a_day():
    shop = office([[(9 * 60, 12 * 60), (13 * 60, 17 * 60)]] * 5 + [[], []])
    assert hours("2026-03-02 11:00", "2026-03-02 14:00", shop) == 2
    assert due("2026-03-02 11:00", 2, shop) == "2026-03-02 14:00"


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu"])
def test_hours_are_those_of_the_calendars_time_zone(zone):
    assert hours("2026-03-02 08:00", "2026-03-02 11:00", office(zone=zone)) == 1
    assert due("2026-03-02 08:00", 1, office(zone=zone)) == "2026-03-02 11:00"


def test_what_is_never_worked_is_never_due():
    assert office([[]] * 7).after(local("2026-03-02 08:00"), 1) is None
    assert office([[]] * 7).seconds_between(local("2026-03-02 08:00"), local("2027-03-02 08:00")) == 0


def test_a_reply_before_the_opening_took_no_time():
    opened = local("2026-03-02 12:00")
    assert calculations.seconds_between(opened, opened - timedelta(minutes=1)) == 0
    assert office().seconds_between(opened, opened - timedelta(minutes=1)) == 0


# --- What holds for any hours ---------------------------------------------------------

spans = st.lists(st.integers(0, 24 * 60), min_size=2, max_size=6, unique=True).map(
    lambda cuts: list(zip(*[iter(sorted(cuts[: len(cuts) // 2 * 2]))] * 2, strict=True))
)
offices = st.builds(
    BusinessHours,
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.lists(st.one_of(spans, st.just([])), min_size=7, max_size=7).filter(any),
    st.frozensets(st.dates(date(2027, 12, 20), date(2028, 4, 10)), max_size=5),
    st.frozensets(st.tuples(st.just(2), st.integers(1, 29)), max_size=3),
)
FIRST = datetime(2027, 12, 25, tzinfo=UTC)
moments = st.integers(0, 100 * 24 * HOUR).map(lambda seconds: FIRST + timedelta(seconds=seconds))


@given(offices, st.lists(moments, min_size=3, max_size=3).map(sorted))
def test_stretches_add_up_to_the_whole(hours, three):
    first, second, third = three
    whole = hours.seconds_between(first, third)
    assert whole == hours.seconds_between(first, second) + hours.seconds_between(second, third)
    assert 0 <= whole <= (third - first).total_seconds()


@given(offices, moments, st.integers(1, 5 * 24 * HOUR))
def test_by_the_due_moment_exactly_the_wanted_time_was_worked(hours, start, seconds):
    moment = hours.after(start, seconds)
    assert moment is not None
    assert hours.seconds_between(start, moment) == seconds
    assert hours.seconds_between(start, moment - timedelta(seconds=1)) == seconds - 1


@given(moments, moments)
def test_who_always_works_takes_no_longer_by_the_clock(start, end):
    always = BusinessHours("America/New_York", ALWAYS)
    assert always.seconds_between(start, end) == calculations.seconds_between(start, end)
