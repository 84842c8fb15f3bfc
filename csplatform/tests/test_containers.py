"""docker-compose.yml and the Dockerfile, read as data: no container engine is needed to test them."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

ROOT = Path(settings.BASE_DIR)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def commands_of(name: str) -> list[list[str]]:
    """Return every program call of one of our services, what its health check runs included."""
    calls = [list(SERVICES[name].get("command", []))]
    check = SERVICES[name].get("healthcheck", {}).get("test", [])
    calls.append(shlex.split(check[1]) if check[:1] == ["CMD-SHELL"] else check[1:])
    for call in list(calls):
        if call[:2] == ["sh", "-c"]:
            calls.remove(call)
            calls += [shlex.split(part) for part in call[2].split("&&")]
    return [call for call in calls if call]


def test_the_platform_is_whole() -> None:
    assert set(SERVICES) == {"prepare", "web", "worker", "worker-slow", "beat", "db", "redis"}
    assert set(OURS) == {"prepare", "web", "worker", "worker-slow", "beat"}


def test_our_services_wait_for_a_database_that_is_up_to_date() -> None:
    for name in OURS.keys() - {"prepare"}:
        conditions = {on: how["condition"] for on, how in OURS[name]["depends_on"].items()}
        assert conditions == {
            "db": "service_healthy",
            "redis": "service_healthy",
            "prepare": "service_completed_successfully",
        }


def test_whatever_keeps_running_is_watched() -> None:
    assert [name for name in SERVICES if name != "prepare" and "healthcheck" not in SERVICES[name]] == []


def test_secrets_are_asked_for_and_never_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for variable in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        uses = re.findall(r"\$\{" + variable + r"([^}]*)\}", text)
        assert uses
        assert all(use.startswith(":?Write ") for use in uses)
        assert re.search(rf"^{variable}=$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)


def test_redis_appends_to_a_file_that_outlives_the_container() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert any(volume.endswith(":/data") for volume in SERVICES["redis"]["volumes"])


def test_every_volume_in_use_is_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_only_the_web_server_is_reachable_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(ports) == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in ports["web"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_exists(name: str) -> None:
    for call in commands_of(name):
        program, *arguments = call
        if program == "python" and arguments[0] == "manage.py":
            assert arguments[1] in get_commands()
        elif program == "python":
            assert (ROOT / arguments[0]).is_file()
        elif program == "celery":
            module = arguments[arguments.index("-A") + 1]
            assert importlib.import_module(f"{module}.celery").app.main == module
        else:
            assert shutil.which(program), program


def test_every_queue_has_a_worker() -> None:
    calls = [call for name in OURS for call in commands_of(name) if "-Q" in call]
    served = {queue for call in calls for queue in call[call.index("-Q") + 1].split(",")}
    assert served == set(settings.WORK_LONGEST_SECONDS)


def test_gunicorn_takes_the_command_of_the_image() -> None:
    found = re.search(r"^CMD \[(.*?)\]$", DOCKERFILE, flags=re.MULTILINE | re.DOTALL)
    assert found
    words = [word.strip().strip('"') for word in found[1].replace("\\\n", "").split(",")]
    assert words[0] == "gunicorn"
    done = subprocess.run(
        [sys.executable, "-m", *words, "--check-config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_image_copies_files_that_exist() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source not in ignored


def test_the_image_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, flags=re.MULTILINE)[-1] == "csplatform"
