from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.due import mark_due
from accounts.models import Account, Touch
from accounts.tests.factories import make_account, make_user, subscribe
from metrics.health.scores import score_accounts
from surveys.models import Answer, Response, Survey
from team.models import User
from workspace.tests.test_api_customers import as_user, assert_problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db) -> User:
    return make_user("Ada")


@pytest.fixture
def acme(ada) -> Account:
    account = make_account("Acme", csm=ada)
    subscribe(account, 100, date(2025, 1, 1))
    Touch.objects.create(account=account, kind="call", happened_at=timezone.now() - timedelta(days=3))
    return account


def answers(account: Account, score: int) -> None:
    survey, _ = Survey.objects.get_or_create(name="Relationship")
    response = Response.objects.create(survey=survey, account=account, given_at=timezone.now())
    Answer.objects.create(response=response, kind="nps", score=score, scale_low=0, scale_high=10)
    mark_due([account.pk])


def test_the_measures_add_up_to_the_score(acme, ada):
    answers(acme, 3)
    score_accounts([acme.pk])
    body = as_user(ada).get(f"/api/v1/accounts/{acme.pk}/health/").json()
    used = [measure for measure in body["measures"] if measure["state"] == "used"]
    assert len(body["measures"]) == 8
    assert all(measure["words"] for measure in used)
    if body["score"] is not None:
        total = sum(Decimal(m["points"]) * Decimal(m["weight"]) for m in used)
        assert Decimal(body["score"]) == round(total / sum(Decimal(m["weight"]) for m in used), 2)
    summary = as_user(ada).get(f"/api/v1/accounts/{acme.pk}/").json()["health"]
    assert (summary["score"], summary["band"]) == (body["score"], body["band"])


def test_the_drivers_of_each_change_add_up_to_it(acme, ada):
    yesterday = timezone.now() - timedelta(days=1)
    answers(acme, 10)
    score_accounts([acme.pk], now=yesterday)
    answers(acme, 0)
    score_accounts([acme.pk])
    results = as_user(ada).get(f"/api/v1/accounts/{acme.pk}/health/history/").json()["results"]
    assert len(results) == 2
    last = results[-1]
    if last["change"] is not None:
        assert sum(Decimal(driver["effect"]) for driver in last["drivers"]) == Decimal(last["change"])


def test_an_account_never_scored_says_so(acme, ada):
    body = as_user(ada).get(f"/api/v1/accounts/{acme.pk}/health/").json()
    assert (body["score"], body["band"], body["measures"]) == (None, "not_scored", [])


@pytest.mark.parametrize("path", ["health/", "health/history/"])
def test_health_of_somebody_elses_account_is_not_there(acme, path):
    assert_problem(as_user(make_user("Grace")).get(f"/api/v1/accounts/{acme.pk}/{path}"), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start": "soon"}, "start"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "end"),
        ({"end": "9999-12-31", "start": "2026-01-01"}, "end"),
        ({"step": "day"}, "step"),
    ],
)
def test_a_bad_period_is_refused(acme, ada, query, field):
    assert_problem(as_user(ada).get(f"/api/v1/accounts/{acme.pk}/health/history/", **query), 400, field)
