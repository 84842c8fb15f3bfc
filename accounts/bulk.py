"""Updating many rows that each get values of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, models


def update_rows(rows: Sequence[models.Model], names: Iterable[str]) -> None:
    """Write the named fields of stored rows, one prepared statement for all of them.

    `QuerySet.bulk_update` builds a CASE for every row and field and takes several times
    longer (benchmarks/README.md). Signals are not sent, `save()` is not called.
    """
    fields = [rows[0]._meta.get_field(name) for name in names] if rows else []
    if not fields:
        return
    quote = connection.ops.quote_name
    table = rows[0]._meta.db_table
    key = rows[0]._meta.pk
    columns = ", ".join(f"{quote(field.column)} = %s" for field in fields)  # type: ignore[union-attr]
    statement = f"UPDATE {quote(table)} SET {columns} WHERE {quote(key.column)} = %s"

    def values(row: models.Model) -> list[Any]:
        found = [
            field.get_db_prep_save(getattr(row, field.attname), connection)  # type: ignore[union-attr]
            for field in fields
        ]
        return [*found, row.pk]

    with connection.cursor() as cursor:
        cursor.executemany(statement, [values(row) for row in rows])
