"""Asking for a number: the one way in for pages, API, commands and snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

from django.conf import settings
from django.db.models import Count, F, Min, QuerySet, Sum
from django.utils import timezone

from accounts.models import Account, Plan
from csplatform.periods import Period, Step
from metrics.calculations import Spread, exact_text
from metrics.kpis.aims import NO_AIM, Aim, Aims, Benchmark
from metrics.kpis.catalogue import KPIS
from metrics.kpis.counting import (
    MICRO,
    Filters,
    MissingRateError,
    RateChange,
    Rates,
    Tally,
    Term,
    batched,
    count,
    counted_facts,
    in_micro,
    names_of_csms,
    rate_day,
    sees_everything,
)
from metrics.kpis.definition import STEPS, Kpi, KpiError, Part, Scope, Variant
from metrics.kpis.figures import Figure
from metrics.kpis.figures import read as read_figure
from metrics.kpis.stored import Found, Said, look_up
from metrics.models import KpiSnapshot

MOST_STEPS = 400
NOBODY = "none"


@dataclass(frozen=True)
class Question:
    """What is asked: which KPI, about which days, of which accounts, for whom.

    `user` sees only what is theirs; None is the system itself and sees everything. Raises
    KpiError, naming the field, when it cannot be asked that way.
    """

    slug: str
    period: Period
    variant: str = ""
    group_by: str = ""
    known_at: datetime | None = None
    filters: Filters = field(default_factory=Filters)
    user: Any = None
    now: datetime = field(default_factory=timezone.now)
    # Where it is at hand, as for a KPI that is only being written; else it is looked up, once.
    definition: Kpi | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.definition is None or self.definition.slug != self.slug:
            object.__setattr__(self, "definition", known_kpi(self.slug))
        kpi = self.kpi
        kpi.variant(self.variant)
        if self.group_by and not kpi.can_be_grouped_by(self.group_by):
            allowed = ", ".join(kpi.group_words)
            raise KpiError("group_by", f"{kpi.slug} can be grouped by {allowed}, not by {self.group_by!r}.")
        if self.known_at is not None and timezone.is_naive(self.known_at):
            raise KpiError("known_at", "The moment needs a time zone.")

    @property
    def kpi(self) -> Kpi:
        return cast(Kpi, self.definition)

    @property
    def scope(self) -> Scope:
        return Scope(self.period, self.now, self.known_at)


def known_kpi(slug: str) -> Kpi:
    """Return the KPI of this name; raise KpiError when there is none."""
    try:
        return KPIS[slug]
    except KeyError:
        raise KpiError("kpi", f"There is no KPI {slug!r}.") from None


@dataclass(frozen=True, kw_only=True)
class Group:
    key: str
    label: str
    figure: Figure
    aim: Aim = NO_AIM


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What we say, and everything needed to check it."""

    question: Question
    kpi: Kpi
    variant: Variant
    figure: Figure
    groups: Sequence[Group] = ()
    restated: bool = False
    # Exchange rates of these days that were corrected once they were over, or since `known_at`.
    rate_changes: Sequence[RateChange] = ()
    # What we said about these days first, where that was another figure.
    said: Said | None = None
    aim: Aim = NO_AIM
    # percent, points, count, ratio, hours, days, months, or the code of the currency that amounts are in.
    unit: str
    # What its sums of money are in, also where the value itself is a rate.
    currency: str
    computed_at: datetime
    data_as_of: datetime

    @property
    def value(self) -> Decimal | None:
        return self.figure.value

    @property
    def previous_value(self) -> Decimal | None:
        """What we said of these days first, if that was another value."""
        return self.said.figure.value if self.said else None

    @property
    def restated_at(self) -> datetime | None:
        """Since when we say otherwise."""
        return (self.said.restated_at or self.computed_at) if self.said else None

    @property
    def target(self) -> Decimal | None:
        return self.aim.target

    @property
    def benchmark(self) -> Benchmark | None:
        return self.aim.benchmark

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as the API sends it: exact numbers as text, `end` excluded."""
        period = self.question.period
        return {
            "kpi": self.kpi.slug,
            "version": self.kpi.version,
            "variant": self.variant.slug or None,
            "period": {"start": period.start.isoformat(), "end": period.end.isoformat()},
            **self._numbers(self.figure),
            "unit": self.unit,
            "restated": self.restated,
            "previous_value": exact_text(self.previous_value, at_least=self.kpi.places(self.variant)),
            "restated_at": self.restated_at.isoformat() if self.restated_at else None,
            **_held_against(self.aim, self.figure),
            "group_by": self.question.group_by or None,
            "additive": self.kpi.is_additive,
            "groups": [
                {
                    "key": group.key,
                    "label": group.label,
                    **self._numbers(group.figure),
                    **_held_against(group.aim, group.figure),
                }
                for group in self.groups
            ],
            "known_at": self.question.known_at.isoformat() if self.question.known_at else None,
            "computed_at": self.computed_at.isoformat(),
            "data_as_of": self.data_as_of.isoformat(),
        }

    def _numbers(self, figure: Figure) -> dict[str, Any]:
        places = self.kpi.places(self.variant)
        interval = figure.interval
        return {
            "value": exact_text(figure.value, at_least=places),
            "numerator": exact_text(figure.numerator),
            "denominator": exact_text(figure.denominator),
            "sample_size": figure.sample_size,
            "interval": interval
            and {"low": exact_text(interval.low), "high": exact_text(interval.high), "level": "0.95"},
            "small_sample": figure.is_small_sample,
            "reason": figure.reason or None,
            "counts": {name: exact_text(number) for name, number in figure.counts.items()},
        }


def _held_against(aim: Aim, figure: Figure) -> dict[str, Any]:
    return {
        "target": exact_text(aim.target),
        "target_met": aim.is_met(figure.value),
        "benchmark": aim.benchmark
        and {"low": exact_text(aim.benchmark[0]), "high": exact_text(aim.benchmark[1])},
    }


# --- From counts to figures -----------------------------------------------------------


def _figure(kpi: Kpi, variant: Variant, tally: Tally, period: Period, rates: Rates) -> Figure:
    try:
        every = tally.counts(variant.parts, period, rates)
        if kpi.derive:
            every |= kpi.derive(
                every,
                tally.by_currency(variant.parts),
                lambda currency: rates.at(currency, period.last_day, is_noted=False),
            )
    except MissingRateError:
        return Figure(
            value=None, numerator=None, denominator=None, sample_size=None, reason="no_exchange_rate"
        )
    counts = {name: number for name, number in every.items() if not name.startswith("_")}
    denominator = counts[variant.denominator] if variant.denominator else None
    sample = variant.sample or variant.denominator
    sample_size = int(every[sample]) if sample else None
    spread = tally.spread(variant.spread_part) if variant.spread_part else ()
    value, reason = variant.value(every, period=period, spread=spread), ""
    scales = {scale for part in variant.parts if part.scale is not None for scale in tally.scales(part)}
    if len(scales) > 1:
        value, reason = None, "mixed_scales"
    elif value is None:
        reason = variant.reason_of(every) if variant.reason_of else variant.reason
    interval = None
    if value is not None and variant.interval:
        interval = variant.interval(every)
    elif value is not None and variant.interval_of_spread:
        interval = variant.interval_of_spread(spread)
    # A sum is never a sample; what can be missing was asked of somebody.
    is_sampled = bool(variant.reason) and sample_size is not None
    return Figure(
        value=value,
        numerator=counts[variant.numerator],
        denominator=denominator,
        sample_size=sample_size,
        interval=interval,
        is_small_sample=is_sampled and value is not None and cast(int, sample_size) < settings.SMALL_SAMPLE,
        reason=reason,
        counts=counts,
        is_corrected=bool(every.get("_corrections")),
        estimate=variant.estimate(every) if variant.estimate and value is not None else None,
        scale=min(scales, default=""),
    )


def _terms(question: Question, key: Any, *, group_by: str = "", only_grouped: bool = False) -> Iterator[Term]:
    for part in question.kpi.variant(question.variant).parts:
        if only_grouped and part.group(group_by) is None:
            continue
        yield Term(key, part, question.scope, question.filters, question.user, group_by)


def ask(question: Question, *, max_age: timedelta | None = None) -> Answer:
    """Return the number for `question`, with its counts, groups and marks."""
    return ask_many([question], max_age=max_age)[0]


def ask_many(questions: Sequence[Question], *, max_age: timedelta | None = None) -> list[Answer]:
    """Answer many questions with few statements; the answers stand in the order of the questions.

    What was worked out beforehand is taken where no fact changed since, and everything else is
    counted. With `max_age`, for pages, facts may be missing that came within so long; the
    answer's `data_as_of` says since when.
    """
    aims = Aims()
    found = look_up(questions, max_age)
    answers = _from_rollups(questions, found, aims=aims, max_age=max_age)
    to_count = [at for at in range(len(questions)) if at not in answers]
    if to_count:
        counted = count_many([questions[at] for at in to_count], aims=aims, max_age=max_age)
        answers.update(zip(to_count, counted, strict=True))
    return [_with_what_was_said(answers[at], found[at]) for at in range(len(questions))]


def ask_stored(questions: Sequence[Question], *, max_age: timedelta | None = None) -> list[Answer | None]:
    """Answer as `ask_many` does, but only what was worked out beforehand: None for everything else."""
    found = look_up(questions, max_age)
    answers = _from_rollups(questions, found, aims=Aims(), max_age=max_age)
    return [
        _with_what_was_said(answers[at], found[at]) if at in answers else None for at in range(len(questions))
    ]


def count_many(
    questions: Sequence[Question], *, aims: Aims | None = None, max_age: timedelta | None = None
) -> list[Answer]:
    """Answer from the facts, whatever may be stored. `max_age` is for the steps of those grouped by time."""
    terms: list[Term] = []
    for at, question in enumerate(questions):
        if question.known_at and not question.kpi.has_known_at:
            continue
        group_by = "" if question.group_by in STEPS else question.group_by
        is_own = question.kpi.grouping(group_by) is not None
        if not group_by or is_own or not question.kpi.is_additive:
            terms += _terms(question, (at, "total"))
        if group_by:
            terms += _terms(question, (at, "groups"), group_by=group_by, only_grouped=is_own)
        if question.known_at:
            terms += _terms(replace(question, known_at=None), (at, "now"))
    tallies = count(terms)
    labels = _labels(
        (question.group_by, tallies.get((at, "groups"), {})) for at, question in enumerate(questions)
    )
    aims = aims or Aims()
    rates: dict[datetime | None, Rates] = {None: Rates()}
    answers = []
    for at, question in enumerate(questions):
        if question.known_at and not question.kpi.has_known_at:
            answers.append(_from_snapshot(question, aims))
            continue
        counted = {of: tallies.get((at, of), {}) for of in ("total", "groups", "now")}
        known_at = question.known_at
        then = rates.setdefault(known_at, Rates(known_at=known_at))
        answers.append(
            _answer(
                question,
                counted,
                labels=labels,
                rates=then,
                now_rates=rates[None],
                aims=aims,
                max_age=max_age,
            )
        )
    return answers


def _from_rollups(
    questions: Sequence[Question], found: Sequence[Found], *, aims: Aims, max_age: timedelta | None
) -> dict[int, Answer]:
    """Return {number of the question: answer} for what was worked out beforehand."""
    stored = {at: kept.stored for at, kept in enumerate(found) if kept.stored is not None}
    labels = _labels((questions[at].group_by, one.groups) for at, one in stored.items())
    answers = {}
    for at, one in stored.items():
        question = questions[at]
        kpi, variant = question.kpi, question.kpi.variant(question.variant)
        figure = one.figure or _figure(kpi, variant, Tally(), question.period, Rates())
        answers[at] = Answer(
            question=question,
            kpi=kpi,
            variant=variant,
            figure=figure,
            groups=_groups(question, one.groups, labels=labels, aims=aims, max_age=max_age),
            restated=figure.is_corrected or bool(one.rate_changes),
            rate_changes=one.rate_changes,
            aim=aims.of(question, variant),
            unit=one.unit,
            currency=one.currency,
            computed_at=one.computed_at,
            data_as_of=one.data_as_of,
        )
    return answers


def _with_what_was_said(answer: Answer, kept: Found) -> Answer:
    """Mark an answer that is another one than we gave when its period was over."""
    if kept.said is None or kept.said.figure.says == answer.figure.says:
        return answer
    return replace(answer, restated=True, said=kept.said)


def _added_up(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


def _counted_in_full(variant: Variant, grouping: str, total: Tally) -> Tally:
    """Return what stands beside each group: the counts of the parts that lack this grouping."""
    beside = Tally()
    for part in variant.parts:
        if part.group(grouping) is None:
            for name in part.amounts:
                beside.amounts[name].update(total.amounts.get(name, {}))
    return beside


def _answer(
    question: Question,
    counted: Mapping[str, Mapping[str, Tally]],
    *,
    labels: Mapping[tuple[str, str], str],
    rates: Rates,
    now_rates: Rates,
    aims: Aims,
    max_age: timedelta | None,
) -> Answer:
    kpi, variant, period = question.kpi, question.kpi.variant(question.variant), question.period
    total = _added_up((counted["total"] or counted["groups"]).values())
    rates = _suited_rates(kpi, variant, total, rates).noted()
    figure = _figure(kpi, variant, total, period, rates)
    rate_changes = rates.changes(period.ends_at)
    restated = figure.is_corrected or bool(rate_changes)
    if question.known_at:
        total_now = _added_up(counted["now"].values())
        now_rates = _suited_rates(kpi, variant, total_now, now_rates).noted()
        now = _figure(kpi, variant, total_now, period, now_rates)
        rate_changes = now_rates.changes(question.known_at, with_new=True)
        restated = figure.says != now.says
    found = {key: tally for key, tally in counted["groups"].items() if tally.amounts}
    if grouping := kpi.grouping(question.group_by):
        beside = _counted_in_full(variant, grouping.slug, total)
        found = {key: _added_up([tally, beside]) for key, tally in found.items()}
    figures = {key: _figure(kpi, variant, tally, period, rates) for key, tally in found.items()}
    groups = _groups(question, figures, labels=labels, aims=aims, max_age=max_age)
    return Answer(
        question=question,
        kpi=kpi,
        variant=variant,
        figure=figure,
        groups=groups,
        restated=restated,
        rate_changes=rate_changes,
        aim=aims.of(question, variant),
        unit=kpi.unit_of(variant, rates.currency),
        currency=rates.currency,
        computed_at=question.now,
        data_as_of=question.known_at or question.now,
    )


def _suited_rates(kpi: Kpi, variant: Variant, total: Tally, rates: Rates) -> Rates:
    return rates if kpi.is_exchanged_by_database else rates.suited_to(total.currencies(variant.parts))


def _groups(
    question: Question,
    figures: Mapping[str, Figure],
    *,
    labels: Mapping[tuple[str, str], str],
    aims: Aims,
    max_age: timedelta | None,
) -> list[Group]:
    """Return the figures of groups with their names, in the order of these; steps of time in theirs."""
    kpi, variant = question.kpi, question.kpi.variant(question.variant)
    if question.group_by in STEPS:
        steps = series(question, cast(Step, question.group_by), max_age=max_age)
        return [
            Group(key=step.question.period.start.isoformat(), label=label, figure=step.figure, aim=step.aim)
            for step, label in zip(steps, step_labels(steps, question.group_by), strict=True)
        ]
    if grouping := kpi.grouping(question.group_by):
        labels = {(question.group_by, key): label for key, label in grouping.known_labels().items()}
    groups = [
        Group(
            key=key,
            label=labels.get((question.group_by, key), key) if key else NOBODY,
            figure=figure,
            aim=aims.of(question, variant, group_by=question.group_by, group=key),
        )
        for key, figure in figures.items()
    ]
    return sorted(groups, key=lambda group: (not group.key, group.label.casefold(), group.key))


def _labels(grouped: Iterable[tuple[str, Iterable[str]]]) -> dict[tuple[str, str], str]:
    """Return {(group_by, key): words} for the groups whose key is no word itself."""
    keys: dict[str, set[str]] = {"csm": set(), "plan": set()}
    for group_by, found_keys in grouped:
        if group_by in keys:
            keys[group_by] |= set(found_keys)
    found = {("csm", key): name for key, name in names_of_csms(keys["csm"]).items()}
    if keys["plan"]:
        names = Plan.objects.filter(code__in=keys["plan"]).values_list("code", "name")
        found |= {("plan", code): name for code, name in names}
    return found


def _from_snapshot(question: Question, aims: Aims) -> Answer:
    """Answer from what was said by then: these facts keep no second clock."""
    kpi, variant = question.kpi, question.kpi.variant(question.variant)
    said: list[KpiSnapshot] = []
    reason = "not_stored_for_this_selection"
    if sees_everything(question.user) and not question.filters.are_set:
        reason = "not_stored_by_then"
        found = KpiSnapshot.objects.filter(
            kpi=kpi.slug,
            variant=variant.slug,
            starts_on=question.period.start,
            ends_on=question.period.last_day,
            computed_at__lte=question.known_at,
            group_by__in={"", question.group_by},
        )
        said = list(found.order_by("computed_at", "pk"))
    totals = [row for row in said if not row.group_by]
    grouped = [row for row in said if row.group_by and row.figure]
    figures: dict[str, Figure] = {}
    if grouped:
        # Its own total, said with the groups: they add up.
        totals = grouped
        figures = {key: read_figure(text) for key, text in json.loads(grouped[-1].groups).items()}
    elif totals:
        figures = {row.group: _said_figure(row) for row in said if row.group_by}
    empty = Figure(value=None, numerator=None, denominator=None, sample_size=None, reason=reason)
    return Answer(
        question=question,
        kpi=kpi,
        variant=variant,
        figure=_said_figure(totals[-1]) if totals else empty,
        groups=_groups(
            replace(question, group_by="") if question.group_by in STEPS else question,
            figures,
            labels=_labels([(question.group_by, figures)]),
            aims=aims,
            max_age=None,
        ),
        aim=aims.of(question, variant),
        unit=totals[-1].unit if totals else kpi.unit_of(variant),
        currency=settings.REPORTING_CURRENCY,
        computed_at=question.now,
        data_as_of=totals[-1].computed_at if totals else question.now,
    )


def _said_figure(row: KpiSnapshot) -> Figure:
    if row.figure:
        return read_figure(row.figure)
    return Figure(
        value=row.value,
        numerator=row.numerator,
        denominator=row.denominator,
        sample_size=row.sample_size,
        reason=row.reason,
    )


# --- Over time ------------------------------------------------------------------------


def series(question: Question, step: Step, *, max_age: timedelta | None = None) -> list[Answer]:
    """Return the number for each calendar day, week, month … of the period; `max_age` as for `ask_many`."""
    if step not in STEPS:
        raise KpiError("step", f"A step is one of {', '.join(STEPS)}, not {step!r}.")
    periods: list[Period] = []
    for period in question.period.steps(step):
        periods.append(period)
        if len(periods) > MOST_STEPS:
            raise KpiError(
                "step", f"That makes more than {MOST_STEPS} steps; take longer ones or fewer days."
            )
    return ask_many([replace(question, period=period, group_by="") for period in periods], max_age=max_age)


def step_labels(answers: Sequence[Answer], step: str) -> list[str]:
    """Return how each step of a series is called."""
    words = []
    for answer in answers:
        start = answer.question.period.start
        match step:
            case "month":
                words.append(f"{start:%b %Y}")
            case "quarter":
                words.append(f"Q{(start.month + 2) // 3} {start:%Y}")
            case "year":
                words.append(f"{start:%Y}")
            case _:
                words.append(f"{start:%-d %b %Y}")
    return words


def spreads(question: Question) -> dict[str, Spread]:
    """Return how the values of a KPI are spread, {group: spread}; ungrouped under the empty key.

    Empty for a KPI without values of its rows, and where the facts of that time are not kept.
    """
    part = question.kpi.variant(question.variant).spread_part
    if part is None or (question.known_at and not question.kpi.has_known_at):
        return {}
    group_by = "" if question.group_by in STEPS else question.group_by
    term = Term("spread", part, question.scope, question.filters, question.user, group_by)
    return {key: tally.spread(part) for key, tally in count([term])["spread"].items()}


# --- The rows behind a count ----------------------------------------------------------


class Rows(Sequence[dict[str, Any]]):
    """The rows that one count consists of; a page of them is read at a time.

    Each has `account` (id and name, or None), the part's columns, `amount`, and for money the
    amount before exchange with its `currency`. Rows that cancel each other out are left out.
    """

    def __init__(self, question: Question, part_name: str, *, recorded_after: datetime | None = None) -> None:
        self.question = question
        self.recorded_after = recorded_after
        self.variant = question.kpi.variant(question.variant)
        names = {"numerator": self.variant.numerator, "denominator": self.variant.denominator}
        name = names.get(part_name, part_name)
        if not name or name not in self.variant.count_names:
            known = [
                "numerator",
                *(["denominator"] if self.variant.denominator else []),
                *self.variant.count_names,
            ]
            raise KpiError("part", f"A part is one of {', '.join(dict.fromkeys(known))}, not {part_name!r}.")
        if question.known_at and not question.kpi.has_known_at:
            raise KpiError("known_at", "The rows of that time are not kept, only their counts.")
        self.name = name
        self.part: Part = self.variant.part_of(name)
        self.amount = self.part.amounts[name]
        self._columns = {**self.part.columns}
        if recorded_after is not None:
            if not self.part.recorded:
                raise KpiError("part", "When these facts were recorded is not kept.")
            self._columns |= {**self.part.details, "recorded": self.part.recorded}
        self.columns = list(self._columns)
        self._plain = Rates(known_at=question.known_at)
        self._suited: Rates | None = None
        self._count: int | None = None

    def _rates_of(self, currency: str) -> Rates:
        """Return the rates that the total is exchanged at, which the whole selection decides.

        It decides only where a currency has no rate: all others need no count of the selection.
        """
        if self._plain.knows(currency):
            return self._plain
        if self._suited is None:
            tallies = count(_terms(self.question, "total"))["total"]
            total = _added_up(tallies.values())
            self._suited = _suited_rates(self.question.kpi, self.variant, total, self._plain)
        return self._suited

    @cached_property
    def queryset(self) -> QuerySet[Any, Any]:
        part, question = self.part, self.question
        facts = counted_facts(part, question.scope, filters=question.filters, user=question.user)
        if self.recorded_after is not None:
            facts = facts.filter(**{f"{part.recorded}__gt": self.recorded_after})
        prefix = f"{part.account}__" if part.account else ""
        annotations: dict[str, Any] = {}
        if part.anonymous:
            annotations["kpi_anonymous"] = F(part.anonymous)
        if part.currency:
            annotations["kpi_currency"] = F(part.currency)
        if part.currency and part.rate_on not in ("start", "end"):
            annotations["kpi_day"] = F(part.rate_on)
        columns = []
        for at, column in enumerate(self._columns.values()):
            columns.append(f"kpi_column_{at}")
            annotations[columns[-1]] = F(column) if isinstance(column, str) else column
        if self.amount.kind == "distinct":
            # One row a person: of several accounts the first stands for all.
            people = facts.annotate(**annotations).order_by().values(*annotations)
            people = people.annotate(
                kpi_account=Min(f"{prefix}pk"), kpi_amount=Count(self.amount.of, distinct=True)
            )
            return people.filter(kpi_amount__gt=0).order_by("kpi_account", *columns)
        annotations |= {"kpi_account": F(f"{prefix}pk"), "kpi_account_name": F(f"{prefix}name")}
        rows = facts.annotate(**annotations).order_by().values(*annotations)
        if self.amount.kind == "count":
            rows = rows.annotate(kpi_amount=Sum(self.amount.of))
        else:
            rows = rows.annotate(kpi_amount=Sum(in_micro(self.amount.of)))
        return rows.exclude(kpi_amount=0).order_by("kpi_account_name", "kpi_account", *columns)

    def __len__(self) -> int:
        if self._count is None:
            self._count = self.queryset.count()
        return self._count

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return list(self._rows(self.queryset[at]))
        return next(self._rows([self.queryset[at]]))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._rows(self.queryset.iterator(chunk_size=2_000))

    def _rows(self, found: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        for batch in batched(found, 2_000):
            names: Mapping[int, str] = {}
            if self.amount.kind == "distinct":
                ids = {row["kpi_account"] for row in batch}
                names = dict(Account.objects.filter(pk__in=ids).values_list("pk", "name"))
            for row in batch:
                yield self._row(row, row.get("kpi_account_name") or names.get(row["kpi_account"], ""))

    def _row(self, row: Mapping[str, Any], account_name: str) -> dict[str, Any]:
        is_known = row["kpi_account"] is not None and not row.get("kpi_anonymous")
        amount = Decimal(int(row["kpi_amount"]))
        if self.amount.kind in ("money", "quantity"):
            amount /= MICRO
        found: dict[str, Any] = {
            "account": {"id": row["kpi_account"], "name": account_name} if is_known else None
        }
        for at, name in enumerate(self.columns):
            found[name] = row[f"kpi_column_{at}"]
        if self.amount.kind == "money":
            day: date | None = row.get("kpi_day")
            month = day.year * 100 + day.month if day else 0
            found["currency"] = row["kpi_currency"]
            found["amount_in_currency"] = amount
            try:
                amount *= self._rates_of(row["kpi_currency"]).at(
                    row["kpi_currency"], rate_day(self.part, self.question.period, month)
                )
            except MissingRateError:
                amount = None  # type: ignore[assignment]
        found["amount"] = amount
        return found


def rows(question: Question, part: str = "numerator", *, recorded_after: datetime | None = None) -> Rows:
    """Return the rows counted for `part`: numerator, denominator or any count of the KPI.

    Their amounts add up to exactly the count. With `recorded_after` they are the facts we learned
    of only after that moment: their amounts add up to what the count moved by since then. Raises
    KpiError where the facts do not keep when they were recorded.
    """
    return Rows(question, part, recorded_after=recorded_after)


def late_facts(question: Question, since: datetime) -> dict[str, Rows]:
    """Return, per count, the facts about these days that we learned of only after `since`.

    Counts without any are left out, and those whose facts keep no moment of recording.
    """
    asked = replace(question, known_at=None)
    variant = asked.kpi.variant(asked.variant)
    found = {
        name: Rows(asked, name, recorded_after=since)
        for name in variant.count_names
        if variant.part_of(name).recorded
    }
    return {name: late for name, late in found.items() if len(late)}
