"""The end users of one account and what they did: masks, months and days, all read from the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from intake.demo.activity import (
    KINDS,
    STOPS_BELOW,
    Rhythm,
    by_month,
    count_by_day,
    days_between,
    draw,
    first_day,
    mask_of,
    planes_of,
)
from intake.demo.calendar import HOUR, stamp
from intake.demo.catalogue import BOARD, FANS, LAUNCHED, OFFERS, SHARE, SOME, TUTORIALS
from intake.demo.contracts import Contract
from intake.demo.life import Book, Life
from intake.demo.people import address_of, person_name

MOST_PEOPLE = 255  # counted in one byte a day
SOURCE = "product"


def seat_changes(contract: Contract, end: int) -> list[tuple[int, int]]:
    """Return the days on which the number of seats changed, with the number from then on."""
    days = sorted(
        {day for draft in contract.lines for day in (draft.starts, *(p.effective for p in draft.prices))}
    )
    found: list[tuple[int, int]] = []
    for day in days:
        seats = contract.seats_on(day)
        if day < end and (not found or found[-1][1] != seats):
            found.append((day, seats))
    return found


class Usage:
    """Lets the people of one account work in the product and writes down what they did."""

    def __init__(self, life: Life, book: Book, rhythm: Rhythm) -> None:
        self.life = life
        self.book = book
        self.rhythm = rhythm
        self.rng: Random = life.rng
        self.calendar = life.calendar
        self.months = life.calendar.months[-life.size.months :]
        self.days_from = max(0, life.calendar.end - life.size.days)

    def run(self) -> None:
        life, rhythm = self.life, self.rhythm
        planes = rhythm.planes(life.liveliness, self.rng)
        lively = [rhythm.weeks_above(life.liveliness, floor) for floor in STOPS_BELOW]
        under_contract = 0
        for start, stop in life.days_as_customer():
            under_contract |= days_between(start, stop)
        worked: list[tuple[int, int]] = []
        for start, removed in self._spells():
            kind = self.rng.choices(range(len(KINDS)), (26, 50, 24))[0]
            days = draw(planes[kind], rhythm.span, self.rng)
            days &= lively[self.rng.randrange(len(lively))] & under_contract & rhythm.happened
            days &= days_between(start, self.calendar.end if removed is None else removed)
            worked.append((self._person(days, removed), days))
        # The board is opened by everybody who works, the other features by some of them.
        self._feature(BOARD, worked, lambda people: int(people * (4 + 5 * self.rng.random())))
        for feature, likelihood in self._likelihoods().items():
            used = self._drawn(feature, likelihood, worked)
            self._feature(feature, used, lambda people: int(people * (1 + 4 * self.rng.random())))
        self._tutorials(worked)

    def _spells(self) -> list[tuple[int, int | None]]:
        """Return for each end user the first day they could sign in, and the day they were removed."""
        rng, story = self.rng, self.life.story
        share = rng.uniform(0.6, 0.74) if story.part.startswith("silent") else rng.uniform(0.72, 1.0)
        people: list[tuple[int, int | None]] = []
        seats = 0
        for day, wanted in seat_changes(self.life.contract, self.calendar.end):
            if wanted > seats:
                for _ in range(round((wanted - seats) * share)):
                    people.append((day + rng.randint(0, 24), None))
            else:
                here = [n for n, (_, removed) in enumerate(people) if removed is None]
                for n in rng.sample(here, min(len(here), round((seats - wanted) * share))):
                    people[n] = (people[n][0], max(day, people[n][0]))
            seats = wanted
        return people[:MOST_PEOPLE] or [(story.joined, None)]

    def _person(self, days: int, removed: int | None) -> int:
        life, calendar, sheet = self.life, self.calendar, self.book.end_users
        name = person_name(self.rng, life.company)
        mask, until, first, seen = 0, None, None, None
        if days:
            mask, last = mask_of(days)
            until, first = calendar.iso(last), calendar.iso(first_day(days))
            seen = stamp(calendar.at(last, self.rng.randint(7 * HOUR, 19 * HOUR)))
        pk = sheet.add(
            life.pk,
            SOURCE,
            f"u{sheet.next_id:07d}",
            name,
            address_of(name, life.company.domain),
            first,
            seen,
            None if removed is None or removed >= calendar.end else calendar.iso(removed),
            mask,
            until,
        )
        add = self.book.activity_months.add
        for month, bits in by_month(days, self.months):
            add(pk, life.pk, month, bits)
        return pk

    def _feature(self, feature: str, used: list[tuple[int, int]], events: Callable[[int], int]) -> None:
        """Write down who used a feature in which months, and how many of them on each day."""
        life, iso = self.life, self.calendar.iso
        for pk, days in used:
            for month, bits in by_month(days, self.months):
                self.book.feature_months.add(pk, life.pk, feature, month, bits)
        counts = count_by_day([days for _, days in used], self.rhythm.span)
        for day in range(self.days_from, self.calendar.end):
            if people := counts[day]:
                self.book.usage_days.add(life.pk, feature, iso(day), max(events(people), people), people)

    def _drawn(
        self, feature: str, likelihood: Sequence[float], worked: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Return who uses a feature at all, with the days on which they do."""
        rng, fans = self.rng, FANS.get(feature, SOME)
        planes = planes_of([chance / fans for chance in likelihood])
        adopted = days_between(self._adopted_on(feature), self.calendar.end)
        found = []
        for pk, days in worked:
            if rng.random() < fans:
                days &= draw(planes, self.rhythm.span, rng) & adopted
                if days:
                    found.append((pk, days))
        return found

    def _adopted_on(self, feature: str) -> int:
        """Return from which day on an account may use a feature: a new one is found bit by bit."""
        if feature not in LAUNCHED:
            return 0
        return self.calendar.end - LAUNCHED[feature] + int(self.rng.expovariate(1 / 55))

    def _likelihoods(self) -> dict[str, list[float]]:
        """Return for each feature within the account's plans how likely an active person uses it, by day.

        Rarer ones are given up earlier when things go badly.
        """
        life, rng = self.life, self.rng
        ignored = 0.45 if life.story.part.startswith("silent") else 0.14
        taste = {
            feature: 0.0 if rng.random() < ignored else rng.choice((0.6, 1.0, 1.0, 1.4))
            for feature in sorted(SHARE)
        }
        found: dict[str, list[float]] = {}
        for day in range(self.calendar.end):
            liveliness = life.liveliness[day // 7]
            for feature, share, floor in self._features(day):
                pull = min(1.0, (liveliness - floor) * 4)
                if pull > 0 and taste[feature]:
                    if feature not in found:
                        found[feature] = [0.0] * self.rhythm.span
                    found[feature][day] = min(1.0, share * taste[feature] * pull)
        return found

    def _tutorials(self, worked: list[tuple[int, int]]) -> None:
        """Whoever is new looks at tutorials, most of all in the first weeks."""
        story = self.life.story
        # What they look at must not change what they do.
        rng = Random(f"tutorials/{self.life.pk}")  # noqa: S311
        until = min(self.calendar.end, story.joined + 120 if story.onboarded is None else story.onboarded)
        looked: dict[str, list[tuple[int, int]]] = {tutorial: [] for tutorial in TUTORIALS}
        for pk, days in worked:
            seen = dict.fromkeys(TUTORIALS, 0)
            for day in range(max(story.joined, 0), until):
                weeks = (day - story.joined) // 7
                if days >> day & 1 and rng.random() < 0.22 / (1 + weeks):
                    seen[TUTORIALS[min(weeks, len(TUTORIALS) - 1)]] |= 1 << day
            for tutorial, bits in seen.items():
                if bits:
                    looked[tutorial].append((pk, bits))
        for tutorial, used in looked.items():
            self._feature(tutorial, used, lambda people: people + rng.randint(0, people))

    def _features(self, day: int) -> list[tuple[str, float, float]]:
        """Return the features within the account's plans on that day, rarer ones given up earlier."""
        plans = tuple(
            next((p.plan for p in reversed(draft.prices) if p.effective <= day), draft.prices[0].plan)
            for draft in self.life.contract.lines
            if draft.kind == "recurring" and draft.starts <= day and (draft.ends is None or day < draft.ends)
        )
        return _features_of(plans)


_known: dict[tuple[str, ...], list[tuple[str, float, float]]] = {}


def _features_of(plans: tuple[str, ...]) -> list[tuple[str, float, float]]:
    found = _known.get(plans)
    if found is None:
        names = [name for plan in plans for name in OFFERS[plan].features if name != BOARD]
        found = _known[plans] = [
            (name, SHARE[name], 0.05 + 0.45 * rank / max(len(names), 1)) for rank, name in enumerate(names)
        ]
    return found
