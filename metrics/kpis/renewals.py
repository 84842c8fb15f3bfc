"""Contract terms by the day they end, and what became of them.

A term is due on its last day. Contracts in the middle of a term are not due; terms whose
outcome is not known yet are open, left out of every rate and shown beside it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Least

from accounts.fields import MoneyField
from accounts.models import Renewal
from metrics.calculations import gross_renewal_rate, net_renewal_rate, renewal_rate, wilson_interval
from metrics.kpis.counting import ONE
from metrics.kpis.definition import Amount, Kpi, Part, Scope, Variant, money, within
from metrics.kpis.ledger import ZERO

THEME = "Renewals"
Outcome = Renewal.Outcome
RENEWALS = (Outcome.RENEWED, Outcome.SMALLER, Outcome.LARGER)
NOTHING_DUE = "nothing_due"
_MONEY = MoneyField()


def due(scope: Scope) -> QuerySet[Any]:
    """Return the terms that end in the period, as far as they were known."""
    return Renewal.objects.known_at(scope.known_at).due_in(scope.period)


def is_decided(scope: Scope) -> Q:
    """Say which terms have an outcome: by now, or as far as it was known then."""
    decided = ~Q(outcome=Outcome.OPEN)
    if scope.known_at is not None:
        decided &= Q(decided_at__isnull=True) | Q(decided_at__lte=scope.known_at)
    return decided


def _renewed_terms(scope: Scope) -> QuerySet[Any]:
    return due(scope).filter(is_decided(scope), outcome__in=RENEWALS)


COLUMNS = {"due": "due_on", "outcome": "outcome", "subscription": "subscription", "id": "pk"}

RENEWED = Part(
    facts=_renewed_terms,
    amounts={"renewals": money("renewed_value"), "contracts_renewed": Amount(ONE)},
    csm_on=F("due_on"),
    first_on=within,
    currency="currency",
    rate_on="due_on",
    columns=COLUMNS,
)


def _one_row_an_account(scope: Scope) -> QuerySet[Any]:
    """Return the first term of each account that is due, with what all its terms due say together.

    An account with several terms has renewed if one of them was, and is open if none is decided.
    """
    of_account = due(scope).filter(account=OuterRef("account"))
    decided = of_account.filter(is_decided(scope))
    first = of_account.order_by("due_on", "pk").values("pk")[:1]
    return (
        due(scope)
        .filter(pk=Subquery(first))
        .annotate(
            kpi_renewed=Case(When(Exists(decided.filter(outcome__in=RENEWALS)), then=ONE), default=ZERO),
            kpi_decided=Case(When(Exists(decided), then=ONE), default=ZERO),
        )
        .annotate(
            kpi_outcome=Case(
                When(kpi_renewed=1, then=Value("renewed")),
                When(kpi_decided=1, then=Value("lost")),
                default=Value("open"),
                output_field=CharField(),
            )
        )
    )


_ACCOUNTS = Part(
    facts=_one_row_an_account,
    amounts={
        "renewed": Amount(F("kpi_renewed")),
        "decided": Amount(F("kpi_decided")),
        "lost": Amount(F("kpi_decided") - F("kpi_renewed")),
        "open": Amount(ONE - F("kpi_decided")),
    },
    csm_on=F("due_on"),
    first_on=within,
    columns={"first_due": "due_on", "outcome": "kpi_outcome"},
)


def _with_outcome(scope: Scope) -> QuerySet[Any]:
    return due(scope).annotate(
        kpi_decided=Case(When(is_decided(scope), then=ONE), default=ZERO),
        kpi_renewed_value=Coalesce("renewed_value", Value(0), output_field=_MONEY),
    )


def _value(of: Any, *, is_decided: bool) -> Amount:
    wanted = When(kpi_decided=int(is_decided), then=of)
    return money(Case(wanted, default=Value(0), output_field=_MONEY))


_VALUES = Part(
    facts=_with_outcome,
    amounts={
        "value_kept": _value(Least("kpi_renewed_value", "due_value"), is_decided=True),
        "value_renewed": _value(F("kpi_renewed_value"), is_decided=True),
        "value_due": _value(F("due_value"), is_decided=True),
        "contracts_decided": Amount(F("kpi_decided")),
        "value_open": _value(F("due_value"), is_decided=False),
        "contracts_open": Amount(ONE - F("kpi_decided")),
    },
    csm_on=F("due_on"),
    first_on=within,
    currency="currency",
    rate_on="due_on",
    columns=COLUMNS,
)

RENEWAL_RATE = Kpi(
    slug="renewal_rate",
    label="Renewal rate",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "The share of the accounts with a contract term ending in the period that renewed it, smaller or "
        "larger included. It counts by the day a term was due, not by when the paper was signed. Terms that "
        "are still open are left out and shown; an account with several terms due renewed if it renewed one "
        "of them."
    ),
    variants=(
        Variant(
            parts=(_ACCOUNTS,),
            numerator="renewed",
            denominator="decided",
            calculate=renewal_rate,
            interval=lambda counts: wilson_interval(part=counts["renewed"], whole=counts["decided"]),
            reason=NOTHING_DUE,
        ),
    ),
)

GROSS_RENEWAL_RATE = Kpi(
    slug="gross_renewal_rate",
    label="Gross renewal rate",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How much of the recurring revenue up for renewal in the period was renewed, growth left out: each "
        "term counts with the lesser of what it was due at and what it was renewed at. Terms that are still "
        "open are left out and shown. Never above 100 %."
    ),
    variants=(
        Variant(
            parts=(_VALUES,),
            numerator="value_kept",
            denominator="value_due",
            sample="contracts_decided",
            calculate=gross_renewal_rate,
            reason=NOTHING_DUE,
        ),
    ),
)

NET_RENEWAL_RATE = Kpi(
    slug="net_renewal_rate",
    label="Net renewal rate",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "What the recurring revenue up for renewal in the period was renewed at, growth included; it may "
        "pass 100 %. Terms that are still open are left out and shown. Some mean by this name the share of "
        "customers who renew, by segment: that is the renewal rate, which is shown beside it."
    ),
    beside=("renewal_rate",),
    variants=(
        Variant(
            parts=(_VALUES, _ACCOUNTS),
            numerator="value_renewed",
            denominator="value_due",
            sample="contracts_decided",
            calculate=net_renewal_rate,
            reason=NOTHING_DUE,
        ),
    ),
)

KPIS = (RENEWAL_RATE, GROSS_RENEWAL_RATE, NET_RENEWAL_RATE)
