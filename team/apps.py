from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class TeamConfig(AppConfig):
    name = "team"

    def ready(self) -> None:
        # Every process knows every kind of work: those that enqueue, those that do it.
        autodiscover_modules("jobs")
