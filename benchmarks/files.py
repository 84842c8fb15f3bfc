"""CSV files such as a billing system or a product sends; the same length gives the same file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

Rows = Iterator[tuple[object, ...]]
FIRST_DAY = date(2024, 1, 1)
EVENT_DAYS = 30
EVENTS_OF_AN_ACCOUNT = 50
PEOPLE_OF_AN_ACCOUNT = 8
FEATURES = ("login", "report opened", "report shared", "dashboard", "export", "comment", "invite", "search")


def accounts(count: int) -> Rows:
    rng = Random(7)
    yield "id", "name", "segment", "industry", "region", "country", "stage", "website", "currency"
    for number in range(count):
        yield (
            f"A{number:07d}",
            f"Company {number:07d} Ltd",
            rng.choice(("Enterprise", "Mid-market", "Small business")),
            rng.choice(("Retail", "Finance", "Health", "Logistics")),
            rng.choice(("North", "South", "West")),
            rng.choice(("DE", "FR", "GB", "US")),
            rng.choice(("Onboarding", "Adoption", "Value")),
            f"https://company-{number}.example",
            "EUR",
        )


def subscriptions(count: int) -> Rows:
    """One for each of `accounts(count)`; a tenth have ended."""
    rng = Random(8)
    yield "id", "account id", "plan", "start date", "renewal date", "end date", "seats", "price", "currency"
    for number in range(count):
        start = FIRST_DAY + timedelta(days=rng.randrange(360))
        end = start + timedelta(days=200) if rng.random() < 0.1 else None
        yield (
            f"S{number:07d}",
            f"A{number:07d}",
            rng.choice(("Basic", "Team", "Business")),
            start.isoformat(),
            (start + timedelta(days=729)).isoformat(),
            end.isoformat() if end else "",
            rng.randrange(1, 200),
            f"{rng.randrange(500, 9900) / 100:.2f}",
            "EUR",
        )


def usage_events(count: int) -> Rows:
    """Thirty days in the order in which they happened, 50 events and at most 8 people an account."""
    rng = Random(9)
    yield "message id", "account id", "user id", "event", "timestamp"
    start = datetime.combine(FIRST_DAY, datetime.min.time(), UTC)
    accounts_ = max(count // EVENTS_OF_AN_ACCOUNT, 1)
    for number in range(count):
        account = rng.randrange(accounts_)
        moment = start + timedelta(seconds=EVENT_DAYS * 86_400 * number // count)
        person = f"A{account:07d}-{rng.randrange(PEOPLE_OF_AN_ACCOUNT)}"
        yield f"M{number:09d}", f"A{account:07d}", person, rng.choice(FEATURES), moment.isoformat()


FILES: dict[str, Callable[[int], Rows]] = {
    "accounts": accounts,
    "subscriptions": subscriptions,
    "usage-events": usage_events,
}


def write(kind: str, count: int, folder: Path) -> Path:
    path = folder / f"{kind}-{count}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(FILES[kind](count))
    return path
