"""Brings a file in: the one engine behind the command, the page and the API.

Rows are read and checked in batches. Each batch is one transaction that stores its rows,
what follows from them (ledger, roll-ups, accounts due), the rows it rejected and how far we
are. A process that dies loses at most the batch it was in; started again, the import goes
on after the last batch that was stored. A row that is stored already is `unchanged`, so
the same file can come twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.files import File
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from accounts import ledger
from accounts.bulk import insert_rows
from accounts.due import mark_due
from accounts.models import Account
from accounts.models.customers import today
from intake.kinds import KINDS, Kind
from intake.kinds.base import Run
from intake.mapping import Mapping, MappingError, Parsed, RowReader, load, propose
from intake.models import Import, ImportedAccount, RowNote
from intake.reading import Layout, Reader, ReadingError, Row, inspect
from team.work import enqueue

BATCH = 2_000
MOST_ROWS_IN_A_BATCH = 5 * BATCH  # rows that belong together stay together up to here
DRY_RUN_ROWS = 5_000  # on the page: a dry run is one transaction, and holds SQLite's only writer
ATTEMPTS = 6
LOCK = 0x63737000  # our key among PostgreSQL's advisory locks: one batch of an import at a time
DEFAULT_SOURCE = "import"
OUTCOMES = ("created", "updated", "unchanged", "rejected", "skipped", "repaired")

State = Import.State
Progress = Callable[["Counts", int, int], None]


class ImportRefusedError(ValueError):
    """The import cannot begin; `problems` lists each field and the rule it breaks."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{where}: {rule}" if where else rule for where, rule in problems))


class _TakenOverError(Exception):
    """Somebody else moved this import on while we worked on a batch."""


@dataclass
class Counts:
    """How many rows of the file came to what."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    skipped: int = 0
    repaired: int = 0
    details: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return self.created + self.updated + self.unchanged + self.rejected + self.skipped

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in OUTCOMES} | {"details": dict(self.details)}


def kind_called(slug: str) -> Kind:
    if slug not in KINDS:
        raise ImportRefusedError(
            [("kind", f"“{slug}” is not a kind of import. Known are {', '.join(KINDS)}.")]
        )
    return KINDS[slug]


# --- Before the first row ---------------------------------------------------------------


def first_rows(layout: Layout, count: int) -> list[Row]:
    reader = Reader(layout)
    rows = []
    for row in reader:
        rows.append(row)
        if len(rows) == count:
            break
    return rows


def guess_mapping(kind: Kind, path: Path | str) -> tuple[dict[str, Any], list[str], Layout]:
    """Return a mapping guessed from a file, remarks on the guesses, and how the file is written."""
    layout = inspect(path)
    document, remarks = propose(kind, layout, first_rows(layout, 200))
    return document, [*layout.warnings, *remarks], layout


def receive(
    *,
    kind: str,
    file_name: str,
    upload: File[Any] | None = None,
    local_path: Path | None = None,
    source: str = "",
    as_of: date | None = None,
    created_by: Any = None,
) -> Import:
    """Keep a file that came in, with a mapping guessed from its header, waiting for a better one.

    Raises ImportRefusedError when the kind is unknown or the file cannot be read.
    """
    which = kind_called(kind)
    record = Import(
        kind=kind,
        source=source[:60] or DEFAULT_SOURCE,
        file_name=Path(file_name).name[:255],
        as_of=as_of or today(),
        created_by=created_by,
        local_path=str(local_path.resolve()) if local_path else "",
    )
    if upload is not None:
        record.upload.save(record.file_name, upload, save=False)
    try:
        record.mapping, _, layout = guess_mapping(which, record.path)
    except ReadingError as error:
        if upload is not None:
            record.upload.delete(save=False)
        raise ImportRefusedError([("file", str(error))]) from error
    record.file_sha256, record.bytes_total = layout.sha256, layout.file_bytes
    record.save()
    return record


def set_mapping(
    record: Import, document: dict[str, Any], *, source: str = "", as_of: date | None = None
) -> None:
    """Give a file its mapping; ImportRefusedError lists what does not fit, and nothing changes."""
    try:
        mapping = load(document, kind_called(record.kind))
        layout = inspect(record.path, **mapping.file_options)
        mapping.bind(layout, as_of=as_of or record.as_of)
    except (ReadingError, MappingError) as error:
        problems = error.problems if isinstance(error, MappingError) else [("file", str(error))]
        raise ImportRefusedError(problems) from error
    record.mapping, record.preview = document, None
    record.source = (source or mapping.source or record.source or DEFAULT_SOURCE)[:60]
    record.as_of = as_of or record.as_of
    record.save(update_fields=["mapping", "preview", "source", "as_of"])


def prepare(
    *,
    kind: str,
    file_name: str,
    document: dict[str, Any] | None = None,
    source: str = "",
    as_of: date | None = None,
    upload: File[Any] | None = None,
    local_path: Path | None = None,
    created_by: Any = None,
) -> Import:
    """Keep a file and its mapping (guessed when there is none), ready for `enqueue_run` or `run`.

    Raises ImportRefusedError when the kind is unknown, the file cannot be read, or the
    mapping does not fit it; then nothing is kept.
    """
    record = receive(
        kind=kind,
        file_name=file_name,
        upload=upload,
        local_path=local_path,
        as_of=as_of,
        created_by=created_by,
    )
    try:
        set_mapping(record, record.mapping if document is None else document, source=source)
    except ImportRefusedError:
        if upload is not None:
            record.upload.delete(save=False)
        record.delete()
        raise
    return record


def enqueue_run(record: Import) -> bool:
    """Leave the import to a worker; False when it is over, or runs already."""
    with transaction.atomic():
        is_waiting = Import.objects.filter(pk=record.pk, state__in=[State.UPLOADED, State.FAILED]).update(
            state=State.QUEUED, error="", finished_at=None
        )
        if is_waiting:
            enqueue("intake.run", key=f"import:{record.pk}", payload={"import": record.pk})
    record.refresh_from_db()
    return bool(is_waiting)


def enqueue_rehearsal(record: Import) -> None:
    """Have a worker count what the import would do."""
    with transaction.atomic():
        Import.objects.filter(pk=record.pk, state=State.UPLOADED).update(preview={"is_running": True})
        enqueue("intake.rehearse", key=f"import:{record.pk}", payload={"import": record.pk})
    record.refresh_from_db()


def to_resume(record: Import) -> Import | None:
    """Return the unfinished import of the same file, read in the same way, if there is one."""
    return (
        Import.objects.unfinished()
        .filter(
            kind=record.kind,
            source=record.source,
            file_sha256=record.file_sha256,
            mapping=record.mapping,
            as_of=record.as_of,
        )
        .exclude(pk=record.pk)
        .order_by("-created_at", "-pk")
        .first()
    )


# --- Reading and storing ----------------------------------------------------------------


@dataclass
class _Batch:
    rows: list[Parsed]
    last_line: int
    bytes_read: int


def _batches(
    layout: Layout, reader: RowReader, kind: Kind, *, after_line: int, most_rows: int | None
) -> Iterator[_Batch]:
    """Yield the rows after a line, read and checked, in batches that end where a group ends."""
    file = Reader(layout)
    parsed: list[Parsed] = []
    group: Any = None
    read = 0
    for row in file:
        if row.line <= after_line:
            if reader.uses_digest:
                reader.note(row)
            continue
        one = reader.read(row)
        last_group, group = group, kind.group_of(one.values)
        if len(parsed) >= BATCH and (
            group is None or group != last_group or len(parsed) >= MOST_ROWS_IN_A_BATCH
        ):
            yield _Batch(parsed, parsed[-1].line, file.bytes_read)
            parsed = []
        parsed.append(one)
        read += 1
        if read == most_rows:
            break
    if parsed:
        is_cut_short = read == most_rows
        yield _Batch(parsed, parsed[-1].line, file.bytes_read if is_cut_short else layout.file_bytes)


def _new_run(record: Import, mapping: Mapping) -> Run:
    document = mapping.document
    return Run(
        source=record.source,
        account_source=document.get("account_source") or record.source,
        as_of=record.as_of,
        now=timezone.now(),
        creates=mapping.creates,
        mapped=frozenset(document["fields"]),
        options=document,
    )


def _apply(rows: list[Parsed], record: Import, mapping: Mapping) -> Run:
    """Store rows; where the database refuses a batch, find the rows it refuses."""
    run = _new_run(record, mapping)
    good = [row for row in rows if not row.problem and not row.is_skipped]
    if good:
        apply_or_halve(mapping.kind, good, run, lambda: _new_run(record, mapping))
    return run


def apply_or_halve(kind: Kind, rows: list[Parsed], run: Run, new_run: Callable[[], Run]) -> None:
    """Store rows; of a batch that the database refuses, find the rows it refuses and reject those."""
    before = [(dict(row.values), row.outcome) for row in rows]
    part = new_run()
    try:
        with transaction.atomic():
            kind.apply(rows, part)
    except (IntegrityError, DataError) as error:
        for row, (values, outcome) in zip(rows, before, strict=True):
            row.values, row.outcome, row.problem, row.problem_field = values, outcome, "", ""
        if len(rows) == 1:
            rows[0].reject("", f"The database refuses the row: {_rule_of(error)}.")
            return
        middle = len(rows) // 2
        apply_or_halve(kind, rows[:middle], run, new_run)
        apply_or_halve(kind, rows[middle:], run, new_run)
        return
    run.touched |= part.touched
    run.ledger |= part.ledger
    run.made += part.made


def _rule_of(error: Exception) -> str:
    """Return the name of the broken constraint, which says the rule; never the row's contents."""
    diagnostics = getattr(error.__cause__, "diag", None)
    if name := getattr(diagnostics, "constraint_name", None):
        return f"rule {name}"
    return str(error).split("\n")[0].split("DETAIL")[0].strip()


def follow_up(run: Run) -> None:
    """Bring the ledger in line and mark the accounts due whose facts changed."""
    if run.ledger:
        ledger.derive(run.ledger, recorded_at=run.now)
    mark_due(run.touched)


def _note_rows(record: Import, rows: list[Parsed]) -> None:
    notes = []
    for row in rows:
        if row.problem:
            notes.append(
                RowNote(
                    batch=record,
                    kind=RowNote.Kind.REJECTED,
                    line=row.line,
                    field=row.problem_field[:200],
                    reason=row.problem,
                    cells=row.cells,
                )
            )
            continue
        for name, before, after in row.repairs:
            notes.append(
                RowNote(
                    batch=record,
                    kind=RowNote.Kind.REPAIRED,
                    line=row.line,
                    field=name,
                    reason=f"“{before}” is read as “{after}”.",
                    cells=row.cells,
                )
            )
    insert_rows(RowNote, notes)


def _count(rows: list[Parsed], counts: Counts, run: Run) -> None:
    for row in rows:
        if row.problem:
            counts.rejected += 1
        elif row.is_skipped:
            counts.skipped += 1
        else:
            setattr(counts, row.outcome, getattr(counts, row.outcome) + 1)
            counts.repaired += bool(row.repairs)
    for name, number in run.made.items():
        counts.details[name] = counts.details.get(name, 0) + number


def _take_turn() -> None:
    """Wait until no other import is storing a batch; SQLite does so by itself."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '120s'; SET LOCAL statement_timeout = '120s'")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _tell_how_full_the_tables_are() -> None:
    """Have PostgreSQL count the tables that imports fill.

    Its own collector comes round once a minute. Until then it takes a table that was empty
    for an empty one, and checks each foreign key by reading all of it.
    """
    if connection.vendor == "postgresql":
        tables = [
            connection.ops.quote_name(model._meta.db_table)
            for app in ("accounts", "usage", "tickets", "surveys")
            for model in apps.get_app_config(app).get_models()
        ]
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {', '.join(tables)}")


def _store_batch(record: Import, mapping: Mapping, batch: _Batch) -> Counts:
    """Store one batch and move the cursor, in one transaction; return the counts so far."""
    fresh = [(row.problem, row.problem_field) for row in batch.rows]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                _take_turn()
                counts = Counts(
                    **{name: getattr(record, name) for name in OUTCOMES}, details=dict(record.details)
                )
                run = _apply(batch.rows, record, mapping)
                follow_up(run)
                _note_rows(record, batch.rows)
                ImportedAccount.objects.bulk_create(
                    [ImportedAccount(batch=record, account_id=pk) for pk in sorted(run.touched)],
                    ignore_conflicts=True,
                )
                _count(batch.rows, counts, run)
                is_ours = Import.objects.filter(
                    pk=record.pk, state=State.RUNNING, cursor_line=record.cursor_line
                ).update(cursor_line=batch.last_line, bytes_read=batch.bytes_read, **counts.as_dict())
                if not is_ours:
                    raise _TakenOverError
        except OperationalError:
            # A deadlock, or a writer that kept us waiting: nothing is stored, so try again.
            if attempt == ATTEMPTS:
                raise
            for row, (problem, name) in zip(batch.rows, fresh, strict=True):
                row.problem, row.problem_field, row.outcome = problem, name, ""
            time.sleep(0.1 * 2**attempt)
            continue
        record.cursor_line, record.bytes_read = batch.last_line, batch.bytes_read
        for name, value in counts.as_dict().items():
            setattr(record, name, value)
        return counts
    raise AssertionError("unreachable")


def run(record: Import, *, on_progress: Progress | None = None) -> Counts:
    """Bring the file in, from its cursor on; return what became of its rows.

    Safe to call again after a crash, and by two workers at once: only one of them moves the
    import on. An error that concerns the whole file leaves the import `failed`, with its
    sentence, at the batch before.
    """
    started_at = record.started_at or timezone.now()
    Import.objects.filter(
        pk=record.pk,
        state__in=[State.UPLOADED, State.QUEUED, State.RUNNING, State.FAILED],
    ).update(state=State.RUNNING, started_at=started_at, finished_at=None, error="")
    record.refresh_from_db()
    counts = Counts(**{name: getattr(record, name) for name in OUTCOMES}, details=dict(record.details))
    if record.state != State.RUNNING:
        return counts
    try:
        mapping = load(record.mapping, kind_called(record.kind))
        layout = inspect(record.path, **mapping.file_options)
        if record.file_sha256 and layout.sha256 != record.file_sha256:
            raise ReadingError("The file is not the one this import began with; import it anew.")
        reader = mapping.bind(layout, as_of=record.as_of)
        for number, batch in enumerate(
            _batches(layout, reader, mapping.kind, after_line=record.cursor_line, most_rows=None), start=1
        ):
            counts = _store_batch(record, mapping, batch)
            if number & (number - 1) == 0:  # the first, second, fourth, eighth … batch
                _tell_how_full_the_tables_are()
            if on_progress:
                on_progress(counts, batch.bytes_read, layout.file_bytes)
    except _TakenOverError:
        record.refresh_from_db()
        return Counts(**{name: getattr(record, name) for name in OUTCOMES}, details=dict(record.details))
    except (ReadingError, MappingError, ImportRefusedError) as error:
        _finish(record, State.FAILED, str(error))
        raise
    _finish(record, State.DONE)
    return counts


def _finish(record: Import, state: str, error: str = "") -> None:
    Import.objects.filter(pk=record.pk, state=State.RUNNING).update(
        state=state, error=error, finished_at=timezone.now(), bytes_read=record.bytes_read
    )
    record.refresh_from_db()


def rehearse(
    record: Import, *, most_rows: int | None = None, on_progress: Progress | None = None
) -> tuple[Counts, list[RowNote]]:
    """Do everything an import does, then undo it; return the counts and the first rejected rows.

    All of it is one transaction, so that rows of later batches meet what earlier ones
    created; on SQLite other writers wait meanwhile. `record` need not be stored.
    """
    mapping = load(record.mapping, kind_called(record.kind))
    layout = inspect(record.path, **mapping.file_options)
    reader = mapping.bind(layout, as_of=record.as_of)
    counts, rejected = Counts(), []
    with transaction.atomic():
        _take_turn()
        for batch in _batches(layout, reader, mapping.kind, after_line=0, most_rows=most_rows):
            run_ = _apply(batch.rows, record, mapping)
            follow_up(run_)
            _count(batch.rows, counts, run_)
            rejected += [
                RowNote(
                    kind=RowNote.Kind.REJECTED,
                    line=row.line,
                    field=row.problem_field,
                    reason=row.problem,
                    cells=row.cells,
                )
                for row in batch.rows
                if row.problem
            ]
            if on_progress:
                on_progress(counts, batch.bytes_read, layout.file_bytes)
        transaction.set_rollback(True)
    return counts, rejected


def give_up(record: Import) -> None:
    """Say that an import stopped for a reason of ours; admins find it among the dead work."""
    _finish(record, State.FAILED, "An unexpected error stopped it; an admin can see which.")


def cancel(record: Import) -> bool:
    """Stop an import after the batch it is in; what it has stored stays. True if it was not over yet."""
    return bool(
        Import.objects.filter(pk=record.pk, state__in=[State.UPLOADED, State.QUEUED, State.RUNNING]).update(
            state=State.CANCELLED, finished_at=timezone.now()
        )
    )


def accounts_of(record: Import, user: Any) -> Any:
    """Return the accounts an import created or changed, as far as `user` may see them."""
    imported = ImportedAccount.objects.filter(batch=record).values("account")
    return Account.objects.visible_to(user).filter(pk__in=imported)


def forget_file(record: Import) -> None:
    """Delete an upload that is no longer needed; counts and rejected rows stay."""
    with contextlib.suppress(FileNotFoundError):
        record.upload.delete(save=True)
