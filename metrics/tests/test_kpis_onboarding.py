"""How customers get started: who counts, from when, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.tests.factories import make_account, subscribe
from csplatform.periods import Period
from metrics.kpis import Answer, Filters, Question, ask, rows
from metrics.tests.cast import FEBRUARY, february, milestone
from usage.models import UsageDay

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))


def asked(slug: str, period: Period = FEBRUARY, **more: object) -> Answer:
    return ask(Question(slug, period, **{"now": NOW, **more}))  # type: ignore[arg-type]


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 12, tzinfo=UTC)


@pytest.fixture
def twenty() -> None:
    """D18: twenty accounts start on 1 February; twelve reach the milestone in 10 to 60 days."""
    days = (10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 58, 60)
    for number in range(20):
        reached = february(1) + timedelta(days=days[number]) if number < len(days) else None
        for name in ("Onboarding completed", "100 contacts imported"):
            milestone(make_account(f"{name} {number}"), name, february(1), reached)


@pytest.mark.parametrize("slug", ["onboarding_time", "time_to_value"])
def test_d18_those_not_there_yet_are_never_dropped(slug: str, twenty: None) -> None:
    found = asked(slug)
    assert found.value == Decimal("56.5")
    assert (found.figure.numerator, found.figure.denominator, found.unit) == (12, 20, "days")
    assert found.figure.counts["not_yet"] == 8
    waiting = [row["days"] for row in rows(found.question, "not_yet")]
    assert waiting == [120] * 8, "from 1 February to 1 June"


def test_while_fewer_than_half_are_there_no_median_is_said(twenty: None) -> None:
    early = asked("time_to_value", now=at(3, 1))
    assert (early.value, early.figure.reason) == (None, "fewer_than_half_yet")
    assert (early.figure.numerator, early.figure.denominator) == (4, 20)
    assert asked("time_to_value", MARCH).figure.reason == "nobody_started"


def test_as_known_then_what_was_reached_later_was_still_open(twenty: None) -> None:
    then = asked("time_to_value", known_at=at(3, 1))
    assert (then.figure.numerator, then.restated) == (4, True)
    beyond = asked("time_to_value", known_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert beyond.figure == asked("time_to_value").figure


def test_milestones_can_be_looked_at_one_by_one() -> None:
    account = make_account()
    milestone(account, "First schedule", february(1), february(4))
    milestone(account, "100 contacts", february(1), february(21))
    milestone(account, "Onboarding", february(1), february(9))
    groups = {
        group.label: group.figure.value for group in asked("time_to_value", group_by="milestone").groups
    }
    assert groups == {"First schedule": 3, "100 contacts": 20}
    alone = asked("time_to_value", filters=Filters(own=(("milestone", "100 contacts"),)))
    assert alone.value == 20


def test_without_a_start_of_its_own_a_milestone_starts_with_the_customer() -> None:
    account = make_account()
    subscribe(account, 100, february(2))
    milestone(account, "First schedule", None, february(12))
    milestone(make_account("Nobody"), "First schedule", None, february(12))
    found = asked("time_to_value")
    assert (found.value, found.figure.denominator) == (10, 1)


def test_an_account_with_two_names_for_it_is_onboarded_once() -> None:
    account = make_account()
    milestone(account, "ONBOARDING COMPLETE", february(1), february(9), due_on=february(20))
    milestone(account, "onboarding", february(1), due_on=february(20))
    assert asked("onboarding_time").figure.denominator == 1
    assert asked("onboarding_completion_rate").figure.denominator == 1


def test_which_milestones_end_the_onboarding_is_a_setting(settings) -> None:
    milestone(make_account(), "Live", february(1), february(9))
    assert asked("onboarding_time").figure.reason == "nobody_started"
    settings.ONBOARDING_MILESTONES = ["live "]
    assert asked("onboarding_time").value == 8
    assert asked("time_to_value").figure.reason == "nobody_started"


def test_completion_is_asked_of_those_whose_day_has_come() -> None:
    for name, due, reached in (
        ("In time", february(10), february(9)),
        ("Late", february(10), date(2026, 3, 5)),
        ("Never", february(10), None),
        ("Not due yet", february(25), None),
        ("Due elsewhere", date(2026, 3, 1), february(10)),
        ("Never due", None, february(10)),
    ):
        milestone(make_account(name), "Onboarding completed", date(2026, 1, 10), reached, due_on=due)
    early = asked("onboarding_completion_rate", now=at(2, 20))
    assert (early.figure.numerator, early.figure.denominator) == (1, 3)
    later = asked("onboarding_completion_rate")
    assert (later.figure.numerator, later.figure.denominator) == (2, 4)
    assert asked("onboarding_completion_rate", variant="on_time").figure.numerator == 1


def test_tutorials_count_while_the_account_is_in_onboarding(settings) -> None:
    account, finished = make_account(), make_account("Finished")
    milestone(account, "Onboarding", february(5), february(20))
    milestone(finished, "Onboarding", date(2026, 1, 1), date(2026, 1, 30))
    for who, day, feature in (
        (account, february(4), "Tutorial"),
        (account, february(5), "Tutorial"),
        (account, february(20), "tutorials: reports"),
        (account, february(21), "Tutorial"),
        (account, february(10), "Academy"),
        (finished, february(10), "Tutorial"),
    ):
        UsageDay.objects.create(account=who, feature=feature, day=day, events=1, users=1)
    found = asked("tutorial_visits")
    assert (found.figure.numerator, found.figure.denominator) == (2, 1)
    settings.TUTORIAL_FEATURES = ["academy"]
    assert asked("tutorial_visits").value == 1
    assert asked("tutorial_visits", MARCH).figure.reason == "nobody_in_onboarding"


def test_who_left_in_onboarding_is_in_it_no_longer() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 5, 1), date(2025, 9, 30))
    milestone(account, "Onboarding", date(2025, 5, 1))
    assert asked("tutorial_visits").figure.reason == "nobody_in_onboarding"
    then = replace(FEBRUARY, start=date(2025, 9, 1), end=date(2025, 10, 1))
    assert asked("tutorial_visits", then).figure.denominator == 1
