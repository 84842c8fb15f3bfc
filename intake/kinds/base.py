"""What every kind of import shares: finding what rows refer to, and storing them in bulk.

A kind gets a batch of rows that are well-formed and says of each what became of it. It
asks the database a few questions per batch, never one per row.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Lower

from accounts.bulk import insert_rows, update_rows
from accounts.models import Account, AccountExternalId, Contact
from intake.mapping import Parsed
from intake.values import Field
from team.models import User

MAX_ID = 200


@dataclass
class Run:
    """What a batch needs to know of its import, and what it leaves to be done after it."""

    source: str
    account_source: str
    as_of: date
    now: datetime
    creates: frozenset[str]
    mapped: frozenset[str]
    options: dict[str, Any]
    touched: set[int] = field(default_factory=set)  # accounts some fact of which changed
    ledger: set[int] = field(default_factory=set)  # accounts whose revenue may have changed
    made: Counter[str] = field(default_factory=Counter)  # things created beside the rows themselves


class Kind:
    """One kind of file. Subclasses state their fields and store a batch."""

    slug: ClassVar[str]
    label: ClassVar[str]
    about: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    creates: ClassVar[tuple[str, ...]] = ()
    custom_field: ClassVar[str] = ""
    has_answers: ClassVar[bool] = False

    def check_mapping(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        """Return what is wrong with a mapping beyond single fields."""
        return []

    def check_ticket_source(self, value: Any) -> list[tuple[str, str]]:
        return [("ticket_source", f"An import of {self.slug} has no ticket source to set.")]

    def group_of(self, values: dict[str, Any]) -> Hashable:
        """Return what keeps neighbouring rows in one batch, or None."""
        return None

    def apply(self, rows: list[Parsed], run: Run) -> None:
        """Store a batch inside the caller's transaction; set each row's outcome or problem."""
        raise NotImplementedError


def alive(rows: Iterable[Parsed]) -> list[Parsed]:
    return [row for row in rows if not row.problem]


def natural_id(*parts: Any) -> str:
    """Return an id made of what identifies a row that has none of its own."""
    text = "/".join(
        part.isoformat() if isinstance(part, date) else str(part) for part in parts if part not in (None, "")
    )
    if len(text) > MAX_ID:
        text = f"{text[: MAX_ID - 33]}#{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"
    return text


def check_order(rows: Iterable[Parsed], *pairs: tuple[str, str]) -> None:
    """Reject rows in which something ends before it starts."""
    for row in rows:
        for first, last in pairs:
            start, end = row.values.get(first), row.values.get(last)
            if start is not None and end is not None and end < start:
                row.reject(last, f"{_shown(end)} lies before {first}, {_shown(start)}.")


def _shown(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


# --- Finding what rows refer to ---------------------------------------------------------


def accounts_by_id(keys: Iterable[str], source: str) -> dict[str, int]:
    return dict(
        AccountExternalId.objects.filter(source=source, external_id__in=set(keys)).values_list(
            "external_id", "account_id"
        )
    )


def resolve_accounts(
    rows: Sequence[Parsed], run: Run, *, name: str = "account", is_required: bool = True
) -> list[Parsed]:
    """Set `<name>_id` from the account's id in its source, or from its name; return the rows left.

    Unknown accounts are created where the mapping says so.
    """
    by_name = f"{name}_name"
    if name in run.mapped:
        _resolve_by_id(rows, run, name, by_name, is_required=is_required)
    elif by_name in run.mapped:
        _resolve_by_name(rows, run, name, by_name, is_required=is_required)
    elif is_required:
        for row in rows:
            row.reject(name, "No account is given.")
    return alive(rows)


def _resolve_by_id(rows: Sequence[Parsed], run: Run, name: str, by_name: str, *, is_required: bool) -> None:
    keys = {row.values[name] for row in rows if row.values.get(name)}
    known = accounts_by_id(keys, run.account_source)
    unknown = keys - known.keys()
    if unknown and "accounts" in run.creates:
        names = {
            row.values[name]: row.values.get(by_name) or row.values[name]
            for row in reversed(rows)
            if row.values.get(name) in unknown
        }
        known |= create_accounts({key: names[key] for key in reversed(names)}, run)
    for row in rows:
        key = row.values.get(name)
        if key:
            row.values[f"{name}_id"] = known.get(key)
            if key not in known:
                row.reject(name, f"Account “{key}” of source “{run.account_source}” is unknown.")
        elif is_required:
            row.reject(name, "is empty and must not be.")


def _resolve_by_name(rows: Sequence[Parsed], run: Run, name: str, by_name: str, *, is_required: bool) -> None:
    wanted = {row.values[by_name].casefold() for row in rows if row.values.get(by_name)}
    exact = {row.values[by_name] for row in rows if row.values.get(by_name)}
    found: dict[str, set[int]] = defaultdict(set)
    # Lower() of SQLite knows ASCII only, so names are also asked for as they are written.
    lowered = Account.objects.annotate(lower=Lower("name")).filter(
        models.Q(lower__in=wanted) | models.Q(name__in=exact)
    )
    for pk, text in lowered.values_list("pk", "name"):
        found[text.casefold()].add(pk)
    if "accounts" in run.creates:
        missing = {key: text for text in sorted(exact) if (key := text.casefold()) not in found}
        for key, pk in create_accounts(missing, run).items():
            found[key] = {pk}
    for row in rows:
        asked: str | None = row.values.get(by_name)
        matches = found.get(asked.casefold(), set()) if asked else set()
        if len(matches) == 1:
            row.values[f"{name}_id"] = next(iter(matches))
        elif matches:
            row.reject(
                by_name, f"{len(matches)} accounts are called “{asked}”; map the account's id instead."
            )
        elif asked:
            row.reject(by_name, f"No account is called “{asked}”.")
        elif is_required:
            row.reject(by_name, "is empty and must not be.")


def create_accounts(names: dict[str, str], run: Run) -> dict[str, int]:
    """Create accounts, given as {id in their source: name}; return {id: primary key}."""
    made = [Account(name=text[:200], created_at=run.now) for text in names.values()]
    insert_rows(Account, made)
    insert_rows(
        AccountExternalId,
        [
            AccountExternalId(account=account, source=run.account_source, external_id=key)
            for key, account in zip(names, made, strict=True)
        ],
    )
    run.made["accounts"] += len(made)
    return {key: account.pk for key, account in zip(names, made, strict=True)}


def resolve_users(rows: Sequence[Parsed], *, name: str = "user", is_required: bool = False) -> list[Parsed]:
    """Set `<name>_id` from a user's e-mail address; return the rows left."""
    emails = {row.values[name] for row in rows if row.values.get(name)}
    known = dict(User.objects.filter(email__in=emails).values_list("email", "pk"))
    for row in rows:
        email = row.values.get(name)
        row.values[f"{name}_id"] = known.get(email) if email else None
        if email and email not in known:
            row.reject(name, f"No user has the address “{email}”.")
        elif not email and is_required:
            row.reject(name, "is empty and must not be.")
    return alive(rows)


def resolve_contacts(rows: Sequence[Parsed], run: Run, *, name: str = "contact") -> list[Parsed]:
    """Set `contact_id` from an e-mail address or id; return the rows left.

    Contacts are looked for at the row's account. Unknown ones are created where the mapping
    says so and an address is given.
    """
    asked = [row for row in rows if row.values.get(name)]
    for row in rows:
        row.values[f"{name}_id"] = None
    if not asked:
        return alive(rows)
    texts = {row.values[name] for row in asked}
    lowered = {text.lower() for text in texts}
    accounts = {row.values.get("account_id") for row in asked}
    known: dict[tuple[Any, str], int] = {}
    at_accounts = Contact.objects.filter(account__in=accounts)
    for account_id, pk, email, external_id in at_accounts.filter(
        models.Q(email__in=lowered) | models.Q(source=run.source, external_id__in=texts)
    ).values_list("account_id", "pk", "email", "external_id"):
        if email:
            known.setdefault((account_id, email.lower()), pk)
        if external_id:
            known.setdefault((account_id, external_id.lower()), pk)
    keys = {(row.values.get("account_id"), row.values[name].lower()) for row in asked}
    missing = sorted(key for key in keys if key not in known and key[0] and "@" in key[1])
    if missing and "contacts" in run.creates:
        made = [
            Contact(
                account_id=account_id or 0,
                email=email,
                name=email.split("@")[0],
                source=run.source,
                external_id=natural_id(account_id, email),
                created_at=run.now,
            )
            for account_id, email in missing
        ]
        insert_rows(Contact, made)
        run.made["contacts"] += len(made)
        known |= {key: contact.pk for key, contact in zip(missing, made, strict=True)}
    for row in asked:
        found = known.get((row.values.get("account_id"), row.values[name].lower()))
        row.values[f"{name}_id"] = found
        if found is None:
            row.reject(name, f"The account has no contact “{row.values[name]}”.")
    return alive(rows)


# --- Storing ----------------------------------------------------------------------------


@cache
def _empty_value(model: type[models.Model], name: str) -> Any:
    """Return what a column holds when a cell is empty."""
    column = model._meta.get_field(name.removesuffix("_id"))
    if column.null:
        return None
    if isinstance(column, models.CharField | models.TextField):
        return column.get_default() if column.has_default() else ""
    return column.get_default()  # type: ignore[union-attr]


def attributes(model: type[models.Model], values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the named values with empty ones as the model stores them."""
    found = {}
    for name in names:
        value = values.get(name)
        found[name] = _empty_value(model, name) if value is None else value
    return found


@dataclass
class Stored:
    """The model instances of a batch, by the key of their row."""

    by_key: dict[Hashable, Any]
    new: list[Any]
    changed: list[Any]


def store(
    model: type[models.Model],
    rows: Sequence[Parsed],
    *,
    key_of: Callable[[Parsed], Hashable],
    existing: dict[Hashable, Any],
    wanted_of: Callable[[Parsed], dict[str, Any]],
    identity_of: Callable[[Parsed], dict[str, Any]],
) -> Stored:
    """Create what is new, update what differs, leave the rest; set the rows' outcomes.

    `existing` holds the instances that are stored already, by key. A row that comes twice
    in one batch updates the first.
    """
    stored = Stored(existing, [], [])
    touched_names: set[str] = set()
    changed: dict[int, Any] = {}
    for row in rows:
        key = key_of(row)
        wanted = wanted_of(row)
        one = existing.get(key)
        if one is None:
            one = existing[key] = model(**identity_of(row), **wanted)
            stored.new.append(one)
            row.outcome = "created"
            continue
        different = [name for name, value in wanted.items() if getattr(one, name) != value]
        if not different:
            row.outcome = "unchanged"
            continue
        for name in different:
            setattr(one, name, wanted[name])
        row.outcome = "updated"
        if one.pk is not None:
            changed[one.pk] = one
            touched_names.update(name.removesuffix("_id") for name in different)

    stored.changed = list(changed.values())
    if stored.changed:  # before the new ones: what ended must end before what follows it can start
        update_rows(stored.changed, sorted(touched_names))
    insert_rows(model, stored.new)
    return stored


class FactKind(Kind):
    """A kind whose rows are one stored row each, found again by their id in their source."""

    model: ClassVar[type[models.Model]]
    stored: ClassVar[tuple[str, ...]]
    natural: ClassVar[tuple[str, ...]]
    references: ClassVar[tuple[str, ...]] = ()  # attributes set by resolve()
    in_order: ClassVar[tuple[tuple[str, str], ...]] = ()
    marks_ledger: ClassVar[bool] = False

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        """Find what the rows refer to; return the rows left."""
        return resolve_accounts(rows, run)

    def wanted(self, row: Parsed, before: Any, names: Iterable[str], run: Run) -> dict[str, Any]:
        """Return what a row is to hold; `before` is what is stored of it."""
        return attributes(self.model, row.values, names)

    def after(self, rows: list[Parsed], stored: Stored, run: Run) -> None:
        """Store what hangs on the stored rows."""

    def apply(self, rows: list[Parsed], run: Run) -> None:
        check_order(rows, *self.in_order)
        rows = self.resolve(alive(rows), run)
        for row in rows:
            if not row.values.get("external_id"):
                row.values["external_id"] = natural_id(*(row.values.get(name) for name in self.natural))
        names = [name for name in self.stored if name in run.mapped] + list(self.references)
        ids = {row.values["external_id"] for row in rows}
        existing: dict[Hashable, Any] = {
            one.external_id: one  # type: ignore[attr-defined]
            for one in self.model._default_manager.filter(source=run.source, external_id__in=ids)
        }
        has_clock = any(column.name == "recorded_at" for column in self.model._meta.fields)
        stored = store(
            self.model,
            rows,
            key_of=lambda row: row.values["external_id"],
            existing=existing,
            wanted_of=lambda row: self.wanted(row, existing.get(row.values["external_id"]), names, run),
            identity_of=lambda row: {
                "source": run.source,
                "external_id": row.values["external_id"],
                **({"recorded_at": run.now} if has_clock else {}),
            },
        )
        self.after(rows, stored, run)
        for row in rows:
            if row.outcome in ("created", "updated") and (pk := row.values.get("account_id")):
                run.touched.add(pk)
                if self.marks_ledger:
                    run.ledger.add(pk)
