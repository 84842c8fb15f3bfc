"""Checks the stored figures against the facts; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import F
from django.utils import timezone

from accounts import changes
from metrics.calculations import exact_text
from metrics.kpis import KPIS, Answer, Question, ask_stored
from metrics.kpis.asking import count_many
from metrics.models import KpiRollUp

BATCH = 20


def differences() -> Iterator[str]:
    """Yield a sentence for each stored figure that counting the facts does not give.

    What facts overtook, or overtake while we look, is left out: nobody is told it as right.
    """
    for table in changes.missing():
        yield f"Changes of {table} are not logged; `manage.py migrate` makes the triggers anew."
    rows = KpiRollUp.objects.filter(stored=F("generation"), stored__gt=0).order_by("pk")
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        last = batch[-1].pk
        yield from _of_batch(batch)


def _of_batch(batch: Sequence[KpiRollUp]) -> Iterator[str]:
    now = timezone.now()
    questions = [
        Question(row.kpi, row.period, variant=row.variant, group_by=row.group_by, now=now)
        for row in batch
        if row.kpi in KPIS and row.variant in {variant.slug for variant in KPIS[row.kpi].variants}
    ]
    before = ask_stored(questions)
    counted = count_many(questions)
    after = ask_stored(questions)
    for stored, right, still in zip(before, counted, after, strict=True):
        if stored is None or still is None or still.computed_at != stored.computed_at:
            continue
        if stored.figure != right.figure:
            yield _said(stored, exact_text(stored.value), exact_text(right.value))
        elif stored.groups != right.groups:
            yield _said(stored, *_first_other_group(stored, right))


def _first_other_group(stored: Answer, right: Answer) -> tuple[str, str]:
    """Return the first group that differs, as it is stored and as the facts say."""
    kept = {group.key: group for group in stored.groups}
    true = {group.key: group for group in right.groups}
    key = next(key for key in sorted({*kept, *true}) if kept.get(key) != true.get(key))

    def words(group: object) -> str:
        figure = getattr(group, "figure", None)
        return (
            f"{exact_text(figure.value) or 'no data'} for {key or 'none'}"
            if figure
            else f"no {key or 'none'}"
        )

    return words(kept.get(key)), words(true.get(key))


def _said(answer: Answer, stored: str | None, right: str | None) -> str:
    question = answer.question
    variant = f" ({answer.variant.slug})" if answer.variant.slug else ""
    grouped = f" by {question.group_by}" if question.group_by else ""
    return (
        f"{question.slug}{variant}{grouped}, {question.period.start} to {question.period.last_day}: "
        f"stored is {stored or 'no data'}, the facts say {right or 'no data'}, or another count of theirs."
    )
