"""Recurring revenue, what moved it, and one-off charges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db.models import Case, F, QuerySet, Value, When

from accounts.models import Charge, Movement
from metrics.calculations import (
    annual_recurring_revenue,
    average_revenue_per_account,
    exchange_effect,
    gross_revenue_churn_rate,
    gross_revenue_retention,
    net_revenue_churn_rate,
    net_revenue_retention,
    quick_ratio,
)
from metrics.kpis import ledger
from metrics.kpis.counting import ONE
from metrics.kpis.definition import Amount, Counts, Grouping, Kpi, Part, Scope, Variant, money, within

THEME = "Recurring revenue"
Kind = Movement.Kind
LEDGER = "the movement ledger, at the exchange rates of the first of each month"

_CLOSING = ledger.balance("mrr", "end")
_PAYING = ledger.paying_customers("paying_customers", "end")
_LOST_SIGN = {"contraction": -1, "churned": -1}
_FLOWS = ("new", "expansion", "reactivation", "contraction", "churned")


def _exchange_and_transfers(
    counts: Counts, native: Mapping[str, Mapping[str, Decimal]], rate: Callable[[str], Decimal]
) -> Counts:
    """Return the two lines that close the waterfall.

    Within one currency, what the movements leave unexplained are accounts that changed hands
    (only in groups by CSM). Whatever is left after exchange was made by the rates alone.
    """

    def moved(amounts: Mapping[str, Decimal]) -> Decimal:
        return sum((_LOST_SIGN.get(name, 1) * amounts[name] for name in _FLOWS), Decimal(0))

    transferred = Decimal(0)
    currencies = {currency for amounts in native.values() for currency in amounts}
    for currency in currencies:
        amounts = {name: native[name].get(currency, Decimal(0)) for name in ("opening", "mrr", *_FLOWS)}
        handed_over = amounts["mrr"] - amounts["opening"] - moved(amounts)
        if handed_over:
            transferred += handed_over * rate(currency)
    fx = exchange_effect(
        opening=counts["opening"], movements=moved(counts) + transferred, closing=counts["mrr"]
    )
    return {"transferred": transferred, "fx": fx}


def _exchange_left_out(
    counts: Counts, native: Mapping[str, Mapping[str, Decimal]], rate: Callable[[str], Decimal]
) -> Counts:
    """Return what exchange rates did to the customers at the start: retention leaves it out."""
    at_end = sum((amount * rate(currency) for currency, amount in native["mrr_at_end"].items()), Decimal(0))
    return {"fx": at_end - counts["mrr_at_end"]}


MRR = Kpi(
    slug="mrr",
    label="Monthly recurring revenue",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="level",
    definition=(
        "What all recurring lines in force on the last day of the period bring in a month, discounts taken "
        "off. Trials, one-off fees, usage overage and tax are not in it. Opening + new + expansion + "
        "reactivation − contraction − churned + transferred + fx gives the closing value, always; "
        "transferred is what changed hands between CSMs, fx what only exchange rates did."
    ),
    variants=(
        Variant(
            parts=(
                _CLOSING,
                ledger.balance("opening", "start"),
                ledger.flow(
                    Kind.values,
                    {
                        "new": ledger.gained(Kind.NEW),
                        "expansion": ledger.gained(Kind.EXPANSION),
                        "reactivation": ledger.gained(Kind.REACTIVATION),
                        "contraction": ledger.lost(Kind.CONTRACTION),
                        "churned": ledger.lost(Kind.CHURN),
                    },
                ),
                _PAYING,
            ),
            numerator="mrr",
            sample="paying_customers",
            formula="Σ quantity × unit price per month of the recurring lines in force at the end",
            source="the movement ledger, at the exchange rates of the last day",
        ),
    ),
    derive=_exchange_and_transfers,
)

ARR = Kpi(
    slug="arr",
    label="Annual recurring revenue",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="level",
    definition="Twelve times the monthly recurring revenue at the end of the period.",
    variants=(
        Variant(
            parts=(_CLOSING, _PAYING),
            numerator="mrr",
            sample="paying_customers",
            calculate=annual_recurring_revenue,
        ),
    ),
)

ARPA = Kpi(
    slug="arpa",
    label="Average revenue per account",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="rate",
    definition="Monthly recurring revenue divided by the customers who pay any, at the end of the period.",
    variants=(
        Variant(
            parts=(_CLOSING, _PAYING),
            numerator="mrr",
            denominator="paying_customers",
            calculate=average_revenue_per_account,
            reason="no_paying_customers",
        ),
    ),
)


SUB_KIND = Grouping(slug="sub_kind", label="Kind of change", labels=dict(Movement.SubKind.choices))


def _movement_kpi(
    slug: str,
    label: str,
    *,
    kind: str,
    is_loss: bool,
    definition: str,
    formula: str,
    own_groups: tuple[Grouping, ...] = (),
) -> Kpi:
    count = slug.removesuffix("_mrr")
    amount = ledger.lost(kind) if is_loss else ledger.gained(kind)
    moved = ledger.flow([kind], {count: amount, "movements": ledger.number_of(kind)})
    return Kpi(
        slug=slug,
        label=label,
        theme=THEME,
        unit="money",
        higher_is_better=not is_loss,
        kind="flow",
        definition=definition,
        own_groups=own_groups,
        variants=(
            Variant(
                parts=(replace(moved, groups={group.slug: group.slug for group in own_groups}),),
                numerator=count,
                sample="movements",
                formula=formula,
                source=LEDGER,
            ),
        ),
    )


NEW_MRR = _movement_kpi(
    "new_mrr",
    "New MRR",
    kind=Kind.NEW,
    is_loss=False,
    definition="Recurring revenue of accounts that paid for the first time ever.",
    formula="Σ movements of the kind new",
)
EXPANSION_MRR = _movement_kpi(
    "expansion_mrr",
    "Expansion MRR",
    kind=Kind.EXPANSION,
    is_loss=False,
    definition="Rises of existing customers: more of a product, a higher plan, another product, an "
    "add-on, a dearer price, or a discount that ended.",
    formula="Σ movements of the kind expansion",
    own_groups=(SUB_KIND,),
)
CONTRACTION_MRR = _movement_kpi(
    "contraction_mrr",
    "Contraction MRR",
    kind=Kind.CONTRACTION,
    is_loss=True,
    definition=(
        "Falls of customers who stay: fewer seats, a lower plan, a discount, a pause. A positive number."
    ),
    formula="−Σ movements of the kind contraction",
    own_groups=(SUB_KIND,),
)
CHURNED_MRR = _movement_kpi(
    "churned_mrr",
    "Churned MRR",
    kind=Kind.CHURN,
    is_loss=True,
    definition="Recurring revenue of accounts whose last recurring line has ended. A positive number.",
    formula="−Σ movements of the kind churn",
)
REACTIVATION_MRR = _movement_kpi(
    "reactivation_mrr",
    "Reactivation MRR",
    kind=Kind.REACTIVATION,
    is_loss=False,
    definition="Recurring revenue of former customers who pay again.",
    formula="Σ movements of the kind reactivation",
)

NET_NEW_MRR = Kpi(
    slug="net_new_mrr",
    label="Net new MRR",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="flow",
    definition="How much recurring revenue moved in the period, gains less losses, exchange rates left out.",
    variants=(
        Variant(
            parts=(
                ledger.flow(
                    Kind.values,
                    {
                        "net_new": ledger.gained(*Kind.values),
                        "new": ledger.gained(Kind.NEW),
                        "expansion": ledger.gained(Kind.EXPANSION),
                        "reactivation": ledger.gained(Kind.REACTIVATION),
                        "contraction": ledger.lost(Kind.CONTRACTION),
                        "churned": ledger.lost(Kind.CHURN),
                        "movements": ledger.number_of(*Kind.values),
                    },
                ),
            ),
            numerator="net_new",
            sample="movements",
            formula="new + expansion + reactivation − contraction − churned",
            source=LEDGER,
        ),
    ),
)

_LOST = ledger.lost(Kind.CONTRACTION, Kind.CHURN)

_COHORT_MOVES = ledger.cohort_moves(
    {
        # Customers marked by hand may pay for the first time while they are customers.
        "new": ledger.gained(Kind.NEW),
        "expansion": ledger.gained(Kind.EXPANSION),
        "reactivation": ledger.gained(Kind.REACTIVATION),
        "contraction": ledger.lost(Kind.CONTRACTION),
        "churned": ledger.lost(Kind.CHURN),
    }
)

NRR = Kpi(
    slug="nrr",
    label="Net revenue retention",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "What the customers at the start of the period pay at its end, compared with what they paid then. "
        "Who joined later is out; exchange rates stand still, and what they did stands apart as fx. "
        "MRR at start + new + expansion + "
        "reactivation − contraction − churned gives the MRR at end; new is what customers marked by hand "
        "paid first. Twelve months up to today unless other days are asked."
    ),
    default_months=12,
    variants=(
        Variant(
            parts=(
                ledger.cohort_balance("mrr_at_end", "end"),
                ledger.cohort_balance("mrr_at_start", "start"),
                _AT_START_HEADS := ledger.customers("customers_at_start", "start"),
                _COHORT_MOVES,
            ),
            numerator="mrr_at_end",
            denominator="mrr_at_start",
            sample="customers_at_start",
            calculate=net_revenue_retention,
            reason="no_opening_mrr",
        ),
    ),
    derive=_exchange_left_out,
)

GRR = Kpi(
    slug="grr",
    label="Gross revenue retention",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "What the customers at the start of the period still pay at its end, growth left out: each account "
        "counts with the lesser of both. Exchange rates stand still; what they did stands apart as fx. "
        "Never above 100 %. Twelve months up to "
        "today unless other days are asked."
    ),
    default_months=12,
    is_exchanged_by_database=True,
    variants=(
        Variant(
            parts=(
                ledger.cohort_kept("mrr_kept"),
                ledger.cohort_balance("mrr_at_start", "start"),
                ledger.cohort_balance("mrr_at_end", "end"),
                _AT_START_HEADS,
            ),
            numerator="mrr_kept",
            denominator="mrr_at_start",
            sample="customers_at_start",
            calculate=gross_revenue_retention,
            reason="no_opening_mrr",
        ),
    ),
    derive=_exchange_left_out,
)

REVENUE_CHURN_RATE = Kpi(
    slug="revenue_churn_rate",
    label="Revenue churn rate",
    theme=THEME,
    unit="percent",
    higher_is_better=False,
    kind="rate",
    definition=(
        "The share of the opening recurring revenue that contraction and churn took away; the net variant "
        "sets expansion and reactivation against it."
    ),
    variants=(
        Variant(
            slug="gross",
            label="Losses",
            parts=(
                ledger.flow([Kind.CONTRACTION, Kind.CHURN], {"mrr_lost": _LOST}),
                ledger.balance("opening_mrr", "start"),
                _AT_START_HEADS,
            ),
            numerator="mrr_lost",
            denominator="opening_mrr",
            sample="customers_at_start",
            calculate=gross_revenue_churn_rate,
            reason="no_opening_mrr",
        ),
        Variant(
            slug="net",
            label="Losses less growth",
            parts=(
                ledger.flow(
                    [Kind.CONTRACTION, Kind.CHURN, Kind.EXPANSION, Kind.REACTIVATION],
                    {"net_mrr_lost": money(-F("delta"))},
                ),
                ledger.balance("opening_mrr", "start"),
                _AT_START_HEADS,
            ),
            numerator="net_mrr_lost",
            denominator="opening_mrr",
            sample="customers_at_start",
            calculate=net_revenue_churn_rate,
            reason="no_opening_mrr",
        ),
    ),
)

QUICK_RATIO = Kpi(
    slug="quick_ratio",
    label="Quick ratio",
    theme=THEME,
    unit="ratio",
    higher_is_better=True,
    kind="rate",
    definition="How many times new and expanded revenue outweighs what contraction and churn took.",
    variants=(
        Variant(
            parts=(
                ledger.flow(
                    [Kind.NEW, Kind.EXPANSION, Kind.CONTRACTION, Kind.CHURN],
                    {
                        "mrr_won": ledger.gained(Kind.NEW, Kind.EXPANSION),
                        "mrr_lost": _LOST,
                        "movements": ledger.number_of(Kind.NEW, Kind.EXPANSION, Kind.CONTRACTION, Kind.CHURN),
                    },
                ),
            ),
            numerator="mrr_won",
            denominator="mrr_lost",
            sample="movements",
            calculate=quick_ratio,
            reason="nothing_lost",
        ),
    ),
)


def _charges(scope: Scope) -> QuerySet[Any]:
    return Charge.objects.known_at(scope.known_at).invoiced_in(scope.period)


INVOICED_REVENUE = Kpi(
    slug="invoiced_revenue",
    label="One-off invoiced revenue",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="flow",
    definition=(
        "One-off lines invoiced in the period: set-up fees, projects, usage overage, less credit notes. "
        "It is revenue but not recurring, and in no other number."
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_charges,
                    amounts={
                        "invoiced": money("amount"),
                        "lines": Amount(ONE),
                        "credit_notes": Amount(Case(When(amount__lt=0, then=ONE), default=Value(0))),
                    },
                    csm_on=F("day"),
                    currency="currency",
                    rate_on="day",
                    recorded="recorded_at",
                    first_on=within,
                    columns={
                        "day": "day",
                        "description": "description",
                        "supplier": "supplier",
                        "line": "pk",
                    },
                ),
            ),
            numerator="invoiced",
            sample="lines",
            formula="Σ amounts of one-off lines, credit notes below zero",
            source="one-off charges, at the exchange rates of the first of each month",
        ),
    ),
)

KPIS = (
    MRR,
    ARR,
    ARPA,
    NEW_MRR,
    EXPANSION_MRR,
    CONTRACTION_MRR,
    CHURNED_MRR,
    REACTIVATION_MRR,
    NET_NEW_MRR,
    NRR,
    GRR,
    REVENUE_CHURN_RATE,
    QUICK_RATIO,
    INVOICED_REVENUE,
)
