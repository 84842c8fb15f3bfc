"""Rows inserted in bulk are the rows that saving one by one would have stored."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.bulk import insert_rows
from accounts.models import Account, AccountExternalId, Movement
from accounts.tests.factories import make_account

pytestmark = pytest.mark.django_db


def test_values_come_back_as_they_went_in() -> None:
    account = Account(
        name="Acme “& Sons”\t\\N", custom={"a": [1, None, "ü"]}, customer_from=date(2024, 2, 29)
    )
    insert_rows(Account, [account])
    movement = Movement(
        account=account,
        effective_on=date(2024, 3, 1),
        recorded_at=datetime(2024, 3, 1, 12, 30, 1, 5, tzinfo=UTC),
        kind=Movement.Kind.NEW,
        currency="EUR",
        delta=Decimal("1234567.123456"),
        is_reversal=True,
    )
    insert_rows(Movement, [movement])
    for row in (account, movement):
        stored = type(row).objects.get(pk=row.pk)
        assert {f.name: getattr(stored, f.attname) for f in row._meta.concrete_fields} == {
            f.name: getattr(row, f.attname) for f in row._meta.concrete_fields
        }


def test_keys_do_not_collide_with_rows_saved_before_and_after() -> None:
    before = make_account("Before")
    rows = [Account(name=f"Account {number}") for number in range(3)]
    insert_rows(Account, rows)
    after = make_account("After")
    keys = [before.pk, *(row.pk for row in rows), after.pk]
    assert keys == sorted(set(keys))


def test_a_broken_rule_is_an_integrity_error_like_any_other() -> None:
    account = make_account()
    twice = [AccountExternalId(account=account, source="crm", external_id="1") for _ in range(2)]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows(AccountExternalId, twice)
    assert not AccountExternalId.objects.exists()


def test_a_saved_row_can_be_saved_again() -> None:
    account = Account(name="Acme")
    insert_rows(Account, [account])
    account.name = "Acme Ltd"
    account.save()
    assert Account.objects.get().name == "Acme Ltd"
