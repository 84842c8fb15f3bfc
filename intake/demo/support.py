"""Requests for help of one account: more of them, and worse ones, while things go badly.

The copies on a ticket follow the rules of `tickets.handling`, worked out here while its events
are at hand; a test holds that working them out there changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from intake.demo.calendar import HOUR, Calendar, stamp
from intake.demo.life import Book, Life
from intake.demo.people import Person, whom_to_ask
from intake.demo.stories import ENTERPRISE, MID, PHASES, SMB
from intake.demo.words import words
from tickets import calendar as business
from tickets.handling import due_times

DAY = 86_400
SETTLE_DAYS = 7
A_WEEK = {SMB: 0.085, MID: 0.17, ENTERPRISE: 0.46}  # tickets, in a calm phase
REPLY_HOURS = {SMB: 5.0, MID: 3.2, ENTERPRISE: 1.6}
TROUBLE = {"stuck", "champion_gone", "slipping", "leaving"}
CATEGORIES = (
    "How-to",
    "Scheduling",
    "Mobile app",
    "Integrations",
    "Billing",
    "Access",
    "Performance",
    "Setup",
)
WEIGHTS = {
    "onboarding": (5, 1, 2, 2, 1, 3, 0, 8),
    "stuck": (2, 1, 1, 4, 1, 2, 1, 9),
    "champion_gone": (3, 5, 2, 4, 1, 4, 5, 0),
    "price": (2, 2, 1, 1, 9, 0, 1, 0),
    "leaving": (0, 2, 1, 2, 5, 2, 2, 0),
    "noisy": (3, 7, 5, 4, 1, 1, 5, 0),
}
USUAL = (6, 4, 4, 3, 2, 2, 1, 0)
CHANNELS = ("mail", "mail", "mail", "web form", "chat", "phone")
# Minutes of business hours until the first answer and the resolution.
TARGETS = {"urgent": (60, 480), "high": (120, 1200), "normal": (240, 1800), "low": (600, 3000)}
HOLIDAYS = (
    ("New Year", 1, 1),
    ("Labour Day", 5, 1),
    ("Christmas Day", 12, 25),
    ("Second Christmas Day", 12, 26),
)


def open_the_desk(calendar: Calendar) -> business.Calendar:
    """Set the hours in which support works, unless somebody has; return what tickets are measured by."""
    if business.stored() is None:
        opened_at = at_second(calendar.at(0, 0))
        row = business.store(
            time_zone="",
            week=[((8 * 60, 18 * 60),)] * 5 + [(), ()],
            closed=[
                business.Closed(date(calendar.first.year, month, day), name, is_yearly=True)
                for name, month, day in HOLIDAYS
            ],
            targets=TARGETS,
            at=opened_at,
        )
        row.applied_at = opened_at
        row.save(update_fields=["applied_at"])
    return business.current()


def at_second(moment: int) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


@dataclass
class Request:
    """A ticket while it is being thought up."""

    contact: Person | None
    category: str
    subject: str
    priority: str
    channel: str
    agent: str
    is_trouble: bool
    opened: int
    events: list[tuple[str, int, str, str]] = field(default_factory=list)  # kind, moment, status, agent
    messages: list[tuple[str, int, bool, str]] = field(default_factory=list)  # author, moment, thanks, body
    is_reopened: bool = False
    is_lengthy: bool = False
    pk: int = 0

    def resolved(self) -> int | None:
        """Return when it was resolved for good, None while it is open."""
        since = max((e[1] for e in self.events if e[0] == "reopened"), default=0)
        return min(
            (e[1] for e in self.events if e[0] in ("resolved", "closed") and e[1] >= since), default=None
        )


class Helpdesk:
    """Thinks up the tickets of one account and writes them down."""

    def __init__(self, life: Life, book: Book, source: int, desk: business.Calendar) -> None:
        self.life = life
        self.book = book
        self.source = source
        self.desk = desk
        self.rng: Random = life.rng
        self.calendar: Calendar = life.calendar

    def run(self) -> list[Request]:
        requests = [request for day in self._days() if (request := self._request(day)) is not None]
        requests.sort(key=lambda r: r.opened)
        self._write(requests)
        return requests

    def _days(self) -> list[int]:
        story, rng = self.life.story, self.rng
        found = []
        usual = A_WEEK[story.segment] * self.life.size.events
        for start, stop in self.life.days_as_customer():
            for monday in range(start - start % 7, stop, 7):
                phase = story.phase_on(monday + 3)
                expected = usual * PHASES[phase].tickets
                while expected > 0:
                    if rng.random() < min(expected, 0.95):
                        day = monday + rng.choice((0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5))
                        if start <= day < stop:
                            found.append(day)
                    expected -= 0.95
        return found

    def _request(self, day: int) -> Request | None:
        rng, story = self.rng, self.life.story
        phase = story.phase_on(day)
        contact = whom_to_ask(
            self.life.people, day, *rng.choice((("user", "champion"), ("champion", "user")))
        )
        category = rng.choices(CATEGORIES, WEIGHTS.get(phase, USUAL))[0]
        is_urgent = category != "Billing" and rng.random() < PHASES[phase].urgent
        priority = "urgent" if is_urgent else rng.choice(("low", "normal", "normal", "normal", "high"))
        subject = rng.choice(words()["urgent_subjects"] if is_urgent else words()["subjects"][category])
        opened = self.calendar.at(day, rng.randint(7 * HOUR, 18 * HOUR))
        request = Request(
            contact,
            category,
            subject,
            priority,
            rng.choice(CHANNELS),
            rng.choice(words()["agents"]),
            phase in TROUBLE,
            opened,
        )
        self._handle(request)
        return request

    def _in_hours(self, moment: int) -> int:
        """Return that moment, or the next morning when nobody works then."""
        day, second = divmod(moment - self.calendar.at(0, 0), DAY)
        if second > 18.5 * HOUR:
            day, second = day + 1, 8 * HOUR + self.rng.randint(0, 2 * HOUR)
        return self.calendar.at(0, 0) + self.calendar.workday(day) * DAY + second

    def _later(self, moment: int, hours: float, request: Request) -> int:
        """Return a moment about that many hours later."""
        slow = 2.0 if request.is_trouble else 1.0
        later = moment + int(self.rng.lognormvariate(0, 0.7) * hours * slow * HOUR) + 120
        return later if request.priority == "urgent" else self._in_hours(later)

    def _handle(self, request: Request) -> None:
        """Play the ticket out; what would come after the last complete day does not happen."""
        rng, agent = self.rng, request.agent
        name = request.contact.name if request.contact else ""
        fill = {
            "subject": request.subject.rstrip("?!."),
            "name": name.split(" ")[0],
            "place": rng.choice(words()["places"]),
            "count": rng.randint(12, 60),
            "agent": agent.split(" ")[0],
        }
        events, messages = request.events, request.messages

        def say(author: str, moment: int, templates: list[str], *, thanks: bool = False) -> None:
            messages.append((author, moment, thanks, rng.choice(templates).format(**fill)))

        opened = request.opened
        is_urgent = request.priority == "urgent"
        events.append(("opened", opened, "New", ""))
        say("customer", opened, words()["urgent_messages" if is_urgent else "first_messages"])
        hours = REPLY_HOURS[self.life.story.segment] * (0.35 if is_urgent else 1.0)
        replied = self._later(opened, hours, request)
        events.append(("assigned", opened + (replied - opened) // 2, "Open", agent))
        events.append(("replied", replied, "Pending", agent))
        say("agent", replied, words()["agent_replies"])
        resolved = replied + rng.randint(60, 900)
        request.is_lengthy = rng.random() < (0.6 if request.is_trouble or is_urgent else 0.3)
        if request.is_lengthy:
            asked = self._later(replied, 5, request)
            say("customer", asked, words()["customer_follow_ups"])
            events.append(("status", asked, "Open", ""))
            if rng.random() < 0.3:
                second = rng.choice([a for a in words()["agents"] if a != agent])
                events.append(("reassigned", asked + 60, "Open", second))
                agent = request.agent = second
            replied = self._later(asked, 9, request)
            say("agent", replied, words()["second_replies"])
            events.append(("replied", replied, "Pending", agent))
            resolved = self._later(replied, 6, request)
        is_recent = self.calendar.last_moment - opened < 30 * DAY
        if is_recent and (request.is_trouble or is_urgent) and rng.random() < 0.65:
            self._cut(request)
            return
        events.append(("resolved", resolved, "Resolved", agent))
        if rng.random() < (0.1 if request.is_trouble else 0.035):
            request.is_reopened = True
            again = self._in_hours(resolved + rng.randint(8 * HOUR, 60 * HOUR))
            say("customer", again, words()["customer_follow_ups"])
            events.append(("reopened", again, "Open", ""))
            replied = self._later(again, 8, request)
            say("agent", replied, words()["second_replies"])
            events.append(("replied", replied, "Pending", agent))
            resolved = replied + rng.randint(600, 9000)
            events.append(("resolved", resolved, "Resolved", agent))
        elif rng.random() < 0.3:
            say("customer", resolved + rng.randint(600, 8 * HOUR), words()["thanks"], thanks=True)
        events.append(("closed", resolved + 4 * DAY, "Closed", ""))
        self._cut(request)

    def _cut(self, request: Request) -> None:
        now = self.calendar.last_moment
        request.events = [e for e in request.events if e[1] <= now]
        request.messages = [m for m in request.messages if m[1] <= now]

    # --- Writing ----------------------------------------------------------------------

    def _write(self, requests: list[Request]) -> None:
        asked: dict[tuple[int, str], list[int]] = {}
        for request in requests:
            if request.contact:
                asked.setdefault((request.contact.pk, request.category), []).append(request.opened)
        for request in requests:
            again = asked.get((request.contact.pk, request.category), []) if request.contact else []
            self._write_one(request, again)

    def _write_one(self, request: Request, asked: list[int]) -> None:
        book, opened = self.book, request.opened
        kinds = [e[0] for e in request.events]
        replies = [m[1] for m in request.messages if m[0] == "agent"]
        further = sum(m[0] == "customer" and not m[2] for m in request.messages) - 1
        resolved = request.resolved()
        first_resolved = min((e[1] for e in request.events if e[0] in ("resolved", "closed")), default=None)
        closed = max((e[1] for e in request.events if e[0] == "closed"), default=None)
        settles = None if resolved is None else resolved + SETTLE_DAYS * DAY
        is_repeated = settles is not None and any(opened < other <= settles for other in asked)
        reopened = kinds.count("reopened")
        is_first = (
            resolved is not None and len(replies) <= 1 and not further and not reopened and not is_repeated
        )
        last_status = request.events[-1][2] if resolved is None else "Closed" if closed else "Resolved"
        text = {
            moment: stamp(moment)
            for moment in {e[1] for e in request.events} | {m[1] for m in request.messages}
        }

        def told(moment: int | None) -> str | None:
            return None if moment is None else text.get(moment) or stamp(moment)

        sheet = book.tickets
        number = sheet.next_id
        request.pk = sheet.add(
            self.life.pk,
            request.contact.pk if request.contact else None,
            self.source,
            f"T{number:06d}",
            request.subject,
            request.category,
            request.channel,
            request.priority,
            last_status,
            last_status.lower(),
            request.agent if "assigned" in kinds else "",
            told(opened),
            told(min(replies, default=None)),
            told(first_resolved),
            told(resolved),
            told(closed),
            reopened,
            kinds.count("reassigned"),
            len(replies),
            further,
            is_repeated,
            is_first,
            told(settles),
            told(opened),
            told(min(replies, default=None)),
            told(resolved),
            *self._durations(request, min(replies, default=None), resolved),
        )
        for kind, moment, status, agent in request.events:
            when = text[moment]
            book.ticket_events.add(request.pk, kind, when, when, status, agent)
        for index, (author, moment, is_thanks, body) in enumerate(request.messages):
            when = text[moment]
            book.messages.add(
                request.pk, f"T{number:06d}-{index + 1}", author, True, is_thanks, body, when, when
            )

    def _durations(self, request: Request, *moments: int | None) -> list[Any]:
        """Return seconds by any clock and in business hours for each moment, then when they are due."""
        opened_at, hours = at_second(request.opened), self.desk.hours
        found: list[Any] = []
        for moment in moments:
            if moment is None:
                found += [None, None]
            else:
                found += [moment - request.opened, hours.seconds_between(opened_at, at_second(moment))]
        target = self.desk.targets.get(request.priority, business.Target())
        dues = due_times(opened_at, target, hours)
        return [*found, *(None if due is None else stamp(int(due.timestamp())) for due in dues)]
