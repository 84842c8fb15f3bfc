from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from usage.models import MASK_DAYS, ActivityMonth, EndUser, Event, FeatureMonth, UsageDay
from usage.rollups import fill_features, record_events, shift_mask, window_mask
from usage.verifying import differences

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


def test_the_days_of_each_feature_are_kept_beside_the_days_of_all(bob):
    record_events([event(bob, 1, DAY), event(bob, 2, DAY - timedelta(days=1), "billing")])
    record_events([event(bob, 3, DAY, "billing"), event(bob, 4, DAY)])
    kept = dict(FeatureMonth.objects.values_list("feature", "days"))
    assert kept == {"reports": 1 << 30, "billing": 1 << 30 | 1 << 29}
    assert ActivityMonth.objects.get().days == 1 << 30 | 1 << 29
    assert list(differences()) == []


def test_an_installation_that_kept_no_features_makes_them_from_its_events(bob):
    gone = EndUser.objects.create(account=bob.account, source="app", external_id="gone")
    record_events([event(bob, 1, DAY), event(bob, 2, DAY, "billing"), event(gone, 1, DAY)])
    gone.delete()
    kept = list(FeatureMonth.objects.order_by("feature").values_list("feature", "month", "days"))
    FeatureMonth.objects.all().delete()
    assert "by the events" in next(iter(differences()))
    for _ in range(2):
        fill_features()
        assert list(FeatureMonth.objects.order_by("feature").values_list("feature", "month", "days")) == kept


def test_a_feature_used_on_a_day_without_activity_is_found(bob):
    record_events([event(bob, 1, DAY)])
    FeatureMonth.objects.update(days=1 << 30 | 1)
    assert [line.split(" used ")[1] for line in differences()] == [
        "reports on 2026-03-01, but was not active that day."
    ]


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), max_size=12), st.randoms())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_events_changes_no_roll_up(bob, told, random):
    events = [(number, *one) for number, one in enumerate(told)]
    found = []
    for _ in range(2):
        with transaction.atomic():
            for number, back, feature in events:
                record_events([event(bob, number, DAY - timedelta(days=back), feature)])
            found.append(
                [
                    list(model.objects.order_by(*key).values_list(*key, *values))
                    for model, key, values in (
                        (ActivityMonth, ["month"], ["days"]),
                        (FeatureMonth, ["month", "feature"], ["days"]),
                        (UsageDay, ["day", "feature"], ["events", "users"]),
                    )
                ]
            )
            assert list(differences()) == []
            transaction.set_rollback(True)
        random.shuffle(events)
    assert found[0] == found[1]
