"""The pages of the KPIs: all of them at a glance, and each with everything needed to check it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Any

from dateutil.relativedelta import relativedelta
from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.models import Account, Plan
from csplatform.periods import Period, PeriodError, Step, day_of, floor_to
from metrics.kpis import (
    DIMENSIONS,
    KPIS,
    STEPS,
    Answer,
    Comparison,
    Filters,
    Grouping,
    Kpi,
    KpiError,
    Question,
    Rows,
    ask_many,
    ask_stored,
    default_period,
    earlier_question,
    late_facts,
    month_so_far,
    read_question,
    rows,
    series,
    step_labels,
)
from metrics.kpis.cohorts import COHORT_RETENTION, matrix
from metrics.kpis.comparing import EARLIER
from metrics.kpis.definition import MARGIN
from metrics.kpis.documents import UNITS
from metrics.models import CustomKpi, Target, may_define
from playbooks.forms import DateInput
from team.models import User
from workspace.annotations import marks_over
from workspace.charts import Chart, Series
from workspace.cohorts import heat_map
from workspace.dashboards.selection import COMPARISONS, FREE_DAYS, PRESETS, in_words, preset_period
from workspace.dashboards.waterfalls import waterfall
from workspace.exports import csv_response
from workspace.group_table import default_order, group_lines
from workspace.templatetags.show import as_unit, day, day_short, digits, level
from workspace.waiting import waiting_chart

ROWS_A_PAGE = 25
LATE_FACTS_SHOWN = 20
MONTHS_SHOWN = 12
# The catalogue rather shows a number that lacks the last hour than keeps its reader waiting.
CATALOGUE_MAY_LACK = timedelta(hours=1)
# What identifies a row inside the database says nothing to a reader.
HIDDEN_COLUMNS = {"id", "answer", "line", "subscription", "for_account"}
DIRECTIONS = {"up": "up", "down": "down", "neutral": "neither"}


# --- All of them ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Card:
    """A KPI at a glance: its newest value, the one before, and the year behind it."""

    kpi: Kpi
    value: Decimal | None
    unit: str
    reason: str
    sample_size: int | None
    change: Decimal | None
    period: Period
    before: Period
    target: Decimal | None
    spark: Sequence[Decimal | None]

    @property
    def href(self) -> str:
        start, end = self.period.start.isoformat(), self.period.end.isoformat()
        return f"{reverse('workspace:kpi', args=[self.kpi.slug])}?{urlencode({'start': start, 'end': end})}"

    @property
    def period_in_words(self) -> str:
        return f"at {day_short(self.period.last_day)}" if self.kpi.kind == "level" else in_words(self.period)

    @property
    def than(self) -> str:
        return f"than {in_words(self.before)}"

    @property
    def better(self) -> str:
        return DIRECTIONS[self.kpi.direction]


@login_required
@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    """All KPIs with the year behind them, as far as they are stored for this reader, else worked out now."""
    now = timezone.now()
    kpis = dict(KPIS.items())
    stored = _stored_answers(request.user, day_of(now), kpis)
    cards_of = {slug: _stored_card(answers) for slug, answers in stored.items()}
    # What was defined a moment ago is not stored yet, and some can never be: those are worked out now.
    fresh = [kpi for kpi in kpis.values() if kpi.slug not in stored]
    if fresh:
        cards_of |= {card.kpi.slug: card for card in _fresh_cards(request.user, day_of(now), fresh)}
    cards = [cards_of[slug] for slug in kpis]
    themes = [(theme, list(found)) for theme, found in groupby(cards, key=lambda card: card.kpi.theme)]
    as_of = min((answer.data_as_of for answers in stored.values() for answer in answers), default=now)
    context: dict[str, Any] = {"themes": themes, "as_of": as_of, "now": now}
    if may_define(request.user):
        hidden = CustomKpi.objects.exclude(state=CustomKpi.State.PUBLISHED).filter(current__isnull=False)
        context["hidden"] = hidden.select_related("current")
    return render(request, "workspace/kpis.html", context)


def _stored_answers(user: Any, today: date, kpis: Mapping[str, Kpi]) -> dict[str, list[Answer]]:
    """Return, for each KPI, what is stored about the last months and the running one, oldest first."""
    if user.role == User.Role.MANAGER:
        # A team's numbers are no sum of its members': people count once. They are worked out.
        return {}
    newest = floor_to(today, "month")
    months = [Period.month_of(newest - relativedelta(months=back)) for back in range(MONTHS_SHOWN, 0, -1)]
    # A CSM's numbers are those they are credited with, also of accounts that others hold by now.
    whose = Filters(csm=user.pk) if user.role == User.Role.CSM else Filters()
    questions = [
        Question(kpi.slug, period, filters=whose, definition=kpi)
        for kpi in kpis.values()
        if not kpi.looks_ahead  # what is stored are months that are over
        for period in [*months, month_so_far(today)]
    ]
    found: dict[str, list[Answer]] = {}
    for answer in ask_stored(questions, max_age=CATALOGUE_MAY_LACK):
        # Part of a month against a whole one says nothing, unless it is a level at one moment.
        if answer and (answer.kpi.kind == "level" or answer.question.period.start < newest):
            found.setdefault(answer.kpi.slug, []).append(answer)
    return found


def _stored_card(answers: Sequence[Answer]) -> Card:
    last, before = answers[-1], answers[-2] if len(answers) > 1 else None
    change = None
    if before is not None and None not in (last.value, before.value) and last.unit == before.unit:
        change = last.value - before.value  # type: ignore[operator]
    return Card(
        kpi=last.kpi,
        value=last.value,
        unit=last.unit,
        reason=last.figure.reason,
        sample_size=last.figure.sample_size,
        change=change,
        period=last.question.period,
        before=(before or last).question.period,
        target=last.target,
        spark=[answer.value for answer in answers[-MONTHS_SHOWN:]],
    )


def _fresh_cards(user: Any, today: date, kpis: Sequence[Kpi]) -> list[Card]:
    so_far, last_month = month_so_far(today), Period.month_of(today).previous()
    questions: list[Question] = []
    for kpi in kpis:
        period = so_far if kpi.kind == "level" else last_month
        before = last_month if kpi.kind == "level" else last_month.previous()
        if kpi.looks_ahead:
            period = default_period(kpi, today)
            before = period.previous()
        questions += [Question(kpi.slug, asked, user=user, definition=kpi) for asked in (period, before)]
    answers = ask_many(questions)
    cards = []
    for answer, earlier in zip(answers[::2], answers[1::2], strict=True):
        is_comparable = None not in (answer.value, earlier.value) and answer.unit == earlier.unit
        cards.append(
            Card(
                kpi=answer.kpi,
                value=answer.value,
                unit=answer.unit,
                reason=answer.figure.reason,
                sample_size=answer.figure.sample_size,
                change=answer.value - earlier.value if is_comparable else None,  # type: ignore[operator]
                period=answer.question.period,
                before=earlier.question.period,
                target=answer.target,
                spark=(),
            )
        )
    return cards


# --- One of them ----------------------------------------------------------------------


class NumberForm(forms.Form):
    """Which days, compared with which, in which groups; then which way, of whom, as known when."""

    period = forms.ChoiceField(label="Period", required=False)
    start = forms.DateField(label="From", required=False, widget=DateInput())
    last = forms.DateField(label="To, included", required=False, widget=DateInput())
    compare = forms.ChoiceField(label="Compared with", required=False, choices=list(COMPARISONS.items()))
    group_by = forms.ChoiceField(label="In groups by", required=False)
    variant = forms.ChoiceField(label="Worked out as", required=False, widget=forms.HiddenInput())
    known_at = forms.DateField(label="As we would have said on", required=False, widget=DateInput())
    csm = forms.ModelChoiceField(User.objects.none(), label="CSM", required=False, empty_label="Any")
    segment = forms.ChoiceField(label="Segment", required=False)
    plan = forms.ChoiceField(label="Plan", required=False)
    lifecycle_stage = forms.ChoiceField(label="Stage", required=False)

    def __init__(self, data: Any, *, kpi: Kpi, user: Any) -> None:
        super().__init__(data)
        fields: dict[str, Any] = self.fields
        fields["period"].choices = _period_choices(kpi)
        fields["variant"].choices = [(each.slug, each.label) for each in kpi.variants]
        groups = {name: _words(name) for name in kpi.shared_groups}
        self.own_filters: list[str] = []
        for grouping in kpi.own_groups:
            labels = grouping.known_labels()
            if grouping.takes_name:
                groups |= {grouping.called(name).slug: label for name, label in labels.items()}
            else:
                groups[grouping.slug] = grouping.label
                # Where no names are known, a group's own line leads to it: empty boxes would be in the way.
                if labels or data.get(grouping.slug):
                    self._add_filter(grouping, labels, data)
        for name in [data.get("group_by", ""), *data]:
            # What is asked by a name that nobody offers.
            asked = kpi.grouping(name)
            if asked is not None:
                groups.setdefault(name, asked.label)
                if data.get(name) and name not in self.own_filters:
                    self._add_filter(asked, {}, data)
        fields["group_by"].choices = [("", "No groups"), *groups.items()]
        fields["csm"].queryset = User.objects.filter(assignments__isnull=False).distinct()
        accounts = Account.objects.visible_to(user).order_by()
        for name in ("segment", "lifecycle_stage"):
            values = accounts.exclude(**{name: ""}).values_list(name, flat=True).distinct()[:200]
            # A value from the address that no account has any more stays selectable: history has it.
            known = sorted({*values, data.get(name, "")} - {""})
            fields[name].choices = [("", "Any"), *((value, value) for value in known)]
        plans = list(Plan.objects.values_list("code", "name")[:500])
        fields["plan"].choices = [("", "Any"), *plans]

    @property
    def has_free_days(self) -> bool:
        return self["period"].value() == FREE_DAYS

    @property
    def more(self) -> list[Any]:
        """The filters that stand behind one button, and tell by chips which of them are in force."""
        return [self[name] for name in (*DIMENSIONS, *self.own_filters, "known_at")]

    def _add_filter(self, grouping: Grouping, labels: Mapping[str, str], data: Any) -> None:
        """Offer the groups that are known; else take free text, of which an unknown one counts nothing."""
        asked = data.get(grouping.slug, "")
        field: Any = forms.CharField(label=grouping.label, required=False, max_length=200)
        if labels:
            choices = {"": "Any", **({asked: asked} if asked else {}), **labels}
            field = forms.ChoiceField(label=grouping.label, required=False, choices=list(choices.items()))
        field.widget.attrs["id"] = f"own-filter-{len(self.own_filters)}"
        self.fields[grouping.slug] = field
        self.own_filters.append(grouping.slug)


def _period_choices(kpi: Kpi) -> list[tuple[str, str]]:
    choices = [*PRESETS.items(), (FREE_DAYS, "Free days…")]
    if not kpi.default_months:
        return choices
    months = f"{kpi.default_months} months"
    return [("", f"{months} from now on" if kpi.looks_ahead else f"{months} up to today"), *choices]


def _choose_days(data: QueryDict, kpi: Kpi) -> None:
    """Fill in the days of a preset, or the preset of the days that the address names."""
    today = timezone.localdate()
    asked = data.get("period", "")
    if asked in PRESETS:
        period = preset_period(asked, today)
        data["start"], data["last"] = period.start.isoformat(), period.last_day.isoformat()
    elif data.get("start") or data.get("last"):
        days = {name: preset_period(name, today) for name in PRESETS}
        given = (data.get("start", ""), data.get("last", ""))
        same = [name for name, of in days.items() if (of.start.isoformat(), of.last_day.isoformat()) == given]
        data["period"] = same[0] if same else FREE_DAYS
    elif not asked and not kpi.default_months:
        data["period"] = "this_month"


def _words(name: str) -> str:
    """Return a name of the code as a heading: active_users → Active users, opening_mrr → Opening MRR."""
    if name == "fx":
        return "Exchange rates"
    words = [word.upper() if word in ("csm", "mrr") else word for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def _group_words(kpi: Kpi, name: str) -> str:
    grouping = kpi.grouping(name)
    return grouping.label if grouping else _words(name)


def _texts(form: NumberForm) -> dict[str, str]:
    """Return what the form says as the texts that the API takes: there the end is excluded."""
    given = {name: value for name, value in form.cleaned_data.items() if name not in ("period", "compare")}
    last = given.pop("last")
    csm = given.pop("csm")
    texts = {name: str(value) for name, value in given.items() if value not in (None, "")}
    if csm:
        texts["csm"] = str(csm.pk)
    if last:
        if last >= date(2200, 1, 1):
            raise KpiError("end", "The last day must be before 2200.")
        texts["end"] = (last + timedelta(days=1)).isoformat()
    return texts


def _asked(request: HttpRequest, slug: str) -> tuple[NumberForm, Question | None]:
    """Return the form, and the question it asks if it asks one."""
    kpi = KPIS.get(slug)
    if kpi is None:
        raise Http404(f"There is no KPI {slug!r}.")
    data = request.GET.copy()
    if "end" in data and "last" not in data:
        # Links in the API's words work here too.
        try:
            data["last"] = (date.fromisoformat(str(data["end"])) - timedelta(days=1)).isoformat()
        except (ValueError, OverflowError):
            data["last"] = str(data["end"])
    _choose_days(data, kpi)
    data.setdefault("compare", "previous")
    form = NumberForm(data, kpi=kpi, user=request.user)
    if not form.is_valid():
        return form, None
    try:
        question = read_question(slug, _texts(form), user=request.user)
    except KpiError as error:
        name = {"end": "last"}.get(error.field, error.field)
        form.add_error(name if name in form.fields else None, error.message)
        return form, None
    for name, value in (("start", question.period.start), ("last", question.period.last_day)):
        data.setdefault(name, value.isoformat())
    return form, question


@login_required
@require_safe
def number(request: HttpRequest, slug: str) -> HttpResponse:
    """One KPI: its number, definition, course, groups, and the rows that were counted."""
    form, question = _asked(request, slug)
    kpi = KPIS[slug]
    intro, _, rest = kpi.definition.partition(". ")
    context: dict[str, Any] = {
        "kpi": kpi,
        "form": form,
        "intro": f"{intro}." if rest else intro,
        "unit_words": UNITS[kpi.unit],
        "variants": _variant_tabs(request, kpi),
        "more_in_force": sum(bool(field.value()) for field in form.more),
        "page_shortcuts": [(["f"], "Choose days and filters")],
    }
    if question is None:
        context["variant"] = kpi.default
        return render(request, "workspace/kpi.html", context, status=400)
    compare = form.cleaned_data["compare"] or "previous"
    earlier = _earlier(question, compare)
    answer, *others = ask_many([question, *earlier.values(), *_beside(question)])
    before = dict(zip(earlier, others, strict=False))
    beside = others[len(earlier) :]
    found, part, problem = _rows(request, question)
    order = default_order(question.group_by)
    counts = _counts(request, answer)
    context |= {
        "unit_words": UNITS[answer.variant.unit or kpi.unit],
        "beside": beside,
        "remark": answer.variant.remark_on(answer.value),
        "judged": _judged(question),
        "margin": _margin(answer),
        "answer": answer,
        "variant": answer.variant,
        "period_words": in_words(question.period),
        "better": DIRECTIONS[kpi.direction],
        "sample_words": (answer.variant.sample or answer.variant.denominator).replace("_", " "),
        "counts": counts,
        "divided": [
            count
            for name in (answer.variant.numerator, answer.variant.denominator)
            for count in counts
            if count["name"] == name and answer.variant.denominator
        ],
        "comparisons": [_compared(request, answer, other, to) for to, other in before.items()],
        "is_met": answer.aim.is_met(answer.value),
        "chart": _chart(question),
        "waterfall": waterfall(answer, partial(_rows_address, request, answer), key="waterfall"),
        "waiting": waiting_chart(answer),
        "targets": _targets_in_words(answer),
        **_cohorts(request, question),
        "grouped_by": _group_words(kpi, question.group_by) if question.group_by else "",
        "default_sort": order,
        "group_than": in_words(before[compare].question.period) if before.get(compare) else "",
        "groups": group_lines(
            request,
            answer,
            earlier=before.get(compare),
            beside=beside,
            order=request.GET.get("sort", "") or order,
        ),
        "late": _late(request, question, answer) if answer.restated else [],
        "part": part,
        "part_tabs": _part_tabs(request, answer, part),
        "rows_problem": problem,
        "export": f"{reverse('workspace:kpi-export', args=[slug])}?{request.GET.urlencode()}",
    }
    if found is not None:
        page = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
        context |= {"page": page, **table_of(found, list(page.object_list))}
    return render(request, "workspace/kpi.html", context)


def _late(request: HttpRequest, question: Question, answer: Answer) -> list[dict[str, Any]]:
    """Return which facts, learned of later, make today's figure another one than was known then."""
    if question.known_at is None:
        return []
    (now,) = ask_many([replace(question, known_at=None, group_by="")])
    units = {count["name"]: count["unit"] for count in _counts(request, now)}
    return [
        {
            "words": _words(name),
            "unit": units[name],
            "then": answer.figure.counts.get(name),
            "now": now.figure.counts.get(name),
            "more": max(len(found) - LATE_FACTS_SHOWN, 0),
            **table_of(found, found[:LATE_FACTS_SHOWN]),
        }
        for name, found in late_facts(question, question.known_at).items()
    ]


def _counts(request: HttpRequest, answer: Answer) -> list[dict[str, Any]]:
    """Return each count: its name, its words, the number, its unit, and the way to its rows."""
    variant = answer.variant
    is_money = {
        name: amount.kind == "money" for part in variant.parts for name, amount in part.amounts.items()
    }
    # What is worked out from the counts, such as exchange effects, is in what they are in.
    is_derived_money = answer.kpi.unit == "money" or is_money.get(variant.numerator, False)
    return [
        {
            "name": name,
            "words": variant.count_labels.get(name) or _words(name),
            "amount": amount,
            "unit": answer.currency if is_money.get(name, is_derived_money) else "count",
            "href": _rows_address(request, answer, name),
        }
        for name, amount in answer.figure.counts.items()
    ]


@login_required
@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse | StreamingHttpResponse:
    """The rows behind one count, as CSV."""
    form, question = _asked(request, slug)
    found, part, problem = _rows(request, question) if question else (None, "", "")
    if found is None:
        errors = problem or " ".join(
            str(message) for messages in form.errors.values() for message in messages
        )
        return HttpResponse(errors, status=400, content_type="text/plain; charset=utf-8")
    columns = [name for name in found.columns if name not in HIDDEN_COLUMNS]
    has_money = found.amount.kind == "money"
    head = ["account", "account id", *columns, "amount", *(["amount in currency", "currency"] * has_money)]

    def lines() -> Iterator[list[Any]]:
        for row in found:
            account = row["account"] or {"name": "", "id": ""}
            money = [row["amount_in_currency"], row["currency"]] if has_money else []
            yield [account["name"], account["id"], *(row[name] for name in columns), row["amount"], *money]

    return csv_response(f"{slug}-{part}.csv", head, lines())


def _rows(request: HttpRequest, question: Question) -> tuple[Rows | None, str, str]:
    part = request.GET.get("part", "") or "numerator"
    try:
        return rows(question, part), part, ""
    except KpiError as error:
        return None, part, error.message


def _part_tabs(request: HttpRequest, answer: Answer, part: str) -> list[dict[str, Any]]:
    variant = answer.variant
    asked = {"numerator": variant.numerator, "denominator": variant.denominator}.get(part, part)
    tabs = []
    for name in variant.count_names:
        href = _rows_address(request, answer, name)
        tabs.append({"label": _words(name), "href": href, "is_current": name == asked})
    return tabs


def table_of(found: Rows, shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = [name for name in found.columns if name not in HIDDEN_COLUMNS]
    return {
        "columns": [_words(name) for name in columns],
        "row_unit": "money" if found.amount.kind == "money" else "count",
        "lines": [
            {
                "account": row["account"],
                "href": reverse("workspace:account", args=[row["account"]["id"]]) if row["account"] else "",
                "named_cells": [(_words(name), _cell(row[name])) for name in columns],
                "amount": row["amount"],
                "currency": row.get("currency", ""),
            }
            for row in shown
        ],
    }


def _cell(value: Any) -> Any:
    if isinstance(value, date):
        return day(value)
    if isinstance(value, float):
        return digits(Decimal(str(value)), 0 if value.is_integer() else 2)
    if isinstance(value, Decimal):
        # As many decimals as it has; the zeros that fill a column of the database say nothing.
        exponent = value.normalize().as_tuple().exponent
        return digits(value, max(-exponent, 0)) if isinstance(exponent, int) else str(value)
    return value.replace("_", " ") if isinstance(value, str) and value.islower() else value


def _targets_in_words(answer: Answer) -> list[str]:
    """Return the target and, where it is another for other lengths of time, those too."""
    aim, unit = answer.aim, answer.unit
    own = [str(level(aim.target, unit))] if aim.target is not None else []
    return own + [
        f"{level(value, unit)} for {Target.Months(months).label.lower()}"
        for months, value in aim.of_other_lengths
    ]


def _earlier(question: Question, compare: str) -> dict[str, Question]:
    """Return the same question about the period before and about the year before, as far as there are any.

    Where both are the same days, one stands for both. Groups are asked of the one to compare with.
    """
    if question.known_at:
        return {}
    found: dict[str, Question] = {}
    for to in (compare, *(each for each in EARLIER if each != compare)):
        try:
            earlier = earlier_question(question, to)
        except KpiError:  # the calendar begins in 1900
            continue
        if earlier not in found.values():
            found[to] = earlier
    if compare in found and question.group_by not in STEPS:
        found[compare] = replace(found[compare], group_by=question.group_by)
    return {to: found[to] for to in EARLIER if to in found}


def _margin(answer: Answer) -> str:
    """Return the gross margin in words, where the value was worked out with it."""
    if MARGIN not in answer.variant.arguments:
        return ""
    margin = f"{settings.GROSS_MARGIN_PERCENT.normalize():f} %"
    return margin if settings.IS_GROSS_MARGIN_SET else f"{margin}, taken for granted until it is set"


def _beside(question: Question) -> list[Question]:
    """Return the same question about the KPIs that are shown beside this one."""
    return [
        replace(question, slug=slug, variant="", group_by=question.group_by)
        for slug in question.kpi.beside
        if not question.group_by or KPIS[slug].can_be_grouped_by(question.group_by)
    ]


def _judged(question: Question) -> Answer | None:
    """Return how far off what was said of the twelve months before today was, of a KPI that looks ahead."""
    kpi = question.kpi
    if not kpi.judged_by or kpi.variant(question.variant) is not kpi.default:
        return None
    today = day_of(question.now)
    past = Period(today - relativedelta(months=MONTHS_SHOWN), today)
    return ask_many([replace(question, period=past, variant=kpi.judged_by, group_by="", known_at=None)])[0]


def _compared(request: HttpRequest, answer: Answer, before: Answer, to: str) -> dict[str, Any]:
    """Return an earlier value, how far this one is from it, and whether that is more than chance."""
    compared = Comparison(to=to, answer=answer, earlier=before)
    note = ""
    if found := compared.significance:
        note = f"change {'' if found.is_significant else 'not '}significant (z {digits(found.z, 2)})"
    period = before.question.period
    query = request.GET.copy()
    for name in ("page", "end", "period", "sort"):
        query.pop(name, None)
    query["start"], query["last"] = period.start.isoformat(), period.last_day.isoformat()
    return {
        "label": COMPARISONS[to],
        "period": in_words(period),
        "value": before.value,
        "unit": before.unit,
        "reason": before.figure.reason,
        "change": compared.change,
        "note": note if compared.change is not None else "",
        "href": f"?{query.urlencode()}",
    }


def _variant_tabs(request: HttpRequest, kpi: Kpi) -> list[dict[str, Any]]:
    """Return the ways to work it out, where there are several."""
    if len(kpi.variants) == 1:
        return []
    asked = request.GET.get("variant", "") or kpi.default.slug
    tabs = []
    for variant in kpi.variants:
        query = request.GET.copy()
        for name in ("page", "part", "sort"):
            query.pop(name, None)
        query["variant"] = variant.slug
        tabs.append(
            {"label": variant.label, "href": f"?{query.urlencode()}", "is_current": variant.slug == asked}
        )
    return tabs


def _chart(question: Question) -> Chart | None:
    """Return the course: within the period if it is long, else the year up to it.

    What is usually asked of many months is drawn at the end of each month, looking back as far.
    """
    period = question.period
    if question.known_at and not question.kpi.has_known_at:
        return None
    if period.days <= 31 and question.kpi.looks_ahead and period.end > day_of(question.now):
        first = floor_to(period.start, "month")
        period = Period(first, first + relativedelta(months=MONTHS_SHOWN))
    elif period.days <= 31:
        first = max(
            floor_to(period.last_day, "month") - relativedelta(months=MONTHS_SHOWN - 1), date(1900, 1, 1)
        )
        period = Period(first, period.end)
    step: Step = "week" if period.days <= 92 else "month" if period.days <= 366 * 4 else "year"
    looks_back = 0 if question.kpi.looks_ahead else question.kpi.default_months
    if question.slug == COHORT_RETENTION.slug and question.filters.own:
        # What became of one cohort is a curve over the months since, not over months of joining.
        step = "month"
        shown = list(question.period.steps(step))
        grown = [replace(question.period, end=month.end) for month in shown]
        answers = ask_many([replace(question, group_by="", period=each) for each in grown])
        labels = [f"{month.last_day:%b %Y}" for month in shown]
    elif looks_back and (question.period.months == looks_back or question.slug == COHORT_RETENTION.slug):
        step = "month"
        try:
            shown = _month_ends(question.period.end)
            windows = [Period(month.end - relativedelta(months=looks_back), month.end) for month in shown]
        except PeriodError:  # the calendar begins in 1900
            return None
        answers = ask_many([replace(question, group_by="", period=window) for window in windows])
        labels = [f"{month.last_day:%b %Y}" for month in shown]
    else:
        answers = series(replace(question, period=period, group_by=""), step)
        shown = [answer.question.period for answer in answers]
        labels = step_labels(answers, step)
    known = [
        (label, answer) for label, answer in zip(labels, answers, strict=True) if answer.value is not None
    ]
    kpi, variant = question.kpi, question.kpi.variant(question.variant)
    unit = known[-1][1].unit if known else kpi.unit_of(variant)
    summary = f"{kpi.label} by {step}: no data in any of them."
    if known:
        (first_label, first_answer), (last_label, last_answer) = known[0], known[-1]
        summary = (
            f"{kpi.label} by {step}: {as_unit(first_answer.value, unit)} in {first_label}, "
            f"{as_unit(last_answer.value, unit)} in {last_label}."
        )
    filters = question.filters.by_dimension() | dict(question.filters.own)
    links = []
    for answer in answers:
        start, last = answer.question.period.start, answer.question.period.last_day
        asked = {"start": start.isoformat(), "last": last.isoformat(), "variant": question.variant}
        links.append(f"?{urlencode(asked | filters)}")
    intervals = [answer.figure.interval for answer in answers]
    has_intervals = any(intervals)
    return Chart(
        kind="line" if kpi.kind != "flow" else "stacked",
        key=f"course-{kpi.slug}",
        summary=summary,
        categories=labels,
        series=[
            Series(
                name=kpi.label,
                values=[answer.value for answer in answers],
                links=links,
                low=[each.low if each else None for each in intervals] if has_intervals else (),
                high=[each.high if each else None for each in intervals] if has_intervals else (),
            )
        ],
        unit=unit,
        target=next((answer.target for answer in answers if answer.target is not None), None),
        target_label="target",
        benchmark=next((answer.benchmark for answer in answers if answer.benchmark is not None), None),
        benchmark_label="benchmark",
        marks=marks_over(shown, labels),
        category_label=step.capitalize(),
        size="large",
    )


def _month_ends(end: date) -> list[Period]:
    """Return the twelve months, the last of them cut, that end with the day before `end`."""
    last = floor_to(end - timedelta(days=1), "month")
    firsts = [last - relativedelta(months=back) for back in range(MONTHS_SHOWN - 1, -1, -1)]
    return [Period(first, min(first + relativedelta(months=1), end)) for first in firsts]


def _cohorts(request: HttpRequest, question: Question) -> dict[str, Any]:
    """Return the table of all cohorts of these days, where the KPI is about them."""
    if question.slug != COHORT_RETENTION.slug:
        return {}
    table = matrix(
        question.period,
        variant=question.variant,
        user=question.user,
        # Of one cohort the page shows the rows; the table keeps it among the others.
        filters=replace(question.filters, own=()),
        known_at=question.known_at,
        now=question.now,
    )
    asked = {
        "start": table.period.start.isoformat(),
        "end": table.period.end.isoformat(),
        **{name: request.GET.get(name, "") for name in ("variant", "known_at", *DIMENSIONS)},
    }
    query = urlencode({name: value for name, value in asked.items() if value} | {"format": "csv"})
    return {
        "heatmap": heat_map(
            table, known_at=request.GET.get("known_at", ""), filters=question.filters.by_dimension()
        ),
        "heatmap_export": f"{reverse('api:kpi-matrix')}?{query}",
    }


def _rows_address(request: HttpRequest, answer: Answer, count: str) -> str | None:
    """Return where the rows of a count are shown, or None when no rows stand behind it."""
    if count not in answer.variant.count_names:
        return None
    query = request.GET.copy()
    query["part"] = count
    query.pop("page", None)
    return f"?{query.urlencode()}#rows"
