"""What is worked out from the facts: KPI values kept over time, and health."""

from metrics.models.annotations import Annotation, may_annotate
from metrics.models.custom import CustomKpi, CustomKpiVersion, may_define
from metrics.models.forecasts import RenewalForecast
from metrics.models.health import AccountHealth, Band, HealthScore, Scorecard, ScorecardVersion
from metrics.models.kpis import KpiSnapshot, Target
from metrics.models.rollups import KpiRollUp, KpiRollUpGroup

__all__ = [
    "AccountHealth",
    "Annotation",
    "Band",
    "CustomKpi",
    "CustomKpiVersion",
    "HealthScore",
    "KpiRollUp",
    "KpiRollUpGroup",
    "KpiSnapshot",
    "RenewalForecast",
    "Scorecard",
    "ScorecardVersion",
    "Target",
    "may_annotate",
    "may_define",
]
