"""Web, worker and scheduler as one foreground process tree."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from team import broker
from team.supervisor import CannotStartError, Child, Supervisor

# The lanes of work, how many processes each has, and how far they step back for those who look at pages.
LANES = (("fast", 2, 0), ("slow", 1, 10))


class Command(BaseCommand):
    help = "Run web server, workers and scheduler together, with a broker of our own if none is given."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=int(settings.PORT), help="default: PORT, or 8000")
        parser.add_argument("--workers", type=int, default=2, help="web processes (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError("--workers: one or more are needed.")
        supervisor = Supervisor(cwd=settings.BASE_DIR, out=sys.stdout)
        try:
            self._serve(supervisor, options["host"], options["port"], options["workers"])
        except CannotStartError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            pass  # before the supervisor listens to signals itself
        supervisor.say("serve", "stopped")

    def _serve(self, supervisor: Supervisor, host: str, port: int, workers: int) -> None:
        with _only_one(settings.VAR_DIR), _listening(host, port) as listener:
            _check_database()
            if not (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
                supervisor.say("serve", "preparing the static files, this once")
                # Redoc is the largest file of all, comes with drf-spectacular, and is on no page.
                call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["redoc"])
            folder = None
            try:
                broker_url, folder = self._start_broker(supervisor)
                env = _environment(port, broker_url)
                for child in _children(listener, workers, env, has_broker=bool(broker_url)):
                    supervisor.start(child)
                threading.Thread(target=_announce, args=(supervisor, host, port), daemon=True).start()
                supervisor.run()
            finally:
                supervisor.stop()
                if folder is not None and folder.parent != settings.VAR_DIR:
                    shutil.rmtree(folder, ignore_errors=True)

    def _start_broker(self, supervisor: Supervisor) -> tuple[str, Path | None]:
        """Return the broker's URL, "" without one, and the folder of its socket if it is ours."""
        if settings.REDIS_URL:
            return settings.REDIS_URL, None
        server = broker.find_server()
        if server is None:
            supervisor.say("serve", "no Valkey or Redis here: the workers look at the database themselves")
            return "", None
        folder = settings.VAR_DIR / "broker"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = broker.socket_path(folder)
        child = Child(
            "broker",
            broker.command(server, folder=folder, socket=path),
            stops_last=True,
            before_restart=lambda failures: broker.forget(folder) if failures > 1 else None,
        )
        url = f"unix://{path}?db=0"
        for _ in range(2):
            supervisor.start(child)
            if _becomes_true(lambda: broker.answers(url), unless=lambda: not child.is_running):
                return url, path.parent
            broker.forget(folder)  # a damaged file is the likeliest reason, and holds wake-ups only
        supervisor.stop()
        supervisor.children.remove(child)
        supervisor.say("serve", "the broker does not start: the workers look at the database themselves")
        return "", path.parent


def _announce(supervisor: Supervisor, host: str, port: int) -> None:
    here = "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104  compared, not listened on
    if _becomes_true(lambda: _web_answers(here, port), unless=lambda: supervisor.stopping, seconds=120):
        name = f"[{here}]" if ":" in here else here
        supervisor.say("serve", f"http://{name}:{port} (Ctrl-C stops everything)")


def _children(listener: socket.socket, workers: int, env: dict[str, str], *, has_broker: bool) -> list[Child]:
    python, celery = sys.executable, [sys.executable, "-m", "celery", "-A", "csplatform", "--quiet"]
    quiet_worker = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    web = [
        *(python, "-m", "gunicorn", "csplatform.wsgi", "--bind", f"fd://{listener.fileno()}"),
        *("--worker-class", "gthread", "--workers", str(workers), "--threads", "8"),
        *("--timeout", "60", "--graceful-timeout", "5", "--log-level", "warning", "--no-control-socket"),
    ]
    children = [Child("web", web, env, pass_fds=(listener.fileno(),))]
    if not has_broker:
        return children + [
            Child(lane, [python, "manage.py", "work", "--lane", lane], env, niceness=niceness)
            for lane, _, niceness in LANES
        ]
    for lane, processes, niceness in LANES:
        queue = ["-Q", lane, "-n", f"{lane}@%h", "--concurrency", str(processes)]
        children.append(Child(lane, [*celery, "worker", *queue, *quiet_worker], env, niceness=niceness))
    # The plain scheduler keeps no file: what was last run is in the database.
    beat = [*celery, "beat", "--scheduler", "celery.beat:Scheduler", "--loglevel", "WARNING"]
    return [*children, Child("scheduler", beat, env)]


def _environment(port: int, broker_url: str) -> dict[str, str]:
    env = {"PORT": str(port), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""}
    return {**env, "REDIS_URL": broker_url} if broker_url else env


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two trees in one runtime folder would take each other's broker away."""
    with (folder / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"This installation is being served already, by process {lock.read().strip() or '?'}."
                " Stop that one, or give this one a folder of its own with CSPLATFORM_VAR."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the web server's socket here, so that callers wait instead of failing while it restarts."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        # Python adds the address once more to the words of a bind() that failed.
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        raise CommandError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another with PORT= or --port."
        ) from error
    with listener:
        yield listener


def _check_database() -> None:
    try:
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError as error:
        raise CommandError(f"The database cannot be reached: {str(error).strip()}") from error
    finally:
        connection.close()
    if is_behind:
        raise CommandError("The database is not up to date: run `python manage.py migrate` first.")


def _becomes_true(question: Callable[[], bool], *, unless: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not unless():
        if question():
            return True
        time.sleep(0.1)
    return False


def _web_answers(host: str, port: int) -> bool:
    """Any answer will do: a redirect to https, or a refusal of this host name, shows it is up."""
    caller = http.client.HTTPConnection(host, port, timeout=5)
    try:
        caller.request("GET", "/healthz")
        return bool(caller.getresponse().status)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        caller.close()
