"""`make backup` and `make restore`: all comes back on an empty machine, and nothing is lost by mistake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
NAMES = "from team.models import User; print(sorted(User.objects.values_list('email', flat=True)))"
ADD_ADA = "from team.models import User; User.objects.create_user('ada@example.com', 'a-long-password')"


class Installation:
    """One installation with its own runtime folder and database, used as its operator would."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.folder = folder
        self.environment = {**os.environ, "CSPLATFORM_VAR": str(folder), "DATABASE_URL": database_url}
        if not database_url:
            del self.environment["DATABASE_URL"]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def shell(self, code: str) -> str:
        done = self.run("manage.py", "shell", "--verbosity", "0", "--command", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fill(self) -> None:
        self.folder.mkdir(exist_ok=True)
        assert self.run("manage.py", "migrate", "--verbosity", "0").returncode == 0
        self.shell(ADD_ADA)
        (self.folder / "files").mkdir()
        (self.folder / "files" / "rows.csv").write_text("Acme,1\n")

    def save(self, file: Path) -> None:
        done = self.run("scripts/backup.py", "save", file)
        assert done.returncode == 0, done.stderr

    def restore(self, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("scripts/backup.py", "restore", file, *options)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, Path]:
    """An installation where Ada works, and its backup."""
    installation = Installation(tmp_path_factory.mktemp("old"))
    installation.fill()
    file = tmp_path_factory.mktemp("backups") / "backup.tar.gz"
    installation.save(file)
    return installation, file


def test_a_backup_comes_back_on_an_empty_machine(saved: tuple[Installation, Path], tmp_path: Path) -> None:
    old, file = saved
    new = Installation(tmp_path / "new")
    done = new.restore(file)
    assert done.returncode == 0, done.stderr
    assert new.shell(NAMES) == "['ada@example.com']"
    assert (new.folder / "files" / "rows.csv").read_text() == "Acme,1\n"
    assert (new.folder / "secret_key").read_text() == (old.folder / "secret_key").read_text()


def test_data_that_is_there_is_replaced_only_when_told_to(
    saved: tuple[Installation, Path], tmp_path: Path
) -> None:
    old, file = saved
    shutil.copytree(old.folder, tmp_path / "busy")
    busy = Installation(tmp_path / "busy")
    busy.shell(ADD_ADA.replace("ada@", "grace@"))
    refused = busy.restore(file)
    assert refused.returncode == 1
    assert "OVERWRITE=yes" in refused.stderr
    assert "grace@example.com" in busy.shell(NAMES)
    assert busy.restore(file, "--overwrite").returncode == 0
    assert busy.shell(NAMES) == "['ada@example.com']"


def test_only_its_owner_may_read_a_backup(saved: tuple[Installation, Path]) -> None:
    _, file = saved
    assert file.stat().st_mode & 0o077 == 0


def test_half_a_backup_is_refused_and_changes_nothing(
    saved: tuple[Installation, Path], tmp_path: Path
) -> None:
    _, file = saved
    half = tmp_path / "half.tar.gz"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    new = Installation(tmp_path / "new")
    done = new.restore(half)
    assert done.returncode == 1
    assert "can't be read as a backup" in done.stderr
    assert not (new.folder / "db.sqlite3").exists()


def test_a_file_that_tries_to_leave_its_folder_is_left_out(
    saved: tuple[Installation, Path], tmp_path: Path
) -> None:
    _, file = saved
    evil = tmp_path / "evil.tar.gz"
    with tarfile.open(file) as old, tarfile.open(evil, "w:gz") as new:
        for member in old:
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
        new.addfile(tarfile.TarInfo("files/../../../escaped.txt"))
    assert Installation(tmp_path / "new").restore(evil).returncode == 0
    assert list(tmp_path.rglob("escaped.txt")) == []


def test_a_backup_of_another_kind_of_database_is_refused(
    saved: tuple[Installation, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.tar.gz"
    about = tmp_path / "about.json"
    about.write_text(
        json.dumps({"format": 1, "database": "postgresql", "saved_at": "2026-01-01T00:00:00+00:00"})
    )
    with tarfile.open(other, "w:gz") as archive:
        archive.add(about, arcname="about.json")
    done = Installation(tmp_path / "new").restore(other)
    assert done.returncode == 1
    assert "comes from postgresql, this installation uses sqlite" in done.stderr


@pytest.mark.services
def test_a_backup_of_postgresql_comes_back_in_an_empty_database(tmp_path: Path) -> None:
    url = os.environ["DATABASE_URL"]
    names = [f"backup_{uuid4().hex}", f"restore_{uuid4().hex}"]
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE DATABASE "{name}"')
        try:
            old, new = (Installation(tmp_path / name, url.rsplit("/", 1)[0] + f"/{name}") for name in names)
            old.fill()
            old.save(tmp_path / "backup.tar.gz")
            done = new.restore(tmp_path / "backup.tar.gz")
            assert done.returncode == 0, done.stderr
            assert new.shell(NAMES) == "['ada@example.com']"
        finally:
            for name in names:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
