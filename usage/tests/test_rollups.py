from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Account
from usage.models import MASK_DAYS, ActivityMonth, EndUser, Event, UsageDay
from usage.rollups import record_events, shift_mask, window_mask

DAY = date(2026, 3, 31)


@pytest.fixture
def acme(db) -> Account:
    return Account.objects.create(name="Acme")


@pytest.fixture
def bob(acme) -> EndUser:
    return EndUser.objects.create(account=acme, source="app", external_id="bob")


def event(
    person: EndUser, number: int, day: date, feature: str = "reports", account: Account | None = None
) -> Event:
    return Event(
        source="app",
        message_id=f"{person.external_id}-{number}",
        account_id=(account or person.account).pk,
        end_user_id=person.pk,
        feature=feature,
        happened_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
    )


def test_an_event_reported_twice_counts_once(bob):
    first = record_events([event(bob, 1, DAY), event(bob, 1, DAY)])
    again = record_events([event(bob, 1, DAY)])
    assert (first.created, first.duplicates, again.created) == (1, 1, 0)
    assert UsageDay.objects.get().events == 1


def test_a_person_active_on_three_days_has_three_bits_in_month_and_mask(bob):
    record_events([event(bob, n, DAY - timedelta(days=n)) for n in (0, 1, 9)])
    bob.refresh_from_db()
    assert (bob.activity_until, bob.activity) == (DAY, 0b10_0000_0011)
    assert ActivityMonth.objects.get().days == (1 << 30) | (1 << 29) | (1 << 21)


def test_late_events_give_the_same_masks_as_events_in_order(bob):
    record_events([event(bob, 2, DAY)])
    record_events([event(bob, 1, DAY - timedelta(days=3))])
    bob.refresh_from_db()
    assert (bob.activity_until, bob.activity, bob.first_seen_on) == (DAY, 0b1001, DAY - timedelta(days=3))


def test_people_are_counted_once_a_day_and_feature(acme, bob):
    eve = EndUser.objects.create(account=acme, source="app", external_id="eve")
    record_events([event(bob, 1, DAY), event(bob, 2, DAY), event(eve, 1, DAY), event(eve, 2, DAY, "billing")])
    counts = UsageDay.objects.order_by("feature").values_list("feature", "events", "users")
    assert list(counts) == [("billing", 1, 1), ("reports", 3, 2)]


def test_a_person_who_changes_employer_keeps_the_past_with_the_old_one(acme, bob):
    globex = Account.objects.create(name="Globex")
    record_events([event(bob, 1, DAY - timedelta(days=1))])
    record_events([event(bob, 2, DAY, account=globex)])
    bob.refresh_from_db()
    assert bob.account == globex
    assert set(ActivityMonth.objects.values_list("account", flat=True)) == {acme.pk, globex.pk}


@given(st.sets(st.integers(0, MASK_DAYS - 1)), st.integers(0, 80), st.integers(1, 30))
def test_a_window_read_from_a_shifted_mask_finds_the_days_in_it(back, ahead, days):
    mask = sum(1 << n for n in back)
    active = {DAY - timedelta(days=n) for n in back}
    until = DAY + timedelta(days=ahead)
    shift, bits = window_mask(until=until, mask_until=DAY, days=days)
    in_window = any(until - timedelta(days=days) < day <= until for day in active)
    assert bool((mask >> shift) & bits) == in_window
    moved = shift_mask(mask, from_day=DAY, to_day=until)
    kept = [n + ahead for n in back if n + ahead < MASK_DAYS]
    assert moved == sum(1 << n for n in kept)
