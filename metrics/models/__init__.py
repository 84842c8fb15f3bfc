"""What is worked out from the facts: KPI values kept over time, and health."""

from metrics.models.kpis import KpiSnapshot, Target

__all__ = ["KpiSnapshot", "Target"]
