"""What an account of the demo pays: lines, their terms over time, renewals and the movements.

Movements and plan history come from `accounts.calculations`, the arithmetic the ledger itself
uses; only when each of them was recorded is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from random import Random

from django.conf import settings

from accounts.calculations import History, Line, Terms, account_history, state_of
from intake.demo.calendar import Calendar
from intake.demo.catalogue import NEXT_PLAN, OFFERS, PREVIOUS_PLAN
from intake.demo.stories import ENTERPRISE, MID, SMB, Story


def currency() -> str:
    """The demo's company bills in the currency that it reports in."""
    return str(settings.REPORTING_CURRENCY)


@dataclass(frozen=True)
class Price:
    """What a line costs from a day on; the price is for one seat and month, in cents."""

    effective: int
    recorded: int
    plan: str
    seats: int
    cents: int
    discount: int = 0
    discount_ends: int | None = None
    is_paused: bool = False


@dataclass
class Draft:
    """A line of a contract before it has ids."""

    kind: str
    is_annual: bool
    starts: int
    prices: list[Price]
    recorded: int
    anchor: int  # terms begin on its anniversaries: lines of one contract end together
    ends: int | None = None  # first day no longer in force
    ended_recorded: int = 0

    @property
    def is_by_seat(self) -> bool:
        return self.prices[0].plan.startswith("scheduler")

    @property
    def now(self) -> Price:
        return self.prices[-1]

    def change(self, day: int, *, recorded: int | None = None, **values: object) -> None:
        """Change what the line costs from `day` on; a second change of a day replaces the first.

        A day before one that is settled already changes nothing.
        """
        if day < self.now.effective:
            return
        if self.now.discount_ends is not None and self.now.discount_ends < day:
            values = {"discount": 0, "discount_ends": None, **values}
        price = replace(self.now, effective=day, recorded=day if recorded is None else recorded, **values)  # type: ignore[arg-type]
        if self.now.effective == day:
            price = replace(price, recorded=max(price.recorded, self.now.recorded))
            self.prices.pop()
        self.prices.append(price)

    def seats_on(self, day: int) -> int:
        if day < self.starts or (self.ends is not None and day >= self.ends):
            return 0
        return next((p.seats for p in reversed(self.prices) if p.effective <= day), self.prices[0].seats)

    def line(self, pk: int, calendar: Calendar) -> Line:
        """Return the line as the ledger's arithmetic takes it."""
        return Line(
            id=pk,
            starts_on=calendar.day(self.starts),
            ends_on=None if self.ends is None else calendar.day(self.ends - 1),
            terms=[_terms(price, self.is_annual, calendar) for price in self.prices],
            is_addon=self.kind == "addon",
        )

    def term_ends(self, calendar: Calendar) -> list[int]:
        """Return the last days of its terms, the running one last; nothing for a monthly line.

        Terms that ended before the line did were followed by another.
        """
        if not self.is_annual:
            return []
        found = []
        years = 1
        while True:
            last = calendar.plus_months(self.anchor, 12 * years) - 1
            if last >= self.starts:
                found.append(last)
            if last >= calendar.end or (self.ends is not None and last >= self.ends - 1):
                return found
            years += 1


def _terms(price: Price, is_annual: bool, calendar: Calendar) -> Terms:
    offer = OFFERS[price.plan]
    return Terms(
        effective_on=calendar.day(price.effective),
        plan=offer.code,
        product=offer.product,
        level=offer.level,
        quantity=Decimal(price.seats),
        unit_price=Decimal(price.cents * (12 if is_annual else 1)) / 100,
        currency=currency(),
        interval="year" if is_annual else "month",
        discount_percent=Decimal(price.discount),
        discount_ends_on=None if price.discount_ends is None else calendar.day(price.discount_ends),
        is_paused=price.is_paused,
    )


@dataclass
class Contract:
    """All lines of one account, and the days on which they were learned."""

    lines: list[Draft] = field(default_factory=list)
    trial: tuple[int, int] | None = None  # first and last day

    def history(self, ids: list[int], calendar: Calendar) -> tuple[list[Line], History]:
        lines = [draft.line(pk, calendar) for draft, pk in zip(self.lines, ids, strict=True)]
        return lines, account_history(lines)

    def recorded_days(self) -> dict[int, int]:
        """Return for each day on which something changes the day we learned the last of it."""
        found: dict[int, int] = {}

        def learned(day: int, recorded: int) -> None:
            found[day] = max(found.get(day, recorded), recorded)

        for draft in self.lines:
            learned(draft.starts, draft.recorded)
            for price in draft.prices:
                learned(price.effective, price.recorded)
                if price.discount_ends is not None:
                    learned(price.discount_ends + 1, price.recorded)
            if draft.ends is not None:
                learned(draft.ends, draft.ended_recorded)
        return found

    def seats_on(self, day: int) -> int:
        """Return the seats of the main product; Field Service comes by the depot."""
        return sum(d.seats_on(day) for d in self.lines if d.is_by_seat)


@dataclass(frozen=True)
class Renewal:
    line: int
    due: int
    due_value: Decimal
    renewed_value: Decimal | None
    outcome: str
    recorded: int
    decided: int | None


def renewals(draft: Draft, line: Line, rng: Random, calendar: Calendar) -> tuple[list[Renewal], int | None]:
    """Return the renewals of a line, and the last day of its running term."""
    ends = draft.term_ends(calendar)
    found = []
    for number, due in enumerate(ends):
        last = calendar.day(due if draft.ends is None else min(due, draft.ends - 1))
        due_value = _amount(line, last)
        recorded = draft.recorded if number == 0 else ends[number - 1] + 1
        outcome, value, decided = "open", None, None
        if draft.ends is not None and draft.ends - 1 <= due:
            outcome, value, decided = "lost", Decimal(0), draft.ended_recorded
        elif number + 1 < len(ends):
            value = _amount(line, calendar.day(due + 1))
            outcome = "renewed" if value == due_value else "smaller" if value < due_value else "larger"
            decided = due - rng.randint(0, 28)
        found.append(Renewal(line.id, due, due_value, value, outcome, recorded, decided))
    return found, ends[-1] if ends else None


def _amount(line: Line, day: date) -> Decimal:
    state = state_of(line, day)
    return state.mrr + state.paused_mrr if state else Decimal(0)


class Negotiation:
    """Works the lines of one account out from its story."""

    def __init__(self, story: Story, rng: Random, calendar: Calendar, *, size: float) -> None:
        self.story = story
        self.rng = rng
        self.calendar = calendar
        self.size = size
        self.contract = Contract()
        self.stop = calendar.end if story.left is None else min(story.left, calendar.end)

    def conclude(self) -> Contract:
        story = self.story
        main = self._open(story.joined, self._plan(), self._seats())
        field_share = {SMB: 0.06, MID: 0.22, ENTERPRISE: 0.5}[story.segment]
        if self.rng.random() < field_share:
            self._add_field_service(story.joined, main)
        if story.joined > 20 and story.segment == SMB and self.rng.random() < 0.5:
            self.contract.trial = (story.joined - 21, story.joined - 1)
        for day, act in sorted(self._agenda(main), key=lambda item: item[0]):
            if day < self.stop:
                act(day)
        if story.price_shock is not None:
            self._raise_price(main, story.price_shock)
        if story.left is not None:
            self._close(story.left)
        if story.back is not None:
            self._open(story.back, main.now.plan, max(2, int(main.now.seats * self.rng.uniform(0.6, 1.0))))
        return self.contract

    # --- Opening and closing ----------------------------------------------------------

    def _plan(self) -> str:
        odds = {
            SMB: ("scheduler-starter", "scheduler-starter", "scheduler-team"),
            MID: ("scheduler-team", "scheduler-team", "scheduler-business"),
            ENTERPRISE: ("scheduler-business",),
        }
        return self.rng.choice(odds[self.story.segment])

    def _seats(self) -> int:
        low, high = {SMB: (4, 14), MID: (16, 48), ENTERPRISE: (60, 150)}[self.story.segment]
        return max(2, round(self.rng.triangular(low, high, low + (high - low) * 0.35) * self.size))

    def _price(self, plan: str) -> int:
        cents = OFFERS[plan].price
        return round(cents * 0.9 / 100) * 100 if self.story.is_annual else cents

    def _learned(self, day: int, *, ahead: int, behind: float = 0.0) -> int:
        """Return when a change was entered: mostly some days ahead, now and then too late."""
        if behind and self.rng.random() < behind:
            return min(day + self.rng.randint(3, 19), self.calendar.end - 1)
        return min(day - self.rng.randint(0, ahead), self.calendar.end - 1)

    def _open(self, day: int, plan: str, seats: int) -> Draft:
        recorded = self._learned(day, ahead=9)
        price = Price(day, recorded, plan, seats, self._price(plan))
        if self.rng.random() < 0.22:
            months = self.rng.choice((6, 12, 12))
            price = replace(
                price,
                discount=self.rng.choice((10, 10, 15, 20)),
                discount_ends=self.calendar.plus_months(day, months) - 1,
            )
        draft = Draft("recurring", self.story.is_annual, day, [price], recorded, anchor=day)
        self.contract.lines.append(draft)
        return draft

    def _close(self, day: int) -> None:
        notice = self.story.noticed if self.story.noticed is not None else day
        for draft in self.contract.lines:
            if draft.ends is None:
                draft.prices = [p for p in draft.prices if p.effective < day]
                draft.ends, draft.ended_recorded = day, notice

    # --- What happens on the way ------------------------------------------------------

    def _agenda(self, main: Draft) -> list[tuple[int, Callable[[int], None]]]:
        story, rng = self.story, self.rng
        agenda: list[tuple[int, Callable[[int], None]]] = []
        year = self.calendar.plus_months(story.joined, 12)
        while year < self.stop:
            if year != story.price_shock:
                agenda.append((year, self._yearly_price))
            year = self.calendar.plus_months(year, 12)
        first = (story.onboarded or story.joined) + 60
        if story.part == "growing":
            day = first + rng.randint(0, 80)
            while day < self.stop:
                agenda.append((day, self._more_seats))
                day += rng.randint(130, 250)
            if rng.random() < 0.45:
                agenda.append((first + rng.randint(60, 400), self._higher_plan))
            if rng.random() < 0.5:
                agenda.append((first + rng.randint(90, 420), lambda day: self._add_field_service(day, main)))
        elif story.part in ("steady", "noisy", "champion saved", "onboarding late"):
            if rng.random() < 0.35:
                agenda.append((first + rng.randint(30, 500), self._more_seats))
            if rng.random() < 0.2:
                agenda.append((self._renewal_after(first + rng.randint(60, 600)), self._fewer_seats))
            if not story.is_annual and rng.random() < 0.2:
                agenda.append((self.stop - rng.randint(120, 600), self._pause))
        elif story.part == "silent" and rng.random() < 0.4:
            agenda.append((self._renewal_after(first + rng.randint(120, 500)), self._fewer_seats))
        elif story.part == "decline now" and rng.random() < 0.5:
            agenda.append((self.stop - rng.randint(20, 80), self._fewer_seats))
        if rng.random() < {SMB: 0.14, MID: 0.3, ENTERPRISE: 0.75}[story.segment]:
            agenda.append((first + rng.randint(0, 300), self._add_extra))
        return agenda

    def _renewal_after(self, day: int) -> int:
        """Return when a smaller contract can begin: any day monthly, the next term yearly."""
        if not self.story.is_annual:
            return day
        years = 1
        while (renewal := self.calendar.plus_months(self.story.joined, 12 * years)) < day:
            years += 1
        return renewal

    def _in_force(self, day: int) -> list[Draft]:
        return [d for d in self.contract.lines if d.starts <= day and (d.ends is None or d.ends > day)]

    def _yearly_price(self, day: int) -> None:
        if self.rng.random() < 0.6:
            rise = self.rng.uniform(1.02, 1.045)
            recorded = self._learned(day, ahead=40)
            for draft in self._in_force(day):
                if draft.starts < day:
                    draft.change(day, recorded=recorded, cents=round(draft.now.cents * rise / 10) * 10)

    def _more_seats(self, day: int) -> None:
        rise = self.rng.uniform(1.06, 1.17)
        recorded = self._learned(day, ahead=4, behind=0.09)
        for draft in self._in_force(day):
            if draft.is_by_seat and draft.starts < day:
                seats = max(draft.now.seats + 1, round(draft.now.seats * rise))
                draft.change(day, recorded=recorded, seats=min(seats, 245))

    def _fewer_seats(self, day: int) -> None:
        share = self.rng.uniform(0.75, 0.92)
        recorded = self._learned(day, ahead=12)
        for draft in self._in_force(day):
            if draft.is_by_seat and draft.starts < day:
                seats = min(draft.now.seats - 1, round(draft.now.seats * share))
                draft.change(day, recorded=recorded, seats=max(seats, 1))

    def _higher_plan(self, day: int) -> None:
        main = self.contract.lines[0]
        plan = NEXT_PLAN.get(main.now.plan)
        if plan and main.starts < day:
            recorded = self._learned(day, ahead=6, behind=0.09)
            main.change(day, recorded=recorded, plan=plan, cents=self._price(plan))

    def _add_field_service(self, day: int, main: Draft) -> None:
        if any(d.prices[0].plan.startswith("field") for d in self.contract.lines):
            return
        plan = {SMB: "field-essentials", MID: "field-pro", ENTERPRISE: "field-complete"}[self.story.segment]
        depots = self.rng.randint(1, {SMB: 1, MID: 3, ENTERPRISE: 8}[self.story.segment])
        recorded = self._learned(day, ahead=9)
        price = Price(day, recorded, plan, depots, self._price(plan))
        self.contract.lines.append(
            Draft("recurring", self.story.is_annual, day, [price], recorded, anchor=main.starts)
        )

    def _add_extra(self, day: int) -> None:
        plan = "extra-support" if self.story.segment == ENTERPRISE else "extra-sms"
        recorded = self._learned(day, ahead=5)
        draft = Draft(
            "addon", False, day, [Price(day, recorded, plan, 1, OFFERS[plan].price)], recorded, anchor=day
        )
        if self.rng.random() < 0.25:
            ends = self.calendar.plus_months(day, self.rng.randint(4, 11))
            if ends < self.stop:
                draft.ends, draft.ended_recorded = ends, ends - self.rng.randint(5, 30)
        self.contract.lines.append(draft)

    def _pause(self, day: int) -> None:
        main = self.contract.lines[0]
        resume = self.calendar.plus_months(day, self.rng.choice((1, 2)))
        if main.now.effective < day and resume < self.stop:
            main.change(day, recorded=self._learned(day, ahead=10), is_paused=True)
            main.change(resume, recorded=self._learned(day, ahead=10), is_paused=False)

    def _raise_price(self, main: Draft, day: int) -> None:
        """A fifth more from the renewal on; most answer with fewer seats or a lower plan."""
        announced = day - self.rng.randint(48, 60)
        recorded = min(announced, self.calendar.end - 2)
        main.prices = [p for p in main.prices if p.effective < day]
        main.change(
            day, recorded=recorded, cents=round(main.now.cents * self.rng.uniform(1.15, 1.22) / 10) * 10
        )
        cut = day if self.rng.random() < 0.4 else day + self.rng.randint(50, 110)
        if cut >= self.calendar.end:
            return
        lower = PREVIOUS_PLAN.get(main.now.plan)
        if lower and self.rng.random() < 0.3:
            main.change(cut, recorded=cut - 3, plan=lower, cents=self._price(lower))
        else:
            seats = max(1, round(main.now.seats * self.rng.uniform(0.58, 0.78)))
            main.change(cut, recorded=cut - 3, seats=min(seats, max(1, main.now.seats - 1)))
