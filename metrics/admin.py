"""What admins see of the numbers; each part registers its own."""

from metrics.health import admin as health

__all__ = ["health"]
