#!/usr/bin/env python3
"""Write the lock files anew from requirements*.in and package.json (`make lock`).

One Python lock serves all our Python versions and platforms: a lock made on 3.11.7 alone would lack
async-timeout, which redis needs up to 3.11.2, Debian 12's version. No lock file names a registry, so they
work with whichever one a machine is set up for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from vendor import CannotFetch, npm_command

ROOT = Path(__file__).resolve().parent.parent
# In this order: the second is bound by the first.
REQUIREMENTS = ("requirements", "requirements-dev", "requirements-node")


def lock_python(name: str, *, upgrade: bool) -> None:
    """Pin everything that NAME.in asks for, directly or not, with the hash of every published file."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
    ]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--custom-compile-command", "make lock", f"{name}.in", "--output-file", f"{name}.txt"]
    subprocess.run(command + ["--upgrade"] * upgrade, cwd=ROOT, check=True)


def lock_front_end() -> None:
    """Bring package-lock.json in step with package.json, without addresses of any kind."""
    subprocess.run(
        [*npm_command(), "install", "--package-lock-only", "--loglevel=error"], cwd=ROOT, check=True
    )
    path = ROOT / "package-lock.json"
    lock = json.loads(path.read_text())
    for package in lock["packages"].values():
        package.pop("funding", None)
        package.pop("resolved", None)
    path.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")


def main() -> int:
    upgrade = "--upgrade" in sys.argv[1:]
    try:
        for name in REQUIREMENTS:
            lock_python(name, upgrade=upgrade)
        lock_front_end()
    except CannotFetch as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"Not locked: {error.cmd[0]} ended with {error.returncode}.", file=sys.stderr)
        return 1
    print("Locked. Try it with: make clean test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
