"""Workers and markers at the same moment, each with a connection of its own.

On SQLite a transaction holds the only write lock there is, so nothing is at the same moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from accounts import due
from accounts.models import Account, DueAccount
from accounts.tests.factories import make_account, subscribe
from metrics.health import scores
from metrics.models import AccountHealth, HealthScore
from metrics.tests.health_cast import NOON, answer, make_acme, make_globex, touch

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def several_writers(db: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: make test-services")


def cast() -> tuple[Account, Account]:
    with transaction.atomic():
        return make_acme(), make_globex()


def at_once(*functions: Callable[[], Any]) -> None:
    """Run the functions in threads and wait; an error in one fails the test."""
    errors: list[BaseException] = []

    def run(function: Callable[[], Any]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors, errors
    assert not any(thread.is_alive() for thread in threads)


def test_two_workers_at_once_write_the_rows_of_one():
    ids = []
    for number in range(40):
        account = make_account(f"Customer {number:02}")
        subscribe(account, 100, date(2025, 1, 1))
        touch(account, back=number)
        ids.append(account.pk)
    columns = ("account", "day", "score", "points", "raws")
    scores.score_all(now=NOON)
    alone = list(HealthScore.objects.order_by("account").values_list(*columns))
    HealthScore.objects.all().delete()
    AccountHealth.objects.all().delete()
    due.mark_due(ids)
    at_once(
        lambda: scores.score_due(now=NOON),
        lambda: scores.score_due(now=NOON),
        lambda: scores.score_all(now=NOON),
    )
    assert list(HealthScore.objects.order_by("account").values_list(*columns)) == alone
    assert AccountHealth.objects.count() == 40
    assert not DueAccount.objects.exists()


def test_a_fact_committed_while_its_account_is_being_scored_is_not_lost():
    acme, _ = cast()
    due.mark_due([acme.pk])
    a_fact_is_written, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            answer(acme, "nps", 0, back=0)
            due.mark_due([acme.pk])
            a_fact_is_written.set()
            may_commit.wait(10)

    def work() -> None:
        a_fact_is_written.wait(10)
        scores.score_due(now=NOON)  # the writer holds the mark: nothing to take
        may_commit.set()

    at_once(write_slowly, work)
    scores.score_due(now=NOON)
    assert AccountHealth.objects.get(account=acme).score == Decimal("82.50")
    assert not DueAccount.objects.exists()


def test_every_fact_of_a_storm_is_in_the_score_in_the_end():
    accounts = cast()
    scores.score_all(now=NOON)
    is_over = threading.Event()

    def customers_call() -> None:
        for back in range(12, 0, -1):
            for account in accounts:
                with transaction.atomic():
                    touch(account, back=back)
                    due.mark_due([account.pk])
        is_over.set()

    def work() -> None:
        while not is_over.is_set():
            scores.score_due(now=NOON)

    at_once(customers_call, work, work)
    scores.score_due(now=NOON)
    assert not DueAccount.objects.exists()
    for health in AccountHealth.objects.all():
        assert health.raws.split(",")[-1].startswith("100@")  # no contact for 1 day
