"""Who gets in where. A route that is not declared here fails the first test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.models import Account, Assignment, Contact, Subscription, Touch
from intake.models import Import
from metrics.kpis import KPIS
from metrics.models import Annotation, Target
from metrics.tests.health_cast import TODAY
from playbooks.models import Alert, Dismissal, Task
from playbooks.tests.cast import World
from team.models import User
from workspace.models import DashboardMail

pytestmark = pytest.mark.django_db

OTHERS = ("admin/", "auth/")  # Django's and allauth's own
PUBLIC, STAFF, MANAGERS, ADMINS = "public", "staff", "managers", "admins"
IMPORTERS = MANAGERS


@dataclass(frozen=True)
class Route:
    """Who may open it, and which of Ada's things its address names."""

    who: str = STAFF
    names: tuple[tuple[str, str], ...] = ()
    api: bool = False


def page(who: str = STAFF, **names: str) -> Route:
    return Route(who, tuple(names.items()))


def api(who: str = STAFF, **names: str) -> Route:
    return Route(who, tuple(names.items()), api=True)


ROUTES = {
    "team:healthz": page(PUBLIC),
    "team:readyz": page(PUBLIC),
    "team:status": page(ADMINS),
    "workspace:home": page(),
    "workspace:queue": page(),
    "workspace:figures": page(),
    "workspace:portfolio": page(),
    "workspace:portfolio-export": page(),
    "workspace:portfolio-bulk": page(),
    "workspace:view-save": page(),
    "workspace:view-rename": page(pk="nothing"),
    "workspace:view-delete": page(pk="nothing"),
    "workspace:account": page(pk="account"),
    "workspace:timeline": page(pk="account"),
    "workspace:touch-new": page(pk="account"),
    "workspace:kpis": page(),
    "workspace:kpi": page(slug="kpi"),
    "workspace:kpi-export": page(slug="kpi"),
    "workspace:kpi-new": page(ADMINS),
    "workspace:kpi-edit": page(ADMINS, slug="kpi"),
    "workspace:annotations": page(),
    "workspace:annotation-new": page(MANAGERS),
    "workspace:annotation-edit": page(MANAGERS, pk="annotation"),
    "workspace:annotation-delete": page(MANAGERS, pk="annotation"),
    "workspace:targets": page(ADMINS),
    "workspace:target-new": page(ADMINS),
    "workspace:target-edit": page(ADMINS, pk="target"),
    "workspace:target-delete": page(ADMINS, pk="target"),
    "workspace:dashboards": page(),
    "workspace:dashboard": page(slug="dashboard"),
    "workspace:dashboard-print": page(slug="dashboard"),
    "workspace:dashboard-export": page(slug="dashboard"),
    "workspace:dashboard-section": page(slug="dashboard", key="figures"),
    "workspace:rates": page(ADMINS),
    "workspace:support-hours": page(ADMINS),
    "workspace:mailings": page(),
    "workspace:mailing-new": page(),
    "workspace:mailing-edit": page(pk="mailing"),
    "workspace:mailing-preview": page(pk="mailing"),
    "workspace:mailing-pause": page(pk="mailing"),
    "workspace:mailing-leave": page(pk="mailing"),
    "workspace:mailing-delete": page(pk="mailing"),
    "workspace:search": page(),
    "workspace:account-names": page(),
    "workspace:undo": page(key="word"),
    "workspace:design": page(),
    "playbooks:set-aside": page(account_id="account", kind="done"),
    "playbooks:bring-back": page(pk="dismissal"),
    "playbooks:task-list": page(),
    "playbooks:task-new": page(),
    "playbooks:task-new-for": page(account_id="account"),
    "playbooks:task-done": page(pk="task"),
    "playbooks:task-reopen": page(pk="task"),
    "playbooks:renewal-list": page(),
    "playbooks:alert-list": page(),
    "playbooks:alerts-unread": page(),
    "playbooks:alerts-acknowledge": page(),
    "playbooks:alert-acknowledge": page(pk="alert"),
    "playbooks:alert-forget": page(pk="alert"),
    "intake:list": page(IMPORTERS),
    "intake:upload": page(IMPORTERS),
    "intake:detail": page(IMPORTERS, pk="import"),
    "intake:mapping": page(IMPORTERS, pk="import"),
    "intake:mapping-download": page(IMPORTERS, pk="import"),
    "intake:start": page(IMPORTERS, pk="import"),
    "intake:cancel": page(IMPORTERS, pk="import"),
    "intake:rejected": page(IMPORTERS, pk="import"),
    "intake:repaired": page(IMPORTERS, pk="import"),
    "api:account-list": api(),
    "api:account-bulk": api(),
    "api:account-by-external-id": api(source="word", external_id="word"),
    "api:account-detail": api(pk="account"),
    "api:account-health": api(pk="account"),
    "api:account-health-history": api(pk="account"),
    "api:contact-list": api(),
    "api:contact-bulk": api(),
    "api:contact-by-external-id": api(source="word", external_id="word"),
    "api:contact-detail": api(pk="contact"),
    "api:subscription-list": api(),
    "api:subscription-bulk": api(),
    "api:subscription-by-external-id": api(source="word", external_id="word"),
    "api:subscription-detail": api(pk="subscription"),
    "api:kpi-list": api(),
    "api:kpi-matrix": api(),
    "api:kpi-detail": api(slug="kpi"),
    "api:kpi-series": api(slug="kpi"),
    "api:kpi-rows": api(slug="kpi"),
    "api:custom-kpi-list": api(ADMINS),
    "api:custom-kpi-preview": api(ADMINS),
    "api:custom-kpi-detail": api(ADMINS, slug="kpi"),
    "api:import-list": api(IMPORTERS),
    "api:import-detail": api(IMPORTERS, pk="import"),
    "api:schema": api(),
    "api:docs": page(),
}
OWN = {"account", "alert", "mailing", "task", "dismissal", "contact", "subscription", "import"}


def routes_there_are(resolver: URLResolver | None = None, space: str = "") -> Iterator[str]:
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            if str(pattern.pattern) not in OTHERS:
                yield from routes_there_are(pattern, pattern.namespace or space)
        elif pattern.name:
            yield f"{space}:{pattern.name}"


@pytest.fixture
def things(world: World) -> dict[str, Any]:
    """What is Ada's, and an import of the admin's, by the word used in ROUTES."""
    globex, ada = world.globex, world.ada
    task = Task.objects.create(account=globex, assignee=ada, title="Call", due_on=TODAY, created_by=ada)
    dismissal = Dismissal.objects.create(account=globex, user=ada, kind="done", until=TODAY)
    record = Import.objects.create(
        kind="accounts", source="crm", file_name="a.csv", as_of="2026-06-17", created_by=world.admin
    )
    annotation = Annotation.objects.create(day=TODAY, text="Prices raised", created_by=world.manager)
    alert = Alert.objects.create(
        kind="target",
        kpi="mrr",
        label="Globex's number",
        group_by="csm",
        group=str(ada.pk),
        starts_on=TODAY,
        ends_on=TODAY,
        unit="EUR",
        value=1,
        value_before=3,
        target=2,
        raised_at=timezone.now(),
    )
    mailing = DashboardMail.objects.create(
        owner=ada, dashboard="revenue", period="last_month", last_slot_at=timezone.now()
    )
    return {
        "mailing": mailing.pk,
        "alert": alert.pk,
        "annotation": annotation.pk,
        "target": Target.objects.create(kpi="csat", value=80).pk,
        "account": globex.pk,
        "task": task.pk,
        "dismissal": dismissal.pk,
        "contact": Contact.objects.get(name="Maria Lopez").pk,
        "subscription": Subscription.objects.filter(account=globex).first().pk,
        "import": record.pk,
        "kpi": "mrr",
        "dashboard": "executive",
        "figures": "figures",
        "word": "word",
        "done": "done",
        "nothing": 10**9,
    }


def address(name: str, things: dict[str, Any]) -> str:
    return reverse(name, kwargs={argument: things[what] for argument, what in ROUTES[name].names})


def signed_in(user: AbstractBaseUser) -> Client:
    client = Client()
    client.force_login(user)
    return client


def body_of(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode(errors="replace")


def is_turned_away(response: Any, route: Route) -> bool:
    if route.api:
        return response.status_code == 401
    return response.status_code == 302 and response["Location"].startswith(reverse("account_login"))


def test_every_route_says_here_who_may_open_it():
    assert sorted(routes_there_are()) == sorted(ROUTES)


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_nothing_but_the_public_routes_opens_without_signing_in(things, method):
    for name, route in ROUTES.items():
        response = getattr(Client(), method)(address(name, things))
        if route.who == PUBLIC:
            assert response.status_code in (200, 405, 503), name
        else:
            assert is_turned_away(response, route) or response.status_code == 405, name


def test_a_user_who_is_switched_off_is_out_at_the_next_request(things, world):
    client = signed_in(world.ada)
    assert client.get(reverse("workspace:home")).status_code == 200
    User.objects.filter(pk=world.ada.pk).update(is_active=False)
    for name, route in ROUTES.items():
        if route.who != PUBLIC:
            response = client.get(address(name, things))
            assert is_turned_away(response, route) or response.status_code == 405, name


@pytest.mark.parametrize("method", ["get", "post"])
def test_what_is_somebody_elses_is_not_there(things, world, method):
    client = signed_in(world.grace)
    for name, route in ROUTES.items():
        if OWN & {what for _, what in route.names}:
            response = getattr(client, method)(address(name, things))
            assert response.status_code in (403, 404, 405), name
            assert b"Globex" not in response.content, name


def test_rooms_for_few_stay_closed_to_a_csm(things, world):
    client = signed_in(world.ada)
    for name, route in ROUTES.items():
        if route.who in (MANAGERS, ADMINS):
            assert client.get(address(name, things)).status_code in (403, 404, 405), name


def test_a_viewer_changes_no_fact_whatever_they_post(things, world):
    def facts() -> list[Any]:
        models = (
            Account,
            Assignment,
            Touch,
            Task,
            Contact,
            Subscription,
            Import,
            Annotation,
            Target,
            DashboardMail,
        )
        return [list(model.objects.order_by("pk").values()) for model in models]

    before = facts()
    client = signed_in(world.viewer)
    form = {
        "kind": "call",
        "notes": "x",
        "happened_at": "2026-06-17T10:00",
        "title": "x",
        "accounts": things["account"],
    }
    for name in ROUTES:
        client.post(address(name, things), form)
        client.put(address(name, things), {"name": "x"}, content_type="application/json")
    assert facts() == before


def test_no_page_shows_ada_what_is_linus_alone(things, world):
    client = signed_in(world.ada)
    pages = [address(name, things) for name in ROUTES]
    pages += [
        reverse("workspace:kpi", args=[slug]) + "?group_by=segment"
        for slug in KPIS
        if "segment" in KPIS[slug].groups
    ]
    pages += [
        reverse("workspace:search") + "?q=Canary",
        reverse("workspace:portfolio") + "?search=Canary&status=all",
    ]
    for url in pages:
        text = body_of(client.get(url)).replace("?q=Canary", "").replace("search=Canary", "")
        for sign in ("Umbrella", "Canary segment", "Canary ticket", "Canary Contact", "77,777", "77777"):
            assert sign not in text, f"{sign} on {url}"


def test_the_admin_does_see_what_ada_does_not(things, world):
    """Without this the test above could pass on pages that show nothing at all."""
    client = signed_in(world.admin)
    for name in (
        "workspace:home",
        "workspace:portfolio",
        "workspace:kpi",
        "api:account-list",
        "api:kpi-rows",
    ):
        assert "Umbrella" in body_of(client.get(address(name, things))), name
