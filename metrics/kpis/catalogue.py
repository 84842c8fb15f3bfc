"""Every KPI there is, in the order in which they are shown."""

from __future__ import annotations

from metrics.kpis import adoption, customers, revenue, support, voice
from metrics.kpis.registry import Registry

KPIS = Registry((*customers.KPIS, *revenue.KPIS, *voice.KPIS, *support.KPIS, *adoption.KPIS))
