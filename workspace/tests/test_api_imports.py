from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import Account
from accounts.tests.factories import make_user
from intake.models import Import
from team import work
from team.models import User
from workspace.tests.test_api_customers import Caller, as_user, assert_problem

pytestmark = pytest.mark.django_db

URL = "/api/v1/imports/"
FILE = b"id,name,segment\n1,Acme,smb\n2,Globex,mid\n3,,mid\n"


@pytest.fixture
def manager(db) -> Caller:
    return as_user(make_user("Mia", role=User.Role.MANAGER))


def send(caller: Caller, content: bytes = FILE, **fields: str):
    return caller.client.post(URL, {"file": SimpleUploadedFile("accounts.csv", content), **fields})


def test_a_file_is_taken_at_once_and_read_by_a_worker(manager):
    response = send(manager, kind="accounts", source="crm")
    assert response.status_code == 202
    assert not Account.objects.exists()
    work.run_due()
    body = manager.client.get(response["Location"]).json()
    assert (body["state"], body["created"], body["rejected"]) == ("done", 2, 1)
    assert [(error["line"], error["field"]) for error in body["errors"]] == [(4, "name")]
    assert set(Account.objects.values_list("name", flat=True)) == {"Acme", "Globex"}


def test_a_dry_run_says_what_would_happen_and_stores_nothing(manager):
    body = send(manager, kind="accounts", dry_run="true").json()
    assert (body["created"], body["rejected"]) == (2, 1)
    assert not Account.objects.exists()
    assert not Import.objects.exists()


def test_a_mapping_comes_with_the_file(manager):
    mapping = {"kind": "accounts", "fields": {"external_id": "name", "name": "segment"}}
    response = send(manager, kind="accounts", mapping=json.dumps(mapping))
    work.run_due()
    assert response.status_code == 202
    assert set(Account.objects.values_list("name", flat=True)) == {"smb", "mid"}


@pytest.mark.parametrize(
    ("content", "fields", "named"),
    [
        (FILE, {"kind": "colours"}, "kind"),
        (FILE, {}, "kind"),
        (FILE, {"kind": "accounts", "mapping": "{"}, "mapping"),
        (FILE, {"kind": "accounts", "mapping": '{"kind": "accounts", "fields": {"name": "nope"}}'}, None),
        (FILE, {"kind": "accounts", "as_of": "9999-99-99"}, "as_of"),
        (b"\x00\x01\x02\xff" * 50, {"kind": "accounts"}, None),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_kept(manager, content, fields, named):
    response = send(manager, content, **fields)
    assert response.status_code == 400
    if named:
        assert named in [error["field"] for error in response.json()["errors"]]
    assert not Import.objects.exists()


def test_a_csm_does_not_import(manager):
    assert_problem(send(as_user(make_user("Ada")), kind="accounts"), 403)


def test_a_manager_does_not_see_what_others_imported(manager):
    response = send(manager, kind="accounts")
    other = as_user(make_user("Max", role=User.Role.MANAGER))
    assert_problem(other.client.get(response["Location"]), 404)
    assert other.get(URL).json()["results"] == []
    assert len(manager.get(URL).json()["results"]) == 1
