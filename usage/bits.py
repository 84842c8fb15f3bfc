"""Reading days that are kept as bits, a row a month: bit 0 is the first of the month."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, TypeVar

from dateutil.relativedelta import relativedelta
from django.db.models import Case, F, Func, IntegerField, Model, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

Row = TypeVar("Row", bound=Model)


def mask_of(month: date, first: date, last: date) -> int:
    """Return the bits of the days of a month from `first` to `last`.

    >>> bin(mask_of(date(2026, 2, 1), date(2026, 1, 30), date(2026, 2, 3)))
    '0b111'
    """
    since = max(first, month)
    until = min(last, month + relativedelta(months=1) - timedelta(days=1))
    return (1 << until.day) - (1 << (since.day - 1)) if since <= until else 0


def in_days(rows: QuerySet[Row], first: date, last: date) -> QuerySet[Row]:
    """Return the rows of `month` and `days` that have any day from `first` to `last`."""
    begins, ends = first.replace(day=1), last.replace(day=1)
    # The months in between count whole; only the outer two need their bits looked at.
    found = Q(month__gt=begins, month__lt=ends, days__gt=0) if begins < ends else Q(pk__in=[])
    for at, month in enumerate(dict.fromkeys((begins, ends))):
        name = f"bits_hit_{at}"
        rows = rows.annotate(**{name: F("days").bitand(mask_of(month, first, last))})
        found |= Q(**{"month": month, f"{name}__gt": 0})
    return rows.filter(found)


def bits_between(first: date, last: date) -> Combinable:
    """Return a row's bits from `first` to `last`, which are at most a few months."""
    whens = []
    month = first.replace(day=1)
    while month <= last:
        whens.append(When(month=month, then=F("days").bitand(mask_of(month, first, last))))
        month += relativedelta(months=1)
    return Case(*whens, default=Value(0))


class NumberOfDays(Func):
    """Counts the bits of a month."""

    output_field = IntegerField()
    arity = 1
    template = "bit_count(CAST(%(expressions)s AS INTEGER)::bit(32))"

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """SQLite cannot count bits: pairs are added up, then fours, then bytes."""
        sql, params = compiler.compile(self.source_expressions[0])
        pairs = f"({sql} - (({sql} >> 1) & {0x55555555}))"
        fours = f"(({pairs} & {0x33333333}) + (({pairs} >> 2) & {0x33333333}))"
        eights = f"(({fours} + ({fours} >> 4)) & {0x0F0F0F0F})"
        return f"((({eights} * {0x01010101}) >> 24) & 255)", (*params,) * 8
