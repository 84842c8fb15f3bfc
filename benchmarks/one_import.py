"""One import in a process of its own, to see its memory: python -m benchmarks.one_import KIND FILE SOURCE

Prints a line of JSON: rows, seconds, seconds of processor time, and the most memory it held beyond what
it began with, in MB.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import django

LOOK_EVERY_SECONDS = 0.02


def own_memory_mb() -> float:
    """Return what this process holds for itself, in MB.

    Pages of the database file that the system maps into us are not ours; the peak that getrusage
    gives would count them.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("Memory is read from /proc/self/status, which only Linux has.")


class Watch(threading.Thread):
    """Looks at our memory until stopped, and remembers the most."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.most = own_memory_mb()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(LOOK_EVERY_SECONDS):
            self.most = max(self.most, own_memory_mb())


def main() -> None:
    kind, path, source = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "csplatform.settings")
    django.setup()
    from django.db import connection

    from benchmarks.mappings import MAPPINGS
    from benchmarks.processor import seconds_worked
    from intake import importing

    connection.ensure_connection()
    watch = Watch()
    watch.start()
    record = importing.prepare(
        kind=kind, file_name=path.name, document=MAPPINGS[kind], source=source, local_path=path
    )
    worked = seconds_worked()
    counts = importing.run(record)
    worked = seconds_worked() - worked
    watch.over.set()
    watch.join()
    if counts.created != counts.rows:
        raise SystemExit(f"{path.name}: {counts.rows - counts.created} of {counts.rows} rows not created.")
    assert record.started_at
    assert record.finished_at
    seconds = (record.finished_at - record.started_at).total_seconds()
    memory = watch.most - watch.before
    print(json.dumps({"rows": counts.rows, "seconds": seconds, "worked": worked, "memory_mb": memory}))


if __name__ == "__main__":
    main()
