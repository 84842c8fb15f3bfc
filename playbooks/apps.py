from django.apps import AppConfig


class PlaybooksConfig(AppConfig):
    name = "playbooks"

    def ready(self) -> None:
        from metrics.kpis import KPIS  # models are not loaded before `ready`
        from playbooks import kpis

        KPIS.register(*kpis.KPIS)
