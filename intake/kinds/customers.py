"""Accounts, their contacts, and who of us looks after them."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

from accounts.bulk import insert_rows, update_rows
from accounts.ledger import record_traits
from accounts.models import Account, AccountExternalId, AccountTrait, Assignment, Contact
from intake.kinds.base import (
    FactKind,
    Kind,
    Run,
    alive,
    attributes,
    check_order,
    natural_id,
    resolve_accounts,
    resolve_users,
    store,
)
from intake.mapping import Parsed
from intake.values import Field

ACCOUNT_ID = Field(
    name="account",
    label="Account id",
    max_length=200,
    help="What the source calls the account.",
    synonyms=(
        "account id",
        "customer",
        "customer id",
        "company id",
        "organisation id",
        "organization id",
        "client id",
    ),
)
ACCOUNT_NAME = Field(
    name="account_name",
    label="Account name",
    max_length=200,
    help="Finds the account where there is no id; names it where it is created.",
    synonyms=("company", "company name", "customer name", "organisation", "organization", "client"),
)
EXTERNAL_ID = Field(
    name="external_id",
    label="Id of the row",
    max_length=200,
    help="What the source calls this row. Without one, the row is known by its contents.",
    synonyms=("id", "key", "identifier", "uuid", "reference", "number", "record id"),
)
CURRENCY = Field(name="currency", label="Currency", type="currency", synonyms=("currency code", "ccy"))


class Accounts(Kind):
    slug = "accounts"
    label = "Accounts"
    about = "One row for each customer organisation."
    custom_field = "custom"
    fields = (
        Field(
            name="external_id",
            label="Account id",
            max_length=200,
            is_required=True,
            help="What the source calls the account; finds it again next time.",
            synonyms=(
                "id",
                "account",
                "account id",
                "customer id",
                "company id",
                "key",
                "number",
                "account number",
            ),
        ),
        Field(
            name="name",
            label="Name",
            max_length=200,
            is_required=True,
            synonyms=(
                "account name",
                "company",
                "company name",
                "customer",
                "customer name",
                "organisation",
                "client",
            ),
        ),
        Field(
            name="parent",
            label="Id of the parent account",
            max_length=200,
            synonyms=("parent id", "parent account"),
        ),
        Field(name="segment", label="Segment", max_length=60, synonyms=("tier", "size", "customer segment")),
        Field(name="industry", label="Industry", max_length=100, synonyms=("sector", "vertical")),
        Field(name="region", label="Region", max_length=60, synonyms=("territory", "area")),
        Field(name="country", label="Country", type="country", synonyms=("country code",)),
        Field(
            name="lifecycle_stage",
            label="Lifecycle stage",
            max_length=60,
            synonyms=("stage", "lifecycle", "phase"),
        ),
        Field(name="website", label="Website", max_length=200, synonyms=("url", "domain", "web")),
        Field(name="time_zone", label="Time zone", type="time_zone", synonyms=("timezone", "tz")),
        CURRENCY,
        Field(name="notes", label="Notes", synonyms=("description", "comment", "remarks")),
        Field(
            name="customer_from",
            label="Customer from",
            type="date",
            help="First day as a customer without subscriptions.",
            synonyms=("customer since", "client since", "since", "joined on"),
        ),
        Field(name="customer_until", label="Customer until", type="date", help="Last such day."),
    )
    _plain = (
        "name",
        "segment",
        "industry",
        "region",
        "country",
        "lifecycle_stage",
        "website",
        "time_zone",
        "currency",
        "notes",
        "customer_from",
        "customer_until",
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        check_order(rows, ("customer_from", "customer_until"))
        for row in rows:
            if row.values.get("customer_until") and not row.values.get("customer_from"):
                row.reject("customer_until", "A last day as a customer needs a first one, customer_from.")
        rows = alive(rows)
        self._find_parents(rows, run)
        rows = alive(rows)
        keys = {row.values["external_id"] for row in rows}
        linked = AccountExternalId.objects.filter(source=run.source, external_id__in=keys).select_related(
            "account"
        )
        existing: dict[Any, Any] = {link.external_id: link.account for link in linked}
        before = {
            account.pk: (
                account.segment,
                account.lifecycle_stage,
                account.customer_from,
                account.customer_until,
            )
            for account in existing.values()
        }
        names = [name for name in self._plain if name in run.mapped]
        with_custom = bool(run.options.get("custom"))

        def wanted(row: Parsed) -> dict[str, Any]:
            values = attributes(Account, row.values, names)
            if with_custom:
                # Columns of other files stay; this file's replace their namesakes.
                account = existing.get(row.values["external_id"])
                values["custom"] = {**(account.custom if account else {}), **row.values.get("custom", {})}
            if row.values.get("parent_id"):
                values["parent_id"] = row.values["parent_id"]
            return values

        stored = store(
            Account,
            rows,
            key_of=lambda row: row.values["external_id"],
            existing=existing,
            wanted_of=wanted,
            identity_of=lambda row: {"created_at": run.now},
        )
        new = set(map(id, stored.new))
        insert_rows(
            AccountExternalId,
            [
                AccountExternalId(account=account, source=run.source, external_id=str(key))
                for key, account in stored.by_key.items()
                if id(account) in new
            ],
        )
        self._parents_in_this_batch(rows, stored.by_key)
        self._keep_history(rows, stored.by_key, before, run)

    def _find_parents(self, rows: list[Parsed], run: Run) -> None:
        """Find parents that are stored already; those of the same batch come after."""
        if "parent" not in run.mapped:
            return
        here = {row.values["external_id"] for row in rows}
        keys = {row.values["parent"] for row in rows if row.values.get("parent")}
        known = dict(
            AccountExternalId.objects.filter(source=run.source, external_id__in=keys).values_list(
                "external_id", "account_id"
            )
        )
        for row in rows:
            key = row.values.get("parent")
            if not key:
                continue
            if key == row.values["external_id"]:
                row.reject("parent", "An account cannot be its own parent.")
            elif key in known:
                row.values["parent_id"] = known[key]
            elif key not in here:
                row.reject(
                    "parent", f"Account “{key}” of source “{run.source}” is unknown; put parents first."
                )

    @staticmethod
    def _parents_in_this_batch(rows: list[Parsed], by_key: dict[Any, Any]) -> None:
        late = []
        for row in rows:
            key = row.values.get("parent")
            if key and not row.values.get("parent_id") and key in by_key:
                account = by_key[row.values["external_id"]]
                account.parent_id = by_key[key].pk
                late.append(account)
        update_rows(late, ["parent"])

    @staticmethod
    def _keep_history(rows: list[Parsed], by_key: dict[Any, Any], before: dict[int, Any], run: Run) -> None:
        traits: dict[int, dict[str, str]] = {}
        for row in rows:
            if row.outcome == "unchanged":
                continue
            account = by_key[row.values["external_id"]]
            row.values["account_id"] = account.pk
            run.touched.add(account.pk)
            old = before.get(account.pk, ("", "", None, None))
            changed = {
                str(kind): value
                for kind, value, was in (
                    (AccountTrait.Kind.SEGMENT, account.segment, old[0]),
                    (AccountTrait.Kind.LIFECYCLE_STAGE, account.lifecycle_stage, old[1]),
                )
                if value != was
            }
            if changed:
                traits[account.pk] = changed
            if (account.customer_from, account.customer_until) != old[2:]:
                run.ledger.add(account.pk)
        if traits:
            record_traits(traits, on=run.as_of, recorded_at=run.now)


class Contacts(FactKind):
    slug = "contacts"
    label = "Contacts"
    about = "One row for each person at a customer."
    creates = ("accounts",)
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        EXTERNAL_ID,
        Field(
            name="name",
            label="Name",
            max_length=200,
            is_required=True,
            synonyms=("full name", "contact", "contact name"),
        ),
        Field(
            name="email", label="E-mail", type="email", synonyms=("email address", "mail", "e-mail address")
        ),
        Field(name="phone", label="Phone", max_length=40, synonyms=("telephone", "mobile", "phone number")),
        Field(name="title", label="Job title", max_length=150, synonyms=("position", "function")),
        Field(name="role", label="Role", type="choice", choices=tuple(Contact.Role.choices)),
        Field(name="language", label="Language", max_length=10, synonyms=("locale", "lang")),
        Field(name="time_zone", label="Time zone", type="time_zone", synonyms=("timezone",)),
        Field(name="left_on", label="Left on", type="date", help="First day they no longer work there."),
        Field(
            name="surveys_stopped_at",
            label="No more surveys since",
            type="moment",
            synonyms=("opted out at", "unsubscribed at"),
        ),
    )
    model = Contact
    stored = (
        "name",
        "email",
        "phone",
        "title",
        "role",
        "language",
        "time_zone",
        "left_on",
        "surveys_stopped_at",
    )
    references = ("account_id",)
    natural = ("account_id", "email", "name")

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        rows = resolve_accounts(rows, run)
        for row in rows:
            # A person who only changed their name stays the same person where there is an address.
            if not row.values.get("external_id") and row.values.get("email"):
                row.values["external_id"] = natural_id(row.values["account_id"], row.values["email"])
        return rows


class Assignments(Kind):
    slug = "assignments"
    label = "Assignments"
    about = "One row for each stretch of time that one of us looks after an account."
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        Field(
            name="user",
            label="E-mail of the user",
            type="email",
            is_required=True,
            synonyms=("csm", "owner", "csm email", "owner email", "user email", "assignee", "email"),
        ),
        Field(
            name="kind",
            label="Kind",
            type="choice",
            choices=tuple(Assignment.Kind.choices),
            synonyms=("role",),
        ),
        Field(
            name="starts_on",
            label="From",
            type="date",
            is_required=True,
            synonyms=("start", "start date", "since", "from", "assigned on"),
        ),
        Field(
            name="ends_on",
            label="To",
            type="date",
            help="Last day; empty while it lasts.",
            synonyms=("end", "end date", "until", "to"),
        ),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        check_order(rows, ("starts_on", "ends_on"))
        rows = resolve_users(resolve_accounts(alive(rows), run), is_required=True)
        for row in rows:
            row.values["kind"] = row.values.get("kind") or Assignment.Kind.CSM
        spells: dict[tuple[int, str], dict[date, date | None]] = defaultdict(dict)
        known: dict[Any, Any] = {}
        accounts = {row.values["account_id"] for row in rows}
        for one in Assignment.objects.filter(account__in=accounts):
            spells[one.account_id, one.kind][one.starts_on] = one.ends_on
            known[one.account_id, one.kind, one.starts_on] = one
        for row in rows:
            self._refuse_overlap(row, spells[row.values["account_id"], row.values["kind"]])
        rows = alive(rows)

        def key(row: Parsed) -> tuple[int, str, date]:
            return row.values["account_id"], row.values["kind"], row.values["starts_on"]

        names = ["user_id"] + (["ends_on"] if "ends_on" in run.mapped else [])
        store(
            Assignment,
            rows,
            key_of=key,
            existing=known,
            wanted_of=lambda row: {name: row.values.get(name) for name in names},
            identity_of=lambda row: (
                dict(zip(("account_id", "kind", "starts_on"), key(row), strict=True))
                | {"recorded_at": run.now}
            ),
        )
        run.touched.update(row.values["account_id"] for row in rows if row.outcome != "unchanged")

    @staticmethod
    def _refuse_overlap(row: Parsed, spells: dict[date, date | None]) -> None:
        """Reject a row that overlaps another spell; else count it as held for the rows that follow."""
        start, end = row.values["starts_on"], row.values.get("ends_on")
        for other_start, other_end in spells.items():
            if other_start == start:
                continue
            if (other_end is None or other_end >= start) and (end is None or end >= other_start):
                until = f"to {other_end}" if other_end else "without an end"
                row.reject("starts_on", f"overlaps the assignment from {other_start} {until}.")
                return
        spells[start] = end
