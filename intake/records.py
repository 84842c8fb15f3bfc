"""Facts that come as JSON instead of as a file: through the same fields, rules and storage.

An API item and a row of a CSV file that say the same thing end in the same row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from django.db import transaction

from intake.importing import apply_or_halve, follow_up
from intake.kinds import Kind
from intake.kinds.base import Run, alive
from intake.mapping import Parsed
from intake.values import Field, parser_for

MAX_RECORDS = 1_000
NAMES_OF_RECORD = ("source", "account_source")


@dataclass(frozen=True)
class Outcome:
    """What became of one record: created, updated, unchanged or rejected with field and reason."""

    state: str
    external_id: str
    field: str = ""
    reason: str = ""


def _text(value: Any, field: Field) -> str | None:
    """Return a JSON value as the text of a cell; raise ValueError when it is of another kind."""
    if value is None:
        return None
    if isinstance(value, bool):
        if field.type != "boolean":
            raise ValueError("is true or false; text or a number is needed")
        return "true" if value else "false"
    if isinstance(value, list) and field.type == "list" and all(isinstance(word, str) for word in value):
        return ";".join(value)
    if not isinstance(value, str):
        raise ValueError("is a list or an object; a single value is needed")
    return value.strip()


def _parse(kind: Kind, record: Any, line: int) -> Parsed:
    parsed = Parsed(line=line, cells=[])
    if not isinstance(record, dict):
        parsed.reject("", "An object with named fields is needed.")
        return parsed
    fields = {field.name: field for field in kind.fields}
    for name, value in record.items():
        if name in NAMES_OF_RECORD:
            continue
        if name == kind.custom_field and kind.custom_field:
            if not isinstance(value, dict):
                parsed.reject(name, "An object is needed.")
            parsed.values[name] = value
            continue
        field = fields.get(name)
        if field is None:
            parsed.reject(name, f"There is no such field; known are {', '.join(fields)}.")
            continue
        try:
            text = _text(value, field)
            parsed.values[name] = parser_for(field)(text) if text else None
        except ValueError as error:
            parsed.reject(name, f"{error}.")
    for field in kind.fields:
        if field.is_required and not parsed.problem and parsed.values.get(field.name) in (None, ""):
            parsed.reject(field.name, "is missing.")
    return parsed


def _scan(record: Any, name: str, default: str) -> str:
    value = record.get(name) if isinstance(record, dict) else None
    return value.strip()[:60] if isinstance(value, str) and value.strip() else default


def store(kind: Kind, records: Sequence[Any], *, source: str, now: datetime, as_of: date) -> list[Outcome]:
    """Create or update one row for each record; return what became of each, in their order.

    Records may name another `source`, and an `account_source` when their accounts go by ids of
    another system. All is stored in one transaction; a bad record never sinks the others.
    """
    rows = [_parse(kind, record, number) for number, record in enumerate(records, start=1)]
    batches: dict[tuple[str, str, frozenset[str]], list[Parsed]] = {}
    for row, record in zip(rows, records, strict=True):
        own = _scan(record, "source", source)
        names = frozenset(row.values)
        batches.setdefault((own, _scan(record, "account_source", own), names), []).append(row)
    with transaction.atomic():
        for (own, account_source, names), batch in batches.items():
            new_run = partial(
                Run,
                source=own,
                account_source=account_source,
                as_of=as_of,
                now=now,
                creates=frozenset(),
                mapped=names,
                options={"custom": kind.custom_field} if kind.custom_field in names else {},
            )
            run = new_run()
            if good := alive(batch):
                apply_or_halve(kind, good, run, new_run)
            follow_up(run)
    return [
        Outcome(
            state="rejected" if row.problem else row.outcome,
            external_id=str(row.values.get("external_id") or ""),
            field=row.problem_field,
            reason=row.problem,
        )
        for row in rows
    ]
