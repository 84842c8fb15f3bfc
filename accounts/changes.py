"""Which facts changed: a log that the database itself writes, so that no writer can forget to.

Triggers on the tables of facts add a `FactChange` in the transaction that changes them,
whoever writes: an import, a page, the admin, a cascade, SQL by hand. A stored figure is right as
long as no row of the log concerns it. What is read from a table without triggers must not be
stored.

Each app names its tables in its `changes.py`:

    track("tickets.Ticket", days=("opened_at", "resolved_at"), ignores=("subject",))

The triggers are made after `migrate`, from what the code says then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction
from django.utils import timezone

from accounts.fields import EARLIEST, LATEST
from accounts.models import FactChange

PREFIX = "facts_log"
# Stands in the log while triggers are missing: until they are back nothing stored can be relied on.
UNWATCHED = "*"
FIRST, LAST = EARLIEST.isoformat(), LATEST.isoformat()
# A moment falls on another day east or west of here, and the time zone is a setting.
WEST, EAST = "12 hours", "14 hours"


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """A table of facts, and which days a row of it speaks about."""

    label: str
    days: tuple[str, ...]
    until: str
    is_open_ended: bool
    reaches_back_to: str
    ignores: frozenset[str]

    @cached_property
    def model(self) -> type[models.Model]:
        return apps.get_model(self.label)

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def span(self) -> tuple[object, ...]:
        """What decides which days a row speaks about."""
        return self.days, self.until, self.is_open_ended, self.reaches_back_to

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns whose change is logged."""
        fields = [field for field in self.model._meta.concrete_fields if not field.primary_key]
        return tuple(str(field.column) for field in fields if field.name not in self.ignores)

    @cached_property
    def ignored_columns(self) -> frozenset[str]:
        """Columns whose change is not: what was worked out from them cannot be kept right."""
        return frozenset(str(self.model._meta.get_field(name).column) for name in self.ignores)  # type: ignore[union-attr]


TRACKED: dict[str, Tracked] = {}


def track(
    label: str,
    *,
    days: Sequence[str] = (),
    until: str = "",
    is_open_ended: bool = False,
    reaches_back_to: str = "",
    ignores: Iterable[str] = (),
) -> None:
    """Have changes of this model's rows logged.

    `days` are fields with the days or moments a row speaks about, also of the row it belongs to
    ("ticket__opened_at"): it then speaks about all days from the first to the last of them. With
    `until`, the last day of a spell that is empty while it lasts, or when it `is_open_ended`, it
    speaks about all days after the first. With `reaches_back_to` the earliest row does so before
    its own day too: of one subscription back to a day of that ("subscription__starts_on"), of one
    currency ("currency") back for ever. Without any day it speaks about all days there are.

    A change of what it `ignores` is not logged, such as names, or copies that are kept up to date
    with today: figures that read them are never stored.
    """
    TRACKED[label.lower()] = Tracked(
        label=label,
        days=tuple(days),
        until=until,
        is_open_ended=is_open_ended,
        reaches_back_to=reaches_back_to,
        ignores=frozenset(ignores),
    )


def by_table() -> dict[str, Tracked]:
    return {tracked.table: tracked for tracked in TRACKED.values()}


def log_everything(source: str) -> None:
    """Log that any row of a table may have changed."""
    now = timezone.now()
    number = -int(
        now.timestamp() * 1_000_000
    )  # no transaction's: a row that is just being read stays another
    FactChange.objects.create(
        source=source, first_on=EARLIEST, last_on=LATEST, logged_at=now, written_in=number
    )


# --- The days of a row, in SQL ----------------------------------------------------------


class _Sql:
    """How the two databases write what the triggers need."""

    def __init__(self, vendor: str) -> None:
        self.is_postgresql = vendor == "postgresql"

    def day(self, column: str, shift: str) -> str:
        """Return the day of a moment, that much earlier or later."""
        if self.is_postgresql:
            sign, hours = shift[0], shift[1:]
            return f"(({column} AT TIME ZONE 'UTC') {sign} interval '{hours}')::date"
        return f"date({column}, '{shift}')"

    def literal(self, day: str) -> str:
        return f"'{day}'::date" if self.is_postgresql else f"'{day}'"

    def least(self, days: Sequence[str]) -> str:
        return self._outermost("LEAST", "min", days, "9999-12-31")

    def greatest(self, days: Sequence[str]) -> str:
        return self._outermost("GREATEST", "max", days, "0001-01-01")

    def _outermost(self, postgresql: str, sqlite: str, days: Sequence[str], beyond: str) -> str:
        # PostgreSQL passes over what is null; in SQLite one null makes all null.
        if len(days) == 1:
            return days[0]
        if self.is_postgresql:
            return f"{postgresql}({', '.join(days)})"
        filled = ", ".join(f"coalesce({day}, '{beyond}')" for day in days)
        return f"nullif({sqlite}({filled}), '{beyond}')"

    def month_start(self, day: str) -> str:
        return f"date_trunc('month', {day})::date" if self.is_postgresql else f"date({day}, 'start of month')"

    def month_end(self, day: str) -> str:
        if self.is_postgresql:
            return f"(date_trunc('month', {day}) + interval '1 month -1 day')::date"
        return f"date({day}, 'start of month', '+1 month', '-1 day')"

    def day_after(self, day: str) -> str:
        return f"({day} + 1)" if self.is_postgresql else f"date({day}, '+1 day')"

    @property
    def now(self) -> str:
        return "now()" if self.is_postgresql else "strftime('%Y-%m-%d %H:%M:%f', 'now')"

    @property
    def transaction(self) -> str:
        return "txid_current()" if self.is_postgresql else "0"


@dataclass(frozen=True)
class _Triggers:
    """The triggers of one table: what they are called, and the statements that make them."""

    tracked: Tracked
    vendor: str

    @property
    def sql(self) -> _Sql:
        return _Sql(self.vendor)

    def _column(self, alias: str, path: str) -> tuple[str, bool]:
        """Return a field of the row, or of the row it belongs to, and whether it is a moment."""
        parent, _, name = path.rpartition("__")
        model = self.tracked.model
        if not parent:
            field: Any = model._meta.get_field(name)
            return f'{alias}."{field.column}"', isinstance(field, models.DateTimeField)
        key: Any = model._meta.get_field(parent)
        above = key.related_model._meta
        field = above.get_field(name)
        column = (
            f'(SELECT above."{field.column}" FROM "{above.db_table}" AS above'
            f' WHERE above."{above.pk.column}" = {alias}."{key.column}")'
        )
        return column, isinstance(field, models.DateTimeField)

    def first(self, alias: str) -> str:
        columns = [self._column(alias, path) for path in self.tracked.days]
        days = [self.sql.day(column, f"-{WEST}") if moment else column for column, moment in columns]
        if self.tracked.reaches_back_to:
            days.append(self._reach(alias, days[0]))
        first = self.sql.literal(FIRST)
        return f"COALESCE({self.sql.least(days)}, {first})" if days else first

    def _reach(self, alias: str, day: str) -> str:
        """Return how far back a row reaches: no further than its own day unless it is the earliest."""
        model = self.tracked.model
        key, _, name = self.tracked.reaches_back_to.partition("__")
        same = str(model._meta.get_field(key).column)  # type: ignore[union-attr]
        own = str(model._meta.get_field(self.tracked.days[0]).column)  # type: ignore[union-attr]
        earlier = (
            f'SELECT 1 FROM "{self.tracked.table}" AS other'
            f' WHERE other."{same}" = {alias}."{same}" AND other."{own}" < {day}'
        )
        back = self._column(alias, self.tracked.reaches_back_to)[0] if name else self.sql.literal(FIRST)
        return f"CASE WHEN EXISTS ({earlier}) THEN {day} ELSE {back} END"

    def last(self, alias: str) -> str:
        columns = [self._column(alias, path) for path in self.tracked.days]
        days = [self.sql.day(column, f"+{EAST}") if moment else column for column, moment in columns]
        last = self.sql.literal(LAST)
        if self.tracked.until:
            until = self._column(alias, self.tracked.until)[0]
            days.append(f"COALESCE({until}, {last})")
        return (
            last if self.tracked.is_open_ended or not days else f"COALESCE({self.sql.greatest(days)}, {last})"
        )

    def _log(self, spans: str) -> str:
        sql = self.sql
        return (
            f'INSERT INTO "{FactChange._meta.db_table}" (source, first_on, last_on, logged_at, written_in)'
            f" SELECT DISTINCT '{self.tracked.table}', {sql.month_start('span.first_on')},"
            f" {sql.month_end('span.last_on')}, {sql.now}, {sql.transaction}"
            f" FROM ({spans}) AS span WHERE span.last_on >= span.first_on ON CONFLICT DO NOTHING;"
        )

    def _span(self, alias: str, rows: str = "") -> str:
        return f"SELECT {self.first(alias)} AS first_on, {self.last(alias)} AS last_on {rows}"

    @property
    def _both(self) -> str:
        return f"{self._span('OLD')} UNION ALL {self._span('NEW')}"

    @property
    def _moved_end(self) -> str:
        """The days between two ends of a spell: of the others it says the same as before."""
        last = self.sql.literal(LAST)
        before, after = (
            f"COALESCE({self._column(alias, self.tracked.until)[0]}, {last})" for alias in ("OLD", "NEW")
        )
        sooner, later = self.sql.least([before, after]), self.sql.greatest([before, after])
        return f"SELECT {self.sql.day_after(sooner)} AS first_on, {later} AS last_on"

    def _differ(self, columns: Sequence[str]) -> str:
        word = "IS DISTINCT FROM" if self.sql.is_postgresql else "IS NOT"
        return " OR ".join(f'OLD."{name}" {word} NEW."{name}"' for name in columns) or "FALSE"

    def statements(self) -> dict[str, list[str]]:
        """Return {trigger: the statements that make it}; the name changes with what it does."""
        made = self._postgresql() if self.sql.is_postgresql else self._sqlite()
        named = {}
        for event, statements in made.items():
            digest = hashlib.blake2b("".join(statements).encode(), digest_size=4).hexdigest()
            name = f"{PREFIX}_{event}_{digest}"
            if not self.sql.is_postgresql:  # there they are one table's; here they share one list
                name = f"{PREFIX}_{self.tracked.table}_{event}_{digest}"
            named[name] = [statement.replace("TRIGGER_NAME", name) for statement in statements]
        return named

    def _until_column(self) -> str:
        return str(self.tracked.model._meta.get_field(self.tracked.until).column)  # type: ignore[union-attr]

    def _postgresql(self) -> dict[str, list[str]]:
        table = self.tracked.table
        rows, row = f"{table}_{PREFIX}_rows", f"{table}_{PREFIX}_row"
        head = (
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN {} RETURN NULL; END $$"
        )
        spans = self._span("touched", "FROM touched")
        changed = f"IF {self._differ(self.tracked.columns)} THEN {self._log(self._both)} END IF;"
        if self.tracked.until:
            end = self._until_column()
            others = [name for name in self.tracked.columns if name != end]
            changed = (
                f"IF {self._differ(others)} THEN {self._log(self._both)}"
                f" ELSIF {self._differ([end])} THEN {self._log(self._moved_end)} END IF;"
            )
        made = {
            event: [
                head.format(rows, self._log(spans)),
                f'CREATE TRIGGER TRIGGER_NAME AFTER {event.upper()} ON "{table}" REFERENCING {which} TABLE AS'
                f" touched FOR EACH STATEMENT EXECUTE FUNCTION {rows}()",
            ]
            for event, which in (("insert", "NEW"), ("delete", "OLD"))
        }
        # Row by row, because most updates are of one row. No WHEN: it would tie the columns, and
        # migrations could not change their types.
        made["update"] = [
            head.format(row, changed),
            f'CREATE TRIGGER TRIGGER_NAME AFTER UPDATE ON "{table}" FOR EACH ROW EXECUTE FUNCTION {row}()',
        ]
        return made

    def _sqlite(self) -> dict[str, list[str]]:
        table = self.tracked.table

        def made(event: str, spans: str, when: str = "") -> list[str]:
            rule = f" WHEN {when}" if when else ""
            return [
                f'CREATE TRIGGER TRIGGER_NAME AFTER {event} ON "{table}"{rule} BEGIN {self._log(spans)} END'
            ]

        found = {
            "insert": made("INSERT", self._span("NEW")),
            "delete": made("DELETE", self._span("OLD")),
            "update": made("UPDATE", self._both, self._differ(self.tracked.columns)),
        }
        if self.tracked.until:
            end = self._until_column()
            others = self._differ([name for name in self.tracked.columns if name != end])
            found["update"] = made("UPDATE", self._both, others)
            found["end"] = made("UPDATE", self._moved_end, f"NOT ({others}) AND ({self._differ([end])})")
        return found


# --- In the database ----------------------------------------------------------------------


def _existing() -> dict[str, set[str]]:
    """Return {table: the names of our triggers on it}."""
    if connection.vendor == "postgresql":
        query = (
            "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal AND starts_with(t.tgname, %s) AND pg_table_is_visible(c.oid)"
        )
    else:
        query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, 9) = %s"
    found: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(query, [PREFIX])
        for table, name in cursor.fetchall():
            found.setdefault(table, set()).add(name)
    return found


def missing() -> list[str]:
    """Return the tables whose triggers are not those that the code asks for."""
    existing = _existing()
    return [
        table
        for table, tracked in by_table().items()
        if set(_Triggers(tracked, connection.vendor).statements()) != existing.get(table, set())
    ]


def _drop(table: str, names: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        for name in names:
            on = f' ON "{table}"' if connection.vendor == "postgresql" else ""
            cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"{on}')


def install(app_label: str) -> None:
    """Make the triggers of one app's tables what the code asks for; done already, it does nothing.

    A table that was not watched until now may have changed unseen, so all of it is logged.
    """
    if FactChange._meta.db_table not in connection.introspection.table_names():
        return
    existing = _existing()
    for table, tracked in by_table().items():
        if tracked.model._meta.app_label != app_label:
            continue
        wanted = _Triggers(tracked, connection.vendor).statements()
        there = existing.get(table, set())
        if set(wanted) == there or not _has_all_columns(tracked):
            continue
        with transaction.atomic():
            _drop(table, there - set(wanted))
            with connection.cursor() as cursor:
                for name in set(wanted) - there:
                    for statement in wanted[name]:
                        cursor.execute(statement)
            log_everything(table)
    if FactChange.objects.filter(source=UNWATCHED).exists() and not missing():
        FactChange.objects.filter(source=UNWATCHED).delete()


def _has_all_columns(tracked: Tracked) -> bool:
    """False in the middle of migrating backwards, when the tables are older than the code."""
    needed = {str(field.column) for field in tracked.model._meta.concrete_fields}
    with connection.cursor() as cursor:
        if tracked.table not in connection.introspection.table_names(cursor):
            return False
        cursor.execute(f'SELECT * FROM "{tracked.table}" LIMIT 0')
        return needed <= {column[0] for column in cursor.description}


def uninstall() -> None:
    """Take all triggers away, and say so in the log until they are back."""
    existing = _existing()
    if existing:
        with transaction.atomic():
            log_everything(UNWATCHED)
            for table, names in existing.items():
                _drop(table, names)


# --- accounts' own tables -----------------------------------------------------------------

# What an account is speaks about the days since we know it.
track(
    "accounts.Account",
    days=("created_at",),
    is_open_ended=True,
    ignores=(
        *("name", "website", "time_zone", "notes", "custom", "parent"),
        *("plan", "mrr", "is_customer", "renews_on"),
    ),
)
track("accounts.AccountTrait", days=("starts_on",), until="ends_on")
track("accounts.Assignment", days=("starts_on",), until="ends_on")
track("accounts.Contact", ignores=("name", "email", "phone", "title", "time_zone"))
track("accounts.Product")
track("accounts.Plan")
track(
    "accounts.Subscription",
    days=("starts_on", "term_ends_on", "payment_due_on"),
    until="ends_on",
    ignores=("plan", "quantity", "unit_price", "currency", "status", "mrr"),
)
# Before the first terms of a line hold, it is taken to have had them.
track(
    "accounts.SubscriptionTerms",
    days=("effective_on",),
    is_open_ended=True,
    reaches_back_to="subscription__starts_on",
)
track("accounts.Movement", days=("effective_on",))
# A rate holds until the next one. With the first of a currency, amounts in it can be exchanged at all.
track("accounts.ExchangeRate", days=("starts_on",), is_open_ended=True, reaches_back_to="currency")
track("accounts.Charge", days=("day",))
track("accounts.Renewal", days=("due_on", "decided_at"))
track("accounts.Touch", days=("happened_at",), ignores=("notes",))
track("accounts.Referral", days=("referred_on", "converted_on"))
track("accounts.Cost", days=("day",))
track("accounts.OutcomeMetric", days=("baseline_on",), is_open_ended=True)
track("accounts.OutcomeValue", days=("day", "metric__baseline_on"))
track("accounts.Milestone", days=("started_on", "due_on", "reached_on"))
