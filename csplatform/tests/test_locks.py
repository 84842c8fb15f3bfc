"""What we build on is pinned to the byte, and the lock files work with any registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
NAMES = ["requirements", "requirements-dev", "requirements-node"]
PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?P<rest>(?:.*\\\n)(?:    --hash=.*\n)*)", re.MULTILINE
)


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Return version and number of hashes by package."""
    text = (ROOT / f"{name}.txt").read_text()
    return {
        found["name"].lower(): (found["version"], found["rest"].count("--hash=sha256:"))
        for found in PIN.finditer(text)
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    lines = (ROOT / f"{name}.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith(("#", " "))]
    assert len(pins(name)) == len(packages) > 0
    assert all(hashes for _, hashes in pins(name).values())


@pytest.mark.parametrize("name", NAMES)
def test_what_we_ask_for_is_what_is_locked(name: str) -> None:
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    asked = [line for line in lines if line and not line.startswith(("#", "-c"))]
    locked = {package: version for package, (version, _) in pins(name).items()}
    for line in asked:
        package, version = re.sub(r"\[.*\]", "", line).split("==")
        assert locked[package.lower()] == version


def test_packages_of_both_locks_have_one_version() -> None:
    ours, tools = pins("requirements"), pins("requirements-dev")
    assert {name for name in ours.keys() & tools.keys() if ours[name][0] != tools[name][0]} == set()


def test_the_lock_serves_debians_python_as_well() -> None:
    """redis needs async-timeout up to Python 3.11.2; a lock made on a newer one would leave it out."""
    assert "async-timeout" in pins("requirements")


def test_front_end_packages_are_pinned_with_hashes() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    asked = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert lock[""]["dependencies"] == asked
    assert all(re.fullmatch(r"[0-9.]+", version) for version in asked.values())
    assert all(package["integrity"].startswith("sha512-") for path, package in lock.items() if path)


@pytest.mark.parametrize("file", [*(f"{name}.txt" for name in NAMES), "package-lock.json"])
def test_no_lock_names_a_registry_or_a_machine(file: str) -> None:
    assert not re.search(
        r"https?:|file:|--(extra-)?index-url|--find-links|\"resolved\"", (ROOT / file).read_text()
    )
