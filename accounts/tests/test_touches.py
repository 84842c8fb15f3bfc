from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Contact, DueAccount, Touch
from accounts.tests.factories import make_account, make_user
from accounts.touches import log_touch

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def test_a_logged_call_is_kept_and_makes_the_account_due():
    ada = make_user("Ada")
    acme = make_account("Acme", csm=ada)
    touch = log_touch(acme, by=ada, kind=Touch.Kind.CALL, notes="All well.", happened_at=NOON)
    assert (touch.user, touch.kind, touch.happened_at) == (ada, "call", NOON)
    assert DueAccount.objects.filter(account=acme).exists()


def test_a_contact_of_another_account_is_refused():
    ada = make_user("Ada")
    acme, globex = make_account("Acme", csm=ada), make_account("Globex", csm=ada)
    hank = Contact.objects.create(account=globex, name="Hank Scorpio")
    with pytest.raises(ValidationError, match="not a contact of Acme"):
        log_touch(acme, by=ada, kind=Touch.Kind.CALL, notes="", happened_at=NOON, contact=hank)


def test_an_unknown_kind_is_refused():
    ada = make_user("Ada")
    acme = make_account("Acme", csm=ada)
    with pytest.raises(ValidationError, match="kind"):
        log_touch(acme, by=ada, kind="seance", notes="", happened_at=NOON)
    assert not Touch.objects.exists()
