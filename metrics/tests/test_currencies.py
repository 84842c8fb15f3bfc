"""Three currencies, rates that move, and rates that are corrected."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from accounts import rates
from accounts.models import Account
from accounts.tests.factories import change_terms, make_account, subscribe
from metrics.kpis import Answer, Question, ask
from metrics.tests.cast import FEBRUARY, at, february
from team.work import Work, drain

pytestmark = pytest.mark.django_db
JANUARY = date(2026, 1, 1)
KNOWN = at(date(2026, 1, 2))
MARCH = at(date(2026, 3, 5))


def rate(currency: str, day: date, value: str, *, recorded_at: datetime = KNOWN) -> None:
    rates.record([(currency, day, Decimal(value))], at=recorded_at)


def asked(slug: str, **more: object) -> Answer:
    return ask(Question(slug, FEBRUARY, **more))  # type: ignore[arg-type]


@pytest.fixture
def books() -> None:
    """EUR 100 unchanged, USD 100 → 150, GBP 200 that leaves; the dollar falls, the pound rises."""
    for currency, before, after in (("USD", "1.10", "1.00"), ("GBP", "1.20", "1.25")):
        rate(currency, JANUARY, before)
        rate(currency, february(1), after)
    begun, known = date(2025, 1, 1), {"recorded_at": KNOWN}
    subscribe(make_account("Acme"), 100, begun, **known)
    line = subscribe(make_account("Globex"), 100, begun, currency="USD", **known)
    change_terms(line, february(10), unit_price=Decimal(150), **known)
    subscribe(make_account("Initech"), 200, begun, february(14), currency="GBP", **known)
    subscribe(make_account("Hooli"), 40, begun, currency="GBP", **known)


@pytest.mark.usefixtures("books")
def test_retention_takes_the_rates_of_the_start_for_both_ends() -> None:
    # At January's rates: 100 + 110 + 240 + 48 = 498 at the start, 100 + 165 + 0 + 48 = 313 at the end.
    found = asked("nrr")
    assert (found.figure.numerator, found.figure.denominator) == (313, 498)
    assert found.figure.counts["fx"] == (100 + 150 + Decimal("50")) - 313
    grr = asked("grr")
    assert (grr.figure.numerator, grr.figure.denominator) == (100 + 110 + 48, 498)
    assert grr.figure.counts["fx"] == found.figure.counts["fx"]


@pytest.mark.usefixtures("books")
def test_the_waterfall_closes_with_what_rates_did_in_a_line_of_its_own() -> None:
    counts = asked("mrr").figure.counts
    moved = counts["new"] + counts["expansion"] + counts["reactivation"]
    moved -= counts["contraction"] + counts["churned"]
    assert counts["opening"] + moved + counts["transferred"] + counts["fx"] == counts["mrr"] == 300
    # Opening 498; the dollar's rise of 50 and the 200 pounds lost count at February's rates.
    assert (counts["opening"], counts["expansion"], counts["churned"]) == (498, 50, 250)
    assert counts["fx"] == 100 * Decimal("-0.10") + 240 * Decimal("0.05")


def test_rates_that_stand_still_do_nothing() -> None:
    rate("USD", JANUARY, "1.10")
    subscribe(make_account(), 100, date(2025, 1, 1), currency="USD")
    assert asked("nrr").figure.counts["fx"] == 0
    assert asked("mrr").figure.counts["fx"] == 0


@pytest.mark.usefixtures("books")
def test_a_corrected_rate_is_restated_and_the_old_figure_can_still_be_had() -> None:
    before = asked("mrr")
    assert not before.restated
    rate("USD", february(1), "1.05", recorded_at=MARCH)
    now = asked("mrr")
    assert now.value == before.value + 150 * Decimal("0.05")
    assert now.restated
    (change,) = now.rate_changes
    assert (change.currency, change.starts_on, change.before, change.after) == (
        "USD",
        february(1),
        Decimal("1.00"),
        Decimal("1.05"),
    )
    then = asked("mrr", known_at=at(date(2026, 3, 1)))
    assert (then.value, then.restated, then.rate_changes) == (before.value, True, [change])
    assert not asked("mrr", known_at=at(date(2026, 3, 6))).restated


@pytest.mark.usefixtures("books")
def test_a_corrected_rate_that_a_figure_did_not_use_restates_nothing() -> None:
    rate("USD", february(1), "1.05", recorded_at=MARCH)
    assert not asked("nrr").restated, "retention takes the rates of the start"
    rate("USD", JANUARY, "1.11", recorded_at=MARCH)
    for slug in ("nrr", "grr"):
        assert asked(slug).restated


def test_a_rate_recorded_late_is_no_correction_but_was_not_known_then() -> None:
    subscribe(make_account("Acme"), 100, date(2025, 1, 1), currency="USD", recorded_at=at(date(2025, 1, 1)))
    subscribe(make_account("Globex"), 100, date(2025, 1, 1), recorded_at=at(date(2025, 1, 1)))
    rate("USD", JANUARY, "0.9", recorded_at=MARCH)
    assert (asked("mrr").value, asked("mrr").restated) == (190, False)
    then = asked("mrr", known_at=at(date(2026, 3, 1)))
    assert (then.value, then.figure.reason, then.restated) == (None, "no_exchange_rate", True)
    assert then.rate_changes[0].before is None


def test_the_copies_on_accounts_follow_a_rate_without_waiting_for_the_night() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 1, 1), currency="USD")
    other = make_account("Globex")
    subscribe(other, 70, date(2025, 1, 1))
    assert Account.objects.get(pk=account.pk).mrr is None
    rate("USD", JANUARY, "0.9")
    drain("slow", seconds=60)
    assert Account.objects.get(pk=account.pk).mrr == 90
    rate("USD", JANUARY, "0.8", recorded_at=MARCH)
    rate("USD", JANUARY, "0.8", recorded_at=MARCH)
    drain("slow", seconds=60)
    assert Account.objects.get(pk=account.pk).mrr == 80
    assert Account.objects.get(pk=other.pk).mrr == 70
    assert not Work.objects.exclude(state="done").filter(kind="accounts.refresh_after_rate").exists()
