"""What holds for every KPI: the rows add up to the counts, the groups to the total."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from csplatform.periods import Period
from metrics.calculations import Spread, as_counted
from metrics.kpis import DIMENSIONS, KPIS, Answer, Filters, Question, Variant, ask, ask_many, rows, series
from metrics.kpis.counting import ONE, TERMS_A_STATEMENT, Term, count
from metrics.kpis.definition import MARGIN, PERIOD_DAYS, PERIOD_MONTHS, SPREAD, Amount, Kpi, Part, Scope
from metrics.kpis.documents import UNITS
from metrics.tests.cast import FEBRUARY, NOW, Cast, make_company
from metrics.tests.custom_cast import add_facts, custom_kpis
from tickets.models import Ticket

pytestmark = pytest.mark.django_db


def every_kpi() -> list[Kpi]:
    """Those of the code, and some that an installation might define itself."""
    return [*KPIS.values(), *custom_kpis()]


def every_variant() -> Iterator[object]:
    for kpi in every_kpi():
        for variant in kpi.variants:
            yield pytest.param(kpi, variant, id=f"{kpi.slug} {variant.slug}".strip())


all_variants = pytest.mark.parametrize(("kpi", "variant"), list(every_variant()))


@pytest.fixture(scope="module")
def told(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    """Make the company once for all tests here: what a test changes is rolled back after it."""
    with django_db_blocker.unblock(), transaction.atomic():
        cast = make_company()
        add_facts(cast)
        yield cast
        transaction.set_rollback(True)
    ANSWERS.clear()
    TOTALS.clear()


@pytest.fixture
def company(told: Cast, db: None) -> Cast:
    return told


def about(kpi: Kpi, variant: Variant, **asked: object) -> Question:
    return Question(kpi.slug, FEBRUARY, variant=variant.slug, now=NOW, definition=kpi, **asked)  # type: ignore[arg-type]


# What was said about the company as it was made. A test that changes facts asks anew.
ANSWERS: dict[Question, Answer] = {}
TOTALS: dict[tuple[Any, ...], Decimal] = {}


def answer(question: Question) -> Answer:
    return answers([question])[0]


def answers(questions: list[Question]) -> list[Answer]:
    missing = [question for question in questions if question not in ANSWERS]
    ANSWERS.update(zip(missing, ask_many(missing), strict=True))
    return [ANSWERS[question] for question in questions]


def total_of_rows(question: Question, name: str) -> Decimal:
    """Add the rows up; variants that count the same rows, in the same part, share the sum."""
    part = question.kpi.variant(question.variant).part_of(name)
    asked = (id(part), name, question.scope, question.filters)
    if asked not in TOTALS:
        TOTALS[asked] = sum((row["amount"] for row in rows(question, name)), Decimal(0))
    return TOTALS[asked]


@all_variants
def test_a_definition_says_what_it_is_in_words(kpi: Kpi, variant: Variant) -> None:
    assert kpi.definition.endswith(".")
    assert variant.formula_text
    assert variant.source_text
    assert kpi.unit in UNITS
    if variant.calculate is not as_counted:
        assert all(variant.says(heading) for heading in ("Formula", "Unit", "Source"))
        known = {*variant.count_names, PERIOD_DAYS, PERIOD_MONTHS, MARGIN} | (
            {SPREAD} if variant.spread_part else set()
        )
        assert set(variant.arguments) <= known, "every argument has a count of its name"


@all_variants
def test_the_company_has_something_to_count_for_it(kpi: Kpi, variant: Variant, company: Cast) -> None:
    figure = answer(about(kpi, variant)).figure
    assert figure.value is not None
    assert figure.numerator


@all_variants
def test_the_rows_add_up_to_the_counts(kpi: Kpi, variant: Variant, company: Cast) -> None:
    question = about(kpi, variant)
    counts = answer(question).figure.counts
    for name in variant.count_names:
        found = rows(question, name)
        assert sum((row["amount"] for row in found), Decimal(0)) == counts[name], name
        assert len(found) == len(list(found)), name


@all_variants
def test_the_rows_of_a_group_add_up_to_its_counts(kpi: Kpi, variant: Variant, company: Cast) -> None:
    whole = answers([about(kpi, variant, group_by=group_by) for group_by in DIMENSIONS])
    groups = [(each.question.group_by, group) for each in whole for group in each.groups if group.key]
    questions = [
        about(kpi, variant, filters=Filters(**{name: int(group.key) if name == "csm" else group.key}))
        for name, group in groups
    ]
    for (_, group), alone in zip(groups, answers(questions), strict=True):
        assert alone.figure.counts == group.figure.counts, group.label
        for name in filter(None, (variant.numerator, variant.denominator)):
            assert total_of_rows(alone.question, name) == group.figure.counts[name], (group.label, name)


@all_variants
def test_the_groups_add_up_to_the_total(kpi: Kpi, variant: Variant, company: Cast) -> None:
    plain = answer(about(kpi, variant)).figure
    for grouped in answers([about(kpi, variant, group_by=group_by) for group_by in DIMENSIONS]):
        assert grouped.groups
        assert grouped.figure.counts == plain.counts
        for name in variant.count_names:
            total = sum(group.figure.counts[name] for group in grouped.groups)
            assert total == plain.counts[name] or (not kpi.is_additive and total > plain.counts[name])


def own_groupings(kpi: Kpi) -> Iterator[str]:
    for grouping in kpi.own_groups:
        if grouping.takes_name:
            yield from (grouping.called(name).slug for name in grouping.known_labels())
        else:
            yield grouping.slug


@all_variants
def test_the_kpis_own_groups_add_up_or_stand_beside_the_whole(
    kpi: Kpi, variant: Variant, company: Cast
) -> None:
    plain = answer(about(kpi, variant)).figure
    for group_by in own_groupings(kpi):
        grouped = answer(about(kpi, variant, group_by=group_by))
        assert grouped.groups
        assert grouped.figure.counts == plain.counts
        for name in variant.count_names:
            counts = [group.figure.counts[name] for group in grouped.groups]
            if variant.part_of(name).group(group_by) is None:
                assert set(counts) == {plain.counts[name]}, (group_by, name)
            else:
                total = sum(counts)
                assert total == plain.counts[name] or (not kpi.is_additive and total > plain.counts[name])


@all_variants
def test_the_rows_of_the_kpis_own_groups_add_up_to_their_counts(
    kpi: Kpi, variant: Variant, company: Cast
) -> None:
    for group_by in own_groupings(kpi):
        groups = answer(about(kpi, variant, group_by=group_by)).groups
        questions = [about(kpi, variant, filters=Filters(own=((group_by, group.key),))) for group in groups]
        for group, alone in zip(groups, answers(questions), strict=True):
            assert alone.figure.counts == group.figure.counts, (group_by, group.label)
            for name in variant.count_names:
                total = total_of_rows(alone.question, name)
                assert total == group.figure.counts[name], (group_by, group.label, name)


with_own_groups = pytest.mark.parametrize(
    "kpi",
    [kpi for kpi in KPIS.values() if kpi.own_groups],
    ids=lambda kpi: kpi.slug,
)


@with_own_groups
def test_a_series_of_one_group_says_the_same_as_asking_for_each_day(kpi: Kpi, company: Cast) -> None:
    for group_by in own_groupings(kpi):
        key = answer(about(kpi, kpi.default, group_by=group_by)).groups[0].key
        question = about(kpi, kpi.default, filters=Filters(own=((group_by, key),)))
        days = series(replace(question, period=Period(date(2026, 2, 9), date(2026, 2, 13))), "day")
        assert [day.figure for day in days] == [answer(day.question).figure for day in days]


@with_own_groups
def test_a_csm_sees_of_a_group_what_their_accounts_make(kpi: Kpi, company: Cast) -> None:
    for group_by in own_groupings(kpi):
        acme = Filters(account=company.acme.pk)
        mine, of_acme = answers(
            [
                about(kpi, kpi.default, user=company.ada, group_by=group_by),
                about(kpi, kpi.default, filters=acme, group_by=group_by),
            ]
        )
        assert mine.groups == of_acme.groups


@pytest.mark.parametrize(
    ("kpi", "variant"),
    [param for param in every_variant() if param.values[1].spread_part],  # type: ignore[attr-defined]
)
def test_the_values_that_are_spread_are_those_of_the_rows(kpi: Kpi, variant: Variant, company: Cast) -> None:
    part = variant.spread_part
    assert part is not None
    question = about(kpi, variant)
    facts = part.facts(question.scope).annotate(of=part.spread).exclude(of=None)
    values = sorted(facts.values_list("of", flat=True))
    assert [value for value, _ in spread_of(part)] == sorted(set(values))
    assert len(set(values)) > 1
    seen = variant.denominator or variant.numerator
    assert sum(counts[seen] for _, counts in spread_of(part)) == len(values)


def spread_of(part: Part) -> Spread:
    term = Term("spread", part, Scope(FEBRUARY, NOW), Filters(), None)
    return count([term])["spread"][""].spread(part)


def test_rows_without_a_value_count_and_are_no_part_of_the_spread(company: Cast) -> None:
    part = Part(
        facts=lambda scope: Ticket.objects.filter(external_id__in=["open", "answered 0", "answered 1"]),
        amounts={"tickets": Amount(ONE), "replies": Amount(F("agent_replies"))},
        spread=F("response_seconds"),
    )
    term = Term("all", part, Scope(FEBRUARY, NOW), Filters(), None)
    tally = count([term])["all"][""]
    assert sum(tally.amounts["tickets"].values()) == 3
    assert tally.spread(part) == [
        (3600, {"tickets": 1, "replies": 1}),
        (28 * 3600, {"tickets": 1, "replies": 1}),
    ]


def test_a_value_of_0_is_a_value(company: Cast) -> None:
    Ticket.objects.filter(external_id="answered 0").update(response_seconds=0)
    part = KPIS["first_response_time"].default.parts[0]
    assert spread_of(part)[0] == (0, {"answered": 1})


@all_variants
def test_a_series_says_the_same_as_asking_for_each_step(kpi: Kpi, variant: Variant, company: Cast) -> None:
    question = replace(about(kpi, variant), period=Period(date(2025, 12, 1), date(2026, 3, 9)))
    steps = series(question, "month")
    assert [step.question.period.end for step in steps] == [
        date(2026, 1, 1),
        date(2026, 2, 1),
        date(2026, 3, 1),
        date(2026, 3, 9),
    ]
    for step in steps:
        assert answer(step.question).figure == step.figure


@all_variants
def test_grouped_by_month_it_is_the_series(kpi: Kpi, variant: Variant, company: Cast) -> None:
    question = replace(about(kpi, variant), period=Period(date(2026, 1, 1), date(2026, 3, 1)))
    groups = ask(replace(question, group_by="month")).groups
    assert [group.label for group in groups] == ["Jan 2026", "Feb 2026"]
    assert [group.figure for group in groups] == [answer.figure for answer in series(question, "month")]


@all_variants
def test_who_holds_no_account_sees_nothing_of_it(kpi: Kpi, variant: Variant, company: Cast) -> None:
    company.grace.assignments.all().delete()
    figure = ask(about(kpi, variant, user=company.grace)).figure
    assert all(number == 0 for number in figure.counts.values())
    assert all(len(rows(about(kpi, variant, user=company.grace), name)) == 0 for name in variant.count_names)


@all_variants
def test_a_csm_sees_what_their_accounts_make(kpi: Kpi, variant: Variant, company: Cast) -> None:
    mine = answer(about(kpi, variant, user=company.ada)).figure
    by_account = answer(about(kpi, variant, filters=Filters(account=company.acme.pk))).figure
    assert mine.counts == by_account.counts, "Ada holds Acme alone today"


def test_all_kpis_are_answered_with_a_handful_of_statements(company: Cast) -> None:
    questions = [about(kpi, variant) for kpi in every_kpi() for variant in kpi.variants]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answers = ask_many(questions)
    # The counts, as many in a statement as it takes; what is stored, the targets, exchange rates,
    # features of plans.
    parts = sum(len(question.kpi.variant(question.variant).parts) for question in questions)
    assert len(queries) <= ceil(parts / TERMS_A_STATEMENT) + 4
    assert [answer.figure for answer in answers] == [ask(question).figure for question in questions]


@all_variants
def test_a_grouped_kpi_takes_few_statements(kpi: Kpi, variant: Variant, company: Cast) -> None:
    with CaptureQueriesContext(connection) as queries:
        ask(about(kpi, variant, group_by="csm"))
    # What is stored, the counts, the targets, the names of CSMs, exchange rates.
    assert len(queries) <= 5


def test_rows_of_money_that_has_a_rate_are_exchanged_without_counting_the_whole(company: Cast) -> None:
    with CaptureQueriesContext(connection) as queries:
        currencies = {row["currency"] for row in rows(Question("mrr", FEBRUARY, now=NOW), "mrr")}
    assert currencies == {"EUR", "USD"}
    assert len(queries) == 2, "the rows, the rates"


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_a_moment_counts_on_its_day_in_the_workspaces_time_zone(company: Cast, settings, zone) -> None:
    settings.TIME_ZONE = zone
    timezone.get_default_timezone.cache_clear()
    days = series(Question("tickets_received", FEBRUARY, now=NOW), "day")
    assert (
        sum(answer.value or 0 for answer in days)
        == ask(Question("tickets_received", FEBRUARY, now=NOW)).value
    )


@pytest.mark.parametrize(
    ("slug", "opening", "closing"),
    [
        ("mrr", "opening", "mrr"),
        ("customer_count", "customers_at_start", "customers"),
        ("ticket_backlog", "opening", "backlog"),
    ],
)
def test_one_days_closing_is_the_next_ones_opening(
    slug: str, opening: str, closing: str, company: Cast
) -> None:
    days = Period(date(2026, 1, 25), date(2026, 3, 9)).steps("day")
    # Grouped, what the KPI says is the sum of the groups.
    each_day = ask_many([Question(slug, day, group_by="csm", now=NOW) for day in days])
    for before, after in pairwise(each_day):
        assert after.figure.counts[opening] == before.figure.counts[closing]


def test_the_backlog_of_each_day_follows_from_the_day_before(company: Cast) -> None:
    backlog = 0
    for day in series(Question("ticket_backlog", Period(date(2026, 1, 1), date(2026, 3, 9)), now=NOW), "day"):
        counts = day.figure.counts
        backlog += counts["received"] + counts["reopened"] - counts["closed"] - counts["merged"]
        assert day.value == backlog
    assert backlog == Ticket.objects.open().filter(exclusion="").count() == 1


@pytest.mark.parametrize("group_by", ["csm", "segment", "plan", "lifecycle_stage"])
def test_the_waterfall_closes_in_every_group(group_by: str, company: Cast) -> None:
    answer = ask(Question("mrr", FEBRUARY, group_by=group_by, now=NOW))
    for figure in (answer.figure, *(group.figure for group in answer.groups)):
        counts = figure.counts
        gained = counts["new"] + counts["expansion"] + counts["reactivation"]
        lost = counts["contraction"] + counts["churned"]
        beside = counts["transferred"] + counts["fx"]
        assert counts["opening"] + gained - lost + beside == counts["mrr"]
    assert answer.figure.counts["transferred"] == 0
    assert answer.figure.counts["fx"] == -20, "200 dollars at 0.9, then at 0.8"


@pytest.mark.parametrize("group_by", ["", *DIMENSIONS])
def test_what_moved_the_customers_at_start_explains_their_revenue_at_end(
    group_by: str, company: Cast
) -> None:
    answer = ask(Question("nrr", FEBRUARY, group_by=group_by, now=NOW))
    for figure in (answer.figure, *(group.figure for group in answer.groups)):
        counts = figure.counts
        gained = counts["new"] + counts["expansion"] + counts["reactivation"]
        lost = counts["contraction"] + counts["churned"]
        assert counts["mrr_at_start"] + gained - lost == counts["mrr_at_end"]
    assert answer.figure.counts["churned"] == 300, "Initech alone: Hooli joined within the period"


def test_retention_and_cohort_churn_make_a_hundred(company: Cast) -> None:
    for group_by in ("", *DIMENSIONS):
        kept = ask(Question("customer_retention_rate", FEBRUARY, group_by=group_by, now=NOW))
        gone = ask(Question("customer_churn_rate", FEBRUARY, variant="cohort", group_by=group_by, now=NOW))
        assert kept.value is not None
        assert gone.value is not None
        assert kept.value + gone.value == 100
        for one, other in zip(kept.groups, gone.groups, strict=True):
            assert one.figure.counts["kept"] + other.figure.counts["lost"] == one.figure.denominator
