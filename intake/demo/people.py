"""Who the accounts of the demo are: their names, where they are, and the people who work there."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from random import Random

from intake.demo.calendar import Calendar
from intake.demo.stories import ENTERPRISE, MID, SMB, Story
from intake.demo.words import Country, words

_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "Ae", "'": ""})


def in_ascii(text: str) -> str:
    """Return `text` as it may stand in an address."""
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(c for c in plain if c.isascii() and (c.isalnum() or c == "-")).lower()


@dataclass(frozen=True)
class Company:
    name: str
    industry: str
    country: Country
    domain: str


@dataclass
class Person:
    """A contact; days are numbers of the calendar, `left` the first day they no longer work there."""

    name: str
    role: str
    title: str
    email: str
    known_from: int
    left: int | None = None
    pk: int = 0

    def is_there(self, day: int) -> bool:
        return self.known_from <= day and (self.left is None or day < self.left)


class Namer:
    """Gives every company a name of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._weights = [country.weight for country in words().countries]

    def company(self, rng: Random) -> Company:
        country = rng.choices(words().countries, self._weights)[0]
        culture = words().cultures[country.culture]
        trade = rng.randrange(len(culture.trades))
        stem = rng.choice(culture.stem_heads) + rng.choice(culture.stem_tails)
        name = f"{stem} {culture.trades[trade]}"
        while name in self._taken:
            stem = f"{rng.choice(culture.stem_heads)}{rng.choice(culture.stem_tails)}-{stem}"
            name = f"{stem} {culture.trades[trade]}"
        self._taken.add(name)
        domain = f"{in_ascii(name.replace(' ', '-'))}.example"
        industry = words()["industries"][trade]
        return Company(f"{name} {rng.choice(country.legal_forms)}", industry, country, domain)


def person_name(rng: Random, company: Company) -> str:
    culture = words().cultures[company.country.culture]
    return f"{rng.choice(culture.first_names)} {rng.choice(culture.last_names)}"


def address_of(name: str, domain: str) -> str:
    return f"{in_ascii(name.replace(' ', '-')).replace('-', '.', 1)}@{domain}"


def staff(story: Story, company: Company, rng: Random, calendar: Calendar) -> list[Person]:
    """Return the contacts of an account: 2 to 8, its champion first."""
    low, high = {SMB: (2, 4), MID: (4, 6), ENTERPRISE: (6, 8)}[story.segment]
    roles = ["champion", "sponsor", "billing", *["user"] * 8][: rng.randint(low, high)]
    people = [_person(role, story.joined - rng.randint(0, 30), company, rng) for role in roles]
    if story.champion_left is not None:
        people[0].left = story.champion_left
    if story.new_champion is not None:
        people.append(_person("champion", story.new_champion, company, rng))
    if len(people) > 3 and rng.random() < 0.2:
        # People come and go without a story to it.
        last = people[3]
        last.left = max(last.known_from + 60, rng.randint(30, calendar.end - 10))
        if last.left >= calendar.end:
            last.left = None
    return people


def _person(role: str, known_from: int, company: Company, rng: Random) -> Person:
    name = person_name(rng, company)
    title = rng.choice(words()["titles"][role])
    return Person(name, role, title, address_of(name, company.domain), known_from)


def whom_to_ask(people: list[Person], day: int, *roles: str) -> Person | None:
    """Return somebody who is there on that day, by the order of the roles; None when all have left."""
    for role in roles:
        for person in people:
            if person.role == role and person.is_there(day):
                return person
    return next((person for person in people if person.is_there(day)), None)
