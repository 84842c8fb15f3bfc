"""What must hold for any history of contracts, whoever writes it down in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import ledger
from accounts.models import Account, ExchangeRate, Subscription, SubscriptionTerms
from accounts.tests.factories import make_user
from csplatform.periods import Period
from metrics.kpis import Answer, Question, ask, ask_many
from metrics.kpis.cohorts import matrix
from metrics.kpis.counting import Filters
from metrics.tests.cast import hold

pytestmark = pytest.mark.django_db(transaction=False)

FIRST = date(2025, 10, 1)
DAYS = 180
START, END = date(2025, 12, 1), date(2026, 3, 1)
WHOLE = Period(START, END)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)

# Each example writes a handful of accounts and asks few questions: many of them stay quick.
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Change:
    day: int
    price: int
    seats: int
    is_paused: bool


@dataclass(frozen=True)
class Written:
    """A line of a contract as somebody might agree on it."""

    account: int
    starts: int
    length: int | None
    currency: str
    changes: tuple[Change, ...]


changes = st.builds(Change, st.integers(0, DAYS), st.integers(0, 900), st.integers(1, 5), st.booleans())
lines = st.builds(
    Written,
    account=st.integers(0, 3),
    starts=st.integers(0, DAYS),
    length=st.none() | st.integers(1, 120),
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
    changes=st.lists(changes, min_size=1, max_size=3).map(tuple),
)
histories = st.lists(lines, min_size=1, max_size=6)


@contextmanager
def company(written: list[Written], order: list[int] | None = None) -> Iterator[None]:
    """Write a history down, a fact at a time in any order, and forget it afterwards."""
    with transaction.atomic():
        ada, grace = make_user("Ada"), make_user("Grace")
        for day, rate in ((FIRST, "0.9"), (date(2026, 1, 1), "0.8"), (date(2026, 2, 1), "1.1")):
            ExchangeRate.objects.create(currency="USD", starts_on=day, rate=Decimal(rate))
        accounts = [Account.objects.create(name=f"Account {number}") for number in range(4)]
        hold(accounts[0], ada, FIRST, date(2026, 1, 14))
        hold(accounts[0], grace, date(2026, 1, 15))
        hold(accounts[1], ada, FIRST)
        for number, account in enumerate(accounts):
            ledger.record_traits({account.pk: {"segment": "large" if number % 2 else "small"}}, on=FIRST)
        for place in order if order is not None else range(len(written)):
            _write(written[place], accounts[written[place].account])
        yield
        transaction.set_rollback(True)


def _write(line: Written, account: Account) -> None:
    starts = FIRST + timedelta(days=line.starts)
    subscription = Subscription.objects.create(
        account=account,
        starts_on=starts,
        ends_on=None if line.length is None else starts + timedelta(days=line.length),
    )
    for change in line.changes:
        SubscriptionTerms.objects.create(
            subscription=subscription,
            effective_on=starts + timedelta(days=change.day),
            unit_price=change.price,
            quantity=change.seats,
            currency=line.currency,
            is_paused=change.is_paused,
        )
    ledger.derive([account.pk])


def asked(slug: str, period: Period = WHOLE, **more: Any) -> Answer:
    return ask(Question(slug, period, now=NOW, **more))


def figures(answer: Answer) -> list[Any]:
    return [answer.figure, *(group.figure for group in answer.groups)]


def by_group(answer: Answer) -> dict[str | None, Any]:
    return {None: answer.figure} | {group.key: group.figure for group in answer.groups}


@quick
@given(histories)
def test_opening_and_movements_make_the_closing_revenue(written: list[Written]) -> None:
    with company(written):
        for group_by in ("", "csm", "segment", "month"):
            for figure in figures(asked("mrr", group_by=group_by)):
                counts = figure.counts
                gained = counts["new"] + counts["expansion"] + counts["reactivation"]
                lost = counts["contraction"] + counts["churned"]
                beside = counts["transferred"] + counts["fx"]
                assert counts["opening"] + gained - lost + beside == counts["mrr"], group_by


@quick
@given(histories)
def test_retention_and_cohort_churn_make_a_hundred(written: list[Written]) -> None:
    with company(written):
        for group_by in ("", "csm", "segment"):
            kept = by_group(asked("customer_retention_rate", group_by=group_by))
            gone = by_group(asked("customer_churn_rate", variant="cohort", group_by=group_by))
            # A group may know churn alone: of somebody who joined and left within the period.
            assert kept.keys() <= gone.keys()
            for key, figure in kept.items():
                assert (figure.value is None) == (gone[key].value is None)
                assert figure.value is None or figure.value + gone[key].value == 100


@quick
@given(histories)
def test_gross_retention_passes_neither_a_hundred_nor_net_retention(written: list[Written]) -> None:
    with company(written):
        for group_by in ("", "csm", "segment"):
            gross = figures(asked("grr", group_by=group_by))
            net = figures(asked("nrr", group_by=group_by))
            for one, other in zip(gross, net, strict=True):
                assert (one.value is None) == (other.value is None)
                if one.value is not None:
                    assert one.value <= 100
                    assert one.numerator <= other.numerator


SLUGS = (
    "mrr",
    "committed_mrr",
    "customer_count",
    "nrr",
    "grr",
    "portfolio_growth",
    "account_annual_revenue",
    "cohort_retention",
    "customer_lifespan",
    "clv",
)


def counted() -> list[Any]:
    answers = ask_many([Question(slug, WHOLE, group_by="segment", now=NOW) for slug in SLUGS])
    return [
        (
            answer.kpi.slug,
            answer.value,
            answer.figure.counts,
            # What was recorded and taken back leaves a group that says only that it was corrected.
            {group.key: counts for group in answer.groups if any((counts := group.figure.counts).values())},
        )
        for answer in answers
    ]


@quick
@given(st.data())
def test_the_order_in_which_facts_were_recorded_changes_nothing(data: Any) -> None:
    written = data.draw(histories)
    order = data.draw(st.permutations(range(len(written))))
    with company(written):
        as_written = counted()
    with company(written, list(order)):
        assert counted() == as_written


@quick
@given(histories)
def test_what_will_be_known_in_the_far_future_is_what_is_known_now(written: list[Written]) -> None:
    with company(written):
        questions = [
            Question(slug, WHOLE, known_at=known_at, now=NOW)
            for known_at in (None, FAR_FUTURE)
            for slug in SLUGS
        ]
        found = [(answer.value, answer.figure.counts) for answer in ask_many(questions)]
        for slug, now, then in zip(SLUGS, found, found[len(SLUGS) :], strict=False):
            assert then == now, slug


FLOWS = ("new_mrr", "expansion_mrr", "contraction_mrr", "churned_mrr", "net_new_mrr", "upsell_mrr")


@quick
@given(histories, st.integers(1, WHOLE.days - 1))
def test_the_counts_of_two_parts_of_a_period_make_those_of_the_whole(
    written: list[Written], cut: int
) -> None:
    middle = START + timedelta(days=cut)
    with company(written):
        for slug in FLOWS:
            whole, *parts = (
                asked(slug, each) for each in (WHOLE, Period(START, middle), Period(middle, END))
            )
            added_up = sum(part.figure.numerator for part in parts)
            assert added_up == whole.figure.numerator, slug


@quick
@given(histories)
def test_a_cell_of_the_cohort_table_is_what_the_kpi_says(written: list[Written]) -> None:
    with company(written):
        for variant in ("customers", "mrr"):
            for cohort in matrix(WHOLE, variant=variant, now=NOW).cohorts:
                cell = cohort.cells[-1]
                own = Filters(own=(("cohort", cohort.key),))
                figure = asked("cohort_retention", cell.period, variant=variant, filters=own).figure
                assert (cell.value, cell.counts) == (figure.value, figure.counts)
