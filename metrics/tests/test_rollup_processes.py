"""Stored figures while several workers work them out, facts keep coming, and workers are killed.

It shows that no such mix leaves something wrong behind. A single race is met by chance here, if at
all; test_rollups has them one by one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from django.conf import settings

from team.tests.installation import Installation, installation

KILLS = 4


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("rolling"), REDIS_URL="") as made:
        made.python("-m", "metrics.tests.rolling", "plan")
        yield made


def start(ours: Installation, role: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "metrics.tests.rolling", role]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=settings.BASE_DIR, env=ours.env, stdout=pipe, stderr=pipe, text=True)


def worker(ours: Installation) -> subprocess.Popen[str]:
    """Start one, and return it when it has begun to work."""
    started = start(ours, "work")
    assert started.stdout is not None
    started.stdout.readline()
    return started


def output(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out


def test_what_is_stored_is_right_at_every_moment_whoever_is_killed(ours: Installation) -> None:
    writer, judge = start(ours, "write"), start(ours, "judge")
    workers = [worker(ours), worker(ours)]
    for number in range(KILLS):
        time.sleep(0.15 * (number + 1))
        oldest = workers.pop(0)
        oldest.kill()
        oldest.communicate()
        workers.append(worker(ours))
    (ours.folder / "quiet").touch()
    assert int(output(writer)) > 1, "no facts came meanwhile"
    judged = json.loads(output(judge))
    (ours.folder / "stop").touch()
    for survivor in workers:
        output(survivor)
    assert judged["wrong"] == []
    found = "from metrics.verifying import differences\nprint(json.dumps(list(differences())))"
    assert ours.shell(found) == []
