"""What can be asked of a field: which operators its type has, what they take, say, and match.

A value that people type is only ever compared with a column; it names no column, holds no
pattern and no SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from django.db.models import Q
from django.utils.dateparse import parse_date

from accounts.fields import EARLIEST, LATEST
from csplatform.periods import start_of_day
from metrics.kpis.definition import Scope

Type = Literal["choice", "text", "number", "yes_no", "day", "moment"]
Takes = Literal["nothing", "one", "several", "number", "days", "day", "yes_no"]

LONGEST_TEXT = 200
MOST_VALUES = 20
MOST_DAYS = 3_660
LARGEST = Decimal(10) ** 12
PLACES = 6


class Refused(ValueError):
    """A value that an operator cannot take: the message says the rule."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One way to compare. `words` is how a sentence goes on after the field, with the value in {}."""

    slug: str
    label: str
    words: str
    takes: Takes
    of: frozenset[Type]


_TEXTS: frozenset[Type] = frozenset({"choice", "text"})
_TEXT: frozenset[Type] = frozenset({"text"})
_NUMBER: frozenset[Type] = frozenset({"number"})
_DAYS: frozenset[Type] = frozenset({"day", "moment"})


def _operator(slug: str, label: str, takes: Takes, of: frozenset[Type], words: str = "") -> Operator:
    return Operator(slug=slug, label=label, words=words or f"{label} {{}}".strip(), takes=takes, of=of)


OPERATORS: Mapping[str, Operator] = {
    operator.slug: operator
    for operator in (
        _operator("is", "is", "one", _TEXTS),
        _operator("is_not", "is not", "one", _TEXTS),
        _operator("is_any_of", "is any of", "several", _TEXTS, "is {}"),
        _operator("is_none_of", "is none of", "several", _TEXTS, "is neither {}"),
        _operator("contains", "contains", "one", _TEXT),
        _operator("does_not_contain", "does not contain", "one", _TEXT),
        _operator("is_set", "is filled in", "nothing", _TEXTS | _NUMBER, "is filled in"),
        _operator("is_not_set", "is empty", "nothing", _TEXTS | _NUMBER, "is empty"),
        _operator("holds", "is", "yes_no", frozenset({"yes_no"}), "{}"),
        _operator("at_least", "is at least", "number", _NUMBER),
        _operator("at_most", "is at most", "number", _NUMBER),
        _operator("more_than", "is more than", "number", _NUMBER),
        _operator("less_than", "is less than", "number", _NUMBER),
        _operator("equals", "is exactly", "number", _NUMBER),
        _operator("within_period", "within the period", "nothing", _DAYS, "within the period"),
        _operator("last_days", "in the last … days", "days", _DAYS, "in the last {} of the period"),
        _operator("next_days", "in the next … days", "days", _DAYS, "in the {} after the period"),
        _operator("by_end", "by the end of the period", "nothing", _DAYS, "by the end of the period"),
        _operator("not_by_end", "not by its end", "nothing", _DAYS, "not by the end of the period"),
        _operator("days_ago", "longer ago than … days", "days", _DAYS, "more than {} before its end"),
        _operator("since", "on or after", "day", _DAYS),
        _operator("before", "before", "day", _DAYS),
    )
}
# How often accounts have to have something.
COUNTS = ("at_least", "at_most", "equals")
COMPARE = {"at_least": "gte", "at_most": "lte", "more_than": "gt", "less_than": "lt", "equals": "exact"}


@dataclass(frozen=True, kw_only=True)
class Field:
    """Something that facts can be chosen by.

    `where` matches rows by an operator and its value; most fields are one column and get theirs
    from `column`. `verb` is said of a day (opened, given, billed), `yes` and `no` of a truth.
    """

    slug: str
    label: str
    type: Type
    where: Callable[[Scope, str, Any], Q]
    choices: tuple[tuple[str, str], ...] = ()
    # Values that occur, offered while typing; anything else may be typed as well.
    suggest: Callable[[], Iterable[str]] | None = None
    verb: str = ""
    yes: str = ""
    no: str = ""
    help: str = ""
    # A state at the end of the period: who holds the account then is credited, not who did on the row's day.
    is_state: bool = False
    # False where the field only says how things are today.
    has_clock: bool = True
    only: tuple[str, ...] = ()

    @property
    def operators(self) -> tuple[Operator, ...]:
        return tuple(
            each
            for each in OPERATORS.values()
            if self.type in each.of and (not self.only or each.slug in self.only)
        )


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One checked condition. `that` narrows what accounts have to have: tickets that are open."""

    field: Field
    operator: Operator
    value: Any = None
    that: tuple[Condition, ...] = ()

    def q(self, scope: Scope) -> Q:
        return self.field.where(scope, self.operator.slug, self.value)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"field": self.field.slug, "operator": self.operator.slug}
        if self.operator.takes != "nothing":
            found["value"] = _as_json(self.value)
        if self.that:
            found["that"] = [each.as_json() for each in self.that]
        return found

    @property
    def value_words(self) -> str:
        names = dict(self.field.choices)
        match self.operator.takes:
            case "several":
                said = [_quoted(names.get(each, each), is_name=each in names) for each in self.value]
                last = " nor " if self.operator.slug == "is_none_of" else " or "
                return last.join(filter(None, [", ".join(said[:-1]), said[-1]]))
            case "days":
                return f"{self.value} day{'s' if self.value != 1 else ''}"
            case "day":
                return f"{self.value:%-d %b %Y}"
            case "number":
                return _plain(self.value)
            case "yes_no":
                return self.field.yes if self.value else self.field.no
            case "one":
                return _quoted(names.get(self.value, self.value), is_name=self.value in names)
            case _:
                return ""

    @property
    def words(self) -> str:
        """How a sentence goes on after what is counted: "whose priority is urgent"."""
        said = self.operator.words.format(self.value_words)
        if self.field.type == "yes_no":
            return said
        if self.field.type in ("day", "moment"):
            return f"{self.field.verb} {said}"
        return f"whose {self.field.label[:1].lower()}{self.field.label[1:]} {said}"


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _plain(value)
    return (
        value.isoformat() if isinstance(value, date) else list(value) if isinstance(value, tuple) else value
    )


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _quoted(text: str, *, is_name: bool) -> str:
    return text[:1].lower() + text[1:] if is_name else f"“{text}”"


# --- From what was typed to a value ---------------------------------------------------


def read_value(of: Field, operator: Operator, given: Any) -> Any:
    """Return the value an operator of a field compares with; Refused says why it cannot."""
    match operator.takes:
        case "nothing":
            return None
        case "yes_no":
            return _yes_no(given)
        case "number":
            return number(given)
        case "days":
            return whole(given, low=1, high=MOST_DAYS)
        case "day":
            return _day(given)
        case "several":
            return _several(of, given)
        case _:
            return _one(of, given)


def _one(of: Field, given: Any) -> str:
    if not isinstance(given, str):
        raise Refused("Write a text.")
    text = given.strip()
    if not text:
        raise Refused("Choose a value." if of.choices else "Write a value.")
    if len(text) > LONGEST_TEXT:
        raise Refused(f"At most {LONGEST_TEXT} characters are allowed.")
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused("That is not valid text.")
    known = dict(of.choices)
    if known and text not in known:
        raise Refused(f"{text!r} is none of {', '.join(known)}.")
    return text


def _several(of: Field, given: Any) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or isinstance(parts, bytes):
        raise Refused("Write one or more values, separated by commas.")
    found = tuple(
        dict.fromkeys(_one(of, part) for part in parts if not isinstance(part, str) or part.strip())
    )
    if not 1 <= len(found) <= MOST_VALUES:
        raise Refused(f"Write 1 to {MOST_VALUES} values, separated by commas.")
    return found


def _yes_no(given: Any) -> bool:
    if isinstance(given, bool):
        return given
    if given not in ("yes", "no"):
        raise Refused("Choose yes or no.")
    return bool(given == "yes")


def number(given: Any) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | str | Decimal):
        raise Refused("Write a number.")
    try:
        found = Decimal(str(given).strip())
    except InvalidOperation:
        raise Refused(f"{str(given)[:40]!r} is no number; write it as 1250.5.") from None
    if not found.is_finite() or abs(found) > LARGEST:
        raise Refused(f"Write a number up to {LARGEST:,}.")
    if found != round(found, PLACES):
        raise Refused(f"At most {PLACES} decimals are allowed.")
    return found


def whole(given: Any, *, low: int, high: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise Refused(f"Write a whole number from {low} to {high:,}.")
    text = str(given).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
        raise Refused(f"Write a whole number from {low} to {high:,}.")
    return int(text)


def _day(given: Any) -> date:
    try:
        found = given if isinstance(given, date) else parse_date(str(given).strip())
    except ValueError:
        found = None
    if found is None or not EARLIEST <= found <= LATEST:
        raise Refused(f"Write a day as 2026-01-31, from {EARLIEST} to {LATEST}.")
    return found


# --- From a value to rows -------------------------------------------------------------


def text_q(path: str, operator: str, value: Any) -> Q:
    match operator:
        case "is":
            return Q(**{path: value})
        case "is_not":
            return ~Q(**{path: value})
        case "is_any_of":
            return Q(**{f"{path}__in": value})
        case "is_none_of":
            return ~Q(**{f"{path}__in": value})
        case "contains":
            return Q(**{f"{path}__icontains": value})
        case "does_not_contain":
            return ~Q(**{f"{path}__icontains": value})
        case "is_set":
            return Q(**{f"{path}__gt": ""})
        case _:
            return ~Q(**{f"{path}__gt": ""})


def number_q(path: str, operator: str, value: Any) -> Q:
    if operator in ("is_set", "is_not_set"):
        return Q(**{f"{path}__isnull": operator == "is_not_set"})
    return Q(**{f"{path}__{COMPARE[operator]}": value})


def days_of(scope: Scope, operator: str, value: Any) -> tuple[date | None, date | None]:
    """Return the first day that matches and the first that no longer does; None is open."""
    period = scope.period
    match operator:
        case "within_period":
            return period.start, period.end
        case "last_days":
            return period.end - timedelta(days=value), period.end
        case "next_days":
            return period.end, period.end + timedelta(days=value)
        case "days_ago":
            return None, period.end - timedelta(days=value)
        case "since":
            return value, None
        case "before":
            return None, value
        case _:
            return None, period.end


def day_q(path: str, scope: Scope, operator: str, value: Any, *, is_moment: bool) -> Q:
    first, end = days_of(scope, operator, value)
    found = Q(**{f"{path}__isnull": False})
    if first is not None:
        found &= Q(**{f"{path}__gte": start_of_day(first) if is_moment else first})
    if end is not None:
        found &= Q(**{f"{path}__lt": start_of_day(end) if is_moment else end})
    return ~found if operator == "not_by_end" else found


def column(slug: str, label: str, type: Type, path: str = "", **more: Any) -> Field:
    """Return a field that is one column, or an annotation of the facts."""
    at = path or slug

    def where(scope: Scope, operator: str, value: Any) -> Q:
        match type:
            case "number":
                return number_q(at, operator, value)
            case "day" | "moment":
                return day_q(at, scope, operator, value, is_moment=type == "moment")
            case "yes_no":
                return Q(**{at: value})
            case _:
                return text_q(at, operator, value)

    return Field(slug=slug, label=label, type=type, where=where, **more)
