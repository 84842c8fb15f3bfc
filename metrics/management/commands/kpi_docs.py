"""Print docs/metrics.md from the definitions in the code."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from metrics.kpis.documents import page

PATH = Path(settings.BASE_DIR) / "docs" / "metrics.md"


class Command(BaseCommand):
    help = "Write docs/metrics.md from the definitions in the code; --check only says whether it is stale."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        text = page()
        if options["check"]:
            if not PATH.exists() or PATH.read_text(encoding="utf-8") != text:
                raise CommandError("docs/metrics.md is stale: run `manage.py kpi_docs`.")
            return
        PATH.write_text(text, encoding="utf-8")
        self.stdout.write(f"Wrote {PATH.relative_to(settings.BASE_DIR)}.")
