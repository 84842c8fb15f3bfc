"""What customers pay: products and plans, subscriptions, movements, one-off charges."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts import rates
from accounts.bulk import insert_rows
from accounts.models import Charge, Movement, Plan, Product, Subscription, SubscriptionTerms
from intake.kinds.base import FactKind, Kind, Run, Stored, alive, natural_id, resolve_accounts, store
from intake.kinds.customers import ACCOUNT_ID, ACCOUNT_NAME, CURRENCY, EXTERNAL_ID
from intake.mapping import Parsed
from intake.values import Field

SMALLEST_RATE, BIGGEST_RATE = Decimal("1E-9"), Decimal("1E9")


def resolve_plans(rows: list[Parsed], run: Run) -> list[Parsed]:
    """Set `plan_id` from a plan's code or name; create it where the mapping says so."""
    wanted = {row.values["plan"] for row in rows if row.values.get("plan")}
    if not wanted:
        return rows
    known: dict[str, int] = {}
    for pk, code, name in Plan.objects.order_by("-pk").values_list("pk", "code", "name"):
        known.setdefault(name.casefold(), pk)
        known[code.casefold()] = pk
    missing: dict[str, tuple[str, str]] = {}
    for row in rows:
        plan = row.values.get("plan")
        if plan and plan.casefold() not in known:
            missing.setdefault(plan.casefold(), (plan, row.values.get("product") or run.source))
    if missing and "plans" in run.creates:
        products = {
            product.code: product
            for product in Product.objects.filter(code__in={p for _, p in missing.values()})
        }
        new_products = [
            Product(code=code, name=code)
            for code in dict.fromkeys(p for _, p in missing.values())
            if code not in products
        ]
        products |= {product.code: product for product in Product.objects.bulk_create(new_products)}
        plans = Plan.objects.bulk_create(
            [Plan(product=products[product], code=plan, name=plan) for plan, product in missing.values()]
        )
        run.made["products"] += len(new_products)
        run.made["plans"] += len(plans)
        known |= {plan.code.casefold(): plan.pk for plan in plans}
    for row in rows:
        plan = row.values.get("plan")
        row.values["plan_id"] = known.get(plan.casefold()) if plan else None
        if plan and plan.casefold() not in known:
            row.reject("plan", f"Plan “{plan}” is unknown.")
    return alive(rows)


class Products(Kind):
    slug = "products"
    label = "Products and plans"
    about = "One row for each product, or for each plan of a product."
    fields = (
        Field(
            name="code",
            label="Product code",
            max_length=100,
            is_required=True,
            synonyms=("id", "product", "product id", "sku", "product code"),
        ),
        Field(name="name", label="Product name", max_length=150, synonyms=("product name", "title")),
        Field(
            name="plan_code",
            label="Plan code",
            max_length=100,
            synonyms=("plan", "plan id", "tier", "edition"),
        ),
        Field(name="plan_name", label="Plan name", max_length=150, synonyms=("plan title", "tier name")),
        Field(
            name="plan_level",
            label="Plan level",
            type="integer",
            low="0",
            help="Higher is a higher plan of the product.",
        ),
        Field(
            name="seats_included",
            label="Seats included",
            type="integer",
            low="0",
            synonyms=("seats", "licences", "licenses"),
        ),
        Field(name="features", label="Features", type="list", help="Names separated by semicolons."),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        existing: dict[Hashable, Any] = {
            product.code: product
            for product in Product.objects.filter(code__in={row.values["code"] for row in rows})
        }
        stored = store(
            Product,
            rows,
            key_of=lambda row: row.values["code"],
            existing=existing,
            wanted_of=lambda row: {"name": name} if (name := row.values.get("name")) else {},
            identity_of=lambda row: (
                {"code": row.values["code"]}
                | ({} if row.values.get("name") else {"name": row.values["code"]})
            ),
        )
        with_plan = [row for row in rows if row.values.get("plan_code")]
        self._store_plans(with_plan, stored, run)

    @staticmethod
    def _store_plans(rows: list[Parsed], products: Stored, run: Run) -> None:
        outcome_of_product = {row.line: row.outcome for row in rows}
        names = {"plan_level": "level", "seats_included": "seats_included", "features": "features"}
        existing: dict[Hashable, Any] = {
            plan.code: plan
            for plan in Plan.objects.filter(code__in={row.values["plan_code"] for row in rows})
        }

        def wanted(row: Parsed) -> dict[str, Any]:
            values: dict[str, Any] = {"product_id": products.by_key[row.values["code"]].pk}
            if row.values.get("plan_name"):
                values["name"] = row.values["plan_name"]
            for name, attribute in names.items():
                if name in run.mapped:
                    value = row.values.get(name)
                    values[attribute] = (
                        {"level": 0, "features": []}.get(attribute) if value is None else value
                    )
            return values

        store(
            Plan,
            rows,
            key_of=lambda row: row.values["plan_code"],
            existing=existing,
            wanted_of=wanted,
            identity_of=lambda row: (
                {"code": row.values["plan_code"]}
                | ({} if row.values.get("plan_name") else {"name": row.values["plan_code"]})
            ),
        )
        for row in rows:  # a row says what happened to the more notable of the two
            both = {row.outcome, outcome_of_product[row.line]}
            row.outcome = next(word for word in ("created", "updated", "unchanged") if word in both)


_TERMS = (
    "plan_id",
    "quantity",
    "unit_price",
    "currency",
    "interval",
    "interval_count",
    "discount_percent",
    "discount_amount",
    "discount_ends_on",
    "is_paused",
)


class Subscriptions(Kind):
    slug = "subscriptions"
    label = "Subscriptions"
    about = "One row for each line of a contract; the revenue ledger is worked out from them."
    creates = ("accounts", "plans")
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        EXTERNAL_ID,
        Field(
            name="plan", label="Plan", max_length=100, synonyms=("plan code", "plan name", "tier", "contract")
        ),
        Field(
            name="product",
            label="Product code",
            max_length=100,
            help="Which product a plan belongs to that the import creates.",
            synonyms=("product", "product id"),
        ),
        Field(name="kind", label="Kind", type="choice", choices=tuple(Subscription.Kind.choices)),
        Field(
            name="starts_on",
            label="Starts on",
            type="date",
            is_required=True,
            synonyms=("start", "start date", "from", "begin", "activated on"),
        ),
        Field(
            name="term_ends_on",
            label="Term ends on",
            type="date",
            synonyms=("renewal date", "term end", "renews on", "contract end"),
        ),
        Field(
            name="ends_on",
            label="Ends on",
            type="date",
            help="Last day in force; empty while it runs on.",
            synonyms=("end", "end date", "to", "cancelled on", "canceled at", "churn date"),
        ),
        Field(name="payment_due_on", label="Payment due since", type="date", synonyms=("overdue since",)),
        Field(
            name="quantity",
            label="Quantity",
            type="number",
            low="0",
            synonyms=("seats", "licences", "licenses", "units"),
        ),
        Field(
            name="unit_price",
            label="Unit price",
            type="number",
            low="0",
            is_required=True,
            help="Price of one unit for one billing interval.",
            synonyms=("price", "amount", "mrr", "monthly charges", "unit amount", "fee"),
        ),
        CURRENCY,
        Field(
            name="interval",
            label="Billing interval",
            type="choice",
            choices=tuple(SubscriptionTerms.Interval.choices),
            synonyms=("billing period", "billing interval", "frequency"),
        ),
        Field(name="interval_count", label="Intervals per bill", type="integer", low="1"),
        Field(name="discount_percent", label="Discount in %", type="number", low="0", synonyms=("discount",)),
        Field(name="discount_amount", label="Discount per unit", type="number", low="0"),
        Field(name="discount_ends_on", label="Discount ends on", type="date"),
        Field(name="is_paused", label="Paused", type="boolean", synonyms=("paused",)),
        Field(
            name="effective_on",
            label="Terms in force from",
            type="date",
            help="From when a changed price or quantity holds; the as-of date without it.",
            synonyms=("effective date", "changed on"),
        ),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        for row in rows:
            values = row.values
            if (percent := values.get("discount_percent")) is not None and percent > 100:
                row.reject("discount_percent", "is above 100.")
            if (count := values.get("interval_count")) is not None and count > 1200:
                row.reject("interval_count", "is above 1200.")
            for name in ("quantity",):
                if (number := values.get(name)) is not None and number >= 10**10:
                    row.reject(name, "is above ten thousand million.")
        rows = resolve_plans(resolve_accounts(alive(rows), run), run)
        for row in rows:
            row.values["external_id"] = row.values.get("external_id") or natural_id(
                row.values["account_id"], row.values.get("plan"), row.values["starts_on"]
            )
        ids = {row.values["external_id"] for row in rows}
        existing: dict[Hashable, Any] = {
            one.external_id: one
            for one in Subscription.objects.filter(source=run.source, external_id__in=ids)
        }
        self._check_dates(rows, existing, run)
        rows = alive(rows)
        latest = self._latest_terms(existing)
        owners_before = {one.pk: one.account_id for one in existing.values()}
        dated = [name for name in ("term_ends_on", "ends_on", "payment_due_on") if name in run.mapped]

        def wanted(row: Parsed) -> dict[str, Any]:
            values: dict[str, Any] = {name: row.values.get(name) for name in dated}
            values["account_id"] = row.values["account_id"]
            values["starts_on"] = row.values["starts_on"]
            if row.values.get("kind"):
                values["kind"] = row.values["kind"]
            return values

        stored = store(
            Subscription,
            rows,
            key_of=lambda row: row.values["external_id"],
            existing=existing,
            wanted_of=wanted,
            identity_of=lambda row: {
                "source": run.source,
                "external_id": row.values["external_id"],
                "recorded_at": run.now,
                "currency": row.values.get("currency") or settings.REPORTING_CURRENCY,
            },
        )
        self._append_terms(rows, stored, latest, run)
        for row in rows:
            if row.outcome == "unchanged":
                continue
            one = stored.by_key[row.values["external_id"]]
            accounts = {row.values["account_id"], owners_before.get(one.pk, row.values["account_id"])}
            run.ledger |= accounts
            run.touched |= accounts

    @staticmethod
    def _check_dates(rows: list[Parsed], existing: dict[Any, Any], run: Run) -> None:
        """Refuse what ends before it starts, also against dates that are stored already."""
        for row in rows:
            known = existing.get(row.values["external_id"])
            start = row.values["starts_on"]
            for name in ("ends_on", "term_ends_on"):
                end = row.values.get(name)
                if name not in run.mapped and known is not None:
                    end = getattr(known, name)
                if end is not None and end < start:
                    row.reject(name, f"{end} lies before the start, {start}.")

    @staticmethod
    def _latest_terms(existing: dict[Any, Any]) -> dict[int, SubscriptionTerms]:
        pks = [one.pk for one in existing.values()]
        rows = SubscriptionTerms.objects.filter(subscription__in=pks).order_by(
            "effective_on", "recorded_at", "pk"
        )
        return {terms.subscription_id: terms for terms in rows}

    @staticmethod
    def _append_terms(
        rows: list[Parsed], stored: Stored, latest: dict[int, SubscriptionTerms], run: Run
    ) -> None:
        """Add terms where they differ from the latest ones; terms are never edited."""
        names = [
            name for name in _TERMS if name in run.mapped or (name == "plan_id" and "plan" in run.mapped)
        ]
        new: list[SubscriptionTerms] = []
        for row in rows:
            one = stored.by_key[row.values["external_id"]]
            before = latest.get(one.pk)
            given = {name: row.values[name] for name in names if row.values.get(name) is not None}
            if "discount_ends_on" in names:
                given["discount_ends_on"] = row.values.get("discount_ends_on")
            if before is None:
                given.setdefault("currency", settings.REPORTING_CURRENCY)
                terms = SubscriptionTerms(
                    subscription_id=one.pk, effective_on=one.starts_on, recorded_at=run.now, **given
                )
            else:
                if all(getattr(before, name) == value for name, value in given.items()):
                    continue
                kept = {name: getattr(before, name) for name in _TERMS}
                effective_on: date = row.values.get("effective_on") or run.as_of
                terms = SubscriptionTerms(
                    subscription_id=one.pk,
                    effective_on=max(effective_on, one.starts_on),
                    recorded_at=run.now,
                    **(kept | given),
                )
                if row.outcome == "unchanged":
                    row.outcome = "updated"
            latest[one.pk] = terms
            new.append(terms)
        insert_rows(SubscriptionTerms, new)


class Movements(FactKind):
    slug = "movements"
    label = "Revenue movements"
    about = "One row for each change of recurring revenue, where no subscriptions can be had."
    creates = ("accounts",)
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        EXTERNAL_ID,
        Field(
            name="effective_on",
            label="Effective on",
            type="date",
            is_required=True,
            synonyms=("date", "day", "effective date", "month"),
        ),
        Field(
            name="kind",
            label="Kind",
            type="choice",
            is_required=True,
            choices=tuple(Movement.Kind.choices),
            synonyms=("type",),
        ),
        Field(name="sub_kind", label="Sub-kind", type="choice", choices=tuple(Movement.SubKind.choices)),
        Field(
            name="delta",
            label="Change of MRR",
            type="number",
            is_required=True,
            help="Above zero for new, expansion and reactivation; below zero for contraction and churn.",
            synonyms=("amount", "mrr", "change", "mrr change", "mrr delta"),
        ),
        CURRENCY,
    )
    model = Movement
    stored = ("effective_on", "kind", "sub_kind", "delta")
    references = ("account_id", "currency", "customers", "origin")
    natural = ("account_id", "effective_on", "kind", "sub_kind", "currency")
    marks_ledger = True

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        rows = resolve_accounts(rows, run)
        heads = {Movement.Kind.NEW: 1, Movement.Kind.REACTIVATION: 1, Movement.Kind.CHURN: -1}
        for row in rows:
            kind, delta = row.values["kind"], row.values["delta"]
            rises = kind in (Movement.Kind.NEW, Movement.Kind.EXPANSION, Movement.Kind.REACTIVATION)
            if rises != (delta > 0) or not delta:
                row.reject(
                    "delta", f"{delta} does not fit {kind}: it must be {'above' if rises else 'below'} zero."
                )
            row.values["currency"] = row.values.get("currency") or settings.REPORTING_CURRENCY
            row.values["customers"] = heads.get(kind, 0)
            row.values["origin"] = Movement.Origin.IMPORTED
        return self._refuse_changes(alive(rows), run)

    def _refuse_changes(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        """The ledger is append-only: a row that differs from the one stored is refused."""
        for row in rows:
            row.values["external_id"] = row.values.get("external_id") or natural_id(
                *(row.values.get(name) for name in self.natural)
            )
        known = {
            one.external_id: one
            for one in Movement.objects.filter(
                source=run.source, external_id__in={row.values["external_id"] for row in rows}
            )
        }
        first: dict[str, tuple[Any, ...]] = {
            key: (one.account_id, one.effective_on, one.kind, one.delta, one.currency)
            for key, one in known.items()
        }
        for row in rows:
            now = tuple(
                row.values[name] for name in ("account_id", "effective_on", "kind", "delta", "currency")
            )
            if first.setdefault(row.values["external_id"], now) != now:
                row.reject(
                    "external_id",
                    f"Movement “{row.values['external_id']}” is stored with other values, and the ledger is "
                    "append-only: send the opposite movement and the right one, each with an id of its own.",
                )
        return alive(rows)


# Invoices round each line to cents.
HALF_A_CENT = Decimal("0.005")


class Charges(FactKind):
    slug = "charges"
    label = "One-off charges"
    about = "One row for each invoiced line that does not recur; credit notes are below zero."
    creates = ("accounts",)
    fields = (
        ACCOUNT_ID,
        ACCOUNT_NAME,
        EXTERNAL_ID,
        Field(
            name="day",
            label="Day",
            type="date",
            is_required=True,
            synonyms=("date", "invoice date", "charged on", "month"),
        ),
        Field(
            name="amount",
            label="Amount",
            type="number",
            help="This, or quantity and unit price, is needed.",
            synonyms=("charge", "total", "total charge", "price", "value"),
        ),
        Field(
            name="quantity",
            label="Quantity",
            type="number",
            help="Below zero for what was returned.",
            synonyms=("qty", "units", "number of units"),
        ),
        Field(
            name="unit_price",
            label="Unit price",
            type="number",
            synonyms=("price per unit", "unit amount", "unit cost"),
        ),
        CURRENCY,
        Field(
            name="description",
            label="Description",
            max_length=300,
            synonyms=("product", "item", "service", "text"),
        ),
        Field(name="supplier", label="Supplier", max_length=200, synonyms=("vendor", "seller")),
    )
    model = Charge
    stored = ("day", "description", "supplier")
    references = ("account_id", "currency", "amount")
    natural = ("account_id", "day", "amount", "description", "supplier")

    def check_mapping(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        mapped = {"amount", "quantity", "unit_price"} & set(document.get("fields", {}))
        if "amount" in mapped or len(mapped) == 2:
            return []
        return [("fields.amount", "Map the amount, or the quantity and the unit price.")]

    def resolve(self, rows: list[Parsed], run: Run) -> list[Parsed]:
        for row in rows:
            row.values["currency"] = row.values.get("currency") or settings.REPORTING_CURRENCY
            self._work_out_amount(row)
        return resolve_accounts(alive(rows), run)

    @staticmethod
    def _work_out_amount(row: Parsed) -> None:
        amount, quantity, price = (row.values.get(name) for name in ("amount", "quantity", "unit_price"))
        if quantity is None or price is None:
            if amount is None:
                row.reject("amount", "An amount, or a quantity and a unit price, is needed.")
            return
        product = round(quantity * price, Charge._meta.get_field("amount").decimal_places)
        if amount is None:
            row.values["amount"] = product
        elif abs(amount - product) > HALF_A_CENT:
            row.reject("amount", f"The amount is {amount}, but quantity × unit price is {product}.")


class Rates(Kind):
    slug = "rates"
    label = "Exchange rates"
    about = "One row for a currency and the day, or the month, from which its rate holds."
    fields = (
        Field(
            name="currency",
            label="Currency",
            type="currency",
            is_required=True,
            synonyms=("currency code", "ccy", "from"),
        ),
        Field(
            name="starts_on",
            label="From",
            type="date",
            is_required=True,
            help="The rate holds from this day until the next one of its currency.",
            synonyms=("month", "day", "date", "valid from", "period", "time_period"),
        ),
        Field(
            name="rate",
            label="Rate",
            type="number",
            help="What one unit is worth in the reporting currency. This or the next one is needed.",
            synonyms=("exchange rate", "value"),
        ),
        Field(
            name="units",
            label="Units for one of the reporting currency",
            type="number",
            help="The other way round, as central banks quote it.",
            synonyms=("obs_value", "inverse", "inverse rate", "per unit"),
        ),
    )

    def check_mapping(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        mapped = {"rate", "units"} & set(document.get("fields", {}))
        if len(mapped) == 1:
            return []
        return [("fields.rate", "Map either the rate or the units for one of the reporting currency.")]

    def apply(self, rows: list[Parsed], run: Run) -> None:
        seen: dict[tuple[str, date], Decimal] = {}
        for row in alive(rows):
            rate = self._rate(row)
            if rate is None:
                continue
            try:
                rates.check(row.values["currency"], rate)
            except ValidationError as error:
                for name, messages in error.message_dict.items():
                    row.reject(name, messages[0])
                continue
            key = (row.values["currency"], row.values["starts_on"])
            if seen.setdefault(key, rate) != rate:
                row.reject("rate", f"{key[0]} from {key[1]} stands in this file with another rate already.")
            row.values["rate"] = rate
        left = alive(rows)
        given = [(row.values["currency"], row.values["starts_on"], row.values["rate"]) for row in left]
        for row, outcome in zip(left, rates.record(given, at=run.now), strict=True):
            row.outcome = outcome

    @staticmethod
    def _rate(row: Parsed) -> Decimal | None:
        """Return the rate as it is stored; reject the row where there is none."""
        rate, units = row.values.get("rate"), row.values.get("units")
        name = "units" if units is not None else "rate"
        if rate is None and units is None:
            row.reject(name, "is empty and must not be.")
            return None
        if units is not None and units > 0:
            rate = 1 / units
        if rate is None or not SMALLEST_RATE <= rate < BIGGEST_RATE:
            row.reject(name, "A rate is above zero and below a billion.")
            return None
        return Decimal(rate).quantize(SMALLEST_RATE)
