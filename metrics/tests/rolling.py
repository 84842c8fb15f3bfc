"""What the processes do in test_rollup_processes: python -m metrics.tests.rolling ROLE

The writer ends when there is a file `quiet` in the runtime folder, the judge once it has compared
something since, the workers when there is a file `stop`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

COUNTED = ("customer_count", "mrr", "new_mrr")


def main(role: str) -> None:
    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from csplatform.periods import day_of
    from metrics import rollups
    from metrics.kpis import KPIS

    # A few KPIs and months, so that a worker is in the middle of something at any moment.
    rollups.KPIS = {slug: KPIS[slug] for slug in COUNTED}  # type: ignore[assignment]
    rollups.MONTHS_BACK = 4
    quiet, stop = settings.VAR_DIR / "quiet", settings.VAR_DIR / "stop"
    match role:
        case "plan":
            rollups.plan(day_of(timezone.now()))
        case "work":
            rollups.count_many = slowly(rollups.count_many)
            say("working")
            while not stop.exists():
                rollups.refresh(rows=rollups.due_now)
                time.sleep(0.02)
        case "write":
            write(quiet)
        case "judge":
            judge(quiet)


def slowly(count: Callable[..., Any]) -> Callable[..., Any]:
    """Give others, and whoever kills, a chance to come between counting and storing."""

    def counted(*asked: Any, **also: Any) -> Any:
        found = count(*asked, **also)
        time.sleep(0.2)
        return found

    return counted


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def write(quiet: Path) -> None:
    """Sell to one account after the other, some of it on days long past."""
    from django.utils import timezone

    from accounts.tests.factories import make_account, subscribe
    from csplatform.periods import day_of

    number = 0
    while not quiet.exists():
        number += 1
        day = day_of(timezone.now()) - timedelta(days=random.choice((0, 0, 40, 100)))
        subscribe(make_account(f"Account {number}"), random.randint(10, 900), day)
        # In bursts, so that the workers catch up between them.
        time.sleep(0.05 if number % 10 else 1.5)
    say(number)


def judge(quiet: Path) -> None:
    """Compare what is stored with what counting gives, where nothing came between the two."""
    from metrics.kpis import Question, ask_stored
    from metrics.kpis.asking import count_many
    from metrics.models import KpiRollUp

    periods = {row.period for row in KpiRollUp.objects.filter(kpi="mrr")}
    compared, wrong = 0, []
    while not (quiet.exists() and compared):
        for group_by in ("", "segment"):
            questions = [Question(slug, period, group_by=group_by) for slug in COUNTED for period in periods]
            before, counted, after = ask_stored(questions), count_many(questions), ask_stored(questions)
            for one, right, still in zip(before, counted, after, strict=True):
                if one is not None and still is not None and one.computed_at == still.computed_at:
                    compared += 1
                    if (one.figure, one.groups) != (right.figure, right.groups):
                        wrong.append(f"{one.question}: {one.figure.value}, not {right.figure.value}")
    say({"compared": compared, "wrong": wrong[:5]})


if __name__ == "__main__":
    main(sys.argv[1])
