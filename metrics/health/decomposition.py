"""Why a score is what it is, and why it moved: taken apart so that the parts add up exactly.

A score is the mean of its measures' points, weighted. It is short of 100 by what each measure
takes off; and between two days it moves because points moved, because signals went missing or
came back and others carry their weight, or because another version of the scorecard judges.
All parts are exact fractions, rounded together to hundredths so that their sum is the sum shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from csplatform.periods import day_of
from metrics.health.curves import BEST
from metrics.health.scorecards import Card, Measure
from metrics.health.signals import MINUS, number
from metrics.models import AccountHealth, Band, HealthScore

Scored = AccountHealth | HealthScore
State = Literal["used", "missing", "stale"]
Cause = Literal["measure", "signal_back", "signal_lost", "version"]

VERSION = "version"


@dataclass(frozen=True)
class Reading:
    """What one measure saw and what it gave. Raw figure in the signal's unit; points 0 to 100.

    `effect` is what the measure takes off a perfect 100, 0 or less; the effects of all measures
    and 100 make the score. It is 0 for measures that are not used.
    """

    measure: Measure
    state: State
    raw: Decimal | None
    points: Decimal | None
    weight: Decimal
    weight_used: Decimal
    observed_at: datetime | None
    effect: Decimal

    @property
    def key(self) -> str:
        return self.measure.key

    @property
    def label(self) -> str:
        return self.measure.signal.label

    @property
    def unit(self) -> str:
        return self.measure.signal.unit

    @property
    def shown(self) -> str:
        """The raw figure with its unit, empty when nothing is known."""
        return "" if self.raw is None else self.measure.signal.show(self.raw)

    def sentence(self, *, on: date) -> str:
        """Say it as of a day: "no contact for 47 days"."""
        signal = self.measure.signal
        if self.raw is None or self.observed_at is None:
            return f"{signal.label}: not known"
        age = max((on - day_of(self.observed_at)).days, 0)
        said = signal.say(self.raw, age_days=age)
        return f"{said} (too old to count)" if self.state == "stale" else said


@dataclass(frozen=True)
class Driver:
    """One cause of a change of score. `effect` in points of the score."""

    key: str
    label: str
    cause: Cause
    points_before: Decimal | None
    points_after: Decimal | None
    effect: Decimal
    words: str


@dataclass(frozen=True)
class Change:
    """From one stored state to the next. The drivers' effects add up to `change` exactly.

    `change` is None, and there are no drivers, when one of the two has no score.
    """

    before: Scored | None
    after: Scored
    change: Decimal | None
    drivers: list[Driver] = field(default_factory=list)

    def sentence(self, *, since: str = "", most: int = 3) -> str:
        """Say it in one line: "down 14 since Monday: licence use 62 % → 41 % (−9), last CSAT 2 (−5)"."""
        if self.after.score is None:
            return why_no_score(self.after)
        if self.before is None:
            return f"first score: {number(self.after.score, places=0)}"
        if self.change is None:
            return f"a score again: {number(self.after.score, places=0)}"
        moved = "unchanged" if not self.change else "down" if self.change < 0 else "up"
        amount = f" {number(abs(self.change), places=_places(self.change))}" if self.change else ""
        start = f"{moved}{amount}{f' {since}' if since else ''}"
        told = [d for d in self.drivers if abs(d.effect) >= Decimal("0.5")] or self.drivers
        told = sorted(told, key=lambda driver: -abs(driver.effect))[:most]
        if not told or not self.change:
            return start
        return f"{start}: {', '.join(f'{d.words} ({signed(d.effect)})' for d in told)}"


def signed(effect: Decimal) -> str:
    """Write an effect with its sign: +3, −9, −0.4."""
    text = number(abs(effect), places=_places(effect))
    return f"{MINUS if effect < 0 else '+'}{text}"


def _places(value: Decimal) -> int:
    return 0 if abs(value) >= 1 else 1 if abs(value) >= Decimal("0.1") else 2


# --- Taking a stored state apart ------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """A stored state by measure: figures in whole hundredths, seconds, states."""

    card: Card
    raws: dict[str, int]
    seconds: dict[str, int]
    points: dict[str, int]
    states: dict[str, State]


def take_apart(state: Scored, card: Card) -> Parts:
    raws: dict[str, int] = {}
    seconds: dict[str, int] = {}
    points: dict[str, int] = {}
    states: dict[str, State] = {}
    for measure, given, raw in zip(
        card.measures, state.points.split(","), state.raws.split(","), strict=True
    ):
        key = measure.key
        if raw:
            figure, second = raw.split("@")
            raws[key], seconds[key] = int(figure), int(second)
        if given == "m":
            states[key] = "missing"
        elif given == "s":
            states[key] = "stale"
        else:
            states[key], points[key] = "used", int(given)
    return Parts(card, raws, seconds, points, states)


def readings(state: Scored, card: Card) -> list[Reading]:
    """Return what each measure of a stored state saw and gave, in the scorecard's order."""
    parts = take_apart(state, card)
    used = sum(m.weight_hundredths for m in card.measures if m.key in parts.points)
    losses = {
        m.key: Fraction(-m.weight_hundredths * (BEST - parts.points[m.key]), used * 100)
        for m in card.measures
        if m.key in parts.points and used
    }
    effects: dict[str, Decimal] = {}
    if state.score is not None:
        effects = _round_together(losses, total=state.score - 100)
    found: list[Reading] = []
    for measure in card.measures:
        key = measure.key
        second = parts.seconds.get(key)
        is_used = key in parts.points
        found.append(
            Reading(
                measure=measure,
                state=parts.states[key],
                raw=_from_hundredths(parts.raws.get(key)),
                points=_from_hundredths(parts.points.get(key)),
                weight=measure.weight,
                weight_used=measure.weight if is_used else Decimal(0),
                observed_at=None if second is None else datetime.fromtimestamp(second, UTC),
                effect=effects.get(key, Decimal("0.00")),
            )
        )
    return found


def _from_hundredths(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value) / 100


def _round_together(exact: Mapping[str, Fraction], *, total: Decimal) -> dict[str, Decimal]:
    """Round to hundredths so that the sum is `total`: the largest remainders are rounded up.

    `total` is the exact sum rounded, so less than a hundredth per part is to be shared out.
    """
    floors = {key: (value * 100).__floor__() for key, value in exact.items()}
    left = int(total * 100) - sum(floors.values())
    by_remainder = sorted(exact, key=lambda key: (floors[key] - exact[key] * 100, key))
    # Parts that are nothing stay nothing, unless nothing else is left to carry the rest.
    carriers = [key for key in by_remainder if exact[key]] or by_remainder
    at = 0
    while left and carriers:
        step = 1 if left > 0 else -1
        key = carriers[at % len(carriers)] if step > 0 else carriers[-1 - at % len(carriers)]
        floors[key] += step
        left -= step
        at += 1
    return {key: Decimal(value) / 100 for key, value in floors.items()}


# --- From one state to another --------------------------------------------------------


def explain_change(before: Scored | None, after: Scored, cards: Mapping[int, Card], *, on: date) -> Change:
    """Take the change between two stored states apart; `on` is the day to say ages as of."""
    card_before = cards.get(before.version_id or 0) if before is not None else None
    card_after = cards.get(after.version_id or 0)
    if (
        before is None
        or card_before is None
        or card_after is None
        or before.score is None
        or after.score is None
    ):
        return Change(before, after, None)
    change = after.score - before.score
    old, new = take_apart(before, card_before), take_apart(after, card_after)
    start = _mean(old.points, card_before)
    exact: dict[tuple[str, Cause], Fraction] = {}
    if card_before.version_id != card_after.version_id:
        rejudged = _rejudge(old, new)
        exact[VERSION, "version"] = _mean(rejudged.points, card_after) - start
        old = rejudged
    exact.update(_effects(old, new))
    exact = {cause: effect for cause, effect in exact.items() if effect}
    rounded = _round_together({f"{key} {cause}": e for (key, cause), e in exact.items()}, total=change)
    drivers = [
        _driver(key, cause, rounded[f"{key} {cause}"], old, new, before=card_before, after=card_after, on=on)
        for key, cause in exact
    ]
    drivers.sort(key=lambda driver: (-abs(driver.effect), driver.key))
    return Change(before, after, change, drivers)


def _mean(points: Mapping[str, int], card: Card) -> Fraction:
    """The score before rounding, in points; of no used measure at all, 0."""
    weights = {m.key: m.weight_hundredths for m in card.measures if m.key in points}
    whole = sum(weights.values())
    if not whole:
        return Fraction(0)
    return Fraction(sum(weights[key] * points[key] for key in weights), whole * 100)


def _rejudge(old: Parts, new: Parts) -> Parts:
    """The old figures as the new version would have judged them.

    Signals that only the new version reads enter with their new figures: they did not move,
    nobody had looked.
    """
    card = new.card
    points: dict[str, int] = {}
    raws: dict[str, int] = {}
    states: dict[str, State] = {}
    for measure in card.measures:
        key = measure.key
        source = old if key in old.states else new
        states[key] = source.states[key]
        if key in source.raws:
            raws[key] = source.raws[key]
        if states[key] == "used":
            points[key] = measure.curve.at(raws[key])
    return Parts(card, raws, {**new.seconds, **old.seconds}, points, states)


def _effects(old: Parts, new: Parts) -> dict[tuple[str, Cause], Fraction]:
    """Effects between two states judged by one version.

    In three steps, each of them linear, so that they add up: signals lost give their weight to
    those that stay; points of those that stay move; signals that came back take their weight.
    """
    card = new.card
    stay = old.points.keys() & new.points.keys()
    weight = {m.key: m.weight_hundredths for m in card.measures}
    middle_before = _mean({key: old.points[key] for key in stay}, card)
    middle_after = _mean({key: new.points[key] for key in stay}, card)
    found: dict[tuple[str, Cause], Fraction] = {}

    all_old = sum(weight[key] for key in old.points)
    for key in old.points.keys() - stay:
        if all_old:
            share = Fraction(weight[key], all_old)
            found[key, "signal_lost"] = share * (middle_before - Fraction(old.points[key], 100))
    all_stay = sum(weight[key] for key in stay)
    for key in stay:
        if all_stay:
            moved = Fraction(new.points[key] - old.points[key], 100)
            found[key, "measure"] = Fraction(weight[key], all_stay) * moved
    all_new = sum(weight[key] for key in new.points)
    for key in new.points.keys() - stay:
        if all_new:
            share = Fraction(weight[key], all_new)
            found[key, "signal_back"] = share * (Fraction(new.points[key], 100) - middle_after)
    return found


def _driver(
    key: str,
    cause: Cause,
    effect: Decimal,
    old: Parts,
    new: Parts,
    *,
    before: Card,
    after: Card,
    on: date,
) -> Driver:
    if cause == "version":
        words = (
            f"scorecard {after.name} v{before.number} → v{after.number}"
            if before.name == after.name
            else f"scorecard {before.name} → {after.name}"
        )
        return Driver(VERSION, "Scorecard", cause, None, None, effect, words)
    measure = after.measures[after.position[key]]
    signal = measure.signal
    was, now = _from_hundredths(old.raws.get(key)), _from_hundredths(new.raws.get(key))
    if cause == "signal_lost":
        words = f"{signal.label} {'too old to count' if new.states[key] == 'stale' else 'no longer known'}"
    elif now is None:
        words = signal.label
    elif signal.is_answer:
        words = f"{signal.in_words} {signal.show(now)}"
    elif cause == "signal_back" or was is None:
        age = max((on - day_of(datetime.fromtimestamp(new.seconds[key], UTC))).days, 0)
        words = signal.say(now, age_days=age)
    else:
        words = signal.say_change(was, now)
    return Driver(
        key,
        signal.label,
        cause,
        _from_hundredths(old.points.get(key)),
        _from_hundredths(new.points.get(key)),
        effect,
        words,
    )


def why_no_score(state: Scored) -> str:
    if state.band == Band.NOT_SCORED:
        return "not scored"
    used, all_of_them = signals_used(state)
    return f"not enough data: {used} of {all_of_them} signals"


def signals_used(state: Scored) -> tuple[int, int]:
    """Return how many measures had a usable signal, and how many there are."""
    given = state.points.split(",") if state.points else []
    return sum(points not in ("m", "s") for points in given), len(given)
