"""Every KPI there is, in the order in which they are shown."""

from __future__ import annotations

from metrics.kpis import adoption, customers, growth, lifespan, renewals, revenue, support, voice
from metrics.kpis.custom.published import published
from metrics.kpis.registry import Registry

KPIS = Registry(
    (
        *customers.KPIS,
        *lifespan.KPIS,
        *revenue.KPIS,
        *growth.KPIS,
        *renewals.KPIS,
        *voice.KPIS,
        *support.KPIS,
        *adoption.KPIS,
    )
)
KPIS.keeps(published)
