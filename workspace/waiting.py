"""How many have not got there yet, day by day: the survival curve of a KPI as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from metrics.kpis import STEPS, Answer, spreads
from metrics.survival import Point, share_waiting_at
from workspace.charts import Chart, Series
from workspace.templatetags.show import as_unit

MOST_CURVES = 5
MOST_PLACES = 60


def waiting_chart(answer: Answer) -> Chart | None:
    """Return the share that is still waiting after so many days, of the whole or of the largest groups.

    None for KPIs about something else, and while nobody got anywhere.
    """
    curve_of = answer.variant.survival
    if curve_of is None or answer.figure.numerator in (None, 0):
        return None
    found = {key: curve_of(spread) for key, spread in spreads(answer.question).items() if spread}
    is_grouped = bool(answer.question.group_by) and answer.question.group_by not in STEPS
    labels = {group.key: group.label for group in answer.groups} if is_grouped else {"": "Not there yet"}
    curves = [(labels.get(key, key), points) for key, points in found.items() if points]
    curves.sort(key=lambda curve: -curve[1][0].at_risk)
    curves = curves[:MOST_CURVES]
    if not curves:
        return None
    days = _days(max(points[-1].value for _, points in curves))
    series = []
    for label, points in curves:
        low, high = ([], []) if is_grouped else (_bounds(points, days, "low"), _bounds(points, days, "high"))
        values = [100 * share_waiting_at(points, day) for day in days]
        series.append(Series(name=label, values=values, low=low, high=high))
    figure = answer.figure
    half = "fewer than half" if figure.value is None else f"half of all after {as_unit(figure.value, 'days')}"
    summary = f"{figure.numerator} of {figure.denominator} are there so far, {half}."
    return Chart(
        kind="line",
        key=f"waiting-{answer.kpi.slug}",
        summary=summary,
        categories=[str(day) for day in days],
        series=series,
        unit="percent",
        from_zero=True,
        target=50,
        target_label="half",
        category_label="Days since the start",
        size="medium",
    )


def _days(last: Decimal) -> list[int]:
    """Return days from 0 to the last point, evenly apart and not too many to draw."""
    end = max(int(last), 1)
    apart = -(-end // MOST_PLACES)
    return [*range(0, end, apart), end]


def _bounds(points: Sequence[Point], days: Sequence[int], name: str) -> list[Decimal | None]:
    """Return one end of the curve's 95 % interval, in per cent; none before the first point."""
    bounds: list[Decimal | None] = []
    for day in days:
        last = next((point for point in reversed(points) if point.value <= day), None)
        bound: Decimal | None = getattr(last, name) if last else None
        bounds.append(None if bound is None else 100 * bound)
    return bounds
