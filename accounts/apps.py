from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.module_loading import autodiscover_modules


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # Each app says there which of its tables hold facts.
        autodiscover_modules("changes")
        pre_migrate.connect(stop_logging_changes, sender=self)
        post_migrate.connect(log_changes)


def stop_logging_changes(plan: Any = (), **kwargs: Any) -> None:
    """Before migrations on SQLite: it makes tables anew and refuses while triggers name them."""
    from accounts import changes  # models are not loaded before `ready`

    if plan and connection.vendor == "sqlite":
        changes.uninstall()


def log_changes(sender: AppConfig, **kwargs: Any) -> None:
    """After each migration: changes of the app's facts are logged."""
    from accounts import changes

    changes.install(sender.label)
