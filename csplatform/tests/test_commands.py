"""The commands people type: each exists, is listed, and runs programs that exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

ROOT = Path(settings.BASE_DIR)
MAKEFILE = (ROOT / "Makefile").read_text()
CONTRACT = [
    *("setup", "demo", "demo-reset", "test", "check", "test-services", "bench"),
    *("lock", "backup", "restore", "screenshots", "clean", "help"),
]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Not as a part of the `make test` that may be running us.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_make_without_a_target_lists_every_command() -> None:
    listed = re.findall(r"^  (\S+) {2,}\S", make().stdout, flags=re.MULTILINE)
    assert set(CONTRACT) <= set(listed)


@pytest.mark.parametrize("target", CONTRACT)
def test_every_promised_target_can_be_made(target: str) -> None:
    answer = make("--dry-run", target, "FILE=backup.tar.gz")
    assert answer.returncode == 0, answer.stderr


def test_scripts_that_the_makefile_runs_exist() -> None:
    for name in set(re.findall(r"scripts/[\w-]+\.(?:py|sh)", MAKEFILE)):
        assert (ROOT / name).is_file(), name
    assert os.access(ROOT / "scripts/setup.sh", os.X_OK)


def test_django_commands_in_the_makefile_exist() -> None:
    commands = re.findall(r"\$\(MANAGE\) (\w+)", MAKEFILE)
    assert commands
    assert set(commands) <= set(get_commands())


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("*.md")))
def test_make_commands_in_our_pages_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE))
    named = re.findall(r"(?:^|`|\s{4})make ([a-z][a-z-]*)", (ROOT / page).read_text(), flags=re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("false", "is not a Python 3.11, 3.12 or 3.13"),
        ("no-such-python", "is not a Python 3.11, 3.12 or 3.13"),
    ],
)
def test_setup_refuses_an_interpreter_that_does_not_fit(program: str, words: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    done = subprocess.run(
        [tmp_path / "scripts/setup.sh", "python"],
        env={**os.environ, "PYTHON": program},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr
