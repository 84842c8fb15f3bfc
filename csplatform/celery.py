"""The worker: `celery -A csplatform worker -Q fast`. What it does is in team.tasks."""

import os
import signal
import warnings
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import worker_process_init, worker_shutting_down

from team.die_with_parent import ask_for_signal
from team.stopping import tell_to_stop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "csplatform.settings")

# Celery warns of root because of pickled messages; ours are JSON, and say "wake up" only.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("csplatform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """A pool process whose worker was killed would wait for messages that never come."""
    ask_for_signal(signal.SIGKILL)


@worker_shutting_down.connect
def end_between_two_pieces(**_: Any) -> None:
    """The worker waits for the work in hand, which looks at this where it comes in pieces."""
    tell_to_stop()
