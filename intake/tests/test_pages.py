"""The import pages, walked as a newcomer does; the worker's part is done in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Account
from accounts.tests.factories import make_user
from intake import importing
from intake.mapping import parse_json
from intake.models import Import
from intake.tests.files import EXAMPLES, latest
from team.models import User
from team.work import Work, run_due

pytestmark = pytest.mark.django_db

ACCOUNTS = b"Customer ID;Company;Since\n1;Acme;31.12.2023\n2;Globex;01.02.2024\n3;;01.02.2024\n"


def page_of(name: str, role: str) -> Client:
    client = Client()
    client.force_login(make_user(name, role=role))
    return client


@pytest.fixture
def manager(db: None) -> Client:
    return page_of("Mara", User.Role.MANAGER)


def upload(
    client: Client, content: bytes = ACCOUNTS, *, kind: str = "accounts", name: str = "clients.csv"
) -> Any:
    return client.post(
        "/imports/new/", {"kind": kind, "source": "crm", "file": SimpleUploadedFile(name, content)}
    )


def choices(**changes: str) -> dict[str, str]:
    """What the mapping page sends for the file above."""
    return {
        "source": "crm",
        "as_of": "2026-01-01",
        "column_external_id": "Customer ID",
        "column_name": "Company",
        "column_customer_from": "Since",
        "layout_customer_from": "%d.%m.%Y",
        "check": "1",
        **changes,
    }


def send(client: Client, url: str, values: dict[str, Any]) -> str:
    """Post a form and return where its answer leads."""
    response: Any = client.post(url, values)
    assert response.status_code == 302, body(response)
    return str(response.url)


def body(response: Any) -> str:
    return b"".join(response).decode() if response.streaming else response.content.decode()


def test_a_newcomer_gets_from_a_file_to_accounts(manager: Client) -> None:
    url = upload(manager).url
    record = latest()
    assert url == f"/imports/{record.pk}/mapping/"
    assert record.mapping["fields"]["external_id"] == "Customer ID"

    page = body(manager.get(url))
    assert "2023-12-31" in page  # the date, as the guess reads it
    assert "is empty and must not be" in page  # the row without a name, before anything is stored

    url = send(manager, url, choices())
    assert url == f"/imports/{record.pk}/"
    assert "checking…" in body(manager.get(url))
    run_due()
    page = body(manager.get(url))
    assert "Nothing is stored yet" in page
    assert Account.objects.count() == 0

    manager.post(f"/imports/{record.pk}/start/")
    assert "waiting for a worker" in body(manager.get(url))
    run_due()
    page = body(manager.get(url))
    assert "Imported, with rows left out" in page
    assert sorted(Account.objects.values_list("name", flat=True)) == ["Acme", "Globex"]
    rejected = body(manager.get(f"/imports/{record.pk}/rejected.csv"))
    assert rejected.splitlines() == [
        "rejected line,rejected field,rejected reason,Customer ID,Company,Since",
        "4,name,is empty and must not be.,3,,01.02.2024",
    ]


def test_the_result_links_to_the_accounts_its_reader_may_see(manager: Client) -> None:
    upload(manager, ACCOUNTS.replace(b"3;;", b"3;Initech;"))
    record = latest()
    importing.set_mapping(record, record.mapping)
    importing.enqueue_run(record)
    run_due()
    as_manager = body(manager.get(f"/imports/{record.pk}/"))
    as_admin = body(page_of("Boss", User.Role.ADMIN).get(f"/imports/{record.pk}/"))
    assert "Every row was taken" in as_manager
    assert "Acme" not in as_manager  # not of the manager's team
    assert Account.objects.get(name="Acme").get_absolute_url() in as_admin


def test_the_preview_follows_each_choice_without_storing_it(manager: Client) -> None:
    url = upload(manager).url
    answer = body(manager.post(url, choices(column_name="Customer ID"), headers={"HX-Request": "true"}))
    assert "<html" not in answer
    assert "Globex" not in answer
    assert latest().mapping["fields"]["name"] == "Company"


def test_a_choice_that_does_not_fit_is_said_in_words(manager: Client) -> None:
    response = manager.post(upload(manager).url, choices(column_name=""))
    assert response.status_code == 422
    assert "Name is needed and no column fills it" in body(response)
    assert latest().preview is None


def test_a_value_for_every_row_needs_no_column(manager: Client) -> None:
    url = upload(manager).url
    manager.post(url, choices(column_segment="=constant", constant_segment="smb"))
    assert latest().mapping["fields"]["segment"] == {"constant": "smb"}


def test_a_mapping_file_brings_what_the_table_cannot_say(manager: Client, tmp_path: Path) -> None:
    columns = b"customerID,Contract,tenure,Churn,MonthlyCharges\nA,One year,5,No,10\n"
    url = upload(manager, columns, kind="subscriptions").url
    mapping = EXAMPLES / "telco-subscriptions.json"
    file = SimpleUploadedFile("m.json", mapping.read_bytes())
    assert send(manager, url, {"mapping_file": "1", "mapping": file}) == url
    sent = {"source": "telco", "as_of": "2026-01-01", "check": "1", "create": ["accounts", "plans"]}
    for row in manager.get(url).context["form"].rows():
        for part in ("column", "constant", "layout"):
            if row[part]:
                sent[row[part].name] = row[part].value()
    manager.post(url, sent)
    assert latest().mapping == parse_json(mapping.read_text())
    downloaded = manager.get(f"/imports/{latest().pk}/mapping.json")
    assert parse_json(downloaded.content.decode()) == latest().mapping


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b'{"fields": {"nonsense": "x"}}'])
def test_a_mapping_file_that_is_none_is_refused(manager: Client, content: bytes) -> None:
    url = upload(manager).url
    file = SimpleUploadedFile("m.json", content)
    assert manager.post(url, {"mapping_file": "1", "mapping": file}).status_code == 422


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"PK\x03\x04", "Excel"), (b"a,b\n\x81\x30", "neither UTF-8"), (b"\n\n", "empty")],
)
def test_a_file_that_cannot_be_read_is_refused_at_once(manager: Client, content: bytes, words: str) -> None:
    response = upload(manager, content)
    assert response.status_code == 422
    assert words in body(response)
    assert Import.objects.count() == 0


def test_a_file_name_cannot_leave_the_folder_of_uploads(manager: Client, settings: Any) -> None:
    upload(manager, name="../../evil.csv")
    assert Path(settings.MEDIA_ROOT) in latest().path.resolve().parents


def test_an_import_that_failed_goes_on_when_asked(manager: Client) -> None:
    upload(manager, ACCOUNTS)
    record = latest()
    importing.set_mapping(record, record.mapping)
    Import.objects.filter(pk=record.pk).update(file_sha256="other")
    importing.enqueue_run(record)
    run_due()
    assert "The import stopped" in body(manager.get(f"/imports/{record.pk}/"))
    Import.objects.filter(pk=record.pk).update(file_sha256="")
    manager.post(f"/imports/{record.pk}/start/")
    run_due()
    assert (latest().state, latest().created) == ("done", 2)


def test_an_unexpected_error_is_said_once_the_worker_gives_up(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(manager)
    record = latest()
    importing.set_mapping(record, record.mapping)
    importing.enqueue_run(record)
    Work.objects.filter(kind="intake.run").update(max_attempts=1)

    def break_down(ids: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(importing, "mark_due", break_down)
    run_due()
    page = body(manager.get(f"/imports/{record.pk}/"))
    assert "An unexpected error stopped it" in page
    assert Account.objects.count() == 0  # the batch was undone
    monkeypatch.undo()
    manager.post(f"/imports/{record.pk}/start/")
    run_due()
    assert (latest().state, latest().created) == ("done", 2)


def test_a_stopped_import_stores_nothing_more(manager: Client) -> None:
    upload(manager)
    record = latest()
    importing.set_mapping(record, record.mapping)
    importing.enqueue_run(record)
    manager.post(f"/imports/{record.pk}/cancel/")
    run_due()
    assert (latest().state, Account.objects.count()) == ("cancelled", 0)


PAGES = [
    ("get", ""),
    ("get", "new/"),
    ("get", "{}/"),
    ("get", "{}/mapping/"),
    ("get", "{}/mapping.json"),
    ("get", "{}/rejected.csv"),
    ("get", "{}/repaired.csv"),
    ("post", "{}/start/"),
    ("post", "{}/cancel/"),
    ("post", "{}/mapping/"),
    ("post", "new/"),
]


@pytest.mark.parametrize(("method", "path"), PAGES)
@pytest.mark.parametrize("role", [User.Role.CSM, User.Role.VIEWER])
def test_only_admins_and_managers_import(manager: Client, method: str, path: str, role: str) -> None:
    upload(manager)
    url = f"/imports/{path.format(latest().pk)}"
    assert getattr(page_of("Ada", role), method)(url).status_code == 403


@pytest.mark.parametrize(("method", "path"), [page for page in PAGES if "{}" in page[1]])
def test_another_managers_import_is_not_found(manager: Client, method: str, path: str) -> None:
    upload(manager)
    url = f"/imports/{path.format(latest().pk)}"
    assert getattr(page_of("Grace", User.Role.MANAGER), method)(url).status_code == 404


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_nobody_imports_without_signing_in(manager: Client, method: str, path: str) -> None:
    upload(manager)
    response = getattr(Client(), method)(f"/imports/{path.format(latest().pk)}")
    assert response.status_code == 302
    assert "login" in response.url


def test_the_list_shows_past_imports_with_few_queries(
    manager: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        upload(manager, name=f"file-{number}.csv")
    with django_assert_max_num_queries(8):
        page = body(manager.get("/imports/"))
    assert "file-4.csv" in page
