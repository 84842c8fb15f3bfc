"""The engine: what it stores, what it refuses, and that nothing is lost or double."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import (
    Account,
    AccountTrait,
    Assignment,
    Charge,
    Contact,
    DueAccount,
    Milestone,
    Movement,
    OutcomeValue,
    Referral,
    Subscription,
    SubscriptionTerms,
)
from accounts.tests.factories import make_user
from intake import importing
from intake.models import Import, RowNote
from intake.reading import ReadingError
from intake.tests.files import import_file, latest, problems, write
from surveys.models import Answer, Invitation, Response, Survey
from tickets.models import Ticket, TicketEvent
from usage.models import EndUser, Event, UsageDay

pytestmark = pytest.mark.django_db

ACCOUNTS = "id,name,segment\n1,Acme,smb\n2,Globex,enterprise\n3,Initech,smb\n"


def accounts_from(folder: Path, text: str = ACCOUNTS) -> None:
    import_file("accounts", write(folder, text, "accounts.csv"), source="crm")


# --- Same file, half a file, two imports -------------------------------------------------


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, ACCOUNTS)
    first, _ = import_file("accounts", path)
    second, code = import_file("accounts", path)
    assert (first.created, second.unchanged, second.created, second.updated, code) == (3, 3, 0, 0, 0)
    assert Account.objects.count() == 3


def test_a_changed_row_is_updated_and_its_account_is_due(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    DueAccount.objects.all().delete()
    counts, _ = import_file(
        "accounts", write(tmp_path, ACCOUNTS.replace("Globex,enterprise", "Globex,smb")), source="crm"
    )
    assert (counts.updated, counts.unchanged) == (1, 2)
    assert [due.account.name for due in DueAccount.objects.all()] == ["Globex"]


def test_a_segment_keeps_its_history(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    changed = write(tmp_path, ACCOUNTS.replace("Globex,enterprise", "Globex,smb"))
    import_file("accounts", changed, source="crm", as_of="2030-01-01")
    spells = AccountTrait.objects.filter(account__name="Globex").order_by("starts_on")
    assert [(spell.value, spell.starts_on, spell.ends_on) for spell in spells] == [
        ("enterprise", date(1900, 1, 1), date(2029, 12, 31)),
        ("smb", date(2030, 1, 1), None),
    ]


def test_a_row_that_comes_twice_in_one_file_is_stored_once(tmp_path: Path) -> None:
    counts, _ = import_file("accounts", write(tmp_path, "id,name\n1,Acme\n1,Acme\n1,Acme Ltd\n"))
    assert (counts.created, counts.unchanged, counts.updated) == (1, 1, 1)
    assert Account.objects.get().name == "Acme Ltd"


def test_a_dry_run_counts_the_same_and_stores_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, ACCOUNTS + "4,,smb\n")
    dry, _ = import_file("accounts", path, dry_run=True)
    assert (Account.objects.count(), Import.objects.count(), RowNote.objects.count()) == (0, 0, 0)
    real, _ = import_file("accounts", path)
    assert dry == real


def test_an_import_that_died_goes_on_after_the_last_batch_it_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    path = write(
        tmp_path, "id,name\n" + "".join(f"{n},Account {n}\n" if n % 7 else f"{n},\n" for n in range(1, 101))
    )
    record = importing.prepare(kind="accounts", file_name=path.name, local_path=path)

    def die(counts: importing.Counts, done: int, total: int) -> None:
        if counts.rows == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importing.run(record, on_progress=die)
    stored = Account.objects.count()
    counts, _ = import_file("accounts", path, resume=True)
    whole = Import.objects.get(pk=record.pk)
    assert 0 < stored < Account.objects.count() == 86
    assert (counts.created, counts.rejected, counts.unchanged) == (86, 14, 0)
    assert (whole.state, whole.notes.rejected().count(), Import.objects.count()) == ("done", 14, 1)


def test_a_file_that_changed_since_is_not_resumed(tmp_path: Path) -> None:
    path = write(tmp_path, ACCOUNTS)
    record = importing.prepare(kind="accounts", file_name=path.name, local_path=path)
    write(tmp_path, ACCOUNTS + "4,Hooli,smb\n")
    with pytest.raises(ReadingError, match="not the one this import began with"):
        importing.run(record)
    record.refresh_from_db()
    assert (record.state, Account.objects.count()) == ("failed", 0)


def test_an_import_that_is_over_does_nothing_when_asked_again(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    record = latest()
    importing.run(record)
    record.refresh_from_db()
    assert (record.created, record.state) == (3, "done")


class Installation:
    """The project in a runtime folder of its own, driven by real processes."""

    def __init__(self, folder: Path) -> None:
        self.manage = [sys.executable, str(Path(__file__).resolve().parents[2] / "manage.py")]
        self.environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
        self.environment["CSPLATFORM_VAR"] = str(folder)
        self.run("migrate", "-v", "0")

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*self.manage, *words], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.manage, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def count(self) -> int:
        code = "from accounts.models import AccountExternalId as E; print(E.objects.count())"
        return int(self.run("shell", "-v", "0", "-c", code).splitlines()[-1])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation"))


def test_two_imports_of_one_file_at_once_store_it_once(tmp_path: Path, installation: Installation) -> None:
    path = write(tmp_path, "id,name\n" + "".join(f"{n},Account {n}\n" for n in range(9_000)))
    command = ("import", "accounts", str(path), "--source", "twice")
    before = installation.count()
    processes = [installation.start(*command) for _ in range(2)]
    answers = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert installation.count() - before == 9_000
    assert sum(int(words[1]) for words in answers) == 9_000  # created by the one or the other
    assert sum(int(words[5]) for words in answers) == 9_000  # and unchanged for the one that came second


def test_a_process_killed_half_way_loses_and_doubles_nothing(
    tmp_path: Path, installation: Installation
) -> None:
    path = write(tmp_path, "id,name\n" + "".join(f"{n},Account {n}\n" for n in range(40_000)))
    command = ("import", "accounts", str(path), "--source", "killed")
    before = installation.count()
    process = installation.start(*command)
    while installation.count() == before and process.poll() is None:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stored = installation.count() - before
    answer = installation.run(*command, "--resume")
    assert 0 < stored < 40_000
    assert "created 40000 updated 0 unchanged 0 rejected 0" in answer
    assert installation.count() - before == 40_000


def test_a_worker_whose_import_was_taken_over_stores_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    path = write(tmp_path, "id,name\n" + "".join(f"{n},Account {n}\n" for n in range(100)))
    record = importing.prepare(kind="accounts", file_name="f.csv", local_path=path)
    other = Import.objects.get(pk=record.pk)

    def take_over(counts: importing.Counts, done: int, total: int) -> None:
        if counts.rows == 30:
            importing.run(other)

    counts = importing.run(record, on_progress=take_over)
    record.refresh_from_db()
    assert (record.state, record.created, counts.created, Account.objects.count()) == ("done", 100, 100, 100)


# --- Wrong file, wrong mapping, wrong kind -------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("acounts", ACCOUNTS, "“acounts” is not a kind of import. Known are accounts, contacts"),
        ("accounts", "", "The file is empty"),
        ("accounts", "PK\x03\x04", "Excel"),
        ("accounts", "colour,size\nred,5\n", "Account id is needed and no column fills it"),
        ("subscriptions", ACCOUNTS, "Starts on is needed"),
    ],
)
def test_a_wrong_file_or_kind_is_refused_with_a_sentence(
    tmp_path: Path, kind: str, content: str, words: str
) -> None:
    with pytest.raises(CommandError) as caught:
        import_file(kind, write(tmp_path, content))
    assert words in str(caught.value)
    assert Import.objects.count() == 0


def test_a_mapping_for_another_file_is_refused_with_the_columns_there_are(tmp_path: Path) -> None:
    mapping = {"fields": {"external_id": "Konto", "name": "name"}}
    with pytest.raises(CommandError, match=r"There is no column “Konto”\. The file has: id, name, segment"):
        import_file("accounts", write(tmp_path, ACCOUNTS), mapping)


def test_a_missing_file_or_mapping_or_bad_date_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ACCOUNTS)
    with pytest.raises(CommandError, match="cannot be read"):
        import_file("accounts", path, tmp_path / "none.json")
    with pytest.raises(CommandError, match="--as-of: 9999-01-01 lies outside"):
        import_file("accounts", path, as_of="9999-01-01")
    with pytest.raises(CommandError, match="There is no file"):
        import_file("accounts", tmp_path / "none.csv")


def test_rejected_rows_are_kept_in_a_file_with_line_field_and_reason(tmp_path: Path) -> None:
    path = write(tmp_path, "id,name,segment\n1,Acme,smb\n2,,=1+1\n3,Initech\n")
    counts, code = import_file("accounts", path)
    assert (counts.created, counts.rejected, code) == (1, 2, 1)
    assert path.with_name("file.csv.rejected.csv").read_text().splitlines() == [
        "rejected line,rejected field,rejected reason,id,name,segment",
        "3,name,is empty and must not be.,2,,'=1+1",
        '4,,"The row has 2 fields, the header 3.",3,Initech',
    ]


def test_rejected_rows_go_to_the_runtime_folder_when_the_files_own_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir()
    path = write(tmp_path, "id,name\n1,\n")
    whole_open = Path.open

    def refuse(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "w" in mode and self.parent == tmp_path:
            raise PermissionError
        return whole_open(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    import_file("accounts", path)
    assert (tmp_path / "var" / "file.csv.rejected.csv").exists()


# --- Each rule, by line and field ---------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (
            "contacts",
            "account,name,email\n9,Zed,z@x.org\n",
            (2, "account", "Account “9” of source “crm” is unknown."),
        ),
        ("contacts", "account,name,email\n1,Zed,zed\n", (2, "email", "“zed” is not an e-mail address.")),
        (
            "contacts",
            "account,name,role\n1,Zed,chief\n",
            (2, "role", "“chief” is unknown; known are billing, champion, sponsor, user."),
        ),
        (
            "assignments",
            "account,user,starts_on\n1,nobody@x.org,2024-01-01\n",
            (2, "user", "No user has the address “nobody@x.org”."),
        ),
        (
            "subscriptions",
            "account,starts_on,ends_on,unit_price\n1,2024-02-01,2024-01-31,5\n",
            (2, "ends_on", "2024-01-31 lies before the start, 2024-02-01."),
        ),
        (
            "subscriptions",
            "account,starts_on,unit_price,quantity\n1,2024-02-01,5,-3\n",
            (2, "quantity", "is negative."),
        ),
        (
            "subscriptions",
            "account,starts_on,unit_price\n1,9999-12-31,5\n",
            (2, "starts_on", "9999-12-31 lies outside the years 1900 to 2199."),
        ),
        (
            "subscriptions",
            "account,starts_on,unit_price\n1,2024-02-01,NaN\n",
            (2, "unit_price", "“NaN” is not a finite number."),
        ),
        (
            "subscriptions",
            "account,starts_on,unit_price,currency\n1,2024-02-01,5,EURO\n",
            (2, "currency", "“EURO” is not a currency code of ISO 4217, such as EUR."),
        ),
        (
            "subscriptions",
            "account,starts_on,unit_price,plan\n1,2024-02-01,5,gold\n",
            (2, "plan", "Plan “gold” is unknown."),
        ),
        (
            "subscriptions",
            "account,starts_on,unit_price,discount_percent\n1,2024-02-01,5,101\n",
            (2, "discount_percent", "is above 100."),
        ),
        (
            "movements",
            "account,effective_on,kind,delta\n1,2024-02-01,churn,50\n",
            (2, "delta", "50 does not fit churn: it must be below zero."),
        ),
        (
            "touches",
            "account,kind,happened_at\n1,smoke signal,2024-01-01\n",
            (2, "kind", "“smoke signal” is unknown"),
        ),
        (
            "responses",
            "id,survey,given_at,nps\n1,S,2024-01-01,11\n",
            (2, "nps", "11 is not on the scale 0 to 10."),
        ),
        ("responses", "id,survey,given_at,nps\n1,S,2024-01-01,9\n", (2, "survey", "Survey “S” is unknown.")),
        (
            "tickets",
            "id,opened_at,resolved_at\n1,2024-01-02T10:00,2024-01-02T09:00\n",
            (2, "resolved_at", "2024-01-02 09:00 lies before opened_at, 2024-01-02 10:00."),
        ),
        (
            "messages",
            "ticket,author,sent_at\n1,agent,2024-01-01\n",
            (2, "ticket", "Ticket “1” of source “crm” is unknown."),
        ),
        (
            "invitations",
            "id,survey,sent_at,answered_at\n1,Pulse,2024-01-02,2024-01-01\n",
            (2, "answered_at", "2024-01-01 00:00 lies before sent_at, 2024-01-02 00:00."),
        ),
        (
            "invitations",
            "id,survey,sent_at,answered_at,state\n1,Pulse,2024-01-02,2024-01-03,bounced\n",
            (2, "answered_at", "An invitation that bounced cannot have been answered."),
        ),
        (
            "invitations",
            "id,survey,sent_at,bounced_at,state\n1,Pulse,2024-01-02,2024-01-03,delivered\n",
            (2, "bounced_at", "An invitation that bounced is not delivered."),
        ),
        (
            "invitations",
            "id,survey,sent_at,response\n1,Pulse,2024-01-02,R1\n",
            (2, "response", "Response “R1” of source “crm” is unknown."),
        ),
        (
            "invitations",
            "id,survey,sent_at,answered_at\n1,Secret,2024-01-02,2024-01-03\n",
            (2, "answered_at", "Survey “Secret” is anonymous: who answered is not kept."),
        ),
        ("usage-days", "account,feature,day,events\n1,login,2024-01-01,-1\n", (2, "events", "is negative.")),
        (
            "usage-events",
            "message_id,account,feature,timestamp\n,1,login,2024-01-01\n",
            (2, "external_id", "is empty and must not be."),
        ),
        (
            "referrals",
            "account,referred_name,referred_on,converted_on\n1,Zed,2024-02-01,2024-01-01\n",
            (2, "converted_on", "2024-01-01 lies before referred_on, 2024-02-01."),
        ),
        ("costs", "category,day,amount\npayroll,2024-01-01,-5\n", (2, "amount", "is negative.")),
        (
            "outcomes",
            "account,name,value\n1,Leads,5\n",
            (2, "value", "A reading needs both its value and its day."),
        ),
        (
            "milestones",
            "account,name,started_on,reached_on\n1,Live,2024-02-01,2024-01-01\n",
            (2, "reached_on", "2024-01-01 lies before started_on, 2024-02-01."),
        ),
    ],
)
def test_a_row_that_breaks_a_rule_is_rejected_with_line_field_and_rule(
    tmp_path: Path, kind: str, text: str, expected: tuple[int, str, str]
) -> None:
    accounts_from(tmp_path)
    Survey.objects.bulk_create([Survey(name="Pulse"), Survey(name="Secret", is_anonymous=True)])
    counts, code = import_file(kind, write(tmp_path, text), source="crm")
    [(line, field, reason)] = problems()
    assert (line, field) == expected[:2]
    assert expected[2] in reason
    assert (counts.rejected, counts.created, code) == (1, 0, 1)


def test_one_bad_row_does_not_stop_the_others(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    text = "account,name\n1,Ann\n9,Bob\n2,Cy\n"
    counts, _ = import_file("contacts", write(tmp_path, text), source="crm")
    assert (counts.created, counts.rejected) == (2, 1)


def test_a_row_the_database_refuses_is_rejected_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last wall: a rule that only the database knows costs one row, not its batch."""
    accounts_from(tmp_path)
    monkeypatch.setattr("intake.kinds.money.Charges.in_order", ())
    monkeypatch.setattr("intake.values.LARGEST", Decimal(10) ** 30)
    text = "account,day,amount\n1,2024-01-01,5\n1,2024-01-02,9000000000000\n2,2024-01-01,7\n"
    counts, _ = import_file("charges", write(tmp_path, text), source="crm")
    assert (counts.created, counts.rejected) == (2, 1)
    assert [line for line, _, _ in problems()] == [3]


def test_a_charge_of_quantity_and_price_is_their_product(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    text = (
        "account,day,amount,quantity,unit_price\n"
        "1,2024-01-01,,3,2.55\n"
        "1,2024-01-02,,-2,0.335\n"
        "1,2024-01-03,1.01,3,0.335\n"
        "1,2024-01-04,9,3,0.335\n"
        "1,2024-01-05,,3,\n"
    )
    import_file("charges", write(tmp_path, text), source="crm")
    amounts = Charge.objects.order_by("day").values_list("amount", flat=True)
    assert list(amounts) == [Decimal("7.65"), Decimal("-0.67"), Decimal("1.01")]
    assert [(line, name) for line, name, _ in problems()] == [(5, "amount"), (6, "amount")]


def test_an_assignment_that_overlaps_is_rejected_and_names_the_other(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    make_user("Ada")
    make_user("Grace")
    text = (
        "account,user,starts_on,ends_on\n"
        "1,ada@example.com,2024-01-01,\n"
        "1,grace@example.com,2024-06-01,\n"
        "2,grace@example.com,2024-06-01,2024-06-30\n"
    )
    import_file("assignments", write(tmp_path, text), source="crm")
    assert problems() == [(3, "starts_on", "overlaps the assignment from 2024-01-01 without an end.")]
    # Ended first, the second one may follow.
    mended = text.replace("2024-01-01,\n", "2024-01-01,2024-05-31\n")
    counts, code = import_file("assignments", write(tmp_path, mended), source="crm")
    assert (counts.created, counts.updated, counts.unchanged, code) == (1, 1, 1, 0)
    assert Assignment.objects.count() == 3


# --- What each kind does -------------------------------------------------------------------


def test_subscriptions_become_revenue(tmp_path: Path) -> None:
    mapping = {
        "create": ["accounts", "plans"],
        "fields": {
            "account": "customer",
            "external_id": "id",
            "plan": "plan",
            "quantity": "seats",
            "unit_price": "price",
            "starts_on": "from",
            "ends_on": "to",
            "interval": {"constant": "year"},
        },
    }
    text = (
        "id,customer,plan,seats,price,from,to\n"
        "s1,acme,Pro,10,120,2020-01-01,\n"
        "s2,globex,Basic,1,60,2020-01-01,2020-12-31\n"
    )
    import_file("subscriptions", write(tmp_path, text), mapping, source="billing")
    acme = Account.objects.get(name="acme")
    assert (acme.mrr, acme.is_customer, acme.plan and acme.plan.name) == (Decimal(100), True, "Pro")
    churn = Movement.objects.get(kind="churn")
    assert (churn.account.name, churn.effective_on, churn.delta) == ("globex", date(2021, 1, 1), Decimal(-5))


def test_a_changed_price_adds_terms_from_the_day_it_holds(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    text = "id,account,unit_price,starts_on,effective_on\ns1,1,{},2020-01-01,{}\n"
    import_file("subscriptions", write(tmp_path, text.format(100, "")), source="crm")
    counts, _ = import_file("subscriptions", write(tmp_path, text.format(150, "2022-05-01")), source="crm")
    assert counts.updated == 1
    terms = SubscriptionTerms.objects.order_by("effective_on")
    assert [(one.effective_on, one.unit_price) for one in terms] == [
        (date(2020, 1, 1), Decimal(100)),
        (date(2022, 5, 1), Decimal(150)),
    ]
    assert Movement.objects.get(kind="expansion").effective_on == date(2022, 5, 1)
    again, _ = import_file("subscriptions", write(tmp_path, text.format(150, "2022-05-01")), source="crm")
    assert (again.unchanged, terms.count(), Subscription.objects.count()) == (1, 2, 1)


def test_movements_are_taken_as_they_are_and_never_rewritten(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    text = "id,account,effective_on,kind,delta\nm1,1,2024-01-01,new,100\nm2,1,2024-03-01,churn,-100\n"
    counts, _ = import_file("movements", write(tmp_path, text), source="crm")
    assert (counts.created, Account.objects.get(name="Acme").left_on) == (2, date(2024, 3, 1))
    _, code = import_file("movements", write(tmp_path, text.replace("new,100", "new,120")), source="crm")
    assert code == 1
    assert "append-only" in problems()[0][2]
    assert Movement.objects.count() == 2


def test_contacts_are_known_by_their_address_when_they_have_no_id(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    import_file("contacts", write(tmp_path, "account name,name,email\nacme,Ann,ANN@acme.org\n"), source="crm")
    counts, _ = import_file(
        "contacts", write(tmp_path, "account name,name,email\nAcme,Ann Lee,ann@acme.org\n"), source="crm"
    )
    contact = Contact.objects.get()
    assert (counts.updated, contact.name, contact.email, contact.account.name) == (
        1,
        "Ann Lee",
        "ann@acme.org",
        "Acme",
    )


def test_identical_charges_are_each_a_charge_and_stay_so(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    mapping = {
        "fields": {
            "account": "a",
            "day": "d",
            "amount": "m",
            "external_id": {"template": "{row_digest}/{occurrence}"},
        }
    }
    path = write(tmp_path, "a,d,m\n1,2024-01-01,5\n1,2024-01-01,5\n1,2024-01-01,-5\n")
    import_file("charges", path, mapping, source="crm")
    counts, _ = import_file("charges", path, mapping, source="crm")
    assert (counts.unchanged, Charge.objects.count()) == (3, 3)


def test_usage_events_keep_the_roll_ups(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    text = (
        "message_id,account,user_id,event,timestamp\n"
        "e1,1,u1,login,2024-05-01T10:00:00Z\n"
        "e2,1,u2,login,2024-05-01T11:00:00Z\n"
        "e1,1,u1,login,2024-05-01T10:00:00Z\n"
        "e3,1,u1,export,2024-05-03T10:00:00Z\n"
    )
    path = write(tmp_path, text)
    counts, _ = import_file("usage-events", path, source="crm")
    again, _ = import_file("usage-events", path, source="crm")
    assert (counts.created, counts.unchanged, again.unchanged) == (3, 1, 4)
    assert (Event.objects.count(), EndUser.objects.count()) == (3, 2)
    day = UsageDay.objects.get(feature="login")
    assert (day.events, day.users) == (2, 2)
    assert EndUser.objects.get(external_id="u1").activity == 0b101


def test_ticket_updates_become_events(tmp_path: Path) -> None:
    mapping = {
        "ticket_source": {"fcr_rule": "no_reassignment_no_reopen"},
        "fields": {
            "ticket": "no",
            "happened_at": "at",
            "status": "state",
            "opened_at": "opened",
            "reassignment_count": "moves",
        },
    }
    text = (
        "no,at,state,opened,moves\n"
        "T1,2024-01-01T09:00,new,2024-01-01T09:00,0\n"
        "T1,2024-01-01T10:00,resolved,2024-01-01T09:00,0\n"
        "T2,2024-01-01T09:30,open,2024-01-01T09:30,0\n"
        "T2,2024-01-01T12:00,open,2024-01-01T09:30,1\n"
        "T2,2024-01-02T12:00,resolved,2024-01-01T09:30,1\n"
        "T2,2024-01-03T12:00,open,2024-01-01T09:30,1\n"
        "T2,2024-01-04T12:00,closed,2024-01-01T09:30,1\n"
    )
    path = write(tmp_path, text)
    import_file("ticket-events", path, mapping, source="desk")
    first, second = Ticket.objects.order_by("external_id")
    assert (first.is_first_contact, second.is_first_contact, second.reopen_count) == (True, False, 1)
    assert (first.resolved_at, second.resolved_at) == (
        datetime(2024, 1, 1, 10, tzinfo=UTC),
        datetime(2024, 1, 4, 12, tzinfo=UTC),
    )
    events = TicketEvent.objects.count()
    counts, _ = import_file("ticket-events", path, mapping, source="desk")
    assert (counts.unchanged, TicketEvent.objects.count()) == (7, events)


def test_later_ticket_updates_go_on_where_the_earlier_file_ended(tmp_path: Path) -> None:
    mapping = {"fields": {"ticket": "no", "happened_at": "at", "status": "state"}}
    import_file(
        "ticket-events", write(tmp_path, "no,at,state\nT1,2024-01-01,new\nT1,2024-01-02,resolved\n"), mapping
    )
    import_file(
        "ticket-events", write(tmp_path, "no,at,state\nT1,2024-01-03,open\nT1,2024-01-04,closed\n"), mapping
    )
    kinds = (
        TicketEvent.objects.exclude(kind="status")
        .order_by("happened_at", "pk")
        .values_list("kind", flat=True)
    )
    assert list(kinds) == ["opened", "resolved", "reopened", "resolved", "closed"]


def test_tickets_without_a_log_still_balance(tmp_path: Path) -> None:
    text = (
        "id,opened_at,resolved_at,reopen_count,status\n"
        "1,2024-01-01T09:00,2024-01-03T09:00,2,resolved\n"
        "2,2024-01-01T09:00,,0,open\n"
    )
    path = write(tmp_path, text)
    import_file("tickets", path, source="desk")
    ticket = Ticket.objects.get(external_id="1")
    assert (ticket.reopen_count, ticket.resolved_at) == (2, datetime(2024, 1, 3, 9, tzinfo=UTC))
    counts, _ = import_file("tickets", path, source="desk")
    assert counts.unchanged == 2
    kinds = list(TicketEvent.objects.values_list("kind", flat=True))
    assert kinds.count("opened") + kinds.count("reopened") - kinds.count("resolved") == 1  # ticket 2 is open


def test_responses_fan_out_into_answers_and_lose_those_the_file_takes_back(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    mapping = {
        "create": ["surveys"],
        "fields": {
            "external_id": "id",
            "survey": {"constant": "Pulse"},
            "account": "account",
            "given_at": "day",
        },
        "answers": [
            {"kind": "nps", "score": {"column": "nps", "translate": {"11": None}}},
            {"kind": "csat", "question": "overall", "score": "happy", "scale": [1, 5]},
        ],
    }
    text = "id,account,day,nps,happy\n1,1,2024-01-01,10,4\n2,1,2024-01-02,11,5\n"
    import_file("responses", write(tmp_path, text), mapping, source="crm")
    assert sorted(Answer.objects.values_list("kind", "score")) == [("csat", 4), ("csat", 5), ("nps", 10)]
    counts, _ = import_file("responses", write(tmp_path, text.replace("10,4", "11,4")), mapping, source="crm")
    assert (counts.updated, counts.unchanged, Response.objects.count()) == (1, 1, 2)
    assert not Answer.objects.filter(kind="nps").exists()


@pytest.mark.parametrize(
    ("kind", "model", "day", "clock", "text"),
    [
        (
            "milestones",
            Milestone,
            "reached_on",
            "reach_recorded_at",
            "account,name,started_on,reached_on\n1,Live,2024-01-01,{}\n",
        ),
        (
            "referrals",
            Referral,
            "converted_on",
            "conversion_recorded_at",
            "id,account,referred_name,referred_on,converted_on\n9,1,Zed,2024-01-01,{}\n",
        ),
    ],
)
def test_when_we_learned_how_something_ended_is_kept(
    tmp_path: Path, kind: str, model: Any, day: str, clock: str, text: str
) -> None:
    def stored(value: str) -> tuple[Any, bool]:
        import_file(kind, write(tmp_path, text.format(value)), source="crm")
        one = model.objects.get()
        return getattr(one, day), getattr(one, clock) is not None

    accounts_from(tmp_path)
    assert stored("") == (None, False)
    assert stored("2024-02-01") == (date(2024, 2, 1), True)
    learned = getattr(model.objects.get(), clock)
    assert stored("2024-02-01") == (date(2024, 2, 1), True)
    assert getattr(model.objects.get(), clock) == learned, "nothing new was learned"
    assert stored("") == (None, False)


def test_invitations_find_what_was_answered_to_them(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    text = "id,survey,account,given_at,nps\nR1,Pulse,1,2024-01-05T10:00,9\nR2,Other,1,2024-01-05,9\n"
    create = {"create": ["surveys", "contacts"]}
    import_file(
        "responses",
        write(tmp_path, text),
        create
        | {
            "fields": {
                "external_id": "id",
                "survey": "survey",
                "account": "account",
                "given_at": "given_at",
                "nps": "nps",
            }
        },
        source="crm",
    )
    names = ("survey", "account", "contact", "sent_at", "state", "answered_at", "response")
    mapping = create | {"fields": {"external_id": "id"} | {name: name for name in names}}
    text = (
        "id,survey,account,contact,sent_at,state,answered_at,response\n"
        "1,Pulse,1,ann@acme.test,2024-01-02T09:00,delivered,,R1\n"
        "2,Pulse,1,bob@acme.test,2024-01-02T09:00,bounced,,\n"
        "3,Pulse,2,,2024-01-02T09:00,,2024-01-02,\n"
        "4,Pulse,2,,2024-01-02T09:00,,,R1\n"
        "5,Pulse,1,,2024-01-02T09:00,,,R2\n"
        "6,Other,2,,2024-01-02T09:00,,,R2\n"
        "7,Other,1,,2024-01-09T09:00,,,R2\n"
    )
    counts, _ = import_file("invitations", write(tmp_path, text), mapping, source="crm")
    assert (counts.created, counts.rejected) == (3, 4)
    assert [reason for _, _, reason in problems()] == [
        "Response “R1” is another account's.",
        "Response “R2” belongs to another survey.",
        "Response “R2” is another account's.",
        "Response “R2” was given before this was sent.",
    ]
    first, second, third = Invitation.objects.order_by("external_id")
    assert (first.response, first.answered_at) == (
        Response.objects.get(external_id="R1"),
        first.response.given_at,
    )
    assert (second.state, second.contact.email, second.answered_at) == ("bounced", "bob@acme.test", None)
    assert third.answered_at == third.sent_at, "a day without an hour is no moment before the sending"
    counts, _ = import_file("invitations", write(tmp_path, text), mapping, source="crm")
    assert (counts.unchanged, counts.updated) == (3, 0)
    text = "id,survey,account,sent_at,response\n8,Pulse,1,2024-01-02,R1\n"
    import_file("invitations", write(tmp_path, text), source="crm")
    assert problems()[-1][2] == "Response “R1” answers another invitation already."


def test_a_reading_that_was_corrected_keeps_the_old_one(tmp_path: Path) -> None:
    accounts_from(tmp_path)
    text = "account,name,day,value\n1,Leads,2024-01-01,{}\n"
    import_file("outcomes", write(tmp_path, text.format(5)), source="crm")
    counts, _ = import_file("outcomes", write(tmp_path, text.format(6)), source="crm")
    assert counts.updated == 1
    assert list(OutcomeValue.objects.order_by("pk").values_list("value", flat=True)) == [5, 6]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("products", "code,name,plan_code,plan_level\ncrm,CRM,pro,2\ncrm,CRM,basic,1\n"),
        ("touches", "account,kind,happened_at,notes\n1,call,2024-01-01T10:00,Fine\n"),
        ("feedback", "account,quote,given_at\n1,Too slow,2024-01-01\n"),
        ("referrals", "account,referred_name,referred_on\n1,Hooli,2024-01-01\n"),
        ("costs", "category,day,amount\npayroll,2024-01-01,5000\n"),
        ("rates", "currency,month,rate\nUSD,2024-01-01,0.9\nUSD,2024-02-01,0.91\n"),
        ("invitations", "survey,account,sent_at,state\nPulse,1,2024-01-01T10:00,delivered\n"),
        ("milestones", "account,name,due_on\n1,Live,2024-03-01\n"),
        ("usage-days", "account,feature,day,events\n1,login,2024-01-01,5\n"),
    ],
)
def test_every_kind_knows_its_rows_again(tmp_path: Path, kind: str, text: str) -> None:
    accounts_from(tmp_path)
    Survey.objects.create(name="Pulse")
    path = write(tmp_path, text)
    first, code = import_file(kind, path, source="crm")
    second, _ = import_file(kind, path, source="crm")
    assert (code, first.created, second.unchanged) == (0, first.rows, first.rows)


# --- Cost -----------------------------------------------------------------------------------


def test_queries_do_not_grow_with_the_rows_of_a_batch(tmp_path: Path) -> None:
    def queries(rows: int, start: int) -> int:
        text = "account,name,email\n" + "".join(f"1,P{n},p{n}@x.org\n" for n in range(start, start + rows))
        with CaptureQueriesContext(
            connection,
        ) as caught:
            import_file("contacts", write(tmp_path, text), source="crm")
        return len(caught)

    accounts_from(tmp_path)
    assert queries(1_000, 0) < queries(10, 5_000) + 25  # SQLite takes so many values a statement


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = write(tmp_path, "id,name\n" + "".join(f"{rows}-{n},Account {n}\n" for n in range(rows)))
        record = importing.prepare(kind="accounts", file_name="f.csv", local_path=path)
        tracemalloc.start()
        importing.run(record)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2_000)  # caches fill
    assert peak(12_000) < 1.5 * peak(4_000)
