from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from team import keys
from team.models import ApiKey, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    return User.objects.create_user("boss@example.com", role=User.Role.ADMIN)


@pytest.fixture
def admin_client(boss) -> Client:
    client = Client()
    client.force_login(boss)
    return client


def test_an_admin_makes_a_key_and_sees_it_once(admin_client, boss):
    form = {"name": "CRM", "owner": boss.pk, "scope": "write", "expires_at_0": "", "expires_at_1": ""}
    page = admin_client.post(reverse("admin:team_apikey_add"), form, follow=True).content.decode()
    token = re.search(r"csp_[\w-]{43}", page)
    assert token
    found = keys.find(token[0], at=timezone.now())
    assert found is not None
    assert (found.name, found.owner, found.scope) == ("CRM", boss, "write")
    assert token[0] not in admin_client.get(reverse("admin:team_apikey_changelist")).content.decode()


def test_a_revoked_key_stays_revoked_from_its_first_time(admin_client, boss):
    key, token = keys.issue(name="old", owner=boss, scope="read")
    action = {"action": "revoke", "_selected_action": [key.pk]}
    admin_client.post(reverse("admin:team_apikey_changelist"), action)
    first = ApiKey.objects.get().revoked_at
    keys.revoke(key, at=timezone.now())
    assert keys.find(token, at=timezone.now()) is None
    assert ApiKey.objects.get().revoked_at == first


def test_use_is_noted(boss):
    key, token = keys.issue(name="crm", owner=boss, scope="read")
    now = timezone.now()
    keys.find(token, at=now)
    key.refresh_from_db()
    assert key.last_used_at == now
