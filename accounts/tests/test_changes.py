"""Whoever changes a fact, the log says which months it speaks about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models, transaction

from accounts import changes
from accounts.assigning import hand_over
from accounts.models import Account, Assignment, Charge, ExchangeRate, FactChange, Movement
from accounts.tests.factories import change_terms, make_account, make_plan, make_user, subscribe

pytestmark = pytest.mark.django_db
Span = tuple[str, str, str]


def logged(source: str = "") -> set[Span]:
    """Return what the log says, and empty it."""
    rows = FactChange.objects.filter(source__startswith=source)
    found = {(row.source, row.first_on.isoformat()[:7], row.last_on.isoformat()[:7]) for row in rows}
    FactChange.objects.all().delete()
    return found


def charge(day: date, **more: Any) -> Charge:
    account = Account.objects.first() or make_account()
    logged()
    return Charge(account=account, day=day, amount=10, currency="EUR", **more)


def test_the_triggers_of_every_table_are_those_of_the_code() -> None:
    assert changes.missing() == []


def test_installing_them_again_changes_and_logs_nothing() -> None:
    FactChange.objects.all().delete()
    for config in apps.get_app_configs():
        changes.install(config.label)
    assert logged() == set()


def test_a_new_fact_is_logged_by_its_month_however_it_comes() -> None:
    charge(date(2026, 2, 27)).save()
    assert logged() == {("accounts_charge", "2026-02", "2026-02")}
    Charge.objects.bulk_create([charge(date(2026, 2, 1)), charge(date(2026, 5, 1)), charge(date(2026, 2, 3))])
    assert logged() == {("accounts_charge", "2026-02", "2026-02"), ("accounts_charge", "2026-05", "2026-05")}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_charge SET amount = 20 WHERE day = '2026-05-01'")
    assert logged() == {("accounts_charge", "2026-05", "2026-05")}


def test_a_fact_that_moves_is_logged_where_it_was_and_where_it_is() -> None:
    charge(date(2026, 2, 27)).save()
    logged()
    Charge.objects.update(day=date(2026, 4, 1))
    assert logged() == {("accounts_charge", "2026-02", "2026-02"), ("accounts_charge", "2026-04", "2026-04")}


def test_facts_that_go_with_their_account_are_logged() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 3, 1))
    logged()
    account.delete()
    assert ("accounts_movement", "2025-03", "2025-03") in logged()


def test_what_is_rolled_back_is_not_logged() -> None:
    fact = charge(date(2026, 2, 27))
    with transaction.atomic():
        fact.save()
        transaction.set_rollback(True)
    assert logged() == set()


def test_a_change_that_no_figure_reads_is_not_logged() -> None:
    account = make_account()
    logged()
    Account.objects.update(name="Acme Ltd", mrr=5, is_customer=True)
    assert logged() == set()
    Account.objects.filter(pk=account.pk).update(segment="large")
    known_since = f"{account.created_at - timedelta(hours=12):%Y-%m}"
    assert logged() == {("accounts_account", known_since, "2200-01")}


def test_a_spell_that_ends_says_something_else_only_from_then_on() -> None:
    account = make_account()
    Assignment.objects.create(account=account, user=make_user("Ada"), starts_on=date(2024, 1, 1))
    logged()
    hand_over([account.pk], to=make_user("Grace"), on=date(2026, 2, 1))
    assert logged() == {("accounts_assignment", "2026-02", "2200-01")}
    Assignment.objects.filter(ends_on=date(2026, 1, 31)).update(ends_on=date(2025, 10, 15))
    assert logged() == {("accounts_assignment", "2025-10", "2026-01")}


def test_later_terms_speak_about_the_days_from_theirs_on_and_the_first_about_all() -> None:
    line = subscribe(make_account(), 100, date(2025, 3, 1), plan=make_plan("basic"))
    first = line.terms.get()
    logged()
    change_terms(line, date(2026, 2, 5), unit_price=120)
    assert logged("accounts_subscriptionterms") == {("accounts_subscriptionterms", "2026-02", "2200-01")}
    first.effective_on = date(2025, 6, 1)
    first.save()
    assert logged("accounts_subscriptionterms") == {("accounts_subscriptionterms", "2025-03", "2200-01")}


def test_the_first_rate_of_a_currency_speaks_about_all_days_and_later_ones_from_theirs_on() -> None:
    logged()
    ExchangeRate.objects.create(currency="USD", starts_on=date(2026, 2, 1), rate=1)
    assert logged() == {("accounts_exchangerate", "1900-01", "2200-01")}
    ExchangeRate.objects.create(currency="USD", starts_on=date(2026, 3, 1), rate=2)
    assert logged() == {("accounts_exchangerate", "2026-03", "2200-01")}


def test_a_moment_near_midnight_is_logged_for_both_days_it_may_fall_on() -> None:
    account = make_account()
    touch = account.touches.model(account=account, kind="call")
    for moment, first, last in (
        (datetime(2026, 2, 15, 12, tzinfo=UTC), "2026-02", "2026-02"),
        (datetime(2026, 2, 28, 12, tzinfo=UTC), "2026-02", "2026-03"),
        (datetime(2026, 3, 1, 6, tzinfo=UTC), "2026-02", "2026-03"),
    ):
        touch.pk, touch.happened_at = None, moment
        logged()
        touch.save()
        assert logged() == {("accounts_touch", first, last)}


def test_a_transaction_logs_each_stretch_once() -> None:
    fact = charge(date(2026, 2, 27))
    with transaction.atomic():
        for _ in range(3):
            fact.pk = None
            fact.save()
    assert FactChange.objects.filter(source="accounts_charge").count() == 1


def test_while_triggers_are_missing_the_log_says_so_until_they_are_back() -> None:
    changes.uninstall()
    assert FactChange.objects.filter(source=changes.UNWATCHED).exists()
    assert set(changes.missing()) == set(changes.by_table())
    for config in apps.get_app_configs():
        changes.install(config.label)
    assert changes.missing() == []
    assert not FactChange.objects.filter(source=changes.UNWATCHED).exists()
    assert {source for source, _, _ in logged()} == set(changes.by_table()), "what happened then is unknown"


@pytest.mark.parametrize("label", changes.TRACKED)
def test_every_field_that_is_named_exists(label: str) -> None:
    tracked = changes.TRACKED[label]
    assert tracked.columns
    assert tracked.ignored_columns.isdisjoint(tracked.columns)
    kinds = (models.DateField, models.DateTimeField)
    for path in tracked.days:
        field: Any = tracked.model
        for name in path.split("__"):
            field = (field if isinstance(field, type) else field.related_model)._meta.get_field(name)
        assert isinstance(field, kinds), path


# When we learned of a fact is no day that it speaks about.
OF_THE_RECORD = ("recorded_at", "created_at", "computed_at")


@pytest.mark.parametrize("label", changes.TRACKED)
def test_every_day_that_a_row_has_is_one_that_it_speaks_about(label: str) -> None:
    tracked = changes.TRACKED[label]
    if not tracked.days or tracked.is_open_ended:
        return
    known = {path for path in tracked.days if "__" not in path} | {tracked.until} | tracked.ignores
    dates = {f.name for f in tracked.model._meta.concrete_fields if isinstance(f, models.DateField)}
    assert {name for name in dates if not name.endswith(OF_THE_RECORD)} <= known


def test_a_movement_of_the_ledger_is_logged_by_the_day_it_takes_effect() -> None:
    account = make_account()
    logged()
    subscribe(account, 100, date(2025, 3, 7))
    assert Movement.objects.get().effective_on == date(2025, 3, 7)
    assert ("accounts_movement", "2025-03", "2025-03") in logged()
