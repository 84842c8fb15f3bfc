"""Every KPI there is, in the order in which they are shown."""

from __future__ import annotations

from metrics.kpis import (
    adoption,
    cohorts,
    customers,
    growth,
    health,
    lifespan,
    onboarding,
    outcomes,
    renewals,
    revenue,
    support,
    team,
    value,
    voice,
)
from metrics.kpis.custom.published import published
from metrics.kpis.registry import Registry

KPIS = Registry(
    (
        *customers.KPIS,
        *lifespan.KPIS,
        *cohorts.KPIS,
        *revenue.KPIS,
        *growth.KPIS,
        *renewals.KPIS,
        *value.KPIS,
        *health.KPIS,
        *voice.KPIS,
        *support.KPIS,
        *adoption.KPIS,
        *onboarding.KPIS,
        *outcomes.KPIS,
        *team.KPIS,
    )
)
KPIS.keeps(published)
