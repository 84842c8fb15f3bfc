"""The admin site: every list opens and searches, evidence cannot be edited, only admins come in."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.models import Movement, Subscription, Touch
from playbooks.models import Dismissal
from surveys.models import Response
from tickets.models import Ticket
from usage.models import EndUser, Event, UsageDay

APPS = ["team", "accounts", "usage", "tickets", "surveys", "playbooks"]
EVIDENCE = [Movement, Subscription, Ticket, Response, EndUser, UsageDay, Event, Dismissal]

registered = [model for model in admin.site._registry if model._meta.app_label in APPS]


def address(model, name: str = "changelist", *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.mark.parametrize("model", registered, ids=lambda model: model.__name__)
def test_every_list_opens_and_searches(client, world, model):
    client.force_login(world.admin)
    assert client.get(address(model)).status_code == 200
    if admin.site._registry[model].search_fields:
        assert client.get(address(model), {"q": "acme"}).status_code == 200


def test_each_kind_of_evidence_has_a_list():
    assert set(EVIDENCE) <= set(registered)


@pytest.mark.parametrize("model", EVIDENCE, ids=lambda model: model.__name__)
def test_evidence_is_neither_added_nor_changed_nor_deleted(client, world, model):
    client.force_login(world.admin)
    assert client.get(address(model, "add")).status_code == 403
    row = model.objects.first()
    if row is not None:
        assert client.post(address(model, "change", row.pk), {}).status_code == 403
        assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("who", ["ada", "manager", "viewer"])
def test_nobody_but_an_admin_comes_in(client, world, who):
    client.force_login(getattr(world, who))
    assert client.get("/admin/").status_code == 302
    assert client.get(address(Touch)).status_code == 302


def test_an_account_opens_with_its_inlines(client, world):
    client.force_login(world.admin)
    page = client.get(address(type(world.acme), "change", world.acme.pk))
    assert page.status_code == 200
    assert client.post(address(type(world.acme), "delete", world.acme.pk), {"post": "yes"}).status_code == 403
