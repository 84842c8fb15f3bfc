"""Small line drawings for beside a number, made on the server as SVG. No Django, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

WIDTH, HEIGHT, MARGIN = 240, 48, 3


def line_points(values: Sequence[float | Decimal | None]) -> list[list[tuple[float, float]]]:
    """Return the strokes of a sparkline: runs of (x, y) in a box of 240 by 48, y growing downwards.

    A missing value breaks the line, so it can't be mistaken for a zero. All values equal gives a line
    through the middle. Fewer than two values give no stroke at all.

    >>> line_points([1, 3, 2])
    [[(0.0, 45.0), (120.0, 3.0), (240.0, 24.0)]]
    >>> line_points([1, None, 2, 2])
    [[(0.0, 45.0)], [(160.0, 3.0), (240.0, 3.0)]]
    """
    known = [float(value) for value in values if value is not None]
    if len(values) < 2 or not known:
        return []
    low, high = min(known), max(known)
    step = WIDTH / (len(values) - 1)
    strokes: list[list[tuple[float, float]]] = []
    last_missing = True
    for place, value in enumerate(values):
        if value is None:
            last_missing = True
            continue
        share = 0.5 if high == low else (float(value) - low) / (high - low)
        point = (round(place * step, 1), round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), 1))
        if last_missing:
            strokes.append([])
        strokes[-1].append(point)
        last_missing = False
    return strokes


def line_path(points: Sequence[tuple[float, float]]) -> str:
    """Return the SVG path of one stroke; a lone point becomes a dot-sized dash."""
    if len(points) == 1:
        x, y = points[0]
        return f"M{max(x - 1, 0)} {y}L{min(x + 1, WIDTH)} {y}"
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def area_path(points: Sequence[tuple[float, float]]) -> str:
    """Return the SVG path of what lies under one stroke."""
    if len(points) < 2:
        return ""
    return f"{line_path(points)}L{points[-1][0]} {HEIGHT}L{points[0][0]} {HEIGHT}Z"
