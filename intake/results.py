"""What an import leaves behind for people: its rejected and its repaired rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from intake.models import RowNote
from team.spreadsheets import safe_cell


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
    writer.writerow(["rejected line", "rejected field", "rejected reason", *map(safe_cell, columns)])
    yield echo.take()
    for note in notes:
        writer.writerow(
            [note.line, safe_cell(note.field), safe_cell(note.reason), *map(safe_cell, note.cells)]
        )
        yield echo.take()


def notes_of(record: Any, kind: str) -> Iterator[RowNote]:
    found: Iterator[RowNote] = (
        RowNote.objects.filter(batch=record, kind=kind).order_by("line", "pk").iterator()
    )
    return found
