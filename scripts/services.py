#!/usr/bin/env python3
"""Run one command with a PostgreSQL and a Redis of its own: scripts/services.py COMMAND…

Both start on free ports of 127.0.0.1 with their files in a temporary folder, are named to the command in
DATABASE_URL and REDIS_URL, and are stopped and removed when it ends, fails or is interrupted. What is missing
(and Chromium, for the browser tests) is installed with apt-get when we are root; otherwise a sentence says
what to install. A PostgreSQL or Redis that runs on the machine already is left alone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

# What is looked for, and the Debian package that brings it.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REDIS_SERVERS = ("valkey-server", "redis-server")
STARTS_WITHIN_SECONDS = 60
OLDEST_POSTGRES = 15


class CannotStart(Exception):
    """Something a person has to do first; the message says what."""


def postgres_folder() -> Path | None:
    """Return the folder with initdb and postgres of the newest PostgreSQL, if there is one."""
    debian = sorted(
        (int(path.parent.parent.name), path.parent)
        for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
        if path.parent.parent.name.isdigit()
    )
    if debian and debian[-1][0] >= OLDEST_POSTGRES:
        return debian[-1][1]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def first_on_path(names: tuple[str, ...]) -> str | None:
    """Return the first of these programs that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)


def missing_packages() -> list[str]:
    """Return the Debian packages that still have to be installed."""
    missing = []
    if postgres_folder() is None:
        missing.append("postgresql")
    if first_on_path(REDIS_SERVERS) is None:
        missing.append("redis-server")
    if first_on_path(BROWSERS) is None:
        missing.append("chromium")
    return missing


def install_what_is_missing() -> None:
    """Install PostgreSQL, Redis and Chromium with apt-get, or say that somebody has to."""
    packages = missing_packages()
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotStart(
            f"Missing here: {', '.join(packages)}. Please run: sudo apt-get install {' '.join(packages)}"
        )
    print(f"Installing {', '.join(packages)} with apt-get.", flush=True)
    # Runlevel 1 keeps the packages from starting servers of their own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotStart(f"apt-get {arguments[0]} failed:\n{done.stderr[-2000:]}")
    if still := missing_packages():
        raise CannotStart(
            f"apt-get installed no usable {', '.join(still)} (PostgreSQL {OLDEST_POSTGRES} or newer)."
        )


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server listens; give its last words when it ends instead."""
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise CannotStart(f"{Path(str(server.args[0])).name} did not start:\n{log.read_text()[-2000:]}")  # type: ignore[index]


def stop(server: subprocess.Popen[bytes], with_signal: signal.Signals) -> None:
    """End a server and wait for it; one that doesn't listen is killed."""
    if server.poll() is None:
        server.send_signal(with_signal)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def postgres(folder: Path, programs: Path) -> Iterator[str]:
    """Run a throw-away PostgreSQL; give its DATABASE_URL."""
    home, log, port = folder / "postgres", folder / "postgres.log", free_port()
    home.mkdir()
    # PostgreSQL refuses to run as root; Debian's package made a user for it.
    owner = "postgres" if os.geteuid() == 0 else None
    if owner:
        os.chown(home, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
    initdb: list[str | Path] = [programs / "initdb", "--pgdata", home / "data", "--username", "postgres"]
    initdb += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
    made = subprocess.run(
        initdb,
        user=owner,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CannotStart(f"initdb failed:\n{made.stderr}")
    # What a power cut would lose doesn't matter here, so nothing waits for the disk.
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
        "timezone": "UTC",
    }
    command: list[str | Path] = [programs / "postgres", "-D", home / "data"]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C is for the tests, the server stops after them.
        server = subprocess.Popen(
            command, user=owner, cwd=home, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_for_port(port, server, log)
        # Tests run as an ordinary role that may make databases, as in production no superuser is needed.
        for statement in (
            "CREATE ROLE csplatform LOGIN CREATEDB",
            "CREATE DATABASE csplatform OWNER csplatform",
        ):
            server_url = f"postgres://postgres@127.0.0.1:{port}/postgres"
            run_until_it_works([str(programs / "psql"), "-q", "-d", server_url, "-c", statement])
        yield f"postgres://csplatform@127.0.0.1:{port}/csplatform"
    finally:
        stop(server, signal.SIGINT)


def run_until_it_works(command: list[str]) -> None:
    """Repeat a command while the server is still waking up."""
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if time.monotonic() > deadline or "starting up" not in done.stderr:
            raise CannotStart(f"PostgreSQL refused {command[-1]}:\n{done.stderr}")
        time.sleep(0.2)


@contextmanager
def redis(folder: Path, program: str) -> Iterator[str]:
    """Run a throw-away Redis or Valkey that appends to a file, as in production; give its REDIS_URL."""
    home, log, port = folder / "redis", folder / "redis.log", free_port()
    home.mkdir()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home)]
    command += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--databases", "64"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=home, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_for_port(port, server, log)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        stop(server, signal.SIGTERM)


def interrupted(number: int, frame: object) -> NoReturn:
    """Leave through every `finally` on the way, so that the servers stop."""
    raise SystemExit(128 + number)


def run(command: list[str]) -> int:
    """Run the command with both servers; return its exit code."""
    install_what_is_missing()
    programs, program = postgres_folder(), first_on_path(REDIS_SERVERS)
    if programs is None or program is None:
        raise CannotStart("PostgreSQL or Redis vanished while we looked.")
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="csplatform-")))
        folder.chmod(0o755)
        environment = {
            **os.environ,
            "DATABASE_URL": stack.enter_context(postgres(folder, programs)),
            "REDIS_URL": stack.enter_context(redis(folder, program)),
        }
        print(f"DATABASE_URL={environment['DATABASE_URL']} REDIS_URL={environment['REDIS_URL']}", flush=True)
        child = subprocess.Popen(command, env=environment)
        try:
            while True:
                try:
                    return child.wait()
                except KeyboardInterrupt:
                    # The command got it as well and ends in its own way; wait for that.
                    continue
        finally:
            stop(child, signal.SIGTERM)


def main() -> int:
    if len(sys.argv) < 2:
        print("Say which command to run: scripts/services.py COMMAND…", file=sys.stderr)
        return 2
    try:
        return run(sys.argv[1:])
    except CannotStart as error:
        print(f"Services: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
