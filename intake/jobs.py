"""Imports and their dry runs, done by a worker of the slow lane."""

from __future__ import annotations

from intake import importing
from intake.importing import ImportRefusedError
from intake.mapping import MappingError
from intake.models import Import
from intake.reading import ReadingError
from team.work import Work, handles

SHOWN_PROBLEMS = 50


@handles("intake.run", lane="slow", time_limit=6 * 60 * 60, atomic=False)
def run_import(work: Work) -> None:
    """Go on from the import's cursor; a worker that died is followed by another."""
    record = Import.objects.filter(pk=work.payload["import"]).first()
    if record is None:
        return
    try:
        importing.run(record)
    except (ReadingError, MappingError, ImportRefusedError):
        return  # the import says so itself; trying again would not help
    except Exception:
        if work.attempts >= work.max_attempts:
            importing.give_up(record)
        raise


@handles("intake.rehearse", lane="slow", time_limit=30 * 60, max_attempts=3, atomic=False)
def rehearse_import(work: Work) -> None:
    record = Import.objects.filter(pk=work.payload["import"], state=Import.State.UPLOADED).first()
    if record is None:
        return
    try:
        counts, rejected = importing.rehearse(record, most_rows=importing.DRY_RUN_ROWS)
    except (ReadingError, MappingError, ImportRefusedError) as error:
        preview = {"error": str(error)}
    else:
        preview = counts.as_dict() | {
            "rows": counts.rows,
            "is_partial": counts.rows >= importing.DRY_RUN_ROWS,
            "problems": [
                {"line": note.line, "field": note.field, "reason": note.reason}
                for note in rejected[:SHOWN_PROBLEMS]
            ],
        }
    # Another mapping may have been chosen meanwhile; its own dry run will say.
    Import.objects.filter(
        pk=record.pk, state=Import.State.UPLOADED, mapping=record.mapping, source=record.source
    ).update(preview=preview)
