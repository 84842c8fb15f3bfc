"""What customers' people do in the product: single events, or days that are counted already."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from accounts.bulk import insert_rows
from intake.kinds.base import Kind, Run, resolve_accounts, store
from intake.kinds.customers import ACCOUNT_ID, ACCOUNT_NAME
from intake.mapping import Parsed
from intake.values import Field
from usage.models import EndUser, Event, UsageDay
from usage.rollups import record_events

FEATURE = Field(
    name="feature",
    label="Feature",
    max_length=100,
    is_required=True,
    help="What was used; the name of an event.",
    synonyms=("event", "event name", "action", "event type", "module"),
)


def end_users(keys: dict[str, int], run: Run) -> dict[str, int]:
    """Return the primary keys of end users, given as {id: account}; new ones are created."""
    known = dict(
        EndUser.objects.filter(source=run.source, external_id__in=list(keys)).values_list("external_id", "pk")
    )
    new = [
        EndUser(source=run.source, external_id=key, account_id=account_id)
        for key, account_id in keys.items()
        if key not in known
    ]
    insert_rows(EndUser, new)
    run.made["end users"] += len(new)
    return known | {one.external_id: one.pk for one in new}


class UsageEvents(Kind):
    slug = "usage-events"
    label = "Usage events"
    about = "One row for each thing somebody did in the product."
    creates = ("accounts",)
    fields = (
        Field(
            name="external_id",
            label="Event id",
            max_length=200,
            is_required=True,
            help="An event with an id we have counts once, however often it comes.",
            synonyms=("message id", "event id", "id", "uuid"),
        ),
        ACCOUNT_ID,
        ACCOUNT_NAME,
        Field(
            name="end_user",
            label="End user id",
            max_length=200,
            help="Who did it, at the customer.",
            synonyms=("user id", "user", "person", "end user", "visitor", "email"),
        ),
        FEATURE,
        Field(
            name="happened_at",
            label="When",
            type="moment",
            is_required=True,
            synonyms=("timestamp", "time", "at", "when", "date", "created at", "occurred at"),
        ),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        rows = resolve_accounts(rows, run)
        ids = {row.values["external_id"] for row in rows}
        seen = set(
            Event.objects.filter(source=run.source, message_id__in=ids).values_list("message_id", flat=True)
        )
        new = []
        for row in rows:
            if row.values["external_id"] in seen:
                row.outcome = "unchanged"
                continue
            seen.add(row.values["external_id"])
            row.outcome = "created"
            new.append(row)
        people = end_users(
            {row.values["end_user"]: row.values["account_id"] for row in new if row.values.get("end_user")},
            run,
        )
        record_events(
            [
                Event(
                    source=run.source,
                    message_id=row.values["external_id"],
                    account_id=row.values["account_id"],
                    end_user_id=people.get(row.values.get("end_user") or ""),
                    feature=row.values["feature"],
                    happened_at=row.values["happened_at"],
                    recorded_at=run.now,
                )
                for row in new
            ]
        )
        run.touched.update(row.values["account_id"] for row in new)


class UsageDays(Kind):
    slug = "usage-days"
    label = "Usage by day"
    about = "One row for each account, feature and day, counted by your own system."
    creates = ("accounts",)
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        FEATURE,
        Field(name="day", label="Day", type="date", is_required=True, synonyms=("date", "on")),
        Field(name="events", label="Events", type="integer", low="0", synonyms=("count", "uses", "total")),
        Field(
            name="users",
            label="Active users",
            type="integer",
            low="0",
            synonyms=("active users", "unique users"),
        ),
    )

    def check_mapping(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        if not {"events", "users"} & set(document.get("fields", {})):
            return [("fields", "Events or users must be filled; a day without either says nothing.")]
        return []

    def apply(self, rows: list[Parsed], run: Run) -> None:
        for row in rows:
            for name in ("events", "users"):
                if (row.values.get(name) or 0) > 2_000_000_000:
                    row.reject(name, "is above two thousand million.")
        rows = resolve_accounts([row for row in rows if not row.problem], run)

        def key(row: Parsed) -> tuple[int, str, Any]:
            return row.values["account_id"], row.values["feature"], row.values["day"]

        accounts = {row.values["account_id"] for row in rows}
        days = {row.values["day"] for row in rows}
        existing: dict[Hashable, Any] = {
            (one.account_id, one.feature, one.day): one
            for one in UsageDay.objects.filter(account__in=accounts, day__in=days)
        }
        names = [name for name in ("events", "users") if name in run.mapped]
        store(
            UsageDay,
            rows,
            key_of=key,
            existing=existing,
            wanted_of=lambda row: {name: row.values.get(name) or 0 for name in names},
            identity_of=lambda row: dict(zip(("account_id", "feature", "day"), key(row), strict=True)),
        )
        run.touched.update(row.values["account_id"] for row in rows if row.outcome != "unchanged")
