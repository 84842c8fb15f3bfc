"""What we did with one account and what came of it: touches, milestones, outcomes, charges, referrals."""

from __future__ import annotations

from intake.demo.calendar import HOUR, stamp
from intake.demo.contracts import currency
from intake.demo.life import Book, Life
from intake.demo.people import whom_to_ask
from intake.demo.stories import ENTERPRISE, MID, PHASES, SMB
from intake.demo.words import words

BETWEEN_TOUCHES = {SMB: 62, MID: 31, ENTERPRISE: 15}


class Dealings:
    """Writes down what happened between one account and us."""

    def __init__(self, life: Life, book: Book) -> None:
        self.life = life
        self.book = book
        self.rng = life.rng
        self.calendar = life.calendar
        self._told: dict[str, int] = {}

    def run(self) -> None:
        self._touches()
        self._milestones()
        self._outcomes()
        self._charges()

    def _touches(self) -> None:
        life, rng, calendar = self.life, self.rng, self.calendar
        usual = BETWEEN_TOUCHES[life.story.segment] / life.size.events
        day = max(life.story.joined, 0) + rng.randint(0, 12)
        while day < calendar.end:
            phase = life.story.phase_on(day)
            on = calendar.workday(day)
            user = life.csm_on(on)
            if user is not None and on < calendar.end:
                self._touch(on, phase, user)
            day += max(2, int(usual * PHASES[phase].quiet * rng.uniform(0.55, 1.5)))

    def _touch(self, day: int, phase: str, user: int) -> None:
        rng, people = self.rng, self.life.people
        kind, note = self._next_note(phase)
        champion = whom_to_ask(people, day, "champion", "user")
        sponsor = whom_to_ask(people, day, "sponsor", "champion")
        if "{champion} has left" in note and self.life.story.champion_left is not None:
            # The one note that speaks of somebody who is no longer there.
            named = people[0].name
        else:
            named = champion.name if champion else "the planning team"
        text = note.format(champion=named, sponsor=sponsor.name if sponsor else "the management")
        spoken_to = None if kind == "note" else sponsor if "{sponsor}" in note else champion
        happened = self.calendar.at(day, rng.randint(8 * HOUR, 17 * HOUR))
        # Most are written down at once, some the next morning.
        noted = happened + (rng.randint(60, 3000) if rng.random() < 0.85 else rng.randint(14, 22) * HOUR)
        self.book.touches.add(
            self.life.pk,
            spoken_to.pk if spoken_to else None,
            user,
            kind,
            stamp(happened),
            stamp(min(noted, self.calendar.last_moment)),
            text,
        )

    def _next_note(self, phase: str) -> tuple[str, str]:
        """Return the notes of a phase in their order, so that nobody says the same thing twice in a row.

        How a customer starts is told from its beginning; anything else from anywhere.
        """
        notes = words()["notes"][phase]
        if phase not in self._told:
            self._told[phase] = 0 if phase in ("onboarding", "stuck") else self.rng.randrange(len(notes))
        kind, note = notes[self._told[phase] % len(notes)]
        self._told[phase] += 1
        return kind, note

    def _milestones(self) -> None:
        story, rng, calendar = self.life.story, self.rng, self.calendar
        is_stuck = story.part.startswith("onboarding")
        for number, goal in enumerate(words().goals):
            reached: int | None = story.joined + rng.randint(*goal.usual_days)
            if goal.name == "Onboarding completed":
                reached = story.onboarded
            elif is_stuck and number:
                reached = None if story.onboarded is None else story.onboarded - rng.randint(2, 30)
            if reached is not None and reached >= calendar.end:
                reached = None
            self.book.milestones.add(
                self.life.pk,
                goal.name,
                calendar.iso(story.joined),
                calendar.iso(story.joined + goal.due_after_days),
                None if reached is None else calendar.iso(reached),
                stamp(calendar.at(story.joined, 17 * HOUR)),
                None if reached is None else stamp(calendar.at(reached, 17 * HOUR)),
            )

    def _outcomes(self) -> None:
        life, rng, calendar = self.life, self.rng, self.calendar
        if rng.random() > {SMB: 0.3, MID: 0.7, ENTERPRISE: 1.0}[life.story.segment]:
            return
        outcome = rng.choice(words().outcomes)
        baseline = round(rng.uniform(*outcome.baseline), 1)
        target = round(baseline * (1 + outcome.best_change * 0.8), 1)
        metric = self.book.outcomes.add(
            life.pk,
            outcome.name,
            outcome.unit,
            str(baseline),
            calendar.iso(life.story.joined),
            str(target),
            outcome.higher_is_better,
        )
        for start, stop in life.days_as_customer():
            for day in range(start + rng.randint(60, 100), stop, 91):
                months = (day - life.story.joined) / 30
                progress = life.liveliness[day // 7] * min(1.0, months / 12)
                value = round(baseline * (1 + outcome.best_change * progress + rng.gauss(0, 0.025)), 1)
                recorded = stamp(calendar.at(min(day + rng.randint(0, 5), calendar.end - 1), 11 * HOUR))
                self.book.outcome_values.add(metric, calendar.iso(day), str(value), recorded)

    def _charges(self) -> None:
        story, rng = self.life.story, self.rng
        setup, training, overage, project = words()["charges"]
        if story.joined >= 0 and story.segment != SMB:
            fee = 900 if story.segment == MID else 4800
            self._charge(story.joined, fee, setup)
        for start, stop in self.life.days_as_customer():
            day = start + rng.randint(30, 400)
            while day < stop:
                what, low, high = rng.choice(
                    ((training, 900, 1400), (overage, 15, 240), (overage, 15, 240), (project, 1800, 6500))
                )
                self._charge(day, rng.randint(low, high), what)
                day += rng.randint(150, 600)

    def _charge(self, day: int, amount: int, what: str) -> None:
        sheet = self.book.charges
        sheet.add(
            self.life.pk,
            "billing",
            f"I{sheet.next_id:06d}",
            self.calendar.iso(day),
            str(amount),
            currency(),
            what,
            stamp(self.calendar.at(day, 18 * HOUR)),
        )


def refer(life: Life, referrer: Life | None, book: Book) -> None:
    """Write down who sent a new account to us, and now and then somebody who never came."""
    rng, calendar = life.rng, life.calendar
    if referrer is not None:
        day = max(life.story.joined - rng.randint(25, 140), 5)
        person = whom_to_ask(referrer.people, day, "champion")
        if day < life.story.joined and referrer.story.is_customer(day):
            book.referrals.add(
                referrer.pk,
                person.pk if person else None,
                life.company.name,
                life.pk,
                calendar.iso(day),
                calendar.iso(life.story.joined),
                stamp(calendar.at(day, 15 * HOUR)),
                stamp(calendar.at(life.story.joined, 15 * HOUR)),
            )
    if life.story.part == "growing" and rng.random() < 0.35:
        day = max(life.story.joined, 0) + rng.randint(120, 500)
        person = whom_to_ask(life.people, day, "champion")
        if day < calendar.end:
            culture = words().cultures[life.company.country.culture]
            stem = rng.choice(culture.stem_heads) + rng.choice(culture.stem_tails)
            name = f"{stem} {rng.choice(culture.trades)}"
            book.referrals.add(
                life.pk,
                person.pk if person else None,
                name,
                None,
                calendar.iso(day),
                None,
                stamp(calendar.at(day, 15 * HOUR)),
                None,
            )
