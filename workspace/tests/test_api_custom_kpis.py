"""Defining a KPI by the API: what it takes, refuses and answers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from accounts.tests.factories import make_account, make_user, subscribe
from metrics.models import CustomKpi
from metrics.tests.custom_cast import CUSTOMERS, LARGE, defined, side
from team.models import ApiKey, User
from workspace.tests.test_api_customers import Caller, as_user, assert_problem

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/kpis/custom/"
MARCH = {"start": "2026-03-01", "end": "2026-04-01"}


@pytest.fixture
def root(db: None) -> Caller:
    subscribe(make_account("Acme", csm=make_user("Ada")), 100, date(2026, 1, 1))
    return as_user(make_user("Root", role=User.Role.ADMIN))


def test_a_published_definition_answers_like_any_other_kpi(root: Caller) -> None:
    response = root.send("POST", ADDRESS, {**defined("own", CUSTOMERS), "state": "published"})
    assert response.status_code == 201, response.content
    assert (response.json()["state"], response.json()["version"]) == ("published", 1)
    body = root.get("/api/v1/kpis/own/", group_by="csm", **MARCH).json()
    assert (body["value"], body["version"], body["counts"]) == ("1", 1, {"numerator": "1"})
    assert [group["label"] for group in body["groups"]] == ["Ada"]
    assert root.get("/api/v1/kpis/own/rows/", **MARCH).json()["results"][0]["account"]["name"] == "Acme"
    assert len(root.get("/api/v1/kpis/own/series/", **MARCH).json()["results"]) == 1
    entry = root.get("/api/v1/kpis/").json()["results"][-1]
    assert (entry["slug"], entry["custom"], entry["formula"]) == ("own", True, "customers")


def test_a_draft_is_listed_for_admins_and_answers_nobody(root: Caller) -> None:
    assert root.send("POST", ADDRESS, defined("own", CUSTOMERS)).json()["state"] == "draft"
    assert_problem(root.get("/api/v1/kpis/own/"), 404)
    (entry,) = root.get(ADDRESS).json()["results"]
    assert {name: entry[name] for name in ("slug", "state", "version", "formula", "reason", "made_by")} == {
        "slug": "own",
        "state": "draft",
        "version": 1,
        "formula": "customers",
        "reason": "First version.",
        "made_by": "Root",
    }


def test_a_preview_says_everything_and_saves_nothing(root: Caller) -> None:
    body = root.send(
        "POST", f"{ADDRESS}preview/?start=2026-03-01&end=2026-04-01", defined("own", CUSTOMERS)
    ).json()
    assert body["answer"]["value"] == "1"
    assert body["answer"]["group_by"] == "segment"
    assert [answer["value"] for answer in body["series"]] == ["0"] * 9 + ["1"] * 3
    assert body["rows"]["count"] == 1
    assert body["kpi"]["formula"] == "customers"
    assert not CustomKpi.objects.exists()


def test_a_change_is_a_new_version_and_one_of_an_older_version_a_conflict(root: Caller) -> None:
    root.send("POST", ADDRESS, {**defined("own", CUSTOMERS), "state": "published"})
    change = {**defined("own", side("accounts", *LARGE)), "based_on": 1, "reason": "Only the large ones."}
    body = root.send("PUT", f"{ADDRESS}own/", change).json()
    assert (body["version"], body["state"], body["reason"]) == (2, "published", "Only the large ones.")
    assert root.get("/api/v1/kpis/own/", **MARCH).json()["version"] == 2
    assert_problem(root.send("PUT", f"{ADDRESS}own/", change), 409)
    body = root.send(
        "PUT", f"{ADDRESS}own/", {**change, "based_on": 2, "state": "retired"}, format="json"
    ).json()
    assert (body["version"], body["state"]) == (3, "retired")
    assert_problem(root.get("/api/v1/kpis/own/"), 404)
    assert root.get(f"{ADDRESS}own/").json()["version"] == 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "mrr"}, "slug"),
        ({"state": "hidden"}, "state"),
        ({"reason": ["x"]}, "reason"),
        ({"sql": "SELECT 1"}, "sql"),
        ({"based_on": 1}, "based_on"),
        ({"numerator": {"facts": "secrets"}}, "numerator.facts"),
        ({"unit": "percent"}, "unit"),
    ],
)
def test_what_cannot_be_defined_is_a_400_that_names_the_field(
    root: Caller, change: dict[str, Any], field: str
) -> None:
    assert_problem(root.send("POST", ADDRESS, {**defined("own", CUSTOMERS), **change}), 400, field)
    assert not CustomKpi.objects.exists()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start=2026-04-01&end=2026-03-01", "end"),
        ("start=0001-01-01", "start"),
        ("group_by=colour", "group_by"),
        ("step=day", "step"),
    ],
)
def test_a_preview_of_what_cannot_be_asked_names_the_parameter(root: Caller, query: str, field: str) -> None:
    assert_problem(root.send("POST", f"{ADDRESS}preview/?{query}", defined("own", CUSTOMERS)), 400, field)


def test_a_change_names_the_version_it_was_made_from(root: Caller) -> None:
    root.send("POST", ADDRESS, defined("own", CUSTOMERS))
    for based_on in (None, 0, -1, "x", 10**9):
        change = {**defined("own", CUSTOMERS), "based_on": based_on, "reason": "x"}
        assert_problem(root.send("PUT", f"{ADDRESS}own/", change), 400, "based_on")
    assert_problem(root.send("PUT", f"{ADDRESS}nothing/", defined("nothing", CUSTOMERS)), 404)


@pytest.mark.parametrize("role", [User.Role.MANAGER, User.Role.CSM, User.Role.VIEWER])
def test_only_admins_define(role: str, db: None) -> None:
    caller = as_user(make_user("Reader", role=role))
    for address in (ADDRESS, f"{ADDRESS}preview/"):
        assert_problem(caller.send("POST", address, defined("own", CUSTOMERS)), 403)
    assert_problem(caller.get(ADDRESS), 403)
    assert not CustomKpi.objects.exists()


def test_a_csm_sees_of_a_published_one_what_their_accounts_make(root: Caller) -> None:
    subscribe(make_account("Globex", csm=make_user("Grace")), 100, date(2026, 1, 1))
    root.send("POST", ADDRESS, {**defined("own", CUSTOMERS), "state": "published"})
    assert root.get("/api/v1/kpis/own/", **MARCH).json()["value"] == "2"
    ada = as_user(User.objects.get(name="Ada"))
    assert ada.get("/api/v1/kpis/own/", **MARCH).json()["value"] == "1"
    assert "Globex" not in ada.get("/api/v1/kpis/own/rows/", **MARCH).content.decode()


def test_a_key_for_reading_looks_and_saves_nothing(db: None) -> None:
    reader = as_user(make_user("Root", role=User.Role.ADMIN), scope=ApiKey.Scope.READ)
    assert reader.get(ADDRESS).status_code == 200
    assert reader.send("POST", f"{ADDRESS}preview/", defined("own", CUSTOMERS)).status_code == 200
    assert_problem(reader.send("POST", ADDRESS, defined("own", CUSTOMERS)), 403)
