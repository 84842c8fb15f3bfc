"""Every KPI there is: those of the code, and those that are kept in the database.

Apps above this one add theirs with `register` when they start. What is kept in the database is
read anew on each look-up of a slug the code does not have, so that every process sees a change
at once; whoever keeps KPIs there says with `keeps` how they are read, and makes that cheap.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from contextlib import contextmanager
from types import MappingProxyType

from metrics.kpis.definition import Kpi

Kept = Callable[[], Mapping[str, Kpi]]


class Registry(Mapping[str, Kpi]):
    """KPIs by their slug, in the order in which they are shown; those of one theme stand together."""

    def __init__(self, kpis: Iterable[Kpi]) -> None:
        self._built_in: dict[str, Kpi] = {}
        self._kept: Kept = dict
        self.register(*kpis)

    def register(self, *kpis: Kpi) -> None:
        """Add KPIs of the code, each once; a theme that exists already takes them in at its end."""
        for kpi in kpis:
            if self._built_in.setdefault(kpi.slug, kpi) is not kpi:
                raise ValueError(f"Two KPIs are called {kpi.slug!r}.")
        found = list(self._built_in.values())
        themes = dict.fromkeys(kpi.theme for kpi in found)
        self._built_in = {kpi.slug: kpi for theme in themes for kpi in found if kpi.theme == theme}

    def keeps(self, kept: Kept) -> None:
        """Say how the KPIs of the database are read. One of the code hides one of theirs with its slug."""
        self._kept = kept

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Show the KPIs of the code alone, for tools that look at code where no database is."""
        kept, self._kept = self._kept, dict
        try:
            yield
        finally:
            self._kept = kept

    @property
    def built_in(self) -> Mapping[str, Kpi]:
        """The KPIs of the code: the same in every installation of this version."""
        return MappingProxyType(self._built_in)

    def _all(self) -> dict[str, Kpi]:
        return {**self._built_in, **{s: k for s, k in self._kept().items() if s not in self._built_in}}

    def __getitem__(self, slug: str) -> Kpi:
        return self._built_in[slug] if slug in self._built_in else self._kept()[slug]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def values(self) -> ValuesView[Kpi]:
        return self._all().values()

    def items(self) -> ItemsView[str, Kpi]:
        return self._all().items()
