"""The importer against the bare load of the very same rows.

The ceiling: what an import left behind (facts, ledger, history, roll-ups) is read out, deleted and put
back with COPY, in one transaction, into the same tables with all their indexes and constraints; on
SQLite, which has no COPY, with executemany. It reads no CSV, checks nothing, finds nothing that is
there already and works nothing out. Foreign keys are checked when it commits, as in ours.

The ratio is that of the processor's time, ours and the database's, which other users of the machine
change least; the rates are those on the clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction

from accounts.models import DueAccount
from benchmarks.figures import Figure, Options, duration, rate, share
from benchmarks.files import FILES, write
from benchmarks.processor import seconds_worked
from intake.models import ImportedAccount

ROWS, QUICK_ROWS = 100_000, 5_000
PART = 10  # the small file, for memory, is a tenth of the large one
LEAST_SHARE = 0.2
FLAT_WITHIN_MB = 16.0
SQLITE_CACHE_MB = 64.0  # of settings.py: a large file fills what a small one leaves empty
FACTS = ("accounts", "usage")
BOOKKEEPING = (DueAccount, ImportedAccount)  # says what is to be done, not what we know


def run(options: Options) -> Iterator[Figure]:
    rows = QUICK_ROWS if options.is_quick else ROWS
    # The small files first: each kind's memory at both sizes, then the large ones in one database.
    small = {kind: _import(kind, rows // PART, options.folder, "small") for kind in FILES}
    for kind in FILES:
        before = _newest()
        ours = _import(kind, rows, options.folder, "large")
        yield _speed(kind, ours, _bare_load(before))
        yield _memory(kind, small[kind], ours)


@dataclass(frozen=True)
class Imported:
    rows: int
    seconds: float
    worked: float
    memory_mb: float


def _import(kind: str, rows: int, folder: Path, source: str) -> Imported:
    path = write(kind, rows, folder)
    command = [sys.executable, "-m", "benchmarks.one_import", kind, str(path), source]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    path.unlink()
    return Imported(**json.loads(done.stdout))


def _speed(kind: str, ours: Imported, bare: Bare) -> Figure:
    part = bare.worked / ours.worked
    how = "COPY" if connection.vendor == "postgresql" else "executemany"
    return Figure(
        what=f"import {kind}, {ours.rows:,} rows",
        measured=f"{rate(ours.rows, ours.seconds)}, processor {duration(ours.worked)}",
        ceiling=(
            f"{rate(ours.rows, bare.seconds)}, processor {duration(bare.worked)}: "
            f"{how}, {bare.rows / ours.rows:.1f} stored rows each"
        ),
        ratio=share(part),
        target=f"≥ {share(LEAST_SHARE)}",
        is_met=part >= LEAST_SHARE,
    )


def _memory(kind: str, small: Imported, large: Imported) -> Figure:
    more = large.memory_mb - small.memory_mb
    allowed, why = FLAT_WITHIN_MB, ""
    if connection.vendor == "sqlite":
        allowed, why = FLAT_WITHIN_MB + SQLITE_CACHE_MB, ", SQLite's cache included"
    return Figure(
        what=f"memory of import {kind}, {large.rows:,} rows",
        measured=f"{large.memory_mb:.0f} MB",
        ceiling=f"{small.memory_mb:.0f} MB: a file of {small.rows:,} rows",
        ratio=f"{more:+.0f} MB",
        target=f"≤ +{allowed:.0f} MB{why}",
        is_met=more <= allowed,
    )


# --- The ceiling ----------------------------------------------------------------------


@dataclass(frozen=True)
class Bare:
    rows: int
    seconds: float
    worked: float


def _tables() -> list[type[models.Model]]:
    facts = [model for name in FACTS for model in apps.get_app_config(name).get_models()]
    return [model for model in facts if model not in BOOKKEEPING]


def _newest() -> dict[type[models.Model], int]:
    """Return the highest key of each table of facts."""
    return {
        model: model._default_manager.aggregate(newest=models.Max("pk"))["newest"] or 0 for model in _tables()
    }


def _bare_load(before: dict[type[models.Model], int]) -> Bare:
    """Read out what came after `before`, delete it, and put it back as fast as the database can."""
    tables = [
        (model._meta.db_table, [str(field.column) for field in model._meta.concrete_fields], before[model])
        for model, newest in _newest().items()
        if newest > before[model]
    ]
    with connection.cursor() as cursor:
        kept = [(table, columns, _read(cursor, table, columns, after)) for table, columns, after in tables]
    with transaction.atomic(), connection.cursor() as cursor:
        for model in BOOKKEEPING:
            cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
        for table, _, after in reversed(tables):
            cursor.execute(f'DELETE FROM "{table}" WHERE id > {after}')
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    started, worked = time.perf_counter(), seconds_worked()
    with transaction.atomic(), connection.cursor() as cursor:
        rows = sum(_load(cursor, table, columns, data) for table, columns, data in kept)
    return Bare(rows, time.perf_counter() - started, seconds_worked() - worked)


def _read(cursor: Any, table: str, columns: list[str], after: int) -> Any:
    names = ", ".join(f'"{name}"' for name in columns)
    query = f'SELECT {names} FROM "{table}" WHERE id > {after} ORDER BY id'
    if connection.vendor == "postgresql":
        with cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            return list(copy)
    cursor.execute(query)
    return cursor.fetchall()


def _load(cursor: Any, table: str, columns: list[str], data: Any) -> int:
    names = ", ".join(f'"{name}"' for name in columns)
    if connection.vendor == "postgresql":
        with cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
            for part in data:
                copy.write(part)
        return int(cursor.rowcount)
    marks = ", ".join(["%s"] * len(columns))
    cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', data)
    return len(data)
