"""What was set before targets knew variants and groups."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from metrics.kpis import KPIS, Aims, Question
from metrics.models import Target
from metrics.tests.cast import FEBRUARY


def move_to(name: str) -> Any:
    executor = MigrationExecutor(connection)
    return executor.migrate([("metrics", name)]).apps.get_model("metrics", "Target")


@pytest.mark.django_db(transaction=True)
def test_a_target_set_before_still_holds_for_the_whole_kpi() -> None:
    newest = max(name for _, name in MigrationExecutor(connection).loader.graph.leaf_nodes("metrics"))
    try:
        before = move_to("0005_annotations")
        before.objects.create(kpi="nps", value=40, benchmark_low=20, benchmark_high=50)
    finally:
        move_to(newest)
    aim = Aims(Target.objects.all()).of(Question("nps", FEBRUARY), KPIS["nps"].default)
    assert (aim.target, aim.benchmark) == (40, (20, 50))
