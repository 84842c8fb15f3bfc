"""Where KPIs come from: the code, apps above this one, and what is kept in the database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csplatform.periods import Period
from metrics.kpis import KPIS, KpiError, Question
from metrics.kpis.definition import Kpi
from metrics.kpis.registry import Registry
from metrics.tests.cast import FEBRUARY


def kpi(slug: str, theme: str = "Ours") -> Kpi:
    return replace(KPIS["mrr"], slug=slug, theme=theme)


def test_what_an_app_registers_stands_with_its_theme() -> None:
    registry = Registry([kpi("one", "Money"), kpi("two", "Team"), kpi("three", "Voice")])
    registry.register(kpi("four", "Team"), kpi("five", "New"))
    assert list(registry) == ["one", "two", "four", "three", "five"]
    assert [each.slug for each in registry.values()] == list(registry)
    assert len(registry) == 5


def test_two_kpis_cannot_have_one_slug() -> None:
    registry = Registry([kpi("one")])
    with pytest.raises(ValueError, match="'one'"):
        registry.register(kpi("one"))


def test_registering_the_same_kpi_again_changes_nothing() -> None:
    one = kpi("one")
    registry = Registry([one])
    registry.register(one)
    assert list(registry) == ["one"]


def test_what_is_kept_is_found_beside_the_code_and_never_instead_of_it() -> None:
    ours = kpi("one")
    registry = Registry([ours])
    kept = {"one": kpi("one"), "own": kpi("own")}
    registry.keeps(lambda: kept)
    assert list(registry) == ["one", "own"]
    assert registry["one"] is ours
    assert registry["own"] is kept["own"]
    assert "own" in registry
    assert "nothing" not in registry
    assert list(registry.built_in) == ["one"]
    del kept["own"]
    assert registry.get("own") is None


def test_the_code_alone_can_be_looked_at_without_a_database() -> None:
    registry = Registry([kpi("one")])

    def refuse() -> dict[str, Kpi]:
        raise AssertionError("no database here")

    registry.keeps(refuse)
    assert registry["one"].slug == "one"
    with registry.without_database():
        assert list(registry) == ["one"]
    with pytest.raises(AssertionError):
        list(registry)


@pytest.mark.django_db
def test_a_question_carries_the_definition_it_was_asked_with() -> None:
    draft = kpi("never_published")
    question = Question(draft.slug, FEBRUARY, definition=draft)
    assert replace(question, period=Period.month_of(FEBRUARY.end)).kpi is draft
    assert replace(question, slug="nps").kpi is KPIS["nps"]
    with pytest.raises(KpiError, match="no KPI 'never_published'"):
        Question(draft.slug, FEBRUARY)
