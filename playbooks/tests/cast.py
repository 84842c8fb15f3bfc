"""A day in the office, 17 June 2026 at noon, with scores worked out by the real pass.

Ada holds Acme, which is happy, Globex, which is slipping, and Initech, which has left. Grace owns
none. Linus holds Umbrella, which nobody but him, his manager and the admin may ever see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts.models import Account, Assignment, Contact
from accounts.tests.factories import make_account, make_user, subscribe
from metrics.health import scores
from metrics.tests import health_cast
from metrics.tests.health_cast import NOON, TODAY
from surveys.models import Answer
from team.models import Team, User

CANARY = "Umbrella Canary Holdings"


@dataclass
class World:
    ada: User
    grace: User
    linus: User
    manager: User
    admin: User
    viewer: User
    acme: Account
    globex: Account
    initech: Account
    umbrella: Account


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOON)


def hold(account: Account, user: User, **fields: Any) -> Assignment:
    return Assignment.objects.create(account=account, user=user, starts_on=date(2025, 1, 1), **fields)


def make_world() -> World:
    cache.clear()
    north, south = Team.objects.create(name="North"), Team.objects.create(name="South")
    ada = make_user("Ada", team=north)
    grace = make_user("Grace", team=south)
    linus = make_user("Linus", team=south)
    manager = make_user("Margaret", User.Role.MANAGER, team=north)
    admin = make_user("Alan", User.Role.ADMIN)
    viewer = make_user("Vera", User.Role.VIEWER)

    acme, globex = health_cast.make_acme(), health_cast.make_globex()
    initech = make_account("Initech")
    subscribe(initech, 300, date(2025, 1, 1), TODAY - timedelta(days=20))
    umbrella = make_account(CANARY, segment="Canary segment")
    subscribe(umbrella, 77_777, date(2025, 1, 1))
    health_cast.answer(umbrella, "nps", 1, back=3)
    health_cast.open_ticket(umbrella, back=2, subject="Canary ticket")
    Contact.objects.create(account=umbrella, name="Canary Contact", email="canary@umbrella.example")
    for account in (acme, globex, initech):
        hold(account, ada)
    hold(umbrella, linus)
    Contact.objects.create(
        account=globex, name="Maria Lopez", role=Contact.Role.CHAMPION, email="maria@globex.example"
    )
    said = Answer.objects.get(response__account=globex, kind="nps")
    Answer.objects.create(response=said.response, kind="text", text="Nobody here uses it any more.")
    score(40, 8)
    return World(ada, grace, linus, manager, admin, viewer, acme, globex, initech, umbrella)


def score(*days_ago: int) -> None:
    """Work the scores out, and before that those at the end of some earlier days."""
    if days_ago:
        scores.backfill([TODAY - timedelta(days=back) for back in days_ago], now=NOON)
    scores.score_all(now=NOON)
