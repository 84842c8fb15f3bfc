"""Scorecards and scores in the admin, through its pages."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from accounts.tests.factories import make_user
from metrics.health import scorecards, scores
from metrics.models import AccountHealth, Scorecard, ScorecardVersion
from metrics.tests.health_cast import NOON, make_acme

pytestmark = pytest.mark.django_db
ADD = "admin:metrics_scorecardversion_add"


@pytest.fixture
def admin(client):
    root = make_user("Root", role="admin")
    client.force_login(root)
    return client


def form_data(**changes):
    scorecard = Scorecard.objects.get()
    return {
        "scorecard": scorecard.pk,
        "based_on": 1,
        "measures": json.dumps([scorecards.suggested("last_nps", "10")]),
        "yellow_from": "40",
        "green_from": "80",
        "min_coverage": "50",
        "reason": "We listen more",
        **changes,
    }


def test_saving_the_form_makes_the_next_version(admin):
    assert admin.post(reverse(ADD), form_data()).status_code == 302
    made = ScorecardVersion.objects.get(number=2)
    assert (made.reason, str(made.made_by), made.green_from) == ("We listen more", "Root", 80)


def test_the_form_begins_with_the_current_version(admin):
    page = admin.get(reverse(ADD)).content.decode()
    assert "license_utilization" in page
    assert 'name="based_on" value="1"' in page


def test_a_form_opened_before_somebody_else_saved_keeps_its_typing_and_is_refused(admin):
    admin.post(reverse(ADD), form_data())
    page = admin.post(reverse(ADD), form_data(reason="My own idea")).content.decode()
    assert "Version 2 of Standard is there by now" in page
    assert "My own idea" in page
    assert ScorecardVersion.objects.count() == 2


@pytest.mark.parametrize(
    "measures", ["", "{}", "[[]]", '[{"signal": "last_nps", "weight": NaN}]', "[1", "null"]
)
def test_wrong_measures_are_refused_in_the_form(admin, measures):
    response = admin.post(reverse(ADD), form_data(measures=measures))
    assert response.status_code == 200
    assert ScorecardVersion.objects.count() == 1


def test_an_admin_looks_scores_up_and_has_them_worked_out_again(admin):
    acme = make_acme()
    scores.score_all(now=NOON)
    changelist = reverse("admin:metrics_accounthealth_changelist")
    assert "97.50" in admin.get(changelist).content.decode()
    assert "97.50" in admin.get(reverse("admin:metrics_healthscore_changelist")).content.decode()
    data = {"action": "recompute", "_selected_action": [acme.pk]}
    assert "1 account worked out" in admin.post(changelist, data, follow=True).content.decode()
    assert AccountHealth.objects.get().checked_at > NOON


def test_versions_and_scores_cannot_be_edited(admin):
    version = ScorecardVersion.objects.get()
    address = reverse("admin:metrics_scorecardversion_change", args=[version.pk])
    assert admin.get(address).status_code == 200
    assert admin.post(address, form_data()).status_code == 403
    assert admin.get(reverse("admin:metrics_scorecard_changelist")).status_code == 200
