"""Databases for benchmarks: made for a run, removed after it; yours are never touched."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import psycopg

Environment = dict[str, str]
# Lets the database's planner know the tables, as it would after a night.
ANALYSE = "from django.db import connection; connection.cursor().execute('ANALYZE')"


def kind() -> str:
    """Return what the benchmarks run on, in words."""
    url = os.environ.get("DATABASE_URL", "")
    return "PostgreSQL" if url.startswith(("postgres:", "postgresql:")) else "SQLite"


@contextmanager
def empty_database() -> Iterator[Environment]:
    """Make a database with all tables and no rows; give the environment in which we work on it.

    On SQLite it is a file in a temporary runtime folder; where DATABASE_URL names a PostgreSQL, a
    database of its own on that server, whose role must be allowed to make one.
    """
    with tempfile.TemporaryDirectory(prefix="csplatform-bench-") as folder:
        environment = {**os.environ, "CSPLATFORM_VAR": folder, "REDIS_URL": ""}
        if kind() == "PostgreSQL":
            with _postgres_database(os.environ["DATABASE_URL"]) as url:
                environment["DATABASE_URL"] = url
                manage(environment, "migrate", "--noinput", "--verbosity", "0")
                yield environment
        else:
            environment.pop("DATABASE_URL", None)
            manage(environment, "migrate", "--noinput", "--verbosity", "0")
            yield environment


@contextmanager
def company(accounts: int) -> Iterator[Environment]:
    """Make a database with an invented company (see `manage.py demo_data --light`) after its first night.

    The night works out scores and stores the KPIs of the last year.
    """
    with empty_database() as environment:
        manage(environment, "demo_data", "--accounts", str(accounts), "--light", "--no-scores")
        run_code(environment, ANALYSE)
        # Two months of weekly scores: enough for a history on the page of an account.
        manage(environment, "recompute", "--from", weeks_ago(9), "--step", "week")
        run_code(
            environment,
            "from django.utils import timezone; from csplatform.periods import day_of;"
            " from metrics import rollups, snapshots; rollups.plan(day_of(timezone.now()));"
            " rollups.refresh(rows=rollups.due_now); snapshots.say_all(timezone.now())",
        )
        run_code(environment, ANALYSE)
        yield environment


def weeks_ago(weeks: int) -> str:
    return (datetime.now(UTC).date() - timedelta(weeks=weeks)).isoformat()


def run_code(environment: Environment, code: str) -> None:
    manage(environment, "shell", "--no-imports", "-c", code)


def manage(environment: Environment, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "manage.py", *arguments], env=environment, stdout=sys.stderr)
    if done.returncode:
        raise SystemExit(f"manage.py {arguments[0]} failed.")


@contextmanager
def _postgres_database(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    name = f"csplatform_bench_{secrets.token_hex(4)}"
    # An empty database is all we need of the server; ours is reached by the same role.
    server = urlunsplit(parts._replace(scheme="postgresql"))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
