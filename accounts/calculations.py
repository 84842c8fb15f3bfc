"""Arithmetic of recurring revenue: no database, no clock.

From the lines of one account to its movements. Source of every rule: the definitions of
recurring revenue in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import NamedTuple

ZERO = Decimal(0)
MICRO = Decimal("0.000001")
DAY = timedelta(days=1)

# How many of these intervals make a month, as (numerator, denominator).
PER_MONTH = {
    "day": (365, 12),
    "week": (52, 12),
    "month": (1, 1),
    "quarter": (1, 3),
    "half_year": (1, 6),
    "year": (1, 12),
}


def monthly_amount(
    *,
    quantity: Decimal,
    unit_price: Decimal,
    interval: str = "month",
    interval_count: int = 1,
    discount_percent: Decimal = ZERO,
    discount_amount: Decimal = ZERO,
) -> Decimal:
    """Return what a line brings in a month.

    Formula: quantity × (unit price × (1 − discount %) − discount amount), × 365 ÷ 12 for a day,
             × 52 ÷ 12 for a week, ÷ 3 for a quarter, ÷ 6 for half a year, ÷ 12 for a year,
             ÷ the number of intervals
    Unit:    money a month, six decimals; never below zero

    >>> monthly_amount(quantity=Decimal(1), unit_price=Decimal(25), interval="week")
    Decimal('108.333333')
    """
    price = unit_price * (100 - discount_percent) / 100 - discount_amount
    times, over = PER_MONTH[interval]
    amount = max(quantity * price, ZERO) * times / (over * interval_count)
    return amount.quantize(MICRO, ROUND_HALF_EVEN)


class Terms(NamedTuple):
    """What a line costs from `effective_on` on. Of two for the same day the later in the list holds."""

    effective_on: date
    plan: str = ""
    product: str = ""
    level: int = 0
    quantity: Decimal = Decimal(1)
    unit_price: Decimal = ZERO
    currency: str = "EUR"
    interval: str = "month"
    interval_count: int = 1
    discount_percent: Decimal = ZERO
    discount_amount: Decimal = ZERO
    discount_ends_on: date | None = None
    is_paused: bool = False


@dataclass(frozen=True)
class Line:
    """A recurring line of a contract; `ends_on` is its last day in force."""

    id: int
    starts_on: date
    ends_on: date | None
    terms: Sequence[Terms]
    is_addon: bool = False


class State(NamedTuple):
    """What one line is on one day."""

    line: int
    is_addon: bool
    plan: str
    product: str
    level: int
    quantity: Decimal
    currency: str
    mrr: Decimal
    list_mrr: Decimal
    paused_mrr: Decimal


class Move(NamedTuple):
    """One change of an account's MRR on one day, in one currency."""

    effective_on: date
    currency: str
    kind: str
    sub_kind: str
    delta: Decimal
    customers: int
    line: int | None


@dataclass(frozen=True)
class History:
    """What an account's lines add up to: its movements, and its main plan with the days it began."""

    moves: list[Move] = field(default_factory=list)
    plans: list[tuple[date, str]] = field(default_factory=list)


def state_of(line: Line, day: date) -> State | None:
    """Return what `line` is on `day`, None when it is not in force."""
    if day < line.starts_on or (line.ends_on is not None and day > line.ends_on):
        return None
    terms = None
    for candidate in line.terms:
        if candidate.effective_on <= day and (terms is None or candidate.effective_on >= terms.effective_on):
            terms = candidate
    if terms is None:
        # Terms recorded for a later day only: the first ones reach back to the start.
        if not line.terms:
            return None
        first = min(candidate.effective_on for candidate in line.terms)
        terms = [candidate for candidate in line.terms if candidate.effective_on == first][-1]
    per_month = partial(
        monthly_amount,
        quantity=terms.quantity,
        unit_price=terms.unit_price,
        interval=terms.interval,
        interval_count=terms.interval_count,
    )
    list_mrr = mrr = per_month()
    is_discounted = terms.discount_ends_on is None or day <= terms.discount_ends_on
    if is_discounted and (terms.discount_percent or terms.discount_amount):
        mrr = per_month(discount_percent=terms.discount_percent, discount_amount=terms.discount_amount)
    return State(
        line=line.id,
        is_addon=line.is_addon,
        plan=terms.plan,
        product=terms.product,
        level=terms.level,
        quantity=terms.quantity,
        currency=terms.currency,
        mrr=ZERO if terms.is_paused else mrr,
        list_mrr=ZERO if terms.is_paused else list_mrr,
        paused_mrr=mrr if terms.is_paused else ZERO,
    )


def _turning_days(lines: Iterable[Line], by_hand: tuple[date, date | None] | None) -> list[date]:
    days: set[date] = set()
    for line in lines:
        days.add(line.starts_on)
        if line.ends_on is not None:
            days.add(line.ends_on + DAY)
        for terms in line.terms:
            for day in (terms.effective_on, terms.discount_ends_on and terms.discount_ends_on + DAY):
                if day and line.starts_on <= day and (line.ends_on is None or day <= line.ends_on):
                    days.add(day)
    if by_hand:
        days.add(by_hand[0])
        if by_hand[1]:
            days.add(by_hand[1] + DAY)
    return sorted(days)


def _by_currency(states: Iterable[State]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for state in states:
        totals[state.currency] = totals.get(state.currency, ZERO) + state.mrr
    return totals


def _groups(states: Iterable[State]) -> dict[tuple[bool, str], list[State]]:
    """Put what a customer sees as one thing together: the lines of a product, and its extras apart."""
    found: dict[tuple[bool, str], list[State]] = {}
    for state in states:
        found.setdefault((state.is_addon, state.product), []).append(state)
    return found


def _sub_kind(before: list[State], after: list[State], *, is_up: bool, holds: set[str]) -> str:
    """Say what kind of expansion or contraction it is that turned `before` into `after`."""
    first = (after or before)[0]
    if first.is_addon:
        return "addon" if is_up else "addon_removed"
    if sum(s.paused_mrr for s in after) > sum(s.paused_mrr for s in before) and not is_up:
        return "pause"
    if sum(s.paused_mrr for s in before) > sum(s.paused_mrr for s in after) and is_up:
        return "resume"
    if not before:
        return "upsell" if first.product in holds else "cross_sell"
    if not after:
        return "downsell"
    quantity = sum(s.quantity for s in after) - sum(s.quantity for s in before)
    level = max(s.level for s in after) - max(s.level for s in before)
    list_change = sum(s.list_mrr for s in after) - sum(s.list_mrr for s in before)
    if is_up:
        if quantity > 0 or level > 0:
            return "upsell"
        return "price_increase" if list_change > 0 else "discount_end"
    if quantity < 0 or level < 0:
        return "downsell"
    return "price_decrease" if list_change < 0 else "discount_start"


def _largest_change(
    before: list[State], after: list[State], currency: str, *, is_up: bool
) -> tuple[str, int | None]:
    """Return the sub-kind and the line of the group that moved most the way the account moved."""
    groups_before = _groups(s for s in before if s.currency == currency)
    groups_after = _groups(s for s in after if s.currency == currency)
    best: tuple[Decimal, str, int | None] | None = None
    holds = {s.product for s in before}
    for key in sorted(groups_before.keys() | groups_after.keys()):
        old, new = groups_before.get(key, []), groups_after.get(key, [])
        change = sum((s.mrr for s in new), ZERO) - sum((s.mrr for s in old), ZERO)
        size = change if is_up else -change
        if size > 0 and (best is None or size > best[0]):
            amounts = {s.line: -s.mrr for s in old}
            for s in new:
                amounts[s.line] = amounts.get(s.line, ZERO) + s.mrr
            line = max(amounts, key=lambda pk: (amounts[pk] if is_up else -amounts[pk], -pk))
            best = (size, _sub_kind(old, new, is_up=is_up, holds=holds), line)
    return (best[1], best[2]) if best else ("", None)


def account_history(lines: Sequence[Line], *, by_hand: tuple[date, date | None] | None = None) -> History:
    """Return the movements of one account, in the order of their days.

    An account is a customer while its MRR is above zero, while it is paused, and on the days
    it was marked one by hand. Several changes on one day are one movement (one per currency).
    """
    history = History()
    before: list[State] = []
    was_customer = had_mrr = was_ever_customer = False
    main_plan = ""
    for day in _turning_days(lines, by_hand):
        after = [state for line in lines if (state := state_of(line, day)) is not None]
        by_hand_now = by_hand is not None and by_hand[0] <= day and (by_hand[1] is None or day <= by_hand[1])
        old, new = _by_currency(before), _by_currency(after)
        total_before, total_after = sum(old.values(), ZERO), sum(new.values(), ZERO)
        is_paused = any(state.paused_mrr for state in after)
        is_customer = total_after > 0 or is_paused or by_hand_now
        step = int(is_customer) - int(was_customer)
        day_moves = list(
            _moves_of_day(
                day,
                before,
                after,
                old,
                new,
                step=step,
                is_first=not had_mrr if total_after else not was_ever_customer,
                fell_to_zero=total_before > 0 and total_after == 0 and not is_paused,
                rose_from_zero=total_before == 0 and not any(state.paused_mrr for state in before),
            )
        )
        history.moves.extend(day_moves)
        plans = [s for s in after if s.plan and not s.is_addon]
        if plans:
            plan = max(plans, key=lambda s: (s.mrr + s.paused_mrr, s.level, -s.line)).plan
            if plan != main_plan:
                history.plans.append((day, plan))
                main_plan = plan
        had_mrr = had_mrr or total_after > 0
        was_ever_customer = was_ever_customer or is_customer
        was_customer, before = is_customer, after
    return history


def _moves_of_day(
    day: date,
    before: list[State],
    after: list[State],
    old: dict[str, Decimal],
    new: dict[str, Decimal],
    *,
    step: int,
    is_first: bool,
    fell_to_zero: bool,
    rose_from_zero: bool,
) -> Iterator[Move]:
    changes = {c: new.get(c, ZERO) - old.get(c, ZERO) for c in sorted(old.keys() | new.keys())}
    changes = {c: delta for c, delta in changes.items() if delta}
    if not changes and step:
        # A customer marked by hand, or one whose price is nothing: the head counts, no money moves.
        currency = next(iter(sorted(new.keys() | old.keys())), "")
        kind = "churn" if step < 0 else "new" if is_first else "reactivation"
        yield Move(day, currency, kind, "", ZERO, step, None)
        return
    # The head count stands on one row: that of the largest change.
    head_row = max(changes, key=lambda c: (abs(changes[c]), c), default="")
    for currency, delta in changes.items():
        sub_kind, line = _largest_change(before, after, currency, is_up=delta > 0)
        if fell_to_zero and delta < 0:
            kind, sub_kind = "churn", ""
        elif rose_from_zero and delta > 0:
            kind, sub_kind = ("new" if is_first else "reactivation"), ""
        else:
            kind = "expansion" if delta > 0 else "contraction"
        yield Move(day, currency, kind, sub_kind, delta, step if currency == head_row else 0, line)
