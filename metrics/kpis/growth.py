"""What grows and shrinks the revenue of the customers one has, what is signed, and what a year brings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dateutil.relativedelta import relativedelta
from django.db.models import F, Max, Q, QuerySet

from accounts.models import Account, Charge, Movement
from csplatform.periods import Period
from metrics.calculations import (
    portfolio_growth_rate,
    portfolio_growth_with_renewals,
    revenue_of_a_year,
    revenue_of_a_year_per_account,
)
from metrics.kpis import ledger, renewals
from metrics.kpis.counting import ONE, exact_sum
from metrics.kpis.definition import Amount, Kpi, Part, Scope, Variant, money, up_to_end, within
from metrics.kpis.revenue import LEDGER, THEME

Kind = Movement.Kind
SubKind = Movement.SubKind
GAINS = (Kind.NEW, Kind.EXPANSION, Kind.REACTIVATION)
LOSSES = (Kind.CONTRACTION, Kind.CHURN)


# --- One kind of change ---------------------------------------------------------------


def _moved_by(sub_kind: str, kind: str, name: str) -> tuple[Part, Part]:
    """Return the movements of one sub-kind, and the accounts that they moved on balance.

    An account stands with the CSM of its last such movement, so that it counts once.
    """
    is_loss = kind in LOSSES
    amount = ledger.lost(kind) if is_loss else ledger.gained(kind)
    of_kind = ledger.flow([kind], {name: amount, "movements": ledger.number_of(kind)})

    def movements(scope: Scope) -> QuerySet[Any]:
        return of_kind.facts(scope).filter(sub_kind=sub_kind)

    def last_of_each_account(scope: Scope) -> QuerySet[Any]:
        sums = (
            movements(scope)
            .order_by()
            .values("account_id")
            .annotate(kpi_net=exact_sum("delta"), kpi_last=Max("pk", filter=Q(is_reversal=False)))
        )
        moved = sums.filter(kpi_net__lt=0) if is_loss else sums.filter(kpi_net__gt=0)
        return Movement.objects.filter(pk__in=moved.values("kpi_last"))

    accounts = Part(
        facts=last_of_each_account,
        amounts={"accounts": Amount(ONE)},
        csm_on=F("effective_on"),
        columns={"last_on": "effective_on"},
        first_on=within,
    )
    return replace(of_kind, facts=movements), accounts


def _sub_kind_kpi(slug: str, label: str, *, kind: str, sub_kind: str, definition: str) -> Kpi:
    name = slug.removesuffix("_mrr")
    sign = "−" if kind in LOSSES else ""
    return Kpi(
        slug=slug,
        label=label,
        theme=THEME,
        unit="money",
        higher_is_better=kind not in LOSSES,
        kind="flow",
        definition=definition,
        variants=(
            Variant(
                parts=_moved_by(sub_kind, kind, name),
                numerator=name,
                sample="accounts",
                formula=f"{sign}Σ movements of the kind {kind}, sub-kind {sub_kind}",
                source=LEDGER,
            ),
        ),
    )


UPSELL_MRR = _sub_kind_kpi(
    "upsell_mrr",
    "Upsell MRR",
    kind=Kind.EXPANSION,
    sub_kind=SubKind.UPSELL,
    definition="What customers pay more for a product they already had: more seats or a higher plan. With "
    "the number of accounts that bought more.",
)
CROSS_SELL_MRR = _sub_kind_kpi(
    "cross_sell_mrr",
    "Cross-sell MRR",
    kind=Kind.EXPANSION,
    sub_kind=SubKind.CROSS_SELL,
    definition="What customers pay for products they did not have before. With the number of accounts that "
    "took one.",
)
DOWNSELL_MRR = _sub_kind_kpi(
    "downsell_mrr",
    "Downsell MRR",
    kind=Kind.CONTRACTION,
    sub_kind=SubKind.DOWNSELL,
    definition="What customers who stay pay less because they took fewer seats, a lower plan or one product "
    "less. A positive number, with the number of accounts that did.",
)


# --- All of them together -------------------------------------------------------------

_UPGRADE, _DOWNGRADE = Q(sub_kind=SubKind.UPSELL), Q(sub_kind=SubKind.DOWNSELL)

_GROWTH = ledger.flow(
    [Kind.EXPANSION, Kind.CONTRACTION, Kind.CHURN],
    {
        "growth": money("delta"),
        "expansions": ledger.gained(Kind.EXPANSION, of=~_UPGRADE),
        "upgrades": ledger.gained(Kind.EXPANSION, of=_UPGRADE),
        "downgrades": ledger.lost(Kind.CONTRACTION, of=_DOWNGRADE),
        "contractions": ledger.lost(Kind.CONTRACTION, of=~_DOWNGRADE),
        "churned": ledger.lost(Kind.CHURN),
    },
)

PORTFOLIO_GROWTH = Kpi(
    slug="portfolio_growth",
    label="Portfolio growth",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="flow",
    definition=(
        "How much more, or less, the customers one has pay a month: upgrades are upsell, downgrades are "
        "downsell, expansions and contractions everything else that raised or lowered what they pay. New and "
        "returning customers are no growth of the portfolio. A renewal at the same price moves nothing and "
        "one at another price stands in these lines, so the value renewed is shown and not added; the "
        "variant with_renewals adds it."
    ),
    variants=(
        Variant(
            slug="absolute",
            label="Amount",
            parts=(_GROWTH, renewals.RENEWED),
            numerator="growth",
            formula="expansions + upgrades − downgrades − contractions − churn",
            source=LEDGER,
        ),
        Variant(
            slug="percent",
            label="Share of the opening MRR",
            parts=(_GROWTH, ledger.balance("opening_mrr", "start"), renewals.RENEWED),
            numerator="growth",
            denominator="opening_mrr",
            calculate=portfolio_growth_rate,
            reason="no_opening_mrr",
            unit="percent",
        ),
        Variant(
            slug="with_renewals",
            label="Amount, renewed value added",
            parts=(_GROWTH, renewals.RENEWED),
            numerator="growth",
            calculate=portfolio_growth_with_renewals,
        ),
    ),
)


# --- What is signed -------------------------------------------------------------------


def _all_known(scope: Scope) -> QuerySet[Any]:
    return Movement.objects.known_at(scope.known_at)


def _known_by_the_end(scope: Scope) -> QuerySet[Any]:
    """Return the movements up to the end, and those after it that had been recorded by then."""
    is_past, was_known = Q(effective_on__lt=scope.period.end), Q(recorded_at__lt=scope.period.ends_at)
    return _all_known(scope).filter(is_past | was_known)


def _committed(facts: Any) -> tuple[Part, ...]:
    def still_to_come(scope: Scope) -> QuerySet[Any]:
        return facts(scope).filter(effective_on__gte=scope.period.end)

    return (
        Part(facts=facts, amounts={"committed": money("delta")}, currency="currency"),
        ledger.balance("mrr", "end"),
        Part(
            facts=still_to_come,
            amounts={"future_ends": ledger.lost(*LOSSES), "future_starts": ledger.gained(*GAINS)},
            currency="currency",
            columns=ledger.COLUMNS,
        ),
        ledger.paying_customers("paying_customers", "end"),
    )


COMMITTED_MRR = Kpi(
    slug="committed_mrr",
    label="Committed MRR",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="level",
    definition=(
        "Recurring revenue at the end of the period, less what is known to end later, plus what is signed to "
        "start later: a cancellation counts at once, not on its last day. Like every number it uses all that "
        "is known now, so of a past period it says what has become of it; the variant known_then uses only "
        "what had been recorded by the end of the period."
    ),
    variants=(
        Variant(
            slug="known_now",
            label="All that is known now",
            parts=_committed(_all_known),
            numerator="committed",
            sample="paying_customers",
            formula="MRR at the end − known later ends and falls + known later starts and rises",
            source="the movement ledger, at the exchange rates of the last day",
        ),
        Variant(
            slug="known_then",
            label="Known at the end of the period",
            parts=_committed(_known_by_the_end),
            numerator="committed",
            sample="paying_customers",
            formula="MRR at the end − later ends and falls + later starts and rises recorded by then",
            source="the movement ledger, at the exchange rates of the last day",
        ),
    ),
)


# --- A year ---------------------------------------------------------------------------

A_YEAR = 12


def _recurring_of_a_year(scope: Scope) -> QuerySet[Any]:
    return ledger.until(scope, "end").annotate(
        kpi_months=ledger.months_in_force(scope.period.end, most=A_YEAR)
    )


def _year_to(period: Period) -> Period:
    return Period(period.end - relativedelta(months=A_YEAR), period.end)


def _charges_of_a_year(scope: Scope) -> QuerySet[Any]:
    return Charge.objects.known_at(scope.known_at).invoiced_in(_year_to(scope.period))


def _accounts_that_paid(scope: Scope) -> QuerySet[Any]:
    paid = (
        _recurring_of_a_year(scope)
        .order_by()
        .values("account_id")
        .annotate(kpi_paid=exact_sum(F("delta") * F("kpi_months")))
        .filter(kpi_paid__gt=0)
    )
    invoiced = _charges_of_a_year(scope).filter(amount__gt=0)
    return Account.objects.filter(
        Q(pk__in=paid.values("account_id")) | Q(pk__in=invoiced.values("account_id"))
    )


_OF_A_YEAR = (
    Part(
        facts=_recurring_of_a_year,
        amounts={"recurring": money(F("delta") * F("kpi_months"))},
        currency="currency",
        columns={**ledger.COLUMNS, "change": "delta", "months": "kpi_months"},
        first_on=up_to_end,
    ),
    Part(
        facts=_charges_of_a_year,
        amounts={"one_off": money("amount")},
        currency="currency",
        columns={"day": "day", "description": "description", "line": "pk"},
        first_on=lambda period: _year_to(period).start,
    ),
    Part(facts=_accounts_that_paid, amounts={"accounts": Amount(ONE)}, account="", first_on=up_to_end),
)

ACCOUNT_ANNUAL_REVENUE = Kpi(
    slug="account_annual_revenue",
    label="Annual revenue of accounts",
    theme=THEME,
    unit="money",
    higher_is_better=True,
    kind="level",
    definition=(
        "What accounts paid in the twelve months up to the end of the period: their recurring revenue at the "
        "end of each month, added up, and one-off invoiced lines less credit notes. Of one account when it "
        "is asked for one, else of all together; each movement counts as many times as months have ended "
        "since."
    ),
    variants=(
        Variant(
            slug="total",
            label="All together",
            parts=_OF_A_YEAR,
            numerator="recurring",
            sample="accounts",
            calculate=revenue_of_a_year,
        ),
        Variant(
            slug="per_account",
            label="Mean of an account",
            parts=_OF_A_YEAR,
            numerator="recurring",
            denominator="accounts",
            calculate=revenue_of_a_year_per_account,
            reason="no_paying_customers",
        ),
    ),
)

KPIS: Iterable[Kpi] = (
    UPSELL_MRR,
    CROSS_SELL_MRR,
    DOWNSELL_MRR,
    PORTFOLIO_GROWTH,
    COMMITTED_MRR,
    ACCOUNT_ANNUAL_REVENUE,
)
