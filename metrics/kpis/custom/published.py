"""The custom KPIs that everybody sees, as the registry reads them.

A version never changes, so what was made of it is kept in the process by the digest of its
content. Which versions are in force is asked each time: one short statement, and no process
ever answers by yesterday's definition.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from metrics.kpis.custom.definition import DefinitionError, kpi_of, read_formula
from metrics.kpis.definition import Kpi
from metrics.models import CustomKpi, CustomKpiVersion

log = structlog.get_logger(__name__)

# {(slug, digest): the KPI, or None where this version of the code cannot read it}
_made: dict[tuple[str, str], Kpi | None] = {}


def published() -> Mapping[str, Kpi]:
    """Return {slug: KPI} of all that are published."""
    global _made
    found = CustomKpi.objects.filter(state=CustomKpi.State.PUBLISHED, current__isnull=False)
    in_force = list(found.order_by("pk").values_list("slug", "current__digest"))
    made = _made
    if missing := [digest for slug, digest in in_force if (slug, digest) not in made]:
        versions = CustomKpiVersion.objects.filter(digest__in=missing).select_related("kpi")
        # A new dictionary: another thread may be reading the old one.
        kept = {key: kpi for key, kpi in made.items() if key in set(in_force)}
        made = kept | {(version.kpi.slug, version.digest): _read(version) for version in versions}
        _made = made
    return {slug: kpi for slug, digest in in_force if (kpi := made.get((slug, digest))) is not None}


def _read(version: CustomKpiVersion) -> Kpi | None:
    try:
        return kpi_of_version(version)
    except DefinitionError as error:
        # One that names facts we no longer count must not take the others with it.
        log.error(
            "a custom KPI cannot be read", kpi=version.kpi.slug, version=version.number, error=str(error)
        )
        return None


def kpi_of_version(version: CustomKpiVersion) -> Kpi:
    """Return the KPI of a version; raises DefinitionError when its formula can no longer be read."""
    return kpi_of(
        version.kpi.slug,
        version.label,
        read_formula(version.formula),
        direction=version.direction,
        words=version.definition,
        number=version.number,
    )
