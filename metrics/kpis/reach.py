"""What a KPI reads: which tables, which days of them, and whether the clock alone can change it.

Found from the statements themselves, so that no definition can forget to say it. A stored
figure is right as long as none of this changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from inspect import getsourcefile
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection

from accounts import changes
from accounts.models import ExchangeRate
from csplatform.periods import Period, day_of, start_of_day
from metrics.kpis.counting import Filters, Term
from metrics.kpis.definition import Kpi, Part, Scope, Variant

# Any period does: it stands for all others.
_SAMPLE = Period(date(2025, 2, 1), date(2025, 3, 1))
# Asked while it runs, early and late on one day, and on another day; when it is just over; and long after.
_CLOCKS = (
    datetime(2025, 2, 10, 15, 1, tzinfo=UTC),
    datetime(2025, 2, 10, 15, 2, tzinfo=UTC),
    datetime(2025, 2, 12, 15, 1, tzinfo=UTC),
)
_LONG_AFTER = datetime(2027, 6, 17, 15, 1, tzinfo=UTC)
_TABLE = re.compile(r'(?:FROM|JOIN) "(\w+)"(?: (?!(?:ON|WHERE|GROUP|ORDER|INNER|LEFT|LIMIT|UNION)\b)(\w+))?')


class FleetingError(ValueError):
    """A figure that cannot be stored, because something may change it that nobody would notice."""


@dataclass(frozen=True)
class Reach:
    """What one part reads. `first_on` says the first of the days up to the period's end; None for all days.

    `changes_with` says whether its counts change by the clock alone: never, from day to day, or
    at any moment; `changes_when_over` whether they still do once the period is over.
    """

    tables: frozenset[str]
    first_on: Callable[[Period], date] | None
    changes_with: Literal["", "day", "moment"]
    changes_when_over: bool


def reach_of(part: Part, group_by: str = "") -> Reach:
    """Return what a part reads when it is counted in total, or by a grouping.

    Raises FleetingError when it reads what nobody watches, or follows the clock without saying
    how long its counts hold.
    """
    found = part.reaches.get(group_by)
    if found is None:
        read_first: list[str] = []
        found = _found_reach(part, group_by, read_first)
        # A statement that is made of what is read first may be another one next time.
        if not read_first:
            part.reaches[group_by] = found
    if isinstance(found, str):
        raise FleetingError(found)
    assert isinstance(found, Reach)
    return found


def _found_reach(part: Part, group_by: str, read_first: list[str]) -> Reach | str:
    """Return the reach, or why there is none; `read_first` takes what is read to make the statement."""
    asked: list[tuple[str, tuple[Any, ...]]] = []
    try:
        with connection.execute_wrapper(_noting(read_first)):
            asked = _at_all_clocks(part, group_by)
    except EmptyResultSet:
        if not read_first:
            return "It counts nothing."
    statements = [*read_first, *(sql for sql, _ in asked)]
    changes_with: Literal["", "day", "moment"] = ""
    changes_when_over = bool(asked) and asked[-2] != asked[-1]
    if any(other != asked[0] for other in asked):
        changes_with = "day" if asked[0] == asked[1] else "moment"
    if changes_with == "moment" and part.steady_until is None:
        return "Its counts change by the clock alone, and it does not say when."
    watched = changes.by_table()
    tables: set[str] = set()
    for sql in statements:
        for table, alias in _TABLE.findall(sql):
            if table not in watched:
                return f"Changes of {table} are not logged."
            tables.add(table)
            for column in watched[table].ignored_columns:
                if re.search(rf'(?:"{table}"|\b{alias or table}\b|"{alias or table}")\."{column}"', sql):
                    return f"Changes of {table}.{column} are not logged."
    if part.currency:
        tables.add(ExchangeRate._meta.db_table)
    return Reach(frozenset(tables), part.first_on, changes_with, changes_when_over)


@dataclass(frozen=True)
class _WatchedScope(Scope):
    """A scope that notes whether anybody looked at its clock."""

    looks: list[str] = field(default_factory=list)

    def __getattribute__(self, name: str) -> Any:
        if name == "now":
            self.looks.append(name)
        return super().__getattribute__(name)


def _at_all_clocks(part: Part, group_by: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the statement at each of the clocks; one stands for all where the clock is not looked at."""
    scope = _WatchedScope(_SAMPLE, _CLOCKS[0])
    asked = [_statement(part, group_by, scope)]
    clocks = (*_CLOCKS[1:], _SAMPLE.ends_at, _LONG_AFTER)
    if not scope.looks:
        return asked * (1 + len(clocks))
    return asked + [_statement(part, group_by, Scope(_SAMPLE, now)) for now in clocks]


def _statement(part: Part, group_by: str, scope: Scope) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that counts a part, and its parameters."""
    term = Term(None, part, scope, Filters(), None, group_by)
    sql, parameters = term.query(0, len(part.amounts)).query.sql_with_params()
    return sql, tuple(parameters)


def _noting(statements: list[str]) -> Any:
    """Return a wrapper that notes what is read while facts are only being described."""

    def note(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    return note


def counted_parts(kpi: Kpi, variant: Variant, group_by: str) -> Iterator[tuple[Part, str]]:
    """Yield each part that an answer needs, with the grouping that it is counted by."""
    is_own = kpi.grouping(group_by) is not None
    for part in variant.parts:
        if not group_by or is_own or not kpi.is_additive:
            yield part, ""
        if group_by and (not is_own or part.group(group_by) is not None):
            yield part, group_by


@dataclass(frozen=True)
class Reads:
    """What an answer reads about one period, as it is kept beside it: the tables, and of which days.

    From a day on up to the period's end, or of all days there are.
    """

    tables: tuple[str, ...]
    since: date | None

    def concerns(self, *, source: str, first_on: date, last_on: date, end: date) -> bool:
        """Return whether facts of `source` about these days count in a period with that end."""
        if source == changes.UNWATCHED:
            return True
        if source not in self.tables:
            return False
        return self.since is None or (first_on < end and last_on >= self.since)


def reads_of(kpi: Kpi, variant: Variant, group_by: str, period: Period) -> list[Reads]:
    """Return what an answer about `period` reads; raises FleetingError as `reach_of` does."""
    found: dict[tuple[frozenset[str], date | None], None] = {}
    for part, by in counted_parts(kpi, variant, group_by):
        reach = reach_of(part, by)
        found[reach.tables, reach.first_on(period) if reach.first_on else None] = None
    return [Reads(tuple(sorted(tables)), since) for tables, since in found]


def steady_until(kpi: Kpi, variant: Variant, group_by: str, scope: Scope) -> datetime | None:
    """Return until when the counts hold if no fact changes; None for ever, whatever the clock says."""
    ends = [
        _steady_until(part, by, scope)
        for part, by in counted_parts(kpi, variant, group_by)
        if reach_of(part, by).changes_with
    ]
    return min(ends, default=None)


# Followed the clock, and has nothing left that it could change.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def _steady_until(part: Part, group_by: str, scope: Scope) -> datetime:
    reach = reach_of(part, group_by)
    if not reach.changes_when_over and scope.now >= scope.period.ends_at:
        return NEVER
    later = min(scope.now + timedelta(days=366 * 100), NEVER)
    if _statement(part, group_by, scope) == _statement(part, group_by, replace(scope, now=later)):
        return NEVER  # such as what only looks as far as the period, which is over
    if reach.changes_with == "day":
        return start_of_day(day_of(scope.now) + timedelta(days=1))
    return (part.steady_until and part.steady_until(scope)) or NEVER


# --- Which definition made a figure ----------------------------------------------------


@cache
def _text_of(path: str) -> bytes:
    return Path(path).read_bytes()


@cache
def _engine() -> str:
    """Return what stands for the code that counts, and for what is logged of the facts."""
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for path in (*sorted(here.glob("*.py")), here.parent / "calculations.py"):
        digest.update(_text_of(str(path)))
    for label, tracked in sorted(changes.TRACKED.items()):
        digest.update(f"{label} {tracked.span} {tracked.columns}".encode())
    return digest.hexdigest()


def fingerprint(kpi: Kpi) -> str:
    """Return what changes whenever a KPI may come out differently from the same facts.

    That is its version, but also the code, since whoever mends it may not think of that, and the
    settings. A KPI that is kept in the database needs a new version for every change.
    """
    read = settings.REPORTING_CURRENCY, settings.TIME_ZONE, settings.SMALL_SAMPLE
    if read not in kpi.fingerprints:
        digest = hashlib.blake2b(digest_size=8)
        for text in (_engine(), *map(str, read)):
            digest.update(text.encode() + b"\0")
        for path in _source_files(kpi):
            digest.update(_text_of(path))
        kpi.fingerprints[read] = f"{kpi.version}:{digest.hexdigest()}"
    return kpi.fingerprints[read]


def _source_files(kpi: Kpi) -> list[str]:
    """Return the files in which its facts and its arithmetic are written, which may be an app's above."""
    functions: set[Any] = {part.facts for variant in kpi.variants for part in variant.parts}
    functions |= {variant.calculate for variant in kpi.variants}
    found = set()
    for function in functions:
        try:
            found.add(getsourcefile(function))
        except TypeError:  # an object that is called like a function; its class is code of some app
            found.add(getsourcefile(type(function)))
    return sorted(path for path in found if path)
