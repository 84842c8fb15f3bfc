"""Takes rows and puts them into the database in bulk: COPY on PostgreSQL, executemany on SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models

Row = tuple[Any, ...]


class Sheet:
    """Rows of one table that wait to be written; hands out their ids."""

    def __init__(self, model: type[models.Model], columns: str) -> None:
        self.model = model
        self.rows: list[Row] = []
        self.written = 0
        fields = {field.name: field for field in model._meta.concrete_fields}
        given = [fields.pop(name) for name in ("id", *columns.split())]
        rest = list(fields.values())
        # What the demo says nothing about gets the default of the model.
        self.defaults: Row = tuple(f.get_db_prep_save(f.get_default(), connection) for f in rest)
        self.columns = [str(f.column) for f in (*given, *rest)]
        newest = model._default_manager.aggregate(newest=models.Max("pk"))["newest"]
        self.next_id: int = (newest or 0) + 1

    def add(self, *values: Any) -> int:
        """Keep a row for writing and return its id; `values` are in the order of the columns."""
        pk = self.next_id
        self.next_id = pk + 1
        self.rows.append((pk, *values, *self.defaults))
        return pk


class Writer:
    """All sheets of a run."""

    def __init__(self) -> None:
        self.sheets: list[Sheet] = []

    def sheet(self, model: type[models.Model], columns: str) -> Sheet:
        sheet = Sheet(model, columns)
        self.sheets.append(sheet)
        return sheet

    def flush(self) -> None:
        """Write what waits, in the caller's transaction. Foreign keys are checked when that ends."""
        for sheet in self.sheets:
            if sheet.rows:
                _insert(sheet.model._meta.db_table, sheet.columns, sheet.rows)
                sheet.written += len(sheet.rows)
                sheet.rows.clear()

    def reset_sequences(self) -> None:
        """Let PostgreSQL count on after the ids that we gave ourselves."""
        _execute(connection.ops.sequence_reset_sql(no_style(), [sheet.model for sheet in self.sheets]))

    def analyze(self) -> None:
        """Let PostgreSQL look at what its tables hold now: it would go on planning for empty ones."""
        if connection.vendor == "postgresql":
            _execute([f'ANALYZE "{sheet.model._meta.db_table}"' for sheet in self.sheets])


def _execute(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _insert(table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows)
