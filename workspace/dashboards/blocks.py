"""The kinds of cards: courses over time, counts over time, groups, the way of the money, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from django.utils.text import slugify

from csplatform.periods import Period
from metrics.kpis import Answer, Group, Question
from workspace.charts import Chart, Series, Tone
from workspace.dashboards.definition import Card, Known, Pick
from workspace.dashboards.selection import Selection, in_words, step_labels
from workspace.dashboards.waterfalls import waterfall
from workspace.templatetags.show import as_unit, reason_words

MOST_BARS = 12
FEW_BARS = 5


def _key(title: str) -> str:
    return Card(title=title, kind="chart", content=None, answers=()).key


def _first_and_last(labels: Sequence[str], answers: Sequence[Answer]) -> str:
    """Say in words where a course begins and ends, or why there is nothing to draw."""
    known = [
        (label, answer) for label, answer in zip(labels, answers, strict=True) if answer.value is not None
    ]
    if not known:
        return f"no data, because {reason_words(answers[-1].figure.reason)}"
    (first, start), (last, end) = known[0], known[-1]
    if len(known) == 1:
        return f"{as_unit(end.value, end.unit)} in {last}"
    return f"{as_unit(start.value, start.unit)} in {first}, {as_unit(end.value, end.unit)} in {last}"


# --- Over time ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Course:
    """One or more KPIs over the months up to the end of the period, or over the days within it."""

    title: str
    picks: tuple[Pick, ...]
    kind: Literal["line", "stacked"] = "line"
    tones: tuple[Tone, ...] = ()
    is_fine: bool = False
    is_wide: bool = False

    def _periods(self, selection: Selection) -> list[Period]:
        return selection.fine_course() if self.is_fine else selection.course()

    def questions(self, selection: Selection) -> list[Question]:
        periods = self._periods(selection)
        return [pick.question(selection, period) for pick in self.picks for period in periods]

    def shown(self, selection: Selection, known: Known) -> Card:
        periods = self._periods(selection)
        labels = step_labels(periods)
        of_pick = [[known[pick.question(selection, period)] for period in periods] for pick in self.picks]
        has_interval = len(self.picks) == 1 and any(answer.figure.interval for answer in of_pick[0])
        series = []
        for place, (pick, answers) in enumerate(zip(self.picks, of_pick, strict=True)):
            intervals = [answer.figure.interval for answer in answers] if has_interval else []
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
        first, newest = self.picks[0], of_pick[0][-1]
        said = [
            f"{pick.name}: {_first_and_last(labels, answers)}."
            for pick, answers in zip(self.picks, of_pick, strict=True)
        ]
        chart = Chart(
            kind=self.kind,
            key=_key(self.title),
            summary=" ".join(said),
            categories=labels,
            series=series,
            unit=newest.unit,
            target=newest.target,
            target_label=f"target {as_unit(newest.target, newest.unit)}" if newest.target is not None else "",
            benchmark=newest.benchmark,
            benchmark_label="benchmark",
            category_label="Days" if self.is_fine else "Month",
        )
        note = f"each over {first.months} months" if first.months else ""
        return Card(
            title=self.title,
            kind="chart",
            content=chart,
            answers=[answer for answers in of_pick for answer in answers],
            note=note,
            is_wide=self.is_wide,
        )


@dataclass(frozen=True)
class Part:
    """One count of a KPI: its name in the definition, its words, its colour, and which way it is drawn."""

    count: str
    label: str
    tone: Tone
    sign: int = 1


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a KPI is made of, stacked month by month."""

    title: str
    pick: Pick
    parts: tuple[Part, ...]
    is_money: bool = False
    is_fine: bool = False
    is_wide: bool = False

    def _periods(self, selection: Selection) -> list[Period]:
        return selection.fine_course() if self.is_fine else selection.course()

    def questions(self, selection: Selection) -> list[Question]:
        return [self.pick.question(selection, period) for period in self._periods(selection)]

    def shown(self, selection: Selection, known: Known) -> Card:
        answers = [known[question] for question in self.questions(selection)]
        labels = step_labels(self._periods(selection))
        unit = answers[-1].unit if self.is_money else "count"
        series = [
            Series(
                name=part.label,
                values=[_count(answer, part.count, part.sign) for answer in answers],
                tone=part.tone,
                links=[selection.address(answer.question, part=part.count) for answer in answers],
            )
            for part in self.parts
        ]
        last = ", ".join(f"{each.name.lower()} {as_unit(each.values[-1], unit)}" for each in series)
        chart = Chart(
            kind="stacked",
            key=_key(self.title),
            summary=f"{labels[-1]}: {last}.",
            categories=labels,
            series=series,
            unit=unit,
            category_label="Days" if self.is_fine else "Month",
        )
        return Card(title=self.title, kind="chart", content=chart, answers=answers, is_wide=self.is_wide)


def _count(answer: Answer, name: str, sign: int = 1) -> Decimal | None:
    found = answer.figure.counts.get(name)
    return None if found is None else sign * found


# --- In groups ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """One KPI by segment, plan, CSM …, the largest group first."""

    title: str
    pick: Pick
    group_by: str
    tone: Tone = "accent"

    def questions(self, selection: Selection) -> list[Question]:
        return [self.pick.question(selection, group_by=self.group_by)]

    def shown(self, selection: Selection, known: Known) -> Card:
        (question,) = self.questions(selection)
        answer = known[question]
        groups = sorted(
            _with_something(answer),
            key=lambda group: (group.figure.value is None, -(group.figure.value or 0)),
        )
        shown = groups[:MOST_BARS]
        said = [f"{group.label} {as_unit(group.figure.value, answer.unit)}" for group in shown[:3]]
        rest = f" {len(groups) - len(shown)} smaller ones are not drawn." if len(groups) > len(shown) else ""
        chart = Chart(
            kind="bars",
            key=_key(self.title),
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
            title=self.title,
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


# --- The way of the money -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """Opening to closing MRR of the period; each bar opens the movements it consists of."""

    title: str
    is_wide: bool = False

    def questions(self, selection: Selection) -> list[Question]:
        return [selection.question("mrr")]

    def shown(self, selection: Selection, known: Known) -> Card:
        (question,) = self.questions(selection)
        answer = known[question]

        def link(count: str) -> str:
            return selection.address(question, **({"part": count} if count else {}))

        chart = waterfall(answer, link, key=_key(self.title))
        if chart is None:
            why = f"No data: {reason_words(answer.figure.reason)}."
            chart = Chart(kind="waterfall", key=_key(self.title), summary=why, categories=(), series=())
        return Card(
            title=self.title,
            kind="chart",
            content=chart,
            answers=[answer],
            note=in_words(selection.period),
            is_wide=self.is_wide,
        )


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
class PerGroup:
    """Many KPIs side by side for each CSM, segment or plan."""

    title: str
    group_by: str
    corner: str
    picks: tuple[Pick, ...]
    is_wide: bool = True

    def questions(self, selection: Selection) -> list[Question]:
        return [pick.question(selection, group_by=self.group_by) for pick in self.picks]

    def shown(self, selection: Selection, known: Known) -> Card:
        answers = [known[question] for question in self.questions(selection)]
        by_key = [{group.key: group for group in answer.groups} for answer in answers]
        labels: dict[str, str] = {}
        for groups in by_key:
            labels |= {key: group.label for key, group in groups.items()}
        lines = [
            Line(
                label=labels[key],
                href=self._board_of(selection, key),
                cells=[
                    self._cell(selection, pick, answer, groups.get(key))
                    for pick, answer, groups in zip(self.picks, answers, by_key, strict=True)
                ],
            )
            for key in sorted(labels, key=lambda key: (not key, labels[key].casefold(), key))
        ]
        total = Line(
            label="Together",
            cells=[
                Cell(
                    label=pick.name,
                    value=answer.value,
                    unit=answer.unit,
                    href=selection.address(answer.question, group_by=self.group_by),
                    reason=answer.figure.reason,
                    is_small_sample=answer.figure.is_small_sample,
                )
                for pick, answer in zip(self.picks, answers, strict=True)
            ],
        )
        columns = [(slugify(pick.name), pick.name) for pick in self.picks]
        return Card(
            title=self.title,
            kind="table",
            content=Table(corner=self.corner, columns=columns, lines=lines, total=total),
            answers=answers,
            note=in_words(selection.period),
            is_wide=self.is_wide,
        )

    def _board_of(self, selection: Selection, key: str) -> str:
        """Return the board of the CSM a line is about."""
        if self.group_by != "csm" or not key:
            return ""
        return selection.dashboard_address("csm", csm=key)

    def _cell(self, selection: Selection, pick: Pick, answer: Answer, group: Group | None) -> Cell:
        if group is None:
            # Nothing of this group was counted: a sum of nothing is 0, a rate of nothing is none.
            variant = answer.variant
            return Cell(
                label=pick.name,
                value=None if variant.reason else Decimal(0),
                unit=answer.unit,
                href="",
                reason=variant.reason,
            )
        return Cell(
            label=pick.name,
            value=group.figure.value,
            unit=answer.unit,
            href=group_address(selection, answer, group),
            reason=group.figure.reason,
            is_small_sample=group.figure.is_small_sample,
        )
