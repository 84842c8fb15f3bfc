"""Home, portfolio, account and search: they work, keep strangers out, refuse bad input, and stay cheap."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Account, Assignment, Contact, DueAccount, Touch
from accounts.tests.factories import make_account, make_user, subscribe
from metrics.models import AccountHealth
from metrics.tests.health_cast import NOON, TODAY, touch
from playbooks.models import Task
from playbooks.tests.cast import CANARY, World, hold, score
from team.spreadsheets import safe_cell
from tickets.models import Ticket
from workspace.models import SavedView

HTMX = {"HX-Request": "true"}


def text(response: Any) -> str:
    return response.content.decode()


def events(response: Any) -> dict[str, Any]:
    return json.loads(response.headers["HX-Trigger"])


def many_accounts(world: World, count: int) -> list[Account]:
    accounts = Account.objects.bulk_create(
        Account(name=f"Number {n:03}", mrr=Decimal(n), is_customer=True, segment="Mid-market")
        for n in range(1, count + 1)
    )
    Assignment.objects.bulk_create(
        Assignment(account=account, user=world.ada, starts_on=TODAY) for account in accounts
    )
    AccountHealth.objects.bulk_create(
        AccountHealth(
            account=account, band="yellow", score=60, coverage=100, computed_at=NOON, checked_at=NOON
        )
        for account in accounts
    )
    return accounts


# --- Everybody ------------------------------------------------------------------------

PATHS = [
    "/",
    "/queue/",
    "/figures/",
    "/portfolio/",
    "/portfolio/export/",
    "/search/?q=acme",
    "/search/names/",
]


@pytest.mark.parametrize(
    "path", [*PATHS, "/accounts/1/", "/accounts/1/timeline/", "/accounts/1/touches/new/"]
)
def test_a_stranger_is_sent_to_the_sign_in_page(client, db, path):
    assert client.get(path).headers["Location"].startswith("/auth/login/")


@pytest.mark.parametrize(
    "path",
    [
        *PATHS,
        "/?backup=on",
        "/?all=on&since=yesterday",
        "/portfolio/?status=all",
        "/portfolio/?search=canary&status=all",
        "/portfolio/export/?status=all",
        "/search/?q=canary",
        "/search/names/?account=canary",
        "/tasks/?show=all",
        "/renewals/",
    ],
)
@pytest.mark.parametrize("who", ["ada", "grace", "manager"])
def test_a_canary_of_somebody_elses_is_nowhere(client, world, who, path):
    client.force_login(getattr(world, who))
    response = client.get(path)
    body = b"".join(response.streaming_content).decode() if response.streaming else text(response)
    for secret in (CANARY, "Canary segment", "Canary ticket", "Canary Contact", "77,777", "77777"):
        assert secret not in body, secret


@pytest.mark.parametrize("who", ["ada", "grace", "manager"])
def test_somebody_elses_account_is_not_there(client, world, who):
    client.force_login(getattr(world, who))
    pk = world.umbrella.pk
    for name in ("workspace:account", "workspace:timeline", "workspace:touch-new", "playbooks:task-new-for"):
        assert client.get(reverse(name, args=[pk])).status_code == 404, name
    assert (
        client.post(reverse("workspace:touch-new", args=[pk]), {"kind": "call", "notes": "x"}).status_code
        == 404
    )


@pytest.mark.parametrize("who", ["manager", "admin", "viewer"])
@pytest.mark.parametrize("path", ["/", "/portfolio/", "/search/?q=acme"])
def test_every_role_has_its_pages(client, world, who, path):
    client.force_login(getattr(world, who))
    assert "Acme" in text(client.get(path)) or path == "/"


def test_an_account_handed_over_is_gone_with_the_next_request(client, world):
    client.force_login(world.ada)
    assert client.get(world.acme.get_absolute_url()).status_code == 200
    Assignment.objects.filter(account=world.acme).update(user=world.grace)
    assert client.get(world.acme.get_absolute_url()).status_code == 404


# --- Home -----------------------------------------------------------------------------


def test_home_begins_with_who_needs_somebody_and_why(client, world):
    client.force_login(world.ada)
    page = text(client.get("/"))
    assert "1 account to look at" in page
    assert "NPS answer 3 of 10, no contact since" in page
    assert "Call Maria Lopez, champion" in page
    assert "Nobody here uses it any more." in page


def test_each_figure_of_home_leads_to_its_explanation(client, world):
    client.force_login(world.ada)
    cards = {card.label: card for card in client.get("/figures/").context["figures"]}
    assert cards["MRR"].value == Decimal(1900)
    assert cards["MRR"].href == f"/kpis/mrr/?start=2026-06-01&end=2026-06-18&csm={world.ada.pk}"
    assert (cards["Customers"].value, cards["NPS"].value) == (2, 0)
    assert (cards["MRR at risk"].value, cards["MRR at risk"].href) == (900, "/portfolio/?band=red&csm=me")


def test_accounts_one_only_stands_in_for_are_shown_on_request(client, world):
    hold(world.umbrella, world.ada, kind="backup")
    client.force_login(world.ada)
    assert CANARY not in text(client.get("/"))
    assert CANARY in text(client.get("/?backup=on"))


def test_a_manager_looks_at_the_day_of_one_csm(client, world):
    other = make_user("Bob", team=world.manager.team)
    hooli = make_account("Hooli", csm=other)
    subscribe(hooli, 5000, TODAY - timedelta(days=200))
    score()
    client.force_login(world.manager)
    cards = client.get(f"/figures/?csm={other.pk}").context["figures"]
    assert cards[0].value == 5000


@pytest.mark.parametrize("query", ["csm=999999999999999999999", "csm=x", "since=never", "all=%00", "csm=%00"])
def test_a_bad_address_of_home_shows_home(client, world, query):
    client.force_login(world.manager)
    assert client.get(f"/?{query}").status_code == 200


def test_a_new_installation_leads_to_the_import(client, db, noon):
    client.force_login(make_user("Ada", "admin"))
    page = text(client.get("/"))
    assert 'href="/imports/"' in page
    assert "make demo" in page


def test_a_csm_without_accounts_is_told_what_happens_next(client, world):
    client.force_login(world.grace)
    assert "You look after no accounts" in text(client.get("/"))


def test_what_moved_shows_scores_and_money(client, world):
    AccountHealth.objects.filter(account=world.acme).update(change_7d=Decimal("6.5"))
    subscribe(world.acme, 250, TODAY - timedelta(days=2))
    client.force_login(world.ada)
    context = client.get("/").context
    assert (world.acme, Decimal("6.5")) in [(move.account, move.change) for move in context["movers"]]
    assert [(move.account, move.delta) for move in context["movements"]] == [(world.acme, Decimal(250))]


def test_the_calendar_holds_tasks_of_mine_and_overdue_ones_today(client, world):
    Task.objects.create(
        account=world.acme, title="Late", due_on=TODAY - timedelta(days=9), assignee=world.ada
    )
    Task.objects.create(account=world.acme, title="Theirs", due_on=TODAY, assignee=world.manager)
    client.force_login(world.ada)
    days = [day for week in client.get("/").context["weeks"] for day in week]
    assert [(day.day, [task.title for task in day.tasks]) for day in days if day.tasks] == [(TODAY, ["Late"])]


def test_home_takes_as_many_queries_for_sixty_accounts_as_for_two(
    client, world, django_assert_max_num_queries
):
    client.force_login(world.ada)
    with django_assert_max_num_queries(21) as few:
        client.get("/")
    many_accounts(world, 60)
    with django_assert_max_num_queries(21) as many:
        client.get("/")
    assert len(many) <= len(few) + 1  # one count, once there is more than ten lines


# --- Portfolio ------------------------------------------------------------------------


def found(client, query: str) -> list[str]:
    return [row.account.name for row in client.get(f"/portfolio/?{query}").context["rows"]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Acme", "Globex"]),
        ("status=former", ["Initech"]),
        ("status=all", ["Acme", "Globex", "Initech"]),
        ("search=glo", ["Globex"]),
        ("segment=Enterprise", ["Acme"]),
        ("segment=Nonsense", []),
        ("plan=team", ["Acme", "Globex"]),
        ("band=red", ["Globex"]),
        ("score_min=75", ["Acme"]),
        ("score_max=74.99", ["Globex"]),
        ("mrr_min=950", ["Acme"]),
        ("mrr_max=950", ["Globex"]),
        ("csm=me", ["Acme", "Globex"]),
        ("csm=none", []),
        ("csm=999999999999999999", []),
        ("csm=nobody@example.com", []),
        ("renewal_before=2027-01-01", []),
        ("band=red&segment=Enterprise", []),
    ],
)
def test_each_filter_finds_what_it_says(client, world, query, names):
    client.force_login(world.ada)
    assert found(client, query) == names


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("score_min=abc", "Score from"),
        ("score_min=101", "Score from"),
        ("score_min=NaN", "Score from"),
        ("score_max=-1", "Score to"),
        ("mrr_min=Infinity", "MRR from"),
        ("mrr_max=1e999", "MRR to"),
        ("renewal_before=9999-99-99", "Renews before"),
        ("renewal_before=9999-01-01", "Renews before"),
        ("band=purple", "Health"),
        ("search=%00", "Search"),
        ("search=" + "x" * 201, "Search"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named_and_finds_nothing(client, world, query, field):
    client.force_login(world.ada)
    response = client.get(f"/portfolio/?{query}")
    assert response.status_code == 422
    assert field in text(response)
    assert response.context["rows"] == []


@pytest.mark.parametrize(
    "query", ["sort=nonsense", "sort=--name", "page=0", "page=x", "page=999999", "csm=%00", "sort=%00"]
)
def test_a_bad_order_or_page_is_no_error(client, world, query):
    client.force_login(world.ada)
    assert client.get(f"/portfolio/?{query}").status_code in (200, 422)


@pytest.mark.parametrize(
    "column",
    ["name", "segment", "mrr", "score", "change", "reason", "renewal", "csm", "touch", "plan", "stage"],
)
def test_every_column_sorts_both_ways(client, world, column):
    client.force_login(world.ada)
    up, down = found(client, f"sort={column}"), found(client, f"sort=-{column}")
    assert sorted(up) == sorted(down)
    if column in ("name", "mrr", "score"):
        assert up == down[::-1]


def test_the_totals_are_those_of_all_pages(client, world):
    accounts = many_accounts(world, 60)
    client.force_login(world.ada)
    for page in (1, 2):
        context = client.get(f"/portfolio/?page={page}").context
        totals = context["totals"]
        assert totals.accounts == 62
        assert totals.mrr == 1900 + sum(account.mrr for account in accounts)
        assert {band.band: band.accounts for band in totals.bands} == {"red": 1, "yellow": 60, "green": 1}
    assert len(context["rows"]) == 12


def test_htmx_gets_the_table_alone(client, world):
    client.force_login(world.ada)
    partial = text(client.get("/portfolio/?band=red", headers=HTMX))
    assert "<html" not in partial
    assert "Globex" in partial


def test_the_portfolio_takes_as_many_queries_for_sixty_accounts_as_for_two(
    client, world, django_assert_max_num_queries
):
    client.force_login(world.ada)
    client.get("/portfolio/")
    with django_assert_max_num_queries(11) as few:
        client.get("/portfolio/")
    many_accounts(world, 60)
    with django_assert_max_num_queries(11) as many:
        client.get("/portfolio/")
    assert len(many) == len(few)


# --- Export ---------------------------------------------------------------------------


def exported(client, query: str = "") -> list[dict[str, str]]:
    body = b"".join(client.get(f"/portfolio/export/?{query}").streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(body)))


def test_the_export_holds_the_rows_of_the_filters(client, world):
    client.force_login(world.ada)
    assert [row["name"] for row in exported(client, "band=red")] == ["Globex"]


def test_an_exported_name_cannot_become_a_formula(client, world):
    Account.objects.filter(pk=world.acme.pk).update(name='=HYPERLINK("http://evil.example")', segment="+49")
    client.force_login(world.ada)
    row = exported(client)[0]
    assert row["name"] == '\'=HYPERLINK("http://evil.example")'
    assert (row["segment"], row["mrr"]) == ("+49", "1000.000000")


@pytest.mark.parametrize(
    "value",
    [
        "=1",
        "+1+1",
        "-1-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "＋1=",
        "－1",
        "＠x",
        " =1",
        "\u3000=1",
    ],
)
def test_whatever_a_spreadsheet_may_run_is_neutralised(value):
    assert safe_cell(value) == f"'{value}"


@pytest.mark.parametrize(
    ("value", "cell"), [(Decimal("-3.50"), "-3.50"), (-2, "-2"), ("-12.5", "-12.5"), ("Acme", "Acme")]
)
def test_numbers_and_words_stay_what_they_are(value, cell):
    assert safe_cell(value) == cell


def test_a_bad_filter_is_not_exported_as_everything(client, world):
    client.force_login(world.ada)
    assert client.get("/portfolio/export/?score_min=abc").status_code == 302


# --- Saved views ----------------------------------------------------------------------


def test_a_view_is_saved_renamed_opened_and_deleted(client, world):
    client.force_login(world.ada)
    response = client.post("/portfolio/views/", {"name": "In red", "query": "band=red&page=3&sort=score"})
    assert response.headers["Location"] == "/portfolio/?band=red&sort=score"
    view = SavedView.objects.get()
    tabs = client.get("/portfolio/?sort=score&band=red").context["view_tabs"]
    assert [(tab["label"], tab["is_current"]) for tab in tabs] == [("All customers", False), ("In red", True)]
    client.post(f"/portfolio/views/{view.pk}/rename/", {"name": "Burning"})
    view.refresh_from_db()
    assert view.name == "Burning"
    client.post(f"/portfolio/views/{view.pk}/delete/")
    assert not SavedView.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 61, "Taken", "nul\x00"])
def test_a_view_needs_a_name_of_its_own(client, world, name):
    SavedView.objects.create(user=world.ada, name="Taken")
    client.force_login(world.ada)
    client.post("/portfolio/views/", {"name": name, "query": "band=red"})
    assert SavedView.objects.count() == 1


def test_a_view_is_its_users_own(client, world):
    view = SavedView.objects.create(user=world.ada, name="Mine")
    client.force_login(world.manager)
    assert client.post(f"/portfolio/views/{view.pk}/rename/", {"name": "Stolen"}).status_code == 404
    assert client.post(f"/portfolio/views/{view.pk}/delete/").status_code == 404
    assert "Mine" not in text(client.get("/portfolio/"))


# --- Many at once ---------------------------------------------------------------------


def bulk(client, **data):
    return client.post("/portfolio/bulk/", data, headers=HTMX)


def test_a_manager_hands_accounts_over_and_takes_it_back(client, world):
    bob = make_user("Bob", team=world.manager.team)
    client.force_login(world.manager)
    response = bulk(client, action="assign", accounts=[world.acme.pk, world.globex.pk], to=bob.pk)
    holders = Assignment.objects.in_force(TODAY).filter(kind="csm").exclude(account=world.umbrella)
    assert set(holders.values_list("account__name", "user__name")) == {
        ("Acme", "Bob"), ("Globex", "Bob"), ("Initech", "Ada"),
    }  # fmt: skip
    undo = events(response)["toast"]["undo"]
    client.post(undo, headers=HTMX)
    assert set(holders.values_list("user__name", flat=True)) == {"Ada"}
    assert client.post(undo, headers=HTMX).status_code == 404


def test_a_task_is_added_to_all_that_the_filters_find_and_taken_back(client, world):
    many_accounts(world, 60)
    client.force_login(world.ada)
    response = bulk(
        client, action="task", everything="on", query="band=yellow", title="Check in", due_on="2026-06-30"
    )
    assert Task.objects.filter(title="Check in", assignee=world.ada).count() == 60
    client.post(events(response)["toast"]["undo"], headers=HTMX)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"action": "assign"}, "Only managers and admins"),
        ({"action": "task", "title": "", "due_on": "2026-06-30"}, "what is to be done"),
        ({"action": "task", "title": "x", "due_on": "2026-06-01"}, "today or a later day"),
        ({"action": "task", "title": "x", "due_on": ""}, "today or a later day"),
        ({"action": "explode"}, "valid choice"),
        ({"action": "task", "title": "x", "due_on": "2026-06-30", "accounts": []}, "at least one account"),
        ({"action": "task", "title": "x", "due_on": "2026-06-30", "accounts": ["x"]}, "not a valid value"),
    ],
)
def test_a_bulk_action_that_makes_no_sense_changes_nothing_and_says_why(client, world, data, words):
    client.force_login(world.ada)
    response = bulk(client, **{"accounts": [world.acme.pk], **data})
    toast = events(response)["toast"]
    assert (toast["level"], words in toast["text"]) == ("bad", True)
    assert not Task.objects.exists()


def test_ids_of_others_accounts_in_a_bulk_action_are_refused(client, world):
    client.force_login(world.ada)
    bulk(client, action="task", accounts=[world.acme.pk, world.umbrella.pk], title="x", due_on="2026-06-30")
    assert not Task.objects.exists()


def test_a_viewer_changes_nothing(client, world):
    client.force_login(world.viewer)
    bulk(client, action="task", everything="on", title="x", due_on="2026-06-30")
    assert not Task.objects.exists()
    assert client.get(reverse("workspace:touch-new", args=[world.acme.pk])).status_code == 404
    assert 'data-key="c"' not in text(client.get(world.acme.get_absolute_url()))


def test_nobody_undoes_what_somebody_else_did(client, world, django_user_model):
    client.force_login(world.ada)
    response = bulk(client, action="task", accounts=[world.acme.pk], title="x", due_on="2026-06-30")
    client.force_login(world.manager)
    assert client.post(events(response)["toast"]["undo"]).status_code == 404


# --- The account ----------------------------------------------------------------------


def test_the_account_page_takes_its_score_apart_and_the_effects_add_up(client, world):
    client.force_login(world.ada)
    context = client.get(world.globex.get_absolute_url()).context
    effects = sum(row.reading.effect for row in context["readings"])
    assert 100 + effects == context["health"].score
    assert len(context["readings"]) == 8


def test_a_missing_signal_is_said_to_be_missing(client, world):
    hooli = make_account("Hooli", csm=world.ada)
    subscribe(hooli, 100, TODAY - timedelta(days=100))
    touch(hooli, back=3)
    score()
    client.force_login(world.ada)
    page = text(client.get(hooli.get_absolute_url()))
    assert "missing, not counted" in page
    assert "No score." in page


def test_the_ledger_shows_what_each_movement_left(client, world):
    client.force_login(world.ada)
    rows = client.get(world.globex.get_absolute_url()).context["ledger"]
    assert [(row.movement.kind, row.mrr_after) for row in rows] == [
        ("contraction", Decimal(900)),
        ("new", Decimal(1000)),
    ]


def test_open_tickets_come_first(client, world):
    client.force_login(world.ada)
    tickets = client.get(world.globex.get_absolute_url()).context["tickets"]
    assert [ticket.resolved_at for ticket in tickets[:2]] == [None, None]


def test_usage_counts_people_against_seats_and_features_against_the_plan(client, world):
    client.force_login(world.ada)
    context = client.get(world.globex.get_absolute_url()).context
    assert (context["usage"].active_now, context["usage"].active_before, context["seats"]) == (3, 6, 10)
    assert (context["features_used"], context["features_planned"]) == (1, 4)


def test_somebody_who_left_is_marked(client, world):
    Contact.objects.create(account=world.acme, name="Jo Gone", role="champion", left_on=TODAY)
    client.force_login(world.ada)
    assert "is-gone" in text(client.get(world.acme.get_absolute_url()))


def test_the_timeline_tells_everything_newest_first_or_one_kind(client, world):
    Touch.objects.create(account=world.globex, kind="note", happened_at=NOON, notes="Remember the budget")
    client.force_login(world.ada)
    here = reverse("workspace:timeline", args=[world.globex.pk])
    entries = client.get(here).context["entries"]
    assert [entry.at for entry in entries] == sorted((entry.at for entry in entries), reverse=True)
    assert {entry.kind for entry in entries} == {"note", "touch", "ticket", "answer", "money"}
    notes = client.get(f"{here}?kind=note").context["entries"]
    assert [entry.text for entry in notes] == ["Remember the budget"]


def test_older_entries_follow_without_a_gap(client, world):
    for back in range(60):
        touch(world.acme, back=back + 30)
    client.force_login(world.ada)
    here = reverse("workspace:timeline", args=[world.acme.pk])
    seen, before = [], None
    for _ in range(4):
        data = {"kind": "touch", **({"before": before.isoformat()} if before else {})}
        context = client.get(here, data).context
        seen += context["entries"]
        before = context["older_than"]
        if before is None:
            break
    assert len(seen) == 61
    assert seen == sorted(seen, key=lambda entry: entry.at, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "kind=nonsense",
        "before=x",
        "before=0001-01-01T00:00:00%2B14:00",
        "before=9999-12-31T23:59:59-14:00",
        "usage=x",
        "kind=%00",
    ],
)
def test_a_bad_address_of_an_account_is_no_error(client, world, query):
    client.force_login(world.ada)
    assert client.get(f"{world.acme.get_absolute_url()}?{query}").status_code == 200
    assert client.get(f"{reverse('workspace:timeline', args=[world.acme.pk])}?{query}").status_code == 200


@pytest.mark.parametrize("pk", ["0", "999999999", "99999999999999999999999999"])
def test_an_account_that_does_not_exist_is_not_there(client, world, pk):
    client.force_login(world.admin)
    assert client.get(f"/accounts/{pk}/").status_code == 404


def test_what_customers_wrote_is_shown_as_text(client, world):
    Ticket.objects.filter(account=world.globex).update(subject="<script>alert(1)</script>")
    Contact.objects.filter(account=world.globex).update(name="<b>Bold</b>")
    client.force_login(world.ada)
    page = text(client.get(world.globex.get_absolute_url())) + text(client.get("/"))
    assert "<script>alert(1)" not in page
    assert "<b>Bold" not in page


def test_an_account_without_any_facts_has_a_page(client, world):
    bare = make_account("Bare", csm=world.ada)
    client.force_login(world.ada)
    assert client.get(bare.get_absolute_url()).status_code == 200


def test_the_account_page_takes_twenty_queries_whatever_the_account_has(
    client, world, django_assert_max_num_queries
):
    client.force_login(world.ada)
    with django_assert_max_num_queries(21):
        client.get(world.globex.get_absolute_url())
    for number in range(30):
        touch(world.globex, back=number)
        Contact.objects.create(account=world.globex, name=f"Person {number}")
        Task.objects.create(account=world.globex, title=f"Task {number}", due_on=TODAY, assignee=world.ada)
    with django_assert_max_num_queries(21):
        client.get(world.globex.get_absolute_url())


# --- Logging a call -------------------------------------------------------------------


def test_a_call_is_logged_and_the_account_is_due(client, world):
    DueAccount.objects.all().delete()
    client.force_login(world.ada)
    contact = Contact.objects.get(name="Maria Lopez")
    response = client.post(
        reverse("workspace:touch-new", args=[world.globex.pk]),
        {"kind": "call", "notes": "Back on track.", "contact": contact.pk},
        headers=HTMX,
    )
    assert set(events(response)) == {"toast", "touchLogged", "queueChanged", "closeDialog"}
    logged = Touch.objects.get(notes="Back on track.")
    assert (logged.user, logged.contact, logged.happened_at) == (world.ada, contact, NOON)
    assert DueAccount.objects.filter(account=world.globex).exists()


def test_without_scripts_a_call_is_logged_by_a_plain_form(client, world):
    client.force_login(world.ada)
    path = reverse("workspace:touch-new", args=[world.globex.pk])
    assert client.get(f"{path}?kind=note").context["touch_form"].initial["kind"] == "note"
    response = client.post(path, {"kind": "note", "notes": "Hm.", "next": "/"})
    assert response.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"notes": ""}, "required"),
        ({"notes": "x" * 10_001}, "at most 10000"),
        ({"notes": "nul\x00"}, "Null characters"),
        ({"kind": "seance"}, "valid choice"),
        ({"happened_at": "2026-07-01T10:00"}, "future"),
        ({"happened_at": "0001-01-01T00:00"}, "ten years"),
        ({"happened_at": "9999-12-31T23:59"}, "future"),
        ({"happened_at": "lunch"}, "valid date/time"),
        ({"contact": "999999999999999999999"}, "valid choice"),
    ],
)
def test_a_call_that_cannot_have_been_is_refused(client, world, data, words):
    client.force_login(world.ada)
    good = {"kind": "call", "notes": "Talked."}
    response = client.post(reverse("workspace:touch-new", args=[world.acme.pk]), {**good, **data})
    assert response.status_code == 422
    assert words in text(response)


def test_a_contact_of_another_account_cannot_be_named(client, world):
    client.force_login(world.ada)
    maria = Contact.objects.get(name="Maria Lopez")
    response = client.post(
        reverse("workspace:touch-new", args=[world.acme.pk]),
        {"kind": "call", "notes": "x", "contact": maria.pk},
    )
    assert response.status_code == 422


# --- Search ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "label", "title"),
    [
        ("acm", "Accounts", "Acme"),
        ("maria", "People", "Maria Lopez"),
        ("maria@glo", "People", "Maria Lopez"),
        ("t-1", "Tickets", "t-1"),
        ("promoter", "Numbers", "Net Promoter Score"),
    ],
)
def test_search_finds_accounts_people_tickets_and_numbers(client, world, q, label, title):
    client.force_login(world.ada)
    groups = {group.label: group for group in client.get("/search/", {"q": q}).context["groups"]}
    assert title in [hit.title for hit in groups[label].hits]


@pytest.mark.parametrize("q", ["", "a", "zzzzzz", "x" * 201, "nul\x00", "%", "_", "\\", "'"])
def test_search_has_an_answer_to_everything(client, world, q):
    client.force_login(world.ada)
    for headers in ({}, HTMX):
        assert client.get("/search/", {"q": q}, headers=headers).status_code == 200


def test_a_per_cent_sign_is_no_wild_card(client, world):
    client.force_login(world.ada)
    assert client.get("/search/", {"q": "%%"}).context["groups"] == []


def test_search_takes_few_queries(client, world, django_assert_max_num_queries):
    client.force_login(world.ada)
    # Session, user, accounts, contacts, tickets, and the KPIs that were defined here.
    with django_assert_max_num_queries(6):
        client.get("/search/", {"q": "acm"})
