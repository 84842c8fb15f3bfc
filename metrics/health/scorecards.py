"""Scorecards: which measures count how much, for whom, and each version they ever had.

A version is read from its row with `read`, checked with `check`, and made with `save_version`.
Nothing changes a version afterwards; the database refuses it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import pairwise
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max

from metrics.health.curves import Curve
from metrics.health.signals import SIGNALS, Signal
from metrics.models import Scorecard, ScorecardVersion
from team.models import User

HUNDRED = Decimal(100)
HEAVIEST = Decimal(1_000_000)
FARTHEST = Decimal(1_000_000_000)
MOST_MEASURES = 50


class StaleVersion(ValidationError):
    """Somebody else saved a version since the one this change was made from."""


@dataclass(frozen=True)
class Measure:
    """One ingredient of a score: a signal, its weight, and how many points its figures are worth."""

    signal: Signal
    weight: Decimal
    curve: Curve
    shelf_days: int | None

    @property
    def key(self) -> str:
        return self.signal.key

    @property
    def weight_hundredths(self) -> int:
        return int(self.weight * 100)

    def as_json(self) -> dict[str, Any]:
        return {
            "signal": self.key,
            "weight": str(self.weight),
            "curve": [
                [str(Decimal(raw) / 100), str(Decimal(points) / 100)] for raw, points in self.curve.points
            ],
            "shelf_days": self.shelf_days,
        }


@dataclass(frozen=True)
class Card:
    """A version, read: what the pass and the explanations work with. Weights and bands in hundredths."""

    version_id: int
    number: int
    name: str
    measures: tuple[Measure, ...]
    yellow_from: int
    green_from: int
    min_coverage: int
    segments: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    @cached_property
    def weight(self) -> int:
        return sum(measure.weight_hundredths for measure in self.measures)

    @cached_property
    def position(self) -> dict[str, int]:
        return {measure.key: at for at, measure in enumerate(self.measures)}


def read(version: ScorecardVersion) -> Card:
    """Read a version; its scorecard's name and rule come with it."""
    scorecard = version.scorecard
    return Card(
        version_id=version.pk,
        number=version.number,
        name=scorecard.name,
        measures=tuple(_measure(row) for row in version.measures),
        yellow_from=int(version.yellow_from * 100),
        green_from=int(version.green_from * 100),
        min_coverage=int(version.min_coverage * 100),
        segments=tuple(scorecard.segments),
        plans=tuple(scorecard.plans),
        stages=tuple(scorecard.stages),
    )


def _measure(row: Mapping[str, Any]) -> Measure:
    return Measure(
        signal=SIGNALS[row["signal"]],
        weight=Decimal(row["weight"]),
        curve=Curve(tuple((_hundredths(raw), _hundredths(points)) for raw, points in row["curve"])),
        shelf_days=row["shelf_days"],
    )


def _hundredths(value: Any) -> int:
    return int(Decimal(str(value)) * 100)


def current_cards() -> list[Card]:
    """Return the newest version of each active scorecard, in the order in which they are tried."""
    newest = (
        Scorecard.objects.filter(is_active=True)
        .annotate(newest=Max("versions__number"))
        .filter(newest__isnull=False)
        .values_list("pk", "newest")
    )
    wanted = dict(newest)
    versions = ScorecardVersion.objects.filter(scorecard__in=wanted).select_related("scorecard")
    found = [version for version in versions if version.number == wanted[version.scorecard_id]]
    found.sort(key=lambda version: (version.scorecard.order, version.scorecard_id))
    return [read(version) for version in found]


def cards_by_id(version_ids: Iterable[int]) -> dict[int, Card]:
    versions = ScorecardVersion.objects.filter(pk__in=set(version_ids)).select_related("scorecard")
    return {version.pk: read(version) for version in versions}


# --- Making a version -----------------------------------------------------------------


def suggested(key: str, weight: str) -> dict[str, Any]:
    """Return a measure with the curve and the shelf life its signal suggests."""
    signal = SIGNALS[key]
    return {
        "signal": key,
        "weight": weight,
        "curve": [[raw, str(points)] for raw, points in signal.curve],
        "shelf_days": signal.shelf_days,
    }


def check(
    measures: Any,
    *,
    yellow_from: Any = 50,
    green_from: Any = 75,
    min_coverage: Any = 50,
) -> list[dict[str, Any]]:
    """Return the measures as they will be stored; raises ValidationError naming each fault.

    Errors are keyed by `measures`, `yellow_from`, `green_from` and `min_coverage`; those of one
    measure begin with its signal.
    """
    errors: dict[str, list[str]] = {}
    stored: list[dict[str, Any]] = []
    if not isinstance(measures, list) or not 1 <= len(measures) <= MOST_MEASURES:
        errors["measures"] = [f"A list of 1 to {MOST_MEASURES} measures is needed."]
    else:
        faults: list[str] = []
        for row in measures:
            try:
                stored.append(_checked_measure(row))
            except ValidationError as error:
                faults += error.messages
        keys = [row["signal"] for row in stored]
        faults += [f"{key}: a signal counts once." for key in sorted(set(keys)) if keys.count(key) > 1]
        if not faults and not any(Decimal(row["weight"]) for row in stored):
            faults.append("At least one weight must be above 0.")
        if faults:
            errors["measures"] = faults
    limits: dict[str, Decimal] = {}
    for name, value in (
        ("yellow_from", yellow_from),
        ("green_from", green_from),
        ("min_coverage", min_coverage),
    ):
        try:
            limits[name] = _number(value, low=Decimal(0), high=HUNDRED)
        except ValidationError as error:
            errors[name] = error.messages
    if {"yellow_from", "green_from"} <= limits.keys() and limits["yellow_from"] >= limits["green_from"]:
        errors["green_from"] = ["Green must begin above yellow."]
    if errors:
        raise ValidationError(errors)
    return stored


def _checked_measure(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping) or row.get("signal") not in SIGNALS:
        named = row.get("signal") if isinstance(row, Mapping) else row
        raise ValidationError(f"{named!r} is no signal we know.")
    signal = SIGNALS[row["signal"]]
    try:
        weight = _number(row.get("weight"), low=Decimal(0), high=HEAVIEST)
        curve = _checked_curve(row.get("curve"), signal)
        shelf_days = row.get("shelf_days")
        if shelf_days is not None and (
            isinstance(shelf_days, bool) or not isinstance(shelf_days, int) or not 1 <= shelf_days <= 3650
        ):
            raise ValidationError(
                "the shelf life is 1 to 3650 days, or empty for a signal that does not age."
            )
    except ValidationError as error:
        raise ValidationError([f"{signal.label}: {message}" for message in error.messages]) from error
    return Measure(signal, weight, curve, shelf_days).as_json()


def _checked_curve(points: Any, signal: Signal) -> Curve:
    if not isinstance(points, Sequence) or isinstance(points, str) or not 2 <= len(points) <= 20:
        raise ValidationError("a curve has 2 to 20 points.")
    read_points: list[tuple[int, int]] = []
    for point in points:
        if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
            raise ValidationError("each point of a curve is a pair: figure and points.")
        raw = _number(point[0], low=-FARTHEST, high=FARTHEST)
        read_points.append((int(raw * 100), int(_number(point[1], low=Decimal(0), high=HUNDRED) * 100)))
    if any(after[0] <= before[0] for before, after in pairwise(read_points)):
        raise ValidationError("the figures of a curve rise from point to point.")
    curve = Curve(tuple(read_points))
    if curve.best == 0:
        raise ValidationError("a curve that gives no points at all measures nothing.")
    if signal.higher_is_better is True and not curve.is_rising:
        raise ValidationError("more is better here, so the points must not fall.")
    if signal.higher_is_better is False and not curve.is_falling:
        raise ValidationError("less is better here, so the points must not rise.")
    return curve


def _number(value: Any, *, low: Decimal, high: Decimal) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValidationError(f"{value!r} is not a number.")
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ValidationError(f"{value!r} is not a number.") from error
    if not number.is_finite() or not low <= number <= high:
        raise ValidationError(f"{value} is not within {low} to {high}.")
    if number != number.quantize(Decimal("0.01")):
        raise ValidationError(f"{value} has more than two decimals.")
    return number


@transaction.atomic
def save_version(
    scorecard: Scorecard,
    *,
    measures: Any,
    reason: str,
    by: User | None,
    based_on: int,
    yellow_from: Any = 50,
    green_from: Any = 75,
    min_coverage: Any = 50,
) -> ScorecardVersion:
    """Store the next version of a scorecard.

    `based_on` is the number of the version it was made from, 0 for the first: if a newer one is
    there by now, StaleVersion is raised and nothing is stored.
    """
    stored = check(measures, yellow_from=yellow_from, green_from=green_from, min_coverage=min_coverage)
    if not reason.strip():
        raise ValidationError({"reason": ["Say why, for those who ask later."]})
    newest = scorecard.versions.aggregate(newest=Max("number"))["newest"] or 0
    if newest != based_on:
        raise StaleVersion(f"Version {newest} was saved meanwhile; yours was made from version {based_on}.")
    try:
        with transaction.atomic():
            return ScorecardVersion.objects.create(
                scorecard=scorecard,
                number=based_on + 1,
                measures=stored,
                yellow_from=Decimal(str(yellow_from)),
                green_from=Decimal(str(green_from)),
                min_coverage=Decimal(str(min_coverage)),
                made_by=by,
                reason=reason.strip(),
            )
    except IntegrityError as error:
        raise StaleVersion(f"Version {based_on + 1} was saved at the same moment.") from error


# --- The scorecard to begin with ------------------------------------------------------

DEFAULT_NAME = "Standard"
DEFAULT_WEIGHTS = {
    "license_utilization": "20",
    "active_user_trend": "15",
    "adoption_breadth": "10",
    "last_nps": "15",
    "last_csat": "10",
    "open_urgent_tickets": "10",
    "mrr_trend": "10",
    "days_since_touch": "10",
}


@transaction.atomic
def install_default() -> None:
    """Make the scorecard every installation begins with, unless there is any already."""
    if Scorecard.objects.exists():
        return
    scorecard = Scorecard.objects.create(name=DEFAULT_NAME)
    save_version(
        scorecard,
        measures=[suggested(key, weight) for key, weight in DEFAULT_WEIGHTS.items()],
        reason="To begin with: use of the product counts most, then what customers say.",
        by=None,
        based_on=0,
    )
