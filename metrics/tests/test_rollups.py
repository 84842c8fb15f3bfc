"""Stored figures: always what counting gives, whatever happens between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import changes
from accounts.models import FactChange
from accounts.tests.factories import make_account, make_user, subscribe
from csplatform.periods import Period, day_of
from metrics import rollups
from metrics.kpis import (
    DIMENSIONS,
    KPIS,
    Answer,
    Filters,
    Kpi,
    Question,
    Variant,
    ask,
    ask_many,
    ask_stored,
    series,
)
from metrics.kpis.asking import count_many
from metrics.kpis.reach import FleetingError, reads_of
from metrics.models import KpiRollUp
from metrics.tests.cast import FEBRUARY, Cast, answer, february, make_company
from team.models import User

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)
JANUARY = FEBRUARY.previous()


@pytest.fixture(scope="module")
def told(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    """Make the company and work everything out about February, once for all tests here."""
    with django_db_blocker.unblock(), transaction.atomic():
        cast = make_company()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rollups, "MONTHS_BACK", 2)
            rollups.plan(TODAY)
        KpiRollUp.objects.exclude(ends_on__in=[JANUARY.last_day, FEBRUARY.last_day]).delete()
        KpiRollUp.objects.exclude(starts_on__in=[JANUARY.start, FEBRUARY.start]).delete()
        work_out()
        yield cast
        transaction.set_rollback(True)


@pytest.fixture
def company(told: Cast, db: None) -> Cast:
    return told


def work_out() -> rollups.Refreshed:
    return rollups.refresh(rows=rollups.due_now)


def every_variant() -> Iterator[object]:
    for kpi in KPIS.values():
        for variant in kpi.variants:
            yield pytest.param(kpi, variant, id=f"{kpi.slug} {variant.slug}".strip())


all_variants = pytest.mark.parametrize(("kpi", "variant"), list(every_variant()))


def about(kpi: Kpi, variant: Variant, **asked: Any) -> Question:
    return Question(kpi.slug, asked.pop("period", FEBRUARY), variant=variant.slug, **asked)


def groupings(kpi: Kpi) -> list[str]:
    own = [grouping.slug for grouping in kpi.own_groups if not grouping.takes_name]
    return ["", *(name for name in DIMENSIONS if name in kpi.groups), *own]


def stored(question: Question) -> Answer:
    found = ask_stored([question])[0]
    assert found is not None, "it is not stored"
    return found


def same(one: Answer, other: Answer) -> None:
    assert one.figure == other.figure
    assert one.groups == other.groups
    assert (one.unit, one.currency, one.restated, one.aim) == (
        other.unit,
        other.currency,
        other.restated,
        other.aim,
    )


@all_variants
def test_every_figure_can_be_stored(kpi: Kpi, variant: Variant) -> None:
    for group_by in groupings(kpi):
        try:
            reads_of(kpi, variant, group_by, FEBRUARY)
        except FleetingError as error:
            pytest.fail(f"{kpi.slug} by {group_by or 'nothing'}: {error}")


@all_variants
def test_what_is_stored_is_what_counting_gives(kpi: Kpi, variant: Variant, company: Cast) -> None:
    for group_by in groupings(kpi):
        question = about(kpi, variant, group_by=group_by)
        same(stored(question), count_many([question])[0])


@all_variants
def test_a_group_asked_for_alone_is_what_counting_gives(kpi: Kpi, variant: Variant, company: Cast) -> None:
    for group_by in set(DIMENSIONS) & set(kpi.groups):
        keys = [group.key for group in ask(about(kpi, variant, group_by=group_by)).groups if group.key]
        nobody = str(make_user("Nobody").pk) if group_by == "csm" else "no such group"
        for key in [*keys, nobody]:
            filters = Filters(**{group_by: int(key) if group_by == "csm" else key})
            question = about(kpi, variant, filters=filters)
            same(stored(question), count_many([question])[0])


def test_a_stored_series_takes_two_statements_and_counts_nothing(company: Cast) -> None:
    whole = Period(JANUARY.start, FEBRUARY.end)
    question = Question("nrr", whole)
    with CaptureQueriesContext(connection) as queries:
        answers = series(question, "month")
    assert len(queries) == 2, "targets, the roll-ups"
    assert [found.figure for found in answers] == [
        counted.figure for counted in count_many([replace(question, period=p) for p in (JANUARY, FEBRUARY)])
    ]


def test_what_is_not_stored_is_counted(company: Cast) -> None:
    ada = make_user("Reader", User.Role.CSM)
    for question in (
        Question("mrr", Period(date(2026, 2, 1), date(2026, 2, 20))),
        Question("mrr", FEBRUARY, user=ada),
        Question("mrr", FEBRUARY, filters=Filters(account=company.acme.pk)),
        Question("mrr", FEBRUARY, filters=Filters(segment="large", plan="pro")),
        Question("mrr", FEBRUARY, filters=Filters(segment="")),
        Question("mrr", FEBRUARY, group_by="plan", filters=Filters(segment="large")),
        Question("mrr", FEBRUARY, known_at=datetime(2026, 3, 9, tzinfo=UTC)),
    ):
        assert ask_stored([question]) == [None]
        assert ask(question).figure == count_many([question])[0].figure


def stale_kpis(period: Period = FEBRUARY) -> set[tuple[str, str]]:
    rows = rollups.stale().filter(starts_on=period.start)
    return set(rows.values_list("kpi", "group_by"))


def test_a_new_fact_is_in_the_answer_at_once_and_in_the_stored_one_later(company: Cast) -> None:
    before = ask(Question("nps", FEBRUARY)).figure
    answer("nps", 10, day=february(20))
    assert ask_stored([Question("nps", FEBRUARY)]) == [None]
    assert ask(Question("nps", FEBRUARY)).figure.denominator == before.denominator + 1
    work_out()
    assert stored(Question("nps", FEBRUARY)).figure.denominator == before.denominator + 1


def test_a_late_answer_makes_stale_what_counts_answers_of_its_month_and_nothing_else(company: Cast) -> None:
    answer("nps", 10, day=february(20))
    rollups.absorb()
    found = {kpi for kpi, _ in stale_kpis()}
    assert {"nps", "csat", "ces"} <= found
    assert found.isdisjoint({"mrr", "customer_count", "tickets_received", "touches", "monthly_active_users"})
    assert {group_by for kpi, group_by in stale_kpis() if kpi == "nps"} >= {"", *DIMENSIONS}
    assert {kpi for kpi, _ in stale_kpis(JANUARY)}.isdisjoint({"nps", "csat", "ces"})


def test_a_late_movement_makes_stale_the_balances_after_it_and_the_flows_of_its_month(company: Cast) -> None:
    subscribe(make_account("Late"), 100, date(2026, 1, 10))
    rollups.absorb()
    late_in_january, later = (
        {kpi for kpi, group_by in stale_kpis(p) if not group_by} for p in (JANUARY, FEBRUARY)
    )
    assert {"mrr", "new_mrr", "customer_count"} <= late_in_january
    assert {"mrr", "nrr", "grr", "customer_count"} <= later
    assert "new_mrr" not in later
    assert not {"nps", "tickets_received", "monthly_active_users"} & (late_in_january | later)


def test_only_figures_that_changed_are_written(company: Cast) -> None:
    before = dict(KpiRollUp.objects.values_list("pk", "figure"))
    answer("nps", 10, day=february(20), account=company.acme)
    work_out()
    after = dict(KpiRollUp.objects.values_list("pk", "figure"))
    changed = KpiRollUp.objects.filter(pk__in=[pk for pk in after if after[pk] != before[pk]])
    assert {row.kpi for row in changed} == {"nps"}
    assert {row.starts_on for row in changed} == {FEBRUARY.start}


def test_a_hand_over_makes_stale_the_groups_by_csm_alone(company: Cast) -> None:
    company.acme.assignments.update(ends_on=february(10))
    rollups.absorb()
    assert {group_by for kpi, group_by in stale_kpis() if kpi != "touch_coverage"} == {"csm"}
    assert {"mrr", "nps", "tickets_received"} <= {kpi for kpi, _ in stale_kpis()}
    assert {"mrr", "nps", "tickets_received"}.isdisjoint(kpi for kpi, _ in stale_kpis(JANUARY))


def test_a_fact_between_counting_and_storing_leaves_the_figure_stale(
    company: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("nps", 10, day=february(20))
    count = rollups._count

    def interrupted(batch: Any) -> Any:
        found = count(batch)
        monkeypatch.setattr(rollups, "_count", count)
        answer("nps", 0, day=february(21))
        rollups.absorb()
        return found

    monkeypatch.setattr(rollups, "_count", interrupted)
    rollups.absorb()
    rollups._work_out(list(rollups.due_now(timezone.now()).filter(kpi="nps")), rollups.Refreshed())
    assert ask_stored([Question("nps", FEBRUARY)]) == [None]
    row = KpiRollUp.objects.get(kpi="nps", group_by="", starts_on=FEBRUARY.start)
    assert row.stored < row.generation
    assert row.stale_since is not None
    work_out()
    same(stored(Question("nps", FEBRUARY)), count_many([Question("nps", FEBRUARY)])[0])


def test_a_worker_that_dies_while_counting_leaves_the_old_figure_stale(
    company: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("nps", 10, day=february(20))

    def dies(counted: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rollups, "_store", dies)
        with pytest.raises(KeyboardInterrupt):
            work_out()
    assert ask_stored([Question("nps", FEBRUARY)]) == [None]
    answer("nps", 10, day=february(20))
    work_out()
    same(stored(Question("nps", FEBRUARY)), count_many([Question("nps", FEBRUARY)])[0])


def test_a_slower_worker_does_not_replace_what_a_faster_one_stored(company: Cast) -> None:
    row = KpiRollUp.objects.get(kpi="nps", group_by="", starts_on=FEBRUARY.start)
    answer("nps", 10, day=february(20))
    rollups.absorb()
    rollups._take([row])
    slow = rollups._count([row])
    answer("nps", 10, day=february(21))
    work_out()
    assert rollups._store(slow) == 0
    same(stored(Question("nps", FEBRUARY)), count_many([Question("nps", FEBRUARY)])[0])


def test_one_figure_that_cannot_be_counted_does_not_stop_the_others(
    company: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(questions: Any) -> Any:
        if any(question.slug == "csat" for question in questions):
            raise ZeroDivisionError("broken")
        return count_many(questions)

    answer("nps", 10, day=february(20))
    monkeypatch.setattr(rollups, "count_many", count)
    done = work_out()
    assert done.failed
    assert {kpi for kpi, _ in stale_kpis()} == {"csat"}
    row = rollups.stale().first()
    assert row is not None
    assert "ZeroDivisionError" in row.error
    assert row.retry_at is not None


def test_an_age_lets_pages_take_what_is_stale_and_says_since_when(company: Cast) -> None:
    # PostgreSQL's clock stands still within a transaction, and this one began with the module.
    before = ask(Question("nps", FEBRUARY))
    answer("nps", 10, day=february(20))
    question = Question("nps", FEBRUARY)
    for absorb in (lambda: None, rollups.absorb):
        absorb()
        old = ask(question, max_age=timedelta(hours=1))
        assert old.figure == before.figure
        assert old.data_as_of < question.now
        assert ask(question, max_age=timedelta(0)).figure != before.figure
    KpiRollUp.objects.update(stale_since=timezone.now() - timedelta(hours=2))
    assert ask(question, max_age=timedelta(hours=1)).figure != before.figure


def test_a_figure_that_the_clock_changes_is_counted_from_then_on(company: Cast) -> None:
    question = Question("first_contact_resolution_rate", FEBRUARY)
    row = KpiRollUp.objects.get(kpi=question.slug, variant="settled", group_by="", starts_on=FEBRUARY.start)
    assert row.steady_until is not None
    stored(question)
    soon = timezone.now() + timedelta(hours=1)
    KpiRollUp.objects.update(steady_until=None)  # an hour on it may be tomorrow, which changes others
    KpiRollUp.objects.filter(pk=row.pk).update(steady_until=soon)
    assert ask_stored([replace(question, now=soon)]) == [None]
    assert ask_stored([replace(question, now=timezone.now())]) != [None]
    assert rollups.absorb(now=soon) == 1
    assert ask_stored([question]) == [None]


def test_another_definition_or_setting_makes_everything_stale(company: Cast, settings: Any) -> None:
    question = Question("nps", FEBRUARY)
    stored(question)
    settings.SMALL_SAMPLE = 3
    assert ask_stored([question]) == [None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "MONTHS_BACK", 2)
        rollups.plan(TODAY)
    rollups.refresh(rows=lambda now: rollups.due_now(now).filter(kpi="nps", ends_on=FEBRUARY.last_day))
    assert not stored(question).figure.is_small_sample


def test_planning_again_changes_nothing_and_another_day_only_what_has_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollups, "MONTHS_BACK", 2)
    assert rollups.plan(TODAY) > 0
    assert rollups.plan(TODAY) == 0
    before = set(KpiRollUp.objects.values_list("starts_on", "ends_on"))
    assert rollups.plan(TODAY + timedelta(days=1)) > 0
    after = set(KpiRollUp.objects.values_list("starts_on", "ends_on"))
    assert {ends_on for _, ends_on in before - after} == {TODAY}
    assert {ends_on for _, ends_on in after - before} == {TODAY + timedelta(days=1)}


def test_what_is_looked_at_most_is_worked_out_first(company: Cast) -> None:
    KpiRollUp.objects.filter(starts_on=JANUARY.start).update(urgency=rollups.TOTALS_NOW)
    rollups.forget(KpiRollUp.objects.all())
    first = rollups.due_now(timezone.now())[:10]
    assert {row.starts_on for row in first} == {JANUARY.start}
    urgent = rollups.due(timezone.now() + timedelta(hours=1), most_urgent_only=True)
    assert {row.starts_on for row in urgent} == {JANUARY.start}


def test_a_worker_that_is_told_to_stop_ends_after_the_batch_in_hand(
    company: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollups.forget(KpiRollUp.objects.all())
    monkeypatch.setattr(rollups, "is_told_to_stop", lambda: True)
    assert work_out().counted == rollups.FIRST_BATCH


def test_planning_comes_in_pieces_and_ends_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MONTHS_BACK", 0)
    monkeypatch.setattr(rollups, "_planned", {})
    KpiRollUp.objects.all().delete()
    now = timezone.now()
    assert not rollups.plan_if_needed(now, seconds=0)
    assert not KpiRollUp.objects.exists()
    assert rollups.plan_if_needed(now, seconds=600)
    assert KpiRollUp.objects.exists()
    assert rollups.plan(day_of(now)) == 0


def test_facts_of_a_year_are_absorbed_once_and_leave_the_log(company: Cast) -> None:
    for month in range(1, 13):
        answer("nps", 9, day=date(2025, month, 3))
    assert FactChange.objects.exists()
    rollups.absorb()
    assert not FactChange.objects.exists()
    assert rollups.absorb() == 0


def test_many_questions_take_few_statements_when_all_is_stored(company: Cast) -> None:
    questions = [
        Question(kpi.slug, period, group_by=group_by)
        for kpi in KPIS.values()
        for period in (JANUARY, FEBRUARY)
        for group_by in ("", "segment")
        if not group_by or group_by in kpi.groups
    ]
    with CaptureQueriesContext(connection) as queries:
        answers = ask_many(questions)
    # Targets, the roll-ups, their groups, whether those still fit.
    assert len(queries) <= 4
    assert [found.figure for found in answers] == [counted.figure for counted in count_many(questions)]


def fresh_figures_that_read(table: str) -> list[Question]:
    fresh = KpiRollUp.objects.filter(stored=F("generation"), group_by="", reads__contains=table)
    return [Question(row.kpi, row.period, variant=row.variant) for row in fresh]


def remove(tracked: changes.Tracked, pk: Any) -> None:
    tracked.model._base_manager.get(pk=pk).delete()


def postpone(tracked: changes.Tracked, pk: Any) -> None:
    """Move every day that a row has of its own."""
    names = [name for name in (*tracked.days, tracked.until) if name and "__" not in name]
    row = tracked.model._base_manager.get(pk=pk)
    later = {name: day + timedelta(days=25) for name in names if (day := getattr(row, name)) is not None}
    if later:
        tracked.model._base_manager.filter(pk=pk).update(**later)


class _UndoneError(Exception):
    pass


@pytest.mark.parametrize("change", [remove, postpone])
@pytest.mark.parametrize("label", sorted(changes.TRACKED))
def test_whatever_becomes_of_a_fact_no_figure_that_counted_it_stays_fresh(
    label: str, change: Any, company: Cast
) -> None:
    tracked = changes.TRACKED[label]
    ids = list(tracked.model._base_manager.order_by("pk").values_list("pk", flat=True))
    for pk in {*ids[:1], *ids[len(ids) // 2 :][:1], *ids[-1:]}:
        with suppress(_UndoneError, IntegrityError), transaction.atomic():
            change(tracked, pk)
            rollups.absorb()
            fresh = fresh_figures_that_read(tracked.table)
            for kept, counted in zip(ask_stored(fresh), count_many(fresh), strict=True):
                assert kept is not None
                assert kept.figure == counted.figure, (pk, kept.question)
            raise _UndoneError
