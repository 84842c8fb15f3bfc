"""Mail, against a real server: sent once, refused, put off, or perhaps sent; never twice, never lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as ours
from django.core.mail import BadHeaderError
from django.urls import reverse
from django.utils import timezone

from team import mail
from team.mail import Letter, NotWantedError
from team.models import Mail, User, Work
from team.tests.installation import free_port, installation
from team.tests.smtp import Server
from team.work import run_due


def make_user(name: str, role: str = User.Role.CSM, **fields) -> User:
    return User.objects.create_user(f"{name.lower()}@example.com", name=name, role=role, **fields)


@pytest.fixture
def server(settings) -> Iterator[Server]:
    with Server() as running:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", running.port, 5
        yield running


@pytest.fixture
def ada(db) -> User:
    return make_user("Ada")


@pytest.fixture(autouse=True)
def greetings(monkeypatch) -> None:
    def greet(row: Mail) -> Letter:
        return Letter(f"Hello {row.payload['n']}", "Good morning.", "<p>Good morning.</p>")

    monkeypatch.setitem(mail.COMPOSERS, "greeting", greet)


def decide(user: User, n: int = 1) -> Mail:
    mail.send_later("greeting", f"n:{n}", user=user, payload={"n": n})
    return Mail.objects.get(key=f"n:{n}")


def work_on() -> None:
    """Let the queue's pauses pass, then do what is due."""
    Work.objects.filter(state="queued").update(due_at=timezone.now() - timedelta(seconds=1))
    run_due("fast")


def state(row: Mail) -> str:
    row.refresh_from_db()
    return row.state


def test_a_mail_arrives_as_text_and_html_and_is_done(server, ada):
    row = decide(ada)
    work_on()
    assert state(row) == "sent"
    (got,) = server.received
    assert (got["To"], got["Subject"]) == ("ada@example.com", "Hello 1")
    assert got["Message-ID"].startswith(f"<mail-{row.pk}@")
    assert [part.get_content_type() for part in got.get_payload()] == ["text/plain", "text/html"]


def test_the_same_decision_sends_one_mail_however_often_it_is_made(server, ada):
    assert mail.send_later("greeting", "n:1", user=ada, payload={"n": 1})
    assert not mail.send_later("greeting", "n:1", user=ada, payload={"n": 1})
    work_on()
    assert not mail.send_later("greeting", "n:1", user=ada, payload={"n": 1})
    work_on()
    assert len(server.received) == 1


@pytest.mark.parametrize("step", ["to_rcpt", "to_data"])
def test_come_back_later_is_tried_again(server, ada, step):
    setattr(server, step, ["451 Greylisted", "250 OK"])
    row = decide(ada)
    work_on()
    assert (state(row), server.received) == ("queued", [])
    assert "451" in row.last_error
    assert Work.objects.get(kind="team.send_mail").due_at > timezone.now(), "with a pause"
    work_on()
    assert (state(row), len(server.received)) == ("sent", 1)


@pytest.mark.parametrize("step", ["to_rcpt", "to_data"])
def test_a_refusal_is_kept_with_its_words_and_not_tried_again(server, ada, step):
    setattr(server, step, ["550 No such person"])
    row = decide(ada)
    work_on()
    assert state(row) == "failed"
    assert "No such person" in row.last_error
    work_on()
    assert server.received == []
    assert row.attempts == 1


def test_a_line_that_breaks_after_the_mail_was_handed_over_leaves_it_uncertain_for_good(server, ada):
    server.to_data = ["hang up", "250 OK"]
    row = decide(ada)
    for _ in range(3):
        work_on()
    assert (state(row), len(server.received)) == ("uncertain", 1)
    assert mail.send_again(row), "only when a person decides it"
    work_on()
    assert (state(row), len(server.received)) == ("sent", 2)


def test_a_server_that_is_not_there_is_tried_again(settings, ada):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    row = decide(ada)
    work_on()
    assert state(row) == "queued"
    assert "not reached" in row.last_error


def test_after_the_last_attempt_it_counts_as_failed(server, ada):
    server.to_rcpt = ["451 Greylisted"]
    row = decide(ada)
    for _ in range(8):
        work_on()
    assert state(row) == "failed"
    assert not Work.objects.filter(state__in=["queued", "dead"]).exists()


def test_who_died_while_sending_leaves_it_uncertain_and_who_died_before_costs_nothing(server, ada):
    before, during = decide(ada, 1), decide(ada, 2)
    Mail.objects.filter(pk=before.pk).update(state="claimed")
    Mail.objects.filter(pk=during.pk).update(state="sending")
    work_on()
    assert (state(before), state(during)) == ("sent", "uncertain")
    assert [got["Subject"] for got in server.received] == ["Hello 1"]


def test_a_worker_that_was_overtaken_sends_nothing(server, ada, monkeypatch):
    row = decide(ada)

    def greet_slowly(each: Mail) -> Letter:
        Mail.objects.filter(pk=each.pk).update(claim_token="00000000-0000-0000-0000-000000000001")
        return Letter("Late", "Late.")

    monkeypatch.setitem(mail.COMPOSERS, "greeting", greet_slowly)
    mail.deliver(row.pk, is_last_attempt=False)
    assert (state(row), server.received) == ("claimed", [])


def test_what_is_no_longer_wanted_is_dropped_with_its_reason(server, ada, monkeypatch):
    off, gone = decide(make_user("Grace", is_active=False), 1), decide(ada, 2)

    def refuse(row: Mail) -> Letter:
        raise NotWantedError("The dashboard was deleted.")

    monkeypatch.setitem(mail.COMPOSERS, "greeting", refuse)
    work_on()
    assert (state(off), state(gone)) == ("dropped", "dropped")
    assert (off.last_error, gone.last_error) == (
        "The recipient is switched off.",
        "The dashboard was deleted.",
    )
    assert server.received == []


def test_an_error_in_writing_one_mail_stops_no_other(server, ada, monkeypatch):
    def greet(row: Mail) -> Letter:
        if row.payload["n"] == 1:
            raise ZeroDivisionError
        return Letter("Fine", "Fine.")

    monkeypatch.setitem(mail.COMPOSERS, "greeting", greet)
    bad, good = decide(ada, 1), decide(ada, 2)
    work_on()
    assert (state(bad), state(good)) == ("queued", "sent")


def test_line_breaks_in_a_subject_make_no_further_headers(server, ada, monkeypatch):
    monkeypatch.setitem(mail.COMPOSERS, "greeting", lambda row: Letter("Hi\r\nBcc: eve@example.com", "x"))
    decide(ada)
    work_on()
    (got,) = server.received
    assert (got["Subject"], got["Bcc"]) == ("Hi Bcc: eve@example.com", None)
    assert mail._outcome(BadHeaderError("x")) == "refused"


def test_an_admin_sends_the_uncertain_again_and_edits_none(client, server, ada):
    row = decide(ada)
    Mail.objects.update(state="uncertain")
    client.force_login(make_user("Alan", User.Role.ADMIN))
    listed = reverse("admin:team_mail_changelist")
    assert client.get(listed).status_code == 200
    client.post(listed, {"action": "send_again", "_selected_action": [row.pk]})
    assert state(row) == "queued"
    assert client.get(reverse("admin:team_mail_add")).status_code == 403
    assert client.post(reverse("admin:team_mail_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_nobody_gets_it_twice_and_none_is_lost_when_workers_are_killed(tmp_path: Path):
    """120 mails, 30 kills. Whatever was not certainly sent is listed; whatever is "sent" arrived."""
    port, file = free_port(), tmp_path / "received"
    file.touch()
    command = [sys.executable, "-m", "team.tests.smtp", str(port), str(file)]
    with subprocess.Popen(command, cwd=ours.BASE_DIR, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            url = f"smtp://127.0.0.1:{port}"
            with installation(tmp_path, REDIS_URL="", EMAIL_URL=url) as made:
                result = json.loads(made.python("-m", "team.tests.forks", "mail", "120", "30"))
        finally:
            server.kill()
    arrived = Counter(int(line.split("-")[1].split("@")[0]) for line in file.read_text().split())
    states = {int(pk): state for pk, state in result["states"].items()}
    assert len(states) == 120
    assert max(arrived.values()) == 1, "somebody got it twice"
    assert set(states.values()) <= {"sent", "uncertain"}
    assert {pk for pk, state in states.items() if state == "sent"} <= set(arrived)
    assert set(arrived) <= set(states)
    assert result["retried"] > 0, "no kill hit a worker in the middle of its work"
