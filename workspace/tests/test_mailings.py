"""Dashboards by mail: to whom, when, what it says to each, and never twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core import mail as outbox
from django.urls import reverse
from django.utils import timezone

from metrics.models import Target
from metrics.tests.health_cast import NOON
from playbooks.tests.cast import CANARY
from team.models import Mail, Work
from team.tests.smtp import Server
from team.work import run_due
from workspace import mailing
from workspace.models import DashboardMail

LIST, NEW = reverse("workspace:mailings"), reverse("workspace:mailing-new")


def settle(**fields) -> DashboardMail:
    """Return a mailing that is not stored: enough to ask when it is due."""
    return DashboardMail(**{"dashboard": "revenue", "period": "last_month", **fields})


def mailing_of(world, *recipients, **fields) -> DashboardMail:
    given = {"owner": world.ada, "last_slot_at": NOON - timedelta(days=30), **fields}
    made = DashboardMail.objects.create(**{"dashboard": "revenue", "period": "last_month", **given})
    made.recipients.set(recipients)
    return made


def posted(*recipients, **changes) -> dict:
    given = {
        "dashboard": "revenue",
        "period": "last_month",
        "compare": "previous",
        "cadence": "weekly",
        "weekday": "0",
        "day_of_month": "1",
        "hour": "8",
        "recipients": [user.pk for user in recipients],
    }
    return {**given, **changes}


def work_on() -> None:
    Work.objects.filter(state="queued").update(due_at=timezone.now() - timedelta(seconds=1))
    run_due("fast")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- When -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "now", "last", "following"),
    [
        # 15 June 2026 is a Monday.
        ({"weekday": 0, "hour": 8}, "2026-06-15T08:00", "2026-06-15T08:00", "2026-06-22T08:00"),
        ({"weekday": 0, "hour": 8}, "2026-06-15T07:59", "2026-06-08T08:00", "2026-06-15T08:00"),
        ({"weekday": 6, "hour": 0}, "2026-06-17T12:00", "2026-06-14T00:00", "2026-06-21T00:00"),
        (
            {"cadence": "monthly", "day_of_month": 1},
            "2026-06-17T12:00",
            "2026-06-01T08:00",
            "2026-07-01T08:00",
        ),
        (
            {"cadence": "monthly", "day_of_month": 31},
            "2026-03-01T00:00",
            "2026-02-28T08:00",
            "2026-03-31T08:00",
        ),
        (
            {"cadence": "monthly", "day_of_month": 30},
            "2028-03-01T00:00",
            "2028-02-29T08:00",
            "2028-03-30T08:00",
        ),
    ],
)
def test_the_slots_of_a_week_and_of_months_of_any_length(fields, now, last, following):
    at = moment(now)
    assert mailing.latest_slot(settle(**fields), at) == moment(last)
    assert mailing.next_slot(settle(**fields), at) == moment(following)


def test_eight_in_the_morning_is_that_of_the_workspace_also_when_clocks_change(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    timezone.get_default_timezone.cache_clear()
    try:
        weekly = settle(weekday=0, hour=8)
        assert mailing.latest_slot(weekly, moment("2026-03-23T12:00")) == moment("2026-03-23T07:00")
        assert mailing.latest_slot(weekly, moment("2026-03-30T12:00")) == moment("2026-03-30T06:00")
        nightly = settle(weekday=6, hour=2)  # 29 March has no two o'clock
        assert mailing.latest_slot(nightly, moment("2026-03-29T12:00")).date() == date(2026, 3, 29)
    finally:
        settings.TIME_ZONE = "UTC"
        timezone.get_default_timezone.cache_clear()


def test_a_slot_is_decided_once_for_each_recipient_however_often_one_looks(world):
    mailing_of(world, world.ada, world.manager)
    assert [mailing.send_due(NOON) for _ in range(3)] == [2, 0, 0]
    assert mailing.send_due(NOON + timedelta(days=7)) == 2
    assert Mail.objects.count() == 4


def test_after_weeks_off_the_newest_slot_is_made_up_for_and_no_other(world):
    mailing_of(world, world.ada, last_slot_at=NOON - timedelta(days=60))
    assert mailing.send_due(NOON) == 1


def test_two_schedulers_that_saw_the_same_old_slot_decide_it_once(world):
    made = mailing_of(world, world.ada)
    mailing.send_due(NOON)
    DashboardMail.objects.filter(pk=made.pk).update(last_slot_at=NOON - timedelta(days=30))
    assert mailing.send_due(NOON) == 0, "the decision is a unique row"


def test_what_is_paused_does_not_go_out_and_is_not_made_up_for(client, world):
    made = mailing_of(world, world.ada, is_paused=True)
    assert mailing.send_due(NOON) == 0
    client.force_login(world.ada)
    client.post(reverse("workspace:mailing-pause", args=[made.pk]))
    assert mailing.send_due(NOON) == 0
    assert mailing.send_due(NOON + timedelta(days=7)) == 1


# --- What it says -----------------------------------------------------------------------


def test_each_gets_what_they_may_see_when_it_goes_out(world, settings):
    settings.BASE_URL = "https://cs.example.com"
    mailing_of(world, world.ada, world.admin, dashboard="revenue", period="last_year")
    mailing.send_due(NOON)
    work_on()
    assert set(Mail.objects.values_list("state", flat=True)) == {"sent"}
    found = {message.to[0]: message for message in outbox.outbox}
    texts = {address: message.body + message.alternatives[0].content for address, message in found.items()}
    for sign in (CANARY, "77,777"):
        assert sign in texts["alan@example.com"]
        assert sign not in texts["ada@example.com"]
    assert "https://cs.example.com/kpis/mrr/" in texts["ada@example.com"]


def test_the_mail_brings_its_looks_along_and_fetches_nothing(world):
    html = mailing.letter(mailing_of(world, world.ada), world.ada, NOON).html
    for sign in ("<img", "<link", "<script", "<style", "url(", "class="):
        assert sign not in html
    assert 'style="' in html


def test_the_text_says_the_same_figures_as_the_html(world):
    Target.objects.create(kpi="mrr", value=1_000, group_by="csm", group=str(world.ada.pk))
    letter = mailing.letter(mailing_of(world, world.ada, dashboard="executive"), world.ada, NOON)
    assert letter.subject == "Executive: May 2026"
    for words in ("MRR", "Net revenue retention", "What moved the money", "Stop it or change it"):
        assert words in letter.text
        assert words in letter.html
    assert "target" in letter.text
    assert "<" not in letter.text


@pytest.mark.parametrize("change", ["left", "paused", "deleted", "switched off"])
def test_what_changed_between_decision_and_sending_counts(world, change):
    made = mailing_of(world, world.ada)
    mailing.send_due(NOON)
    match change:
        case "left":
            made.recipients.clear()
        case "paused":
            DashboardMail.objects.update(is_paused=True)
        case "deleted":
            made.delete()
        case "switched off":
            world.ada.is_active = False
            world.ada.save()
    work_on()
    assert Mail.objects.get().state == "dropped"
    assert outbox.outbox == []


def test_the_board_of_one_csm_is_each_csms_own_unless_one_was_chosen(world):
    own = mailing_of(world, world.ada, world.manager, dashboard="csm")
    assert mailing.shown_to(own, world.ada, NOON).selection.filters.csm == world.ada.pk
    mailing.send_due(NOON)
    work_on()
    assert dict(Mail.objects.values_list("user__name", "state")) == {"Ada": "sent", "Margaret": "dropped"}


def test_it_goes_through_a_real_mail_server_once(world, settings):
    with Server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        server.to_data = ["451 Try later", "250 OK"]
        mailing_of(world, world.ada)
        mailing.send_due(NOON)
        for _ in range(3):
            work_on()
    (got,) = server.received
    assert (got["To"], got["Subject"]) == ("ada@example.com", "Revenue: May 2026")
    assert [part.get_content_type() for part in got.get_payload()] == ["text/plain", "text/html"]


# --- The pages --------------------------------------------------------------------------


def test_somebody_sets_one_up_changes_it_and_deletes_it(client, world):
    client.force_login(world.ada)
    assert client.get(NEW, {"dashboard": "voice"}).context["form"]["dashboard"].value() == "voice"
    response = client.post(NEW, posted(world.ada, world.manager), follow=True)
    assert "Mailed every Monday at 08:00, next on 22 June." in response.content.decode()
    made = DashboardMail.objects.get()
    assert (made.owner, made.recipients.count()) == (world.ada, 2)
    assert mailing.send_due(NOON) == 0, "nothing is owed for this week's Monday"
    edit = reverse("workspace:mailing-edit", args=[made.pk])
    client.post(edit, posted(world.ada, cadence="monthly", day_of_month="31"))
    made.refresh_from_db()
    assert made.when_in_words == "on the last day of each month at 08:00"
    client.post(reverse("workspace:mailing-delete", args=[made.pk]))
    assert not DashboardMail.objects.exists()


def test_the_preview_is_the_readers_own_mail_and_saves_nothing(client, world):
    client.force_login(world.ada)
    response = client.post(NEW, posted(world.manager, preview="1"))
    assert response.status_code == 200
    assert "figures that Ada may see" in response.content.decode()
    assert "script-src 'none'" in response["Content-Security-Policy"]
    assert not DashboardMail.objects.exists()
    made = mailing_of(world, world.manager)
    client.force_login(world.manager)
    text = client.get(reverse("workspace:mailing-preview", args=[made.pk])).content.decode()
    assert "figures that Margaret may see" in text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"dashboard": "nonsense"}, "dashboard"),
        ({"period": "days"}, "period"),
        ({"compare": "never"}, "compare"),
        ({"weekday": "7"}, "weekday"),
        ({"hour": "24"}, "hour"),
        ({"day_of_month": "0"}, "day_of_month"),
        ({"day_of_month": "32"}, "day_of_month"),
        ({"cadence": "hourly"}, "cadence"),
        ({"recipients": []}, "recipients"),
        ({"recipients": ["999999"]}, "recipients"),
        ({"recipients": ["nul\x00"]}, "recipients"),
        ({"segment": "Canary segment"}, "segment"),
        ({"csm": "999999"}, "csm"),
    ],
)
def test_bad_input_is_refused_beside_its_field(client, world, changes, field):
    client.force_login(world.ada)
    for preview in ({}, {"preview": "1"}):
        response = client.post(NEW, posted(world.ada, **changes, **preview))
        assert response.status_code == 422
        assert list(response.context["form"].errors) == [field]
    assert not DashboardMail.objects.exists()


def test_a_csms_board_needs_a_csm_for_whoever_is_none(client, world):
    client.force_login(world.admin)
    response = client.post(NEW, posted(world.ada, world.manager, dashboard="csm"))
    assert "Margaret has none of their own" in response.content.decode()
    assert client.post(NEW, posted(world.manager, dashboard="csm", csm=world.ada.pk)).status_code == 302


def test_a_recipient_leaves_and_changes_nothing_else(client, world):
    made = mailing_of(world, world.manager, world.admin)
    client.force_login(world.manager)
    assert "Stop sending me this" in client.get(LIST).content.decode()
    for name in ("edit", "pause", "delete"):
        assert client.post(reverse(f"workspace:mailing-{name}", args=[made.pk]), {}).status_code == 404
    client.post(reverse("workspace:mailing-leave", args=[made.pk]))
    assert list(made.recipients.all()) == [world.admin]
    assert reverse("workspace:mailing-preview", args=[made.pk]) not in client.get(LIST).content.decode()


def test_an_admin_stops_anybodys_and_a_viewer_sets_up_none(client, world):
    made = mailing_of(world, world.ada)
    client.force_login(world.viewer)
    assert client.post(NEW, posted(world.viewer)).status_code == 403
    client.force_login(world.admin)
    client.post(reverse("workspace:mailing-delete", args=[made.pk]))
    assert not DashboardMail.objects.exists()


@pytest.mark.parametrize("url", [LIST, NEW])
def test_without_a_mail_server_the_page_says_that_mails_go_nowhere(client, world, settings, url):
    client.force_login(world.ada)
    settings.EMAIL_URL = ""
    assert "Mails go nowhere." in client.get(url).content.decode()
    settings.EMAIL_URL = "smtp://localhost"
    assert "Mails go nowhere." not in client.get(url).content.decode()


def test_a_mail_that_was_refused_is_shown_with_its_mailing(client, world):
    made = mailing_of(world, world.ada)
    mailing.send_due(NOON)
    Mail.objects.update(state="failed")
    client.force_login(world.ada)
    assert "1 not delivered last time" in client.get(LIST).content.decode()
    DashboardMail.objects.filter(pk=made.pk).update(last_slot_at=NOON)
    assert "not delivered" not in client.get(LIST).content.decode(), "the next slot went well"
