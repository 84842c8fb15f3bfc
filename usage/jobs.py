"""What follows on the roll-ups of usage outside the import that brings events."""

from __future__ import annotations

from team.work import Work, handles
from usage import rollups


@handles("usage.fill_features", lane="slow", time_limit=6 * 60 * 60, atomic=False)
def fill_features(work: Work) -> None:
    """After an upgrade: the days of each feature were not kept before."""
    rollups.fill_features()
