from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from unittest import mock

import pytest
from django.db import DatabaseError

from accounts.tests.factories import make_account, make_user, subscribe
from csplatform.periods import Period
from metrics import snapshots
from metrics.kpis import KPIS, Filters, Question, ask
from metrics.models import KpiSnapshot
from metrics.tests.cast import FEBRUARY, active, answer, february
from usage.models import EndUser

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 2, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def few_months_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MONTHS_KEPT_FILLED", 3)


def stored(slug: str, **more: object) -> KpiSnapshot:
    return KpiSnapshot.objects.get(
        **{"kpi": slug, "group_by": "", "starts_on": FEBRUARY.start, "ends_on": FEBRUARY.last_day, **more}
    )


def test_a_night_stores_yesterday_and_the_month_up_to_it_for_every_kpi() -> None:
    subscribe(make_account(csm=make_user("Ada")), 100, february(3))
    snapshots.refresh_last_night(NOW)
    for first in (february(1), february(28)):
        rows = KpiSnapshot.objects.filter(group_by="", starts_on=first, ends_on=february(28))
        assert set(rows.values_list("kpi", flat=True)) == set(KPIS)
    row = stored("new_mrr")
    assert (row.value, row.unit, row.sample_size, row.version) == (100, "EUR", 1, 1)
    assert stored("nps").reason == "no_responses"
    assert KpiSnapshot.objects.filter(group_by="csm", kpi="mrr", starts_on=february(28)).get().value == 100


def test_storing_a_night_twice_changes_nothing() -> None:
    subscribe(make_account(), 100, february(3))
    snapshots.refresh_last_night(NOW)
    before = list(KpiSnapshot.objects.order_by("pk").values())
    assert snapshots.refresh_last_night(NOW + timedelta(hours=1)) == 0
    assert list(KpiSnapshot.objects.order_by("pk").values()) == before


def test_a_late_answer_changes_the_stored_row_and_no_other() -> None:
    answer("nps", 10)
    snapshots.refresh([FEBRUARY], NOW)
    answer("nps", 1)
    assert snapshots.refresh([FEBRUARY], NOW) == 4, "the total and three groupings"
    assert (stored("nps").value, stored("nps").denominator) == (0, 2)


def test_a_crash_half_way_leaves_the_day_as_it_was() -> None:
    account = make_account()
    subscribe(account, 100, february(3))
    snapshots.refresh([FEBRUARY], NOW)
    before = list(KpiSnapshot.objects.order_by("pk").values())
    subscribe(account, 50, february(4))
    with (
        mock.patch.object(type(KpiSnapshot.objects), "bulk_create", side_effect=DatabaseError),
        pytest.raises(DatabaseError),
    ):
        snapshots.refresh([FEBRUARY], NOW)
    assert list(KpiSnapshot.objects.order_by("pk").values()) == before


def test_months_that_were_never_stored_are_filled_in() -> None:
    snapshots.refresh_last_night(NOW)
    months = KpiSnapshot.objects.filter(kpi="mrr", group_by="").exclude(starts_on=february(28))
    assert list(months.order_by("starts_on").values_list("starts_on", flat=True)) == [
        date(2025, 12, 1),
        date(2026, 1, 1),
        date(2026, 2, 1),
    ]


def test_usage_as_known_then_comes_from_what_was_stored() -> None:
    account = make_account()
    active(EndUser.objects.create(account=account, source="app", external_id="one"), account, february(20))
    snapshots.refresh([FEBRUARY], NOW)
    active(EndUser.objects.create(account=account, source="app", external_id="two"), account, february(21))

    def known(at: datetime, **more: object) -> tuple[Decimal | None, str]:
        found = ask(Question("monthly_active_users", FEBRUARY, known_at=at, **more))  # type: ignore[arg-type]
        return found.value, found.figure.reason

    assert ask(Question("monthly_active_users", FEBRUARY)).value == 2
    assert known(NOW) == (1, "")
    assert known(NOW - timedelta(hours=1)) == (None, "not_stored_by_then")
    assert known(NOW, filters=Filters(account=account.pk)) == (None, "not_stored_for_this_selection")


def test_a_csm_reads_their_own_stored_numbers_only() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    subscribe(make_account(csm=ada), 100, february(3))
    snapshots.refresh([Period.month_of(february(1))], NOW)
    mine = KpiSnapshot.objects.visible_to(ada).filter(kpi="mrr")
    assert [(row.group_by, row.group, row.value) for row in mine] == [("csm", str(ada.pk), 100)]
    assert not KpiSnapshot.objects.visible_to(grace).exists()
