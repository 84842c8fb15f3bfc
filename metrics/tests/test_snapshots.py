"""What was said stays said: values of periods that were over, and when they became others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.tests.factories import make_account, make_user
from csplatform.periods import Period
from metrics import rollups, snapshots
from metrics.kpis import KPIS, Filters, Question, ask, ask_stored
from metrics.kpis.asking import count_many
from metrics.kpis.figures import read
from metrics.models import KpiRollUp, KpiSnapshot
from metrics.tests.cast import FEBRUARY, active, answer, february
from team.models import User
from usage.models import EndUser

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 2, 10, tzinfo=UTC)
NPS = Question("nps", FEBRUARY)


@pytest.fixture(autouse=True)
def few_months_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MONTHS_BACK", 1)


def night(now: datetime) -> int:
    """Do what the night's job does about February alone."""
    rollups.plan(date(2026, 3, 1))
    KpiRollUp.objects.exclude(starts_on=FEBRUARY.start, ends_on=FEBRUARY.last_day).delete()
    KpiRollUp.objects.exclude(kpi__in=["nps", "mrr", "monthly_active_users"]).delete()
    rollups.refresh(rows=rollups.due_now)
    return snapshots.say_all(now)


def said(slug: str) -> list[Decimal | None]:
    rows = KpiSnapshot.objects.filter(kpi=slug, group_by="", starts_on=FEBRUARY.start)
    return list(rows.order_by("computed_at").values_list("value", flat=True))


def test_a_month_that_is_over_is_said_once_however_often_the_night_comes() -> None:
    answer("nps", 10)
    assert night(NOW)
    assert night(NOW + timedelta(hours=1)) == 0
    assert said("nps") == [100]
    row = KpiSnapshot.objects.get(kpi="nps")
    assert (row.numerator, row.denominator, row.sample_size, row.version, row.computed_at) == (
        1,
        1,
        1,
        1,
        NOW,
    )


def test_a_month_that_runs_is_not_said() -> None:
    rollups.plan(date(2026, 2, 20))
    rollups.refresh(rows=lambda now: rollups.due_now(now).filter(kpi="nps"))
    snapshots.say_all(datetime(2026, 2, 20, 2, 10, tzinfo=UTC))
    assert not KpiSnapshot.objects.filter(kpi="nps", ends_on__gte=february(20)).exists()


def test_a_late_answer_restates_the_month_and_what_was_said_stays() -> None:
    answer("nps", 10)
    night(NOW)
    assert not ask(NPS).restated
    answer("nps", 1)
    found = ask(NPS)
    assert ask_stored([NPS]) == [None], "it is not worked out again yet"
    assert (found.value, found.restated, found.previous_value) == (0, True, 100)
    rollups.refresh(rows=rollups.due_now)
    stored = ask_stored([NPS])[0]
    assert stored is not None
    assert (stored.value, stored.restated, stored.previous_value) == (0, True, 100)
    assert stored.said is not None
    assert stored.said.at == NOW
    assert stored.restated_at == KpiSnapshot.objects.latest("computed_at").computed_at
    assert said("nps") == [100, 0]
    data = stored.as_dict()
    assert (data["restated"], data["previous_value"]) == (True, "100")
    assert data["restated_at"] == stored.restated_at.isoformat()


def test_a_correction_of_the_correction_takes_the_mark_away() -> None:
    answer("nps", 10)
    night(NOW)
    late = answer("nps", 1)
    rollups.refresh(rows=rollups.due_now)
    late.response.delete()
    rollups.refresh(rows=rollups.due_now)
    found = ask(NPS)
    assert (found.restated, found.previous_value, found.restated_at) == (False, None, None)
    assert said("nps") == [100, 0, 100], "each of them was said"


def test_only_the_whole_is_held_against_what_was_said_of_the_whole() -> None:
    answer("nps", 10)
    night(NOW)
    answer("nps", 1)
    assert not ask(Question("nps", FEBRUARY, filters=Filters(segment="large"))).restated
    assert not ask(Question("nps", FEBRUARY, user=make_user("Ada"))).restated


def test_another_version_of_a_definition_says_its_own_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    answer("nps", 10)
    night(NOW)
    monkeypatch.setattr(rollups, "fingerprint", lambda kpi: "2:other")
    rollups.plan(date(2026, 3, 1))
    assert (
        KpiRollUp.objects.get(
            kpi="nps", group_by="", starts_on=FEBRUARY.start, ends_on=FEBRUARY.last_day
        ).said
        == ""
    )


def test_usage_as_known_then_comes_from_what_was_said() -> None:
    account = make_account()
    active(EndUser.objects.create(account=account, source="app", external_id="one"), account, february(20))
    night(NOW)
    active(EndUser.objects.create(account=account, source="app", external_id="two"), account, february(21))
    rollups.refresh(rows=rollups.due_now)

    def known(at: datetime, **more: Any) -> tuple[Decimal | None, str]:
        found = ask(Question("monthly_active_users", FEBRUARY, known_at=at, **more))
        return found.value, found.figure.reason

    assert ask(Question("monthly_active_users", FEBRUARY)).value == 2
    assert known(NOW) == (1, "")
    assert known(datetime.now(UTC)) == (2, ""), "what is true now does not hide what was said then"
    assert known(NOW - timedelta(hours=1)) == (None, "not_stored_by_then")
    assert known(NOW, filters=Filters(account=account.pk)) == (None, "not_stored_for_this_selection")


def test_groups_as_known_then_add_up_to_their_total() -> None:
    ada = make_user("Ada")
    account = make_account(csm=ada)
    active(EndUser.objects.create(account=account, source="app", external_id="one"), account, february(20))
    night(NOW)
    account.assignments.update(user=make_user("Grace"))
    rollups.refresh(rows=rollups.due_now)

    def known(at: datetime) -> list[tuple[str, Decimal | None]]:
        found = ask(Question("monthly_active_users", FEBRUARY, group_by="csm", known_at=at))
        assert found.value == 1
        return [(group.label, group.figure.value) for group in found.groups]

    assert known(NOW) == [("Ada", 1)]
    assert known(datetime.now(UTC)) == [("Grace", 1)]


def test_a_night_says_yesterday_and_the_month_up_to_it_of_usage() -> None:
    night(datetime(2026, 2, 21, 2, 10, tzinfo=UTC))
    rows = KpiSnapshot.objects.filter(group_by="", ends_on=february(20))
    assert set(rows.values_list("kpi", flat=True)) == {
        kpi.slug for kpi in KPIS.values() if not kpi.has_known_at
    }
    assert set(rows.values_list("starts_on", flat=True)) == {february(1), february(20)}


def test_what_is_said_is_exact() -> None:
    for score in (10, 9, 1):
        answer("nps", score)
    night(NOW)
    row = KpiRollUp.objects.get(kpi="nps", group_by="")
    assert read(row.said) == count_many([NPS])[0].figure


@pytest.mark.parametrize("role", User.Role.values)
def test_only_who_sees_all_accounts_reads_totals(role: str) -> None:
    answer("nps", 10)
    night(NOW)
    reads = KpiSnapshot.objects.visible_to(make_user("Reader", role)).exists()
    assert reads == (role in (User.Role.ADMIN, User.Role.VIEWER))


def test_old_rows_that_kept_each_group_by_itself_are_still_read() -> None:
    period = Period.month_of(date(2025, 6, 1))
    for group_by, group, value in (("", "", 3), ("segment", "large", 2), ("segment", "", 1)):
        KpiSnapshot.objects.create(
            kpi="monthly_active_users",
            version=1,
            starts_on=period.start,
            ends_on=period.last_day,
            group_by=group_by,
            group=group,
            value=value,
            numerator=value,
            computed_at=NOW,
        )
    found = ask(Question("monthly_active_users", period, group_by="segment", known_at=NOW))
    assert found.value == 3
    assert [(group.label, group.figure.value) for group in found.groups] == [("large", 2), ("none", 1)]
