"""The kinds of cards: courses over time, counts over time, groups, the way of the money, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Literal

from dateutil.relativedelta import relativedelta
from django.db.models import Case, DecimalField, F, QuerySet, Value, When
from django.db.models.functions import Abs
from django.urls import reverse
from django.utils.text import slugify

from accounts.models import ExchangeRate, Movement
from csplatform.periods import Period, day_of, floor_to
from metrics.kpis import Answer, Group, Question, Rows
from metrics.kpis.cohorts import matrix
from workspace.annotations import marks_over
from workspace.charts import Chart, Mark, Series, Tone
from workspace.cohorts import heat_map
from workspace.dashboards.definition import Block, Card, Known, Pick
from workspace.dashboards.selection import MONTHS_OF_A_COURSE, Selection, in_words, step_labels
from workspace.dashboards.waterfalls import waterfall
from workspace.templatetags.show import as_unit, level, reason_words

MOST_BARS = 12
FEW_BARS = 5
MOST_MOVES = 10


# --- Over time ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OverTime(Block):
    """Months up to the end of the period, or with `is_fine` the days within it."""

    is_over_time: ClassVar[bool] = True
    is_fine: bool = False

    def periods(self, selection: Selection) -> list[Period]:
        return selection.fine_course() if self.is_fine else selection.course()

    def chart(
        self, kind: Literal["line", "stacked"], periods: list[Period], known: Known, **given: Any
    ) -> Chart:
        labels = step_labels(periods)
        # What happened stands in full above the charts, once for all of them.
        marks = [Mark(each.category, each.label) for each in marks_over(periods, labels, known.happened)]
        return Chart(
            kind=kind,
            key=self.key,
            categories=labels,
            category_label="Days" if self.is_fine else "Month",
            marks=marks,
            **given,
        )


def first_and_last(labels: Sequence[str], answers: Sequence[Answer]) -> str:
    """Say in words where a course begins and ends, or why there is nothing to draw."""
    known = [each for each in zip(labels, answers, strict=True) if each[1].value is not None]
    if not known:
        return f"no data, because {reason_words(answers[-1].figure.reason)}"
    (first, start), (last, end) = known[0], known[-1]
    if len(known) == 1:
        return f"{as_unit(end.value, end.unit)} in {last}"
    return f"{as_unit(start.value, start.unit)} in {first}, {as_unit(end.value, end.unit)} in {last}"


@dataclass(frozen=True, kw_only=True)
class Course(OverTime):
    """One or more KPIs over time, with the target and the benchmark of the first."""

    picks: tuple[Pick, ...]
    kind: Literal["line", "stacked"] = "line"
    tones: tuple[Tone, ...] = ()

    def questions(self, selection: Selection) -> list[Question]:
        periods = self.periods(selection)
        return [pick.question(selection, period) for pick in self.picks for period in periods]

    def shown(self, selection: Selection, known: Known) -> Card:
        periods = self.periods(selection)
        labels = step_labels(periods)
        courses = [[known[pick.question(selection, period)] for period in periods] for pick in self.picks]
        has_interval = len(courses) == 1 and any(answer.figure.interval for answer in courses[0])
        series, said = [], []
        for place, (pick, answers) in enumerate(zip(self.picks, courses, strict=True)):
            intervals = [answer.figure.interval for answer in answers] if has_interval else []
            said.append(f"{pick.name}: {first_and_last(labels, answers)}.")
            series.append(
                Series(
                    name=pick.name,
                    values=[answer.value for answer in answers],
                    tone=self.tones[place] if self.tones else None,
                    links=[selection.address(answer.question) for answer in answers],
                    low=[each.low if each else None for each in intervals],
                    high=[each.high if each else None for each in intervals],
                )
            )
        newest, months = courses[0][-1], self.picks[0].months
        has_target = newest.target is not None
        chart = self.chart(
            self.kind,
            periods,
            known,
            summary=" ".join(said),
            series=series,
            unit=newest.unit,
            target=newest.target,
            target_label=f"target {level(newest.target, newest.unit)}" if has_target else "",
            benchmark=newest.benchmark,
            benchmark_label="benchmark",
        )
        return Card(
            block=self,
            kind="chart",
            content=chart,
            answers=[answer for answers in courses for answer in answers],
            note=f"each over {months} months" if months else "",
        )


@dataclass(frozen=True)
class Part:
    """One count of a KPI: its name in the definition, its words, its colour, and which way it is drawn."""

    count: str
    label: str
    tone: Tone
    sign: int = 1


@dataclass(frozen=True, kw_only=True)
class Counts(OverTime):
    """What a KPI is made of, stacked step by step."""

    pick: Pick
    parts: tuple[Part, ...]
    is_money: bool = False

    def questions(self, selection: Selection) -> list[Question]:
        return [self.pick.question(selection, period) for period in self.periods(selection)]

    def shown(self, selection: Selection, known: Known) -> Card:
        periods = self.periods(selection)
        answers = [known[question] for question in self.questions(selection)]
        unit = answers[-1].currency if self.is_money else "count"
        series = [
            Series(
                name=part.label,
                values=[_count(answer, part) for answer in answers],
                tone=part.tone,
                links=[selection.address(answer.question, part=part.count) for answer in answers],
            )
            for part in self.parts
        ]
        newest = [(each.name.lower(), each.values[-1]) for each in series]
        last = ", ".join(f"{name} {as_unit(value, unit)}" for name, value in newest if value is not None)
        summary = f"{step_labels(periods)[-1]}: {last}."
        if not any(value for each in series for value in each.values):
            series, summary = [], "Nothing in any of them."
        chart = self.chart("stacked", periods, known, summary=summary, series=series, unit=unit)
        return Card(block=self, kind="chart", content=chart, answers=answers)


def _count(answer: Answer, part: Part) -> Decimal | None:
    found = answer.figure.counts.get(part.count)
    return None if found is None else part.sign * found


# --- What was expected, what came, and what is expected --------------------------------

MONTHS_AHEAD = 6


@dataclass(frozen=True, kw_only=True)
class ForecastAndOutcome(OverTime):
    """By month: what a KPI that looks ahead said before, what came of it, and what it says now."""

    pick: Pick
    # Counts of its judging variant, each with its words and its colour: what was said, and what came.
    said: tuple[str, str, Tone]
    came: tuple[str, str, Tone]

    @property
    def judge(self) -> Pick:
        return Pick(kpi=self.pick.kpi, variant=self.pick.definition.judged_by, label="How far it was off")

    def _months(self, selection: Selection) -> tuple[list[Period], list[Period]]:
        """Return the months that are over, and those to come: none of these beside days long past."""
        this = floor_to(day_of(selection.now), "month")
        last = min(floor_to(selection.period.last_day, "month") + relativedelta(months=1), this)
        over = Period(last - relativedelta(months=MONTHS_OF_A_COURSE), last).steps("month")
        ahead = Period(this, this + relativedelta(months=MONTHS_AHEAD)).steps("month")
        return list(over), list(ahead) if last == this else []

    def questions(self, selection: Selection) -> list[Question]:
        over, ahead = self._months(selection)
        whole = Period(over[0].start, over[-1].end)
        judged = [self.judge.question(selection, period) for period in (whole, *over)]
        return [*judged, *(self.pick.question(selection, period) for period in ahead)]

    def shown(self, selection: Selection, known: Known) -> Card:
        over, ahead = self._months(selection)
        whole, *answers = [known[question] for question in self.questions(selection)]
        past, coming = answers[: len(over)], answers[len(over) :]
        before: list[None] = [None] * len(over)
        after: list[None] = [None] * len(ahead)
        series = [
            Series(
                name=words,
                values=[
                    *(answer.figure.counts[count] if answer.figure.sample_size else None for answer in past),
                    *after,
                ],
                tone=tone,
                links=[*(selection.address(answer.question, part=count) for answer in past), *after],
            )
            for count, words, tone in (self.said, self.came)
        ]
        if coming:
            series.append(
                Series(
                    name=self.pick.name,
                    values=[*before, *(answer.value for answer in coming)],
                    tone="accent",
                    links=[*before, *(selection.address(answer.question) for answer in coming)],
                    low=[*before, *(_case(answer, "worst_case") for answer in coming)],
                    high=[*before, *(_case(answer, "best_case") for answer in coming)],
                )
            )
        labels = step_labels([*over, *ahead])
        said = [f"{self.pick.name}: {first_and_last(labels[len(over) :], coming)}."] if coming else []
        chart = self.chart(
            "line",
            [*over, *ahead],
            known,
            summary=" ".join([*said, f"{self._how_good(whole)}."]),
            series=[each for each in series if any(value is not None for value in each.values)],
            unit=whole.currency,
            size="large",
        )
        return Card(
            block=self,
            kind="chart",
            content=chart,
            answers=[whole, *answers],
            note=self._how_good(whole),
            href=selection.address(whole.question),
            link="How far it was off",
        )

    def _how_good(self, whole: Answer) -> str:
        """Say how far off the forecasts of the year were, on the face of the card."""
        if whole.value is None:
            return f"{self.said[1]}: no data, {reason_words(whole.figure.reason)}"
        off = f"{as_unit(abs(whole.value), whole.unit)} too {'high' if whole.value > 0 else 'low'}"
        few = ", a small sample" if whole.figure.is_small_sample else ""
        return (
            f"in twelve months {off if whole.value else 'exact'}, {whole.figure.sample_size} contracts{few}"
        )


def _judged(answer: Answer, count: str) -> Decimal | None:
    """Return a count of a month in which something was judged."""
    return answer.figure.counts[count] if answer.figure.sample_size else None


def _case(answer: Answer, count: str) -> Decimal | None:
    return None if answer.value is None else answer.figure.counts[count]


# --- In groups ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Breakdown(Block):
    """One KPI by segment, plan, CSM …, the largest group first."""

    pick: Pick
    group_by: str
    tone: Tone = "accent"

    def questions(self, selection: Selection) -> list[Question]:
        return [self.pick.question(selection, group_by=self.group_by)]

    def shown(self, selection: Selection, known: Known) -> Card:
        (question,) = self.questions(selection)
        answer = known[question]
        groups = sorted(_with_something(answer), key=_by_size)
        shown = groups[:MOST_BARS]
        with_value = [group for group in shown if group.figure.value is not None]
        said = [f"{group.label} {as_unit(group.figure.value, answer.unit)}" for group in with_value[:3]]
        rest = f" {len(groups) - len(shown)} smaller ones are not drawn." if len(groups) > len(shown) else ""
        chart = Chart(
            kind="bars",
            key=self.key,
            summary=f"{', '.join(said)}.{rest}" if said else "There is nothing to group.",
            categories=[_unique(group, groups) for group in shown],
            series=[
                Series(
                    name=self.pick.name,
                    values=[group.figure.value for group in shown],
                    tone=self.tone,
                    links=[group_address(selection, answer, group) for group in shown],
                )
            ],
            unit=answer.unit,
            size="small" if len(shown) <= FEW_BARS else "medium",
            category_label=self.group_by.replace("_", " ").capitalize(),
        )
        return Card(
            block=self,
            kind="chart",
            content=chart,
            answers=[answer],
            note=self.pick.period_words(question),
            href=selection.address(question, group_by=self.group_by),
            link="All groups",
        )


def _with_something(answer: Answer) -> list[Group]:
    """Leave out the groups of a sum that come to nothing: former customers without a plan."""
    return [group for group in answer.groups if group.figure.value or answer.variant.reason]


def _by_size(group: Group) -> tuple[bool, Decimal]:
    value = group.figure.value
    return value is None, -(value or Decimal(0))


def _unique(group: Group, groups: Sequence[Group]) -> str:
    """Return a group's label, with its key where two are called alike."""
    is_alone = sum(other.label == group.label for other in groups) == 1
    return group.label if is_alone else f"{group.label} ({group.key})"


def group_address(selection: Selection, answer: Answer, group: Group) -> str:
    """Return the page of one group; those without one stand on the page of all groups."""
    question = answer.question
    if not group.key:
        return selection.address(question, group_by=question.group_by)
    return selection.address(question, **{question.group_by: group.key})


# --- By month of joining -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cohorts(Block):
    """What is left of those who joined in each of the last months; it counts its cells itself."""

    pick: Pick
    is_wide: bool = True

    def questions(self, selection: Selection) -> list[Question]:
        return [self.pick.question(selection)]

    def shown(self, selection: Selection, known: Known) -> Card:
        (question,) = self.questions(selection)
        answer = known[question]
        table = matrix(
            question.period,
            variant=question.variant,
            user=question.user,
            filters=question.filters,
            now=question.now,
        )
        return Card(
            block=self,
            kind="heatmap",
            content=heat_map(table, filters=question.filters.by_dimension()),
            answers=[answer],
            note="months since joining, per cent",
            href=selection.address(question, group_by="cohort"),
            link="All cohorts",
        )


# --- The way of the money -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Waterfall(Block):
    """From opening to closing revenue; each bar opens the movements it consists of."""

    pick: Pick

    def questions(self, selection: Selection) -> list[Question]:
        return [self.pick.question(selection)]

    def shown(self, selection: Selection, known: Known) -> Card:
        (question,) = self.questions(selection)
        answer = known[question]

        def link(count: str) -> str:
            # What is worked out from the other steps has no rows of its own.
            part = {"part": count} if count in answer.variant.count_names else {}
            return selection.address(question, **part)

        chart = waterfall(answer, link, key=self.key)
        if chart is None:
            why = f"No data: {reason_words(answer.figure.reason)}."
            chart = Chart(kind="waterfall", key=self.key, summary=why, categories=(), series=())
        return Card(block=self, kind="chart", content=chart, answers=[answer], note=in_words(question.period))


# --- Tables ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cell:
    label: str
    value: Decimal | None
    unit: str
    href: str
    reason: str = ""
    is_small_sample: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    label: str
    cells: Sequence[Cell]
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A line for each group, a column for each KPI, and the total at the foot."""

    corner: str
    # What the address calls a column, and its words.
    columns: Sequence[tuple[str, str]]
    lines: list[Line]
    total: Line

    def sort(self, order: str) -> None:
        """Order the lines by a column, downwards with a minus; those without a value come last."""
        keys = [key for key, _ in self.columns]
        column = order.removeprefix("-")
        if column not in keys:
            return
        place, sign = keys.index(column), -1 if order.startswith("-") else 1

        def by_value(line: Line) -> tuple[bool, Decimal]:
            value = line.cells[place].value
            return value is None, sign * (value or Decimal(0))

        self.lines.sort(key=by_value)


@dataclass(frozen=True, kw_only=True)
class PerGroup(Block):
    """Many KPIs side by side for each CSM, segment or agent."""

    group_by: str
    corner: str
    picks: tuple[Pick, ...]
    is_wide: bool = True

    def questions(self, selection: Selection) -> list[Question]:
        return [pick.question(selection, group_by=self.group_by) for pick in self.picks]

    def shown(self, selection: Selection, known: Known) -> Card:
        answers = [known[question] for question in self.questions(selection)]
        by_key = [{group.key: group for group in answer.groups} for answer in answers]
        labels = {key: group.label for groups in by_key for key, group in groups.items()}
        columns = list(zip(self.picks, answers, by_key, strict=True))
        lines = [
            Line(
                label=labels[key],
                href=self._board_of(selection, key),
                cells=[_cell(selection, pick, answer, groups.get(key)) for pick, answer, groups in columns],
            )
            for key in sorted(labels, key=lambda key: (not key, labels[key].casefold(), key))
        ]
        table = Table(
            corner=self.corner,
            columns=[(slugify(pick.name), pick.name) for pick in self.picks],
            lines=lines,
            total=Line(
                label="Together", cells=[_total_cell(selection, pick, answer) for pick, answer, _ in columns]
            ),
        )
        return Card(block=self, kind="table", content=table, answers=answers, note=in_words(selection.period))

    def _board_of(self, selection: Selection, key: str) -> str:
        """Return the board of the CSM a line is about."""
        if self.group_by != "csm" or not key:
            return ""
        return selection.dashboard_address("csm", csm=key)


def _cell(selection: Selection, pick: Pick, answer: Answer, group: Group | None) -> Cell:
    if group is None:
        # Nothing of this group was counted: a sum of nothing is 0, a rate of nothing is none.
        reason = answer.variant.reason
        value = None if reason else Decimal(0)
        return Cell(label=pick.name, value=value, unit=answer.unit, href="", reason=reason)
    return Cell(
        label=pick.name,
        value=group.figure.value,
        unit=answer.unit,
        href=group_address(selection, answer, group),
        reason=group.figure.reason,
        is_small_sample=group.figure.is_small_sample,
    )


def _total_cell(selection: Selection, pick: Pick, answer: Answer) -> Cell:
    return Cell(
        label=pick.name,
        value=answer.value,
        unit=answer.unit,
        href=selection.address(answer.question, group_by=answer.question.group_by),
        reason=answer.figure.reason,
        is_small_sample=answer.figure.is_small_sample,
    )


class LargestRows(Rows):
    """The rows behind a sum of money, those that moved it most first."""

    @property
    def queryset(self) -> QuerySet[Any, Any]:
        rates: dict[str, Decimal] = dict(
            ExchangeRate.objects.filter(starts_on__lte=self.question.period.last_day)
            .in_order()
            .values_list("currency", "rate")
        )
        # Only for the order: the amounts themselves are exchanged as their total is.
        weights = [When(kpi_currency=currency, then=Value(rate)) for currency, rate in rates.items()]
        weight = Case(*weights, default=Value(Decimal(1)), output_field=DecimalField())
        rows: QuerySet[Any, Any] = super().queryset
        return rows.annotate(kpi_size=Abs(F("kpi_amount") * weight)).order_by(
            "-kpi_size", "kpi_account_name", "kpi_account"
        )


@dataclass(frozen=True, kw_only=True)
class Move:
    """One movement, in words."""

    account: str
    href: str
    kind: str
    detail: str
    plan: str
    contract: str
    day: date
    amount: Decimal
    unit: str


@dataclass(frozen=True, kw_only=True)
class LargestMovements(Block):
    """The single movements of the period that weigh most; the only card that reads rows itself."""

    def questions(self, selection: Selection) -> list[Question]:
        return [selection.question("net_new_mrr")]

    def shown(self, selection: Selection, known: Known) -> Card:
        (question,) = self.questions(selection)
        answer = known[question]
        rows = LargestRows(question, "numerator")[:MOST_MOVES]
        return Card(
            block=self,
            kind="movements",
            content=[_move(row, answer.currency) for row in rows],
            note=in_words(question.period),
            href=selection.address(question, part=answer.variant.numerator),
            link="All movements",
        )


def _move(row: Mapping[str, Any], currency: str) -> Move:
    is_exchanged = row["amount"] is not None
    account = row["account"]
    return Move(
        account=account["name"],
        href=f"{reverse('workspace:account', args=[account['id']])}#money",
        kind=str(Movement.Kind(row["kind"]).label),
        detail=str(Movement.SubKind(row["detail"]).label) if row["detail"] else "",
        plan=row["plan"] or "",
        contract=row["contract"] or "",
        day=row["day"],
        amount=row["amount"] if is_exchanged else row["amount_in_currency"],
        unit=currency if is_exchanged else row["currency"],
    )
