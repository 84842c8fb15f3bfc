"""How numbers, money, dates and scores look: `{% load show %}`, then `{{ value|money }}` and the like.

Filters only choose a form of words; they never calculate a figure. What is missing (None or an empty
string) comes out as the no-data mark, never as 0. Numbers keep their sign as a true minus and stick to
their unit with a no-break space.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from babel.core import UnknownLocaleError
from babel.numbers import get_currency_precision, get_currency_symbol
from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

NBSP = "\u00a0"
MINUS = "\u2212"
NO_DATA = mark_safe('<span class="no-data">no data</span>')

BANDS = {
    "red": "At risk",
    "yellow": "Watch",
    "green": "Healthy",
    "": "No score",
}

# Why a number is missing, in words; the keys are the `reason` of a KPI's answer.
REASONS = {
    "no_customers_at_start": "there were no customers when the period began",
    "no_customers": "there are no customers",
    "no_responses": "nobody answered in this period",
    "no_tickets": "no tickets came in during this period",
    "nothing_due": "nothing was due in this period",
    "nothing_open": "no contract that ends in this period is open",
    "not_forecast_yet": "no forecast of the open contracts was made yet",
    "not_forecast": "no contract that ended in this period was forecast then",
    "nothing_decided": "no contract that was forecast is decided yet",
    "no_renewal_history": "no contract term had ended yet that a likelihood could be taken from",
    "nothing_lost": "nothing was lost in this period",
    "nobody_joined": "nobody joined in this period",
    "no_costs": "no costs were entered for this period",
    "nobody_churned": "nobody left in this period",
    "no_paying_customers": "no customer pays anything recurring",
    "nothing_answered": "no ticket was answered in this period",
    "nothing_resolved": "no ticket was resolved in this period",
    "no_tickets_due": "no ticket was due in this period, or no targets are set",
    "no_settled_tickets": "no ticket of this period has settled yet",
    "no_seats": "no seats are contracted",
    "no_users_before": "nobody was active in the period before",
    "no_users_at_start": "nobody used the product when the period began",
    "no_known_users": "no end users are known",
    "no_features_in_plans": "no plan of theirs names its features",
    "no_users": "no end users were active",
    "no_opening_mrr": "there was no recurring revenue when the period began",
    "nothing_delivered": "nobody was asked in this period",
    "fewer_than_half_yet": "fewer than half are there yet",
    "nobody_started": "nobody started in this period",
    "nobody_in_onboarding": "no account was in onboarding",
    "no_outcomes": "no customer's own figure has both a baseline and a reading",
    "no_referrals": "nobody referred anybody in this period",
    "no_accounts_held": "no account has a CSM",
    "no_scores": "no customer had a health score yet",
    "insufficient_data": "too few signals are known",
    "nothing_in_denominator": "there is nothing to divide by",
    "mixed_scales": "the answers are on different scales",
}


def as_decimal(value: Any) -> Decimal | None:
    """Return a finite number, or None for anything that is none."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def digits(number: Decimal, places: int) -> str:
    """Return a number with thousands separators, halves rounded away from zero, and a true minus.

    >>> digits(Decimal("-1234.5"), 0)
    '−1,235'
    """
    rounded = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    text = f"{abs(rounded):,}"
    return f"{MINUS}{text}" if rounded < 0 else text


def _trimmed(number: Decimal, places: int) -> str:
    """The number with at most so many decimals, and none when it is whole."""
    return digits(number, 0 if number == number.to_integral_value() else places)


def _symbol(currency: str | None) -> tuple[str, int]:
    code = currency or settings.REPORTING_CURRENCY
    try:
        return get_currency_symbol(code, locale="en_GB"), get_currency_precision(code)
    except (UnknownLocaleError, KeyError):
        return code, 2


def is_money(unit: str) -> bool:
    """Say whether a unit is money: the word, or a currency's code."""
    return unit in ("money", "currency", "money per account") or (
        len(unit) == 3 and unit.isalpha() and unit.isupper()
    )


def currency_sign(unit: str) -> str:
    """Return the sign of a currency; that of the reporting currency for the word "money"."""
    return _symbol(unit if unit.isupper() else None)[0]


def _with_symbol(number: Decimal, text: str, symbol: str) -> str:
    sign = MINUS if text.startswith(MINUS) else ""
    return f"{sign}{symbol}{NBSP}{text.removeprefix(MINUS)}"


@register.filter
def number(value: Any, places: int = 0) -> str | SafeString:
    """`{{ 1234.5|number:1 }}` → 1,234.5"""
    amount = as_decimal(value)
    return NO_DATA if amount is None else digits(amount, places)


@register.filter
def money(value: Any, currency: str | None = None) -> str | SafeString:
    """`{{ mrr|money:"EUR" }}` → € 184,000: whole units from 1,000 on, with cents below unless it is whole."""
    amount = as_decimal(value)
    if amount is None:
        return NO_DATA
    symbol, precision = _symbol(currency)
    places = 0 if abs(amount) >= 1000 or amount == amount.to_integral_value() else precision
    return _with_symbol(amount, digits(amount, places), symbol)


@register.filter
def money_exact(value: Any, currency: str | None = None) -> str | SafeString:
    """`{{ mrr|money_exact:"EUR" }}` → € 316,985.75: always with the currency's decimals."""
    amount = as_decimal(value)
    if amount is None:
        return NO_DATA
    symbol, precision = _symbol(currency)
    return _with_symbol(amount, digits(amount, precision), symbol)


@register.filter
def money_short(value: Any, currency: str | None = None) -> str | SafeString:
    """`{{ mrr|money_short }}` → € 214 k, € 1.2 M; below 1,000 as `money`."""
    amount = as_decimal(value)
    if amount is None:
        return NO_DATA
    symbol, _ = _symbol(currency)
    for size, letter in ((Decimal(10**9), "bn"), (Decimal(10**6), "M"), (Decimal(10**3), "k")):
        # 999,600 is € 1 M, not € 1,000 k: compare what would be shown.
        if abs(amount) >= size * Decimal("0.9995") and abs(amount) >= 1000:
            scaled = amount / size
            return (
                _with_symbol(amount, digits(scaled, 1 if abs(scaled) < Decimal("9.95") else 0), symbol)
                + NBSP
                + letter
            )
    return money(amount, currency)


@register.filter
def percent(value: Any, places: int = 1) -> str | SafeString:
    """`{{ 26.537|percent }}` → 26.5 %. The value is in per cent already, not a fraction."""
    amount = as_decimal(value)
    return NO_DATA if amount is None else f"{digits(amount, places)}{NBSP}%"


@register.filter
def points(value: Any, places: int = 0) -> str | SafeString:
    """`{{ nps|points:1 }}` → −12.5: a score that may be negative, without unit."""
    return number(value, places)


@register.filter
def score(value: Any) -> str | SafeString:
    """A health score from 0 to 100, whole; a missing one says "no score"."""
    amount = as_decimal(value)
    return mark_safe('<span class="no-data">no score</span>') if amount is None else digits(amount, 0)


@register.filter
def signed(value: Any, places: int = 0) -> str | SafeString:
    """`{{ change|signed:1 }}` → +1.4, −2.0, ±0: a change, always with its sign."""
    amount = as_decimal(value)
    if amount is None:
        return NO_DATA
    text = digits(amount, places)
    if not text.strip("0.,"):
        return "±0"
    return text if text.startswith(MINUS) else f"+{text}"


@register.filter
def as_unit(value: Any, unit: str) -> str | SafeString:
    """A number in the unit its KPI names.

    Units: `percent`, `points`, `score`, `count`, `ratio`, `months`, `days`, `hours`, `minutes`, `money`, or
    a currency's code.
    """
    amount = as_decimal(value)
    if amount is None:
        return NO_DATA
    match unit:
        case "percent" | "%" | "per cent":
            return percent(amount)
        case "points":
            return _trimmed(amount, 1)
        case "score":
            return score(amount)
        case "ratio":
            return f"{digits(amount, 2)}{NBSP}×"
        case _ if is_money(unit):
            return money(amount, unit if unit.isupper() else None)
        case "months" | "days" | "hours" | "minutes" | "seconds":
            word = unit.removesuffix("s") if amount == 1 else unit
            return f"{_trimmed(amount, 1)}{NBSP}{word}"
        case _:
            return _trimmed(amount, 2)


@register.filter
def level(value: Any, unit: str) -> str | SafeString:
    """A target in its unit, without needless decimals: 110 % where a measured value says 110.0 %."""
    amount = as_decimal(value)
    if amount is not None and unit in ("percent", "%", "per cent"):
        return f"{_trimmed(amount, 1)}{NBSP}%"
    return as_unit(value, unit)


@register.filter
def signed_as_unit(value: Any, unit: str) -> str | SafeString:
    """A change in a unit: per cent become percentage points (+1.4 pt), money is shortened (−€ 12 k)."""
    amount = as_decimal(value)
    if amount is None:
        return NO_DATA
    if unit in ("percent", "%", "per cent"):
        return f"{signed(amount, 1)}{NBSP}pt"
    if is_money(unit):
        text = money_short(abs(amount), unit if unit.isupper() else None)
        return f"{'+' if amount > 0 else MINUS if amount < 0 else '±'}{text}"
    return signed(amount, 0 if amount == amount.to_integral_value() else 1)


def _local(value: date | datetime) -> date:
    if isinstance(value, datetime):
        return timezone.localtime(value).date() if timezone.is_aware(value) else value.date()
    return value


def _clock(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


@register.filter
def day(value: date | datetime | None) -> str | SafeString:
    """`{{ renewal_on|day }}` → 12 Jan 2027"""
    return NO_DATA if not value else f"{_local(value):%-d %b %Y}".replace(" ", NBSP)


@register.filter
def day_short(value: date | datetime | None) -> str | SafeString:
    """`{{ given_at|day_short }}` → 12 Jan: where the year is plain from the context."""
    return NO_DATA if not value else f"{_local(value):%-d %b}".replace(" ", NBSP)


@register.filter
def month(value: date | datetime | None) -> str | SafeString:
    """`{{ starts_on|month }}` → Jan 2027"""
    return NO_DATA if not value else f"{_local(value):%b %Y}".replace(" ", NBSP)


@register.filter
def moment(value: datetime | None) -> str | SafeString:
    """`{{ opened_at|moment }}` → 12 Jan 2027, 14:05 in the workspace's time zone."""
    return NO_DATA if not value else f"{day(value)}, {_clock(value):%H:%M}"


def days_in_words(days: int) -> str:
    """Return how far away a day is; negative is the past.

    >>> [days_in_words(n) for n in (-400, -3, -1, 0, 1, 12)]
    ['13 months ago', '3 days ago', 'yesterday', 'today', 'tomorrow', 'in 12 days']
    """
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}
    if days in near:
        return near[days]
    size = abs(days)
    if size < 60:
        words = f"{size} days"
    elif size < 730:
        words = f"{round(size / 30.44)} months"
    else:
        words = f"{size // 365} years"
    return f"in {words}" if days > 0 else f"{words} ago"


def moment_in_words(value: datetime, now: datetime) -> str:
    """Return how long ago a moment was: by minutes and hours within a day, by calendar days from then on."""
    seconds = (now - value).total_seconds()
    if 0 <= seconds < 60:
        return "just now"
    if 60 <= seconds < 3600:
        minutes = int(seconds // 60)
        return f"{minutes} minute{'s' if minutes != 1 else ''} ago"
    if 3600 <= seconds < 12 * 3600:
        hours = int(seconds // 3600)
        return f"{hours} hour{'s' if hours != 1 else ''} ago"
    return days_in_words((_local(value) - _local(now)).days)


@register.filter
def ago(value: date | datetime | None) -> str | SafeString:
    """`{{ touched_at|ago }}` → 3 days ago; `{{ renewal_on|ago }}` → in 12 days."""
    if not value:
        return NO_DATA
    if isinstance(value, datetime) and timezone.is_aware(value):
        return moment_in_words(value, timezone.now())
    return days_in_words((_local(value) - timezone.localdate()).days)


@register.filter
def when(value: date | datetime | None) -> SafeString:
    """A `<time>` that says how long ago and, on hover, exactly when."""
    if not value:
        return NO_DATA
    exact = moment(value) if isinstance(value, datetime) else day(value)
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), exact, ago(value))


@register.filter
def band_label(value: str | None) -> str:
    """`red` → At risk, `yellow` → Watch, `green` → Healthy; anything else has no score."""
    return BANDS.get(value or "", BANDS[""])


@register.filter
def reason_words(value: str | None) -> str:
    """Why a number is missing, in words; an unknown code is spelt out."""
    if not value:
        return "nothing was measured"
    return REASONS.get(value, value.replace("_", " "))


@register.filter
def or_no_data(value: Any) -> Any:
    """Text as it is; None and empty text become the no-data mark."""
    return NO_DATA if value is None or value == "" else value


@register.filter
def no_data(reason: str | None) -> SafeString:
    """`{{ answer.reason|no_data }}` → no data: nobody answered in this period."""
    return format_html('<span class="no-data">no data: {}</span>', reason_words(reason))
