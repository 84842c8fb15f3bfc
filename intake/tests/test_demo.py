"""The invented company: its parts agree, and its figures are those of a plausible business."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import mean
from typing import Any

import pytest
from django.apps import apps
from django.db import models, transaction
from django.utils import timezone

from accounts import ledger
from accounts.calculations import state_of
from accounts.models import (
    Account,
    AccountTrait,
    Assignment,
    Contact,
    Movement,
    Renewal,
    Subscription,
    Touch,
)
from csplatform.periods import Period, start_of_day
from intake.demo.catalogue import BOARD
from intake.tests.demo_cast import FACTS, UNTIL, build_demo, rows
from metrics.health import scores
from metrics.models import HealthScore
from surveys.models import Answer
from team.models import Team, User
from tickets import handling
from tickets.models import Ticket
from usage.models import MASK_DAYS, ActivityMonth, EndUser, FeatureMonth, UsageDay
from usage.verifying import differences as usage_differences

YEAR = Period(date(2025, 3, 5), UNTIL)


@pytest.fixture(scope="module")
def demo(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The 200 accounts, built once for this module and rolled back after it."""
    with django_db_blocker.unblock(), transaction.atomic():
        build_demo()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def on_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock say that it is noon of the day the demo was made for."""
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 3, 5, 12, tzinfo=UTC))


def mrr_by_account(before: date) -> dict[int, Decimal]:
    sums: dict[int, Decimal] = defaultdict(Decimal)
    for account, delta in Movement.objects.before(before).values_list("account_id", "delta"):
        sums[account] += delta
    return {account: mrr for account, mrr in sums.items() if mrr}


def active_days_by_account() -> dict[int, dict[date, int]]:
    """Return how many people of each account were active on each day, from the months."""
    found: dict[int, dict[date, int]] = defaultdict(Counter)
    for account, month, days in ActivityMonth.objects.values_list("account_id", "month", "days"):
        for bit in range(31):
            if days >> bit & 1:
                found[account][month + timedelta(days=bit)] += 1
    return found


# --- Its parts agree ------------------------------------------------------------------


@pytest.mark.django_db
def test_the_ledger_has_nothing_to_add(demo, on_the_day):
    tables = (Account, Subscription, Renewal, AccountTrait, Movement)
    before = [rows(table) for table in tables]
    derived = ledger.derive(Account.objects.values_list("pk", flat=True))
    assert derived == ledger.Derived(appended=0, reversed=0)
    assert [rows(table) for table in tables] == before


def test_the_sum_of_the_movements_is_what_the_lines_cost_at_the_end_of_every_month(demo):
    lines = ledger._lines(list(Account.objects.values_list("pk", flat=True)))
    for month in Period(date(2024, 3, 1), date(2026, 3, 1)).steps("month"):
        cost = Decimal(0)
        for line in (line for found in lines.values() for line in found):
            state = state_of(line, month.last_day)
            cost += state.mrr if state else 0
        assert sum(mrr_by_account(month.end).values()) == cost, month


def test_masks_say_what_the_months_say(demo):
    months: dict[int, set[date]] = defaultdict(set)
    for owner, month, days in ActivityMonth.objects.values_list("end_user_id", "month", "days"):
        months[owner] |= {month + timedelta(days=bit) for bit in range(31) if days >> bit & 1}
    people = EndUser.objects.all()
    assert sum(bool(person.activity) for person in people) > 500
    recent = min(day for days in months.values() for day in days) + timedelta(days=MASK_DAYS)
    for person in people:
        until = person.activity_until
        if until is None:
            assert (person.activity, person.last_seen_at, person.first_seen_on) == (0, None, None)
            assert not months[person.pk]
        elif until >= recent:
            window = {until - timedelta(days=bit) for bit in range(MASK_DAYS) if person.activity >> bit & 1}
            assert window == {d for d in months[person.pk] if until - timedelta(days=MASK_DAYS) < d}
            assert max(months[person.pk]) == until
            assert person.last_seen_at is not None
            assert person.last_seen_at.date() == until


def test_daily_usage_counts_the_people_whom_the_months_call_active(demo):
    active = active_days_by_account()
    first = UNTIL - timedelta(days=60)
    board = UsageDay.objects.filter(feature=BOARD)
    counted = {
        (account, day): users for account, day, users in board.values_list("account_id", "day", "users")
    }
    wanted = {
        (account, day): users
        for account, days in active.items()
        for day, users in days.items()
        if day >= first
    }
    assert counted == wanted
    for account, day, users in UsageDay.objects.values_list("account_id", "day", "users"):
        assert users <= counted[account, day]


def test_the_people_counted_for_a_feature_are_those_who_used_it(demo):
    people: Counter[tuple[int, str, date]] = Counter()
    first = UNTIL - timedelta(days=60)
    for row in FeatureMonth.objects.filter(month__gte=first.replace(day=1)):
        for bit in range(31):
            if row.days >> bit & 1:
                people[row.account_id, row.feature, row.month + timedelta(days=bit)] += 1
    counted = {
        (account, feature, day): users
        for account, feature, day, users in UsageDay.objects.values_list(
            "account_id", "feature", "day", "users"
        )
    }
    assert counted == {key: users for key, users in people.items() if key[2] >= first}
    assert not [line for line in usage_differences() if " used " in line]


@pytest.mark.django_db
def test_working_tickets_out_again_changes_nothing(demo):
    before = rows(Ticket)
    handling.refresh(Ticket.objects.values_list("pk", flat=True))
    assert rows(Ticket) == before


def test_nothing_happened_or_was_recorded_on_the_day_itself_or_later(demo):
    midnight = start_of_day(UNTIL)
    for model in apps.get_models():
        if model._meta.app_label in FACTS:
            names = {f.name for f in model._meta.concrete_fields if isinstance(f, models.DateTimeField)}
            watched = {"settles_at", "marked_at", "logged_at", "response_due_at", "resolution_due_at"}
            for name in names - watched:
                assert not model._default_manager.filter(**{f"{name}__gte": midnight}).exists(), (model, name)


def test_most_movements_were_known_when_they_took_effect_and_some_came_late(demo):
    delays = [
        (recorded.date() - effective).days
        for effective, recorded in Movement.objects.values_list("effective_on", "recorded_at")
    ]
    assert mean(delay <= 0 for delay in delays) > 0.95
    assert any(delay > 2 for delay in delays)
    assert min(delays) < -20  # notice is given before the contract ends


def test_every_customer_has_one_csm_all_the_time(demo):
    for account in Account.objects.customers():
        held = Assignment.objects.filter(account=account, kind="csm").in_force(UNTIL)
        assert held.count() == 1, account


def test_an_account_changed_hands_in_the_middle(demo):
    former = User.objects.get(email="former-csm@demo.local")
    ended = set(former.assignments.filter(kind="csm").values_list("ends_on", flat=True))
    assert former.assignments.count() > 5
    assert None not in ended


def test_contacts_and_words_are_nobody_real(demo):
    addresses = list(Contact.objects.values_list("email", flat=True))
    assert len(addresses) > 500
    assert all(address.isascii() and address.endswith(".example") for address in addresses)
    assert any(not name.isascii() for name in Account.objects.values_list("name", flat=True))


# --- A plausible business -------------------------------------------------------------


def test_about_a_tenth_of_the_customers_leaves_in_a_year(demo):
    start = len(mrr_by_account(YEAR.start))
    left = Movement.objects.effective_in(YEAR).filter(customers=-1).count()
    assert 0.08 <= left / start <= 0.14


def test_customers_of_a_year_ago_pay_a_little_more_today(demo):
    start, end = mrr_by_account(YEAR.start), mrr_by_account(UNTIL)
    assert 1.0 <= sum(end.get(account, 0) for account in start) / sum(start.values()) <= 1.12


def test_every_kind_of_movement_occurs(demo):
    kinds = set(Movement.objects.values_list("kind", "sub_kind"))
    assert {kind for kind, _ in kinds} == {"new", "expansion", "contraction", "churn", "reactivation"}
    assert {"upsell", "cross_sell", "price_increase", "discount_end", "addon", "downsell", "pause"} <= {
        sub_kind for _, sub_kind in kinds
    }


def test_renewals_have_every_outcome(demo):
    assert set(Renewal.objects.values_list("outcome", flat=True)) == set(Renewal.Outcome.values)


def test_usage_fell_before_most_churns_and_seldom_else(demo):
    """The signs come before the outcome: 30 days' activity against that of 60 days earlier."""
    active = active_days_by_account()

    def fell(account: int, day: date) -> bool:
        def total(last: date) -> int:
            return sum(active[account].get(last - timedelta(days=back), 0) for back in range(30))

        return total(day - timedelta(days=1)) < 0.6 * total(day - timedelta(days=61))

    recently = Period(UNTIL - timedelta(days=75), UNTIL)
    churns = Movement.objects.effective_in(recently).filter(customers=-1)
    leavers = list(churns.values_list("account_id", "effective_on"))
    stayers = Account.objects.customers().filter(joined_on__lt=date(2025, 6, 1))
    assert leavers
    assert mean(fell(account, day) for account, day in leavers) > 0.6
    assert mean(fell(account.pk, UNTIL) for account in stayers) < 0.2


def test_answers_are_worse_after_a_champion_has_left(demo):
    after: list[int] = []
    for contact in Contact.objects.filter(role="champion", left_on__isnull=False):
        assert contact.left_on is not None
        said = Answer.objects.filter(
            kind="nps",
            response__account=contact.account_id,
            response__given_at__gt=start_of_day(contact.left_on + timedelta(days=20)),
            response__given_at__lt=start_of_day(contact.left_on + timedelta(days=70)),
        )
        after += [score for score in said.values_list("score", flat=True) if score is not None]
    everybody = Answer.objects.filter(kind="nps").values_list("score", flat=True)
    assert after
    assert mean(after) < mean(score for score in everybody if score is not None) - 2


@pytest.mark.django_db
def test_most_customers_are_green_some_yellow_and_a_few_red(demo):
    scores.backfill([UNTIL - timedelta(days=1)])
    of_customers = HealthScore.objects.filter(account__is_customer=True)
    bands = Counter(of_customers.values_list("band", flat=True))
    total = sum(bands.values())
    assert bands["green"] > total / 2
    assert 0.06 <= bands["yellow"] / total <= 0.3
    assert 0.02 <= bands["red"] / total <= 0.15


def test_the_csm_of_the_demo_has_a_morning_worth_looking_at(demo):
    held = Assignment.objects.filter(user__email="csm@demo.local", kind="csm").in_force(UNTIL)
    assert 45 <= held.count() <= 75
    renewing = Account.objects.filter(
        pk__in=held.values("account"), renews_on__range=(UNTIL, UNTIL + timedelta(days=90))
    )
    assert renewing.count() >= 5
    assert Touch.objects.filter(user__email="csm@demo.local").count() > 100


def test_the_manager_leads_the_team_of_the_csm(demo):
    manager, csm = (User.objects.get(email=f"{name}@demo.local") for name in ("manager", "csm"))
    assert manager.team == csm.team
    assert Team.objects.count() == 2
