"""One value with what it came from, and how it is written down to be read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from metrics.calculations import Estimate, Interval
from metrics.kpis.definition import Counts


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One value with what it came from. `counts` are exact; a missing value has a reason."""

    value: Decimal | None
    numerator: Decimal | None
    denominator: Decimal | None
    sample_size: int | None
    interval: Interval | None = None
    is_small_sample: bool = False
    reason: str = ""
    counts: Counts = field(default_factory=dict)
    is_corrected: bool = False
    # For comparing it with another period; None where that is not defined.
    estimate: Estimate | None = None
    # The scale its scores were given on, where those must not be mixed.
    scale: str = ""

    @property
    def says(self) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
        """What a reader keeps of it: a figure that says the same is no other one."""
        return self.value, self.numerator, self.denominator


_READ: dict[str, Callable[[Any], Any]] = {
    "value": Decimal,
    "numerator": Decimal,
    "denominator": Decimal,
    "interval": lambda ends: Interval(*map(Decimal, ends)),
    "estimate": lambda parts: Estimate(*map(Decimal, parts)),
    "counts": lambda counts: {name: Decimal(number) for name, number in counts.items()},
}


def written(figure: Figure) -> str:
    """Return the figure as text, exact to the last digit; what is empty is left out."""
    found = {each.name: _plain(getattr(figure, each.name)) for each in fields(figure)}
    return json.dumps(
        {name: value for name, value in found.items() if value or (value == 0 and value is not False)},
        separators=(",", ":"),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [str(part) for part in value]
    if isinstance(value, dict):
        return {name: str(number) for name, number in value.items()}
    return value


def read(text: str) -> Figure:
    """Return the figure that was written as this text."""
    found = {name: _READ[name](value) if name in _READ else value for name, value in json.loads(text).items()}
    for name in ("value", "numerator", "denominator", "sample_size"):
        found.setdefault(name, None)
    return Figure(**found)
