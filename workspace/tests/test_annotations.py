"""What happened on a day: who writes it down, and where it is drawn."""

from __future__ import annotations

import json
from datetime import date
from html import unescape

import pytest
from django.urls import reverse

from csplatform.periods import Period
from metrics.models import Annotation
from metrics.tests.health_cast import TODAY
from workspace.annotations import LONGEST_LABEL, marks_over

NEW = {"day": "2026-05-04", "text": "Prices raised by 5 %"}
MONTHS = [Period.month_of(date(2026, month, 1)) for month in (4, 5, 6)]
LABELS = ["Apr 2026", "May 2026", "Jun 2026"]


def noted(text: str = "Prices raised", day: date = date(2026, 5, 4)) -> Annotation:
    return Annotation.objects.create(day=day, text=text)


@pytest.mark.parametrize("who", ["manager", "admin"])
def test_a_manager_or_an_admin_notes_changes_and_deletes_and_takes_that_back(client, world, who):
    client.force_login(getattr(world, who))
    assert client.get(reverse("workspace:annotation-new")).status_code == 200
    assert client.post(reverse("workspace:annotation-new"), NEW).status_code == 302
    made = Annotation.objects.get()
    assert (made.day, made.text, made.created_by) == (date(2026, 5, 4), NEW["text"], getattr(world, who))
    client.post(reverse("workspace:annotation-edit", args=[made.pk]), {**NEW, "text": "By 6 %"})
    made.refresh_from_db()
    assert (made.text, made.created_by) == ("By 6 %", getattr(world, who))
    delete = reverse("workspace:annotation-delete", args=[made.pk])
    assert client.get(delete).status_code == 405
    response = client.post(delete, headers={"HX-Request": "true"})
    assert not Annotation.objects.exists()
    undo = json.loads(response.headers["HX-Trigger"])["toast"]["undo"]
    assert client.post(undo, headers={"HX-Request": "true"}).status_code == 204
    assert Annotation.objects.get().text == "By 6 %"


@pytest.mark.parametrize("who", ["ada", "viewer"])
def test_everybody_else_reads_what_happened_and_changes_nothing(client, world, who):
    made = noted()
    client.force_login(getattr(world, who))
    text = client.get(reverse("workspace:annotations")).content.decode()
    assert "Prices raised" in text
    assert "annotations/new" not in text
    assert client.post(reverse("workspace:annotation-new"), NEW).status_code == 403
    for name in ("annotation-edit", "annotation-delete"):
        assert client.post(reverse(f"workspace:{name}", args=[made.pk]), NEW).status_code == 403
    assert list(Annotation.objects.values_list("text", flat=True)) == ["Prices raised"]


def test_whoever_lost_the_right_takes_no_deletion_back(client, world):
    made = noted()
    client.force_login(world.manager)
    response = client.post(
        reverse("workspace:annotation-delete", args=[made.pk]), headers={"HX-Request": "true"}
    )
    world.manager.role = "csm"
    world.manager.save()
    client.post(json.loads(response.headers["HX-Trigger"])["toast"]["undo"])
    assert not Annotation.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("day", ""),
        ("day", "2026-02-30"),
        ("day", "1066-10-14"),
        ("day", "9999-12-31"),
        ("text", "  "),
        ("text", "x" * 201),
        ("text", "nul\x00"),
    ],
)
def test_bad_input_is_refused_beside_its_field(client, world, field, value):
    client.force_login(world.admin)
    response = client.post(reverse("workspace:annotation-new"), {**NEW, field: value})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert not Annotation.objects.exists()


def test_a_mark_stands_at_the_step_that_holds_its_day(db):
    noted("Prices raised", date(2026, 5, 1))
    noted("Outage", date(2026, 5, 31))
    noted("Before the chart", date(2026, 3, 31))
    noted("After it", date(2026, 7, 1))
    (mark,) = marks_over(MONTHS, LABELS)
    assert (mark.category, mark.label) == ("May 2026", "Prices raised +1")
    assert mark.text == "Prices raised (1 May 2026); Outage (31 May 2026)"


def test_a_long_text_is_cut_on_the_line_and_whole_below_it(db):
    noted("The whole of the northern region moved to the new price list")
    (mark,) = marks_over(MONTHS, LABELS)
    assert len(mark.label) <= LONGEST_LABEL
    assert mark.label.endswith("…")
    assert "new price list" in mark.text


@pytest.mark.parametrize("slug", ["nrr", "new_mrr"])
def test_the_page_of_a_number_draws_and_tells_what_happened(client, world, slug):
    noted("Prices <b>raised</b>", TODAY)
    client.force_login(world.ada)
    text = client.get(reverse("workspace:kpi", args=[slug])).content.decode()
    assert '"marks": [{"category": "Jun 2026"' in unescape(text), "the chart's data stand in an attribute"
    assert "Prices &lt;b&gt;raised&lt;/b&gt; (17 Jun 2026)" in text
