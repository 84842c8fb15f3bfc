"""The queue's promises, kept by real processes that are really killed."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from team.tests.installation import Installation, free_port, installation


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("work"), REDIS_URL="") as made:
        yield made


def test_no_work_is_lost_or_done_twice_when_workers_are_killed(ours: Installation):
    result = json.loads(ours.python("-m", "team.tests.forks", "kill", "extra.once", "400", "60"))
    assert result["retried"] > 0, "no kill hit a worker in the middle of its work"
    assert (result["effects"], result["items"], result["done"]) == (400, 400, 400)


def test_work_outside_a_transaction_is_never_lost_when_workers_are_killed(ours: Installation):
    result = json.loads(ours.python("-m", "team.tests.forks", "kill", "extra.repeatable", "200", "30"))
    assert (result["items"], result["done"]) == (200, 200)


def test_schedulers_beside_each_other_make_one_row_for_each_slot(ours: Installation):
    result = json.loads(ours.python("-m", "team.tests.forks", "tick", "3", "4"))
    assert result["rows"] == result["slots"]
    assert 3 <= result["slots"] <= 6


@pytest.fixture
def silent_broker() -> Iterator[int]:
    """A port that accepts every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in held:
            connection.close()


ENQUEUE_TIMED = """
start = time.monotonic()
for item in range(5):
    work.enqueue("extra.repeatable", payload={"item": 1000 + item})
print(json.dumps(time.monotonic() - start))
"""


def test_a_broker_that_never_answers_keeps_nobody_waiting(ours: Installation, silent_broker: int):
    deaf = Installation(ours.folder, {**ours.env, "REDIS_URL": f"redis://127.0.0.1:{silent_broker}/0"})
    assert deaf.shell(ENQUEUE_TIMED) < 2


def test_a_broker_that_is_gone_keeps_nobody_waiting(ours: Installation):
    gone = Installation(ours.folder, {**ours.env, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"})
    assert gone.shell(ENQUEUE_TIMED) < 2


def test_readiness_names_a_broker_that_never_answers_within_two_seconds(
    ours: Installation, silent_broker: int
):
    deaf = Installation(ours.folder, {**ours.env, "REDIS_URL": f"redis://127.0.0.1:{silent_broker}/0"})
    seconds, states = deaf.shell(
        "from team import readiness\nstart = time.monotonic()\n"
        "states = {check.name: check.state for check in readiness.checks()}\n"
        "print(json.dumps([time.monotonic() - start, states]))"
    )
    assert seconds < 2
    assert (states["broker"], states["database"]) == ("failed", "ok")
