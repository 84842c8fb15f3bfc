"""What the people of one account answer to surveys and say in meetings; their mood is the phase's."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from intake.demo.calendar import HOUR, stamp
from intake.demo.life import Book, Life
from intake.demo.people import Person, whom_to_ask
from intake.demo.stories import PHASES
from intake.demo.support import TROUBLE, Request
from intake.demo.words import words
from surveys.models import Survey

ANSWERS_NPS = {"silent": 0.04, "stuck": 0.3, "gone": 0.0, "leaving": 0.3}
BETWEEN_WAVES = 182


class Surveys(NamedTuple):
    """The ids of the demo's surveys."""

    relationship: int
    after_ticket: int
    effort: int


def stock_surveys() -> Surveys:
    names = ("Relationship", "After a ticket", "How easy it was")
    return Surveys(*(Survey.objects.get_or_create(name=name)[0].pk for name in names))


class Voice:
    """Answers and feedback of one account."""

    def __init__(self, life: Life, book: Book, surveys: Surveys) -> None:
        self.life = life
        self.book = book
        self.surveys = surveys
        self.rng = life.rng
        self.calendar = life.calendar
        # What became of a mail must not change what people answer.
        self.post = Random(f"post/{life.pk}")  # noqa: S311
        # Some customers are easier to please than others.
        self.luck = self.rng.gauss(0, 0.07)

    def run(self, requests: list[Request]) -> None:
        self._relationship()
        for request in requests:
            self._after_ticket(request)
        if self.life.story.onboarded is not None:
            self._after_onboarding(self.life.story.onboarded)
        self._feedback()

    def _is_customer(self, day: int) -> bool:
        return 0 <= day < self.calendar.end and self.life.story.is_customer(day)

    def _mood(self, day: int) -> float:
        return PHASES[self.life.story.phase_on(day)].mood

    def _relationship(self) -> None:
        """Twice a year everybody is asked; whoever is in trouble also soon after it began."""
        rng, story = self.rng, self.life.story
        waves = list(range((37 * self.life.pk) % BETWEEN_WAVES, self.calendar.end, BETWEEN_WAVES))
        for start, phase in story.phases:
            if phase in ("slipping", "champion_gone", "stuck", "price") and rng.random() < 0.8:
                waves.append(start + rng.randint(22, 60))
        for day in sorted(waves):
            asked = self.calendar.workday(day)
            if self._is_customer(asked) and asked >= story.joined + 45:
                self._wave(asked)

    def _wave(self, asked: int) -> None:
        rng = self.rng
        phase = self.life.story.phase_on(asked)
        likely = ANSWERS_NPS.get(phase, 0.46) * self.life.size.events
        for person in self.life.people:
            if not person.is_there(asked):
                continue
            sent = self.calendar.at(asked, self.post.randint(6 * HOUR, 7 * HOUR - 1))
            if rng.random() > likely:
                self._ask(self.surveys.relationship, person, sent)
                continue
            score = min(10, max(0, round(2.3 + 7.6 * (self._mood(asked) + self.luck) + rng.gauss(0, 1.15))))
            given = asked + int(rng.expovariate(0.5))
            if given >= self.calendar.end:
                self._ask(self.surveys.relationship, person, sent)
                continue
            moment = self.calendar.at(given, rng.randint(7 * HOUR, 20 * HOUR))
            comment = self._nps_comment(score, phase) if rng.random() < 0.6 else ""
            response = self._answer(self.surveys.relationship, person, moment, "nps", score, comment)
            self._ask(self.surveys.relationship, person, sent, moment, response)

    def _nps_comment(self, score: int, phase: str) -> str:
        if score >= 9:
            return str(self.rng.choice(words()["praise"]))
        if score >= 7:
            return str(self.rng.choice(words()["lukewarm"]))
        complaints = words()["complaints"]
        return str(self.rng.choice(complaints.get(phase) or complaints["other"]))

    def _after_ticket(self, request: Request) -> None:
        rng = self.rng
        resolved = request.resolved()
        if resolved is None or request.contact is None:
            return
        sent = min(resolved + HOUR // 6, self.calendar.last_moment)
        either = (self.surveys.after_ticket, self.surveys.effort)
        if rng.random() > 0.42:
            self._ask(self.post.choices(either, (72, 28))[0], request.contact, sent)
            return
        moment = resolved + rng.randint(HOUR // 4, 26 * HOUR)
        if (moment - self.calendar.at(0, 0)) % (24 * HOUR) < 6 * HOUR:
            moment += 7 * HOUR  # nobody answers in the middle of the night
        if moment > self.calendar.last_moment:
            self._ask(self.post.choices(either, (72, 28))[0], request.contact, sent)
            return
        bad = 0.9 * request.is_lengthy + 1.2 * request.is_reopened + 1.0 * request.is_trouble
        if rng.random() < 0.72:
            score = min(5, max(1, round(4.85 - bad + rng.gauss(0, 0.65))))
            comments = words()["ticket_praise" if score >= 4 else "ticket_complaints"]
            comment = rng.choice(comments) if rng.random() < 0.4 else ""
            survey = self.surveys.after_ticket
            response = self._answer(survey, request.contact, moment, "csat", score, comment)
        else:
            score = min(7, max(1, round(6.3 - 1.1 * bad + rng.gauss(0, 0.9))))
            survey = self.surveys.effort
            response = self._answer(survey, request.contact, moment, "ces", score, "")
        self._ask(survey, request.contact, sent, moment, response)

    def _after_onboarding(self, onboarded: int) -> None:
        day = self.calendar.workday(onboarded + 3)
        person = whom_to_ask(self.life.people, day, "champion")
        if person is None or not self._is_customer(day):
            return
        sent = self.calendar.at(day, 7 * HOUR)
        if self.rng.random() < 0.35:
            self._ask(self.surveys.effort, person, sent)
            return
        late = onboarded - self.life.story.joined > 90
        score = min(7, max(1, round((3.4 if late else 5.9) + self.rng.gauss(0, 0.9))))
        moment = self.calendar.at(day, self.rng.randint(8 * HOUR, 18 * HOUR))
        response = self._answer(self.surveys.effort, person, moment, "ces", score, "")
        self._ask(self.surveys.effort, person, sent, moment, response)

    def _ask(
        self,
        survey: int,
        person: Person,
        sent: int,
        answered: int | None = None,
        response: int | None = None,
    ) -> None:
        """Write down that somebody was asked; a few of the mails that nobody answered came back."""
        bounced = answered is None and self.post.random() < 0.05
        when = stamp(sent)
        sheet = self.book.invitations
        sheet.add(
            survey,
            self.life.pk,
            person.pk,
            "survey",
            f"I{sheet.next_id:07d}",
            when,
            "bounced" if bounced else "delivered",
            when if bounced else None,
            None if answered is None else stamp(answered),
            response,
            when,
        )

    def _answer(self, survey: int, person: Person, moment: int, kind: str, score: int, comment: str) -> int:
        """Write down an answer and return the id of its response."""
        rng = self.rng
        when = stamp(moment)
        # A few are clicks that nobody confirmed, and mail scanners: they never count.
        state = rng.choices(("confirmed", "provisional", "bot"), (960, 28, 12))[0]
        sheet = self.book.responses
        response = sheet.add(
            survey,
            self.life.pk,
            person.pk,
            "survey",
            f"R{sheet.next_id:07d}",
            state,
            self.life.company.country.language,
            when,
            when,
        )
        low, high, positive = {"nps": (0, 10, None), "csat": (1, 5, 4), "ces": (1, 7, None)}[kind]
        self.book.answers.add(response, kind, score, low, high, positive, "")
        if comment:
            self.book.answers.add(response, "text", None, None, None, None, comment)
        return response

    def _feedback(self) -> None:
        rng, story = self.rng, self.life.story
        for start, stop in self.life.days_as_customer():
            day = start + rng.randint(20, 320)
            while day < stop:
                day = self.calendar.workday(day)
                phase = story.phase_on(day)
                mood = self._mood(day) + rng.gauss(0, 0.15)
                sentiment = "positive" if mood > 0.76 else "neutral" if mood > 0.5 else "negative"
                area, quote = rng.choice(words()["quotes"][sentiment])
                person = whom_to_ask(self.life.people, day, rng.choice(("champion", "sponsor", "user")))
                if day < stop and person is not None and phase != "silent":
                    said = self.calendar.at(day, rng.randint(9 * HOUR, 17 * HOUR))
                    noted = stamp(min(said + rng.randint(HOUR, 20 * HOUR), self.calendar.last_moment))
                    channel = rng.choice(("Call", "Meeting", "Event"))
                    self.book.feedback.add(
                        self.life.pk, person.pk, "csm", channel, area, sentiment, quote, stamp(said), noted
                    )
                day += rng.randint(120, 460) if phase not in TROUBLE else rng.randint(50, 150)
