"""Acme, which is happy, and Globex, which is slipping, with facts one can add up on paper.

The day they are looked at is TODAY, at noon. Acme: 8 of 10 seats active as in the month before,
3 of 4 features, NPS 9, CSAT 5, no urgent ticket, MRR unchanged, a call 5 days ago. Globex: 3 of
10 seats after 6, 1 of 4 features, NPS 3, CSAT 2, two urgent tickets, MRR 1000 → 900, silence for
47 days.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from accounts.models import Account, Touch
from accounts.tests.factories import change_terms, make_account, make_plan, subscribe
from csplatform.periods import start_of_day
from surveys.models import Answer, Response, Survey
from tickets.models import Ticket, TicketSource
from usage.models import EndUser, UsageDay
from usage.rollups import record_activity

TODAY = date(2026, 6, 17)
NOON = datetime(2026, 6, 17, 12, 0, tzinfo=UTC)


def on(back: int, *, hour: int = 9) -> datetime:
    """A moment so many days before TODAY."""
    return start_of_day(TODAY - timedelta(days=back)) + timedelta(hours=hour)


def be_active(account: Account, *people: tuple[int, ...], prefix: str = "p") -> list[EndUser]:
    """Let a person per tuple be active on the days that many days before TODAY."""
    users: list[EndUser] = []
    for number, backs in enumerate(people):
        user, _ = EndUser.objects.get_or_create(
            source="app",
            external_id=f"{prefix}-{account.pk}-{number}",
            defaults={"account": account},
        )
        record_activity({(user.pk, account.pk): {"board": {TODAY - timedelta(days=back) for back in backs}}})
        users.append(user)
    return users


def use_features(account: Account, *features: str, back: int = 1) -> None:
    for feature in features:
        UsageDay.objects.create(
            account=account, feature=feature, day=TODAY - timedelta(days=back), events=3, users=1
        )


def answer(account: Account, kind: str, score: int, *, back: int, **fields: Any) -> Answer:
    survey, _ = Survey.objects.get_or_create(
        name="Anonymous" if fields.get("is_anonymous") else "Quarterly",
        defaults={"is_anonymous": fields.pop("is_anonymous", False)},
    )
    scale = {
        "nps": {"scale_low": 0, "scale_high": 10},
        "csat": {"scale_low": 1, "scale_high": 5, "positive_from": 4},
        "ces": {"scale_low": 1, "scale_high": 7},
    }[kind]
    response = Response.objects.create(
        survey=survey, account=account, given_at=on(back), state=fields.pop("state", "confirmed")
    )
    return Answer.objects.create(response=response, kind=kind, score=score, **{**scale, **fields})


def open_ticket(account: Account, *, back: int, priority: str = "urgent", **fields: Any) -> Ticket:
    source, _ = TicketSource.objects.get_or_create(name="helpdesk")
    return Ticket.objects.create(
        account=account,
        source=source,
        external_id=f"t-{Ticket.objects.count()}",
        opened_at=on(back),
        priority=priority,
        **fields,
    )


def touch(account: Account, *, back: int, kind: str = "call") -> Touch:
    return Touch.objects.create(account=account, kind=kind, happened_at=on(back))


def make_acme() -> Account:
    plan = make_plan("team", features=["tasks", "reports", "calendar", "chat"])
    acme = make_account("Acme", segment="Enterprise")
    subscribe(acme, 100, date(2025, 1, 1), plan=plan, quantity=10)
    be_active(acme, *[(1, 40)] * 8)
    use_features(acme, "tasks", "reports", "calendar")
    answer(acme, "nps", 9, back=12)
    answer(acme, "csat", 5, back=3)
    open_ticket(acme, back=9, resolved_at=on(8))
    touch(acme, back=5)
    return acme


def make_globex() -> Account:
    plan = make_plan("team", features=["tasks", "reports", "calendar", "chat"])
    globex = make_account("Globex", segment="Mid-market")
    line = subscribe(globex, 100, date(2025, 1, 1), plan=plan, quantity=10)
    change_terms(line, TODAY - timedelta(days=30), unit_price=90)
    be_active(globex, *[(2, 45)] * 3, *[(50,)] * 3)
    use_features(globex, "tasks")
    answer(globex, "nps", 3, back=12)
    answer(globex, "csat", 2, back=20)
    open_ticket(globex, back=4)
    open_ticket(globex, back=1)
    touch(globex, back=47)
    return globex
