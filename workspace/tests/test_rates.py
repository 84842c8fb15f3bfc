"""The page of exchange rates: gaps, corrections, and what is no rate."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.models import ExchangeRate
from accounts.tests.factories import make_account, subscribe
from team.models import Work

PAGE = reverse("workspace:rates")
USD = {"currency": "usd", "starts_on": "2025-03-01", "rate": "0.92"}


def words(response) -> str:
    return " ".join(response.content.decode().replace("\u00a0", " ").split())


def test_an_admin_records_a_rate_and_corrects_it(client, world):
    client.force_login(world.admin)
    for given, said in (("0.92", "Recorded"), ("0.93", "Corrected"), ("0.93", "known already")):
        response = client.post(PAGE, {**USD, "rate": given}, follow=True)
        assert said in words(response)
    assert list(ExchangeRate.objects.values_list("currency", "rate").order_by("pk")) == [
        ("USD", Decimal("0.92")),
        ("USD", Decimal("0.93")),
    ]
    assert '<s class="muted">0.92</s>' in words(client.get(PAGE))
    assert Work.objects.filter(kind="accounts.refresh_after_rate", key="rate: USD").count() == 1


def test_a_gap_is_said_with_the_accounts_it_leaves_out(client, world):
    for number in range(3):
        subscribe(make_account(f"Dollar {number}"), 10, date(2025, 1, 1), currency="USD")
    subscribe(make_account("Dollar later"), 10, date(2025, 4, 1), currency="USD")
    client.force_login(world.admin)
    assert "USD has no rate at all. 4 accounts are not counted" in words(client.get(PAGE))
    client.post(PAGE, USD)
    text = words(client.get(PAGE))
    assert "USD has no rate before 1 Mar 2025" in text
    assert "3 accounts are not counted" in text
    client.post(PAGE, {**USD, "starts_on": "2025-01-01"})
    assert "not counted" not in words(client.get(PAGE))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency": "XXZ"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"currency": "EUR"}, "currency"),
        ({"starts_on": "2025-02-30"}, "starts_on"),
        ({"starts_on": "1066-10-14"}, "starts_on"),
        ({"rate": "0"}, "rate"),
        ({"rate": "-1"}, "rate"),
        ({"rate": "NaN"}, "rate"),
        ({"rate": "1e30"}, "rate"),
        ({"rate": "much"}, "rate"),
    ],
)
def test_what_is_no_rate_is_refused_beside_its_field(client, world, changes, field):
    client.force_login(world.admin)
    response = client.post(PAGE, {**USD, **changes})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert not ExchangeRate.objects.exists()


@pytest.mark.parametrize("who", ["manager", "ada", "viewer"])
def test_nobody_else_records_one(client, world, who):
    client.force_login(getattr(world, who))
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, USD).status_code == 403
    assert not ExchangeRate.objects.exists()


def test_the_admin_site_adds_rates_and_changes_none(client, world):
    client.force_login(world.admin)
    add = reverse("admin:accounts_exchangerate_add")
    assert client.post(add, {**USD, "currency": "EUR"}).status_code == 200
    assert client.post(add, {**USD, "currency": "USD"}).status_code == 302
    rate = ExchangeRate.objects.get()
    assert (
        client.post(
            reverse("admin:accounts_exchangerate_change", args=[rate.pk]), {**USD, "currency": "USD"}
        ).status_code
        == 403
    )
    assert Work.objects.filter(key="rate: USD").exists()


def test_a_number_that_a_corrected_rate_moved_says_so(client, world):
    subscribe(make_account("Dollar"), 10, date(2025, 1, 1), currency="USD")
    client.force_login(world.admin)
    client.post(PAGE, {**USD, "starts_on": "2025-01-01"})
    ExchangeRate.objects.update(recorded_at="2025-01-01T00:00Z")
    client.post(PAGE, {**USD, "starts_on": "2025-01-01", "rate": "0.95"})
    query = {"start": "2026-05-01", "last": "2026-05-31"}
    text = words(client.get(reverse("workspace:kpi", args=["mrr"]), query))
    assert "restated" in text
    assert "Exchange rates that were corrected" in text
