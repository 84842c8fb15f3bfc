"""What people, companies and conversations of the demo are called and say, from words.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


class Culture(NamedTuple):
    """How people and companies of one language area are named."""

    first_names: list[str]
    last_names: list[str]
    stem_heads: list[str]
    stem_tails: list[str]
    trades: list[str]


class Country(NamedTuple):
    code: str
    region: str
    culture: str
    language: str
    time_zone: str
    legal_forms: list[str]
    weight: int


class Outcome(NamedTuple):
    """A business figure of their own that customers buy us for."""

    name: str
    unit: str
    baseline: list[int]
    best_change: float
    higher_is_better: bool


class Goal(NamedTuple):
    """A milestone of every new customer."""

    name: str
    due_after_days: int
    usual_days: list[int]


@dataclass(frozen=True)
class Words:
    raw: dict[str, Any]
    countries: list[Country]
    cultures: dict[str, Culture]
    outcomes: list[Outcome]
    goals: list[Goal]

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]


@cache
def words() -> Words:
    raw = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))
    return Words(
        raw=raw,
        countries=[Country(**row) for row in raw["countries"]],
        cultures={name: Culture(**row) for name, row in raw["cultures"].items()},
        outcomes=[Outcome(**row) for row in raw["outcomes"]],
        goals=[Goal(**row) for row in raw["milestones"]],
    )
