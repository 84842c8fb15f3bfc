"""One foreground process that keeps several others running and stops them together.

It knows nothing of what they do. Each child leads a process group of its own, so Ctrl-C in
a terminal reaches the supervisor alone, and nothing of a dead child is left behind.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

LAUNCH = [sys.executable, "-I", "-S", str(Path(__file__).with_name("die_with_parent.py"))]
# A child that lived this long had started properly; its next death counts as the first.
SETTLED_SECONDS = 10.0
TRIES = 5
STOP_SECONDS = 7.0
LAST_STOP_SECONDS = 2.0
GONE_SECONDS = 1.0


class CannotStartError(Exception):
    """A child dies again and again right after its start."""


@dataclass
class Child:
    """A command to keep running. `stops_last` is for what the others still need while they stop.

    One with `niceness` lets the others have the processor first.
    """

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    stops_last: bool = False
    niceness: int = 0
    before_restart: Callable[[int], None] = lambda failures: None

    process: subprocess.Popen[str] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    failures: int = 0

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Start children, print what they say, restart those that die, stop them all on a signal."""

    def __init__(self, *, cwd: Path, out: IO[str], first_pause: float = 0.5) -> None:
        self.children: list[Child] = []
        self.cwd = cwd
        self.out = out
        self.first_pause = first_pause
        self.stopping = False
        self._printing = threading.Lock()

    def say(self, name: str, line: str) -> None:
        with self._printing, suppress(OSError, ValueError):  # nobody may be reading any more
            self.out.write(f"{name:<9} | {line}\n")
            self.out.flush()

    def start(self, child: Child) -> None:
        if child not in self.children:
            self.children.append(child)
        # Called in the main thread only: the kernel counts the starting thread as the parent.
        child.process = subprocess.Popen(
            [*LAUNCH, str(os.getpid()), str(child.niceness), *child.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=self.cwd,
            env={**os.environ, **child.env},
            pass_fds=child.pass_fds,
            start_new_session=True,
        )
        child.started_at = time.monotonic()
        threading.Thread(target=self._copy, args=(child.name, child.process.stdout), daemon=True).start()

    def _copy(self, name: str, lines: IO[str]) -> None:
        with suppress(OSError, ValueError):
            for line in filter(None, map(str.rstrip, lines)):
                self.say(name, line)

    def run(self) -> None:
        """Watch the children until a signal asks us to stop; raises CannotStartError."""
        with self._signals() as wake:
            try:
                while not self.stopping:
                    self._tend()
                    select.select([wake], [], [], self._pause())
                    with suppress(BlockingIOError):
                        os.read(wake, 1024)
            finally:
                self.stopping = True
                self.stop()

    def _tend(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.is_running:
                continue
            if child.restart_at:
                if now >= child.restart_at:
                    child.restart_at = 0.0
                    child.before_restart(child.failures)
                    self.start(child)
                continue
            self._sweep(child)
            child.failures = 1 if now - child.started_at > SETTLED_SECONDS else child.failures + 1
            code = child.process.returncode if child.process else None
            if child.failures >= TRIES:
                raise CannotStartError(
                    f"{child.name} ended {child.failures} times right after its start (code {code});"
                    " its last lines say why."
                )
            pause = min(30.0, self.first_pause * 2 ** (child.failures - 1))
            child.restart_at = now + pause
            self.say(child.name, f"ended (code {code}); starting again in {pause:g} s")

    def _pause(self) -> float:
        pending = [child.restart_at for child in self.children if child.restart_at]
        return max(0.05, min(pending) - time.monotonic()) if pending else 60.0

    def _sweep(self, child: Child) -> None:
        """Kill what is left of the child's group: its own children outlive it otherwise."""
        if child.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)

    def _wait_for_group(self, group: int) -> None:
        """Wait a moment until nothing is left of a group that was killed."""
        end = time.monotonic() + GONE_SECONDS
        with suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < end:
                os.killpg(group, 0)
                time.sleep(0.02)

    def stop(self) -> None:
        """Ask everybody to end, wait a moment, then insist. At most nine seconds."""
        first = [child for child in self.children if not child.stops_last]
        last = [child for child in self.children if child.stops_last]
        self._end(first, STOP_SECONDS)
        self._end(last, LAST_STOP_SECONDS)

    def _end(self, children: list[Child], seconds: float) -> None:
        for child in children:
            if child.process is not None and child.is_running:
                child.process.terminate()
        end = time.monotonic() + seconds
        for child in children:
            if child.process is not None:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, end - time.monotonic()))
                self._sweep(child)
                child.process.wait()
                self._wait_for_group(child.process.pid)

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Yield a descriptor that becomes readable with each signal."""
        wake, woken = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopping = True

        handlers = {
            signal.SIGINT: stop,
            signal.SIGTERM: stop,
            signal.SIGHUP: stop,
            signal.SIGCHLD: lambda _number, _frame: None,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        fd_before = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(woken)
