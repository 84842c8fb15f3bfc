"""How long customers stay."""

from __future__ import annotations

from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum

from accounts.models import Movement
from metrics.calculations import customer_lifespan, lifespan_from_churn_rate
from metrics.kpis import customers, ledger
from metrics.kpis.counting import DaysBetween
from metrics.kpis.definition import Amount, Kpi, Part, Scope, Variant, up_to_end

NOBODY_LEFT = "nobody_churned"


def _lives_that_ended(scope: Scope) -> QuerySet[Any]:
    """Return the movements by which customers left, with the day on which each had last joined."""
    joined = (
        Movement.objects.known_at(scope.known_at)
        .filter(account=OuterRef("account"), effective_on__lt=OuterRef("effective_on"))
        .order_by()
        .values("effective_on")
        .annotate(kpi_heads=Sum("customers"))
        .filter(kpi_heads__gt=0)
        .order_by("-effective_on")
    )
    return (
        customers.CHURN.facts(scope)
        .exclude(customers=0)
        .annotate(kpi_joined_on=Subquery(joined.values("effective_on")[:1]))
        # A history that begins in the middle does not say when they came.
        .filter(kpi_joined_on__isnull=False)
        .annotate(kpi_days=DaysBetween("kpi_joined_on", "effective_on"))
    )


LIVES = Part(
    facts=_lives_that_ended,
    amounts={
        "lifetime_days": Amount(-F("customers") * F("kpi_days")),
        "churned": Amount(-F("customers")),
        **ledger.CORRECTIONS,
    },
    csm_on=F("effective_on"),
    first_on=up_to_end,
    columns={"joined": "kpi_joined_on", "left": "effective_on"},
)

CUSTOMER_LIFESPAN = Kpi(
    slug="customer_lifespan",
    label="Customer lifespan",
    theme=customers.THEME,
    unit="months",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How long those who left in the period had been customers, on average. The customers who are still "
        "there at its end will make it longer; their number stands beside it. The variant from_churn_rate is "
        "no observation: it is how long customers would stay if they kept leaving at the rate of the period."
    ),
    variants=(
        Variant(
            slug="observed",
            label="Of those who left",
            parts=(LIVES, ledger.customers("still_active", "end")),
            numerator="lifetime_days",
            denominator="churned",
            calculate=customer_lifespan,
            reason=NOBODY_LEFT,
        ),
        Variant(
            slug="from_churn_rate",
            label="1 ÷ churn rate",
            parts=(customers.AT_START, customers.CHURN, ledger.customers("still_active", "end")),
            numerator="customers_at_start",
            denominator="churned",
            calculate=lifespan_from_churn_rate,
            reason=NOBODY_LEFT,
        ),
    ),
)

KPIS = (CUSTOMER_LIFESPAN,)
