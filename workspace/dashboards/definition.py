"""What a dashboard is made of: sections of tiles and cards that name KPIs.

A block says which questions it needs and, once they are answered, what it shows. All questions
of a dashboard, or of one section, are asked together, so a block never asks the database itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Literal

from django.utils.text import slugify

from metrics.kpis import KPIS, Answer, Comparison, Kpi, Question
from metrics.models import Annotation
from workspace.charts import Tone
from workspace.dashboards.selection import Selection, in_words, months_up_to
from workspace.templatetags.show import day, day_short, is_money

DIRECTIONS = {"up": "up", "down": "down", "neutral": "neither"}


@dataclass(frozen=True)
class Known:
    """What a dashboard was told: the answers to its questions, and what happened meanwhile."""

    answers: Mapping[Question, Answer]
    happened: Sequence[Annotation] = ()

    def __getitem__(self, question: Question) -> Answer:
        return self.answers[question]


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A KPI picked for a place on a dashboard."""

    kpi: str
    variant: str = ""
    label: str = ""
    # Asked of so many months up to the end of the days in question, where one asks that of a year.
    months: int = 0

    @property
    def definition(self) -> Kpi:
        return KPIS[self.kpi]

    @property
    def name(self) -> str:
        return self.label or self.definition.label

    def question(self, selection: Selection, period: Any = None, *, group_by: str = "") -> Question:
        days = period or selection.period
        if self.months:
            days = months_up_to(days.end, self.months)
        return selection.question(self.kpi, days, variant=self.variant, group_by=group_by)

    def period_words(self, question: Question) -> str:
        if self.months:
            return f"{self.months} months"
        if self.definition.kind == "level":
            return f"at {day_short(question.period.last_day)}"
        return in_words(question.period)


# --- Tiles ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Tile(Pick):
    """One figure large, with how it moved and the course behind it."""

    tone: Tone = "accent"
    has_course: bool = True

    def questions(self, selection: Selection) -> list[Question]:
        periods = [selection.period, *([selection.before] if selection.before else [])]
        if self.has_course:
            periods += selection.course()
        return [self.question(selection, period) for period in periods]

    def shown(self, selection: Selection, known: Known) -> ShownTile:
        question = self.question(selection)
        before = self.question(selection, selection.before) if selection.before else None
        course = [self.question(selection, period) for period in selection.course()]
        return ShownTile(
            tile=self,
            answer=known[question],
            before=known[before] if before else None,
            course=[known[each] for each in course] if self.has_course else (),
            href=selection.address(question),
        )


@dataclass(frozen=True, kw_only=True)
class ShownTile:
    """A tile with its answers: what a page or a mail draws."""

    tile: Tile
    answer: Answer
    before: Answer | None
    course: Sequence[Answer]
    href: str

    @property
    def answers(self) -> list[Answer]:
        return [self.answer, *([self.before] if self.before else []), *self.course]

    @property
    def label(self) -> str:
        return self.tile.name

    @property
    def period(self) -> str:
        return self.tile.period_words(self.answer.question)

    @property
    def comparison(self) -> Comparison | None:
        if self.before is None:
            return None
        return Comparison(to="previous", answer=self.answer, earlier=self.before)

    @property
    def change(self) -> Decimal | None:
        return self.comparison.change if self.comparison else None

    @property
    def note(self) -> str:
        """Whether the change is more than chance would make it; empty where that is not defined."""
        found = self.comparison.significance if self.comparison else None
        if found is None or self.change is None:
            return ""
        return f"change {'' if found.is_significant else 'not '}significant"

    @property
    def than(self) -> str:
        if self.before is None:
            return ""
        words = self.tile.period_words(self.before.question)
        return (
            f"than {words} to {day(self.before.question.period.last_day)}"
            if self.tile.months
            else f"than {words}"
        )

    @property
    def better(self) -> str:
        return DIRECTIONS[self.answer.kpi.direction]

    @property
    def remark(self) -> str:
        """What the value calls for, such as a loss."""
        return self.answer.variant.remark_on(self.answer.value)

    @property
    def is_short(self) -> bool:
        return is_money(self.answer.unit)

    @property
    def sample_size(self) -> int | None:
        """How many stand behind what can be missing; a sum is no sample."""
        return self.answer.figure.sample_size if self.answer.variant.reason else None

    @property
    def sample_words(self) -> str:
        variant = self.answer.variant
        return (variant.sample or variant.denominator).replace("_", " ")

    @property
    def spark(self) -> list[Decimal | None]:
        shown = list(self.course)
        if shown and self.answer.kpi.kind == "flow" and shown[-1].question.period.end.day != 1:
            # What came in so far this month would look like a fall.
            shown.pop()
        return [answer.value for answer in shown]


# --- Cards ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Block(ABC):
    """A card to be: it names its questions, and makes the card of their answers."""

    title: str
    is_wide: bool = False
    # True where what happened on a day is drawn.
    is_over_time: ClassVar[bool] = False

    @property
    def key(self) -> str:
        return slugify(self.title)

    @abstractmethod
    def questions(self, selection: Selection) -> list[Question]:
        """Return what has to be asked for it."""

    @abstractmethod
    def shown(self, selection: Selection, known: Known) -> Card:
        """Return the card that the answers make."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a block shows: a chart, a heat map or a table, and every answer it came from."""

    block: Block
    kind: Literal["chart", "heatmap", "table", "movements"]
    content: Any
    answers: Sequence[Answer] = ()
    note: str = ""
    href: str = ""
    link: str = ""

    @property
    def title(self) -> str:
        return self.block.title

    @property
    def key(self) -> str:
        return self.block.key


@dataclass(frozen=True, kw_only=True)
class Section:
    """Tiles in a row, then cards beside each other; loaded by itself once the page stands."""

    key: str
    title: str = ""
    tiles: tuple[Tile, ...] = ()
    blocks: tuple[Block, ...] = ()

    @property
    def is_over_time(self) -> bool:
        return any(block.is_over_time for block in self.blocks)

    def questions(self, selection: Selection) -> list[Question]:
        found = [question for tile in self.tiles for question in tile.questions(selection)]
        return found + [question for block in self.blocks for question in block.questions(selection)]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    slug: str
    label: str
    intro: str
    sections: tuple[Section, ...]
    # True for the board of one CSM, who has to be chosen by anybody else.
    is_of_one_csm: bool = False

    def section(self, key: str) -> Section | None:
        return next((section for section in self.sections if section.key == key), None)
