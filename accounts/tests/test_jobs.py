from __future__ import annotations

from datetime import date

import pytest
from django.utils import timezone

from accounts.models import Account
from accounts.tests.factories import make_account, subscribe
from team import work

pytestmark = pytest.mark.django_db


def test_a_line_that_began_at_midnight_is_in_the_copies_after_the_nights_job():
    account = make_account()
    subscribe(account, 100, date(2026, 1, 1))
    Account.objects.update(mrr=0, is_customer=False)
    work.enqueue("accounts.refresh_copies")
    work.run_due()
    account.refresh_from_db()
    assert (account.mrr, account.is_customer) == (100, True)
    assert account.joined_on == date(2026, 1, 1) <= timezone.now().date()
