"""The work queue as callers, handlers and admins see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from team import work
from team.models import Heartbeat, ScheduledJob, Team, Work
from team.work import hints, queue, registry
from team.work.registry import Schedule

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers and schedules of a test end with it."""
    handlers: dict[str, Any] = {}
    schedules: dict[str, Any] = {}
    monkeypatch.setattr(registry, "HANDLERS", handlers)
    monkeypatch.setattr(queue, "HANDLERS", handlers)
    monkeypatch.setattr("team.work.running.HANDLERS", handlers)
    monkeypatch.setattr(registry, "SCHEDULES", schedules)
    monkeypatch.setattr("team.work.schedule.SCHEDULES", schedules)


@pytest.fixture
def seen() -> list[Any]:
    """What the job `note` was given, in order."""
    calls: list[Any] = []

    @work.handles("note")
    def note(row: Work) -> None:
        calls.append(row.payload.get("item"))

    return calls


def failing(kind: str = "fails", **options: Any) -> None:
    @work.handles(kind, **options)
    def fail(row: Work) -> None:
        Team.objects.create(name=f"written by {row.pk}")
        raise ValueError("no such luck")


def later(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


# --- Asking for work ------------------------------------------------------------------


def test_work_is_not_recorded_when_its_decision_is_rolled_back(seen):
    with transaction.atomic():
        work.enqueue("note")
        transaction.set_rollback(True)
    assert not Work.objects.exists()


def test_work_nobody_handles_is_refused_at_once():
    with pytest.raises(LookupError, match=r"accounts\.typo"):
        work.enqueue("accounts.typo")


def test_waiting_work_with_the_same_key_is_done_once_with_the_newer_payload(seen):
    first = work.enqueue("note", key="acme", payload={"item": 1}, due_at=later(-5))
    second = work.enqueue("note", key="acme", payload={"item": 2}, due_at=later(500))
    assert first.pk == second.pk
    work.run_due()
    assert seen == [2]


def test_work_without_a_key_is_done_as_often_as_it_was_asked_for(seen):
    work.enqueue("note", payload={"item": 1})
    work.enqueue("note", payload={"item": 1})
    work.run_due()
    assert seen == [1, 1]


def test_work_asked_for_again_while_it_runs_is_done_afterwards():
    runs: list[int] = []

    @work.handles("recompute")
    def recompute(row: Work) -> None:
        runs.append(row.pk)
        if len(runs) == 1:
            work.enqueue("recompute", key="acme")

    work.enqueue("recompute", key="acme")
    assert work.run_due() == 2
    assert len(set(runs)) == 2


def test_rows_with_one_key_never_run_at_the_same_time(seen):
    work.enqueue("note", key="acme")
    running = queue.claim()
    work.enqueue("note", key="acme")
    work.enqueue("note", key="globex")
    assert running is not None
    others = [claimed.key for claimed in iter(queue.claim, None)]
    assert others == ["globex"]


def test_a_storm_of_calls_does_not_cut_the_pause_after_a_failure_short():
    failing()
    work.enqueue("fails", key="acme")
    work.run_due()
    again = work.enqueue("fails", key="acme")
    assert again.attempts == 1
    assert again.due_at > timezone.now()


def test_one_hint_goes_out_per_transaction_however_many_rows_it_adds(
    seen, monkeypatch, settings, django_capture_on_commit_callbacks: Callable[..., Any]
):
    settings.CELERY_BROKER_URL = "redis://unused"
    sent: list[str] = []
    monkeypatch.setattr(hints, "_hinter", type("Hinter", (), {"pid": os.getpid(), "ask": sent.append}))
    with django_capture_on_commit_callbacks(execute=True):
        for item in range(50):
            work.enqueue("note", payload={"item": item})
    assert sent == ["fast"]


# --- Doing it -------------------------------------------------------------------------


def test_work_due_longest_is_done_first_and_work_not_due_waits(seen):
    for item, seconds in (("second", -5), ("first", -9), ("tomorrow", 86_400)):
        work.enqueue("note", payload={"item": item}, due_at=later(seconds))
    assert work.run_due() == 2
    assert seen == ["first", "second"]


def test_a_lane_leaves_the_other_lane_alone(seen):
    work.handles("long", lane="slow")(lambda row: seen.append("long"))
    work.enqueue("long")
    work.enqueue("note", payload={"item": "short"})
    work.run_due("fast")
    assert seen == ["short"]


def test_a_failed_job_leaves_nothing_behind_and_comes_back_after_a_pause():
    failing()
    row = work.enqueue("fails")
    before = timezone.now()
    assert work.run_due() == 1
    row.refresh_from_db()
    assert (row.state, row.attempts) == (Work.State.QUEUED, 1)
    assert before + timedelta(seconds=1) <= row.due_at <= later(2)
    assert row.error_line == "ValueError: no such luck"
    assert not Team.objects.exists()


def test_a_poison_job_ends_among_the_dead_and_the_others_are_done(seen):
    failing(max_attempts=1)
    poison = work.enqueue("fails")
    work.enqueue("note", payload={"item": "the rest"})
    work.run_due()
    poison.refresh_from_db()
    assert poison.state == Work.State.DEAD
    assert seen == ["the rest"]


def test_pauses_grow_to_an_hour_and_no_further():
    for attempt, longest in ((1, 2), (2, 8), (3, 32), (6, 2048), (7, 3600), (50, 3600)):
        assert longest / 2 <= queue.pause(attempt).total_seconds() <= longest


def test_work_of_a_kind_this_release_does_not_know_waits_for_one_that_does():
    Work.objects.create(kind="from.the.future")
    work.run_due()
    row = Work.objects.get()
    assert row.state == Work.State.QUEUED
    assert "No function handles" in row.last_error


def test_a_job_that_takes_too_long_is_stopped_and_its_writes_undone():
    @work.handles("endless", time_limit=1)
    def endless(row: Work) -> None:
        Team.objects.create(name="half done")
        while True:
            try:
                sum(range(1000))
            except Exception:  # however broadly a handler catches errors, it ends
                continue

    row = work.enqueue("endless")
    work.run_due()
    row.refresh_from_db()
    assert "OutOfTimeError: not done after 1 s" in row.error_line
    assert not Team.objects.exists()


def test_what_a_worker_did_after_losing_its_claim_is_undone():
    @work.handles("stolen")
    def stolen(row: Work) -> None:
        Team.objects.create(name="by the late worker")
        Work.objects.filter(pk=row.pk).update(claim_token="1" * 32)  # another worker has it by now

    work.enqueue("stolen")
    work.run_due()
    assert not Team.objects.exists()


def test_a_dead_workers_row_goes_back_when_its_claim_lapses(seen):
    row = work.enqueue("note", payload={"item": 1})
    queue.claim()
    assert work.release_expired(later(0)) == 0
    assert work.release_expired(later(60)) == 1
    row.refresh_from_db()
    assert "died or ran out of time in attempt 1" in row.last_error
    row.due_at = later(-1)
    row.save()
    work.run_due()
    assert seen == [1]


def test_a_job_that_kills_its_worker_every_time_ends_among_the_dead():
    work.handles("murderous", max_attempts=1)(lambda row: None)
    row = work.enqueue("murderous")
    queue.claim()
    work.release_expired(later(60))
    row.refresh_from_db()
    assert row.state == Work.State.DEAD


def test_a_long_time_limit_is_refused_in_the_fast_lane():
    with pytest.raises(ValueError, match="fast lane is 1 to 120 seconds"):
        work.handles("too.long", time_limit=600)


# --- Putting it right -----------------------------------------------------------------


@pytest.fixture
def admin_client() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin@example.com", "irrelevant-here"))
    return client


@pytest.fixture
def dead() -> Work:
    failing(max_attempts=1)
    row = work.enqueue("fails", key="acme")
    work.run_due()
    row.refresh_from_db()
    return row


def act(client: Client, action: str, row: Work) -> None:
    url = reverse("admin:team_work_changelist")
    response = client.post(url, {"action": action, "_selected_action": [row.pk]})
    assert response.status_code == 302
    row.refresh_from_db()


def test_an_admin_replays_dead_work_with_all_its_attempts(admin_client, dead):
    act(admin_client, "replay", dead)
    assert (dead.state, dead.attempts) == (Work.State.QUEUED, 0)


def test_an_admin_cancels_dead_work_for_good(admin_client, dead):
    act(admin_client, "cancel", dead)
    assert dead.state == Work.State.CANCELLED
    assert work.run_due() == 0


def test_replaying_leaves_finished_work_alone(admin_client, seen):
    row = work.enqueue("note")
    work.run_due()
    act(admin_client, "replay", row)
    assert row.state == Work.State.DONE


def test_the_admin_shows_the_error_and_changes_nothing_by_hand(admin_client, dead):
    listed = admin_client.get(reverse("admin:team_work_changelist"), {"q": "acme"})
    assert "ValueError: no such luck" in listed.text
    page = admin_client.get(reverse("admin:team_work_change", args=[dead.pk]))
    assert "Traceback" in page.text
    assert 'name="state"' not in page.text


def test_only_old_finished_work_is_deleted(seen, dead):
    for item, days in ((1, 8), (2, 6)):
        row = work.enqueue("note", payload={"item": item})
        work.run_due()
        Work.objects.filter(pk=row.pk).update(finished_at=timezone.now() - timedelta(days=days))
    Work.objects.filter(pk=dead.pk).update(finished_at=timezone.now() - timedelta(days=400))
    assert work.prune() == 1
    assert list(Work.objects.order_by("pk").values_list("state", flat=True)) == ["dead", "done"]


# --- By the clock ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "now", "slot"),
    [
        ("30 2 * * *", "2026-03-02T12:00", "2026-03-02T02:30"),
        ("30 2 * * *", "2026-03-02T02:29", "2026-03-01T02:30"),
        ("30 2 * * *", "2026-03-02T02:30", "2026-03-02T02:30"),
        ("*/15 * * * *", "2026-03-02T12:44", "2026-03-02T12:30"),
        ("0 6 * * 0", "2026-03-02T12:00", "2026-03-01T06:00"),
        ("0 6 1 * *", "2026-03-31T12:00", "2026-03-01T06:00"),
        ("0 0 29 2 *", "2026-03-02T12:00", "2024-02-29T00:00"),
    ],
)
def test_the_latest_slot_of_a_cron_line(cron, now, slot):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    schedule = Schedule(name="job", kind="note", cron=cron)
    assert schedule.latest_slot(moment) == datetime.fromisoformat(slot).replace(tzinfo=UTC)


@pytest.mark.parametrize("line", ["nightly", "99 2 * * *", "0 2 * *", "0 2 * * 9"])
def test_a_cron_line_that_cannot_be_read_is_refused_at_start(line):
    with pytest.raises(ValueError, match="is no cron line"):
        work.every("job", kind="note", cron=line)


def test_six_hours_off_make_one_catch_up(seen):
    work.every("often", kind="note", seconds=60)
    work.tick(NOON)
    work.run_due()
    assert work.tick(NOON + timedelta(hours=6)) == 1
    assert work.tick(NOON + timedelta(hours=6, seconds=1)) == 0


def test_slots_that_pass_while_the_worker_is_down_pile_up_no_rows(seen):
    work.every("often", kind="note", seconds=60)
    for minute in range(30):
        work.tick(NOON + timedelta(minutes=minute))
    assert Work.objects.count() == 1


def test_a_nightly_job_first_seen_at_noon_waits_for_the_night(seen):
    work.every("nightly", kind="note", cron="0 3 * * *")
    assert work.tick(NOON) == 0
    assert work.tick(NOON + timedelta(hours=15)) == 1


def test_a_scheduler_that_read_an_old_slot_does_not_enqueue_it_again(seen, monkeypatch):
    work.every("often", kind="note", seconds=60)
    work.tick(NOON)
    stale = dict(ScheduledJob.objects.values_list("name", "last_slot_at"))
    work.tick(NOON + timedelta(minutes=1))
    monkeypatch.setattr(ScheduledJob.objects, "values_list", lambda *fields: stale.items(), raising=False)
    assert work.tick(NOON + timedelta(minutes=1)) == 0


def test_the_heartbeat_is_written_once_in_ten_seconds():
    for second in range(25):
        Heartbeat.beat("x", NOON + timedelta(seconds=second), unless_within=timedelta(seconds=10))
    assert Heartbeat.objects.get().beat_at == NOON + timedelta(seconds=20)


# --- Many at once ---------------------------------------------------------------------


@pytest.fixture
def second_connection() -> Iterator[Any]:
    """Another request's connection to the same PostgreSQL database."""
    other = connection.copy()
    yield other
    other.close()


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_request_does_not_wait_for_another_that_enqueued_the_same_key(seen, second_connection):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    columns = (
        "kind, key, payload, lane, state, due_at, attempts, max_attempts, claimed_by, last_error, created_at"
    )
    with second_connection.cursor() as cursor:  # an import, in the middle of a long transaction
        cursor.execute("BEGIN")
        cursor.execute(
            f"INSERT INTO team_work ({columns}) VALUES"
            " ('note', 'acme', '{\"item\": 1}', 'fast', 'queued', now(), 0, 8, '', '', now())"
        )
        work.enqueue("note", key="acme", payload={"item": 2})  # would time out after 2 s if it waited
        work.run_due()
        cursor.execute("COMMIT")
    work.run_due()
    assert seen == [2, 1]
