"""Column shapes and rules that several apps share."""

from __future__ import annotations

import functools
import zoneinfo
from datetime import date
from typing import Any

from babel.numbers import list_currencies
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

EARLIEST = date(1900, 1, 1)
LATEST = date(2200, 1, 1)


@functools.cache
def known_currencies() -> frozenset[str]:
    return frozenset(list_currencies())


def validate_currency(value: str) -> None:
    if value not in known_currencies():
        raise ValidationError(
            "%(value)s is not a currency code of ISO 4217, such as EUR.", params={"value": value}
        )


def validate_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError("%(value)s is not a time zone such as Europe/Berlin.", params={"value": value})


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """An exact amount; rounded only when shown."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 19)
        kwargs.setdefault("decimal_places", 6)
        super().__init__(**kwargs)


class CurrencyField(models.CharField):  # type: ignore[type-arg]
    """A code of ISO 4217."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 3)
        kwargs.setdefault("validators", [validate_currency])
        super().__init__(**kwargs)


def within_centuries(field: str) -> Q:
    """Hold a date between 1900 and 2200, where every calendar we meet agrees."""
    return Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__range": (EARLIEST, LATEST)})


def not_nan(field: str, *, low: str | None = "-1000000000000", high: str = "1000000000000") -> Q:
    """Refuse NaN, which PostgreSQL would store and which poisons every sum.

    PostgreSQL sorts NaN above all numbers, so an upper bound keeps it out.
    """
    return Q(**{f"{field}__lte": high}) & (Q(**{f"{field}__gte": low}) if low is not None else Q())
