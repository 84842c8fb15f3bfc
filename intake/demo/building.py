"""Builds the demo's company: everybody who works there, then its customers one after the other.

Facts go to the database in bulk, a few hundred accounts at a time, so that memory stays flat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from random import Random

from django.db import transaction

from accounts.calculations import Line, state_of
from accounts.due import mark_due
from accounts.fields import EARLIEST
from intake.demo.activity import Rhythm
from intake.demo.calendar import HOUR, Calendar, stamp
from intake.demo.catalogue import stock_catalogue
from intake.demo.contracts import Draft, Negotiation, currency, renewals
from intake.demo.dealings import Dealings, refer
from intake.demo.life import SOURCE, Book, Holding, Life, Size
from intake.demo.people import Namer, staff
from intake.demo.stories import ENTERPRISE, MID, PLACES, SMB, Place, Story, cast, tell
from intake.demo.support import Helpdesk, open_the_desk
from intake.demo.team import Staff
from intake.demo.usage import Usage
from intake.demo.voice import Surveys, Voice, stock_surveys
from tickets.models import TicketSource

FLUSH = 200  # accounts whose rows wait in memory
COMMIT = 2_000  # accounts in a transaction: a small demo is there completely or not at all


class Building:
    """One run of the generator."""

    def __init__(self, calendar: Calendar, *, accounts: int, seed: int, size: Size) -> None:
        self.calendar = calendar
        self.accounts = accounts
        self.seed = seed
        self.size = size
        self.team = Staff(accounts)
        self.places: list[Place] = cast(seed)
        self.rhythm = Rhythm(calendar)
        self.namer = Namer()
        # Happy customers from among whom new ones say they heard of us.
        self.promoters: deque[Life] = deque(maxlen=24)

    def run(self, progress: Callable[[int, int], None]) -> dict[str, int]:
        """Build all accounts; return how many rows of each table there are."""
        book: Book | None = None
        for start in range(0, self.accounts, COMMIT):
            with transaction.atomic():
                if book is None:
                    book = self._open_book()
                first = book.accounts.next_id
                for number in range(start, min(start + COMMIT, self.accounts)):
                    self._account(number, book)
                    if (number + 1) % FLUSH == 0:
                        book.writer.flush()
                        progress(number + 1, self.accounts)
                is_last = start + COMMIT >= self.accounts
                if is_last:
                    self._costs(book)
                book.writer.flush()
                book.writer.reset_sequences()
                if is_last:
                    book.writer.analyze()
                mark_due(range(first, book.accounts.next_id))
            progress(min(start + COMMIT, self.accounts), self.accounts)
        return {} if book is None else {s.model._meta.label: s.written for s in book.writer.sheets}

    def _open_book(self) -> Book:
        self.plans = stock_catalogue()
        self.surveys: Surveys = stock_surveys()
        self.desk = open_the_desk(self.calendar)
        self.helpdesk = TicketSource.objects.get_or_create(name="helpdesk")[0].pk
        self.team.hire()
        return Book()

    def _account(self, number: int, book: Book) -> None:
        calendar = self.calendar
        rng = Random(f"{self.seed}/{number}")  # noqa: S311
        story = tell(number, self.places[number % PLACES], rng, calendar)
        company = self.namer.company(rng)
        life = Life(
            pk=book.accounts.next_id,
            story=story,
            company=company,
            people=staff(story, company, rng, calendar),
            contract=Negotiation(story, rng, calendar, size=self.size.seats).conclude(),
            holdings=self.team.holdings(story, calendar),
            liveliness=story.liveliness_by_week(calendar.weeks),
            calendar=calendar,
            rng=rng,
            size=self.size,
        )
        self._write_contacts(life, book)
        Money(life, book, self.plans).run()
        self._write_assignments(life, book)
        Usage(life, book, self.rhythm).run()
        requests = Helpdesk(life, book, self.helpdesk, self.desk).run()
        Voice(life, book, self.surveys).run(requests)
        Dealings(life, book).run()
        referrer = None
        if story.joined > 150 and self.promoters and rng.random() < 0.16:
            referrer = rng.choice(self.promoters)
        refer(life, referrer, book)
        if story.part in ("growing", "steady", "noisy"):
            self.promoters.append(life)

    def _write_contacts(self, life: Life, book: Book) -> None:
        calendar = life.calendar
        country = life.company.country
        for person in life.people:
            person.pk = book.contacts.add(
                life.pk,
                SOURCE,
                f"C{book.contacts.next_id:07d}",
                person.name,
                person.email,
                person.title,
                person.role,
                country.language,
                country.time_zone,
                None if person.left is None or person.left >= calendar.end else calendar.iso(person.left),
                stamp(calendar.at(person.known_from, 10 * HOUR)),
            )

    def _write_assignments(self, life: Life, book: Book) -> None:
        calendar = life.calendar

        def assign(holding: Holding, kind: str) -> None:
            is_over = holding.end is not None and holding.end <= calendar.end
            book.assignments.add(
                life.pk,
                holding.user,
                kind,
                calendar.iso(holding.start),
                calendar.iso(holding.end - 1) if is_over and holding.end is not None else None,
                stamp(calendar.at(min(holding.start, calendar.end - 1), 9 * HOUR)),
            )

        for holding in life.holdings:
            assign(holding, "csm")
        if life.story.segment == ENTERPRISE and life.holdings:
            first = life.holdings[0]
            assign(Holding(self.team.neighbour_of(life.story), first.start, life.holdings[-1].end), "backup")

    def _costs(self, book: Book) -> None:
        """What keeping customers costs, entered in the first days of the following month."""
        rng = Random(f"{self.seed}/costs")  # noqa: S311
        scale = self.accounts / PLACES
        csms = self.team.size
        usual = (
            ("payroll", 5600 * csms, "Salaries of the customer success team", 1),
            ("software", 2100 * scale, "CRM, calls and mail", 1),
            ("marketing", 1500 * scale, "Newsletter and stories", 1),
            ("training", 900 * scale, "Webinars", 2),
            ("events", 6500 * scale, "Customer day", 6),
            ("other", 400 * scale, "Travel", 1),
        )
        for number, month in enumerate(self.calendar.months):
            booked = month.end + 3
            if booked >= self.calendar.end or month.start < 0:
                continue
            for category, amount, note, every in usual:
                if number % every == 0:
                    growth = 0.72 + 0.28 * month.start / self.calendar.end
                    value = round(amount * growth * rng.uniform(0.93, 1.07), 2)
                    book.costs.add(
                        category,
                        self.calendar.iso(month.end - 1),
                        f"{value:.2f}",
                        currency(),
                        None,
                        note,
                        stamp(self.calendar.at(booked, 11 * HOUR)),
                    )


class Money:
    """Writes what one account pays: the account itself with its copies, lines, terms, movements, renewals."""

    def __init__(self, life: Life, book: Book, plans: dict[str, int]) -> None:
        self.life = life
        self.book = book
        self.plans = plans
        self.calendar = life.calendar
        self.today: date = life.calendar.until

    def run(self) -> None:
        life, book, calendar = self.life, self.book, self.calendar
        drafts = life.contract.lines
        first = book.subscriptions.next_id
        lines, history = life.contract.history(list(range(first, first + len(drafts))), calendar)
        recorded = life.contract.recorded_days()
        term_ends = [self._renewals(draft, line) for draft, line in zip(drafts, lines, strict=True)]

        heads = 0
        mrr = Decimal(0)
        joined = left = None
        for move in history.moves:
            if move.effective_on <= self.today:
                mrr += move.delta
                heads += move.customers
                joined = joined or (move.effective_on if move.customers > 0 else None)
                left = move.effective_on if move.customers < 0 else left
        plan = next((code for day, code in reversed(history.plans) if day <= self.today), "")
        ahead = [
            last
            for draft, last in zip(drafts, term_ends, strict=True)
            if last is not None
            and last >= calendar.end
            and draft.starts <= calendar.end
            and (draft.ends is None or draft.ends > calendar.end)
        ]
        segments, stages = self._segments(), self._stages()
        company = life.company
        book.accounts.add(
            company.name,
            segments[-1][1],
            company.industry,
            company.country.region,
            company.country.code,
            stages[-1][1],
            f"https://{company.domain}",
            company.country.time_zone,
            currency(),
            stamp(calendar.at(life.story.joined - 35, 10 * HOUR)),
            self.plans.get(plan),
            str(mrr),
            heads > 0,
            joined and joined.isoformat(),
            left.isoformat() if left and heads <= 0 else None,
            calendar.iso(min(ahead)) if ahead else None,
        )
        book.external_ids.add(life.pk, SOURCE, f"A{life.pk:06d}")
        self._traits("segment", segments)
        self._traits("lifecycle_stage", stages)
        self._traits("plan", [(calendar.number(day), code) for day, code in history.plans], recorded)
        for draft, line, last in zip(drafts, lines, term_ends, strict=True):
            self._line(draft, line, last)
        self._trial()
        for move in history.moves:
            day = calendar.number(move.effective_on)
            book.movements.add(
                life.pk,
                move.line,
                calendar.iso(day),
                self._learned(recorded[day]),
                move.kind,
                move.sub_kind,
                move.currency,
                str(move.delta),
                move.customers,
            )

    def _learned(self, day: int) -> str:
        return stamp(self.calendar.at(min(day, self.calendar.end - 1), 16 * HOUR))

    def _renewals(self, draft: Draft, line: Line) -> int | None:
        found, running = renewals(draft, line, self.life.rng, self.calendar)
        for renewal in found:
            self.book.renewals.add(
                self.life.pk,
                renewal.line,
                self.calendar.iso(renewal.due),
                str(renewal.due_value),
                None if renewal.renewed_value is None else str(renewal.renewed_value),
                currency(),
                renewal.outcome,
                None if renewal.decided is None else self._learned(renewal.decided),
                self._learned(renewal.recorded),
            )
        return running

    def _line(self, draft: Draft, line: Line, term_end: int | None) -> None:
        """Write a subscription with the copies that `accounts.ledger` would give it today."""
        calendar, today, rng = self.calendar, self.today, self.life.rng
        is_over = line.ends_on is not None and line.ends_on < today
        shown_on = max(min(today, line.ends_on or today), line.starts_on)
        state = state_of(line, shown_on)
        assert state is not None  # every draft has a price from its first day on
        price = max((t for t in line.terms if t.effective_on <= shown_on), key=lambda t: t.effective_on)
        overdue = None
        phase = self.life.story.phase_on(calendar.end - 1)
        if draft.kind == "recurring" and not is_over:
            odds = 0.28 if phase in ("slipping", "champion_gone", "stuck", "leaving", "price") else 0.03
            if rng.random() < odds:
                overdue = calendar.iso(max(calendar.end - rng.randint(6, 64), draft.starts))
        sheet = self.book.subscriptions
        pk = sheet.add(
            self.life.pk,
            "billing",
            f"S{sheet.next_id:06d}",
            draft.kind,
            line.starts_on.isoformat(),
            None if term_end is None else calendar.iso(term_end),
            line.ends_on.isoformat() if line.ends_on else None,
            overdue,
            self._learned(draft.recorded),
            self.plans[state.plan],
            str(state.quantity),
            str(price.unit_price),
            state.currency,
            "cancelled" if is_over else "paused" if state.paused_mrr else "active",
            str(state.mrr if line.starts_on <= today and not is_over else Decimal(0)),
        )
        for known, terms in zip(draft.prices, line.terms, strict=True):
            self.book.terms.add(
                pk,
                terms.effective_on.isoformat(),
                self._learned(known.recorded),
                self.plans[terms.plan],
                str(terms.quantity),
                str(terms.unit_price),
                terms.currency,
                terms.interval,
                str(terms.discount_percent),
                terms.discount_ends_on.isoformat() if terms.discount_ends_on else None,
                terms.is_paused,
            )

    def _trial(self) -> None:
        trial = self.life.contract.trial
        if trial is None:
            return
        sheet, calendar = self.book.subscriptions, self.calendar
        main = self.life.contract.lines[0].prices[0]
        sheet.add(
            self.life.pk,
            "billing",
            f"S{sheet.next_id:06d}",
            "trial",
            calendar.iso(trial[0]),
            None,
            calendar.iso(trial[1]),
            None,
            self._learned(trial[0]),
            self.plans[main.plan],
            str(main.seats),
            "0",
            currency(),
            "cancelled",
            "0",
        )

    # --- What the account was when ----------------------------------------------------

    def _traits(
        self, kind: str, spells: list[tuple[int, str]], recorded: dict[int, int] | None = None
    ) -> None:
        for number, (day, value) in enumerate(spells):
            learned = day if recorded is None else recorded[day]
            following = spells[number + 1][0] if number + 1 < len(spells) else None
            self.book.traits.add(
                self.life.pk,
                kind,
                value,
                EARLIEST.isoformat() if number == 0 else self.calendar.iso(day),
                None if following is None else self.calendar.iso(following - 1),
                self._learned(learned),
            )

    def _segments(self) -> list[tuple[int, str]]:
        """A small customer that grows out of its segment is moved to the next one."""
        story = self.life.story
        spells = [(story.joined, story.segment)]
        limits = {SMB: (26, MID), MID: (100, ENTERPRISE)}
        for price in self.life.contract.lines[0].prices:
            seats, following = limits.get(spells[-1][1], (10_000, ""))
            if price.seats >= seats and story.joined < price.effective < self.calendar.end:
                spells.append((price.effective, following))
        return spells

    def _stages(self) -> list[tuple[int, str]]:
        story: Story = self.life.story
        spells = [(story.joined, "Onboarding")]
        if story.onboarded is not None:
            spells.append((story.onboarded, "Adoption"))
            spells.append((max(story.joined + 270, story.onboarded + 60), "Established"))
        if story.left is not None:
            spells = [spell for spell in spells if spell[0] < story.left]
            spells.append((story.left, "Former"))
        if story.back is not None:
            spells += [(story.back, "Onboarding"), (story.back + 50, "Adoption")]
        return [spell for spell in spells if spell[0] < self.calendar.end]
