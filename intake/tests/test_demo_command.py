"""manage.py demo_data: the same every time, and careful with what is there."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import transaction

from accounts.models import Account, Assignment, DueAccount
from intake.demo.clearing import customer_tables
from intake.tests.demo_cast import UNTIL, build_demo, facts
from team.models import User
from tickets.models import Ticket

pytestmark = pytest.mark.django_db


def test_the_same_seed_and_day_give_the_same_facts():
    def made(seed: int) -> dict[str, list[dict[str, Any]]]:
        with transaction.atomic():
            build_demo(accounts=12, seed=seed)
            found = facts()
            transaction.set_rollback(True)
        # PostgreSQL does not roll its sequences back, so plans and users differ in their ids only.
        ignored = {"plan_id", "product_id", "user_id", "survey_id", "source_id", "calendar_id"}
        for name, table in found.items():
            is_given = name in {
                *("accounts.Product", "accounts.Plan", "surveys.Survey", "tickets.TicketSource"),
                *("tickets.OpeningHours", "tickets.ClosedDay", "tickets.ServiceTarget"),
            }
            for row in table:
                for column in ignored | ({"id"} if is_given else set()):
                    row.pop(column, None)
        return found

    first, again, other = made(7), made(7), made(8)
    assert first["accounts.Movement"]
    assert first == again
    assert first["accounts.Account"] != other["accounts.Account"]


def test_all_accounts_are_due_afterwards():
    build_demo(accounts=5)
    assert DueAccount.objects.count() == 5


def test_if_empty_leaves_accounts_alone():
    Account.objects.create(name="Acme")
    assert "1 accounts already" in build_demo(accounts=5, if_empty=True)
    assert Account.objects.count() == 1


def test_it_never_mixes_with_accounts_that_are_there():
    Account.objects.create(name="Acme")
    with pytest.raises(CommandError, match="--reset"):
        build_demo(accounts=5)


def test_reset_empties_every_table_of_customer_facts_first():
    build_demo(accounts=8)
    build_demo(accounts=3, reset=True, yes=True)
    assert Account.objects.count() == 3
    assert not Ticket.objects.exclude(account__in=Account.objects.all()).exists()
    assert User not in customer_tables()


def test_reset_asks_first():
    build_demo(accounts=3)
    with pytest.raises(CommandError, match="--yes"):
        build_demo(accounts=3, reset=True)
    assert Account.objects.count() == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"until": "31.3.2026"}, "--until: '31.3.2026' is not a date"),
        ({"until": "0001-01-01"}, "--until: a date between"),
        ({"accounts": 0}, "--accounts: a number between"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options, message):
    with pytest.raises(CommandError, match=message):
        build_demo(**options)


def test_the_printed_logins_work(client):
    out = build_demo(accounts=2)
    for email in ("admin@demo.local", "manager@demo.local", "csm@demo.local"):
        assert email in out
        assert User.objects.get(email=email).check_password("demo-password-1")


def test_a_large_company_has_a_csm_for_every_sixty_accounts():
    build_demo(accounts=325)
    held = Assignment.objects.filter(kind="csm").in_force(UNTIL)
    assert max(Counter(held.values_list("user_id", flat=True)).values()) <= 75
    assert User.objects.filter(email__startswith="csm", role="csm").count() == 9
