"""Exchange rates: recorded once for the page, the admin and imports, and what is missing.

A correction is a further row for the same day, so that figures can be told as they were known then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Min, Q

from accounts.fields import LATEST
from accounts.models import Account, Charge, Cost, ExchangeRate, Movement
from team.work import enqueue

Outcome = Literal["created", "updated", "unchanged"]


def check(currency: str, rate: Decimal) -> None:
    """Raise ValidationError, naming the field, for what is no rate."""
    if currency == settings.REPORTING_CURRENCY:
        raise ValidationError(
            {"currency": f"{currency} is the reporting currency: one unit of it is always worth one."}
        )
    if rate <= 0:
        raise ValidationError({"rate": "A rate is above zero."})


@transaction.atomic
def record(rows: Iterable[tuple[str, date, Decimal]], *, at: datetime) -> list[Outcome]:
    """Record (currency, first day, rate) and have the accounts they concern worked out again.

    Says of each row what became of it; a rate that is known already changes nothing.
    """
    given = list(rows)
    known = {
        (row.currency, row.starts_on): row.rate
        for row in ExchangeRate.objects.filter(currency__in={currency for currency, *_ in given}).in_order()
    }
    new: list[ExchangeRate] = []
    outcomes: list[Outcome] = []
    for currency, starts_on, rate in given:
        before = known.get((currency, starts_on))
        if before == rate:
            outcomes.append("unchanged")
            continue
        outcomes.append("created" if before is None else "updated")
        known[currency, starts_on] = rate
        new.append(ExchangeRate(currency=currency, starts_on=starts_on, rate=rate, recorded_at=at))
    ExchangeRate.objects.bulk_create(new, batch_size=1_000)
    refresh_soon({row.currency for row in new})
    return outcomes


def refresh_soon(currencies: Iterable[str]) -> None:
    """Have the copies of those who pay in these currencies worked out again."""
    for currency in sorted(currencies):
        enqueue("accounts.refresh_after_rate", key=f"rate: {currency}", payload={"currency": currency})


# --- What is missing ------------------------------------------------------------------


@dataclass(frozen=True)
class Books:
    """What is kept in one currency, and from when on it can be exchanged."""

    currency: str
    first_day: date
    accounts: int
    rates_from: date | None = None
    newest: ExchangeRate | None = None
    not_counted: int = 0

    @property
    def is_gap(self) -> bool:
        return self.rates_from is None or self.first_day < self.rates_from


def books() -> list[Books]:
    """Return the currencies that amounts are in, but for the reporting currency, each with its gap.

    Books in one other currency alone need no rate until one is recorded: figures are told in it.
    """
    first: dict[str, date] = {}
    for rows, day in ((Movement, "effective_on"), (Charge, "day"), (Cost, "day")):
        found = rows._default_manager.order_by().values("currency").annotate(first=Min(day))
        for row in found:
            first[row["currency"]] = min(row["first"], first.get(row["currency"], row["first"]))
    rates: dict[str, list[ExchangeRate]] = {}
    for rate in ExchangeRate.objects.in_order():
        rates.setdefault(rate.currency, []).append(rate)
    if len(first) == 1 and not rates:
        return []
    lines = []
    for currency in sorted(first.keys() - {settings.REPORTING_CURRENCY}):
        known = rates.get(currency, [])
        rates_from = known[0].starts_on if known else None
        before = Q(movements__effective_on__lt=rates_from or LATEST)
        counted = Account.objects.filter(movements__currency=currency).aggregate(
            accounts=Count("pk", distinct=True), not_counted=Count("pk", distinct=True, filter=before)
        )
        lines.append(
            Books(
                currency=currency,
                first_day=first[currency],
                accounts=counted["accounts"],
                rates_from=rates_from,
                newest=known[-1] if known else None,
                not_counted=counted["not_counted"]
                if not known or first[currency] < known[0].starts_on
                else 0,
            )
        )
    return lines
