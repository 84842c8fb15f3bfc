"""Small files to import, and the command that imports them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from django.core.management import call_command

from intake.importing import Counts
from intake.models import Import

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "mappings"


def write(folder: Path, text: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def import_file(
    kind: str, path: Path, mapping: dict[str, Any] | Path | None = None, **options: Any
) -> tuple[Counts, int]:
    """Run `manage.py import` and return what it counted and its exit code."""
    if isinstance(mapping, dict):
        target = path.with_name("mapping.json")
        target.write_text(json.dumps(mapping))
        mapping = target
    if mapping:
        options["mapping"] = str(mapping)
    out = io.StringIO()
    code = 0
    try:
        call_command("import", kind, str(path), stdout=out, stderr=io.StringIO(), **options)
    except SystemExit as stop:
        code = int(stop.code or 0)
    line = next(row for row in out.getvalue().splitlines() if row.startswith("created "))
    words = line.split()
    counts = Counts()
    for name, number in zip(words[::2], words[1::2], strict=True):
        setattr(counts, name, int(number))
    return counts, code


def latest() -> Import:
    found = Import.objects.order_by("-pk").first()
    assert found is not None
    return found


def problems() -> list[tuple[int, str, str]]:
    """The rejected rows of the latest import: line, field, reason."""
    return [(note.line, note.field, note.reason) for note in latest().notes.rejected().order_by("line")]
