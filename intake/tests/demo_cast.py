"""Builds the invented company for tests, as of one day."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import models

from accounts.models import DueAccount, FactChange

UNTIL = date(2026, 3, 5)
FACTS = ("accounts", "usage", "tickets", "surveys")


def build_demo(**options: Any) -> str:
    """Run the command, light and without scores; return what it printed."""
    out = io.StringIO()
    options = {"until": UNTIL.isoformat(), "no_scores": True, "light": True, **options}
    call_command("demo_data", stdout=out, **options)
    return out.getvalue()


def rows(model: type[models.Model]) -> list[dict[str, Any]]:
    return list(model._default_manager.order_by("pk").values())


def facts() -> dict[str, list[dict[str, Any]]]:
    """Return every row of every fact table; that something was marked due or changed is no fact."""
    return {
        model._meta.label: rows(model)
        for model in apps.get_models()
        if model._meta.app_label in FACTS and model not in (DueAccount, FactChange)
    }
