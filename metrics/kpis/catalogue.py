"""Every KPI there is, in the order in which they are shown."""

from __future__ import annotations

from metrics.kpis import adoption, customers, revenue, support, voice
from metrics.kpis.definition import Kpi

KPIS: dict[str, Kpi] = {
    kpi.slug: kpi for kpi in (*customers.KPIS, *revenue.KPIS, *voice.KPIS, *support.KPIS, *adoption.KPIS)
}
