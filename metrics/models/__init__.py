"""What is worked out from the facts: KPI values kept over time, and health."""

from metrics.models.health import AccountHealth, Band, HealthScore, Scorecard, ScorecardVersion
from metrics.models.kpis import KpiSnapshot, Target

__all__ = [
    "AccountHealth",
    "Band",
    "HealthScore",
    "KpiSnapshot",
    "Scorecard",
    "ScorecardVersion",
    "Target",
]
