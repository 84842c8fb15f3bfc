"""The benchmarks as a table: python -m benchmarks [NAME …] [--accounts N …] [--quick] [--write]

Each runs in a process of its own on a database made for it: SQLite in a temporary folder, or a new
database on the PostgreSQL that DATABASE_URL names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.databases import Environment, company, empty_database, kind
from benchmarks.figures import Figure, as_table

ROOT = Path(__file__).resolve().parent.parent
README = Path(__file__).with_name("README.md")
# Pages first: a pass that writes would warm what the pages read.
ON_A_COMPANY = ("pages", "kpis", "health")
ON_AN_EMPTY_DATABASE = ("imports",)
QUICK_ACCOUNTS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    names = [*ON_A_COMPANY, *ON_AN_EMPTY_DATABASE]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(names)}; all without")
    parser.add_argument(
        "--accounts", type=int, nargs="+", default=[10_000], help="size of the company, or several (10,000)"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: do they work, not how fast we are")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if min(asked.accounts) < 100:
        parser.error("--accounts: 100 or more are needed")
    if asked.quick and asked.write:
        parser.error("--write keeps figures that mean something; leave --quick out")
    os.chdir(ROOT)
    started = time.monotonic()
    sizes = [QUICK_ACCOUNTS] if asked.quick else asked.accounts
    figures = list(measured(asked.names or names, sizes, is_quick=asked.quick))
    lines = as_table(figures)
    print(f"\n{kind()}, {os.cpu_count()} cores, {time.monotonic() - started:,.0f} s in all\n")
    print("\n".join(lines))
    if asked.write:
        write(lines)
    return 0


def measured(names: Sequence[str], sizes: Sequence[int], *, is_quick: bool) -> Iterator[Figure]:
    """Run the named benchmarks, those that can on one database."""
    on_a_company = [name for name in ON_A_COMPANY if name in names]
    for size in sizes if on_a_company else []:
        say(f"Making a company of {size:,} accounts.")
        with company(size) as environment:
            for name in on_a_company:
                yield from run(name, environment, size, is_quick=is_quick)
    for name in ON_AN_EMPTY_DATABASE:
        if name in names:
            with empty_database() as environment:
                yield from run(name, environment, 0, is_quick=is_quick)


def run(name: str, environment: Environment, accounts: int, *, is_quick: bool) -> list[Figure]:
    say(f"Measuring {name}.")
    command = [sys.executable, "-m", "benchmarks.running", name, str(accounts)]
    done = subprocess.run(
        [*command, "quick" if is_quick else "full"], env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"The benchmark “{name}” failed.")
    return [Figure(**json.loads(line)) for line in done.stdout.splitlines()]


def write(lines: Sequence[str]) -> None:
    """Put the table between the markers of its database in the README."""
    first, last = f"<!-- {kind()} table -->", f"<!-- end of {kind()} table -->"
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(first)
    _, _, after = rest.partition(last)
    if not rest or not after:
        raise SystemExit(f"{README} lacks the lines {first} and {last}; the table goes between them.")
    table = "\n".join(lines)
    README.write_text(f"{before}{first}\n\n{table}\n\n{last}{after}", encoding="utf-8")
    say(f"Written into {README.relative_to(ROOT)}.")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
