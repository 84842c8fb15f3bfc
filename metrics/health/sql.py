"""The few things that PostgreSQL and SQLite say differently, and whom a statement is about.

Statements of the health pass are put together from our own definitions. Only numbers, dates and
names written in this package stand in them as text; whatever a user typed is a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection

from csplatform.periods import start_of_day

EPOCH = date(1970, 1, 1)
DAY_SECONDS = 86_400


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def integer(expression: str) -> str:
    return f"CAST({expression} AS BIGINT)"


def epoch(column: str) -> str:
    """Return the second since 1970 of a moment, its fraction cut off."""
    if is_postgresql():
        # A double holds microseconds of our centuries; EXTRACT would make a slow numeric.
        return f"CAST(FLOOR(date_part('epoch', {column})) AS BIGINT)"
    return f"CAST(strftime('%%s', substr({column}, 1, 19)) AS INTEGER)"


def day_number(column: str) -> str:
    """Return the day since 1970 of a date."""
    if is_postgresql():
        return f"({column} - DATE '1970-01-01')"
    return f"CAST(julianday({column}) - 2440587.5 AS INTEGER)"


def moment_of(second: str) -> str:
    """Turn a second since 1970 into what a DateTimeField stores."""
    if is_postgresql():
        return f"to_timestamp({second})"
    return f"datetime({second}, 'unixepoch')"


def sum_of_millionths(column: str, condition: str) -> str:
    """Add up an amount of six decimals as a whole number; exact on both databases."""
    if is_postgresql():
        total = f"COALESCE(SUM(CASE WHEN {condition} THEN {column} END), 0) * 1000000"
        # A sum beyond 9 million million is nonsense, but must not stop everybody's pass.
        return f"CAST(LEAST(GREATEST({total}, -9000000000000000000), 9000000000000000000) AS BIGINT)"
    return f"COALESCE(SUM(CASE WHEN {condition} THEN CAST(ROUND({column} * 1000000) AS INTEGER) END), 0)"


def ten_thousandths(column: str) -> str:
    """Return a number of four decimals as a whole one."""
    cast = "BIGINT" if is_postgresql() else "INTEGER"
    return f"CAST(ROUND({column} * 10000) AS {cast})"


def greatest(*expressions: str) -> str:
    if len(expressions) == 1:  # SQLite's MAX of one argument would add rows up
        return expressions[0]
    return f"{'GREATEST' if is_postgresql() else 'MAX'}({', '.join(expressions)})"


def least(*expressions: str) -> str:
    if len(expressions) == 1:
        return expressions[0]
    return f"{'LEAST' if is_postgresql() else 'MIN'}({', '.join(expressions)})"


def rounded_share(part: str, whole: str, *, factor: int) -> str:
    """Return part × factor ÷ whole, rounded half up; `part` is 0 or more and `whole` above 0."""
    return f"((2 * {factor} * {integer(part)} + {whole}) / (2 * {whole}))"


def members_of_json_list(column: str) -> str:
    """Return a table function with the members of a JSON list as `member.value`; anything else is empty."""
    if is_postgresql():
        safe = f"CASE WHEN jsonb_typeof({column}) = 'array' THEN {column} ELSE '[]'::jsonb END"
        return f"LATERAL jsonb_array_elements_text({safe}) AS member(value)"
    return f"json_each(CASE WHEN json_type({column}) = 'array' THEN {column} ELSE '[]' END) AS member"


def fence() -> str:
    """End a subquery whose columns are each worked out once, however often they are read outside."""
    return "OFFSET 0" if is_postgresql() else "LIMIT -1 OFFSET 0"


def literal(moment: datetime) -> str:
    return f"'{connection.ops.adapt_datetimefield_value(moment)}'"


def date_literal(day: date) -> str:
    return f"DATE '{day.isoformat()}'" if is_postgresql() else f"'{day.isoformat()}'"


@dataclass(frozen=True)
class Scope:
    """Whose scores a statement works out: the accounts with these ids, or all from one id to another."""

    ids: tuple[int, ...] | None = None
    first: int = 0
    last: int = 0

    @classmethod
    def of(cls, ids: Sequence[int]) -> Scope:
        return cls(ids=tuple(sorted(set(ids))))

    def holds(self, column: str) -> str:
        if self.ids is None:
            return f"{column} BETWEEN {self.first} AND {self.last}"
        listed = ",".join(map(str, self.ids))
        if is_postgresql():
            return f"{column} = ANY('{{{listed}}}'::bigint[])"
        return f"{column} IN ({listed})"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which facts a pass may see: those of `scope` up to the end of the day `as_of`.

    For today the maintained copies answer (activity masks, seats); for an earlier day the
    histories do.
    """

    as_of: date
    is_today: bool
    scope: Scope

    @property
    def starts_at(self) -> datetime:
        return start_of_day(self.as_of)

    @property
    def ends_at(self) -> datetime:
        return start_of_day(self.as_of + timedelta(days=1))

    @property
    def first_second(self) -> int:
        return int(self.starts_at.timestamp())

    @property
    def last_second(self) -> int:
        return int(self.ends_at.timestamp()) - 1

    @property
    def before(self) -> str:
        """The first moment after the day, as text for a statement."""
        return literal(self.ends_at)

    @property
    def number(self) -> int:
        return (self.as_of - EPOCH).days

    def day(self, back: int = 0) -> str:
        """The day so many days before `as_of`, as text for a statement."""
        return date_literal(self.as_of - timedelta(days=back))
