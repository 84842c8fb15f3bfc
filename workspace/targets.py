"""Targets and benchmarks: what was set, and what a target would say before it is set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import wraps
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from csplatform.periods import Period, day_of
from metrics.calculations import exact_text
from metrics.forms import TargetForm
from metrics.kpis import KPIS, Aims, Answer, Group, Kpi, ask_many, month_so_far
from metrics.kpis.aims import Aim
from metrics.kpis.judging import Selection, grouping_label, groupings_of, months_up_to, names_of
from metrics.models import Target
from playbooks.answers import changed, is_htmx
from team.requests import StaffRequest
from workspace.charts import Chart, Series
from workspace.dashboards.selection import in_words
from workspace.templatetags.show import as_unit, level
from workspace.undo import remember

MONTHS_SHOWN = 12
GROUPS_LISTED = 200
WHOLE = "all"


def admins_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @login_required
    @wraps(view)
    def checked(request: StaffRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_admin:
            raise PermissionDenied("Only admins set targets.")
        return view(request, *args, **kwargs)

    return checked


# --- What was set ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Line:
    """A target with the newest figure it is held against."""

    target: Target
    kpi: Kpi | None
    unit: str = ""
    of: str = ""
    variant: str = ""
    answer: Answer | None = None
    period: str = ""
    href: str = ""

    @property
    def is_met(self) -> bool | None:
        return _kept(self.answer.aim, self.answer.value) if self.answer else None


@admins_only
@require_safe
def target_list(request: StaffRequest) -> HttpResponse:
    """All targets and benchmarks that were set, each with how it stands."""
    template = "workspace/_targets.html" if is_htmx(request) else "workspace/targets.html"
    return render(request, template, {"lines": _lines(timezone.now())})


def _lines(now: datetime) -> list[Line]:
    rows = list(Target.objects.select_related("set_by"))
    known = {row.pk: selection for row in rows if (selection := Selection.of(row))}
    questions = {
        pk: selection.question(_newest(selection, day_of(now)), now=now) for pk, selection in known.items()
    }
    answers = dict(zip(questions, ask_many(list(questions.values())), strict=True))
    names = names_of((each.kpi, each.group_by, each.group) for each in known.values())
    lines = []
    for row in rows:
        selection = known.get(row.pk)
        if selection is None:
            lines.append(Line(target=row, kpi=None))
            continue
        answer = answers[row.pk]
        lines.append(
            Line(
                target=row,
                kpi=selection.kpi,
                unit=answer.unit,
                of=names.get((row.kpi, row.group_by, row.group), ""),
                variant=answer.variant.label if row.variant else "",
                answer=answer,
                period=in_words(answer.question.period),
                href=address_of(selection, answer.question.period),
            )
        )
    lines.sort(key=lambda line: (line.kpi.label if line.kpi else "", line.of, line.variant))
    return lines


def _newest(selection: Selection, today: date) -> Period:
    """Return the days whose figure is the newest to be held against a target."""
    if selection.kpi.kind == "level":
        return month_so_far(today)
    return months_up_to(today, length=selection.months, steps=1)[0]


def address_of(selection: Selection, period: Period, **more: str) -> str:
    """Return the KPI's page with this selection and period."""
    query = {"start": period.start.isoformat(), "end": period.end.isoformat(), **more}
    if selection.variant:
        query["variant"] = selection.variant
    if selection.group_by:
        query[selection.group_by] = selection.group
    return f"{reverse('workspace:kpi', args=[selection.kpi.slug])}?{urlencode(query)}"


def groups_of(kpi: Kpi, group_by: str, now: datetime) -> list[tuple[str, str]]:
    """Return (key, label) of the groups that a KPI has now, as many as a list can hold."""
    selection = Selection(kpi, group_by="", group="")
    (answer,) = ask_many([selection.question(_newest(selection, day_of(now)), group_by=group_by, now=now)])
    return [(group.key, group.label) for group in answer.groups if group.key][:GROUPS_LISTED]


# --- Setting one ----------------------------------------------------------------------


class KpiForm(forms.Form):
    """First of all: which KPI?"""

    kpi = forms.ChoiceField(label="Which number", choices=list)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        themes: dict[str, list[tuple[str, str]]] = {}
        for kpi in KPIS.values():
            themes.setdefault(kpi.theme, []).append((kpi.slug, kpi.label))
        self.fields["kpi"].choices = list(themes.items())  # type: ignore[attr-defined]


class SetTargetForm(TargetForm):
    """The form of a page, where the KPI is known and its groups are in one list."""

    selection = forms.ChoiceField(label="Of")
    field_order = ["selection", "variant", "months", "value", "benchmark_low", "benchmark_high", "watch_by"]

    def __init__(
        self, *args: Any, kpi: Kpi, groups: Mapping[str, Sequence[tuple[str, str]]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kpi_in_hand = kpi
        self.fields["kpi"].widget = forms.HiddenInput()
        for name in ("group_by", "group"):
            self.fields[name].widget = forms.HiddenInput()
        row = self.instance
        choices: list[Any] = [(WHOLE, "The whole company")]
        for group_by, found in groups.items():
            keys = {f"{group_by}={key}": label for key, label in found}
            if row.group_by == group_by:
                keys.setdefault(f"{group_by}={row.group}", row.group)
            if keys:
                choices.append((grouping_label(kpi, group_by), list(keys.items())))
        self._choose("selection", choices)
        self.initial["selection"] = f"{row.group_by}={row.group}" if row.group_by else WHOLE
        for name in ("value", "benchmark_low", "benchmark_high"):
            self.initial[name] = exact_text(getattr(row, name))
        named = [(variant.slug, variant.label) for variant in kpi.variants if variant.slug]
        self._choose("variant", [("", "Every way it is worked out"), *named] if len(named) > 1 else [])
        self._choose("months", [("", "Any length"), *Target.Months.choices] if kpi.kind != "level" else [])
        watched = [(slug, grouping_label(kpi, slug)) for slug in groupings_of(kpi)]
        self._choose("watch_by", [("", "Nothing else"), *watched] if kpi.kind == "rate" else [])

    def _choose(self, name: str, choices: Sequence[Any]) -> None:
        """Make a list of a field, or leave it out where there is nothing to choose."""
        if not choices:
            self.fields.pop(name, None)
            return
        field: Any = self.fields[name]
        field.widget = forms.Select(choices=choices)
        field.help_text = ""
        if hasattr(field, "choices"):
            field.choices = choices

    def clean(self) -> dict[str, Any]:
        chosen = self.cleaned_data.get("selection", WHOLE)
        group_by, _, group = ("", "", "") if chosen == WHOLE else chosen.partition("=")
        self.cleaned_data |= {"kpi": self.kpi_in_hand.slug, "group_by": group_by, "group": group}
        return super().clean()


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def target_new(request: StaffRequest) -> HttpResponse:
    """Choose a KPI, then set its target with a look at what it would say."""
    asked = KpiForm(request.POST if request.method == "POST" else request.GET)
    if not asked.is_valid():
        form = asked if "kpi" in asked.data else KpiForm()
        return render(
            request, "workspace/target_choose.html", {"form": form}, status=400 if form.is_bound else 200
        )
    kpi = KPIS[asked.cleaned_data["kpi"]]
    months = Target.Months.MONTH if kpi.kind == "flow" else None
    return _edit(request, kpi, Target(kpi=kpi.slug, months=months))


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def target_edit(request: StaffRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(Target, pk=pk)
    kpi = KPIS.get(target.kpi)
    if kpi is None:
        return redirect("workspace:targets")
    return _edit(request, kpi, target)


def _edit(request: StaffRequest, kpi: Kpi, target: Target) -> HttpResponse:
    now = timezone.now()
    groups = {group_by: groups_of(kpi, group_by, now) for group_by in groupings_of(kpi)}
    form = SetTargetForm(
        request.POST if request.method == "POST" else None, instance=target, kpi=kpi, groups=groups
    )
    is_preview = "preview" in request.POST
    if form.is_bound and not is_preview and form.is_valid() and _saved(form, request, now):
        return changed(request, f"Set for {kpi.label}.", fallback=reverse("workspace:targets"))
    is_complete = form.is_valid() if form.is_bound else target.value is not None or target.benchmark
    context = {
        "form": form,
        "kpi": kpi,
        "preview": preview_of(form.instance, now) if is_complete else None,
        "action": request.path,
    }
    if is_htmx(request) and is_preview:
        return render(request, "workspace/_target_preview.html", context)
    status = 422 if form.is_bound and not is_complete else 200
    return render(request, "workspace/target_form.html", context, status=status)


def _saved(form: SetTargetForm, request: StaffRequest, now: datetime) -> bool:
    form.instance.set_by, form.instance.set_at = request.user, now
    try:
        with transaction.atomic():
            form.save()
    except IntegrityError:  # somebody else set the same one a moment ago
        form.add_error(None, "This has a target already: change that one.")
        return False
    return True


@admins_only
@require_POST
def target_delete(request: StaffRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(Target, pk=pk)
    kept = {
        name: str(value)
        for name in TargetForm.Meta.fields
        if (value := getattr(target, name)) not in (None, "")
    }
    target.delete()
    return changed(
        request,
        f"No target any more: {target}.",
        fallback=reverse("workspace:targets"),
        undo=remember(request, "target", kept),
        events={"targetsChanged": {}},
    )


# --- What it would say ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The groups of one kind, and which of them would miss it."""

    label: str
    counted: int
    missed: Sequence[Group]
    aims: Mapping[str, Aim]

    @property
    def lines(self) -> list[tuple[Group, Aim]]:
        return [(group, self.aims[group.key]) for group in self.missed]


@dataclass(frozen=True, kw_only=True)
class Preview:
    chart: Chart
    unit: str
    judged: int
    met: int
    newest: Answer
    newest_words: str
    aim: Aim
    groups: Sequence[Missing]
    has_groups: bool

    @property
    def is_met(self) -> bool | None:
        return _kept(self.aim, self.newest.value)


def _kept(aim: Aim, value: Any) -> bool | None:
    """Return whether target and benchmark are kept; None when there is nothing to tell."""
    told = [each for each in (aim.is_met(value), aim.is_in_band(value)) if each is not None]
    return all(told) if told else None


def preview_of(target: Target, now: datetime) -> Preview | None:
    """Return how the last twelve months and today's groups stand to a target, saved or not."""
    selection = Selection.of(target)
    if selection is None:
        return None
    kpi, today = selection.kpi, day_of(now)
    periods = months_up_to(today, length=selection.months, steps=MONTHS_SHOWN)
    if kpi.kind == "level":
        periods.append(month_so_far(today))
    has_groups = not target.group_by and kpi.kind == "rate"
    grouped = [
        selection.question(periods[-1], group_by=group_by, now=now)
        for group_by in (groupings_of(kpi) if has_groups else [])
    ]
    answers = ask_many([*(selection.question(period, now=now) for period in periods), *grouped])
    course, by_group = answers[: len(periods)], answers[len(periods) :]
    others = [row for row in Target.objects.all() if row.pk != target.pk]
    aims = Aims([*others, target])
    aim = aims.of(course[-1].question, course[-1].variant)
    kept = [_kept(aim, answer.value) for answer in course]
    known = [each for each in kept if each is not None]
    return Preview(
        chart=_course(selection, course, aim),
        unit=course[-1].unit,
        judged=len(known),
        met=sum(known),
        newest=course[-1],
        newest_words=in_words(periods[-1]),
        aim=aim,
        groups=[_missing(answer, aims) for answer in by_group],
        has_groups=has_groups,
    )


def _missing(answer: Answer, aims: Aims) -> Missing:
    group_by = answer.question.group_by
    found = {
        group.key: aims.of(answer.question, answer.variant, group_by=group_by, group=group.key)
        for group in answer.groups
    }
    judged = [
        (group, kept)
        for group in answer.groups
        if (kept := _kept(found[group.key], group.figure.value)) is not None
    ]
    missed = [group for group, kept in judged if not kept]
    missed.sort(key=lambda group: group.figure.value or 0, reverse=answer.kpi.higher_is_better is False)
    return Missing(label=grouping_label(answer.kpi, group_by), counted=len(judged), missed=missed, aims=found)


def _course(selection: Selection, course: Sequence[Answer], aim: Aim) -> Chart:
    kpi, unit = selection.kpi, course[-1].unit
    labels = [_end_in_words(answer.question.period) for answer in course]
    known = [
        (label, answer) for label, answer in zip(labels, course, strict=True) if answer.value is not None
    ]
    summary = f"{kpi.label}: no data in any of these months."
    if known:
        (first, _), (last, newest) = known[0], known[-1]
        summary = f"{kpi.label} from {first} to {last}, where it is {as_unit(newest.value, unit)}."
    return Chart(
        kind="stacked" if kpi.kind == "flow" else "line",
        key="target-preview",
        summary=summary,
        categories=labels,
        series=[
            Series(
                name=kpi.label,
                values=[answer.value for answer in course],
                links=[address_of(selection, answer.question.period) for answer in course],
            )
        ],
        unit=unit,
        target=aim.target,
        target_label=f"target {level(aim.target, unit)}" if aim.target is not None else "",
        benchmark=aim.benchmark,
        benchmark_label="benchmark",
        category_label="Month" if selection.months == 1 else f"{selection.months} months to the end of",
    )


def _end_in_words(period: Period) -> str:
    is_whole = period.end.day == 1
    last = period.end - timedelta(days=1)
    return f"{last:%b %Y}" if is_whole else f"{last:%-d %b}"
