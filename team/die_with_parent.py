"""Run a command that is told to stop when its parent dies, however the parent dies.

    python -I -S team/die_with_parent.py PARENT_PID NICENESS COMMAND ...

A supervisor ended by SIGKILL cannot stop its children; on Linux the kernel does it then.
Elsewhere they live on until somebody stops them.
"""

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def ask_for_signal(number: int) -> None:
    """Have the kernel send this process the signal when the one that started it ends."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    ask_for_signal(signal.SIGTERM)
    if os.getppid() == int(sys.argv[1]):  # else it died before we could ask
        os.nice(int(sys.argv[2]))
        os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606  the very command the supervisor gave
