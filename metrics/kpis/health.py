"""What the health scores of all customers come to, as they stood at the end of the period.

A score is stored on the days it changed, so the latest up to a day is the one that held then.
Accounts that are no customers any more keep their last score and are left out.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Case, DecimalField, F, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from accounts.models import Account
from metrics.calculations import (
    accounts_at_risk,
    average_health,
    mrr_at_risk,
    mrr_weighted_health,
    share_of_accounts_at_risk,
    share_of_mrr_at_risk,
    wilson_interval,
)
from metrics.kpis import ledger
from metrics.kpis.counting import ONE
from metrics.kpis.definition import Amount, Kpi, Part, Scope, Variant, money, quantity, up_to_end
from metrics.models import Band, HealthScore

THEME = "Health"
NOTHING = Value(0)
NO_SCORES = "no_scores"
SCORE = DecimalField(max_digits=7, decimal_places=2)
HOW = (
    "Health is worked out by the scorecards; a score of less than half of its measures is none. History "
    "begins with the first score that was kept, or worked out later for past days."
)


def _standing(scope: Scope) -> QuerySet[HealthScore]:
    """Return the score that held at the end of the period of each customer then."""
    scores = HealthScore.objects.filter(account=OuterRef("pk"), day__lt=scope.period.end)
    if scope.known_at is not None:
        scores = scores.filter(computed_at__lte=scope.known_at)
    customers = Account.objects.filter(pk__in=ledger.accounts_that_are_customers(scope, "end"))
    latest = customers.annotate(kpi_latest=Subquery(scores.order_by("-day").values("pk")[:1]))
    return HealthScore.objects.filter(pk__in=latest.order_by().values("kpi_latest"))


def _in(*bands: str) -> Amount:
    return Amount(Case(When(band__in=bands, then=ONE), default=NOTHING))


_CUSTOMERS = Part(
    facts=_standing,
    amounts={
        "red": _in(Band.RED),
        "customers_scored": Amount(Case(When(score__isnull=False, then=ONE), default=NOTHING)),
        "yellow": _in(Band.YELLOW),
        "green": _in(Band.GREEN),
        "without_score": Amount(Case(When(score__isnull=True, then=ONE), default=NOTHING)),
        "score_total": quantity(Coalesce(F("score"), Value(0), output_field=SCORE)),
    },
    columns={"score": "score", "band": "band", "since": "day"},
    first_on=up_to_end,
)


def _revenue(scope: Scope) -> QuerySet[Any]:
    """Return the movements that make up the revenue of the customers with a score, each with the score."""
    scored = _standing(scope).filter(score__isnull=False).order_by()
    return (
        ledger.until(scope, "end")
        .filter(account__health_scores__in=scored.values("pk"))
        .annotate(
            kpi_score=F("account__health_scores__score"),
            kpi_red=Case(
                When(account__health_scores__band=Band.RED, then=F("delta")),
                default=Value(0),
                output_field=DecimalField(max_digits=30, decimal_places=6),
            ),
        )
    )


_REVENUE = Part(
    facts=_revenue,
    amounts={
        "red_mrr": money("kpi_red"),
        "mrr_scored": money("delta"),
        "health_times_mrr": money(F("kpi_score") * F("delta")),
    },
    currency="currency",
    rate_on="end",
    columns={"score": "kpi_score"},
    first_on=up_to_end,
)

AVERAGE_HEALTH = Kpi(
    slug="average_health",
    label="Average health",
    theme=THEME,
    unit="points",
    higher_is_better=True,
    kind="level",
    definition=(
        "The mean health score of the customers at the end of the period; the variant mrr weighs each by its "
        f"recurring revenue. Customers without a score are left out and counted beside it. {HOW}"
    ),
    variants=(
        Variant(
            slug="customers",
            label="Each customer counts the same",
            parts=(_CUSTOMERS,),
            numerator="score_total",
            denominator="customers_scored",
            calculate=average_health,
            reason=NO_SCORES,
        ),
        Variant(
            slug="mrr",
            label="Weighted by MRR",
            parts=(_REVENUE, _CUSTOMERS),
            numerator="health_times_mrr",
            denominator="mrr_scored",
            sample="customers_scored",
            calculate=mrr_weighted_health,
            reason=NO_SCORES,
        ),
    ),
)

ACCOUNTS_AT_RISK = Kpi(
    slug="accounts_at_risk",
    label="Accounts at risk",
    theme=THEME,
    unit="count",
    higher_is_better=False,
    kind="level",
    definition=(
        "Customers whose health stands in the red band at the end of the period; the variant share is that "
        f"of all customers with a score. {HOW}"
    ),
    variants=(
        Variant(
            slug="number",
            label="How many",
            parts=(_CUSTOMERS,),
            numerator="red",
            calculate=accounts_at_risk,
            sample="customers_scored",
            reason=NO_SCORES,
        ),
        Variant(
            slug="share",
            label="Share of customers",
            parts=(_CUSTOMERS,),
            numerator="red",
            denominator="customers_scored",
            calculate=share_of_accounts_at_risk,
            interval=lambda counts: wilson_interval(part=counts["red"], whole=counts["customers_scored"]),
            reason=NO_SCORES,
            unit="percent",
        ),
    ),
)

MRR_AT_RISK = Kpi(
    slug="mrr_at_risk",
    label="MRR at risk",
    theme=THEME,
    unit="money",
    higher_is_better=False,
    kind="level",
    definition=(
        "Recurring revenue, at the end of the period, of the customers whose health stands in the red band "
        f"then; the variant share is that of the revenue of all customers with a score. {HOW}"
    ),
    variants=(
        Variant(
            slug="amount",
            label="How much",
            parts=(_REVENUE, _CUSTOMERS),
            numerator="red_mrr",
            calculate=mrr_at_risk,
            sample="customers_scored",
            reason=NO_SCORES,
        ),
        Variant(
            slug="share",
            label="Share of MRR",
            parts=(_REVENUE, _CUSTOMERS),
            numerator="red_mrr",
            denominator="mrr_scored",
            sample="customers_scored",
            calculate=share_of_mrr_at_risk,
            reason=NO_SCORES,
            unit="percent",
        ),
    ),
)

KPIS = (AVERAGE_HEALTH, ACCOUNTS_AT_RISK, MRR_AT_RISK)
