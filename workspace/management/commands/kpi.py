"""Print one KPI: its value, its counts, its formula."""

from __future__ import annotations

import csv
import json
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from metrics.calculations import exact_text
from metrics.kpis import (
    DIMENSIONS,
    KPIS,
    STEPS,
    Answer,
    Figure,
    KpiError,
    ask,
    read_question,
    rows,
)
from team.spreadsheets import safe_cell
from workspace.templatetags.show import digits

# How numbers of a unit are rounded in the table; JSON and CSV have them exact.
PLACES = {"percent": 4, "points": 2, "ratio": 2, "count": 2, "hours": 2, "days": 2, "months": 2}
SIGNS = {"percent": " %", "ratio": " ×", "hours": " hours", "days": " days", "months": " months"}


class Command(BaseCommand):
    help = (
        "Print a KPI with its counts and formula. Without dates it is the month so far, today included, or "
        "as many months as the KPI's definition says; the end day itself is not counted. "
        "`kpi --list` names all KPIs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="?", help="Which KPI, such as customer_churn_rate.")
        parser.add_argument("--list", action="store_true", help="Name all KPIs with their variants.")
        parser.add_argument("--start", default="", help="First day of the period.")
        parser.add_argument("--end", default="", help="Day after the last day of the period.")
        parser.add_argument("--group-by", default="", help=f"One of {', '.join((*DIMENSIONS, *STEPS))}.")
        parser.add_argument("--variant", default="", help="Another way to work it out; see --list.")
        parser.add_argument(
            "--known-at", default="", help="As it would have been said then: a day or moment."
        )
        parser.add_argument("--csm", default="", help="Only accounts of this CSM: id or e-mail address.")
        parser.add_argument("--segment", default="")
        parser.add_argument("--plan", default="", help="Code of a plan.")
        parser.add_argument("--lifecycle-stage", default="")
        parser.add_argument("--account", default="", help="Only this account: its id.")
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="GROUPING=GROUP",
            help="Only this group of one of the KPI's own groupings, such as survey=Relationship.",
        )
        parser.add_argument(
            "--rows",
            default="",
            metavar="PART",
            help="The rows counted for numerator, denominator or a count.",
        )
        parser.add_argument("--format", choices=("table", "json", "csv"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        if not options["slug"]:
            raise CommandError("Name a KPI, or ask for them all with --list.", returncode=2)
        try:
            question = read_question(options["slug"], options | _wanted(options), user=None)
            if options["rows"]:
                self._rows(rows(question, options["rows"]), options["format"])
                return
            answer = ask(question)
        except KpiError as error:
            hint = " `manage.py kpi --list` names them all." if error.field == "kpi" else ""
            raise CommandError(f"{error.field}: {error.message}{hint}", returncode=2) from None
        except DatabaseError as error:
            raise CommandError(f"The database did not answer: {str(error).strip()}", returncode=1) from None
        match options["format"]:
            case "json":
                self.stdout.write(json.dumps(answer.as_dict(), indent=2, ensure_ascii=False))
            case "csv":
                self._csv(answer)
            case _:
                self._table(answer)

    def _list(self) -> None:
        width = max(len(slug) for slug in KPIS)
        theme = ""
        for kpi in KPIS.values():
            if kpi.theme != theme:
                theme = kpi.theme
                self.stdout.write(self.style.MIGRATE_HEADING(theme))
            variants = ", ".join(variant.slug for variant in kpi.variants if variant.slug)
            self.stdout.write(f"  {kpi.slug:<{width}}  {kpi.label}{f' ({variants})' if variants else ''}")

    def _text(self, answer: Answer, number: Decimal | None) -> str:
        if number is None:
            return "no data"
        unit = answer.unit
        if unit not in PLACES:
            return f"{digits(number, _money_places(answer))} {unit}"
        places = PLACES[unit]
        is_whole = number == number.to_integral_value()
        return f"{digits(number, 0 if is_whole else places)}{SIGNS.get(unit, '')}"

    def _table(self, answer: Answer) -> None:
        kpi, variant, figure, period = answer.kpi, answer.variant, answer.figure, answer.question.period
        self.stdout.write(
            self.style.MIGRATE_HEADING(f"{kpi.label}{f', {variant.slug}' if variant.slug else ''}")
            + f"  {period.start} to {period.last_day}"
        )
        value = self._text(answer, figure.value)
        self.stdout.write(f"  {value}{f' ({figure.reason})' if figure.reason else ''}")
        for name, number in figure.counts.items():
            role = {variant.numerator: "numerator", variant.denominator: "denominator"}.get(name, "")
            self.stdout.write(f"  {name.replace('_', ' '):<32} {exact_text(number):>16}  {role}".rstrip())
        if figure.interval:
            low, high = figure.interval
            self.stdout.write(f"  95 % interval: {self._text(answer, low)} to {self._text(answer, high)}")
        for note, is_true in (
            ("small sample", figure.is_small_sample),
            ("restated: facts of these days were corrected later", answer.restated),
        ):
            if is_true:
                self.stdout.write(self.style.WARNING(f"  {note}"))
        if answer.question.known_at:
            self.stdout.write(f"  as known at {answer.data_as_of.isoformat()}")
        if answer.groups:
            self._groups(answer)
        self.stdout.write(f"  formula: {variant.formula_text}")
        self.stdout.write(f"  source:  {variant.source_text}")

    def _groups(self, answer: Answer) -> None:
        width = max(len(group.label) for group in answer.groups)
        self.stdout.write("")
        for group in answer.groups:
            self.stdout.write(
                f"  {group.label:<{width}}  {self._text(answer, group.figure.value):>16}"
                f"  {_fraction(group.figure)}".rstrip()
            )
        if not answer.kpi.is_additive:
            self.stdout.write("  (groups of different people need not add up)")
        self.stdout.write("")

    def _csv(self, answer: Answer) -> None:
        data = answer.as_dict()
        names = ("value", "numerator", "denominator", "sample_size", "reason")
        out = csv.writer(self.stdout)
        out.writerow(["kpi", "variant", "start", "end", "group", "label", *names])
        head = [data["kpi"], data["variant"], data["period"]["start"], data["period"]["end"]]
        for group in [{"key": "", "label": "total", **data}, *data["groups"]]:
            out.writerow(
                [
                    safe_cell(cell)
                    for cell in [*head, group["key"], group["label"], *(group[name] for name in names)]
                ]
            )

    def _rows(self, found: Any, form: str) -> None:
        if form == "json":
            self.stdout.write("[")
            for at, row in enumerate(found):
                self.stdout.write(("," if at else " ") + json.dumps(row, default=_plain, ensure_ascii=False))
            self.stdout.write("]")
            return
        out = csv.writer(self.stdout, delimiter="\t" if form == "table" else ",")
        out.writerow(["account", "account_id", *found.columns, "amount"])
        for row in found:
            account = row["account"] or {"name": "", "id": ""}
            cells = [account["name"], account["id"], *(row[name] for name in found.columns)]
            out.writerow([safe_cell(_plain(cell)) for cell in [*cells, row["amount"]]])


def _wanted(options: dict[str, Any]) -> dict[str, str]:
    """Return what --where says; raise KpiError when the KPI has no such grouping."""
    wanted = {}
    for text in options["where"]:
        name, _, group = text.partition("=")
        kpi = KPIS.get(options["slug"])
        if kpi and (kpi.grouping(name) is None or not group):
            known = ", ".join(name for name in kpi.group_words if name not in kpi.shared_groups) or "none"
            raise KpiError("where", f"Write GROUPING=GROUP; {kpi.slug} has {known}, not {text!r}.")
        wanted[name] = group
    return wanted


def _money_places(answer: Answer) -> int:
    # A mean of money is compared more finely than a sum of it.
    return 4 if answer.kpi.kind == "rate" else 2


def _fraction(figure: Figure) -> str:
    if figure.denominator is None or figure.numerator is None:
        return ""
    return f"{exact_text(figure.numerator)} of {exact_text(figure.denominator)}"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return exact_text(value)
    return value.isoformat() if hasattr(value, "isoformat") else value
