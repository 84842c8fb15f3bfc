"""An installation of its own for tests with real processes: database, folder, environment.

On SQLite it is a file; where the suite runs on PostgreSQL, a database beside the suite's.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

CREATE_EFFECTS = "CREATE TABLE effect (kind varchar(100) NOT NULL, item integer NOT NULL)"


@dataclass
class Installation:
    folder: Path
    env: dict[str, str]

    def python(self, *arguments: str) -> str:
        """Run Python in this installation and return what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=settings.BASE_DIR,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, code: str) -> Any:
        """Run code that has Django and `work` at hand and prints JSON."""
        start = (
            "import django, json, time; django.setup()\nfrom team import work\nfrom team.models import *\n"
        )
        return json.loads(self.python("-c", start + code) or "null")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        code = (
            "from django.db import connection\nwith connection.cursor() as cursor:\n"
            f"    cursor.execute({statement!r})\n"
            "    print(json.dumps(cursor.fetchall() if cursor.description else [], default=str))"
        )
        return [tuple(row) for row in self.shell(code)]


@contextmanager
def installation(folder: Path, **extra: str) -> Iterator[Installation]:
    env = {
        **os.environ,
        "CSPLATFORM_VAR": str(folder),
        "DJANGO_SETTINGS_MODULE": "team.tests.worker_settings",
        "WORK_LEASE_SECONDS": "1",
        "PORT": str(free_port()),
        **extra,
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    with _database(folder) as url:
        env["DATABASE_URL"] = url
        ours = Installation(folder, env)
        ours.python("manage.py", "migrate", "--verbosity", "0")
        ours.sql(CREATE_EFFECTS)
        yield ours


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    if settings.IS_SQLITE:
        yield f"sqlite:///{folder / 'db.sqlite3'}"
        return
    import psycopg

    url = os.environ["DATABASE_URL"]
    name = f"work_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
