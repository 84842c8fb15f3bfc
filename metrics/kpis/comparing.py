"""One number beside an earlier one: how far it moved, and whether chance alone would explain that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from csplatform.periods import Period, PeriodError
from metrics.calculations import Significance, exact_text, significance_of
from metrics.kpis.asking import Answer, Question, ask_many
from metrics.kpis.definition import KpiError
from metrics.kpis.figures import Figure

# What a period can be compared with, and how that is called.
EARLIER: Mapping[str, str] = {"previous": "the period before", "year": "the year before"}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An answer beside the one to the same question about an earlier period."""

    to: str
    answer: Answer
    earlier: Answer

    @property
    def change(self) -> Decimal | None:
        """How far the value moved, in its own unit; None when either is missing."""
        now, before = self.answer, self.earlier
        # Amounts in two currencies, or scores on two scales, cannot be taken from each other.
        if now.value is None or before.value is None or now.unit != before.unit:
            return None
        if now.figure.scale != before.figure.scale:
            return None
        return now.value - before.value

    @property
    def significance(self) -> Significance | None:
        return significance(self.answer.figure, self.earlier.figure)

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as the API sends it, with the comparison in it."""
        now, before, found = self.answer.as_dict(), self.earlier.as_dict(), self.significance
        shown = ("period", "value", "numerator", "denominator", "sample_size", "reason")
        return now | {
            "comparison": {
                "to": self.to,
                **{name: before[name] for name in shown},
                "change": exact_text(self.change, at_least=self.answer.kpi.places(self.answer.variant)),
                "significance": found
                and {"z": exact_text(found.z), "level": "0.95", "significant": found.is_significant},
            }
        }


def earlier_period(period: Period, to: str) -> Period:
    """Return the period before, of as many months or days, or the same days of the year before.

    Raises KpiError when the calendar does not reach that far back.
    """
    if to not in EARLIER:
        raise KpiError("compare", f"Compare with {' or '.join(EARLIER)}, not with {to!r}.")
    try:
        return period.previous() if to == "previous" else period.year_before()
    except (PeriodError, ValueError, OverflowError):
        raise KpiError("compare", f"There is nothing to compare with before {period.start}.") from None


def earlier_question(question: Question, to: str) -> Question:
    """Return the same question, without groups, about the earlier period `to` names."""
    return replace(question, period=earlier_period(question.period, to), group_by="")


def compare(question: Question, to: str) -> Comparison:
    """Return the answer beside that of the period before ("previous") or the year before ("year")."""
    answer, earlier = ask_many([question, earlier_question(question, to)])
    return Comparison(to=to, answer=answer, earlier=earlier)


def significance(now: Figure, before: Figure) -> Significance | None:
    """Return whether two figures of one KPI differ by more than chance would make them differ.

    None where that is not defined: for anything but scores and shares of answers, without data, and
    for scores on two different scales.
    """
    if now.scale != before.scale:
        return None
    return significance_of(now.estimate, before.estimate)
