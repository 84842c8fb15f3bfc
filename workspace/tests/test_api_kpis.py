from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from accounts.models import Account
from accounts.tests.factories import make_account, make_user, subscribe
from metrics.kpis import KPIS
from metrics.models import Target
from metrics.tests.cast import answer, at, happens, ticket
from team.models import User
from workspace.tests.test_api_customers import Caller, as_user, assert_problem

pytestmark = pytest.mark.django_db

MARCH = {"start": "2026-03-01", "end": "2026-04-01"}


@pytest.fixture
def ada(db) -> User:
    return make_user("Ada")


@pytest.fixture
def caller(ada) -> Caller:
    """Ada: Acme pays 100, Globex left in March; Grace has Initech with 1,000."""
    subscribe(make_account("Acme", csm=ada), 100, date(2026, 1, 1))
    subscribe(make_account("Globex", csm=ada), 50, date(2026, 1, 1), date(2026, 3, 9))
    subscribe(make_account("Initech", csm=make_user("Grace")), 1_000, date(2026, 1, 1))
    return as_user(ada)


def test_the_catalogue_explains_every_kpi(caller):
    found = caller.get("/api/v1/kpis/").json()["results"]
    assert [entry["slug"] for entry in found] == list(KPIS)
    assert all(entry["definition"] and entry["formula"] and entry["source"] for entry in found)


def test_the_catalogue_says_what_is_aimed_for_and_over_how_long(caller):
    Target.objects.create(kpi="nrr", value=110, months=12)
    Target.objects.create(kpi="nrr", value=90, group_by="segment", group="Canary")
    found = {entry["slug"]: entry for entry in caller.get("/api/v1/kpis/").json()["results"]}
    assert (found["nrr"]["target"], found["nrr"]["target_months"]) == ("110", 12)
    assert found["nps"]["benchmark"] == {"low": "30", "high": "70"}
    assert found["mrr"]["target"] is None


def test_churn_counts_only_the_callers_customers(caller):
    body = caller.get("/api/v1/kpis/customer_churn_rate/", **MARCH).json()
    assert (body["value"], body["numerator"], body["denominator"]) == ("50", "1", "2")
    assert body["period"] == {"start": "2026-03-01", "end": "2026-04-01"}
    assert body["small_sample"] is True


def test_undefined_is_null_with_a_reason(caller):
    body = caller.get("/api/v1/kpis/customer_churn_rate/", start="2020-01-01", end="2020-02-01").json()
    assert (body["value"], body["reason"]) == (None, "no_customers_at_start")


def test_the_rows_add_up_to_the_number(caller):
    number = caller.get("/api/v1/kpis/mrr/", **MARCH).json()["value"]
    body = caller.get("/api/v1/kpis/mrr/rows/", **MARCH).json()
    assert sum(Decimal(row["amount"]) for row in body["results"]) == Decimal(number) == 100
    assert [row["account"]["name"] for row in body["results"]] == ["Acme"]


def test_rows_are_paged_by_cursor(caller):
    first = caller.get(
        "/api/v1/kpis/customer_churn_rate/rows/", part="denominator", limit="1", **MARCH
    ).json()
    second = caller.client.get(first["next"]).json()
    assert first["count"] == 2
    assert [page["results"][0]["account"]["name"] for page in (first, second)] == ["Acme", "Globex"]
    assert (first["previous"], second["next"]) == (None, None)


def test_a_series_has_a_value_for_every_month(caller):
    body = caller.get("/api/v1/kpis/mrr/series/", start="2026-01-01", end="2026-04-01", step="month").json()
    assert [answer["value"] for answer in body["results"]] == ["150.00", "150.00", "100.00"]


def test_groups_carry_their_counts(caller):
    Account.objects.filter(name="Acme").update(segment="smb")
    body = caller.get("/api/v1/kpis/mrr/", group_by="csm", **MARCH).json()
    assert [(group["label"], group["value"]) for group in body["groups"]] == [("Ada", "100.00")]


def test_compare_puts_an_earlier_period_beside_the_number(caller):
    acme = Account.objects.get(name="Acme")
    for month, scores in ((1, (9,) * 12 + (7,) * 5 + (0,) * 3), (2, (9,) * 9 + (7,) * 6 + (0,) * 5)):
        for score in scores:
            answer("nps", score, account=acme, day=date(2026, month, 12))
    asked = {"start": "2026-02-01", "end": "2026-03-01"}
    body = caller.get("/api/v1/kpis/nps/", compare="previous", **asked).json()
    assert body["comparison"] == {
        "to": "previous",
        "period": {"start": "2026-01-01", "end": "2026-02-01"},
        "value": "45",
        "numerator": "9",
        "denominator": "20",
        "sample_size": 20,
        "reason": None,
        "change": "-25",
        "significance": {"z": "0.948601", "level": "0.95", "significant": False},
    }
    plain = caller.get("/api/v1/kpis/nps/", **asked).json()
    assert {**plain, "computed_at": "", "data_as_of": ""} == {
        **{name: value for name, value in body.items() if name != "comparison"},
        "computed_at": "",
        "data_as_of": "",
    }
    year = caller.get("/api/v1/kpis/mrr/", compare="year", **MARCH).json()["comparison"]
    assert year["period"] == {"start": "2025-03-01", "end": "2025-04-01"}
    assert (year["value"], year["change"], year["significance"]) == ("0.00", "100.00", None)


def test_own_groupings_filter_and_group(caller):
    acme = Account.objects.get(name="Acme")
    for score, problem in ((10, "no"), (9, "no"), (2, "yes")):
        given = answer("nps", score, account=acme, day=date(2026, 3, 3)).response
        given.attributes = {"met a problem": problem}
        given.save()
    name = "attribute:met a problem"
    body = caller.get("/api/v1/kpis/nps/", group_by=name, **MARCH).json()
    assert [(group["label"], group["value"]) for group in body["groups"]] == [("no", "100"), ("yes", "-100")]
    assert caller.get("/api/v1/kpis/nps/", **{name: "yes"}, **MARCH).json()["value"] == "-100"
    assert caller.get("/api/v1/kpis/nps/rows/", **{name: "no"}, **MARCH).json()["count"] == 2
    assert caller.get("/api/v1/kpis/nps/", survey="Open", **MARCH).json()["denominator"] == "3"
    catalogue = {entry["slug"]: entry for entry in caller.get("/api/v1/kpis/").json()["results"]}
    assert catalogue["nps"]["groups"][-4:] == ["survey", "language", "scale", "attribute:NAME"]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("nps/", {"compare": "tomorrow"}, "compare"),
        ("nps/", {"compare": "year", "start": "1900-06-01", "end": "1900-07-01"}, "compare"),
        ("nps/", {"group_by": "attribute"}, "group_by"),
        ("nps/", {"group_by": "attribute:"}, "group_by"),
        ("nps/", {"group_by": 'attribute:a"b'}, "group_by"),
        ("nps/", {"attribute": "x"}, "attribute"),
        ("mrr/", {"survey": "x"}, "survey"),
        ("mrr/series/", {"compare": "year"}, "compare"),
        ("mrr/", {"start": "2026-04-01", "end": "2026-03-01"}, "end"),
        ("mrr/", {"start": "yesterday"}, "start"),
        ("mrr/", {"start": "0001-01-01", "end": "9999-12-31"}, "start"),
        ("mrr/", {"start": "1900-01-01", "end": "2150-01-01"}, "end"),
        ("mrr/", {"variant": "wide"}, "variant"),
        ("mrr/", {"group_by": "colour"}, "group_by"),
        ("mrr/", {"known_at": "soon"}, "known_at"),
        ("mrr/", {"csm": "nobody@example.com"}, "csm"),
        ("mrr/", {"account": "²"}, "account"),
        ("mrr/", {"segmnt": "smb"}, "segmnt"),
        ("mrr/", {"segment": "a\x00"}, "segment"),
        ("mrr/series/", {"step": "decade"}, "step"),
        ("mrr/series/", {"start": "1990-01-01", "end": "2026-01-01", "step": "day"}, "step"),
        ("mrr/rows/", {"part": "quarter"}, "part"),
        ("mrr/rows/", {"limit": "1001"}, "limit"),
        ("mrr/rows/", {"cursor": "-1"}, "cursor"),
    ],
)
def test_a_bad_question_is_refused_with_the_field_named(caller, path, query, field):
    assert_problem(caller.get(f"/api/v1/kpis/{path}", **query), 400, field)


def test_an_unknown_kpi_is_not_there(caller):
    assert_problem(caller.get("/api/v1/kpis/happiness/"), 404)


@pytest.mark.parametrize("slug", KPIS)
def test_every_kpi_answers_on_an_empty_installation(slug):
    admin = as_user(make_user("Boss", role=User.Role.ADMIN))
    assert admin.get(f"/api/v1/kpis/{slug}/").status_code == 200
    assert admin.get(f"/api/v1/kpis/{slug}/rows/").json()["results"] == []


# --- Groups that only some KPIs have --------------------------------------------------


@pytest.fixture
def desk(ada) -> Caller:
    """Ada's Acme asked twice: Kim answered on 3 March, Lou resolved on the 4th."""
    acme = make_account("Acme", csm=ada)
    for number, agent, channel in ((1, "Kim", "mail"), (2, "Lou", "chat")):
        made = ticket(str(number), date(2026, 3, 2), account=acme, agent=agent, channel=channel)
        happens(
            made, ("replied", at(date(2026, 3, 2 + number))), ("resolved", at(date(2026, 3, 2 + number), 15))
        )
    return as_user(ada)


def test_support_is_counted_by_agent_and_a_day_of_one_agent_can_be_asked_for(desk):
    body = desk.get("/api/v1/kpis/tickets_closed/", group_by="agent", **MARCH).json()
    assert [(group["key"], group["value"]) for group in body["groups"]] == [("Kim", "1"), ("Lou", "1")]
    assert desk.get("/api/v1/kpis/tickets_closed/", agent="Kim", **MARCH).json()["value"] == "1"
    days = desk.get("/api/v1/kpis/tickets_closed/series/", agent="Lou", step="day", **MARCH).json()["results"]
    closed = {day["period"]["start"]: day["value"] for day in days if day["value"] != "0"}
    assert closed == {"2026-03-04": "1"}
    rows = desk.get("/api/v1/kpis/tickets_closed/rows/", agent="Lou", **MARCH).json()["results"]
    assert [row["ticket"] for row in rows] == ["2"]


def test_a_median_goes_out_in_hours_with_the_number_of_tickets(desk):
    body = desk.get("/api/v1/kpis/first_response_time/", channel="chat", **MARCH).json()
    assert (body["value"], body["unit"], body["variant"]) == ("48", "hours", "median")
    assert (body["numerator"], body["denominator"], body["sample_size"]) == ("1", None, 1)
    nobody = desk.get("/api/v1/kpis/first_response_time/", channel="fax", **MARCH).json()
    assert (nobody["value"], nobody["reason"]) == (None, "nothing_answered")


@pytest.mark.parametrize(
    ("slug", "query", "field"),
    [
        ("mrr", {"agent": "Kim"}, "agent"),
        ("mrr", {"group_by": "agent"}, "group_by"),
        ("tickets_closed", {"agent": "a\x00b"}, "agent"),
        ("tickets_closed", {"group_by": "feature"}, "group_by"),
        ("first_response_time", {"variant": "mean"}, "variant"),
    ],
)
def test_groups_a_kpi_does_not_have_are_refused_by_name(desk, slug, query, field):
    assert_problem(desk.get(f"/api/v1/kpis/{slug}/", **MARCH, **query), 400, field)


def test_the_table_of_cohorts_is_the_callers(caller):
    found = caller.get("/api/v1/kpis/cohort_retention/matrix/", start="2026-01-01", end="2026-03-11")
    assert found.json() == {
        "kpi": "cohort_retention",
        "version": 1,
        "variant": "customers",
        "unit": "percent",
        "period": {"start": "2026-01-01", "end": "2026-03-11"},
        "cohorts": [
            {
                "cohort": "2026-01",
                "joined": 2,
                "cells": [
                    {"month": 0, "end": "2026-02-01", "value": "100", "numerator": "2", "denominator": "2"}
                    | {"reason": None},
                    {"month": 1, "end": "2026-03-01", "value": "100", "numerator": "2", "denominator": "2"}
                    | {"reason": None},
                    {"month": 2, "end": "2026-03-11", "value": "50", "numerator": "1", "denominator": "2"}
                    | {"reason": None},
                ],
            },
            *(
                {
                    "cohort": cohort,
                    "joined": 0,
                    "cells": [
                        {"month": at, "end": end, "value": None, "numerator": "0", "denominator": "0"}
                        | {"reason": "nobody_joined"}
                        for at, end in enumerate(ends)
                    ],
                }
                for cohort, ends in (("2026-02", ["2026-03-01", "2026-03-11"]), ("2026-03", ["2026-03-11"]))
            ),
        ],
    }


def test_the_table_of_cohorts_goes_out_as_csv(caller):
    asked = {"start": "2026-01-01", "end": "2026-03-01", "variant": "mrr", "format": "csv"}
    found = caller.get("/api/v1/kpis/cohort_retention/matrix/", **asked)
    assert found["Content-Type"] == "text/csv; charset=utf-8"
    lines = found.content.decode().removeprefix("\ufeff").splitlines()
    assert lines[:3] == [
        "cohort,joined,month,end,value,numerator,denominator,reason",
        "2026-01,2,0,2026-02-01,100,150,150,",
        "2026-01,2,1,2026-03-01,100,150,150,",
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start": "2000-01-01", "end": "2026-01-01"}, "start"),
        ({"variant": "seats"}, "variant"),
        ({"cohort": "2026-01"}, "cohort"),
        ({"start": "soon", "format": "csv"}, "start"),
    ],
)
def test_a_table_of_cohorts_that_cannot_be_made_names_the_field(caller, query, field):
    assert_problem(caller.get("/api/v1/kpis/cohort_retention/matrix/", **query), 400, field)
