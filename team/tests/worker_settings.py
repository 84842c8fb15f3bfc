"""The project's settings, with jobs to watch the workers by."""

from csplatform.settings import *  # noqa: F403
from csplatform.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = ["team.tests.extra_jobs", *OURS]
