"""Cohorts: the table of months says what the KPI says, cell by cell."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Charge, ExchangeRate
from accounts.tests.factories import change_terms, make_account, make_user, subscribe
from csplatform.periods import Period
from metrics.kpis import Filters, KpiError, Question, ask, ask_many, rows
from metrics.kpis.cohorts import Matrix, matrix
from metrics.tests.cast import NOW, at, february, hold, make_company

pytestmark = pytest.mark.django_db
A_YEAR = Period(date(2025, 4, 1), date(2026, 3, 11))


def counted(found: Matrix, name: str) -> dict[str, list[int]]:
    return {
        cohort.key: [int(cell.counts[name]) for cell in cohort.cells]
        for cohort in found.cohorts
        if cohort.joined
    }


def buy(account: Account, *days: date, amount: int = 10) -> None:
    for day in days:
        Charge.objects.create(account=account, day=day, amount=amount, currency="EUR", recorded_at=at(day))


def test_column_0_is_the_month_of_joining_and_shows_who_left_within_it() -> None:
    subscribe(make_account("Stays"), 10, date(2026, 1, 5))
    subscribe(make_account("Leaves"), 10, date(2026, 1, 6), february(10))
    subscribe(make_account("Leaves at once"), 10, date(2026, 1, 7), date(2026, 1, 20))
    subscribe(make_account("Next"), 10, february(1))
    found = matrix(Period(date(2026, 1, 1), date(2026, 4, 1)))
    assert counted(found, "kept") == {"2026-01": [2, 1, 1], "2026-02": [1, 1]}
    assert [cohort.joined for cohort in found.cohorts] == [3, 1, 0]
    assert found.width == 3


def test_revenue_is_held_against_what_they_began_with() -> None:
    line = subscribe(make_account(), 100, date(2026, 1, 5))
    change_terms(line, february(3), unit_price=Decimal(150))
    subscribe(make_account("Globex"), 100, date(2026, 1, 9), february(27))
    found = matrix(Period(date(2026, 1, 1), date(2026, 4, 1)), variant="mrr")
    assert [cell.value for cell in found.cohorts[0].cells] == [100, 75, 75]


def test_who_comes_back_stays_in_the_first_cohort_and_counts_again() -> None:
    account = make_account()
    subscribe(account, 10, date(2026, 1, 5), date(2026, 1, 20))
    subscribe(account, 30, date(2026, 3, 3))
    found = matrix(Period(date(2026, 1, 1), date(2026, 4, 1)))
    assert counted(found, "kept") == {"2026-01": [0, 0, 1]}


def test_buyers_are_active_in_the_months_in_which_they_were_invoiced() -> None:
    buy(make_account("Every month"), date(2026, 1, 5), february(1), february(20), date(2026, 3, 31))
    buy(make_account("Once"), date(2026, 1, 31))
    returner = make_account("Sends back")
    buy(returner, date(2026, 1, 10))
    buy(returner, february(3), amount=-10)
    first_a_return = make_account("First a return")
    buy(first_a_return, date(2026, 1, 10), amount=-5)
    buy(first_a_return, february(10))
    found = matrix(Period(date(2026, 1, 1), date(2026, 4, 1)), variant="buyers")
    assert counted(found, "active") == {"2026-01": [3, 1, 1], "2026-02": [1, 0]}


@pytest.mark.parametrize("variant", ["customers", "mrr", "buyers"])
@pytest.mark.parametrize("known_at", [None, at(date(2026, 2, 12))])
def test_each_cell_is_what_the_kpi_says_of_that_cohort_and_day(variant: str, known_at: object) -> None:
    cast = make_company()
    account = make_account("Late")
    subscribe(account, 80, date(2025, 9, 3), date(2026, 1, 31), recorded_at=at(date(2025, 9, 3)))
    subscribe(account, 90, february(1), recorded_at=at(february(20)))
    subscribe(make_account("Dollars"), 50, date(2025, 9, 9), currency="USD")
    ExchangeRate.objects.create(currency="USD", starts_on=date(2025, 12, 1), rate=Decimal("0.85"))
    buy(cast.acme, date(2025, 9, 3), date(2025, 11, 3))
    buy(account, date(2025, 9, 20), february(2))
    seen = 0
    for user in (None, cast.ada):
        found = matrix(A_YEAR, variant=variant, user=user, known_at=known_at, now=NOW)  # type: ignore[arg-type]
        for cohort in found.cohorts:
            # Of those whom nobody joined, all cells are alike.
            cells = cohort.cells if cohort.joined else cohort.cells[-1:]
            of_cohort = Filters(own=(("cohort", cohort.key),))
            questions = [
                Question(
                    "cohort_retention",
                    cell.period,
                    variant=variant,
                    filters=of_cohort,
                    user=user,
                    known_at=known_at,  # type: ignore[arg-type]
                    now=NOW,
                )
                for cell in cells
            ]
            for cell, answer in zip(cells, ask_many(questions), strict=True):
                figure = answer.figure
                assert (cell.value, cell.counts, cell.reason) == (figure.value, figure.counts, figure.reason)
                seen += cell.value is not None
    assert seen > 5


def test_one_column_is_the_kpi_grouped_by_cohort() -> None:
    make_company()
    found = matrix(A_YEAR, now=NOW)
    column = {cohort.key: cohort.cells[-1].counts for cohort in found.cohorts if cohort.joined}
    answer = ask(Question("cohort_retention", A_YEAR, group_by="cohort", now=NOW))
    assert {group.key: group.figure.counts for group in answer.groups} == column
    assert {row["joined"] for row in rows(answer.question, "joined")} >= {february(3), date(2025, 6, 1)}


def test_the_whole_table_takes_one_statement() -> None:
    make_company()
    with CaptureQueriesContext(connection) as queries:
        matrix(A_YEAR)
    assert len(queries) == 1


def test_filters_take_the_accounts_of_the_last_day_and_strangers_see_nothing() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    for name, csm in (("Acme", ada), ("Globex", grace)):
        account = make_account(name)
        hold(account, csm, date(2025, 1, 1))
        subscribe(account, 10, date(2026, 1, 5))
    january = Period(date(2026, 1, 1), date(2026, 2, 1))
    assert matrix(january).cohorts[0].joined == 2
    assert matrix(january, filters=Filters(csm=ada.pk)).cohorts[0].joined == 1
    assert matrix(january, user=grace).cohorts[0].joined == 1
    assert matrix(january, user=make_user("Stranger")).cohorts[0].joined == 0


def test_a_table_of_too_many_months_is_refused() -> None:
    with pytest.raises(KpiError, match="more than 120 months"):
        matrix(Period(date(2000, 1, 1), date(2026, 1, 1)))
