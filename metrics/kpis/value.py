"""What customers are worth, what keeping them costs, and what is left."""

from __future__ import annotations

from decimal import Decimal
from math import ceil
from typing import Any

from django.db.models import Case, CharField, DecimalField, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Concat

from accounts.models import Account, Charge, Cost
from metrics.calculations import (
    customer_retention_cost,
    customer_retention_cost_at_end,
    historic_lifetime_value,
    predicted_lifetime_value,
    retention_margin,
    simple_lifetime_value,
)
from metrics.kpis import customers, ledger
from metrics.kpis.counting import ONE, exact_sum
from metrics.kpis.definition import (
    Amount,
    Counts,
    Grouping,
    Kpi,
    Part,
    Scope,
    Variant,
    distinct,
    money,
    quantity,
    up_to_end,
    within,
)
from metrics.kpis.lifespan import LIVES, NOBODY_LEFT

THEME = "Value and cost"
# Longer than any history: two centuries.
EVER = 2_400

_MRR = ledger.balance("mrr", "end")
_PAYING = ledger.paying_customers("paying_customers", "end")


# --- Lifetime value -------------------------------------------------------------------


def _months_billed(scope: Scope) -> QuerySet[Any]:
    """Return the movements so far, each with the ends of months of the period that it counted at."""
    most = max(1, ceil(scope.period.months))
    months = ledger.months_in_force(scope.period.end, most=most)
    return ledger.until(scope, "end").annotate(kpi_months=months)


def _charges(scope: Scope) -> QuerySet[Any]:
    return Charge.objects.known_at(scope.known_at).invoiced_in(scope.period)


_SIMPLE = (
    Part(
        facts=_months_billed,
        amounts={
            "recurring_revenue": money(F("delta") * F("kpi_months")),
            "customer_months": Amount(F("customers") * F("kpi_months")),
        },
        currency="currency",
        columns={**ledger.COLUMNS, "months": "kpi_months"},
        first_on=up_to_end,
    ),
    Part(
        facts=_charges,
        amounts={"one_off_revenue": money("amount")},
        currency="currency",
        columns={"day": "day", "description": "description", "line": "pk"},
        first_on=within,
    ),
    Part(
        facts=lambda scope: _charges(scope).filter(amount__gt=0),
        amounts={
            "invoices": distinct(
                Concat(
                    Cast("account_id", CharField()),
                    Value("/"),
                    Cast("day", CharField()),
                    output_field=CharField(),
                )
            )
        },
        columns={"day": "day", "for_account": "account"},
        first_on=within,
    ),
    LIVES,
)


def _so_far(scope: Scope) -> QuerySet[Any]:
    months = ledger.months_in_force(scope.period.end, most=EVER)
    return ledger.until(scope, "end").annotate(kpi_months=months)


def _invoiced_so_far(scope: Scope) -> QuerySet[Any]:
    return Charge.objects.known_at(scope.known_at).filter(day__lt=scope.period.end)


def _ever_paid(scope: Scope) -> QuerySet[Any]:
    sums = _so_far(scope).order_by().values("account_id")
    paid = sums.annotate(kpi_paid=exact_sum(F("delta") * F("kpi_months"))).filter(kpi_paid__gt=0)
    invoiced = _invoiced_so_far(scope).filter(amount__gt=0)
    has_paid = Q(pk__in=paid.values("account_id")) | Q(pk__in=invoiced.values("account_id"))
    return Account.objects.filter(has_paid)


_HISTORIC = (
    Part(
        facts=_so_far,
        amounts={"recurring": money(F("delta") * F("kpi_months"))},
        currency="currency",
        columns={**ledger.COLUMNS, "change": "delta", "months": "kpi_months"},
        first_on=up_to_end,
    ),
    Part(
        facts=_invoiced_so_far,
        amounts={"one_off": money("amount")},
        currency="currency",
        columns={"day": "day", "description": "description", "line": "pk"},
        first_on=up_to_end,
    ),
    Part(facts=_ever_paid, amounts={"accounts": Amount(ONE)}, account="", first_on=up_to_end),
)


def _why_not_predicted(counts: Counts) -> str:
    if not counts["paying_customers"]:
        return "no_paying_customers"
    return customers.NO_CUSTOMERS if not counts["customers_at_start"] else NOBODY_LEFT


def _why_not_simple(counts: Counts) -> str:
    return "no_customers" if not counts["customer_months"] else NOBODY_LEFT


CLV = Kpi(
    slug="clv",
    label="Customer lifetime value",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="rate",
    definition=(
        "What a customer is worth. Simple: average purchase value × purchases a year × lifespan in years, "
        "where each month that a customer was billed for is a purchase, and each day with one-off lines; the "
        "lifespan is that of those who left in the period. Predictive: ARPA × gross margin ÷ monthly churn "
        "rate; the margin is the setting GROSS_MARGIN_PERCENT and is taken to be 100 % until it is set. "
        "Historic: revenue to date, a mean of the accounts that ever paid. Twelve months up to today unless "
        "other days are asked."
    ),
    default_months=12,
    variants=(
        Variant(
            slug="simple",
            label="Simple",
            parts=_SIMPLE,
            numerator="recurring_revenue",
            denominator="customer_months",
            sample="churned",
            calculate=simple_lifetime_value,
            reason=NOBODY_LEFT,
            reason_of=_why_not_simple,
        ),
        Variant(
            slug="predictive",
            label="Predictive",
            parts=(_MRR, _PAYING, customers.CHURN, customers.AT_START),
            numerator="mrr",
            denominator="paying_customers",
            sample="churned",
            calculate=predicted_lifetime_value,
            reason=NOBODY_LEFT,
            reason_of=_why_not_predicted,
        ),
        Variant(
            slug="historic",
            label="Historic",
            parts=_HISTORIC,
            numerator="recurring",
            denominator="accounts",
            calculate=historic_lifetime_value,
            reason="no_paying_customers",
        ),
    ),
)


# --- The cost of keeping them ---------------------------------------------------------

_HALF = DecimalField(max_digits=4, decimal_places=1)

_COST = Part(
    facts=lambda scope: Cost.objects.known_at(scope.known_at).spent_in(scope.period),
    amounts={"cost": money("amount"), "cost_lines": Amount(ONE)},
    csm_on=F("day"),
    currency="currency",
    rate_on="day",
    columns={"day": "day", "category": "category", "note": "note", "id": "pk"},
    groups={"category": "category"},
    recorded="recorded_at",
    first_on=within,
)


def _customers_at_either_end(scope: Scope) -> QuerySet[Any]:
    """Return the heads up to the end; those of the period count half, at its end alone."""
    is_at_both = When(effective_on__lt=scope.period.start, then=Value(Decimal(1)))
    share = Case(is_at_both, default=Value(Decimal("0.5")), output_field=_HALF)
    return ledger.until(scope, "end").annotate(kpi_share=share)


_AVERAGE = Part(
    facts=_customers_at_either_end,
    amounts={"average_customers": quantity(F("customers") * F("kpi_share"))},
    first_on=up_to_end,
)


def _why_no_cost(counts: Counts) -> str:
    return "no_costs" if not counts["cost_lines"] else "no_customers"


CUSTOMER_RETENTION_COST = Kpi(
    slug="customer_retention_cost",
    label="Customer retention cost",
    theme=THEME,
    unit="money",
    higher_is_better=False,
    kind="rate",
    definition=(
        "All retention costs of the period divided by the customers, an average of those at its start and at "
        "its end; the variant at_end takes those at the end. By category, all customers stand beside each. A "
        "cost that was entered for no account counts in the total and in no group of accounts. Without any "
        "costs entered there is no figure: nothing entered is not the same as nothing spent."
    ),
    own_groups=(Grouping(slug="category", label="Category", labels=dict(Cost.Category.choices)),),
    variants=(
        Variant(
            slug="average",
            label="Customers at start and end",
            parts=(_COST, _AVERAGE),
            numerator="cost",
            denominator="average_customers",
            calculate=customer_retention_cost,
            reason="no_costs",
            reason_of=_why_no_cost,
        ),
        Variant(
            slug="at_end",
            label="Customers at the end",
            parts=(_COST, ledger.customers("customers_at_end", "end")),
            numerator="cost",
            denominator="customers_at_end",
            calculate=customer_retention_cost_at_end,
            reason="no_costs",
            reason_of=_why_no_cost,
        ),
    ),
)


def _why_no_margin(counts: Counts) -> str:
    return _why_no_cost(counts) if counts["paying_customers"] else "no_paying_customers"


RETENTION_MARGIN = Kpi(
    slug="retention_margin",
    label="Retention margin",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="rate",
    definition=(
        "What a customer pays a month on average, less what keeping one costs a month. Below 0 it is a loss: "
        "keeping customers costs more than they pay."
    ),
    beside=("arpa", "customer_retention_cost"),
    variants=(
        Variant(
            parts=(_MRR, _PAYING, _COST, _AVERAGE),
            numerator="mrr",
            denominator="paying_customers",
            calculate=retention_margin,
            reason="no_costs",
            reason_of=_why_no_margin,
            remark=lambda value: "a loss" if value < 0 else "",
        ),
    ),
)

KPIS = (CLV, CUSTOMER_RETENTION_COST, RETENTION_MARGIN)
