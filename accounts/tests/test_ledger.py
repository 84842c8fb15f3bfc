from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Sum

from accounts import ledger
from accounts.models import (
    Account,
    AccountTrait,
    Assignment,
    ExchangeRate,
    Movement,
    Renewal,
    Subscription,
)
from accounts.tests.factories import change_terms, make_account, make_plan, make_user, subscribe

pytestmark = pytest.mark.django_db


def at(month: int, day: int, year: int = 2026) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def sums(account: Account, *, until: date, known_at: datetime | None = None) -> dict[str, int]:
    rows = Movement.objects.filter(account=account).known_at(known_at).before(until)
    found = rows.order_by().values("kind").annotate(delta=Sum("delta"))
    return {row["kind"]: int(row["delta"]) for row in found if row["delta"]}


def test_deriving_twice_appends_nothing():
    account = make_account()
    subscribe(account, 100, date(2026, 1, 1))
    assert ledger.derive([account.pk]) == ledger.Derived(appended=0, reversed=0)
    assert Movement.objects.count() == 1


def test_d2_up_and_down_again_are_two_movements():
    account = make_account()
    line = subscribe(account, 100, date(2026, 1, 1))
    change_terms(line, date(2026, 2, 1), unit_price=Decimal(150))
    change_terms(line, date(2026, 3, 1), unit_price=Decimal(120))
    assert sums(account, until=date(2026, 4, 1)) == {"new": 100, "expansion": 50, "contraction": -30}


def test_d8_a_renewal_recorded_late_takes_the_churn_back():
    account = make_account()
    subscribe(account, 100, date(2025, 4, 1), date(2026, 3, 31), recorded_at=at(4, 1, 2025))
    subscribe(account, 100, date(2026, 4, 1), recorded_at=at(4, 20))
    april_ends = date(2026, 5, 1)
    assert sums(account, until=april_ends, known_at=at(4, 5)) == {"new": 100, "churn": -100}
    assert sums(account, until=april_ends) == {"new": 100}


@pytest.mark.parametrize(
    ("end", "mrr"), [(date(2026, 2, 1), 100), (date(2026, 3, 1), 200), (date(2026, 4, 1), 100)]
)
def test_d10_a_line_of_one_month_counts_in_that_month_only(end, mrr):
    account = make_account()
    subscribe(account, 100, date(2026, 1, 1))
    subscribe(account, 100, date(2026, 2, 1), date(2026, 2, 28))
    assert sum(sums(account, until=end).values()) == mrr


def test_a_correction_of_the_past_reverses_the_old_row_and_keeps_it():
    account = make_account()
    line = subscribe(account, 100, date(2026, 1, 1), recorded_at=at(1, 1))
    change_terms(line, date(2026, 1, 1), unit_price=Decimal(80), recorded_at=at(2, 1))
    rows = list(Movement.objects.order_by("pk").values_list("delta", "is_reversal", "customers"))
    assert rows == [(100, False, 1), (-100, True, -1), (80, False, 1)]


def test_imported_movements_are_left_alone():
    account = make_account()
    Movement.objects.create(
        account=account,
        effective_on=date(2026, 1, 1),
        kind="new",
        currency="EUR",
        delta=7,
        customers=1,
        origin="imported",
    )
    ledger.derive([account.pk])
    assert Movement.objects.count() == 1


def test_an_account_shows_its_mrr_its_plan_and_when_it_joined():
    account = make_account()
    plan = make_plan("pro")
    today = date.today()  # noqa: DTZ011  (copies speak about today)
    subscribe(
        account,
        1200,
        today - timedelta(days=40),
        interval="year",
        plan=plan,
        term_ends_on=today + timedelta(days=30),
    )
    account.refresh_from_db()
    assert (account.mrr, account.is_customer, account.plan, account.joined_on, account.renews_on) == (
        100,
        True,
        plan,
        today - timedelta(days=40),
        today + timedelta(days=30),
    )


def test_an_account_that_left_shows_when():
    account = make_account()
    subscribe(account, 100, date(2025, 1, 1), date(2025, 6, 30))
    account.refresh_from_db()
    assert (account.mrr, account.is_customer, account.left_on) == (0, False, date(2025, 7, 1))


def test_mrr_in_another_currency_is_converted_and_unknown_without_a_rate():
    account = make_account()
    subscribe(account, 100, date(2025, 1, 1), currency="USD")
    account.refresh_from_db()
    assert account.mrr is None
    ExchangeRate.objects.create(currency="USD", starts_on=date(2025, 1, 1), rate=Decimal("0.9"))
    ledger.refresh_all_copies(day=date(2026, 1, 1))
    account.refresh_from_db()
    assert account.mrr == 90


def test_plan_history_reaches_back_and_is_kept():
    account = make_account()
    line = subscribe(account, 100, date(2026, 1, 1), plan=make_plan("basic"))
    change_terms(line, date(2026, 3, 1), plan=make_plan("pro", level=1), unit_price=Decimal(200))
    spells = AccountTrait.objects.filter(account=account, kind="plan").order_by("starts_on")
    assert list(spells.values_list("value", "starts_on", "ends_on")) == [
        ("basic", date(1900, 1, 1), date(2026, 2, 28)),
        ("pro", date(2026, 3, 1), None),
    ]


def test_a_segment_keeps_its_days_when_it_changes():
    account = make_account()
    ledger.record_traits({account.pk: {"segment": "smb"}}, on=date(2026, 1, 1))
    ledger.record_traits({account.pk: {"segment": "enterprise"}}, on=date(2026, 5, 1))
    spells = AccountTrait.objects.filter(account=account).order_by("starts_on")
    assert list(spells.values_list("value", "starts_on", "ends_on")) == [
        ("smb", date(1900, 1, 1), date(2026, 4, 30)),
        ("enterprise", date(2026, 5, 1), None),
    ]


@pytest.mark.parametrize(
    ("ends_on", "term_ends_on", "outcome"),
    [
        (None, date(2025, 12, 31), "open"),
        (date(2025, 12, 31), date(2025, 12, 31), "lost"),
        (None, date(2026, 12, 31), "renewed"),
    ],
)
def test_a_renewal_is_decided_by_what_became_of_its_term(ends_on, term_ends_on, outcome):
    account = make_account()
    line = subscribe(account, 100, date(2025, 1, 1), term_ends_on=date(2025, 12, 31))
    Subscription.objects.filter(pk=line.pk).update(ends_on=ends_on, term_ends_on=term_ends_on)
    ledger.derive([account.pk])
    assert Renewal.objects.get(due_on=date(2025, 12, 31)).outcome == outcome


def test_two_csms_at_once_are_refused_by_the_database():
    account = make_account(csm=make_user("Ada"))
    with pytest.raises(IntegrityError), transaction.atomic():
        Assignment.objects.create(account=account, user=make_user("Grace"), starts_on=date(2026, 1, 1))


def test_a_backup_may_stand_beside_the_csm():
    account = make_account(csm=make_user("Ada"))
    Assignment.objects.create(
        account=account, user=make_user("Grace"), kind="backup", starts_on=date(2026, 1, 1)
    )
    assert account.assignments.count() == 2


def test_a_csm_sees_only_the_accounts_held_today():
    ada, grace = make_user("Ada"), make_user("Grace")
    acme = make_account("Acme", csm=ada)
    make_account("Globex", csm=grace)
    left = make_account("Initech")
    Assignment.objects.create(account=left, user=ada, starts_on=date(2020, 1, 1), ends_on=date(2021, 1, 1))
    assert list(Account.objects.visible_to(ada)) == [acme]


def test_a_subscription_cannot_end_before_it_starts():
    with pytest.raises(IntegrityError), transaction.atomic():
        Subscription.objects.create(
            account=make_account(), starts_on=date(2026, 2, 1), ends_on=date(2026, 1, 1)
        )
