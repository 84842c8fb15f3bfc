"""`manage.py verify`: does what we worked out still follow from the facts?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import accounts.verifying
import metrics.verifying
import tickets.verifying
import usage.verifying

CHECKS: dict[str, Callable[[], Iterator[str]]] = {
    "Ledger and copies on accounts": accounts.verifying.differences,
    "Roll-ups of usage": usage.verifying.differences,
    "Moments and verdicts of tickets": tickets.verifying.differences,
    "Stored figures": metrics.verifying.differences,
}


class Command(BaseCommand):
    help = "Check ledger, roll-ups and copies against the facts; exit 1 at the first difference."

    def handle(self, *args: Any, **options: Any) -> None:
        for what, check in CHECKS.items():
            self.stdout.write(f"{what} … ", ending="")
            self.stdout.flush()
            difference = next(check(), None)
            if difference:
                self.stdout.write(self.style.ERROR("differs"))
                raise CommandError(difference)
            self.stdout.write(self.style.SUCCESS("as the facts say"))
