"""What every test may ask for: the real data sets, a browser, and a runtime folder of its own."""

from __future__ import annotations

import gc
import os
import re
import shutil
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test.utils import override_settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling

# Machines differ in speed by more than any deadline allows for; examples are found again by their seed.
hypothesis_settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("ours")

ROOT = Path(__file__).resolve().parent
NO_REAL_DATA = "the real data sets are missing"


def real_data_folder() -> Path:
    """Return where the real data sets should lie: CSPLATFORM_DATA, else shared/data beside the project."""
    return Path(os.environ.get("CSPLATFORM_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets, a sub-folder each.

    Without it the test is skipped, and the last lines of the run say so.
    """
    folder = real_data_folder()
    if not folder.is_dir():
        pytest.skip(f"{NO_REAL_DATA}: no folder {folder} (set CSPLATFORM_DATA)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep uploads and other runtime files of the tests out of the developer's var/.

    Two more settings differ from production: static files need no `collectstatic` first, and passwords
    are hashed quickly. A test about either sets it back with the `settings` fixture.
    """
    folder = tmp_path_factory.mktemp("var")
    (folder / "static").mkdir()
    with override_settings(
        VAR_DIR=folder,
        MEDIA_ROOT=folder / "files",
        STATIC_ROOT=folder / "static",
        STORAGES={
            **settings.STORAGES,
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS],
    ):
        yield folder


@pytest.fixture(scope="session", autouse=True)
def facts_of_apps_above() -> None:
    """Give the KPIs of apps above metrics something to count in the company that tests ask about."""
    from metrics.tests import cast
    from playbooks.tests.tasks_cast import finish_tasks

    cast.ALSO[:] = [finish_tasks]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Debian's or any other Chromium on this machine; `make test-services` installs one where it may."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on the PATH: apt-get install chromium, or run make test-services")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium_path: str) -> dict[str, Any]:
    """Start the machine's own Chromium instead of a build that Playwright would have to fetch."""
    # Playwright's synchronous interface keeps an event loop running in the test's thread, which
    # Django takes for asynchronous code and refuses to query the database from.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    arguments = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    return {**browser_type_launch_args, "executable_path": chromium_path, "args": arguments}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Let tests loop over KPIS in their parameters: while they are found there is no database yet."""
    from metrics.kpis import KPIS  # models are not loaded when this file is

    with KPIS.without_database():
        return (yield)


# Files whose tests about one subject, the first word of their parameters, ask the same questions.
BY_SUBJECT = {"metrics/tests/test_kpis.py"}


class Together(LoadScopeScheduling):
    """Hands out tests one by one, but together those that would else make the same in each process.

    The marker xdist_group does nothing with pytest 9.2: pytest-xdist 3.8 sets an attribute that is
    no longer read.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if file in BY_SUBJECT and "[" in test:
            return f"{file} {re.split('[] ]', test.partition('[')[2])[0]}"
        return file if makes_something_once(file) else nodeid


@cache
def makes_something_once(file: str) -> bool:
    """Return whether a file has a fixture for all of its tests, such as a company or an installation."""
    return 'scope="module"' in (ROOT / file).read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported, and most of its rounds: a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the real data or a browser, so that `-m` finds it without anybody having to remember."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "real_data" in fixtures:
            item.add_marker(pytest.mark.real_data)
        if "browser_type_launch_args" in fixtures or "page" in fixtures:
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say aloud when the real data was not there: a green run without it proves much less."""
    reports = terminalreporter.stats.get("skipped", [])
    skipped = sum(NO_REAL_DATA in str(report.longrepr) for report in reports)
    if skipped:
        terminalreporter.section("NOT TESTED", sep="!", red=True)
        terminalreporter.line(f"{skipped} tests on real data did not run: {real_data_folder()} is no folder.")
