"""Which target holds for which figure, and when it is met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from csplatform.periods import Period
from metrics.forms import TargetForm
from metrics.kpis import KPIS, Aims, Filters, Question, ask
from metrics.kpis.aims import Aim
from metrics.models import Target
from metrics.tests.cast import FEBRUARY, Cast, make_company
from team.models import User

YEAR = Period(date(2025, 3, 1), date(2026, 3, 1))
PART_OF_FEBRUARY = Period(date(2026, 2, 1), date(2026, 2, 20))


def aim_of(question: Question, *rows: Target, variant: str = "", group_by: str = "", group: str = "") -> Aim:
    chosen = question.kpi.variant(variant)
    return Aims(rows).of(question, chosen, group_by=group_by, group=group)


@pytest.mark.parametrize(
    ("higher_is_better", "value", "is_met"),
    [
        (True, "80", True),
        (True, "79.999999", False),
        (True, None, None),
        (False, "80", True),
        (False, "80.000001", False),
        (None, "90", None),
    ],
)
def test_the_direction_of_the_kpi_decides_what_met_means(higher_is_better, value, is_met):
    aim = Aim(Decimal(80), None, higher_is_better)
    assert aim.is_met(None if value is None else Decimal(value)) is is_met


@pytest.mark.parametrize(
    ("higher_is_better", "value", "is_in_band"),
    [
        (True, 29, False),
        (True, 30, True),
        (True, 71, True),
        (False, 29, True),
        (False, 71, False),
        (None, 29, False),
        (None, 70, True),
        (None, 71, False),
        (True, None, None),
    ],
)
def test_only_the_bad_side_of_a_band_is_outside_of_it(higher_is_better, value, is_in_band):
    aim = Aim(None, (Decimal(30), Decimal(70)), higher_is_better)
    assert aim.is_in_band(None if value is None else Decimal(value)) is is_in_band


def test_without_anything_set_nothing_is_met_or_missed():
    aim = Aim(None, None, True)
    assert (aim.is_met(Decimal(1)), aim.is_in_band(Decimal(1))) == (None, None)


# --- Which row --------------------------------------------------------------------------

CSAT = Question("csat", FEBRUARY)
MRR = Question("mrr", FEBRUARY)


def test_a_rate_of_a_group_is_held_against_the_kpis_target_unless_it_has_its_own():
    whole = Target(kpi="csat", value=80)
    own = Target(kpi="csat", group_by="segment", group="small", value=70)
    assert aim_of(CSAT, whole, own).target == 80
    assert aim_of(CSAT, whole, own, group_by="segment", group="small").target == 70
    assert aim_of(CSAT, whole, own, group_by="segment", group="large").target == 80
    assert aim_of(CSAT, whole, own, group_by="plan", group="small").target == 80


def test_a_sum_of_a_group_is_no_part_of_the_kpis_target():
    whole = Target(kpi="mrr", value=1_000_000)
    own = Target(kpi="mrr", group_by="segment", group="small", value=70)
    assert aim_of(MRR, whole, own).target == 1_000_000
    assert aim_of(MRR, whole, own, group_by="segment", group="small").target == 70
    assert aim_of(MRR, whole, own, group_by="segment", group="large").target is None


def test_a_filter_selects_a_group_as_well_as_grouping_does():
    whole = Target(kpi="mrr", value=1_000_000)
    own = Target(kpi="mrr", group_by="segment", group="small", value=70)
    small = replace(MRR, filters=Filters(segment="small"))
    assert aim_of(small, whole, own).target == 70
    assert aim_of(replace(MRR, filters=Filters(segment="small", plan="basic")), whole, own).target is None
    assert aim_of(replace(MRR, filters=Filters(account=3)), whole, own).target is None
    # A plan within a segment is neither the whole plan nor the whole segment.
    assert aim_of(small, whole, own, group_by="plan", group="basic").target is None


def test_whoever_sees_part_of_the_company_is_not_measured_by_the_sum_for_all():
    ada = User(pk=7, role=User.Role.CSM)
    manager = User(pk=8, role=User.Role.MANAGER)
    rows = [Target(kpi="mrr", value=1_000_000), Target(kpi="mrr", group_by="csm", group="7", value=90)]
    assert aim_of(replace(MRR, user=ada), *rows).target == 90
    assert aim_of(replace(MRR, user=manager), *rows).target is None
    assert aim_of(replace(MRR, user=manager), *rows, group_by="csm", group="7").target == 90
    assert aim_of(replace(CSAT, user=manager), Target(kpi="csat", value=80)).target == 80
    assert aim_of(replace(MRR, user=User(pk=9, role=User.Role.VIEWER)), *rows).target == 1_000_000


def test_a_variant_of_another_unit_has_a_target_of_its_own_or_none():
    every = Target(kpi="csat", value=80)
    assert KPIS["csat"].variant("mean").unit != KPIS["csat"].unit
    assert aim_of(CSAT, every, variant="mean").target is None
    assert aim_of(CSAT, every, Target(kpi="csat", variant="mean", value=4), variant="mean").target == 4
    churn = Question("customer_churn_rate", FEBRUARY)
    rows = [
        Target(kpi="customer_churn_rate", value=5),
        Target(kpi="customer_churn_rate", variant="cohort", value=4),
    ]
    assert [aim_of(churn, *rows, variant=slug).target for slug in ("all", "cohort", "widened")] == [5, 4, 5]


@pytest.mark.parametrize(
    ("months", "period", "holds"),
    [
        (1, FEBRUARY, True),
        (1, PART_OF_FEBRUARY, False),
        (1, YEAR, False),
        (12, YEAR, True),
        (12, FEBRUARY, False),
        (12, Period(date(2025, 3, 2), date(2026, 3, 2)), False),
        (None, YEAR, True),
        (None, PART_OF_FEBRUARY, True),
    ],
)
def test_a_target_for_one_length_of_period_holds_for_no_other(months, period, holds):
    aim = aim_of(Question("nrr", period), Target(kpi="nrr", value=110, months=months))
    assert (aim.target == 110) is holds


def test_target_and_benchmark_are_looked_for_each_by_itself():
    whole = Target(kpi="csat", value=80, benchmark_low=70, benchmark_high=90)
    own = Target(kpi="csat", group_by="segment", group="small", benchmark_low=60, benchmark_high=65)
    aim = aim_of(CSAT, whole, own, group_by="segment", group="small")
    assert (aim.target, aim.benchmark) == (80, (60, 65))


def test_the_definitions_own_benchmark_holds_until_an_admin_sets_another():
    nps = Question("nps", FEBRUARY)
    assert aim_of(nps).benchmark == (30, 70)
    assert aim_of(nps, group_by="segment", group="small").benchmark == (30, 70)
    assert aim_of(nps, Target(kpi="nps", benchmark_low=20, benchmark_high=40)).benchmark == (20, 40)


# --- In the answer ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_company()
        transaction.set_rollback(True)


@pytest.fixture
def company(told: Cast, db: None) -> Cast:
    return told


def test_an_answer_and_each_of_its_groups_carry_their_targets(company):
    question = Question("nps", FEBRUARY, group_by="csm")
    before = ask(question)
    adas = next(group.figure.value for group in before.groups if group.label == "Ada")
    low = min(group.figure.value for group in before.groups)
    Target.objects.create(kpi="nps", value=low, benchmark_low=5, benchmark_high=60)
    Target.objects.create(kpi="nps", group_by="csm", group=str(company.ada.pk), value=adas + 1)
    found = ask(question).as_dict()
    assert (Decimal(found["target"]), found["target_met"]) == (low, True)
    assert found["benchmark"] == {"low": "5", "high": "60"}
    for group in found["groups"]:
        own, is_met = (round(adas + 1, 6), False) if group["label"] == "Ada" else (low, True)
        assert (Decimal(group["target"]), group["target_met"]) == (own, is_met)


def test_the_steps_of_a_series_carry_the_target_of_their_length(company):
    Target.objects.create(kpi="nrr", value=100, months=1)
    found = ask(Question("nrr", YEAR, group_by="month"))
    assert found.target is None
    assert {group.aim.target for group in found.groups} == {100}


def test_one_query_reads_all_targets(company, django_assert_num_queries):
    kpis = list(KPIS.values())
    with django_assert_num_queries(1):
        aims = Aims()
        for kpi in kpis:
            aims.of(Question(kpi.slug, FEBRUARY, definition=kpi), kpi.default)


# --- Setting them -----------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kpi": "nothing"}, "kpi"),
        ({"variant": "nothing"}, "variant"),
        ({"group_by": "colour", "group": "red"}, "group_by"),
        ({"group_by": "month", "group": "2026-01-01"}, "group_by"),
        ({"group_by": "segment"}, "group"),
        ({"group": "small"}, "group_by"),
        ({"group_by": "csm", "group": "ada"}, "group"),
        ({"group_by": "csm", "group": "9" * 30}, "group"),
        ({"value": "NaN"}, "value"),
        ({"value": "1e400"}, "value"),
        ({"value": ""}, "value"),
        ({"benchmark_low": "3"}, "benchmark_high"),
        ({"benchmark_high": "3"}, "benchmark_low"),
        ({"benchmark_low": "3", "benchmark_high": "2"}, "benchmark_high"),
        ({"months": "7"}, "months"),
        ({"kpi": "mrr", "months": "12"}, "months"),
        ({"kpi": "mrr", "watch_by": "segment"}, "watch_by"),
        ({"watch_by": "month"}, "watch_by"),
        ({"group_by": "segment", "group": "small", "watch_by": "csm"}, "watch_by"),
        ({"kpi": "tickets_received", "value": "5"}, "value"),
    ],
)
def test_what_cannot_be_a_target_is_refused_beside_its_field(changes, field):
    form = TargetForm({"kpi": "csat", "value": "80", **changes})
    assert list(form.errors) == [field]


@pytest.mark.django_db
def test_a_second_target_for_the_same_figure_is_refused_in_words():
    Target.objects.create(kpi="csat", value=80)
    form = TargetForm({"kpi": "csat", "value": "70"})
    assert form.non_field_errors() == ["This has a target already: change that one."]
    assert TargetForm({"kpi": "csat", "value": "70", "variant": "mean"}).is_valid()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"kpi": "csat", "value": 80, "months": 5},
        {"kpi": "csat", "value": 80, "group": "small"},
        {"kpi": "csat", "value": 80, "group_by": "segment", "group": "a", "watch_by": "csm"},
        {"kpi": "csat", "benchmark_low": 3, "benchmark_high": 2},
    ],
)
def test_the_database_refuses_it_too(fields):
    with pytest.raises(IntegrityError), transaction.atomic():
        Target.objects.create(**fields)
