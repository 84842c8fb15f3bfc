"""What the server needs for a page, against an empty view behind the same middleware.

Requests go through Django's test client, in this process: the whole of Django, no web server and no
network. Each page is opened twice before it is timed, as the second visitor of the day finds it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import override_settings
from django.urls import Resolver404, resolve

from accounts.models import Account
from benchmarks.figures import Figure, Options, duration, percentile, times
from intake.demo.team import ADMIN, CSM
from team.models import User
from workspace.dashboards.catalogue import DASHBOARDS

VISITS, QUICK_VISITS = 20, 8
SLOWEST_SECONDS = 0.1
MOST_QUERIES = 20


@dataclass(frozen=True)
class Page:
    name: str
    addresses: list[str]


def pages(user: User) -> list[Page]:
    """Return the pages to open; of the account's, those of several accounts the user sees."""
    accounts = Account.objects.visible_to(user).filter(is_customer=True).order_by("-mrr")
    return [
        Page("home", ["/"]),
        Page("portfolio", ["/portfolio/"]),
        Page("account", [account.get_absolute_url() for account in accounts[:VISITS]]),
        Page("KPI catalogue", ["/kpis/"]),
        *(Page(f"dashboard {slug}, whole", [f"/dashboards/{slug}/print/"]) for slug in DASHBOARDS),
        Page("KPI mrr", ["/kpis/mrr/"]),
        Page("KPI nps", ["/kpis/nps/"]),
        Page("KPI monthly_active_users", ["/kpis/monthly_active_users/"]),
        Page("API KPI catalogue", ["/api/v1/kpis/"]),
        Page("API KPI mrr", ["/api/v1/kpis/mrr/"]),
        Page("API accounts", ["/api/v1/accounts/"]),
    ]


@dataclass
class Visits:
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    queries: int = 0
    size: int = 0


def run(options: Options) -> Iterator[Figure]:
    visits = QUICK_VISITS if options.is_quick else VISITS
    plain_files = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(
        ROOT_URLCONF="benchmarks.urls",
        # Names of static files without their digest, so that nothing needs to be collected first.
        STORAGES={**settings.STORAGES, "staticfiles": plain_files},
    ):
        for role, email in (("CSM", CSM), ("admin", ADMIN[0])):
            user = User.objects.get(email=email)
            client = Client(SERVER_NAME="127.0.0.1")
            client.force_login(user)
            for page in pages(user):
                if not is_there(page.addresses[0]):
                    continue
                # In turn, so that a busy moment of the machine meets both.
                empty = open_page(client, ["/benchmarks/empty/"], visits)
                ours = open_page(client, page.addresses, visits)
                yield compare(f"{page.name}, {role}, {options.accounts:,} accounts", ours, empty)


def is_there(address: str) -> bool:
    try:
        resolve(address)
    except Resolver404:
        return False
    return True


def open_page(client: Client, addresses: list[str], visits: int) -> Visits:
    """Open the addresses in turn; the most queries and the largest answer count."""
    found = Visits()
    for address in addresses[:2] * 2:
        _get(client, address)
    for address in islice(cycle(addresses), visits):
        counter = Counter()
        with connection.execute_wrapper(counter):
            started, worked = time.perf_counter(), time.thread_time()
            size = _get(client, address)
            found.seconds.append(time.perf_counter() - started)
            found.processor.append(time.thread_time() - worked)
        found.queries = max(found.queries, counter.queries)
        found.size = max(found.size, size)
    return found


def _get(client: Client, address: str) -> int:
    response = client.get(address)
    if response.status_code != 200:
        raise SystemExit(f"{address} answered {response.status_code}.")
    return len(response.content)


class Counter:
    """Counts what goes to the database."""

    def __init__(self) -> None:
        self.queries = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        self.queries += 1
        return execute(sql, params, many, context)


def compare(what: str, ours: Visits, empty: Visits) -> Figure:
    p50, p95 = percentile(ours.seconds, 50), percentile(ours.seconds, 95)
    # What the processor did for us: on a machine that others use, the rest of the time is waiting for them.
    worked, floor = percentile(ours.processor, 50), percentile(empty.processor, 50)
    return Figure(
        what=what,
        measured=(
            f"p50 {duration(p50)} (processor {duration(worked)}), p95 {duration(p95)}, "
            f"{ours.queries} queries, {ours.size / 1000:.0f} kB"
        ),
        ceiling=f"empty view, processor {duration(floor)}",
        ratio=times(worked / floor),
        target=f"p95 ≤ {duration(SLOWEST_SECONDS)}, ≤ {MOST_QUERIES} queries",
        is_met=p95 <= SLOWEST_SECONDS and ours.queries <= MOST_QUERIES,
    )
