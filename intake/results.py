"""What an import leaves behind for people: its rejected and its repaired rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from intake.models import RowNote

_DANGEROUS = tuple("=+-@\t\r＝＋－＠")


def harmless(text: str) -> str:
    """Return text that a spreadsheet shows instead of running; numbers stay numbers.

    >>> harmless("=1+1"), harmless("-12.50"), harmless("plain")
    ("'=1+1", '-12.50', 'plain')
    """
    if not text.startswith(_DANGEROUS):
        return text
    try:
        if Decimal(text).is_finite():
            return text
    except InvalidOperation:
        pass
    return f"'{text}"


class _Echo(io.StringIO):
    def take(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def csv_lines(notes: Iterable[Any], columns: list[str]) -> Iterator[str]:
    """Yield a CSV file: line, field and reason, then the row as it stood in its own columns."""
    echo = _Echo(newline="")
    writer = csv.writer(echo)
    writer.writerow(["rejected line", "rejected field", "rejected reason", *map(harmless, columns)])
    yield echo.take()
    for note in notes:
        writer.writerow([note.line, harmless(note.field), harmless(note.reason), *map(harmless, note.cells)])
        yield echo.take()


def notes_of(record: Any, kind: str) -> Iterator[RowNote]:
    found: Iterator[RowNote] = (
        RowNote.objects.filter(batch=record, kind=kind).order_by("line", "pk").iterator()
    )
    return found
