"""A dashboard as a table: every figure with the days it speaks of and the counts behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metrics.kpis import Answer, Figure
from workspace.dashboards.answering import ShownDashboard

HEAD = [
    "section",
    "shown as",
    "kpi",
    "variant",
    "group by",
    "group",
    "first day",
    "last day",
    "value",
    "unit",
    "numerator",
    "denominator",
    "sample size",
    "interval low",
    "interval high",
    "small sample",
    "reason for no value",
    "target",
]


def lines(shown: ShownDashboard) -> Iterator[list[Any]]:
    """Return a line for each figure on the dashboard, and one for each group of those in groups."""
    for section in shown.sections:
        seen = set()
        for words, answer in section.answers:
            if (words, answer.question) in seen:
                continue
            seen.add((words, answer.question))
            title = section.section.title or shown.dashboard.label
            yield _line(title, words, answer, answer.figure)
            for group in answer.groups:
                yield _line(title, words, answer, group.figure, group.label)


def _line(section: str, words: str, answer: Answer, figure: Figure, group: str = "") -> list[Any]:
    question, interval = answer.question, figure.interval
    return [
        section,
        words,
        answer.kpi.slug,
        answer.variant.slug,
        question.group_by if group else "",
        group,
        question.period.start,
        question.period.last_day,
        figure.value,
        answer.unit,
        figure.numerator,
        figure.denominator,
        figure.sample_size,
        interval.low if interval else None,
        interval.high if interval else None,
        figure.is_small_sample,
        figure.reason,
        answer.target,
    ]
