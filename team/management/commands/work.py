"""A worker that needs no broker."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any

import structlog
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, close_old_connections

from team import work
from team.models import Work
from team.stopping import tell_to_stop

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Look at the clock and do queued work, without a broker, until told to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--lane", choices=Work.Lane.values, default="fast")
        parser.add_argument("--once", action="store_true", help="do what is due in both lanes, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            work.tick()
            self.stdout.write(f"{work.run_due()} done or tried.")
            return
        self.stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self.stopping:
            close_old_connections()
            try:
                work.tick()
                has_more = work.drain(options["lane"], seconds=2)
            except (OperationalError, InterfaceError) as error:
                log.warning("database not reached; trying again in a moment", error=str(error).strip())
                has_more = False
            if not has_more:
                time.sleep(1)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Let the row in hand end before the process does, between two pieces if it has several."""
        self.stopping = True
        tell_to_stop()
