"""One benchmark in a process of its own, on the database it is told: python -m benchmarks.running NAME …

Figures go to standard output, a line of JSON each; what a person may want to see meanwhile goes to
standard error. `python -m benchmarks` starts this and makes the table.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

import django


def main() -> None:
    name, accounts, is_quick = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "quick"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "csplatform.settings")
    django.setup()
    from benchmarks.figures import Options

    benchmark = importlib.import_module(f"benchmarks.{name}")
    with tempfile.TemporaryDirectory(prefix=f"csplatform-{name}-") as folder:
        for figure in benchmark.run(Options(accounts, is_quick, Path(folder))):
            print(figure.as_json(), flush=True)


if __name__ == "__main__":
    main()
