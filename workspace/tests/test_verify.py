from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Account, Movement
from accounts.tests.factories import make_account, subscribe
from csplatform.periods import Period, day_of, floor_to
from metrics import rollups
from metrics.kpis import KPIS
from metrics.models import KpiRollUp
from tickets.handling import refresh
from tickets.models import Ticket, TicketEvent, TicketSource
from usage.models import ActivityMonth, EndUser, Event, FeatureMonth, UsageDay
from usage.rollups import record_events

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def acme() -> Account:
    account = make_account()
    subscribe(account, 100, date(2026, 1, 1))
    person = EndUser.objects.create(account=account, source="app", external_id="bob")
    record_events(
        [
            Event(
                source="app",
                message_id="1",
                account_id=account.pk,
                end_user_id=person.pk,
                feature="x",
                happened_at=NOON,
            )
        ]
    )
    desk = TicketSource.objects.create(name="desk")
    ticket = Ticket.objects.create(source=desk, external_id="1", account=account, opened_at=NOON)
    TicketEvent.objects.create(ticket=ticket, kind="resolved", happened_at=NOON)
    refresh([ticket.pk])
    return account


def test_untouched_data_verify(acme):
    call_command("verify")


@pytest.mark.parametrize(
    ("model", "wrong", "named"),
    [
        (Account, {"mrr": 99}, "mrr is stored as 99"),
        (Movement, {"delta": 99}, "the ledger"),
        (UsageDay, {"events": 7}, "the events say"),
        (EndUser, {"activity": 3}, "mask and months disagree about 2026-03-01"),
        (ActivityMonth, {"days": 0}, "mask and months disagree about 2026-03-02"),
        (FeatureMonth, {"days": 0}, "used x on 2026-03-02 by the events, by the roll-up not"),
        (Ticket, {"resolved_at": None}, "its events say 2026-03-02"),
    ],
)
def test_a_figure_changed_behind_our_back_is_named(acme, model, wrong, named):
    model.objects.update(**wrong)
    with pytest.raises(CommandError, match=named):
        call_command("verify")


def test_verifying_changes_nothing(acme):
    Movement.objects.update(delta=99)
    with pytest.raises(CommandError):
        call_command("verify")
    assert Movement.objects.get().delta == 99


@pytest.fixture
def mrr(acme: Account, monkeypatch: pytest.MonkeyPatch) -> KpiRollUp:
    """Give the stored MRR of a month, with the workers' plan cut down to that KPI."""
    monkeypatch.setattr(rollups, "KPIS", {"mrr": KPIS["mrr"]})
    monkeypatch.setattr(rollups, "MONTHS_BACK", 0)
    call_command("recompute", "--figures")
    month = floor_to(day_of(timezone.now()), "month")
    row = KpiRollUp.objects.get(starts_on=month, ends_on=Period.month_of(month).last_day, group_by="")
    assert '"100' in row.figure
    return row


def change_behind_our_back(row: KpiRollUp) -> None:
    KpiRollUp.objects.filter(pk=row.pk).update(figure=row.figure.replace('"100', '"999'))


def test_a_stored_figure_changed_behind_our_back_is_named(mrr: KpiRollUp) -> None:
    change_behind_our_back(mrr)
    with pytest.raises(CommandError, match=r"mrr.*stored is 999.*the facts say 100"):
        call_command("verify")


def test_recompute_mends_a_stored_figure(mrr: KpiRollUp) -> None:
    change_behind_our_back(mrr)
    call_command("recompute", "--figures")
    call_command("verify")
    assert KpiRollUp.objects.get(pk=mrr.pk).figure == mrr.figure
