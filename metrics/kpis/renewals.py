"""Contract terms by the day they end, and what became of them.

A term is due on its last day. Contracts in the middle of a term are not due; terms whose
outcome is not known yet are open, left out of every rate and shown beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import (
    Case,
    CharField,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Least

from accounts.fields import MoneyField
from accounts.models import Renewal
from csplatform.periods import day_of
from metrics.calculations import (
    forecast_error,
    gross_renewal_rate,
    net_renewal_rate,
    renewal_forecast,
    renewal_rate,
    wilson_interval,
)
from metrics.kpis.counting import ONE, DaysBetween
from metrics.kpis.definition import Amount, Counts, Grouping, Kpi, Part, Scope, Variant, money, within
from metrics.kpis.ledger import ZERO
from metrics.models import RenewalForecast

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

# --- What is expected, and how good that was -------------------------------------------


def _expected(scope: Scope) -> QuerySet[Any]:
    """Return what was said last of the terms due in the period, of those that are still open."""
    said = RenewalForecast.objects.as_of(scope.known_at).filter(
        is_open=True, due_on__gte=scope.period.start, due_on__lt=scope.period.end
    )
    # Between two forecasts a term may be decided.
    if scope.known_at is None:
        return said.filter(renewal__outcome=Outcome.OPEN)
    return said.filter(Q(renewal__decided_at__isnull=True) | Q(renewal__decided_at__gt=scope.known_at))


def _times(share: str) -> Amount:
    product = ExpressionWrapper(F("due_value") * Coalesce(F(share), Value(0), output_field=_SHARE), _MONEY)
    return money(product)


_SHARE = DecimalField(max_digits=3, decimal_places=2)
_WITHOUT_LIKELIHOOD = Amount(Case(When(likelihood__isnull=True, then=ONE), default=ZERO))

_EXPECTED = Part(
    facts=_expected,
    amounts={
        "weighted": _times("likelihood"),
        "value_due": money("due_value"),
        "best_case": _times("likelihood_high"),
        "worst_case": _times("likelihood_low"),
        "contracts_forecast": Amount(ONE),
        "without_likelihood": _WITHOUT_LIKELIHOOD,
    },
    csm_on=F("due_on"),
    first_on=within,
    currency="currency",
    rate_on="due_on",
    columns={
        "due": "due_on",
        "value": "due_value",
        "band": "band",
        "likelihood": "likelihood",
        "said": "said_on",
        "id": "renewal",
    },
    groups={"band": "band"},
)

_OPEN = Part(
    facts=lambda scope: due(scope).exclude(is_decided(scope)),
    amounts={"contracts_open": Amount(ONE)},
    csm_on=F("due_on"),
    first_on=within,
    columns={"due": "due_on", "id": "pk"},
)


def _why_not_expected(counts: Counts) -> str:
    if not counts["contracts_open"] and not counts["contracts_forecast"]:
        return "nothing_open"
    return "no_renewal_history" if counts["contracts_forecast"] else "not_forecast_yet"


def _said_before(days: int) -> Callable[[Scope], QuerySet[Any]]:
    """Return what was said of terms that have ended, so many days before they did, if they were open then.

    Those of a running period come in as they end: early on, most that is decided was given up.
    """

    def facts(scope: Scope) -> QuerySet[Any]:
        said = RenewalForecast.objects.annotate(kpi_lead=DaysBetween("said_on", "renewal__due_on"))
        said = said.filter(kpi_lead__gte=days)
        if scope.known_at is not None:
            said = said.filter(said_at__lte=scope.known_at)
        later = said.filter(renewal=OuterRef("renewal"), said_at__gt=OuterRef("said_at"))
        decided = ~Q(renewal__outcome=Outcome.OPEN)
        end = min(scope.period.end, day_of(scope.as_of))
        if scope.known_at is not None:
            decided &= Q(renewal__decided_at__isnull=True) | Q(renewal__decided_at__lte=scope.known_at)
        return said.filter(
            ~Exists(later),
            is_open=True,
            renewal__due_on__gte=scope.period.start,
            renewal__due_on__lt=end,
        ).annotate(
            kpi_decided=Case(When(decided, then=ONE), default=ZERO),
            kpi_kept=Least(Coalesce("renewal__renewed_value", Value(0), output_field=_MONEY), "due_value"),
            kpi_forecast=ExpressionWrapper(
                F("due_value") * Coalesce(F("likelihood"), Value(0), output_field=_SHARE), _MONEY
            ),
        )

    return facts


def _judged(days: int) -> Part:
    return Part(
        facts=_said_before(days),
        amounts={
            "error": _value(F("kpi_forecast") - F("kpi_kept"), is_decided=True),
            "value_due": _value(F("due_value"), is_decided=True),
            "forecast": _value(F("kpi_forecast"), is_decided=True),
            "value_kept": _value(F("kpi_kept"), is_decided=True),
            "contracts_decided": Amount(F("kpi_decided")),
            "value_open": _value(F("due_value"), is_decided=False),
            "contracts_open": Amount(ONE - F("kpi_decided")),
            "without_likelihood": Amount(
                Case(When(kpi_decided=1, likelihood__isnull=True, then=ONE), default=ZERO)
            ),
        },
        csm_on=F("renewal__due_on"),
        first_on=within,
        currency="currency",
        rate_on="renewal__due_on",
        columns={
            "due": "renewal__due_on",
            "outcome": "renewal__outcome",
            "band": "band",
            "likelihood": "likelihood",
            "said": "said_on",
            "id": "renewal",
        },
        groups={"band": "band"},
    )


def _why_not_judged(counts: Counts) -> str:
    if counts["without_likelihood"]:
        return "no_renewal_history"
    return "nothing_decided" if counts["contracts_open"] else "not_forecast"


def _error(slug: str, days: int) -> Variant:
    return Variant(
        slug=slug,
        label=f"How far it was off, as said {days} days before",
        parts=(_judged(days),),
        numerator="error",
        denominator="value_due",
        sample="contracts_decided",
        calculate=forecast_error,
        reason="not_forecast",
        reason_of=_why_not_judged,
        unit="percent",
        count_labels={"error": "Forecast less value kept"},
    )


BANDS = {value: str(label) for value, label in RenewalForecast.Likeness.choices if value}

RENEWAL_FORECAST = Kpi(
    slug="renewal_forecast",
    label="Renewal forecast",
    theme=THEME,
    unit="money",
    higher_is_better=None,
    kind="flow",
    looks_ahead=True,
    default_months=6,
    own_groups=(Grouping(slug="band", label="Health band", labels=BANDS),),
    definition=(
        "What the open contract terms that end in the period are expected to be renewed at, in MRR: the "
        "value due of each times the likelihood of its account to renew. That is the share renewed of the "
        "terms that ended in the year before, of accounts in the same health band 90 days before the end; "
        "ten terms at the rate of all are added, so that few do not pass for certainty, and no band is held "
        "likelier than a better one. Best and worst case take the ends of the 95 % interval of each share: "
        "they say how well we know the shares, not how luck falls, so with few terms the outcome may lie "
        "outside. What was said is kept, and known_at asks for it. The variants error and error_30 hold what "
        "was said 90 and 30 days before each term ended against what was kept of its value, growth left out; "
        "above 0 it promised too much."
    ),
    judged_by="error",
    variants=(
        Variant(
            slug="open",
            label="What is open",
            parts=(_EXPECTED, _OPEN),
            numerator="weighted",
            sample="contracts_forecast",
            calculate=renewal_forecast,
            reason="nothing_open",
            reason_of=_why_not_expected,
            count_labels={"weighted": "Value due × likelihood"},
        ),
        _error("error", 90),
        _error("error_30", 30),
    ),
)

KPIS = (RENEWAL_RATE, GROSS_RENEWAL_RATE, NET_RENEWAL_RATE, RENEWAL_FORECAST)
