from __future__ import annotations

import pytest

from playbooks.tests.cast import World, make_world, stop_the_clock


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 17 June 2026, noon, for as long as the test lasts."""
    stop_the_clock(monkeypatch)


@pytest.fixture
def world(db: None, noon: None) -> World:
    return make_world()
