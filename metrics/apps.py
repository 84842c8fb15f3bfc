from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate


class MetricsConfig(AppConfig):
    name = "metrics"

    def ready(self) -> None:
        post_migrate.connect(install_default_scorecard, sender=self)


def install_default_scorecard(**kwargs: Any) -> None:
    """After each migration: an installation without any scorecard gets the standard one."""
    from metrics.health.scorecards import install_default  # models are not loaded before `ready`

    if "metrics_scorecardversion" in connection.introspection.table_names():
        install_default()
