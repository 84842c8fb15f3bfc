"""What each account lives through: the one source from which its money, usage, tickets and words follow.

A story says when the account joined and left, how lively it uses the product (`liveliness`,
0 to 1, between turning points) and which phase it is in on which day. Two hundred places are
cast in fixed shares, so that the company as a whole behaves like one; account number n takes
place n modulo 200 in an order shuffled by the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from intake.demo.calendar import Calendar

PLACES = 200
SMB, MID, ENTERPRISE = "SMB", "Mid-market", "Enterprise"


class Part(NamedTuple):
    """One way a story goes, and how many accounts of each size live it."""

    name: str
    smb: int
    mid: int
    enterprise: int


CAST = (
    Part("steady", 34, 19, 6),
    Part("growing", 23, 13, 7),
    Part("noisy", 6, 5, 3),
    Part("silent", 11, 5, 0),
    Part("silent lost", 2, 0, 0),
    Part("decline lost", 7, 3, 0),
    Part("decline now", 3, 3, 2),
    Part("champion lost", 3, 3, 1),
    Part("champion now", 2, 3, 2),
    Part("champion saved", 0, 2, 1),
    Part("onboarding lost", 3, 0, 0),
    Part("onboarding now", 3, 2, 1),
    Part("onboarding late", 1, 2, 0),
    Part("price done", 5, 3, 1),
    Part("price now", 1, 1, 1),
    Part("won back", 4, 3, 0),
)


class Phase(NamedTuple):
    """How an account behaves for a while."""

    tickets: float  # times its usual number
    urgent: float  # share of them
    mood: float  # 0 to 1: what it would answer to a survey
    quiet: float  # how many times longer than usual between two touches


PHASES = {
    "onboarding": Phase(1.8, 0.03, 0.78, 0.42),
    "stuck": Phase(2.0, 0.16, 0.3, 0.6),
    "healthy": Phase(1.0, 0.03, 0.82, 1.0),
    "growing": Phase(1.0, 0.02, 0.94, 0.9),
    "noisy": Phase(3.6, 0.16, 0.84, 0.7),
    "silent": Phase(0.25, 0.02, 0.58, 3.2),
    "slipping": Phase(1.3, 0.22, 0.34, 1.9),
    "champion_gone": Phase(3.0, 0.42, 0.2, 1.0),
    "price": Phase(1.5, 0.05, 0.3, 0.8),
    "leaving": Phase(0.8, 0.2, 0.16, 0.7),
    "recovered": Phase(1.0, 0.04, 0.76, 0.7),
    "gone": Phase(0.0, 0.0, 0.3, 2.0),
}


@dataclass
class Story:
    """One account's two years. Days are numbers of the Calendar.

    `left` is the first day without a contract.
    """

    number: int
    part: str
    segment: str
    place: int
    is_annual: bool
    joined: int
    left: int | None = None
    back: int | None = None
    champion_left: int | None = None
    new_champion: int | None = None
    price_shock: int | None = None
    noticed: int | None = None  # the day they told us that they leave
    onboarded: int | None = None
    turning_points: list[tuple[int, float]] = field(default_factory=list)
    phases: list[tuple[int, str]] = field(default_factory=list)

    def phase_on(self, day: int) -> str:
        name = self.phases[0][1]
        for start, following in self.phases:
            if start > day:
                break
            name = following
        return name

    def liveliness_by_week(self, weeks: int) -> list[float]:
        """Return how lively the product is used in the middle of each week of the demo."""
        points = self.turning_points
        found = []
        at = 0
        for week in range(weeks):
            day = 7 * week + 3
            while at + 1 < len(points) and points[at + 1][0] <= day:
                at += 1
            start, value = points[at]
            if day < start:
                found.append(0.0)
            elif at + 1 < len(points):
                end, following = points[at + 1]
                found.append(value + (following - value) * (day - start) / (end - start))
            else:
                found.append(value)
        return found

    def is_customer(self, day: int) -> bool:
        if day < self.joined:
            return False
        if self.left is None or day < self.left:
            return True
        return self.back is not None and day >= self.back


class Place(NamedTuple):
    part: str
    segment: str
    # Where in its part's row this place stands, 0 to 1: spreads joining and leaving over time.
    rank: float
    number: int


def cast(seed: int) -> list[Place]:
    """Return the 200 places in the order in which accounts take them."""
    places: list[Place] = []
    for part in CAST:
        segments = [SMB] * part.smb + [MID] * part.mid + [ENTERPRISE] * part.enterprise
        Random(f"{seed}/{part.name}").shuffle(segments)  # noqa: S311
        for rank, segment in enumerate(segments):
            places.append(Place(part.name, segment, (rank + 0.5) / len(segments), len(places)))
    Random(f"{seed}/places").shuffle(places)  # noqa: S311
    return places


def tell(number: int, place: Place, rng: Random, calendar: Calendar) -> Story:
    """Return the story of account `number`."""
    # Beyond the first round of places, neighbours in a row should not join on the same day.
    rank = place.rank if number < PLACES else min(max(place.rank + rng.uniform(-0.06, 0.06), 0.0), 1.0)
    annual_share = {SMB: 0.4, MID: 0.8, ENTERPRISE: 1.0}[place.segment]
    is_annual = place.part.endswith(" now") or rng.random() < annual_share
    joined = _early_in_month(int(-850 + rank * (calendar.end + 800)), calendar)
    story = Story(number, place.part, place.segment, place.number, is_annual, joined)
    _Plot(story, rank, rng, calendar).write()
    return story


def _early_in_month(day: int, calendar: Calendar) -> int:
    """Move a day from the 29th, 30th or 31st to the 28th: every month has that one."""
    return day - max(0, calendar.day(day).day - 28)


class _Plot:
    """Writes turning points, phases and dates of one story."""

    def __init__(self, story: Story, rank: float, rng: Random, calendar: Calendar) -> None:
        self.story = story
        self.rank = rank
        self.rng = rng
        self.calendar = calendar
        self.end = calendar.end
        self.base = rng.uniform(0.7, 0.96)

    def write(self) -> None:
        story = self.story
        {
            "steady": self.steady,
            "growing": self.growing,
            "noisy": self.noisy,
            "silent": self.silent,
            "silent lost": self.silent_lost,
            "decline lost": self.decline_lost,
            "decline now": self.decline_now,
            "champion lost": self.champion_lost,
            "champion now": self.champion_now,
            "champion saved": self.champion_saved,
            "onboarding lost": self.onboarding_lost,
            "onboarding now": self.onboarding_now,
            "onboarding late": self.onboarding_late,
            "price done": self.price_done,
            "price now": self.price_now,
            "won back": self.won_back,
        }[story.part]()
        if story.noticed is not None:
            spoken_for = range(story.noticed, self.end if story.left is None else story.left)
            kept = [phase for phase in story.phases if phase[0] not in spoken_for]
            story.phases = [*kept, (story.noticed, "leaving")]
        if story.left is not None:
            story.phases.append((story.left, "gone"))
        story.phases.sort()
        story.turning_points.sort()

    # --- Pieces -----------------------------------------------------------------------

    def settle_in(self, *, base: float, phase: str, start: int | None = None) -> int:
        """Onboarding that goes as planned; returns its last day."""
        joined = self.story.joined if start is None else start
        done = joined + self.rng.randint(28, 60)
        if start is None:
            self.story.onboarded = done
        self.story.phases += [(joined, "onboarding"), (done, phase)]
        self.story.turning_points += [(joined, 0.12), (joined + 18, 0.45), (done + 10, base)]
        return done

    def wobble(self, start: int, stop: int, base: float) -> None:
        """Ups and downs that mean nothing."""
        day = start + self.rng.randint(50, 110)
        while day < stop - 30:
            self.story.turning_points.append((day, min(1.0, base + self.rng.uniform(-0.09, 0.05))))
            day += self.rng.randint(60, 130)

    def ends_term_on(self, day: int) -> int:
        """Let a term end the day before `day`, by choosing when the account joined; returns the day."""
        day = _early_in_month(day, self.calendar)
        months = 12 * self.rng.choice((1, 1, 2, 2, 3)) if self.story.is_annual else self.rng.randint(10, 30)
        self.story.joined = self.calendar.plus_months(day, -months)
        return day

    def day_of_loss(self) -> int:
        return int(112 + self.rank * (self.end - 128))

    def leave(self, day: int) -> None:
        self.story.left = day
        self.story.noticed = day - (
            self.rng.randint(30, 58) if self.story.is_annual else self.rng.randint(14, 28)
        )

    def fade(self, day: int) -> None:
        """Usage that melts away towards `day`."""
        points = [(day - 230, self.base), (day - 140, 0.52), (day - 60, 0.21), (day, 0.06)]
        self.story.turning_points += points
        self.story.phases.append((day - 195, "slipping"))

    def lose_champion(self, day: int) -> None:
        """The person who wanted us leaves about four months before `day`."""
        left = day - self.rng.randint(112, 150)
        self.story.champion_left = left
        self.story.turning_points += [(left, self.base), (left + 34, 0.46), (day - 40, 0.2), (day, 0.08)]
        self.story.phases.append((left, "champion_gone"))

    # --- Parts ------------------------------------------------------------------------

    def steady(self) -> None:
        done = self.settle_in(base=self.base, phase="healthy")
        self.wobble(done, self.end, self.base)
        if self.rng.random() < 0.12:
            # A dip that comes to nothing: not every warning comes true.
            dip = self.rng.randint(max(done + 60, 60), max(done + 61, self.end - 20))
            self.story.turning_points += [
                (dip - 30, self.base),
                (dip, 0.5),
                (dip + 30, 0.52),
                (dip + 60, self.base),
            ]

    def growing(self) -> None:
        base = min(0.98, self.base + 0.06)
        done = self.settle_in(base=base, phase="healthy")
        self.story.phases.append((done + 60, "growing"))
        self.wobble(done, self.end, base)

    def noisy(self) -> None:
        done = self.settle_in(base=self.base, phase="noisy")
        self.wobble(done, self.end, self.base)

    def silent(self) -> None:
        base = self.rng.uniform(0.4, 0.58)
        done = self.settle_in(base=base, phase="silent")
        self.wobble(done, self.end, base)

    def silent_lost(self) -> None:
        day = self.ends_term_on(self.day_of_loss())
        self.settle_in(base=0.5, phase="silent")
        self.story.turning_points += [(day - 120, 0.45), (day, 0.3)]
        self.leave(day)

    def decline_lost(self) -> None:
        day = self.ends_term_on(self.day_of_loss())
        self.settle_in(base=self.base, phase="healthy")
        self.fade(day)
        self.leave(day)

    def decline_now(self) -> None:
        day = self.ends_term_on(int(self.end + 12 + self.rank * 125))
        self.settle_in(base=self.base, phase="healthy")
        self.fade(day)
        if self.rank < 0.1:
            self.leave(day)
            self.story.noticed = self.end - 5

    def champion_lost(self) -> None:
        day = self.ends_term_on(self.day_of_loss())
        self.settle_in(base=self.base, phase="healthy")
        self.lose_champion(day)
        self.leave(day)

    def champion_now(self) -> None:
        day = self.ends_term_on(int(self.end + 9 + self.rank * 66))
        self.settle_in(base=self.base, phase="healthy")
        self.lose_champion(day)

    def champion_saved(self) -> None:
        day = self.ends_term_on(int(self.end - 70 - self.rank * 330))
        self.settle_in(base=self.base, phase="healthy")
        left = day - self.rng.randint(130, 160)
        self.story.champion_left, self.story.new_champion = left, left + 62
        points = [(left, self.base), (left + 60, 0.4), (day - 10, 0.66), (day + 40, self.base)]
        self.story.turning_points += points
        self.story.phases += [(left, "champion_gone"), (left + 78, "recovered"), (day + 60, "healthy")]

    def onboarding_lost(self) -> None:
        story = self.story
        story.is_annual = False
        story.joined = _early_in_month(int(90 + self.rank * (self.end - 360)), self.calendar)
        self.get_stuck()
        self.leave(self.calendar.plus_months(story.joined, self.rng.randint(5, 8)))
        story.turning_points.append((self.end if story.left is None else story.left, 0.05))

    def onboarding_now(self) -> None:
        self.story.joined = _early_in_month(int(self.end - 52 - self.rank * 100), self.calendar)
        self.get_stuck()

    def onboarding_late(self) -> None:
        story = self.story
        story.joined = _early_in_month(int(120 + self.rank * (self.end - 420)), self.calendar)
        self.get_stuck()
        story.onboarded = story.joined + self.rng.randint(140, 165)
        story.turning_points += [(story.onboarded - 40, 0.24), (story.onboarded + 20, self.base)]
        story.phases += [(story.onboarded - 25, "recovered"), (story.onboarded + 90, "healthy")]

    def get_stuck(self) -> None:
        joined = self.story.joined
        self.story.phases += [(joined, "onboarding"), (joined + 42, "stuck")]
        self.story.turning_points += [(joined, 0.06), (joined + 30, 0.24), (joined + 80, 0.14)]

    def price_done(self) -> None:
        day = self.ends_term_on(int(130 + self.rank * (self.end - 330)))
        self.settle_in(base=self.base, phase="healthy")
        self.story.price_shock = day
        self.story.turning_points += [
            (day - 20, self.base),
            (day + 60, 0.8 * self.base),
            (day + 150, 0.76 * self.base),
            (day + 300, 0.86 * self.base),
        ]
        self.story.phases += [(day - 45, "price"), (day + 120, "recovered"), (day + 280, "healthy")]

    def price_now(self) -> None:
        day = self.ends_term_on(int(self.end + 22 + self.rank * 60))
        self.settle_in(base=self.base, phase="healthy")
        self.story.price_shock = day
        self.story.turning_points += [(day - 100, self.base), (day - 50, 0.44), (day, 0.36)]
        self.story.phases.append((day - 92, "price"))

    def won_back(self) -> None:
        day = self.ends_term_on(int(125 + self.rank * (self.end - 420)))
        self.settle_in(base=self.base, phase="healthy")
        self.fade(day)
        self.leave(day)
        back = _early_in_month(min(day + self.rng.randint(95, 230), self.end - 50), self.calendar)
        self.story.back = back
        self.story.turning_points += [(back - 1, 0.0)]
        self.settle_in(base=min(0.95, self.base + 0.03), phase="healthy", start=back)
