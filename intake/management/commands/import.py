"""manage.py import KIND FILE: brings a CSV file in; the same engine as the page and the API."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from intake import importing
from intake.importing import Counts, ImportRefusedError
from intake.kinds import KINDS
from intake.mapping import MappingError, as_document, load, parse_json
from intake.models import Import, RowNote
from intake.reading import ReadingError, inspect
from intake.results import csv_lines, notes_of
from intake.values import parse_date

BAR = 30


class Command(BaseCommand):
    help = "Brings a CSV file in. Exit code 1 if any row was rejected; the rows are in FILE.rejected.csv."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
        parser.add_argument("file", metavar="FILE", help="CSV, plain or gzip.")
        parser.add_argument(
            "--mapping", metavar="M.json", help="Which column fills what; guessed without it."
        )
        parser.add_argument("--source", default="", metavar="NAME", help="The system the ids belong to.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Check and count everything, store nothing."
        )
        parser.add_argument(
            "--as-of", metavar="DATE", help="The day relative dates count from; today without it."
        )
        parser.add_argument(
            "--resume", action="store_true", help="Go on with an import of this file that was cut off."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        as_of = self._as_of(options["as_of"])
        path = Path(options["file"])
        document = self._mapping(options["kind"], options["mapping"])
        try:
            if document is None:
                document = self._guess(options["kind"], path)
            record = importing.prepare(
                kind=options["kind"],
                file_name=path.name,
                document=document,
                source=options["source"],
                as_of=as_of,
                local_path=path,
            )
        except ImportRefusedError as error:
            raise CommandError(
                _lines(f"{path} cannot be imported as {options['kind']}:", error.problems)
            ) from error
        if options["dry_run"]:
            self._rehearse(record)
        else:
            self._run(record, resume=options["resume"])

    def _as_of(self, text: str | None) -> date | None:
        if not text:
            return None
        try:
            return parse_date(text)
        except ValueError as error:
            raise CommandError(f"--as-of: {error}.") from error

    def _mapping(self, kind: str, name: str | None) -> dict[str, Any] | None:
        if kind not in KINDS:
            raise CommandError(f"“{kind}” is not a kind of import. Known are {', '.join(KINDS)}.")
        if not name:
            return None
        try:
            document = parse_json(Path(name).read_text(encoding="utf-8-sig"))
            load(document, KINDS[kind])
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The mapping {name} cannot be read: {error}.") from error
        except MappingError as error:
            raise CommandError(_lines(f"The mapping {name} has mistakes:", error.problems)) from error
        return document

    def _guess(self, kind: str, path: Path) -> dict[str, Any]:
        try:
            document, remarks, _ = importing.guess_mapping(KINDS[kind], path)
        except ReadingError as error:
            raise ImportRefusedError([("file", str(error))]) from error
        self.stderr.write("No mapping was given; this one is guessed from the header:")
        self.stderr.write(as_document(document))
        for remark in remarks:
            self.stderr.write(f"  {remark}")
        return document

    # --- Doing it ---

    def _rehearse(self, record: Import) -> None:
        Import.objects.filter(pk=record.pk).delete()
        bar = _Bar(self)
        try:
            counts, rejected = importing.rehearse(record, on_progress=bar.show)
        except (ReadingError, MappingError) as error:
            raise CommandError(str(error)) from error
        bar.end()
        self.stdout.write("Dry run: nothing was stored.")
        self._report(record, counts, rejected, [])

    def _run(self, record: Import, *, resume: bool) -> None:
        if resume:
            earlier = importing.to_resume(record)
            if earlier is None:
                self.stderr.write(
                    "There is no unfinished import of this file with this mapping; starting anew."
                )
            else:
                record.delete()
                record = earlier
                Import.objects.filter(pk=record.pk).update(local_path=record.local_path)
                self.stderr.write(f"Going on after line {record.cursor_line:,}.")
        bar = _Bar(self)
        try:
            counts = importing.run(record, on_progress=bar.show)
        except KeyboardInterrupt:
            bar.end()
            raise CommandError(
                f"Stopped after line {record.cursor_line:,}; --resume goes on from there."
            ) from None
        except (ReadingError, MappingError) as error:
            bar.end()
            raise CommandError(
                f"{error} Stopped after line {record.cursor_line:,}; --resume goes on from there."
            ) from error
        bar.end()
        self._report(
            record,
            counts,
            notes_of(record, RowNote.Kind.REJECTED) if counts.rejected else [],
            notes_of(record, RowNote.Kind.REPAIRED) if counts.repaired else [],
        )

    def _report(
        self, record: Import, counts: Counts, rejected: Iterable[RowNote], repaired: Iterable[RowNote]
    ) -> None:
        line = " ".join(
            f"{name} {getattr(counts, name)}" for name in ("created", "updated", "unchanged", "rejected")
        )
        for name in ("skipped", "repaired"):
            if number := getattr(counts, name):
                line += f" {name} {number}"
        self.stdout.write(line)
        if counts.details:
            self.stdout.write(
                "also: " + ", ".join(f"{number:,} {name}" for name, number in counts.details.items())
            )
        columns = inspect(record.path, **load(record.mapping, KINDS[record.kind]).file_options).columns
        if counts.repaired and repaired:
            self.stdout.write(f"Repaired rows: {self._write(record, 'repaired', repaired, columns)}")
        if counts.rejected:
            self.stdout.write(f"Rejected rows: {self._write(record, 'rejected', rejected, columns)}")
            sys.exit(1)

    def _write(self, record: Import, what: str, notes: Iterable[RowNote], columns: list[str]) -> Path:
        """Write the rows beside the file, or into the runtime folder where that is not allowed."""
        beside = record.path.with_name(f"{record.path.name}.{what}.csv")
        for target in (beside, Path(settings.VAR_DIR) / beside.name):
            try:
                file = target.open("w", encoding="utf-8", newline="")
            except OSError:
                continue
            with file:
                for text in csv_lines(notes, columns):
                    file.write(text)
            return target
        raise CommandError(f"Neither {beside.parent} nor {settings.VAR_DIR} can be written to.")


class _Bar:
    """A progress bar where somebody watches, a line every few seconds where not."""

    def __init__(self, command: BaseCommand) -> None:
        self.stream = command.stderr
        self.is_terminal = bool(getattr(self.stream, "isatty", lambda: False)())
        self.started = self.last = time.monotonic()

    def show(self, counts: Counts, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.is_terminal and now - self.last < 5:
            return
        self.last = now
        share = done / total if total else 1.0
        filled = int(BAR * share)
        rate = counts.rows / max(now - self.started, 0.001)
        text = (
            f"[{'#' * filled}{'.' * (BAR - filled)}] {share:4.0%}  {counts.rows:,} rows, {rate:,.0f} a second"
        )
        if self.is_terminal:
            self.stream.write(f"\r{text}", ending="")
            self.stream.flush()
        else:
            self.stream.write(text)

    def end(self) -> None:
        if self.is_terminal:
            self.stream.write("")


def _lines(title: str, problems: list[tuple[str, str]]) -> str:
    return "\n".join([title, *(f"  {where}: {rule}" if where else f"  {rule}" for where, rule in problems)])
