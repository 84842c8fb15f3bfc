from __future__ import annotations

from datetime import date

import pytest

from accounts.assigning import hand_over, take_back
from accounts.models import Account, Assignment
from accounts.tests.factories import make_account, make_user
from team.models import User

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 10)


def spans(account: Account) -> list[tuple[str, date, date | None]]:
    rows = Assignment.objects.filter(account=account, kind="csm").order_by("starts_on")
    return [(row.user.name, row.starts_on, row.ends_on) for row in rows.select_related("user")]


@pytest.fixture
def ada() -> User:
    return make_user("Ada")


@pytest.fixture
def grace() -> User:
    return make_user("Grace")


def test_the_old_csm_ends_the_day_before_the_new_one_begins(ada, grace):
    acme = make_account("Acme", csm=ada)
    hand_over([acme.pk], to=grace, on=DAY)
    assert spans(acme) == [
        ("Ada", date(2020, 1, 1), date(2026, 3, 9)),
        ("Grace", date(2026, 3, 10), None),
    ]


def test_an_account_they_hold_already_is_left_alone(ada):
    acme = make_account("Acme", csm=ada)
    assert hand_over([acme.pk], to=ada, on=DAY) == []


def test_an_account_without_a_csm_gets_one(grace):
    acme = make_account("Acme")
    hand_over([acme.pk], to=grace, on=DAY)
    assert spans(acme) == [("Grace", DAY, None)]


def test_a_planned_assignment_stays_and_ends_the_new_one(ada, grace):
    acme = make_account("Acme")
    Assignment.objects.create(account=acme, user=ada, starts_on=date(2026, 4, 1))
    hand_over([acme.pk], to=grace, on=DAY)
    assert spans(acme) == [("Grace", DAY, date(2026, 3, 31)), ("Ada", date(2026, 4, 1), None)]


def test_taking_back_restores_what_was(ada, grace):
    acme, globex, initech = (make_account("Acme", csm=ada), make_account("Globex"), make_account("Initech"))
    Assignment.objects.create(account=initech, user=ada, starts_on=DAY)
    before = [spans(account) for account in (acme, globex, initech)]
    done = hand_over([acme.pk, globex.pk, initech.pk], to=grace, on=DAY)
    assert len(done) == 3
    assert take_back(done, to=grace) == 3
    assert [spans(account) for account in (acme, globex, initech)] == before


def test_taking_back_leaves_alone_what_somebody_changed_since(ada, grace):
    acme = make_account("Acme", csm=ada)
    done = hand_over([acme.pk], to=grace, on=DAY)
    hand_over([acme.pk], to=make_user("Linus"), on=DAY)
    assert take_back(done, to=grace) == 0


def test_a_hundred_accounts_take_as_many_queries_as_one(ada, grace, django_assert_max_num_queries):
    accounts = [make_account(f"Account {n}", csm=ada) for n in range(100)]
    with django_assert_max_num_queries(8):
        hand_over([account.pk for account in accounts], to=grace, on=DAY)
