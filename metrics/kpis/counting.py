"""Counts in the database: one grouped query a part, many of them in one statement.

Amounts travel as whole millionths, because SQLite adds decimals up as floating point.
Nothing here knows what a KPI means.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    DateField,
    F,
    FilteredRelation,
    Func,
    IntegerField,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, ExtractMonth, ExtractYear, Round, TruncDate
from django.utils import timezone

from accounts.models import Account, Assignment, ExchangeRate
from csplatform.periods import Period
from metrics.calculations import Spread
from metrics.kpis.definition import DIMENSIONS, Amount, Part, Scope
from team.models import User

Read = TypeVar("Read")

MICRO = 1_000_000
# SQLite takes 500 SELECTs in one statement; planning more than this many costs more than it saves.
TERMS_A_STATEMENT = 80


class MissingRateError(Exception):
    """An amount in a currency that has no exchange rate on that day."""


@dataclass(frozen=True)
class Filters:
    """Which facts count: None is "all", an empty text is "those without one".

    `own` are groups of the KPI's own groupings, as (grouping, key); parts without that grouping
    count in full.
    """

    csm: int | None = None
    segment: str | None = None
    plan: str | None = None
    lifecycle_stage: str | None = None
    account: int | None = None
    own: tuple[tuple[str, str], ...] = ()

    def by_dimension(self) -> dict[str, str]:
        """Return {dimension: group key} for those that are set."""
        found = {name: getattr(self, name) for name in DIMENSIONS}
        return {name: str(value) for name, value in found.items() if value is not None}

    @property
    def single_out_accounts(self) -> bool:
        return self.account is not None or bool(self.by_dimension())

    @property
    def are_set(self) -> bool:
        return self.single_out_accounts or bool(self.own)


def day_of_moment(path: str) -> TruncDate:
    """Return the day, in the workspace's time zone, of a moment of the row."""
    return TruncDate(path, tzinfo=timezone.get_default_timezone())


def in_micro(of: Combinable) -> Cast:
    return Cast(Round(of * Value(MICRO)), BigIntegerField())


def exact_sum(of: Combinable | str) -> Sum:
    """Return an exact sum, in millionths: what is 0 is 0, in SQLite too."""
    return Sum(in_micro(F(of) if isinstance(of, str) else of))


class DaysBetween(Func):
    """How many days the second of two dates of a row is after the first."""

    template = "(%(expressions)s)"
    arg_joiner = " - "
    output_field = IntegerField()

    def __init__(self, first: Combinable | str, second: Combinable | str, **extra: Any) -> None:
        super().__init__(Cast(second, DateField()), Cast(first, DateField()), **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "CAST(julianday(%(expressions)s) AS INTEGER)"
        return self.as_sql(compiler, connection, template=template, arg_joiner=") - julianday(", **context)


def sees_everything(user: Any) -> bool:
    return user is None or (
        user.is_authenticated and user.is_active and user.role in (User.Role.ADMIN, User.Role.VIEWER)
    )


def _in_force(path: str, day: Any, **conditions: Any) -> FilteredRelation:
    return FilteredRelation(
        path,
        condition=Q(
            Q(**{f"{path}__ends_on__isnull": True}) | Q(**{f"{path}__ends_on__gte": day}),
            **{f"{path}__starts_on__lte": day},
            **{f"{path}__{name}": value for name, value in conditions.items()},
        ),
    )


def _with_dimension(facts: QuerySet[Any], part: Part, dimension: str, period: Period) -> QuerySet[Any]:
    """Add `kpi_<dimension>`: the group a row belongs to, as text, empty for none."""
    prefix = f"{part.account}__" if part.account else ""
    alias = f"kpi_join_{dimension}"
    if dimension == "csm":
        day: Any = part.csm_on
        if isinstance(day, str):
            day = period.start if day == "start" else period.last_day
        facts = facts.annotate(**{alias: _in_force(f"{prefix}assignments", day, kind=Assignment.Kind.CSM)})
        column = F(f"{alias}__user_id")
    else:
        facts = facts.annotate(**{alias: _in_force(f"{prefix}traits", period.last_day, kind=dimension)})
        column = F(f"{alias}__value")
    group: Combinable = Coalesce(Cast(column, CharField()), Value(""), output_field=CharField())
    if part.anonymous:
        group = Case(When(**{part.anonymous: True}, then=Value("")), default=group, output_field=CharField())
    return facts.annotate(**{f"kpi_{dimension}": group})


def counted_facts(
    part: Part, scope: Scope, *, filters: Filters, user: Any, group_by: str = ""
) -> QuerySet[Any]:
    """Return the rows that count for `user`, with `kpi_group` when they are grouped."""
    facts = part.facts(scope)
    by_dimension = filters.by_dimension()
    if not sees_everything(user):
        facts = facts.filter(**{f"{part.account or 'pk'}__in": Account.objects.visible_to(user)})
    if filters.account is not None:
        facts = facts.filter(**{part.account or "pk": filters.account})
    if part.anonymous and (not sees_everything(user) or filters.single_out_accounts):
        facts = facts.filter(**{part.anonymous: False})
    own = {name: key for name, key in filters.own if part.group(name) is not None}
    for dimension in sorted({*by_dimension, *own, group_by} - {""}):
        if dimension in DIMENSIONS:
            facts = _with_dimension(facts, part, dimension, scope.period)
        else:
            facts = facts.annotate(**{alias_of(dimension): _own_group(part, dimension)})
    for dimension, key in (by_dimension | own).items():
        facts = facts.filter(**{alias_of(dimension): key})
    return facts


def alias_of(dimension: str) -> str:
    """Return the column of a row's group; names that people chose become harmless in it."""
    if dimension.isidentifier():
        return f"kpi_{dimension}"
    return f"kpi_own_{hashlib.blake2b(dimension.encode(), digest_size=8).hexdigest()}"


def _own_group(part: Part, dimension: str) -> Combinable:
    of = part.group(dimension)
    column = of if isinstance(of, Combinable) else F(of or "")
    return Coalesce(Cast(column, CharField()), Value(""), output_field=CharField())


def _money_columns(part: Part) -> tuple[Combinable, Combinable]:
    """Return a row's currency, scale or value, and the month whose rate exchanges it; 0 for a boundary."""
    unit: Combinable = Value("")
    if part.currency:
        unit = F(part.currency)
    elif part.scale is not None:
        unit = part.scale
    elif part.spread is not None:
        unit = part.spread
    month: Combinable = Value(0)
    if part.currency and part.rate_on not in ("start", "end"):
        month = ExtractYear(part.rate_on) * Value(100) + ExtractMonth(part.rate_on)
    return Cast(unit, CharField()), Cast(month, IntegerField())


def _aggregate(amount: Amount) -> Any:
    match amount.kind:
        case "distinct":
            return Count(amount.of, distinct=True)
        case "count":
            return Sum(Cast(amount.of, BigIntegerField()))
        case _:
            return Sum(in_micro(amount.of))


@dataclass(frozen=True)
class Term:
    """One part of one question, ready to be counted."""

    key: Any
    part: Part
    scope: Scope
    filters: Filters
    user: Any
    group_by: str = ""

    def query(self, number: int, width: int) -> QuerySet[Any, Any]:
        facts = counted_facts(
            self.part, self.scope, filters=self.filters, user=self.user, group_by=self.group_by
        )
        unit, month = _money_columns(self.part)
        group: Combinable = F(alias_of(self.group_by)) if self.group_by else Value("")
        query = (
            facts.annotate(
                kpi_term=Value(number, output_field=IntegerField()),
                kpi_group=Cast(group, CharField()),
                kpi_unit=unit,
                kpi_month=month,
            )
            .order_by()
            .values("kpi_term", "kpi_group", "kpi_unit", "kpi_month")
        )
        sums = {f"kpi_sum_{at}": _aggregate(amount) for at, amount in enumerate(self.part.amounts.values())}
        padding = {
            f"kpi_sum_{at}": Value(0, output_field=BigIntegerField()) for at in range(len(sums), width)
        }
        return query.annotate(**sums, **padding).values_list(
            "kpi_term", "kpi_group", "kpi_unit", "kpi_month", *(f"kpi_sum_{at}" for at in range(width))
        )


@dataclass(frozen=True)
class RateChange:
    """An exchange rate that was corrected, or became known late."""

    currency: str
    starts_on: date
    before: Decimal | None
    after: Decimal
    recorded_at: datetime


@dataclass
class _Recorded:
    """What rates were recorded by a moment, read when the first is asked for."""

    known_at: datetime | None

    @cached_property
    def versions(self) -> dict[str, dict[date, list[ExchangeRate]]]:
        """Return {currency: {first day: its versions, oldest first}}, the days in order."""
        found: dict[str, dict[date, list[ExchangeRate]]] = defaultdict(dict)
        for row in ExchangeRate.objects.known_at(self.known_at).in_order():
            found[row.currency].setdefault(row.starts_on, []).append(row)
        return found


class Rates:
    """Exchange rates to one currency; read once, and only when another currency turns up."""

    def __init__(
        self, currency: str = "", known_at: datetime | None = None, recorded: _Recorded | None = None
    ) -> None:
        self.currency = currency or settings.REPORTING_CURRENCY
        self._recorded = recorded or _Recorded(known_at)
        self._used: set[tuple[str, date]] = set()

    def _known(self, currency: str) -> dict[date, list[ExchangeRate]]:
        return self._recorded.versions.get(currency, {})

    def knows(self, currency: str) -> bool:
        """Return whether this currency is exchanged at rates of its own, from some day on."""
        return currency == self.currency or bool(self._known(currency))

    def at(self, currency: str, day: date, *, is_noted: bool = True) -> Decimal:
        """Return what one unit was worth; `is_noted` has `changes` tell if this rate was corrected."""
        if currency == self.currency:
            return Decimal(1)
        known = self._known(currency)
        found = [starts_on for starts_on in known if starts_on <= day]
        if not found:
            raise MissingRateError(currency)
        if is_noted:
            self._used.add((currency, found[-1]))
        return known[found[-1]][-1].rate

    def noted(self) -> Rates:
        """Return the same rates with a memory of their own for which of them are used."""
        return Rates(self.currency, recorded=self._recorded)

    def changes(self, since: datetime, *, with_new: bool = False) -> list[RateChange]:
        """Return which of the rates used were corrected since, `with_new` also those first known then."""
        found = []
        for currency, starts_on in sorted(self._used):
            versions = self._known(currency)[starts_on]
            newest, known = versions[-1], [row.rate for row in versions if row.recorded_at <= since]
            before = known[-1] if known else None
            if newest.recorded_at > since and before != newest.rate and (known or with_new):
                found.append(RateChange(currency, starts_on, before, newest.rate, newest.recorded_at))
        return found

    def suited_to(self, currencies: set[str]) -> Rates:
        """Return rates to the reporting currency, or to the only currency there is if that has no rate.

        Somebody whose books are all in one currency gets their figures in it without setting anything.
        """
        if len(currencies) == 1:
            (only,) = currencies
            if not self.knows(only):
                return Rates(only, recorded=self._recorded)
        return self


def rate_day(part: Part, period: Period, month: int) -> date:
    """Return the day whose rate exchanges an amount.

    A balance takes the rate of the last day before its boundary, so that one period's closing
    is the next one's opening. A movement takes that of the first of its month.
    """
    if month:
        return date(month // 100, month % 100, 1)
    return period.start - timedelta(days=1) if part.rate_on == "start" else period.last_day


@dataclass
class Tally:
    """What one group of one question came to."""

    # {count: {(currency or scale, month of the rate): amount}}
    amounts: dict[str, dict[tuple[str, int], Decimal]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Decimal))
    )

    def add(self, other: Tally) -> None:
        for name, cells in other.amounts.items():
            for cell, amount in cells.items():
                self.amounts[name][cell] += amount

    def counts(self, parts: Sequence[Part], period: Period, rates: Rates) -> dict[str, Decimal]:
        """Return each count as one number; raise when a currency has no rate."""
        found: dict[str, Decimal] = {}
        for part in parts:
            for name, amount in part.amounts.items():
                total = Decimal(0)
                for (unit, month), value in self.amounts.get(name, {}).items():
                    if amount.kind == "money" and value:
                        value *= rates.at(unit, rate_day(part, period, month))
                    total += value
                found[name] = total
        return found

    def by_currency(self, parts: Sequence[Part]) -> dict[str, dict[str, Decimal]]:
        """Return each sum of money per currency, not exchanged."""
        found: dict[str, dict[str, Decimal]] = {}
        for part in parts:
            for name, amount in part.amounts.items():
                if amount.kind == "money":
                    cells: dict[str, Decimal] = defaultdict(Decimal)
                    for (unit, _), value in self.amounts.get(name, {}).items():
                        cells[unit] += value
                    found[name] = dict(cells)
        return found

    def currencies(self, parts: Sequence[Part]) -> set[str]:
        """Return the currencies of the money that was counted."""
        found = self.by_currency(parts).values()
        return {currency for amounts in found for currency, amount in amounts.items() if amount}

    def spread(self, part: Part) -> Spread:
        """Return the different values of the rows, lowest first, each with its counts."""
        nothing = dict.fromkeys(part.amounts, Decimal(0))
        found: dict[Decimal, dict[str, Decimal]] = defaultdict(nothing.copy)
        for name in part.amounts:
            for (value, _), amount in self.amounts.get(name, {}).items():
                if value:
                    found[Decimal(value)][name] += amount
        return sorted(found.items())

    def scales(self, part: Part) -> set[str]:
        """Return the scales of what was counted."""
        return {
            unit for name in part.amounts for (unit, _), value in self.amounts.get(name, {}).items() if value
        }


_read_once: ContextVar[dict[str, Any] | None] = ContextVar("read_once", default=None)


def once_a_count(name: str, read: Callable[[], Read]) -> Read:
    """Return what `read` returns; all that is counted together reads it once.

    For the few rows that facts depend on and that no join reaches, such as a setting.
    """
    known = _read_once.get()
    if known is None:
        return read()
    if name not in known:
        known[name] = read()
    return cast(Read, known[name])


def count(terms: Iterable[Term]) -> dict[Any, dict[str, Tally]]:
    """Count all terms; return {term key: {group: tally}}. A key may have several terms.

    What several questions ask alike, such as the closing MRR, is counted once.
    """
    token = _read_once.set({})
    try:
        return _count(terms)
    finally:
        _read_once.reset(token)


def _count(terms: Iterable[Term]) -> dict[Any, dict[str, Tally]]:
    found: dict[Any, dict[str, Tally]] = {}
    keys: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    different: dict[tuple[Any, ...], Term] = {}
    for term in terms:
        found.setdefault(term.key, {})
        same = (id(term.part), term.scope, term.filters, id(term.user), term.group_by)
        keys[same].append(term.key)
        different.setdefault(same, term)
    for batch in batched(different.items(), TERMS_A_STATEMENT):
        width = max(len(term.part.amounts) for _, term in batch)
        queries = [term.query(number, width) for number, (_, term) in enumerate(batch)]
        rows = queries[0].union(*queries[1:], all=True) if len(queries) > 1 else queries[0]
        for number, group, unit, month, *sums in rows:
            same, term = batch[number]
            for key in keys[same]:
                tally = found[key].setdefault(group, Tally())
                for (name, amount), total in zip(term.part.amounts.items(), sums, strict=False):
                    if total:
                        exact = Decimal(int(total))
                        if amount.kind in ("money", "quantity"):
                            exact /= MICRO
                        tally.amounts[name][(unit or "", month or 0)] += exact
    return found


def names_of_csms(keys: Iterable[str]) -> Mapping[str, str]:
    ids = [int(key) for key in keys if key]
    return {str(user.pk): str(user) for user in User.objects.filter(pk__in=ids)} if ids else {}


def batched(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Return the rows in lists of at most `size`."""
    at = iter(rows)
    while batch := list(islice(at, size)):
        yield batch


ONE = Value(1, output_field=IntegerField())
