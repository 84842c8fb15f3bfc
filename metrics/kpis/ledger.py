"""Parts that are sums over the movement ledger; customers and revenue are counted from them.

The state at a boundary is the sum of every movement before it. What happened in a period is
the sum of the movements within it. So opening, movements and closing fit without a remainder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Case,
    DecimalField,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, ExtractMonth, ExtractYear, Least

from accounts.models import Account, ExchangeRate, Movement
from metrics.kpis.counting import MICRO, ONE, day_of_moment, exact_sum, in_micro
from metrics.kpis.definition import Amount, Boundary, Part, Scope, money, up_to_end, within

Kind = Movement.Kind
ZERO = Value(0, output_field=IntegerField())
COLUMNS = {
    "day": "effective_on",
    "kind": "kind",
    "detail": "sub_kind",
    "plan": "subscription__plan__name",
    "contract": "subscription__external_id",
    "subscription": "subscription",
}

# Rows taken back only after the days they spoke of: the figure was another one once.
CORRECTIONS: Mapping[str, Amount] = {"_corrections": Amount(F("kpi_correction"))}


def until(scope: Scope, at: Boundary) -> QuerySet[Movement]:
    """Return every movement up to a boundary: their sum is the state at it."""
    day = scope.period.start if at == "start" else scope.period.end
    return Movement.objects.known_at(scope.known_at).before(day)


def _state(scope: Scope, at: Boundary) -> QuerySet[Any]:
    is_late = When(is_reversal=True, recorded_at__gte=scope.period.ends_at, then=ONE)
    return until(scope, at).annotate(kpi_correction=Case(is_late, default=ZERO))


def only(kinds: Iterable[str], amount: Any) -> Case:
    """Return `amount` for movements of these kinds and 0 for others."""
    return Case(When(kind__in=list(kinds), then=amount), default=ZERO)


def gained(*kinds: str, of: Q | None = None) -> Amount:
    """Return what movements of these kinds added; `of` says which of them."""
    return Amount(_delta_of(kinds, of, F("delta")), "money")


def lost(*kinds: str, of: Q | None = None) -> Amount:
    """Return what movements of these kinds took away; `of` says which of them."""
    return Amount(_delta_of(kinds, of, -F("delta")), "money")


def _delta_of(kinds: Iterable[str], of: Q | None, amount: Any) -> Case:
    field = DecimalField(max_digits=30, decimal_places=6)
    wanted = Q(kind__in=list(kinds)) & (of or Q())
    return Case(When(wanted, then=amount), default=Value(Decimal(0)), output_field=field)


def number_of(*kinds: str) -> Amount:
    """Count movements; one that was taken back is none."""
    return Amount(only(kinds, Case(When(is_reversal=True, then=Value(-1)), default=ONE)))


def flow(kinds: Iterable[str], amounts: Mapping[str, Amount]) -> Part:
    """Return a part of the movements of these kinds within the period."""
    wanted = list(kinds)

    def facts(scope: Scope) -> QuerySet[Any]:
        is_late = When(is_reversal=True, kpi_recorded_on__gt=F("effective_on"), then=ONE)
        return (
            Movement.objects.known_at(scope.known_at)
            .effective_in(scope.period)
            .filter(kind__in=wanted)
            .annotate(kpi_recorded_on=day_of_moment("recorded_at"))
            .annotate(kpi_correction=Case(is_late, default=ZERO))
        )

    return Part(
        facts=facts,
        amounts={**amounts, **CORRECTIONS},
        csm_on=F("effective_on"),
        currency="currency",
        rate_on="effective_on",
        columns=COLUMNS,
        recorded="recorded_at",
        first_on=within,
    )


def months_in_force(end: date, *, most: int) -> Combinable:
    """Return at the ends of how many months before `end` a movement counted, `most` at most.

    Each movement times this, added up, is the sum of the balances at the ends of those months,
    without a row for any month.
    """
    last = Value(end.year * 12 + end.month, output_field=IntegerField())
    months = last - ExtractYear("effective_on") * Value(12) - ExtractMonth("effective_on")
    # Months are counted back from `end`: the last of them that began before it is not over.
    begun = Case(When(effective_on__day__lt=end.day, then=ONE), default=ZERO)
    return Least(months + begun, Value(most), output_field=IntegerField())


def customers(name: str, at: Boundary) -> Part:
    """Return a part of the accounts that are customers at a boundary of the period."""
    return Part(
        facts=lambda scope: _state(scope, at),
        amounts={name: Amount(F("customers")), **CORRECTIONS},
        csm_on=at,
        first_on=up_to_end,
        recorded="recorded_at",
        details=COLUMNS,
    )


def balance(name: str, at: Boundary) -> Part:
    """Return a part of the recurring revenue at a boundary, by account and currency."""
    return Part(
        facts=lambda scope: _state(scope, at),
        amounts={name: money("delta"), **CORRECTIONS},
        csm_on=at,
        currency="currency",
        rate_on=at,
        first_on=up_to_end,
        recorded="recorded_at",
        details=COLUMNS,
    )


def accounts_that_are_customers(scope: Scope, at: Boundary) -> QuerySet[Any, Any]:
    """Return the ids of the accounts that are customers at a boundary."""
    sums = until(scope, at).order_by().values("account_id").annotate(kpi_heads=Sum("customers"))
    return sums.filter(kpi_heads__gt=0).values("account_id")


def accounts_that_pay(scope: Scope, at: Boundary) -> QuerySet[Any, Any]:
    """Return the ids of the accounts whose recurring revenue is above zero at a boundary."""
    sums = until(scope, at).order_by().values("account_id").annotate(kpi_mrr=exact_sum("delta"))
    return sums.filter(kpi_mrr__gt=0).values("account_id")


# Rows by which an account becomes a customer, and those that take such a row back.
JOINING = Q(customers__gt=0, is_reversal=False) | Q(customers__lt=0, is_reversal=True)


def accounts_that_joined(scope: Scope) -> QuerySet[Any, Any]:
    """Return the ids of the accounts that became customers for the first time within the period."""
    is_earlier = Q(effective_on__lt=scope.period.start)
    sums = (
        until(scope, "end")
        .filter(JOINING)
        .order_by()
        .values("account_id")
        .annotate(kpi_joined=Sum("customers"), kpi_before=Sum("customers", filter=is_earlier, default=0))
    )
    return sums.filter(kpi_joined__gt=0, kpi_before=0).values("account_id")


def joining_day(scope: Scope, account: str) -> Subquery:
    """Return the day on which a row's account became a customer for the first time."""
    days = (
        Movement.objects.known_at(scope.known_at)
        .filter(JOINING, account=OuterRef(account))
        .order_by()
        .values("effective_on")
        .annotate(kpi_joined=Sum("customers"))
        .filter(kpi_joined__gt=0)
        .order_by("effective_on")
    )
    return Subquery(days.values("effective_on")[:1])


def paying_customers(name: str, at: Boundary) -> Part:
    return Part(
        facts=lambda scope: Account.objects.filter(pk__in=accounts_that_pay(scope, at)),
        amounts={name: Amount(ONE)},
        account="",
        csm_on=at,
        first_on=up_to_end,
    )


# --- The customers at the start, and what became of them ------------------------------


def cohort_balance(name: str, at: Boundary) -> Part:
    """Return the revenue, at a boundary and the start's exchange rates, of the customers at the start."""
    return Part(
        facts=lambda scope: _state(scope, at).filter(account__in=accounts_that_are_customers(scope, "start")),
        amounts={name: money("delta"), **CORRECTIONS},
        csm_on="start",
        currency="currency",
        rate_on="start",
        first_on=up_to_end,
        recorded="recorded_at",
        details=COLUMNS,
    )


def cohort_moves(amounts: Mapping[str, Amount]) -> Part:
    """Return what moved the revenue of the customers at the start within the period.

    At the start's exchange rates, so that start + gains − losses is what they pay at the end.
    """

    def facts(scope: Scope) -> QuerySet[Any]:
        moves = Movement.objects.known_at(scope.known_at).effective_in(scope.period)
        return moves.filter(account__in=accounts_that_are_customers(scope, "start"))

    return Part(
        facts=facts,
        amounts=amounts,
        csm_on="start",
        currency="currency",
        rate_on="start",
        first_on=up_to_end,
        columns=COLUMNS,
        recorded="recorded_at",
    )


def cohort_kept(name: str) -> Part:
    """Return the lesser of start and end revenue of each customer at the start, at the start's rates."""

    def facts(scope: Scope) -> QuerySet[Any]:
        cohort = Account.objects.filter(pk__in=accounts_that_are_customers(scope, "start"))
        kept = Least(_revenue_of_account(scope, "start"), _revenue_of_account(scope, "end"))
        return cohort.annotate(kpi_kept=ExpressionWrapper(kept, BigIntegerField()))

    return Part(
        facts=facts,
        amounts={name: Amount(F("kpi_kept") / Value(Decimal(MICRO)), "quantity")},
        account="",
        csm_on="start",
        first_on=up_to_end,
    )


def _revenue_of_account(scope: Scope, at: Boundary) -> Coalesce:
    """Return an account's revenue in millionths of the reporting currency, at the start's rates.

    A currency without a rate is left out here; the cohort's balances, counted beside this,
    refuse it.
    """
    field = DecimalField(max_digits=38, decimal_places=15)
    rates = ExchangeRate.objects.known_at(scope.known_at).filter(
        currency=OuterRef("currency"), starts_on__lt=scope.period.start
    )
    rates = rates.newest_first()
    amount = Case(
        When(currency=settings.REPORTING_CURRENCY, then=F("delta")),
        default=F("delta") * Subquery(rates.values("rate")[:1]),
        output_field=field,
    )
    sums = (
        until(scope, at)
        .filter(account=OuterRef("pk"))
        .order_by()
        .values("account")
        .annotate(kpi_sum=Sum(in_micro(amount)))
        .values("kpi_sum")
    )
    return Coalesce(Subquery(sums, output_field=BigIntegerField()), Value(0))
