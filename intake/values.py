"""Turns the text of one cell into a value, or says in a sentence why it is none.

Every parser takes text that is not empty and raises ValueError with the rule it breaks.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.timezone import get_default_timezone

from accounts.fields import EARLIEST, LATEST, known_currencies

Parser = Callable[[str], Any]
Type = Literal[
    "text",
    "date",
    "moment",
    "number",
    "integer",
    "boolean",
    "email",
    "currency",
    "country",
    "time_zone",
    "choice",
    "list",
]

LARGEST = Decimal(10) ** 12
DECIMALS = 6
_EARLIEST_AT = datetime(EARLIEST.year, EARLIEST.month, EARLIEST.day, tzinfo=UTC)
_LATEST_AT = datetime(LATEST.year, LATEST.month, LATEST.day, tzinfo=UTC)
_TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "off"})

# Names for ways to write a date that strptime has no letters for.
NAMED_FORMATS = {
    "iso": "2024-03-31, 2024-03-31T14:05:00Z",
    "unix": "seconds since 1970",
    "unix_ms": "milliseconds since 1970",
    "excel": "days since 1899-12-30, as spreadsheets count",
}
# Offered on the page, and tried in this order when a mapping is proposed.
COMMON_FORMATS = (
    "iso",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%Y/%m/%d",
    "%d %b %Y",
    "%b %d, %Y",
    "%Y-%m-%d %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%y %H:%M",
    "%d/%m/%y",
)
_DIRECTIVES = frozenset("dmyYHIMSpbBfzjaAZ%")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One thing an import can fill, and the rule its values keep."""

    name: str
    label: str
    type: Type = "text"
    is_required: bool = False
    max_length: int = 0
    low: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    help: str = ""
    synonyms: tuple[str, ...] = ()


def check_format(pattern: str) -> str:
    """Return what is wrong with a date format, or an empty string."""
    if pattern in NAMED_FORMATS:
        return ""
    letters = re.findall(r"%(.)", pattern)
    if not letters or not {"Y", "y"} & set(letters) or not set(letters) <= _DIRECTIVES:
        return (
            f"“{pattern}” is not a date format. Write {', '.join(NAMED_FORMATS)}, or day, month, year, "
            "hour and minute as %d %m %Y %H %M, such as %d/%m/%Y %H:%M."
        )
    return ""


def _in_range(moment: datetime) -> datetime:
    if not _EARLIEST_AT <= moment < _LATEST_AT:
        raise ValueError(f"{moment.date()} lies outside the years 1900 to 2199")
    return moment


def _read_moment(text: str, pattern: str, zone: zoneinfo.ZoneInfo) -> datetime:
    try:
        match pattern:
            case "iso":
                moment = datetime.fromisoformat(text)
            case "unix":
                moment = datetime.fromtimestamp(float(text), UTC)
            case "unix_ms":
                moment = datetime.fromtimestamp(float(text) / 1000, UTC)
            case "excel":
                moment = datetime.combine(date(1899, 12, 30), time.min) + timedelta(days=float(text))
            case _:
                moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is set below
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"“{text}” is not a date written as {pattern}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment.date()} lies outside the years 1900 to 2199") from error


@lru_cache(maxsize=1 << 16)
def parse_moment(text: str, *, pattern: str = "iso", zone: str = "UTC") -> datetime:
    """Return the moment in UTC; a time without a zone is one of `zone`.

    >>> parse_moment("29/2/2016 01:16", pattern="%d/%m/%Y %H:%M").isoformat()
    '2016-02-29T01:16:00+00:00'
    """
    return _in_range(_read_moment(text, pattern, zoneinfo.ZoneInfo(zone)))


@lru_cache(maxsize=1 << 16)
def parse_date(text: str, *, pattern: str = "iso", zone: str = "UTC") -> date:
    """Return the day; a moment with another zone gives its day in `zone`.

    >>> parse_date("31.03.2024", pattern="%d.%m.%Y")
    datetime.date(2024, 3, 31)
    """
    if pattern == "iso" and len(text) == 10:
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"“{text}” is not a date written as iso, such as 2024-03-31") from error
    else:
        day = _read_moment(text, pattern, zoneinfo.ZoneInfo(zone)).astimezone(zoneinfo.ZoneInfo(zone)).date()
    if not EARLIEST <= day < LATEST:
        raise ValueError(f"{day} lies outside the years 1900 to 2199")
    return day


def parse_number(
    text: str, *, decimal: str = ".", thousands: str = "", decimals: int | None = None, low: str = ""
) -> Decimal:
    """Return the exact number.

    >>> parse_number("1.234,50", decimal=",", thousands=".")
    Decimal('1234.50')
    """
    plain = text
    if thousands and thousands in plain:
        head, point, tail = plain.partition(decimal)
        groups = head.lstrip("+-").split(thousands)
        if not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:]):
            raise ValueError(f"“{text}” is not a number with {thousands!r} between thousands")
        plain = head.replace(thousands, "") + point + tail
    if decimal != ".":
        if "." in plain:
            raise ValueError(f"“{text}” is not a number with {decimal!r} as decimal sign")
        plain = plain.replace(decimal, ".")
    try:
        if not plain.isascii() or "_" in plain:
            raise InvalidOperation
        number = Decimal(plain)
    except InvalidOperation as error:
        raise ValueError(f"“{text}” is not a number") from error
    if not number.is_finite():
        raise ValueError(f"“{text}” is not a finite number")
    if abs(number) >= LARGEST:
        raise ValueError(f"{text} is too large: numbers stay below a trillion")
    if decimals is not None:
        number = round(number, decimals)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -DECIMALS:
        number = number.normalize()
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -DECIMALS:
            raise ValueError(f"{text} has more than {DECIMALS} decimals; the mapping can say “round”")
    if low and number < Decimal(low):
        raise ValueError("is negative" if low == "0" else f"is below {low}")
    return number


def parse_integer(text: str, *, low: str = "", **layout: Any) -> int:
    number = parse_number(text, low=low, **layout)
    if number != number.to_integral_value():
        raise ValueError(f"“{text}” is not a whole number")
    return int(number)


def parse_boolean(text: str) -> bool:
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"“{text}” is neither yes nor no")


@lru_cache(maxsize=1 << 14)
def parse_email(text: str) -> str:
    address = text.lower()
    try:
        validate_email(address)
    except ValidationError as error:
        raise ValueError(f"“{text}” is not an e-mail address") from error
    if len(address) > 254:
        raise ValueError("is longer than 254 characters")
    return address


def parse_currency(text: str) -> str:
    code = text.upper()
    if code not in known_currencies():
        raise ValueError(f"“{text}” is not a currency code of ISO 4217, such as EUR")
    return code


def parse_country(text: str) -> str:
    code = text.upper()
    if len(code) != 2 or not (code.isascii() and code.isalpha()):
        raise ValueError(f"“{text}” is not a country code of two letters; the mapping can translate names")
    return code


@lru_cache(maxsize=1024)
def parse_time_zone(text: str) -> str:
    if text not in zoneinfo.available_timezones():
        raise ValueError(f"“{text}” is not a time zone such as Europe/Berlin")
    return text


def parse_text(text: str, *, max_length: int) -> str:
    if len(text) > max_length:
        raise ValueError(f"is longer than {max_length:,} characters")
    return text


def parse_list(text: str) -> list[str]:
    return [word for part in text.split(";") if (word := part.strip())]


def parse_choice(text: str, *, values: dict[str, str]) -> str:
    value = values.get(text.casefold())
    if value is None:
        raise ValueError(f"“{text}” is unknown; known are {', '.join(sorted(set(values.values())))}")
    return value


def parser_for(
    field: Field, *, pattern: str = "iso", zone: str = "", number: dict[str, Any] | None = None
) -> Parser:
    """Return the parser of a field, with the layout its mapping states."""
    zone = zone or str(get_default_timezone())
    layout: dict[str, Any] = {
        "decimals" if key == "round" else key: value for key, value in (number or {}).items()
    }
    if field.low:
        layout["low"] = field.low
    match field.type:
        case "date":
            return partial(parse_date, pattern=pattern, zone=zone)
        case "moment":
            return partial(parse_moment, pattern=pattern, zone=zone)
        case "number":
            return partial(parse_number, **layout) if layout else parse_number
        case "integer":
            return partial(parse_integer, **layout) if layout else parse_integer
        case "boolean":
            return parse_boolean
        case "email":
            return parse_email
        case "currency":
            return parse_currency
        case "country":
            return parse_country
        case "time_zone":
            return parse_time_zone
        case "list":
            return parse_list
        case "choice":
            values = {word.casefold(): value for value, label in field.choices for word in (label, value)}
            return partial(parse_choice, values=values)
        case _:
            return partial(parse_text, max_length=field.max_length or 10_000)
