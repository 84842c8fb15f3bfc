"""Fill the database with a believable company and two years of its customers."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Account
from accounts.models.customers import today
from csplatform.periods import Period, start_of_day
from intake.demo.building import Building
from intake.demo.calendar import DAYS, Calendar
from intake.demo.clearing import clear_customer_data
from intake.demo.life import FULL, LIGHT
from intake.demo.team import ADMIN, CSM, MANAGER, PASSWORD
from metrics import forecasting

LIGHT_FROM = 2_000


class Command(BaseCommand):
    help = (
        "Fill the database with an invented company: customers, money, usage, tickets, answers and "
        "touches of two years. The same seed and date give the same facts. Above 2,000 accounts the "
        "record is light (see --light)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--accounts", type=int, default=200, help="How many accounts (200).")
        parser.add_argument("--seed", type=int, default=7, help="Another number, another company (7).")
        parser.add_argument("--until", help="The day it ends on, not included: YYYY-MM-DD (today).")
        parser.add_argument("--if-empty", action="store_true", help="Do nothing when there are accounts.")
        parser.add_argument("--reset", action="store_true", help="Delete all customer data first; asks.")
        parser.add_argument("--yes", action="store_true", help="With --reset: do not ask.")
        parser.add_argument(
            "--no-scores", action="store_true", help="Leave health and snapshots to the worker."
        )
        parser.add_argument(
            "--light",
            action="store_true",
            help=(
                "For benchmarks: about 8 end users an account instead of 30, monthly activity of half a "
                "year and daily usage of 60 days instead of two years, half the tickets, answers and touches."
            ),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        accounts, until = self._checked(options)
        known = Account.objects.count()
        if known and options["if_empty"]:
            self.stdout.write(f"There are {known:,} accounts already: nothing done.")
            return
        if known and not options["reset"]:
            raise CommandError(
                f"There are {known:,} accounts already. --reset deletes all customer data first; "
                "--if-empty leaves it."
            )
        if options["reset"]:
            self._reset(known, is_sure=options["yes"])
        started = time.monotonic()
        calendar = Calendar(until)
        size = LIGHT if options["light"] or accounts > LIGHT_FROM else FULL
        building = Building(calendar, accounts=accounts, seed=options["seed"], size=size)
        rows = building.run(self._progress)
        for name, count in rows.items():
            self.stdout.write(f"  {count:>12,}  {name}")
        self.stdout.write(f"{sum(rows.values()):,} rows in {time.monotonic() - started:.1f} s.")
        if not options["no_scores"]:
            self._score(calendar)
        self._say_logins()

    def _checked(self, options: dict[str, Any]) -> tuple[int, date]:
        if not 1 <= options["accounts"] <= 2_000_000:
            raise CommandError("--accounts: a number between 1 and 2,000,000 is needed.")
        if not options["until"]:
            return options["accounts"], today()
        try:
            until = date.fromisoformat(options["until"])
        except ValueError:
            raise CommandError(f"--until: {options['until']!r} is not a date such as 2026-03-31.") from None
        if not date(1910, 1, 1) <= until <= date(2190, 1, 1):
            raise CommandError("--until: a date between 1910 and 2190 is needed.")
        return options["accounts"], until

    def _reset(self, known: int, *, is_sure: bool) -> None:
        if not is_sure:
            if not sys.stdin.isatty():
                raise CommandError("--reset deletes all customer data; say --yes when nobody can be asked.")
            answer = input(f"Delete all customer data ({known:,} accounts)? Write yes: ")
            if answer.strip().lower() != "yes":
                raise CommandError("Nothing was deleted.")
        clear_customer_data()
        self.stdout.write("All customer data deleted.")

    def _progress(self, done: int, of: int) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r  {done:,} of {of:,} accounts", ending="" if done < of else "\n")
            self.stdout.flush()

    def _score(self, calendar: Calendar) -> None:
        """Health for every week of the past, then for today."""
        first = calendar.until - timedelta(days=DAYS)
        call_command("recompute", "--from", first.isoformat(), "--step", "week", stdout=self.stdout)
        self._forecast(Period(first, calendar.until))

    def _forecast(self, past: Period) -> None:
        """Say what we would have said of open contracts on the first of each month, and just now."""
        now = timezone.now()
        firsts = [start_of_day(month.start) for month in past.steps("month")]
        moments = [*(moment for moment in firsts if moment < now), now]
        said = sum(forecasting.say(moment) for moment in moments)
        self.stdout.write(f"{len(moments)} days: {said:,} renewal forecasts")

    def _say_logins(self) -> None:
        self.stdout.write("Sign in with one of these; the password is " + PASSWORD)
        for email, what in ((ADMIN[0], "admin"), (MANAGER[0], "manager of a team"), (CSM, "CSM")):
            self.stdout.write(f"  {email:<22} {what}")
