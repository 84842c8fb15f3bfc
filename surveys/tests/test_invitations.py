"""What the database never lets an invitation say, and who sees one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.tests.factories import make_account, make_user
from surveys.models import Invitation, Response, Survey
from team.models import User

pytestmark = pytest.mark.django_db

SENT = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = SENT + timedelta(days=2)


def invite(**fields: Any) -> Invitation:
    survey, _ = Survey.objects.get_or_create(name="Pulse")
    return Invitation.objects.create(**{"survey": survey, "sent_at": SENT, **fields})


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("state_known", {"state": "lost"}),
        ("answered_once_there", {"state": "bounced", "answered_at": LATER}),
        ("answered_once_there", {"answered_at": SENT - timedelta(seconds=1)}),
        ("bounce_has_its_state", {"bounced_at": LATER}),
        ("bounce_has_its_state", {"state": "bounced", "bounced_at": SENT - timedelta(seconds=1)}),
    ],
)
def test_the_database_refuses_what_cannot_have_been(rule: str, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=rule), transaction.atomic():
        invite(**fields)
    assert not Invitation.objects.exists()


def test_a_response_answers_one_invitation_and_has_its_moment() -> None:
    survey = Survey.objects.create(name="Pulse")
    response = Response.objects.create(survey=survey, given_at=LATER)
    with pytest.raises(IntegrityError, match="response_has_its_moment"), transaction.atomic():
        invite(response=response)
    invite(response=response, answered_at=LATER)
    with pytest.raises(IntegrityError), transaction.atomic():
        invite(response=response, answered_at=LATER)


def test_an_id_of_a_source_stands_for_one_invitation() -> None:
    invite(source="survey", external_id="I1")
    invite(source="elsewhere", external_id="I1")
    with pytest.raises(IntegrityError), transaction.atomic():
        invite(source="survey", external_id="I1")


def test_an_invitation_stays_when_its_answer_is_erased() -> None:
    survey = Survey.objects.create(name="Pulse")
    response = Response.objects.create(survey=survey, given_at=LATER)
    invite(response=response, answered_at=LATER)
    response.delete()
    kept = Invitation.objects.get()
    assert (kept.response, kept.answered_at) == (None, LATER)


def test_a_csm_sees_the_invitations_of_their_accounts_only() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    mine = invite(account=make_account(csm=ada))
    invite(account=make_account("Globex", csm=grace))
    invite()
    assert list(Invitation.objects.visible_to(ada)) == [mine]
    assert Invitation.objects.visible_to(make_user("Boss", User.Role.ADMIN)).count() == 3
