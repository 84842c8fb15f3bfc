"""Scorecards: what is refused, and that a version stays as it was made."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from metrics.health import scorecards
from metrics.health.scorecards import StaleVersion, suggested
from metrics.health.signals import SIGNALS
from metrics.models import Scorecard, ScorecardVersion

GOOD = suggested("last_nps", "10")


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ([], "1 to 50 measures"),
        ("nonsense", "1 to 50 measures"),
        ([{**GOOD, "signal": "moon_phase"}], "'moon_phase' is no signal"),
        ([GOOD, GOOD], "last_nps: a signal counts once"),
        ([{**GOOD, "weight": "0"}], "At least one weight must be above 0"),
        ([{**GOOD, "weight": "-1"}], "-1 is not within 0 to 1000000"),
        ([{**GOOD, "weight": "NaN"}], "NaN is not within"),
        ([{**GOOD, "weight": "Infinity"}], "Infinity is not within"),
        ([{**GOOD, "weight": "1000001"}], "1000001 is not within"),
        ([{**GOOD, "weight": "1.001"}], "more than two decimals"),
        ([{**GOOD, "weight": None}], "None is not a number"),
        ([{**GOOD, "weight": True}], "True is not a number"),
        ([{**GOOD, "curve": [["5", "50"]]}], "2 to 20 points"),
        ([{**GOOD, "curve": [["9", "100"], ["5", "50"]]}], "rise from point to point"),
        ([{**GOOD, "curve": [["5", "50"], ["5", "60"]]}], "rise from point to point"),
        ([{**GOOD, "curve": [["5", "60"], ["9", "50"]]}], "more is better here"),
        ([{**GOOD, "curve": [["5", "50"], ["9", "101"]]}], "101 is not within 0 to 100"),
        ([{**GOOD, "curve": [["5", "0"], ["9", "0"]]}], "measures nothing"),
        ([{**GOOD, "curve": ["5", "0"]}], "is a pair"),
        ([{**GOOD, "shelf_days": 0}], "1 to 3650 days"),
        ([{**GOOD, "shelf_days": "30"}], "1 to 3650 days"),
        ([{**suggested("open_tickets", "1"), "curve": [["0", "0"], ["5", "100"]]}], "less is better here"),
    ],
)
def test_a_wrong_measure_is_refused_with_the_rule(measures, said):
    with pytest.raises(ValidationError) as refused:
        scorecards.check(measures)
    assert said in " ".join(refused.value.message_dict["measures"])


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"yellow_from": 80}, "green_from"),
        ({"green_from": 101}, "green_from"),
        ({"min_coverage": "a lot"}, "min_coverage"),
        ({"yellow_from": float("nan")}, "yellow_from"),
    ],
)
def test_wrong_limits_are_refused_by_name(limits, field):
    with pytest.raises(ValidationError) as refused:
        scorecards.check([GOOD], **limits)
    assert field in refused.value.message_dict


def test_every_signal_suggests_a_measure_that_is_accepted():
    for key in SIGNALS:
        scorecards.check([suggested(key, "1")])


@pytest.mark.django_db
def test_an_installation_begins_with_eight_measures():
    card = scorecards.current_cards()[0]
    assert (card.name, len(card.measures), card.weight) == ("Standard", 8, 10_000)


@pytest.mark.django_db
def test_a_version_read_is_the_version_that_was_saved():
    scorecard = Scorecard.objects.get()
    measure = {**GOOD, "weight": "12.50", "curve": [["-2.5", "0"], ["9", "87.25"]], "shelf_days": None}
    version = scorecards.save_version(scorecard, measures=[measure], reason="More NPS", by=None, based_on=1)
    version.refresh_from_db()
    read = scorecards.read(version).measures[0]
    assert (read.weight_hundredths, read.curve.points, read.shelf_days) == (
        1250,
        ((-250, 0), (900, 8725)),
        None,
    )


@pytest.mark.django_db
def test_a_change_made_from_an_older_version_is_refused():
    scorecard = Scorecard.objects.get()
    scorecards.save_version(scorecard, measures=[GOOD], reason="First", by=None, based_on=1)
    with pytest.raises(StaleVersion, match="Version 2 was saved meanwhile"):
        scorecards.save_version(scorecard, measures=[GOOD], reason="Second", by=None, based_on=1)


@pytest.mark.django_db
def test_a_version_without_a_reason_is_refused():
    with pytest.raises(ValidationError, match="Say why"):
        scorecards.save_version(Scorecard.objects.get(), measures=[GOOD], reason="  ", by=None, based_on=1)


@pytest.mark.django_db
def test_the_database_refuses_to_edit_a_version():
    with pytest.raises(IntegrityError, match="metrics_version_never_changes"), transaction.atomic():
        ScorecardVersion.objects.update(reason="Another")
