"""What a KPI is: facts that are counted, arithmetic that joins the counts, and words.

A `Part` names the facts at the grain of a row and what each row adds to one or more counts.
Totals, groups, series and the rows on a page all come from the same part, so they agree by
construction. A `Variant` says which counts its arithmetic takes: those named like the
arguments of its `calculate`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from django.conf import settings
from django.db import models
from django.db.models import F
from django.db.models.expressions import Combinable

from csplatform.periods import EARLIEST, Period
from metrics.calculations import Estimate, Interval, Spread, as_counted
from metrics.survival import Point

Counts = dict[str, Decimal]
Boundary = Literal["start", "end"]

DIMENSIONS = ("csm", "segment", "plan", "lifecycle_stage")
STEPS = ("day", "week", "month", "quarter", "year")
# SQLite finds no key of a JSON object that has one of these in its name.
UNNAMEABLE = frozenset('"\\\x00')
# What `calculate` may ask for beside its counts.
SPREAD, PERIOD_DAYS, PERIOD_MONTHS = "spread", "period_days", "period_months"
# The workspace's gross margin, a setting.
MARGIN = "margin_percent"


class KpiError(ValueError):
    """A question that cannot be asked: names the field and the rule."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Scope:
    """What a count is about: which days, as known when, asked at which moment."""

    period: Period
    now: datetime
    known_at: datetime | None = None

    @property
    def as_of(self) -> datetime:
        """The moment from which we look back: then if asked so, else now. Nobody looks back from later."""
        return min(self.known_at, self.now) if self.known_at else self.now


@dataclass(frozen=True)
class Amount:
    """What one row adds to a count."""

    of: Combinable
    kind: Literal["count", "quantity", "money", "distinct"] = "count"


def within(period: Period) -> date:
    """Say that only facts of the period's own days count."""
    return period.start


def up_to_end(period: Period) -> date:
    """Say that all facts up to the period's end count, and none after it."""
    return EARLIEST


def money(of: Combinable | str) -> Amount:
    return Amount(F(of) if isinstance(of, str) else of, "money")


def distinct(of: Combinable | str) -> Amount:
    """Count each value once, however many rows have it; groups of such counts don't add up."""
    return Amount(F(of) if isinstance(of, str) else of, "distinct")


def quantity(of: Combinable | str) -> Amount:
    return Amount(F(of) if isinstance(of, str) else of, "quantity")


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """A way to group that only some KPIs have, such as by agent, by feature or by category.

    One that `takes_name` stands for many: it is asked as `slug:name`, such as `attribute:terminal`,
    and its labels are the names there are.
    """

    slug: str
    label: str
    # What a reader sees for a key; the key itself where this says nothing. A function reads the
    # database: pages offer what it returns.
    labels: Mapping[str, str] | Callable[[], Mapping[str, str]] = field(default_factory=dict)
    takes_name: bool = False

    def known_labels(self) -> Mapping[str, str]:
        return self.labels() if callable(self.labels) else self.labels

    def called(self, name: str) -> Grouping:
        """Return the grouping by one of the things that it stands for."""
        return Grouping(slug=f"{self.slug}:{name}", label=name)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Facts, and what each of them counts for.

    `account` is the path from a fact to its account, empty when the fact is the account.
    `csm_on` says which day's CSM is credited: at the period's start, on its last day, or on
    a day of the row. `columns` are shown for each row and, with the account, say what one
    row is; rows that cancel each other out disappear.

    `groups` says to which group of the KPI's own groupings a row belongs, as text. A part that
    lacks a grouping counts in full beside each of its groups: all accounts beside each feature.
    For a grouping that takes a name it is a function of that name.
    A part with a `spread` also keeps its rows apart by a whole number (seconds, days), so that
    medians and survival can be worked out; rows without one are no part of the spread.
    `recorded` is the path to the moment at which we learned of a fact, where it has one;
    `details` are columns that tell single facts apart where a row of `columns` sums many.

    Figures are stored, and worked out again when facts changed that count in them. Unless a part
    says more, a change of any fact it reads makes it stale for all periods. With `first_on` it
    promises that facts of later days than the period's do not count, nor those before that day:
    `within`, `up_to_end`, or a function of its own. A part whose counts change by the clock
    at any moment says with `steady_until` when they do so next, None for never; else it is not
    stored.
    """

    facts: Callable[[Scope], models.QuerySet[Any]]
    amounts: Mapping[str, Amount]
    account: str = "account"
    csm_on: Boundary | Combinable = "end"
    currency: str = ""
    # Money is exchanged at the rate of a boundary of the period, or of the month of a day of the row.
    rate_on: Boundary | str = "end"
    # True for rows that count in totals but never for one account.
    anonymous: str = ""
    # Tells apart amounts that must not be added up, such as scores on different scales.
    scale: Combinable | None = None
    columns: Mapping[str, str | Combinable] = field(default_factory=dict)
    groups: Mapping[str, str | Combinable | Callable[[str], Combinable]] = field(default_factory=dict)
    spread: Combinable | None = None
    recorded: str = ""
    details: Mapping[str, str | Combinable] = field(default_factory=dict)
    first_on: Callable[[Period], date] | None = None
    steady_until: Callable[[Scope], datetime | None] | None = None
    # What it was found to read, by grouping (metrics.kpis.reach).
    reaches: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def group(self, grouping: str) -> str | Combinable | None:
        """Return to which group of one of the KPI's own groupings a row belongs; None without it."""
        of = self.groups.get(grouping)
        if of is None and ":" in grouping:
            slug, name = grouping.split(":", 1)
            of = self.groups.get(slug)
            return of(name) if callable(of) else None
        return None if callable(of) else of


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to work a KPI out; the first of a KPI is the default."""

    slug: str = ""
    label: str = ""
    parts: tuple[Part, ...]
    numerator: str
    denominator: str = ""
    calculate: Callable[..., Decimal | None] = as_counted
    interval: Callable[[Counts], Interval | None] | None = None
    interval_of_spread: Callable[[Spread], Interval | None] | None = None
    # For how long how many wait: pages draw it as a curve.
    survival: Callable[[Spread], Sequence[Point]] | None = None
    # What the value is held to be and how far it may be off, for comparing two periods.
    estimate: Callable[[Counts], Estimate | None] | None = None
    # The count that says how many were asked or seen.
    sample: str = ""
    # Why there is no value; where there are several reasons, which one the counts tell.
    reason: str = ""
    reason_of: Callable[[Counts], str] | None = None
    # What pages mark a value with that calls for it, such as a loss; empty words mark nothing.
    remark: Callable[[Decimal], str] | None = None
    # Only for plain counts and sums; else the docstring of `calculate` says both.
    formula: str = ""
    source: str = ""
    unit: str = ""
    # What pages call a count whose name alone does not say it.
    count_labels: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of what `calculate` takes: counts, `spread`, the length of the period, the margin."""
        return () if self.calculate is as_counted else tuple(inspect.signature(self.calculate).parameters)

    def value(self, counts: Counts, *, period: Period, spread: Spread = ()) -> Decimal | None:
        if self.calculate is as_counted:
            return as_counted(counted=counts[self.numerator])
        known: Mapping[str, Any] = {
            **counts,
            SPREAD: spread,
            PERIOD_DAYS: period.days,
            PERIOD_MONTHS: period.months,
            MARGIN: settings.GROSS_MARGIN_PERCENT,
        }
        return self.calculate(**{name: known[name] for name in self.arguments})

    def remark_on(self, value: Decimal | None) -> str:
        return self.remark(value) if self.remark and value is not None else ""

    def says(self, heading: str) -> str:
        """Return what the docstring of `calculate` says under a heading such as "Formula"."""
        words: list[str] = []
        is_inside = False
        for line in (inspect.getdoc(self.calculate) or "").splitlines():
            if line.startswith(f"{heading}:"):
                is_inside = True
                words.append(line.removeprefix(f"{heading}:"))
            elif is_inside and line.startswith(" "):
                words.append(line)
            else:
                is_inside = False
        return " ".join(" ".join(words).split())

    @property
    def formula_text(self) -> str:
        return self.formula or self.says("Formula")

    @property
    def source_text(self) -> str:
        return self.source or self.says("Source")

    def part_of(self, count: str) -> Part:
        return next(part for part in self.parts if count in part.amounts)

    @cached_property
    def spread_part(self) -> Part | None:
        """The part whose values are spread, if there is one."""
        return next((part for part in self.parts if part.spread is not None), None)

    @property
    def count_names(self) -> list[str]:
        return [name for part in self.parts for name in part.amounts if not name.startswith("_")]


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """One number, defined once for the API, the pages, the command, the documents and the tests."""

    slug: str
    label: str
    theme: str
    # percent, points, count, ratio, hours, days, months; "money" goes out as the reporting currency.
    unit: str
    higher_is_better: bool | None
    definition: str
    variants: tuple[Variant, ...]
    kind: Literal["flow", "level", "rate"]
    version: int = 1
    shared_groups: tuple[str, ...] = DIMENSIONS + STEPS
    own_groups: tuple[Grouping, ...] = ()
    # False where a person or account can stand in two groups: those counts don't add up.
    is_additive: bool = True
    # False where facts keep no second clock: `known_at` is answered from the stored value.
    has_known_at: bool = True
    # True where the database exchanges amounts row by row: then only to the reporting currency.
    is_exchanged_by_database: bool = False
    benchmark: tuple[Decimal, Decimal] | None = None
    # Which months are asked when nobody says: up to today, or from this month on. 0 is this month so far.
    default_months: int = 0
    looks_ahead: bool = False
    # Of what looks ahead: the variant that says how far off it was, which pages show beside it.
    judged_by: str = ""
    # KPIs whose values pages show beside those of this one, for the whole and for each group.
    beside: tuple[str, ...] = ()
    # Defined by this installation, not by the code.
    is_custom: bool = False
    # Further counts worked out from the counts: exchange effects, transfers.
    derive: (
        Callable[[Counts, Mapping[str, Mapping[str, Decimal]], Callable[[str], Decimal]], Counts] | None
    ) = None
    # What stands for the code that makes it, by the settings that it reads (metrics.kpis.reach).
    fingerprints: dict[Any, str] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def groups(self) -> tuple[str, ...]:
        """What it can be grouped by."""
        return (*self.shared_groups, *(grouping.slug for grouping in self.own_groups))

    @property
    def group_words(self) -> tuple[str, ...]:
        """How its groups are asked for, with NAME where any name can stand."""
        takes_name = {grouping.slug for grouping in self.own_groups if grouping.takes_name}
        return tuple(f"{name}:NAME" if name in takes_name else name for name in self.groups)

    def grouping(self, slug: str) -> Grouping | None:
        """Return one of the KPI's own groupings, or None when the slug names none of them."""
        family, _, name = slug.partition(":")
        for grouping in self.own_groups:
            if grouping.takes_name and grouping.slug == family and name and not set(name) & UNNAMEABLE:
                return grouping.called(name)
            if not grouping.takes_name and grouping.slug == slug:
                return grouping
        return None

    def can_be_grouped_by(self, slug: str) -> bool:
        return slug in self.shared_groups or self.grouping(slug) is not None

    @property
    def direction(self) -> str:
        return {True: "up", False: "down", None: "neutral"}[self.higher_is_better]

    @property
    def default(self) -> Variant:
        return self.variants[0]

    def variant(self, slug: str) -> Variant:
        if not slug:
            return self.default
        for variant in self.variants:
            if variant.slug == slug:
                return variant
        known = ", ".join(variant.slug for variant in self.variants if variant.slug)
        hint = f"it has {known}." if known else "it has none."
        raise KpiError("variant", f"{self.slug} has no variant {slug!r}; {hint}")

    def unit_of(self, variant: Variant, currency: str = "") -> str:
        unit = variant.unit or self.unit
        return (currency or settings.REPORTING_CURRENCY) if unit == "money" else unit

    def places(self, variant: Variant) -> int:
        """Decimals that are always written: two for money."""
        return 2 if (variant.unit or self.unit) == "money" else 0
