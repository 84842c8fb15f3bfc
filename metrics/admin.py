"""What admins see of the numbers; each part registers its own."""

from metrics.health import admin as health
from metrics.kpis import admin as kpis

__all__ = ["health", "kpis"]
