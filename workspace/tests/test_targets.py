"""Setting targets: with a look at what they would have said, and by admins only."""

from __future__ import annotations

import json
from datetime import date

import pytest
from django.urls import reverse

from accounts import ledger
from metrics.models import Target
from metrics.tests.cast import answer

NEW = reverse("workspace:target-new")
CSAT = {"kpi": "csat", "selection": "all", "value": "80"}


@pytest.fixture
def answers(world):
    """May: Acme is content, three times of four; Globex was not, on the 28th. April: everybody is."""
    for account, segment in ((world.acme, "Large"), (world.globex, "Small"), (world.umbrella, "Large")):
        ledger.record_traits({account.pk: {"segment": segment}}, on=date(2025, 1, 1))
    for score in (5, 5, 4, 2):
        answer("csat", score, account=world.acme, day=date(2026, 5, 10))
    answer("csat", 5, account=world.globex, day=date(2026, 4, 20))
    return world


def words(response) -> str:
    return " ".join(response.content.decode().replace("\u00a0", " ").split())


def test_an_admin_sets_changes_and_deletes_a_target_and_takes_that_back(client, world):
    client.force_login(world.admin)
    assert "What to aim for" in words(client.get(NEW, {"kpi": "csat"}))
    assert client.post(NEW, {**CSAT, "months": "1"}).status_code == 302
    target = Target.objects.get()
    assert (target.kpi, target.value, target.months, target.set_by) == ("csat", 80, 1, world.admin)
    edit = reverse("workspace:target-edit", args=[target.pk])
    client.post(edit, {**CSAT, "value": "85", "benchmark_low": "70", "benchmark_high": "90"})
    target.refresh_from_db()
    assert (target.value, target.months, target.benchmark) == (85, None, (70, 90))
    response = client.post(
        reverse("workspace:target-delete", args=[target.pk]), headers={"HX-Request": "true"}
    )
    assert not Target.objects.exists()
    client.post(json.loads(response.headers["HX-Trigger"])["toast"]["undo"])
    assert Target.objects.get().benchmark == (70, 90)


def test_a_target_is_set_for_one_group(client, answers):
    client.force_login(answers.admin)
    assert client.post(NEW, {**CSAT, "selection": "segment=Small", "value": "50"}).status_code == 302
    client.post(NEW, {**CSAT, "selection": f"csm={answers.ada.pk}", "value": "60"})
    found = Target.objects.order_by("value").values_list("group_by", "group", "value")
    assert list(found) == [("segment", "Small", 50), ("csm", str(answers.ada.pk), 60)]
    text = words(client.get(reverse("workspace:targets")))
    assert "Segment: Small" in text
    assert "CSM: Ada" in text


def test_the_preview_tells_what_it_would_have_said_and_saves_nothing(client, answers):
    client.force_login(answers.admin)
    response = client.post(NEW, {**CSAT, "preview": "1"}, headers={"HX-Request": "true"})
    assert response.status_code == 200
    text = words(response)
    assert "<html" not in text
    assert "Kept in <strong>1 of 2</strong> periods" in text
    assert "60.0 %, <strong>misses it</strong>" in text
    segments = next(kind for kind in response.context["preview"].groups if kind.label == "Segment")
    assert (segments.counted, [group.key for group in segments.missed]) == (2, ["Small", "Large"])
    assert not Target.objects.exists()


def test_a_group_with_a_target_of_its_own_is_held_against_that(client, answers):
    Target.objects.create(kpi="csat", group_by="segment", group="Large", value=70)
    client.force_login(answers.admin)
    response = client.post(NEW, {**CSAT, "preview": "1"})
    segments = next(kind for kind in response.context["preview"].groups if kind.label == "Segment")
    assert [group.key for group in segments.missed] == ["Small"]


def test_editing_previews_the_row_in_hand_instead_of_what_is_stored(client, answers):
    target = Target.objects.create(kpi="csat", value=80)
    client.force_login(answers.admin)
    edit = reverse("workspace:target-edit", args=[target.pk])
    assert "misses it" in words(client.get(edit))
    assert "keeps it" in words(client.post(edit, {**CSAT, "value": "60", "preview": "1"}))
    target.refresh_from_db()
    assert target.value == 80


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"value": ""}, "value"),
        ({"value": "much"}, "value"),
        ({"value": "1e99"}, "value"),
        ({"selection": "segment=Nowhere"}, "selection"),
        ({"selection": "nonsense"}, "selection"),
        ({"selection": "nul\x00"}, "selection"),
        ({"variant": "nonsense"}, "variant"),
        ({"months": "5"}, "months"),
        ({"watch_by": "month"}, "watch_by"),
        ({"benchmark_low": "1"}, "benchmark_high"),
    ],
)
def test_bad_input_is_refused_beside_its_field(client, world, changes, field):
    client.force_login(world.admin)
    for preview in ({}, {"preview": "1"}):
        response = client.post(NEW, {**CSAT, **changes, **preview})
        assert response.status_code == 422
        assert list(response.context["form"].errors) == [field]
    assert not Target.objects.exists()


def test_an_unknown_kpi_is_refused(client, world):
    client.force_login(world.admin)
    assert client.get(NEW, {"kpi": "nonsense"}).status_code == 400
    assert client.post(NEW, {**CSAT, "kpi": "nonsense"}).status_code == 400


def test_the_same_target_is_not_set_twice(client, world):
    Target.objects.create(kpi="csat", value=70)
    client.force_login(world.admin)
    response = client.post(NEW, CSAT)
    assert response.status_code == 422
    assert "This has a target already" in words(response)


def test_a_target_of_a_number_that_is_no_more_can_still_be_deleted(client, world):
    target = Target.objects.create(kpi="gone", value=1)
    Target.objects.create(kpi="csat", value=1, group_by="csm", group="nobody")
    client.force_login(world.admin)
    assert "this number is no more" in words(client.get(reverse("workspace:targets")))
    assert client.get(reverse("workspace:target-edit", args=[target.pk])).status_code == 302
    client.post(reverse("workspace:target-delete", args=[target.pk]))
    assert Target.objects.count() == 1


@pytest.mark.parametrize("who", ["manager", "ada", "viewer"])
def test_nobody_else_sets_or_sees_them(client, world, who):
    target = Target.objects.create(kpi="csat", value=70)
    client.force_login(getattr(world, who))
    assert client.get(reverse("workspace:targets")).status_code == 403
    assert client.post(NEW, CSAT).status_code == 403
    for name in ("target-edit", "target-delete"):
        assert client.post(reverse(f"workspace:{name}", args=[target.pk]), CSAT).status_code == 403
    assert list(Target.objects.values_list("value", flat=True)) == [70]


def test_the_list_takes_as_many_queries_for_many_targets_as_for_few(
    client, world, django_assert_max_num_queries
):
    client.force_login(world.admin)
    for slug in ("csat", "nps", "nrr", "customer_churn_rate"):
        Target.objects.create(kpi=slug, value=1)
        for name in ("Large", "Small"):
            Target.objects.create(kpi=slug, value=2, group_by="segment", group=name)
    with django_assert_max_num_queries(12):
        client.get(reverse("workspace:targets"))


def test_a_numbers_page_says_for_which_lengths_there_is_a_target(client, world):
    Target.objects.create(kpi="nrr", value=110, months=12)
    client.force_login(world.admin)
    address = reverse("workspace:kpi", args=["nrr"])
    assert "110 % for twelve months" in words(client.get(address))
    year = {"start": "2025-06-01", "last": "2026-05-31"}
    assert "<dt>Target</dt> <dd>110 %" in words(client.get(address, year))


def test_a_group_that_misses_its_target_is_marked(client, answers):
    Target.objects.create(kpi="csat", value=50)
    client.force_login(answers.admin)
    query = {"start": "2026-05-01", "last": "2026-05-31", "group_by": "segment"}
    assert words(client.get(reverse("workspace:kpi", args=["csat"]), query)).count("misses 50 %") == 1
