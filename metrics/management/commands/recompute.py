"""manage.py recompute: work health scores, or stored figures, out again."""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Account
from csplatform.periods import Period, PeriodError, day_of
from metrics import rollups
from metrics.health import scores
from metrics.health.scores import Passed


def iso_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-03-01") from error


class Command(BaseCommand):
    help = (
        "Work out health scores again: those that are due, of one account (--account), of all (--all),"
        " or of the past (--from), from the facts of each day; or all stored figures of KPIs (--figures)."
    )

    def add_arguments(self, parser: Any) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--account", type=int, metavar="ID", help="only this account")
        which.add_argument("--all", action="store_true", help="every account, due or not")
        which.add_argument(
            "--figures",
            action="store_true",
            help="every stored figure of a KPI instead of scores; stopped half-way, the workers do the rest",
        )
        parser.add_argument(
            "--from",
            dest="first",
            type=iso_day,
            metavar="DATE",
            help="first fill the history from this day on, then score all; recorded days stay as they are",
        )
        parser.add_argument(
            "--step",
            choices=["day", "week", "month"],
            default="week",
            help="with --from: one score for the last day of each (default: week)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["first"] and options["account"]:
            raise CommandError("--from fills the history of all accounts; leave --account out.")
        if options["figures"]:
            if options["first"]:
                raise CommandError("--from fills the history of scores; leave --figures out.")
            self._figures()
            return
        if options["first"]:
            self._backfill(options["first"], options["step"])
            passed = scores.score_all(progress=self._progress("today"))
        elif options["account"]:
            if not Account.objects.filter(pk=options["account"]).exists():
                raise CommandError(f"--account: there is no account {options['account']}.")
            passed = scores.score_accounts([options["account"]])
        elif options["all"]:
            passed = scores.score_all(progress=self._progress("today"))
        else:
            passed = scores.score_due(progress=self._progress("due"))
        self._report("today", passed)
        if passed.failed:
            raise CommandError(f"{passed.failed} accounts could not be worked out; the log says why.")

    def _figures(self) -> None:
        rollups.plan(day_of(timezone.now()))
        total = rollups.forget_all()

        def show(done: rollups.Refreshed) -> None:
            if self.stderr.isatty():
                self.stderr.write(f"\r{done.counted} of {total} figures", ending="")

        done = rollups.refresh(rows=rollups.due_now, progress=show)
        if self.stderr.isatty():
            self.stderr.write("\r\x1b[K", ending="")
        self.stdout.write(f"figures worked out {done.counted}, changed {done.changed}")
        if done.failed:
            raise CommandError(f"{done.failed} figures could not be worked out; the log says why.")

    def _backfill(self, first: date, step: Any) -> None:
        today = day_of(timezone.now())
        try:
            period = Period(first, today)
        except PeriodError as error:
            raise CommandError(f"--from: {error.message}") from error
        days = [part.last_day for part in period.steps(step)]
        # The last part ends yesterday and may be cut short; its score is as good as any.
        passed = Passed()
        for number, day in enumerate(days, start=1):
            passed.add(scores.backfill([day]))
            if self.stderr.isatty():
                self.stderr.write(f"\r{number} of {len(days)} days, {day}", ending="")
        self._report(f"{len(days)} days from {first} to {today - timedelta(days=1)}", passed)

    def _progress(self, what: str) -> Any:
        def show(passed: Passed) -> None:
            if self.stderr.isatty():
                self.stderr.write(f"\r{what}: {passed.checked} accounts", ending="")

        return show

    def _report(self, what: str, passed: Passed) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r\x1b[K", ending="")
        self.stdout.write(
            f"{what}: accounts {passed.checked}, scored {passed.scored},"
            f" history rows written {passed.written}"
        )
