"""What probes and admins are told about the parts of an installation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from team.models import Heartbeat, Work

User = get_user_model()


@pytest.fixture(autouse=True)
def no_broker(settings):
    settings.REDIS_URL = ""


def beat(*names: str, seconds_ago: int = 5) -> None:
    for name in names:
        Heartbeat.beat(name, timezone.now() - timedelta(seconds=seconds_ago))


def test_healthz_asks_the_database_nothing(client: Client):
    assert client.get("/healthz").text == "ok\n"  # without a mark, any query fails the test


@pytest.mark.django_db
def test_readyz_is_200_when_everything_moves(client: Client):
    beat("fast", "slow", "scheduler")
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {
            "database": "ok",
            "broker": "not configured",
            "worker": "ok",
            "scheduler": "ok",
            "mail": "not configured",
        },
    }


@pytest.mark.django_db
def test_readyz_is_503_and_names_the_worker_whose_heart_stopped(client: Client):
    beat("fast", "scheduler")
    beat("slow", seconds_ago=120)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["worker"] == "failed"
    assert response.json()["checks"]["scheduler"] == "ok"


@pytest.mark.django_db
def test_a_slow_lane_in_the_middle_of_a_long_job_is_alive(client: Client):
    beat("fast", "scheduler")
    Work.objects.create(
        kind="long",
        lane="slow",
        state="claimed",
        claim_token="1" * 32,
        claimed_until=timezone.now() + timedelta(9),
    )
    assert client.get("/readyz").json()["checks"]["worker"] == "ok"


@pytest.mark.django_db
def test_a_broker_that_is_gone_is_named(client: Client, settings):
    settings.REDIS_URL = "unix:///nowhere/broker.sock"
    assert client.get("/readyz").json()["checks"]["broker"] == "failed"


@pytest.mark.django_db
def test_the_status_page_says_what_stopped_what_goes_on_and_what_was_given_up(client: Client):
    client.force_login(User.objects.create_superuser("admin@example.com", "irrelevant-here"))
    dead = Work.objects.create(
        kind="mail.send",
        state="dead",
        attempts=8,
        finished_at=timezone.now(),
        last_error="Traceback\nOSError: <refused>",
    )
    page = client.get("/status/")
    assert "Mails, scores and imports wait until it is back." in page.text
    assert f"/admin/team/work/{dead.pk}/change/" in page.text
    assert "OSError: &lt;refused&gt;" in page.text


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["manager", "csm", "viewer"])
def test_the_status_page_is_for_admins_only(client: Client, role: str):
    client.force_login(User.objects.create_user("ada@example.com", "irrelevant-here", role=role))
    assert client.get("/status/").status_code == 403


@pytest.mark.django_db
def test_a_stranger_is_asked_to_sign_in_before_the_status_page(client: Client):
    assert client.get("/status/").headers["Location"].startswith("/auth/login/")


@pytest.mark.django_db
def test_the_status_page_needs_as_many_queries_for_a_full_queue(
    client: Client, django_assert_max_num_queries
):
    client.force_login(User.objects.create_superuser("admin@example.com", "irrelevant-here"))
    for number in range(30):
        Work.objects.create(kind=f"kind {number % 7}", state="dead", finished_at=timezone.now())
    with django_assert_max_num_queries(14):
        client.get("/status/")
