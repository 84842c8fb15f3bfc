"""Setting lines aside, tasks and renewals, through their addresses."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from django.urls import reverse

from accounts.models import Renewal, Subscription
from metrics.tests.health_cast import TODAY
from playbooks import tasking
from playbooks.models import Dismissal, Task
from playbooks.tests.cast import CANARY, World

PASSED_ON = {"reason": "detractor red:license_utilization"}


def task_for(world: World, account=None, **fields) -> Task:
    fields = {"title": "Send the deck", "due_on": TODAY, "assignee": world.ada, **fields}
    return Task.objects.create(account=account or world.globex, **fields)


def triggers(response) -> dict:
    return json.loads(response.headers["HX-Trigger"])


def aside(kind: str, account) -> str:
    return reverse("playbooks:set-aside", args=[account.pk, kind])


# --- Setting aside --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "until"),
    [
        ("done", {"note": "Called, all well"}, TODAY + timedelta(days=14)),
        ("snooze", {"length": "1"}, TODAY + timedelta(days=1)),
        ("snooze", {"length": "7"}, TODAY + timedelta(days=7)),
        ("snooze", {"length": "date", "day": "2026-07-01"}, date(2026, 7, 1)),
        ("not-useful", {"why": "wrong"}, TODAY + timedelta(days=90)),
    ],
)
def test_a_line_is_set_aside_until_the_right_day_and_can_be_brought_back(client, world, kind, data, until):
    client.force_login(world.ada)
    response = client.post(aside(kind, world.globex), {**PASSED_ON, **data}, headers={"HX-Request": "true"})
    assert response.status_code == 204
    dismissal = Dismissal.objects.get()
    assert (dismissal.user, dismissal.until, dismissal.reason_key) == (world.ada, until, PASSED_ON["reason"])
    undo = triggers(response)["toast"]["undo"]
    assert client.post(undo, headers={"HX-Request": "true"}).status_code == 204
    assert not Dismissal.objects.exists()


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("snooze", {"length": "date"}, "Choose the day"),
        ("snooze", {"length": "date", "day": "2026-06-17"}, "after today"),
        ("snooze", {"length": "date", "day": "9999-12-31"}, "within 365 days"),
        ("snooze", {"length": "date", "day": "yesterday"}, "valid date"),
        ("snooze", {"length": "forever"}, "valid choice"),
        ("not-useful", {}, "required"),
        ("done", {"note": "x" * 501}, "at most 500"),
        ("done", {"note": "nul\x00"}, "Null characters"),
    ],
)
def test_a_line_is_not_set_aside_for_no_day_or_no_reason(client, world, kind, data, words):
    client.force_login(world.ada)
    response = client.post(aside(kind, world.globex), {**PASSED_ON, **data})
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Dismissal.objects.exists()


def test_without_scripts_a_line_is_set_aside_on_a_page_of_its_own(client, world):
    client.force_login(world.ada)
    assert client.get(aside("done", world.globex)).status_code == 200
    response = client.post(aside("done", world.globex), PASSED_ON)
    assert response.headers["Location"] == "/"


def test_after_a_form_nobody_is_led_to_another_site(client, world):
    client.force_login(world.ada)
    response = client.post(aside("done", world.globex), {**PASSED_ON, "next": "https://evil.example/"})
    assert response.headers["Location"] == "/"


def test_somebody_elses_line_is_not_there(client, world):
    client.force_login(world.grace)
    assert client.get(aside("done", world.globex)).status_code == 404
    assert client.post(aside("done", world.globex), PASSED_ON).status_code == 404


def test_nobody_brings_back_what_somebody_else_set_aside(client, world):
    mine = Dismissal.objects.create(account=world.globex, user=world.ada, kind="done", until=TODAY)
    client.force_login(world.manager)
    assert client.post(reverse("playbooks:bring-back", args=[mine.pk])).status_code == 404


# --- Tasks ----------------------------------------------------------------------------


def test_a_task_from_the_queue_keeps_the_figures_that_made_it(client, world):
    client.force_login(world.ada)
    response = client.post(
        reverse("playbooks:task-new-for", args=[world.globex.pk]),
        {"title": "Call Maria", "due_on": "2026-06-20", "reason": "red:license_utilization"},
        headers={"HX-Request": "true"},
    )
    assert response.status_code == 204
    task = Task.objects.get()
    health = world.globex.health
    assert (task.assignee, task.rule) == (world.ada, "red:license_utilization")
    assert task.fired_by["score"] == str(health.score)


def test_a_task_by_hand_has_no_rule(client, world):
    client.force_login(world.ada)
    client.post(
        reverse("playbooks:task-new"), {"account": "acme", "title": "Say hello", "due_on": "2026-06-20"}
    )
    task = Task.objects.get()
    assert (task.account, task.rule, task.fired_by) == (world.acme, "", {})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"account": CANARY}, "None of your accounts"),
        ({"account": "Nobody Ltd"}, "None of your accounts"),
        ({"due_on": "2026-06-16"}, "today or a later day"),
        ({"due_on": "2300-01-01"}, "before 2200"),
        ({"due_on": "soon"}, "valid date"),
        ({"title": ""}, "required"),
        ({"title": "x" * 201}, "at most 200"),
        ({"assignee": "999999999999999999999"}, "valid choice"),
    ],
)
def test_a_task_nobody_could_do_is_refused(client, world, data, words):
    client.force_login(world.ada)
    good = {"account": "Acme", "title": "Say hello", "due_on": "2026-06-20"}
    response = client.post(reverse("playbooks:task-new"), {**good, **data})
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Task.objects.exists()


def test_a_task_cannot_be_given_to_somebody_of_another_team(client, world):
    client.force_login(world.ada)
    data = {"account": "Acme", "title": "Hello", "due_on": "2026-06-20", "assignee": world.grace.pk}
    assert client.post(reverse("playbooks:task-new"), data).status_code == 422


def test_done_and_undone(client, world):
    task = task_for(world)
    client.force_login(world.ada)
    response = client.post(reverse("playbooks:task-done", args=[task.pk]), headers={"HX-Request": "true"})
    task.refresh_from_db()
    assert task.state == "done"
    assert task.done_at is not None
    client.post(triggers(response)["toast"]["undo"], headers={"HX-Request": "true"})
    task.refresh_from_db()
    assert (task.state, task.done_at) == ("open", None)


def test_of_two_who_finish_a_task_the_first_counts(world, noon):
    from django.utils import timezone

    task = task_for(world)
    assert tasking.complete(task, at=timezone.now()) is True
    assert tasking.complete(task, at=timezone.now()) is False


@pytest.mark.parametrize("show", ["", "mine", "overdue", "all", "done"])
def test_the_lists_of_tasks_open(client, world, show):
    task_for(world, title="Late one", due_on=TODAY - timedelta(days=2))
    task_for(world, title="Soon one", due_on=TODAY + timedelta(days=2))
    client.force_login(world.ada)
    page = client.get(f"/tasks/?show={show}").content.decode()
    assert ("Late one" in page) == (show != "done")
    assert ("Soon one" in page) == (show in ("", "mine", "all"))


@pytest.mark.parametrize("query", ["show=nonsense", "page=-1", "page=99999999999999", "page=x", "show=%00"])
def test_a_bad_address_of_the_task_list_shows_the_list(client, world, query):
    client.force_login(world.ada)
    assert client.get(f"/tasks/?{query}").status_code == 200


def test_others_tasks_are_neither_shown_nor_counted_nor_done(client, world):
    hidden = task_for(world, world.umbrella, title="Canary task", assignee=world.linus)
    client.force_login(world.ada)
    page = client.get("/tasks/?show=all")
    assert "Canary" not in page.content.decode()
    assert [tab["count"] for tab in page.context["tabs"]] == [0, 0, 0, None]
    assert client.post(reverse("playbooks:task-done", args=[hidden.pk])).status_code == 404


def test_a_viewer_reads_tasks_and_changes_none(client, world):
    task = task_for(world)
    client.force_login(world.viewer)
    assert "Send the deck" in client.get("/tasks/?show=all").content.decode()
    assert client.post(reverse("playbooks:task-done", args=[task.pk])).status_code == 404
    assert client.get(reverse("playbooks:task-new-for", args=[world.globex.pk])).status_code == 404


def test_the_task_list_takes_as_many_queries_for_forty_as_for_one(
    client, world, django_assert_max_num_queries
):
    for number in range(40):
        task_for(world, title=f"Task {number}", rule="drop", fired_by={"score": "41", "mrr": "900"})
    client.force_login(world.ada)
    with django_assert_max_num_queries(7):
        assert client.get("/tasks/").status_code == 200


# --- Renewals -------------------------------------------------------------------------


@pytest.fixture
def renewals(world: World) -> list[Renewal]:
    made = []
    for account, days, outcome in (
        (world.globex, 20, "open"),
        (world.acme, 50, "open"),
        (world.acme, -30, "renewed"),
        (world.globex, -200, "open"),
        (world.umbrella, 20, "open"),
    ):
        subscription = Subscription.objects.filter(account=account).earliest("pk")
        made.append(
            Renewal.objects.create(
                account=account,
                subscription=subscription,
                due_on=TODAY + timedelta(days=days),
                due_value=900,
                currency="EUR",
                outcome=outcome,
            )
        )
    return made


def test_coming_renewals_hold_the_year_ahead_and_what_was_never_settled(client, world, renewals):
    client.force_login(world.ada)
    page = client.get("/renewals/")
    shown = [renewal.due_on for renewal in page.context["page"].object_list]
    assert shown == [TODAY + timedelta(days=days) for days in (-200, 20, 50)]


def test_what_is_due_adds_up_by_month_and_says_what_is_at_risk(client, world, renewals):
    client.force_login(world.ada)
    months = {month.month: month for month in client.get("/renewals/").context["months"]}
    july = months[date(2026, 7, 1)]
    assert (july.renewals, july.due, july.at_risk) == (1, {"EUR": 900}, {"EUR": 900})


def test_past_renewals_say_what_came_of_them(client, world, renewals):
    client.force_login(world.ada)
    page = client.get("/renewals/?show=past")
    assert [r.get_outcome_display() for r in page.context["page"].object_list] == ["Renewed", "Open"]


@pytest.mark.parametrize(
    "query", ["month=2026-13", "month=x", "show=x", "page=0", "month=0001-01", "month=9999-12"]
)
def test_a_bad_address_of_the_renewals_is_no_error(client, world, renewals, query):
    client.force_login(world.ada)
    assert client.get(f"/renewals/?{query}").status_code == 200


def test_others_renewals_are_nowhere_totals_included(client, world, renewals):
    client.force_login(world.grace)
    page = client.get("/renewals/")
    assert (page.context["months"], list(page.context["page"])) == ([], [])


@pytest.mark.parametrize("path", ["/tasks/", "/tasks/new/", "/renewals/"])
def test_a_stranger_is_sent_to_the_sign_in_page(client, db, path):
    assert client.get(path).headers["Location"].startswith("/auth/login/")
