"""When support works and what it promises: the settings by which tickets are measured."""

from __future__ import annotations

import re
import zoneinfo
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import structlog
from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from accounts.fields import EARLIEST, LATEST
from csplatform.periods import Period
from metrics.calculations import median_resolution_hours, median_response_hours
from metrics.kpis import KPIS
from playbooks.answers import changed, is_htmx
from team.requests import StaffRequest
from tickets import calendar
from tickets.calculations import END_OF_DAY, BusinessHours, Spans
from tickets.calendar import Closed
from tickets.handling import due_times
from tickets.models import OpeningHours, Ticket
from workspace.dashboards.selection import in_words

log = structlog.get_logger(__name__)

MOST_CLOSED_DAYS = 500
MOST_HOURS = 2_000
MINUTES_AN_HOUR = 60
# A leap year: 29 February can be a yearly holiday.
ANY_YEAR = 2000
PRIORITIES = list(reversed(Ticket.Priority.choices))
STEPS = ("response", "resolution")
_TIME = r"(\d{1,2})(?::(\d{2}))?"
_SPAN = re.compile(rf"{_TIME}\s*[-–—]\s*{_TIME}")
_DAY = re.compile(r"(?:(\d{4})-)?(\d{1,2})-(\d{1,2})(?:\s+(.*))?")


# --- From words to hours --------------------------------------------------------------


def read_spans(text: str) -> list[tuple[int, int]]:
    """Return "9–12, 13:00–17:30" as minutes from midnight; raise ValidationError with a sentence."""
    found: list[tuple[int, int]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _SPAN.fullmatch(part)
        if match is None:
            raise forms.ValidationError(f"“{part}” is not a time such as 10:00–18:00.")
        opens, closes = (
            int(hour) * MINUTES_AN_HOUR + int(minute or 0)
            for hour, minute in (match.groups()[:2], match.groups()[2:])
        )
        if max(int(match[2] or 0), int(match[4] or 0)) >= MINUTES_AN_HOUR or closes > END_OF_DAY:
            raise forms.ValidationError(f"“{part}”: the day has 24 hours of 60 minutes.")
        if closes <= opens:
            raise forms.ValidationError(f"“{part}” ends before it begins.")
        found.append((opens, closes))
    found.sort()
    for (_, closes), (opens, _) in pairwise(found):
        if opens < closes:
            raise forms.ValidationError("These times overlap.")
    return found


def spans_in_words(spans: Spans) -> str:
    def clock(minute: int) -> str:
        return f"{minute // MINUTES_AN_HOUR}:{minute % MINUTES_AN_HOUR:02}"

    return ", ".join(f"{clock(opens)}–{clock(closes)}" for opens, closes in spans)


def read_closed(text: str) -> list[Closed]:
    """Return the holidays, one a line: "2026-04-03 Good Friday", or "12-25 Christmas" for every year."""
    found: dict[tuple[date, bool], Closed] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _DAY.fullmatch(line.strip())
        if match is None:
            raise forms.ValidationError(
                f"Line {number}: begin with a day, such as 2026-04-03, or 12-25 for every year."
            )
        year, month, of_month, name = match.groups()
        try:
            day = date(int(year or ANY_YEAR), int(month), int(of_month))
        except ValueError:
            raise forms.ValidationError(f"Line {number}: the calendar has no such day.") from None
        if not EARLIEST <= day < LATEST:
            raise forms.ValidationError(
                f"Line {number}: choose a day from {EARLIEST.year} to {LATEST.year - 1}."
            )
        if len(name or "") > 100:
            raise forms.ValidationError(f"Line {number}: a name has at most 100 characters.")
        key = (day, year is None)
        if key in found:
            raise forms.ValidationError(f"Line {number}: that day stands there twice.")
        found[key] = Closed(day, name or "", is_yearly=year is None)
    if len(found) > MOST_CLOSED_DAYS:
        raise forms.ValidationError(f"That are more than {MOST_CLOSED_DAYS} days.")
    return list(found.values())


def closed_in_words(closed: Sequence[Any]) -> str:
    """Return holidays as `read_closed` takes them, those of every year first."""
    ordered = sorted(closed, key=lambda each: (not each.is_yearly, each.day))
    return "\n".join(
        f"{each.day:%m-%d} {each.name}".rstrip()
        if each.is_yearly
        else f"{each.day:%Y-%m-%d} {each.name}".rstrip()
        for each in ordered
    )


class SupportHoursForm(forms.Form):
    """The week, the holidays, and the hours within which tickets of a priority are due."""

    time_zone = forms.ChoiceField(label="Time zone", required=False)
    closed = forms.CharField(
        label="Holidays",
        required=False,
        max_length=50_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        zones = sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC")
        fields["time_zone"].choices = [
            ("", f"The workspace's, {settings.TIME_ZONE}"),
            *((zone, zone.replace("_", " ")) for zone in zones),
        ]
        for value, label in OpeningHours.Weekday.choices:
            fields[f"day_{value}"] = forms.CharField(
                label=str(label),
                required=False,
                max_length=200,
                widget=forms.TextInput(attrs={"placeholder": "closed", "autocomplete": "off"}),
            )
        for priority, label in PRIORITIES:
            for step, words in (("response", "first answer"), ("resolution", "resolution")):
                fields[f"{step}_{priority}"] = forms.DecimalField(
                    label=f"{label}: {words}, business hours",
                    required=False,
                    min_value=Decimal("0.02"),
                    max_value=MOST_HOURS,
                    decimal_places=2,
                )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for value in OpeningHours.Weekday.values:
            name = f"day_{value}"
            try:
                cleaned[name] = read_spans(cleaned.get(name, ""))
            except forms.ValidationError as error:
                self.add_error(name, error)
        try:
            cleaned["closed"] = read_closed(cleaned.get("closed", ""))
        except forms.ValidationError as error:
            self.add_error("closed", error)
        for priority, _ in PRIORITIES:
            answer, solution = (cleaned.get(f"{step}_{priority}") for step in STEPS)
            if answer and solution and solution < answer:
                self.add_error(
                    f"resolution_{priority}", "A ticket cannot be resolved before it is to be answered."
                )
        if not self.errors and not any(self.week(cleaned)):
            raise forms.ValidationError("Support works at no time: fill in at least one day.")
        return cleaned

    @staticmethod
    def week(cleaned: Mapping[str, Any]) -> list[Spans]:
        return [cleaned[f"day_{value}"] for value in OpeningHours.Weekday.values]

    def minutes(self) -> dict[str, tuple[int | None, int | None]]:
        """Return {priority: minutes until the first answer and the resolution}."""

        def of(step: str, priority: str) -> int | None:
            hours: Decimal | None = self.cleaned_data[f"{step}_{priority}"]
            return None if hours is None else max(round(hours * MINUTES_AN_HOUR), 1)

        return {
            priority: (of("response", priority), of("resolution", priority)) for priority, _ in PRIORITIES
        }

    def calendar(self) -> calendar.Calendar:
        """Return what tickets would be measured by."""
        closed: list[Closed] = self.cleaned_data["closed"]
        hours = BusinessHours(
            self.cleaned_data["time_zone"] or settings.TIME_ZONE,
            self.week(self.cleaned_data),
            frozenset(each.day for each in closed if not each.is_yearly),
            frozenset((each.day.month, each.day.day) for each in closed if each.is_yearly),
        )
        targets = {
            priority: calendar.Target(*(None if part is None else 60 * part for part in minutes))
            for priority, minutes in self.minutes().items()
        }
        return calendar.Calendar(hours, targets)

    def day_fields(self) -> list[forms.BoundField]:
        return [self[f"day_{value}"] for value in OpeningHours.Weekday.values]

    def target_rows(self) -> Iterator[dict[str, Any]]:
        for priority, label in PRIORITIES:
            yield {"label": label, "fields": [self[f"{step}_{priority}"] for step in STEPS]}


def _stored() -> dict[str, Any]:
    """Return what is in force, as the form shows it."""
    row, now = calendar.stored(), calendar.current()
    found: dict[str, Any] = {
        "time_zone": row.time_zone if row else "",
        "closed": closed_in_words(list(row.closed_days.all())) if row else "",
    }
    for value, spans in enumerate(now.hours.week):
        found[f"day_{value}"] = spans_in_words(spans)
    for priority, target in now.targets.items():
        for step, seconds in zip(STEPS, (target.response, target.resolution), strict=True):
            if seconds is not None:
                hours = (Decimal(seconds) / 3600).quantize(Decimal("0.01"))
                found[f"{step}_{priority}"] = f"{hours.normalize():f}"
    return found


# --- What that means ------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """A ticket opened at some time, and when it is due."""

    priority: str
    opened_at: datetime
    response_due_at: datetime | None
    resolution_due_at: datetime | None


@dataclass(frozen=True)
class Effect:
    """What a figure of the last full month is by the hours in force, and what it would be by others."""

    label: str
    href: str
    before: Decimal | None
    after: Decimal | None
    tickets: int
    changed: int
    reason: str

    @property
    def change(self) -> Decimal | None:
        return None if self.before is None or self.after is None else self.after - self.before


def effects(measured_by: calendar.Calendar, today: date) -> list[Effect]:
    """Return how the times of the last full month would change, from the tickets themselves."""
    month = Period.month_of(today).previous()
    days = urlencode(
        {
            "start": month.start.isoformat(),
            "last": month.last_day.isoformat(),
            "variant": "business_median",
        }
    )
    found = []
    for slug, step, moment, count, calculate in (
        ("first_response_time", "response", "first_response_at", "answered", median_response_hours),
        ("resolution_time", "resolution", "resolved_at", "resolved", median_resolution_hours),
    ):
        happened = {f"{moment}__gte": month.starts_at, f"{moment}__lt": month.ends_at}
        tickets = Ticket.objects.counted().filter(**happened, **{f"{step}_business_seconds__isnull": False})
        before: Counter[int] = Counter()
        after: Counter[int] = Counter()
        changed_tickets = 0
        rows = tickets.values_list("opened_at", moment, f"{step}_business_seconds")
        for opened_at, at, seconds in rows.iterator(chunk_size=2_000):
            anew = measured_by.hours.seconds_between(opened_at, at)
            before[seconds] += 1
            after[anew] += 1
            changed_tickets += anew != seconds
        found.append(
            Effect(
                label=KPIS[slug].label,
                href=f"{reverse('workspace:kpi', args=[slug])}?{days}",
                before=calculate(spread=_spread(before, count)),
                after=calculate(spread=_spread(after, count)),
                tickets=before.total(),
                changed=changed_tickets,
                reason=f"nothing_{count}",
            )
        )
    return found


def _spread(values: Counter[int], count: str) -> list[tuple[Decimal, dict[str, Decimal]]]:
    return [(Decimal(value), {count: Decimal(values[value])}) for value in sorted(values)]


def examples(measured_by: calendar.Calendar, today: date) -> list[Example]:
    """Return when tickets of each priority are due: one before hours, and one before the weekend."""
    zone = zoneinfo.ZoneInfo(measured_by.hours.time_zone)
    monday = today + timedelta(days=7 - today.weekday())
    moments = [
        datetime.combine(monday, time(8), zone),
        datetime.combine(monday + timedelta(days=4), time(16, 30), zone),
    ]
    found = []
    for opened_at in moments:
        for priority, label in PRIORITIES:
            target = measured_by.targets.get(priority, calendar.Target())
            if target == calendar.Target():
                continue
            dues = [
                None if due is None else due.astimezone(zone)
                for due in due_times(opened_at, target, measured_by.hours)
            ]
            found.append(Example(str(label), opened_at, *dues))
    return found


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def support_hours(request: StaffRequest) -> HttpResponse:
    """For admins: the calendar and the targets; with `preview`, what they would mean."""
    if not request.user.is_admin:
        raise PermissionDenied("Only admins set the hours of support.")
    form = SupportHoursForm(request.POST) if request.method == "POST" else SupportHoursForm(initial=_stored())
    is_preview = "preview" in request.POST
    now = timezone.now()
    if form.is_bound and form.is_valid() and not is_preview:
        calendar.change(
            time_zone=form.cleaned_data["time_zone"],
            week=form.week(form.cleaned_data),
            closed=form.cleaned_data["closed"],
            targets=form.minutes(),
            at=now,
        )
        log.info("support hours changed", by=request.user.pk)
        return changed(
            request,
            "Saved. Tickets that are there already are measured anew in the background.",
            fallback=reverse("workspace:support-hours"),
        )
    measured_by = form.calendar() if form.is_bound and form.is_valid() else calendar.current()
    row = calendar.stored()
    context = {
        "form": form,
        "examples": examples(measured_by, timezone.localdate()),
        "effects": effects(measured_by, timezone.localdate()),
        "month": in_words(Period.month_of(timezone.localdate()).previous()),
        "is_tried": form.is_bound and form.is_valid(),
        "zone": measured_by.hours.time_zone,
        "is_shown_as_stored": not form.is_bound or not form.is_valid(),
        "row": row,
        "is_being_applied": row is not None and (row.applied_at is None or row.applied_at < row.changed_at),
    }
    if is_preview and is_htmx(request):
        return render(request, "workspace/_support_hours_preview.html", context)
    has_errors = form.is_bound and not form.is_valid()
    return render(request, "workspace/support_hours.html", context, status=422 if has_errors else 200)
