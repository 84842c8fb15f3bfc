from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import Account, AccountExternalId, Contact, DueAccount, Movement
from accounts.tests.factories import make_account, make_user, subscribe
from team import keys
from team.models import ApiKey, User

pytestmark = pytest.mark.django_db

URL = "/api/v1/accounts/"


class Caller:
    """Speaks JSON with a key, as a program would."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"authorization": f"Bearer {token}"})

    def get(self, url: str, **query: Any) -> Any:
        return self.client.get(url, query)

    def send(self, method: str, url: str, body: Any, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(
            method, url, body if isinstance(body, str | bytes) else __import__("json").dumps(body),
            content_type="application/json", headers=named,
        )  # fmt: skip


@pytest.fixture
def ada(db) -> User:
    return make_user("Ada")


@pytest.fixture
def acme(ada) -> Account:
    account = make_account("Acme", csm=ada, segment="smb")
    AccountExternalId.objects.create(account=account, source="crm", external_id="A-1")
    subscribe(account, 100, date(2025, 1, 1))
    return Account.objects.get(pk=account.pk)


@pytest.fixture
def admin(db) -> Caller:
    owner = make_user("Boss", role=User.Role.ADMIN)
    return Caller(keys.issue(name="crm", owner=owner, scope=ApiKey.Scope.WRITE)[1])


def as_user(user: User, scope: str = ApiKey.Scope.WRITE) -> Caller:
    return Caller(keys.issue(name="mine", owner=user, scope=scope)[1])


def assert_problem(response: Any, status: int, *fields: str) -> None:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == list(fields)


def test_an_account_shows_who_it_is_what_it_pays_and_who_looks_after_it(acme, ada):
    body = as_user(ada).get(f"{URL}{acme.pk}/").json()
    created_at = body.pop("created_at")
    assert datetime.fromisoformat(created_at) == acme.created_at
    assert body == {
        "id": acme.pk,
        "name": "Acme",
        "external_ids": [{"source": "crm", "external_id": "A-1"}],
        "parent": None,
        "segment": "smb",
        "industry": "",
        "region": "",
        "country": "",
        "lifecycle_stage": "",
        "website": "",
        "time_zone": "",
        "currency": "",
        "custom": {},
        "csm": {"id": ada.pk, "name": "Ada", "email": "ada@example.com"},
        "plan": None,
        "mrr": {"amount": "100", "currency": "EUR"},
        "is_customer": True,
        "joined_on": "2025-01-01",
        "left_on": None,
        "renews_on": None,
        "health": None,
    }


def test_somebody_elses_account_is_not_there(acme):
    grace = as_user(make_user("Grace"))
    assert_problem(grace.get(f"{URL}{acme.pk}/"), 404)
    assert grace.get(URL).json()["results"] == []


def test_without_a_key_nothing_is_shown(acme, client):
    response = client.get(URL)
    assert_problem(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("change", ["revoked", "expired", "owner disabled"])
def test_a_key_is_worth_nothing_from_the_moment_its_right_ends(acme, ada, change):
    key, token = keys.issue(name="old", owner=ada, scope="read")
    now = datetime.now(UTC)
    match change:
        case "revoked":
            keys.revoke(key, at=now)
        case "expired":
            ApiKey.objects.update(expires_at=now - timedelta(seconds=1))
        case _:
            User.objects.update(is_active=False)
    assert_problem(Caller(token).get(URL), 401)


def test_a_key_is_stored_as_a_hash_only(ada):
    key, token = keys.issue(name="crm", owner=ada, scope="read")
    assert token.startswith("csp_")
    assert token not in str(ApiKey.objects.filter(pk=key.pk).values().get())


@pytest.mark.parametrize("role", [User.Role.CSM, User.Role.MANAGER, User.Role.VIEWER])
def test_only_admins_write(role):
    caller = as_user(make_user("Somebody", role=role))
    assert_problem(caller.send("POST", URL, {"external_id": "X", "name": "X"}), 403)


def test_a_key_for_reading_does_not_write():
    caller = as_user(make_user("Boss", role=User.Role.ADMIN), scope="read")
    assert_problem(caller.send("POST", URL, {"external_id": "X", "name": "X"}), 403)


def test_a_posted_account_is_made_and_marked_due(admin):
    response = admin.send(
        "POST", URL, {"source": "crm", "external_id": "G-1", "name": "Globex", "segment": "mid"}
    )
    assert response.status_code == 201
    account = Account.objects.get(name="Globex")
    assert response.json()["id"] == account.pk
    assert DueAccount.objects.filter(account=account).exists()


def test_a_second_post_collides_instead_of_overwriting(admin, acme):
    assert_problem(admin.send("POST", URL, {"source": "crm", "external_id": "A-1", "name": "Other"}), 409)
    assert Account.objects.get().name == "Acme"


def test_put_by_external_id_creates_then_updates_then_leaves_alone(admin):
    url = f"{URL}by-external-id/crm/G-1/"
    codes = [
        admin.send("PUT", url, {"name": name}).status_code for name in ("Globex", "Globex Ltd", "Globex Ltd")
    ]
    assert codes == [201, 200, 200]
    assert Account.objects.get().name == "Globex Ltd"


def test_a_subscription_by_api_moves_the_ledger(admin, acme):
    line = {
        "account": "A-1",
        "source": "crm",
        "external_id": "S-1",
        "unit_price": 49.90,
        "starts_on": "2026-03-01",
    }
    response = admin.send("POST", "/api/v1/subscriptions/", line)
    assert response.status_code == 201
    assert response.json()["mrr"] == {"amount": "49.9", "currency": "EUR"}
    assert Movement.objects.get(subscription__external_id="S-1").kind == "expansion"


def test_bulk_answers_each_record_on_its_own(admin, acme):
    people = [
        {"source": "crm", "external_id": "1", "account": "A-1", "name": "Bob", "email": "bob@acme.example"},
        {"source": "crm", "external_id": "2", "account": "A-9", "name": "Eve"},
        {"source": "crm", "external_id": "3", "account": "A-1", "name": "Zoe", "email": "not an address"},
    ]
    body = admin.send("POST", "/api/v1/contacts/bulk/", people).json()
    assert body["counts"] == {"created": 1, "updated": 0, "unchanged": 0, "rejected": 2}
    assert [item["errors"][0]["field"] for item in body["results"][1:]] == ["account", "email"]
    assert Contact.objects.get().name == "Bob"
    again = admin.send("POST", "/api/v1/contacts/bulk/", people[:1]).json()
    assert again["counts"]["unchanged"] == 1


def test_the_same_idempotency_key_acts_once(admin):
    body = {"external_id": "G-1", "name": "Globex"}
    first = admin.send("POST", URL, body, idempotency_key="k1")
    again = admin.send("POST", URL, body, idempotency_key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert Account.objects.count() == 1


def test_an_idempotency_key_is_not_lent_to_another_request(admin):
    admin.send("POST", URL, {"external_id": "G-1", "name": "Globex"}, idempotency_key="k1")
    other = admin.send("POST", URL, {"external_id": "G-2", "name": "Other"}, idempotency_key="k1")
    assert_problem(other, 422)


def test_a_refused_request_frees_its_idempotency_key(admin):
    assert admin.send("POST", URL, {"external_id": "G-1"}, idempotency_key="k1").status_code == 400
    good = admin.send("POST", URL, {"external_id": "G-1", "name": "Globex"}, idempotency_key="k1")
    assert good.status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"external_id": "1"}, "name"),
        ({"name": "X"}, "external_id"),
        ({"external_id": "1", "name": "X", "colour": "red"}, "colour"),
        ({"external_id": "1", "name": "x" * 201}, "name"),
        ({"external_id": "1", "name": ["X"]}, "name"),
        ({"external_id": "1", "name": "X", "currency": "EURO"}, "currency"),
        ({"external_id": "1", "name": "X", "customer_from": "9999-01-01"}, "customer_from"),
        ({"external_id": "1", "name": "X", "time_zone": "Mars"}, "time_zone"),
        ({"external_id": "1", "name": "X", "parent": "nobody"}, "parent"),
        ({"external_id": 1, "name": "X", "source": {"a": 1}}, "source"),
    ],
)
def test_a_bad_account_is_refused_with_the_field_named(admin, body, field):
    assert_problem(admin.send("POST", URL, body), 400, field)
    assert not Account.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "a\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"name": NaN}',
        b'{"name": 1, "name": 2}',
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b"[" * 70 + b"]" * 70,
        b"\xff\xfe",
        b"[]",
        b"3",
        b'{"name": ' + b"9" * 5_000 + b"}",
    ],
)
def test_malformed_json_is_refused(admin, body):
    assert_problem(admin.send("POST", URL, body), 400)


def test_another_content_type_is_refused(admin):
    assert_problem(admin.client.post(URL, "<a/>", content_type="text/xml"), 415)


def test_a_body_over_the_limit_is_refused(admin):
    assert_problem(admin.send("POST", URL, b'{"name": "' + b"x" * 3_000_000 + b'"}'), 413)


def test_an_unknown_address_answers_as_a_problem(admin):
    assert_problem(admin.get("/api/v1/nothing/here/"), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"csm": "x"}, "csm"),
        ({"score_min": "NaN"}, "score_min"),
        ({"score_min": "101"}, "score_min"),
        ({"mrr_max": "-1"}, "mrr_max"),
        ({"renewal_before": "2026-13-01"}, "renewal_before"),
        ({"band": "blue"}, "band"),
        ({"limit": "0"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "eyJrIjo5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OX0="}, "cursor"),
        ({"ordering": "password"}, "ordering"),
        ({"serach": "acme"}, "serach"),
        ({"search": "a\x00"}, "search"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_name(admin, query, field):
    assert_problem(admin.get(URL, **query), 400, field)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"segment": "smb"}, True),
        ({"segment": "enterprise"}, False),
        ({"mrr_min": "100"}, True),
        ({"mrr_min": "100.01"}, False),
        ({"search": "acm"}, True),
        ({"search": "A-1"}, True),
        ({"is_customer": "false"}, False),
        ({"renewal_before": "2030-01-01"}, False),
    ],
)
def test_a_list_is_narrowed_by_its_filters(admin, acme, query, found):
    assert [row["id"] for row in admin.get(URL, **query).json()["results"]] == ([acme.pk] if found else [])


@pytest.mark.parametrize(
    "ordering", ["", "name", "-name", "mrr", "-mrr", "renews_on", "-renews_on", "-score"]
)
def test_walking_the_pages_meets_every_account_once_in_both_directions(admin, ordering):
    Account.objects.bulk_create(
        Account(name=f"N{number % 4}", mrr=None if number % 3 == 0 else number % 2) for number in range(11)
    )
    query = {"limit": "3"} | ({"ordering": ordering} if ordering else {})
    pages, url = [], URL
    while url:
        body = admin.get(url, **query).json() if url == URL else admin.client.get(url).json()
        pages.append([row["id"] for row in body["results"]])
        last, url = body, body["next"]
    assert sorted(pk for page in pages for pk in page) == sorted(Account.objects.values_list("pk", flat=True))
    back, body = [], last
    while body["previous"]:
        body = admin.client.get(body["previous"]).json()
        back.append([row["id"] for row in body["results"]])
    assert back == pages[-2::-1]


def test_the_number_of_queries_does_not_grow_with_the_accounts(admin, django_assert_max_num_queries):
    for number in range(20):
        account = make_account(f"N{number}", csm=make_user(f"u{number}"))
        AccountExternalId.objects.create(account=account, source="crm", external_id=str(number))
    with django_assert_max_num_queries(6):
        admin.get(URL)
