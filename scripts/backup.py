#!/usr/bin/env python3
"""Save the database, the files and the key into one archive, and bring such an archive back.

    scripts/backup.py save [FILE]                    (make backup [FILE=…])
    scripts/backup.py restore FILE [--overwrite]     (make restore FILE=… [OVERWRITE=yes])

Saving works while the site runs: SQLite's online backup and pg_dump both see one moment. Restoring wants
the site stopped, refuses to replace data unless told to, and brings an older release's archive up to date.
The archive holds personal data and the key that signs sessions, so only its owner can read it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FORMAT = 1
DUMPS = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}


class Refused(Exception):
    """Why nothing was saved or restored; the message says what to do."""


def postgres_environment(database: dict[str, Any]) -> dict[str, str]:
    """Return the environment in which PostgreSQL's own programs reach our database."""
    names = {
        "PGHOST": "HOST",
        "PGPORT": "PORT",
        "PGUSER": "USER",
        "PGPASSWORD": "PASSWORD",
        "PGDATABASE": "NAME",
    }
    given = {variable: str(database[key]) for variable, key in names.items() if database.get(key)}
    return {**os.environ, **given}


def run_postgres_program(arguments: list[str], database: dict[str, Any]) -> None:
    """Run pg_dump, pg_restore or psql on our database."""
    if not shutil.which(arguments[0]):
        raise Refused(
            f"{arguments[0]} is not on the PATH. Please run: sudo apt-get install postgresql-client"
        )
    done = subprocess.run(
        arguments, env=postgres_environment(database), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"{arguments[0]} failed:\n{done.stderr.strip()}")


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, while others may write."""
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)


def save(file: Path) -> str:
    """Write the archive; return what is in it, in words."""
    from django.conf import settings
    from django.db import connection

    database = settings.DATABASES["default"]
    about = {
        "format": FORMAT,
        "database": connection.vendor,
        "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="csplatform-backup-") as folder:
        dump = Path(folder) / DUMPS[connection.vendor]
        if connection.vendor == "sqlite":
            if not Path(database["NAME"]).is_file():
                raise Refused(f"There is no database yet: {database['NAME']}.")
            copy_sqlite(Path(database["NAME"]), dump)
        else:
            run_postgres_program(["pg_dump", "--format=custom", "--no-owner", f"--file={dump}"], database)
        # Made under another name, so that a file called a backup is a whole one.
        half = file.with_name(file.name + ".part")
        half.touch(mode=0o600)
        half.chmod(0o600)
        with tarfile.open(half, "w:gz") as archive:
            content = json.dumps(about).encode()
            entry = tarfile.TarInfo("about.json")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            archive.add(dump, arcname=dump.name)
            if (settings.VAR_DIR / "secret_key").is_file():
                archive.add(settings.VAR_DIR / "secret_key", arcname="secret_key")
            if Path(settings.MEDIA_ROOT).is_dir():
                archive.add(settings.MEDIA_ROOT, arcname="files")
        half.replace(file)
    return f"Saved {file} ({file.stat().st_size // 1024} kB)."


def unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack an archive's plain files; return what it says about itself."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if not member.isfile() or path.is_absolute() or ".." in path.parts:
                    continue
                content = archive.extractfile(member)
                if content is None:
                    continue
                target = folder.joinpath(*path.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("wb") as output:
                    shutil.copyfileobj(content, output)
        about: dict[str, Any] = json.loads((folder / "about.json").read_text())
    except FileNotFoundError as error:
        raise Refused(f"{file} is not there, or no backup of csplatform.") from error
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise Refused(f"{file} can't be read as a backup: {error}.") from error
    if about.get("format") != FORMAT:
        raise Refused(f"{file} has format {about.get('format')!r}; this release reads {FORMAT}.")
    return about


def has_data() -> bool:
    """Say whether somebody has an account on this installation."""
    from django.contrib.auth import get_user_model
    from django.db import DatabaseError

    try:
        return bool(get_user_model()._default_manager.exists())
    except DatabaseError:
        return False


def restore_sqlite(dump: Path, target: Path) -> None:
    """Put a SQLite database in place, whole or not at all."""
    new = target.with_name(target.name + ".restoring")
    copy_sqlite(dump, new)
    with closing(sqlite3.connect(new)) as database:
        verdict = database.execute("PRAGMA integrity_check").fetchone()[0]
    if verdict != "ok":
        new.unlink()
        raise Refused(f"The database in the archive is damaged: {verdict}.")
    for leftover in ("-wal", "-shm"):
        target.with_name(target.name + leftover).unlink(missing_ok=True)
    new.replace(target)


def restore_postgres(dump: Path, database: dict[str, Any]) -> None:
    """Empty the schema and load the dump, in one transaction as far as pg_restore goes."""
    emptied = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
    run_postgres_program(["psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--command={emptied}"], database)
    loading = ["pg_restore", "--no-owner", "--exit-on-error", "--single-transaction"]
    run_postgres_program([*loading, f"--dbname={database['NAME']}", str(dump)], database)


def restore(file: Path, *, overwrite: bool) -> str:
    """Bring an archive back; return what was done, in words."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    with tempfile.TemporaryDirectory(prefix="csplatform-restore-") as unpacked:
        folder = Path(unpacked)
        about = unpack(file, folder)
        if about["database"] != connection.vendor:
            raise Refused(
                f"{file} comes from {about['database']}, this installation uses {connection.vendor}: "
                "restore it where DATABASE_URL names the same kind."
            )
        if has_data() and not overwrite:
            raise Refused("This installation has data. To replace all of it, add OVERWRITE=yes.")
        connection.close()
        dump = folder / DUMPS[connection.vendor]
        if connection.vendor == "sqlite":
            restore_sqlite(dump, Path(settings.DATABASES["default"]["NAME"]))
        else:
            restore_postgres(dump, settings.DATABASES["default"])
        files = Path(settings.MEDIA_ROOT)
        shutil.rmtree(files, ignore_errors=True)
        if (folder / "files").is_dir():
            shutil.copytree(folder / "files", files)
        if (folder / "secret_key").is_file():
            key = settings.VAR_DIR / "secret_key"
            shutil.copyfile(folder / "secret_key", key)
            key.chmod(0o600)
        call_command("migrate", interactive=False, verbosity=0)
    return f"Restored {file}, saved at {about['saved_at']}."


def main() -> int:
    parser = argparse.ArgumentParser(description="Save or restore an installation.")
    actions = parser.add_subparsers(dest="action", required=True)
    saving = actions.add_parser("save")
    saving.add_argument("file", nargs="?", type=Path)
    restoring = actions.add_parser("restore")
    restoring.add_argument("file", nargs="?", type=Path)
    restoring.add_argument("--overwrite", action="store_true")
    asked = parser.parse_args()

    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "csplatform.settings")
    import django
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
        if asked.action == "save":
            name = f"csplatform-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
            print(save(asked.file or settings.VAR_DIR / "backups" / name))
        elif asked.file is None:
            raise Refused("Say which archive: make restore FILE=var/backups/….tar.gz")
        else:
            print(restore(asked.file, overwrite=asked.overwrite))
    except (Refused, ImproperlyConfigured, OSError) as error:
        print(f"Nothing was {'saved' if asked.action == 'save' else 'restored'}. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
