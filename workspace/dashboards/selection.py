"""What a dashboard is about: whose numbers, which days, which accounts, compared with what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from dateutil.relativedelta import relativedelta
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from csplatform.periods import Period, Step, floor_to
from metrics.kpis import Filters, KpiError, Question, month_so_far
from metrics.kpis.comparing import earlier_period
from workspace.templatetags.show import day, day_short

Compare = Literal["previous", "year"]

PRESETS = {
    "this_month": "This month",
    "last_month": "Last month",
    "this_quarter": "This quarter",
    "last_quarter": "Last quarter",
    "this_year": "This year",
    "last_year": "Last year",
    "last_12_months": "Last 12 months",
}
FREE_DAYS = "days"
COMPARISONS = {"previous": "Period before", "year": "Year before"}

MONTHS_OF_A_COURSE = 12
# A course stays readable, and cheap: longer periods go in longer steps, and only the last of those.
MOST_STEPS = 24
# How finely a period of so many days is drawn, at most.
_FINE_STEPS: tuple[tuple[int, Step], ...] = ((31, "day"), (26 * 7, "week"), (24 * 31, "month"))


def preset_period(preset: str, today: date) -> Period:
    """Return the days of a preset; those of a running month, quarter or year end with today."""
    tomorrow = today + timedelta(days=1)
    month, quarter, year = (floor_to(today, step) for step in ("month", "quarter", "year"))
    match preset:
        case "this_month":
            return month_so_far(today)
        case "last_month":
            return Period(month - relativedelta(months=1), month)
        case "this_quarter":
            return Period(quarter, tomorrow)
        case "last_quarter":
            return Period(quarter - relativedelta(months=3), quarter)
        case "this_year":
            return Period(year, tomorrow)
        case "last_year":
            return Period(year - relativedelta(years=1), year)
        case "last_12_months":
            return Period(month - relativedelta(months=12), month)
    raise ValueError(f"There is no preset {preset!r}.")


def in_words(period: Period) -> str:
    """Return a period as people call it: 2026, Q1 2026, Feb 2026, 1 – 22 Nov 2026.

    >>> in_words(Period(date(2026, 1, 1), date(2026, 4, 1)))
    'Q1 2026'
    """
    start, last = period.start, period.last_day
    for step in ("year", "quarter", "month"):
        if start == floor_to(start, step) and period.end == start + _LENGTHS[step]:
            return {"year": f"{start:%Y}", "quarter": f"Q{(start.month + 2) // 3} {start:%Y}"}.get(
                step, f"{start:%b %Y}"
            )
    if period.days == 1:
        return str(day(start))
    if (start.year, start.month) == (last.year, last.month):
        return f"{start.day} – {day(last)}"
    return f"{day_short(start) if start.year == last.year else day(start)} – {day(last)}"


_LENGTHS = {
    "year": relativedelta(years=1),
    "quarter": relativedelta(months=3),
    "month": relativedelta(months=1),
}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The one thing every figure of a dashboard is asked with."""

    user: Any
    period: Period
    filters: Filters = field(default_factory=Filters)
    compare: Compare = "previous"
    now: datetime = field(default_factory=timezone.now)

    @property
    def before(self) -> Period | None:
        """The period it is compared with; None where that lies outside the calendar."""
        try:
            return earlier_period(self.period, self.compare)
        except KpiError:
            return None

    def question(
        self, kpi: str, period: Period | None = None, *, variant: str = "", group_by: str = ""
    ) -> Question:
        return Question(
            kpi,
            period or self.period,
            variant=variant,
            group_by=group_by,
            filters=self.filters,
            user=self.user,
            now=self.now,
        )

    def course(self) -> list[Period]:
        """Return the months of a course: twelve up to the end of the period, or all of a longer one."""
        period, last = self.period, self.period.last_day
        first = floor_to(last, "month") - relativedelta(months=MONTHS_OF_A_COURSE - 1)
        first = min(first, period.start)
        fitting = [step for step in _DAYS if (period.end - first).days <= MOST_STEPS * _DAYS[step]]
        step = fitting[0] if fitting else "year"
        return list(Period(floor_to(first, step), period.end).steps(step))[-MOST_STEPS:]

    def fine_course(self) -> list[Period]:
        """Return the days, weeks or months of the period itself, as finely as it can be read."""
        for most, step in _FINE_STEPS:
            if self.period.days <= most:
                return list(self.period.steps(step))
        return self.course()

    def address(self, question: Question, **more: str) -> str:
        """Return the KPI page's address that asks this very question."""
        days = {"start": question.period.start.isoformat(), "end": question.period.end.isoformat()}
        query = {**days, "variant": question.variant, **self._filters(), **more}
        fragment = "#rows" if "part" in more else ""
        return f"{reverse('workspace:kpi', args=[question.slug])}?{_query(query)}{fragment}"

    def dashboard_address(self, slug: str, **more: str) -> str:
        """Return a dashboard's address for these days and filters, whenever it is opened."""
        days = {"start": self.period.start.isoformat(), "last": self.period.last_day.isoformat()}
        query = {**days, "compare": self.compare, **self._filters(), **more}
        return f"{reverse('workspace:dashboard', args=[slug])}?{_query(query)}"

    def _filters(self) -> dict[str, Any]:
        filters = self.filters
        return {
            "csm": filters.csm,
            "segment": filters.segment,
            "plan": filters.plan,
            "lifecycle_stage": filters.lifecycle_stage,
        }


def _query(given: dict[str, Any]) -> str:
    return urlencode({name: value for name, value in given.items() if value not in (None, "")})


_DAYS: dict[Step, int] = {"month": 31, "quarter": 92, "year": 366}


def months_up_to(end: date, months: int) -> Period:
    """Return so many months that end where `end` does, end excluded."""
    return Period(end - relativedelta(months=months), end)


def step_labels(periods: list[Period]) -> list[str]:
    """Return short words for the steps of a course, each of them once: Jan 2026, Feb, 1–17 Mar.

    The year stands with the first and wherever it changes.
    """
    words: list[str] = []
    year = 0
    for period in periods:
        start = period.start
        label = _step_label(period, with_year=start.year != year)
        if label in words:
            label = _step_label(period, with_year=True)
        words.append(label)
        year = start.year
    return words


def _step_label(period: Period, *, with_year: bool) -> str:
    start, last = period.start, period.last_day
    year = f" {start:%Y}" if with_year else ""
    if period == Period.month_of(start):
        return f"{start:%b}{year}"
    if start == floor_to(start, "year") and period.days > 92:
        return f"{start:%Y}"
    if start == floor_to(start, "quarter") and period.days > 31:
        return f"Q{(start.month + 2) // 3}{year}"
    if start.day == 1 and (start.year, start.month) == (last.year, last.month) and period.days > 1:
        return f"1–{last.day} {start:%b}{year}"
    return f"{start.day} {start:%b}{year}"
