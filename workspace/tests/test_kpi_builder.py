"""The pages on which admins define KPIs: without script, as a browser posts them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.tests.factories import make_account, make_user, subscribe
from metrics.kpis import KPIS
from metrics.kpis.custom import keeping
from metrics.models import CustomKpi, CustomKpiVersion
from metrics.tests.custom_cast import DEFINITIONS, LARGE, defined, side
from team.models import User
from workspace.builder import as_given

pytestmark = pytest.mark.django_db
NEW = "/kpis/new/"


@pytest.fixture
def root(db: None) -> User:
    subscribe(make_account("Acme", csm=make_user("Ada"), segment="large"), 100, date(2026, 1, 1))
    return make_user("Root", User.Role.ADMIN)


@pytest.fixture
def admin(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


def posted(**changes: Any) -> dict[str, Any]:
    """Return what a browser sends of a count of customers."""
    return {
        "groups_shown": "1",
        "groups": ["csm", "segment"],
        "label": "Our customers",
        "shape": "total",
        "direction": "up",
        "based_on": "0",
        "numerator-facts": "accounts",
        "numerator-were": "accounts",
        "numerator-measure": "count",
        "numerator-rows": "1",
        "numerator-0-field": "status",
        "numerator-0-operator": "is",
        "numerator-0-value": "customer",
        "denominator-facts": "accounts",
        "denominator-were": "accounts",
        "denominator-rows": "0",
    } | changes


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_a_look_shows_the_number_its_words_rows_and_year_and_saves_nothing(admin: Client) -> None:
    page = text(admin.post(NEW, posted(do="preview", label="")))
    for words in ("What it says", ">customers<", "The last 12 months", "Acme"):
        assert words in page
    assert not CustomKpi.objects.exists()


def test_publishing_leads_to_the_page_of_the_new_kpi(admin: Client) -> None:
    response = admin.post(NEW, posted(do="publish"))
    assert response["Location"] == "/kpis/our_customers/"
    page = text(admin.get("/kpis/our_customers/?group_by=csm"))
    for words in ("Our customers", "Defined here, version 1", "Acme", "Ada", "/kpis/our_customers/edit/"):
        assert words in page
    assert KPIS["our_customers"].groups[:3] == ("csm", "segment", "day")
    assert "Our customers" in text(admin.get("/kpis/"))
    assert admin.get("/kpis/our_customers/", {"group_by": "plan"}).status_code == 400


def test_a_draft_is_kept_for_admins_and_shown_to_nobody(admin: Client) -> None:
    assert admin.post(NEW, posted(do="save"))["Location"] == "/kpis/our_customers/edit/"
    assert "our_customers" not in KPIS
    assert admin.get("/kpis/our_customers/").status_code == 404
    assert "Our customers" in text(admin.get("/kpis/"))
    ada = Client()
    ada.force_login(User.objects.get(name="Ada"))
    assert "Our customers" not in text(ada.get("/kpis/"))


@pytest.mark.parametrize(
    ("action", "rows", "focus"),
    [
        ("add:numerator", 2, "numerator-1-field"),
        ("remove:numerator:0", 0, ""),
        ("remove:numerator:7", 1, ""),
        ("add:nothing", 1, ""),
        ("refresh", 1, ""),
        ("'; DROP", 1, ""),
    ],
)
def test_a_button_adds_or_removes_a_row_and_keeps_what_was_typed(
    action: str, rows: int, focus: str, admin: Client
) -> None:
    response = admin.post(NEW, posted(do=action, definition="Whoever pays us."))
    page = text(response)
    assert response.status_code == 200
    assert f'name="numerator-rows" value="{rows}"' in page
    assert "Whoever pays us." in page
    assert 'value="Our customers"' in page
    assert ("data-focus" in page) is bool(focus)


def test_what_accounts_have_can_be_narrowed_row_by_row(admin: Client) -> None:
    row = {"numerator-0-field": "has_tickets", "numerator-0-operator": "at_least", "numerator-0-value": "2"}
    page = text(admin.post(NEW, posted(do="add:numerator:0", **row)))
    assert 'name="numerator-0-0-field"' in page
    assert "Priority" in page
    inner = {
        "numerator-0-rows": "1",
        "numerator-0-0-field": "priority",
        "numerator-0-0-operator": "is",
        "numerator-0-0-value": "urgent",
    }
    page = text(admin.post(NEW, posted(do="preview", **row, **inner)))
    assert "accounts with at least 2 tickets whose priority is urgent" in page


def test_other_facts_take_over_the_conditions_that_they_know(admin: Client) -> None:
    rows = {"numerator-rows": "2", "numerator-1-field": "segment", "numerator-1-operator": "is"}
    changed = posted(do="refresh", **rows, **{"numerator-1-value": "large", "numerator-facts": "tickets"})
    page = text(admin.post(NEW, changed))
    assert 'value="opened" selected' in page
    assert 'value="account.segment" selected' in page
    assert 'value="large"' in page


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"label": " "}, "This is needed."),
        ({"label": "x" * 81}, "At most 80 characters"),
        ({"label": "a\x00b"}, "This is needed."),
        ({"numerator-0-value": "nobody"}, "is none of customer"),
        ({"numerator-0-field": "password"}, "Choose one of status"),
        ({"numerator-0-operator": "regex"}, ""),
        (
            {"numerator-0-field": "mrr", "numerator-0-operator": "at_least", "numerator-0-value": "many"},
            "no number",
        ),
        ({"numerator-facts": "secrets", "numerator-were": "secrets"}, "Choose one of accounts"),
        ({"numerator-measure": "sum.password"}, "these add up"),
        ({"groups": ["colour"]}, "can be grouped by"),
        ({"direction": "sideways"}, "Choose one of up"),
        ({"shape": "ratio", "unit": "parsec"}, "can be shown as"),
        ({"numerator-rows": "9" * 30}, ""),
    ],
)
@pytest.mark.parametrize("action", ["preview", "publish"])
def test_what_cannot_be_is_said_where_it_was_typed(
    changes: dict[str, Any], rule: str, action: str, admin: Client
) -> None:
    response = admin.post(NEW, posted(do=action, **changes))
    if rule and not (action == "preview" and "needed" in rule):
        assert response.status_code == 422
        assert rule in text(response)
        assert not CustomKpi.objects.exists()
    else:
        assert response.status_code in (200, 302)


def test_a_change_is_a_new_version_with_a_reason_and_shows_old_against_new(admin: Client) -> None:
    admin.post(NEW, posted(do="publish"))
    edit = "/kpis/our_customers/edit/"
    assert 'value="customer" selected' in text(admin.get(edit))
    change = posted(based_on="1", **{"numerator-0-operator": "is_not"})
    page = text(admin.post(edit, {**change, "do": "preview"}))
    for words in ("Now, and with your change", "1, now", "2, yours", "accounts whose status is not customer"):
        assert words in page
    response = admin.post(edit, {**change, "do": "save"})
    assert response.status_code == 422
    assert "This is needed." in text(response)
    assert admin.post(edit, {**change, "do": "save", "reason": "The others."}).status_code == 302
    assert KPIS["our_customers"].version == 2
    assert "The others." in text(admin.get(edit))


def test_a_form_over_somebody_elses_newer_version_is_refused_and_keeps_what_was_typed(
    admin: Client, root: User
) -> None:
    admin.post(NEW, posted(do="publish"))
    newer = keeping.read(defined("our_customers", side("accounts", *LARGE)))
    other = make_user("Grace", User.Role.ADMIN)
    keeping.save(newer, by=other, reason="Large ones.", based_on=1, now=timezone.now())
    change = posted(do="save", based_on="1", reason="Mine.", definition="As I say.")
    response = admin.post("/kpis/our_customers/edit/", change)
    page = text(response)
    assert response.status_code == 422
    for words in ("Somebody was faster.", "Grace", "Large ones.", "As I say.", 'value="Mine."'):
        assert words in page
    assert CustomKpiVersion.objects.count() == 2
    assert 'name="based_on" value="2"' in page
    assert admin.post("/kpis/our_customers/edit/", {**change, "based_on": "2"}).status_code == 302
    assert KPIS["our_customers"].version == 3


def test_a_retired_kpi_is_gone_from_pages_and_comes_back_when_published(admin: Client) -> None:
    admin.post(NEW, posted(do="publish"))
    assert admin.post("/kpis/our_customers/edit/", posted(do="retire")).status_code == 302
    assert admin.get("/kpis/our_customers/").status_code == 404
    assert "Retired" in text(admin.get("/kpis/"))
    change = posted(do="publish", based_on="1", reason="Needed after all.")
    assert admin.post("/kpis/our_customers/edit/", change).status_code == 302
    assert admin.get("/kpis/our_customers/").status_code == 200


@pytest.mark.parametrize("given", DEFINITIONS, ids=lambda given: given["slug"])
def test_the_form_shows_every_definition_so_that_saving_it_changes_nothing(
    given: dict[str, Any], admin: Client, root: User
) -> None:
    version = keeping.save(keeping.read(given), by=root, reason="", based_on=0, now=timezone.now())
    page = admin.get(reverse("workspace:kpi-edit", args=[given["slug"]]))
    draft = page.context["page"].draft
    assert draft["label"] == version.label
    assert keeping.read(as_given(draft, given["slug"])).formula.as_json() == version.formula


def test_a_look_takes_few_queries_however_many_accounts_there_are(
    admin: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(25):
        admin.post(NEW, posted(do="preview"))


@pytest.mark.parametrize("role", [User.Role.MANAGER, User.Role.CSM, User.Role.VIEWER])
def test_only_admins_define(role: str, root: User) -> None:
    client = Client()
    client.force_login(make_user("Reader", role))
    for method in (client.get, client.post):
        assert method(NEW, posted(do="publish")).status_code == 403
    assert "Define a KPI" not in text(client.get("/kpis/"))
    assert not CustomKpi.objects.exists()


def test_what_comes_with_the_platform_cannot_be_changed(admin: Client) -> None:
    assert admin.get("/kpis/mrr/edit/").status_code == 404
