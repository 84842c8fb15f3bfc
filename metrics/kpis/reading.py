"""From texts to a question: the rules that pages, API and commands share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from csplatform.periods import Period, PeriodError, day_of, start_of_day
from metrics.kpis.asking import Question, known_kpi
from metrics.kpis.counting import Filters
from metrics.kpis.definition import Kpi, KpiError
from team.models import User

LONGEST_TEXT = 200
BIGGEST_ID = 2**63 - 1


def month_so_far(today: date) -> Period:
    """Return the days of this month up to and including today: what is asked when nothing is said."""
    return Period(today.replace(day=1), today + timedelta(days=1))


def default_period(kpi: Kpi, today: date) -> Period:
    """Return the days that a KPI is asked for when nothing is said.

    The month so far as a rule; as many months up to and including today as its definition
    says, or, of what looks ahead, from the first of this month on.
    """
    months = relativedelta(months=kpi.default_months)
    if kpi.looks_ahead:
        return Period(today.replace(day=1), today.replace(day=1) + months)
    if kpi.default_months:
        tomorrow = today + timedelta(days=1)
        return Period(tomorrow - months, tomorrow)
    return month_so_far(today)


def read_question(
    slug: str, given: Mapping[str, Any], *, user: Any, now: datetime | None = None, kpi: Kpi | None = None
) -> Question:
    """Return the question that texts ask: start, end, variant, group_by, known_at, csm, segment,
    plan, lifecycle_stage, account and the KPI's own groupings; what is missing or empty is not
    asked for.

    Without dates it is the month so far, with one the month that begins or ends there; or as many
    months as the KPI's definition says.
    `known_at` may be a day, which means its end. A CSM is named by id or e-mail address. A KPI
    that is not saved yet comes as `kpi`.
    """
    now, kpi = now or timezone.now(), kpi or known_kpi(slug)
    texts = {
        name: _text(name, given.get(name)) for name in (*_NAMES, "start", "end", "known_at", "csm", "account")
    }
    question = Question(
        slug,
        _period(kpi, _day("start", texts["start"]), _day("end", texts["end"]), day_of(now)),
        variant=texts["variant"],
        group_by=texts["group_by"],
        known_at=_moment("known_at", texts["known_at"]),
        user=user,
        now=now,
        definition=kpi,
    )
    filters = Filters(
        csm=_csm(texts["csm"]),
        segment=texts["segment"] or None,
        plan=texts["plan"] or None,
        lifecycle_stage=texts["lifecycle_stage"] or None,
        account=_id("account", texts["account"]),
        own=tuple(
            (name, key) for name in own_filters(question.kpi, given) if (key := _text(name, given.get(name)))
        ),
    )
    return replace(question, filters=filters)


_NAMES = ("variant", "group_by", "segment", "plan", "lifecycle_stage")


def own_filters(kpi: Kpi, given: Iterable[str]) -> list[str]:
    """Return which of these names filter by the KPI's own groupings."""
    return [name for name in given if _text("filter", name) and kpi.grouping(name) is not None]


def _text(field: str, value: Any) -> str:
    text = "" if value is None else str(value).strip()
    if "\x00" in text:
        raise KpiError(field, "A NUL character is not allowed.")
    if len(text) > LONGEST_TEXT:
        raise KpiError(field, f"At most {LONGEST_TEXT} characters are allowed.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise KpiError(field, "That is not valid text.") from None
    return text


def _day(field: str, text: str) -> date | None:
    if not text:
        return None
    try:
        day = parse_date(text)
    except ValueError as error:
        raise KpiError(field, f"{text!r} is no day of the calendar ({error}).") from None
    if day is None:
        raise KpiError(field, f"{text!r} is no date; write it as 2026-01-31.")
    return day


def _period(kpi: Kpi, start: date | None, end: date | None, today: date) -> Period:
    months = relativedelta(months=kpi.default_months or 1)
    try:
        if start is None and end is None:
            return default_period(kpi, today)
        if start is None:
            assert end is not None
            return Period(end - months, end)
        return Period(start, end or start + months)
    except PeriodError as error:
        raise KpiError(error.field, error.message) from None
    except (OverflowError, ValueError):
        raise KpiError(
            "start" if end is None else "end", "That date is out of the calendar's range."
        ) from None


def _moment(field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        if day := parse_date(text):
            return start_of_day(day + timedelta(days=1))
        # In a query string an unescaped plus sign of a time zone arrives as a space.
        moment = parse_datetime(text) or parse_datetime(text.replace(" ", "+"))
        if moment is None:
            raise KpiError(
                field, f"{text!r} is neither a day (2026-01-31) nor a moment (2026-01-31T12:00:00Z)."
            )
        if timezone.is_naive(moment):
            moment = timezone.make_aware(moment, timezone.get_default_timezone())
        return moment.astimezone(timezone.get_default_timezone())
    except (ValueError, OverflowError) as error:
        if isinstance(error, KpiError):
            raise
        raise KpiError(field, f"{text!r} is no day or moment of the calendar ({error}).") from None


def _id(field: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > BIGGEST_ID:
        raise KpiError(field, f"{text!r} is no id; write a whole number.")
    return int(text)


def _csm(text: str) -> int | None:
    if not text:
        return None
    if "@" not in text:
        return _id("csm", text)
    found = User.objects.filter(email=text.lower()).values_list("pk", flat=True).first()
    if found is None:
        raise KpiError("csm", f"Nobody here has the address {text!r}.")
    return found
