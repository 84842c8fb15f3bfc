"""How long the processor worked for us: our process, and the database's that serves our connection.

On a machine that others use too, the time on the clock is mostly waiting for them; what the processor
did is not.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from django.db import connection


def seconds_worked() -> float:
    """Return seconds of processor time so far; PostgreSQL's count when it runs on this machine."""
    return time.process_time() + _of_postgresql()


def _of_postgresql() -> float:
    if connection.vendor != "postgresql":
        return 0.0  # SQLite works in our own process
    connection.ensure_connection()
    path = Path(f"/proc/{connection.connection.info.backend_pid}/stat")
    if not path.exists():
        return 0.0
    # Fields 14 and 15 of proc(5): in user mode and in the kernel. The name, in brackets, may hold blanks.
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
