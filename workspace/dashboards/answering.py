"""Working a dashboard out: all its questions at once, for a page, a file or a mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from csplatform.periods import Period
from metrics.kpis import Answer, Filters, ask_many
from metrics.models import Annotation
from workspace.annotations import happened_within
from workspace.dashboards.catalogue import DASHBOARDS
from workspace.dashboards.definition import Card, Dashboard, Known, Section, ShownTile
from workspace.dashboards.selection import Compare, Selection


@dataclass(frozen=True, kw_only=True)
class ShownSection:
    section: Section
    tiles: Sequence[ShownTile]
    cards: Sequence[Card]
    # What happened in the time that its courses show.
    happened: Sequence[Annotation] = ()

    @property
    def answers(self) -> list[tuple[str, Answer]]:
        """Every answer with the words it stands under."""
        found = [(tile.label, answer) for tile in self.tiles for answer in tile.answers]
        return found + [(card.title, answer) for card in self.cards for answer in card.answers]


@dataclass(frozen=True, kw_only=True)
class ShownDashboard:
    """A dashboard with its answers."""

    dashboard: Dashboard
    selection: Selection
    sections: Sequence[ShownSection]

    @property
    def tiles(self) -> list[ShownTile]:
        return [tile for section in self.sections for tile in section.tiles]


def answer_dashboard(
    slug: str,
    *,
    user: Any,
    period: Period,
    filters: Filters | None = None,
    compare: Compare = "previous",
    now: datetime | None = None,
) -> ShownDashboard:
    """Return a dashboard with every figure `user` may see, worked out now; raise KeyError for none."""
    selection = Selection(
        user=user,
        period=period,
        filters=filters or Filters(),
        compare=compare,
        now=now or timezone.now(),
    )
    dashboard = DASHBOARDS[slug]
    return answered(dashboard, selection, dashboard.sections)


def answered(dashboard: Dashboard, selection: Selection, sections: Sequence[Section]) -> ShownDashboard:
    """Return the sections with their answers; what several of them ask alike is asked once."""
    questions = list(
        dict.fromkeys(question for section in sections for question in section.questions(selection))
    )
    answers = dict(zip(questions, ask_many(questions), strict=True)) if questions else {}
    has_course = any(section.is_over_time for section in sections)
    known = Known(answers, happened_within(selection.course()) if has_course else ())
    return ShownDashboard(
        dashboard=dashboard,
        selection=selection,
        sections=[
            ShownSection(
                section=section,
                tiles=[tile.shown(selection, known) for tile in section.tiles],
                cards=[block.shown(selection, known) for block in section.blocks],
                happened=known.happened if section.is_over_time else (),
            )
            for section in sections
        ],
    )
