"""Inserting and updating many rows that each get values of their own.

Django's bulk_create and bulk_update work out each value of each row by way of an SQL compiler,
which is most of the time that an import takes. Here the columns are prepared once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import connection, connections, models


def update_rows(rows: Sequence[models.Model], names: Iterable[str]) -> None:
    """Write the named fields of stored rows, one prepared statement for all of them.

    `QuerySet.bulk_update` builds a CASE for every row and field and takes several times
    longer. Signals are not sent, `save()` is not called.
    """
    fields: list[Any] = [rows[0]._meta.get_field(name) for name in names] if rows else []
    if not fields:
        return
    quote = connection.ops.quote_name
    table = rows[0]._meta.db_table
    key: Any = rows[0]._meta.pk
    columns = ", ".join(f"{quote(field.column)} = %s" for field in fields)
    statement = f"UPDATE {quote(table)} SET {columns} WHERE {quote(key.column)} = %s"

    prepared = [(field.attname, _preparer(field)) for field in fields]

    def values(row: models.Model) -> list[Any]:
        found = [
            getattr(row, name) if prepare is None else prepare(getattr(row, name))
            for name, prepare in prepared
        ]
        return [*found, row.pk]

    with connection.cursor() as cursor:
        cursor.executemany(statement, [values(row) for row in rows])


_AS_THEY_ARE = (
    models.AutoField,
    models.BooleanField,
    models.CharField,
    models.ForeignKey,
    models.IntegerField,
    models.TextField,
)


def _preparer(field: Any) -> Callable[[Any], Any] | None:
    """Return what turns a value into the driver's, or None where it is that already."""
    if isinstance(field, _AS_THEY_ARE):
        return None
    database = connections[connection.alias]  # not the proxy, which looks itself up for each value
    if isinstance(field, models.JSONField):  # its None may be JSON's own
        return lambda value: field.get_db_prep_save(value, database)
    return lambda value: None if value is None else field.get_db_prep_save(value, database)


def _take_keys(table: str, column: str, count: int) -> Sequence[int]:
    """Return primary keys that nobody else will use."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
                [quote(table), column, count],
            )
            return [row[0] for row in cursor.fetchall()]
        # The transaction holds SQLite's only writer; an explicit key moves the sequence along.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        row = cursor.fetchone()
        first = (row[0] if row else 0) + 1
        return range(first, first + count)


def insert_rows(model: type[models.Model], rows: Sequence[Any]) -> None:
    """Store new rows inside the caller's transaction and set their primary keys.

    Signals are not sent, `save()` is not called; constraints hold as ever.
    """
    if not rows:
        return
    fields = model._meta.concrete_fields
    key: Any = model._meta.pk
    if isinstance(model._meta.pk, models.AutoField):
        for row, pk in zip(rows, _take_keys(model._meta.db_table, key.column, len(rows)), strict=True):
            row.pk = pk
    prepared = [(field.attname, _preparer(field)) for field in fields]
    plain = [name for name, prepare in prepared if prepare is None]
    others = [(name, prepare) for name, prepare in prepared if prepare is not None]
    column_of = {field.attname: field.column for field in fields}
    columns = [str(column_of[name]) for name in [*plain, *(name for name, _ in others)]]
    values = (
        [*(getattr(row, name) for name in plain), *(prepare(getattr(row, name)) for name, prepare in others)]
        for row in rows
    )
    quote = connection.ops.quote_name
    target = f"{quote(model._meta.db_table)} ({', '.join(map(quote, columns))})"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {target} FROM STDIN") as copy:
                for row_values in values:
                    copy.write_row(row_values)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {target} VALUES ({marks})", list(values))
    for row in rows:
        row._state.adding = False
        row._state.db = connection.alias
