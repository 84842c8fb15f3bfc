"""How the site is put together; no business rules."""

# Loaded with Django, so that every process can send hints and not the worker alone.
from csplatform.celery import app as celery_app

__all__ = ["celery_app"]
