"""How many customers there are, come, stay and go."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet

from accounts.models import Account, Movement
from metrics.calculations import (
    Interval,
    cohort_churn_rate,
    customer_churn_rate,
    customer_retention_rate,
    widened_churn_rate,
    wilson_interval,
)
from metrics.kpis import ledger
from metrics.kpis.counting import ONE
from metrics.kpis.definition import Amount, Counts, Kpi, Part, Scope, Variant, up_to_end

THEME = "Customers"
Kind = Movement.Kind
NO_CUSTOMERS = "no_customers_at_start"

CHURN = ledger.flow([Kind.CHURN], {"churned": Amount(-F("customers"))})
AT_START = ledger.customers("customers_at_start", "start")


def _month_0(scope: Scope) -> QuerySet[Any]:
    at_start = ledger.accounts_that_are_customers(scope, "start")
    return CHURN.facts(scope).exclude(account__in=at_start)


# Joined and left inside the period: shown beside every churn rate.
_MONTH_0 = Part(
    facts=_month_0,
    amounts={"month_0_churned": Amount(-F("customers"))},
    csm_on=F("effective_on"),
    columns=ledger.COLUMNS,
    recorded="recorded_at",
    first_on=up_to_end,
)


def _gone(scope: Scope) -> QuerySet[Any]:
    at_start = ledger.accounts_that_are_customers(scope, "start")
    at_end = ledger.accounts_that_are_customers(scope, "end")
    return Account.objects.filter(pk__in=at_start).exclude(pk__in=at_end)


def _kept(scope: Scope) -> QuerySet[Any]:
    at_start = ledger.accounts_that_are_customers(scope, "start")
    at_end = ledger.accounts_that_are_customers(scope, "end")
    return Account.objects.filter(pk__in=at_start).filter(pk__in=at_end)


def _at_start_or_joined(scope: Scope) -> QuerySet[Any]:
    joined = (
        Movement.objects.known_at(scope.known_at)
        .effective_in(scope.period)
        .filter(kind__in=[Kind.NEW, Kind.REACTIVATION])
    )
    return ledger.until(scope, "start") | joined


def _interval_of_churn(counts: Counts) -> Interval | None:
    # Churn of customers who joined within the period is no share of those at its start.
    if counts["month_0_churned"]:
        return None
    return wilson_interval(part=counts["churned"], whole=counts["customers_at_start"])


CUSTOMER_COUNT = Kpi(
    slug="customer_count",
    label="Customers",
    theme=THEME,
    unit="count",
    higher_is_better=True,
    kind="level",
    definition=(
        "Accounts that are customers at the end of the period: their recurring revenue is above zero, "
        "or they were marked as customers by hand."
    ),
    variants=(
        Variant(
            parts=(
                ledger.customers("customers", "end"),
                ledger.customers("customers_at_start", "start"),
                ledger.flow(
                    [Kind.NEW, Kind.REACTIVATION, Kind.CHURN],
                    {
                        "new": Amount(ledger.only([Kind.NEW], F("customers"))),
                        "reactivated": Amount(ledger.only([Kind.REACTIVATION], F("customers"))),
                        "churned": Amount(ledger.only([Kind.CHURN], -F("customers"))),
                    },
                ),
            ),
            numerator="customers",
            formula="customers at end = customers at start + new + reactivated − churned",
            source="the movement ledger",
        ),
    ),
)

CUSTOMER_CHURN_RATE = Kpi(
    slug="customer_churn_rate",
    label="Customer churn rate",
    theme=THEME,
    unit="percent",
    higher_is_better=False,
    kind="rate",
    definition=(
        "The share of customers lost in the period. An account churns on the day its last recurring line "
        "has ended. By default every churn counts, also of customers who joined within the period; those "
        "are shown as well by themselves, as month-0 churn. By CSM, a loss counts for whoever held the "
        "account that day, the base for whoever held it at the start."
    ),
    variants=(
        Variant(
            slug="all",
            label="Every churn ÷ customers at start",
            parts=(CHURN, AT_START, _MONTH_0),
            numerator="churned",
            denominator="customers_at_start",
            calculate=customer_churn_rate,
            interval=_interval_of_churn,
            reason=NO_CUSTOMERS,
        ),
        Variant(
            slug="cohort",
            label="Customers at start who are gone at end",
            parts=(
                Part(
                    facts=_gone, amounts={"lost": Amount(ONE)}, account="", csm_on="start", first_on=up_to_end
                ),
                AT_START,
                _MONTH_0,
            ),
            numerator="lost",
            denominator="customers_at_start",
            calculate=cohort_churn_rate,
            interval=lambda counts: wilson_interval(part=counts["lost"], whole=counts["customers_at_start"]),
            reason=NO_CUSTOMERS,
        ),
        Variant(
            slug="widened",
            label="Every churn ÷ customers at start and joined",
            parts=(
                CHURN,
                Part(
                    facts=_at_start_or_joined,
                    amounts={"customers_at_start_or_joined": Amount(F("customers"))},
                    csm_on="start",
                    first_on=up_to_end,
                ),
                _MONTH_0,
            ),
            numerator="churned",
            denominator="customers_at_start_or_joined",
            calculate=widened_churn_rate,
            interval=lambda counts: wilson_interval(
                part=counts["churned"], whole=counts["customers_at_start_or_joined"]
            ),
            reason="no_customers",
        ),
    ),
)

CUSTOMER_RETENTION_RATE = Kpi(
    slug="customer_retention_rate",
    label="Customer retention rate",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "The share of the customers at the start of the period who are still customers at its end. "
        "Who joined in between counts nowhere; together with the cohort churn rate it makes 100 %."
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_kept, amounts={"kept": Amount(ONE)}, account="", csm_on="start", first_on=up_to_end
                ),
                AT_START,
            ),
            numerator="kept",
            denominator="customers_at_start",
            calculate=customer_retention_rate,
            interval=lambda counts: wilson_interval(part=counts["kept"], whole=counts["customers_at_start"]),
            reason=NO_CUSTOMERS,
        ),
    ),
)

KPIS = (CUSTOMER_COUNT, CUSTOMER_CHURN_RATE, CUSTOMER_RETENTION_RATE)
