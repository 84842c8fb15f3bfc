"""Who uses the product and its features: small worked examples, and the edges of windows and months."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from accounts.tests.factories import change_terms, make_account, make_plan, subscribe
from csplatform.periods import Period
from metrics.kpis import Filters, Question, ask, rows, series
from metrics.tests.cast import FEBRUARY, active, february, used
from metrics.tests.test_kpis_examples import asked, at, shown
from usage.bits import NumberOfDays, bits_between, in_days
from usage.models import ActivityMonth, EndUser, UsageDay

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
JANUARY = Period(date(2026, 1, 1), date(2026, 2, 1))


def person(name: str, account: Account, *days: date, **fields: object) -> EndUser:
    """Return somebody of an account, active on these days."""
    seen = {"first_seen_on": min(days)} if days else {}
    made = EndUser.objects.create(account=account, source="app", external_id=name, **{**seen, **fields})
    active(made, account, *days)
    return made


def days_from(first: date, count: int) -> list[date]:
    return [first + n * DAY for n in range(count)]


# --- Days kept as bits ----------------------------------------------------------------


@given(
    st.sets(st.integers(0, 120), max_size=20),
    st.integers(0, 120),
    st.integers(1, 90),
)
@example({0, 28}, 28, 1)  # 29 February
@example({59}, 59, 30)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_window_finds_the_days_in_it_and_counts_them(db, backs, until, length):
    newest = date(2028, 3, 31)
    last = newest - until * DAY
    first = last - (length - 1) * DAY
    days = {newest - back * DAY for back in backs}
    wanted = {day for day in days if first <= day <= last}
    ActivityMonth.objects.all().delete()
    account, _ = Account.objects.get_or_create(name="Acme")
    someone, _ = EndUser.objects.get_or_create(account=account, source="app", external_id="x")
    active(someone, account, *days)
    found = in_days(ActivityMonth.objects.all(), first, last)
    assert {row.month for row in found} == {day.replace(day=1) for day in wanted}
    counted = found.annotate(n=NumberOfDays(bits_between(first, last))).values_list("n", flat=True)
    assert sum(counted) == len(wanted)


# --- Stickiness -----------------------------------------------------------------------


def test_stickiness_is_the_mean_of_the_daily_users_of_those_of_the_month() -> None:
    account = make_account()
    first = february(28) - 29 * DAY
    person("daily", account, *days_from(first, 30))
    person("weekly", account, *days_from(first, 30)[::7])
    person("once", account, february(14))
    person("before", account, first - DAY)
    found = asked("stickiness")
    assert (found.figure.numerator, found.figure.denominator) == (30 + 5 + 1, 3)
    assert shown(found) == "40.00"
    days = series(Question("daily_active_users", Period(first, date(2026, 3, 1)), now=at(12, 1)), "day")
    assert sum(day.value or 0 for day in days) == found.figure.numerator
    assert asked("monthly_active_users").value == found.figure.denominator


def test_the_thirty_days_to_1_march_of_a_common_year_lie_in_three_months() -> None:
    account = make_account()
    person("ends", account, date(2026, 1, 31), date(2026, 3, 1))
    person("too early", account, date(2026, 1, 30))
    found = asked("stickiness", Period(date(2026, 3, 1), date(2026, 3, 2)))
    assert (found.figure.numerator, found.figure.denominator) == (2, 1)


def test_in_a_leap_year_29_february_is_one_of_the_thirty_days() -> None:
    account = make_account()
    person("leaps", account, date(2028, 2, 29))
    march = Period(date(2028, 3, 1), date(2028, 4, 1))
    assert asked("stickiness", march).value is None
    assert shown(asked("stickiness", Period(date(2028, 3, 29), date(2028, 3, 30)))) == "3.33"
    assert shown(asked("daily_active_users", Period(date(2028, 2, 29), date(2028, 3, 1)))) == "1.00"


# --- Who stays and who goes -----------------------------------------------------------


def test_of_two_users_of_january_one_comes_in_february() -> None:
    account = make_account()
    person("stays", account, date(2026, 1, 5), february(20))
    person("goes", account, date(2026, 1, 31))
    person("new", account, february(1))
    found = asked("user_retention_rate")
    assert (found.figure.numerator, found.figure.denominator) == (1, 2)
    assert [row["end_user"] for row in rows(found.question)] == ["stays"]


def test_months_are_compared_with_months_and_days_with_as_many() -> None:
    account = make_account()
    person("stays", account, date(2026, 1, 1), february(28))
    assert asked("user_retention_rate").value == 100
    assert asked("user_retention_rate", Period(february(15), date(2026, 3, 1))).value is None


def test_who_moved_to_another_account_is_lost_to_the_first() -> None:
    acme, globex = make_account("Acme"), make_account("Globex")
    mover = person("mover", acme, date(2026, 1, 5))
    active(mover, globex, february(5))
    assert asked("user_retention_rate").value == 0


def test_of_all_known_users_the_removed_and_the_not_yet_seen_are_left_out() -> None:
    account = make_account()
    person("active", account, february(3))
    person("silent", account, date(2025, 11, 3))
    person("never", account)
    person("gone", account, date(2025, 11, 3), removed_on=date(2026, 1, 31))
    person("leaving", account, february(3), removed_on=february(4))
    person("future", account, date(2026, 3, 1))
    found = asked("user_retention_rate", variant="total")
    assert (found.figure.numerator, found.figure.denominator) == (2, 4)


def test_an_account_is_retained_by_any_of_its_people() -> None:
    acme, globex = make_account("Acme"), make_account("Globex")
    person("one", acme, date(2026, 1, 5))
    person("other", acme, february(5))
    person("alone", globex, date(2026, 1, 5))
    found = asked("user_retention_rate", variant="accounts")
    assert (found.figure.numerator, found.figure.denominator) == (1, 2)


def test_a_period_at_the_beginning_of_the_calendar_has_none_before_it() -> None:
    first = Period(date(1900, 1, 1), date(1900, 2, 1))
    for variant in ("previous", "accounts"):
        found = asked("user_retention_rate", first, variant=variant)
        assert (found.value, found.figure.reason) == (None, "no_users_before")


def test_users_stop_by_silence_or_by_being_removed() -> None:
    account, other = make_account("Acme"), make_account("Globex")
    person("stays", account, date(2026, 1, 31), february(1))
    person("silent", account, date(2026, 1, 29))
    person("removed", account, date(2026, 1, 31), february(20), removed_on=february(21))
    person("gone before", account, date(2026, 1, 20), removed_on=date(2026, 1, 31))
    person("not a user at the start", account, date(2026, 1, 1))
    person("new", account, february(2))
    person("elsewhere", other, date(2026, 1, 31), february(1))
    found = asked("user_abandonment_rate")
    assert (found.figure.numerator, found.figure.denominator) == (2, 4)
    assert found.figure.counts["removed"] == 1
    assert asked("user_abandonment_rate", filters=Filters(account=account.pk)).figure.denominator == 3
    assert asked("user_abandonment_rate", filters=Filters(account=other.pk)).value == 0


# --- Features -------------------------------------------------------------------------


def test_features_stand_beside_all_customers() -> None:
    acme, globex, lead = make_account("Acme"), make_account("Globex"), make_account("Lead")
    for account in (acme, globex):
        subscribe(account, 10, date(2025, 1, 1))
    one, two = person("one", acme), person("two", acme)
    used(one, acme, "board", february(3), february(4))
    used(two, acme, "board", february(5))
    used(one, acme, "api", february(3))
    used(None, globex, "board", february(3))
    used(None, globex, "api", february(3), events=0, users=0)
    used(None, lead, "api", february(3))
    found = asked("feature_adoption", group_by="feature")
    assert (found.figure.numerator, found.figure.denominator) == (2, 2)
    shares = {group.key: (group.figure.numerator, group.figure.value) for group in found.groups}
    assert shares == {"board": (2, 100), "api": (1, 50)}
    people = asked("feature_adoption", variant="users", group_by="feature")
    assert {group.key: group.figure.value for group in people.groups} == {"board": 100, "api": 50}
    assert asked("feature_adoption", filters=Filters(own=(("feature", "fax"),))).value == 0


def test_breadth_counts_what_the_plan_at_the_end_includes() -> None:
    small = make_plan("small", features=["board", "api"])
    large = make_plan("large", features=["board", "api", "sso", "audit"])
    bare = make_plan("bare")
    acme, globex, initech = make_account("Acme"), make_account("Globex"), make_account("Initech")
    line = subscribe(acme, 10, date(2025, 1, 1), plan=small)
    change_terms(line, february(10), plan=large)
    subscribe(globex, 10, date(2025, 1, 1), plan=small)
    subscribe(initech, 10, date(2025, 1, 1), plan=bare)
    for feature in ("board", "sso", "beta"):
        used(None, acme, feature, february(3), february(5))
    used(None, globex, "sso", february(3))
    used(None, initech, "board", february(3))
    found = asked("adoption_breadth")
    assert (found.figure.numerator, found.figure.denominator) == (2, 4 + 2)
    assert asked("adoption_breadth", JANUARY).figure.denominator == 2 + 2
    assert asked("adoption_breadth", filters=Filters(plan="bare")).figure.reason == "no_features_in_plans"


def test_depth_is_events_for_each_active_user_and_features_add_up() -> None:
    acme, machine = make_account("Acme"), make_account("Machines only")
    one, two = person("one", acme), person("two", acme)
    used(one, acme, "board", february(3), events=7)
    used(two, acme, "api", february(3), events=3)
    used(None, machine, "api", february(3), events=1000)
    found = asked("adoption_depth", group_by="feature")
    assert found.value == 5
    assert {group.key: group.figure.value for group in found.groups} == {
        "board": Decimal("3.5"),
        "api": Decimal("1.5"),
    }


# --- Licences -------------------------------------------------------------------------


def test_unused_seats_are_counted_by_account_and_those_over_are_named() -> None:
    empty, full, over = make_account("Empty"), make_account("Full"), make_account("Over")
    subscribe(empty, 10, date(2025, 1, 1), quantity=Decimal(5))
    subscribe(full, 10, date(2025, 1, 1), quantity=Decimal(1))
    subscribe(over, 10, date(2025, 1, 1), quantity=Decimal(1))
    person("one", full, february(3))
    for name in ("a", "b", "c"):
        person(name, over, february(3))
    share = asked("license_utilization")
    assert (share.figure.numerator, share.figure.denominator) == (4, 7)
    found = asked("license_utilization", variant="unused")
    assert (found.value, found.unit) == (5, "count"), "who is over does not make up for others"
    assert found.figure.counts["accounts_over_their_seats"] == 1
    named = list(rows(found.question, "accounts_over_their_seats"))
    assert [(row["account"]["name"], row["seats"], row["active_users"]) for row in named] == [("Over", 1, 3)]


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_roll_ups_hold_days_so_another_time_zone_moves_no_user(settings, zone) -> None:
    account = make_account()
    person("one", account, february(28))
    settings.TIME_ZONE = zone
    assert asked("daily_active_users").value == 1
    assert asked("daily_active_users", JANUARY).value == 0
    assert UsageDay.objects.count() == 0
    assert ask(Question("monthly_active_users", FEBRUARY, now=at(12, 1))).value == 1
