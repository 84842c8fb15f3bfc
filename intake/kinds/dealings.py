"""What we did with customers and what they brought us, from touches to milestones."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from django.conf import settings

from accounts.models import Cost, Milestone, OutcomeMetric, OutcomeValue, Referral, Touch
from intake.kinds.base import (
    FactKind,
    Kind,
    Run,
    alive,
    attributes,
    check_order,
    resolve_accounts,
    resolve_contacts,
    resolve_users,
    store,
)
from intake.kinds.customers import ACCOUNT_ID, ACCOUNT_NAME, CURRENCY, EXTERNAL_ID
from intake.mapping import Parsed
from intake.values import Field
from surveys.models import Feedback as FeedbackModel

CONTACT = Field(
    name="contact",
    label="Contact",
    max_length=200,
    help="E-mail address or id of a contact of the account.",
    synonyms=("contact email", "email", "requester", "respondent"),
)


def learned(day: str, clock: str, wanted: dict[str, Any], before: Any, run: Run) -> dict[str, Any]:
    """Return when we learned of a day that a fact gets after it was recorded, if this import says so."""
    if day not in wanted or before is None or getattr(before, day) == wanted[day]:
        return {}
    return {clock: run.now if wanted[day] else None}


class Touches(FactKind):
    slug = "touches"
    label = "Touches"
    about = "One row for each call, meeting, mail, training or note."
    creates = ("accounts", "contacts")
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        EXTERNAL_ID,
        CONTACT,
        Field(
            name="user",
            label="E-mail of the user",
            type="email",
            synonyms=("csm", "owner", "by", "user email"),
        ),
        Field(
            name="kind",
            label="Kind",
            type="choice",
            is_required=True,
            choices=tuple(Touch.Kind.choices),
            synonyms=("type", "activity"),
        ),
        Field(
            name="happened_at",
            label="When",
            type="moment",
            is_required=True,
            synonyms=("date", "at", "when", "time", "day"),
        ),
        Field(
            name="notes",
            label="Notes",
            max_length=10_000,
            synonyms=("note", "summary", "description", "text"),
        ),
    )
    model = Touch
    stored = ("kind", "happened_at", "notes")
    references = ("account_id", "contact_id", "user_id")
    natural = ("account_id", "kind", "happened_at", "user", "contact")

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        return resolve_users(resolve_contacts(resolve_accounts(rows, run), run))


class Feedback(FactKind):
    slug = "feedback"
    label = "Feedback"
    about = "One row for each thing a customer said outside a survey."
    creates = ("accounts", "contacts")
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        EXTERNAL_ID,
        CONTACT,
        Field(name="channel", label="Channel", max_length=40, synonyms=("origin", "medium")),
        Field(name="area", label="Area", type="choice", choices=tuple(FeedbackModel.Area.choices)),
        Field(
            name="sentiment", label="Sentiment", type="choice", choices=tuple(FeedbackModel.Sentiment.choices)
        ),
        Field(
            name="quote",
            label="What was said",
            max_length=20_000,
            is_required=True,
            synonyms=("comment", "feedback", "text", "verbatim", "message"),
        ),
        Field(
            name="given_at",
            label="When",
            type="moment",
            is_required=True,
            synonyms=("date", "at", "when", "created at"),
        ),
    )
    model = FeedbackModel
    stored = ("channel", "area", "sentiment", "quote", "given_at")
    references = ("account_id", "contact_id")
    natural = ("account_id", "given_at", "contact", "quote")

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        return resolve_contacts(resolve_accounts(rows, run), run)


class Referrals(FactKind):
    slug = "referrals"
    label = "Referrals"
    about = "One row for each time a customer told somebody else about us."
    creates = ("accounts", "contacts")
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        EXTERNAL_ID,
        CONTACT,
        Field(
            name="referred_name",
            label="Who was referred",
            max_length=200,
            is_required=True,
            synonyms=("referred", "referral", "lead"),
        ),
        Field(name="referred_account", label="Account id of the referred", max_length=200),
        Field(
            name="referred_on", label="Referred on", type="date", is_required=True, synonyms=("date", "day")
        ),
        Field(
            name="converted_on", label="Became a customer on", type="date", synonyms=("won on", "converted")
        ),
    )
    model = Referral
    stored = ("referred_name", "referred_on", "converted_on")
    references = ("account_id", "contact_id", "referred_account_id")
    natural = ("account_id", "referred_name", "referred_on")
    in_order = (("referred_on", "converted_on"),)

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        rows = resolve_contacts(resolve_accounts(rows, run), run)
        return resolve_accounts(rows, run, name="referred_account", is_required=False)

    def wanted(self, row: Parsed, before: Any, names: Iterable[str], run: Run) -> dict[str, Any]:
        values = super().wanted(row, before, names, run)
        return values | learned("converted_on", "conversion_recorded_at", values, before, run)


class Costs(FactKind):
    slug = "costs"
    label = "Retention costs"
    about = "One row for each cost of keeping customers."
    creates = ("accounts",)
    fields = (
        EXTERNAL_ID,
        ACCOUNT_ID,
        ACCOUNT_NAME,
        Field(
            name="category",
            label="Category",
            type="choice",
            is_required=True,
            choices=tuple(Cost.Category.choices),
            synonyms=("type", "kind"),
        ),
        Field(
            name="day", label="Day", type="date", is_required=True, synonyms=("date", "month", "booked on")
        ),
        Field(
            name="amount",
            label="Amount",
            type="number",
            is_required=True,
            low="0",
            synonyms=("cost", "total", "value"),
        ),
        CURRENCY,
        Field(name="note", label="Note", max_length=300, synonyms=("description", "text", "comment")),
    )
    model = Cost
    stored = ("category", "day", "amount", "note")
    references = ("account_id", "currency")
    natural = ("category", "day", "account_id", "amount", "note")

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        for row in rows:
            row.values["currency"] = row.values.get("currency") or settings.REPORTING_CURRENCY
        return resolve_accounts(rows, run, is_required=False)


class Outcomes(Kind):
    slug = "outcomes"
    label = "Outcomes"
    about = "One row for each reading of a customer's own business figure."
    creates = ("accounts",)
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        Field(
            name="name",
            label="Figure",
            max_length=120,
            is_required=True,
            synonyms=("metric", "outcome", "kpi"),
        ),
        Field(name="unit", label="Unit", max_length=30),
        Field(name="baseline", label="Baseline", type="number", help="The figure at purchase."),
        Field(name="baseline_on", label="Baseline of", type="date"),
        Field(name="target", label="Target", type="number", synonyms=("goal",)),
        Field(name="higher_is_better", label="Higher is better", type="boolean"),
        Field(name="day", label="Day of the reading", type="date", synonyms=("date", "measured on", "month")),
        Field(name="value", label="Reading", type="number", synonyms=("now", "current", "amount")),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        for row in rows:
            if (row.values.get("value") is None) != (row.values.get("day") is None):
                row.reject("value", "A reading needs both its value and its day.")
        rows = resolve_accounts(alive(rows), run)

        def key(row: Parsed) -> tuple[int, str]:
            return row.values["account_id"], row.values["name"]

        accounts = {row.values["account_id"] for row in rows}
        existing: dict[Hashable, Any] = {
            (one.account_id, one.name): one for one in OutcomeMetric.objects.filter(account__in=accounts)
        }
        names = [
            n for n in ("unit", "baseline", "baseline_on", "target", "higher_is_better") if n in run.mapped
        ]

        def wanted(row: Parsed) -> dict[str, Any]:
            return attributes(OutcomeMetric, row.values, [n for n in names if row.values.get(n) is not None])

        stored = store(
            OutcomeMetric,
            rows,
            key_of=key,
            existing=existing,
            wanted_of=wanted,
            identity_of=lambda row: {"account_id": row.values["account_id"], "name": row.values["name"]},
        )
        with_value = [row for row in rows if row.values.get("value") is not None]
        metrics = {stored.by_key[key(row)].pk for row in with_value}
        days = {row.values["day"] for row in with_value}
        latest = {
            (one.metric_id, one.day): one.value
            for one in OutcomeValue.objects.filter(metric__in=metrics, day__in=days).order_by(
                "recorded_at", "pk"
            )
        }
        new = []
        for row in with_value:
            at = (stored.by_key[key(row)].pk, row.values["day"])
            if latest.get(at) == row.values["value"]:
                continue
            if row.outcome == "unchanged":
                row.outcome = "updated" if at in latest else "created"
            latest[at] = row.values["value"]
            new.append(
                OutcomeValue(metric_id=at[0], day=at[1], value=row.values["value"], recorded_at=run.now)
            )
        OutcomeValue.objects.bulk_create(new)
        run.touched.update(row.values["account_id"] for row in rows if row.outcome != "unchanged")


class Milestones(Kind):
    slug = "milestones"
    label = "Milestones"
    about = "One row for each thing an account is to reach, such as the end of onboarding."
    creates = ("accounts",)
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        Field(
            name="name",
            label="Milestone",
            max_length=120,
            is_required=True,
            synonyms=("milestone", "goal", "step", "title"),
        ),
        Field(name="started_on", label="Started on", type="date", synonyms=("start", "start date")),
        Field(name="due_on", label="Due on", type="date", synonyms=("due", "due date", "deadline")),
        Field(
            name="reached_on",
            label="Reached on",
            type="date",
            synonyms=("done on", "completed on", "achieved on"),
        ),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        check_order(rows, ("started_on", "reached_on"), ("started_on", "due_on"))
        rows = resolve_accounts(alive(rows), run)

        def key(row: Parsed) -> tuple[int, str]:
            return row.values["account_id"], row.values["name"]

        names = [name for name in ("started_on", "due_on", "reached_on") if name in run.mapped]
        existing: dict[Hashable, Any] = {
            (one.account_id, one.name): one
            for one in Milestone.objects.filter(account__in={row.values["account_id"] for row in rows})
        }

        def wanted(row: Parsed) -> dict[str, Any]:
            values = attributes(Milestone, row.values, names)
            return values | learned("reached_on", "reach_recorded_at", values, existing.get(key(row)), run)

        store(
            Milestone,
            rows,
            key_of=key,
            existing=existing,
            wanted_of=wanted,
            identity_of=lambda row: {
                "account_id": row.values["account_id"],
                "name": row.values["name"],
                "recorded_at": run.now,
            },
        )
        run.touched.update(row.values["account_id"] for row in rows if row.outcome != "unchanged")
