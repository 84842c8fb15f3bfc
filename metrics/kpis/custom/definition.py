"""From a form or JSON to a checked definition, and from that to the `Kpi` everybody else knows.

    formula = read_formula({"numerator": {…}, "denominator": {…}, "unit": "percent", "groups": […]})
    kpi = kpi_of("own_share", "Own share", formula, direction="up", words="", number=1)

Whatever cannot be is refused with its field and the rule: `DefinitionError.faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet, Sum

from accounts.models import Account
from metrics.calculations import (
    quotient,
    quotient_per_hundred,
    quotient_per_thousand,
    share_of,
    wilson_interval,
)
from metrics.kpis import ledger
from metrics.kpis.counting import ONE
from metrics.kpis.custom.conditions import (
    COUNTS,
    Condition,
    Field,
    Operator,
    Refused,
    read_value,
    whole,
)
from metrics.kpis.custom.facts import ACCOUNT_FIELDS, ACCOUNTS, FACT_SETS, FactSet, Measure, by_sum
from metrics.kpis.definition import DIMENSIONS, STEPS, Amount, Boundary, Grouping, Kpi, Part, Scope, Variant

THEME = "Defined here"
MOST_CONDITIONS = 10
MOST_INNER = 5
MOST_OF_A_COUNT = 1_000_000
OF_ACCOUNT, HAS = "account.", "has_"
NUMERATOR, DENOMINATOR = "numerator", "denominator"
NOTHING_COUNTED = "nothing_in_denominator"

# {unit of a ratio: (label, arithmetic, sign after the formula)}
RATIOS: Mapping[str, tuple[str, Callable[..., Decimal | None], str]] = {
    "percent": ("Per cent", share_of, " × 100"),
    "average": ("How much for each", quotient, ""),
    "per_100": ("How much for each 100", quotient_per_hundred, " × 100"),
    "per_1000": ("How much for each 1,000", quotient_per_thousand, " × 1,000"),
    "ratio": ("Ratio, such as 2.5 ×", quotient, ""),
}
DIRECTIONS: Mapping[str, bool | None] = {"up": True, "down": False, "neutral": None}


class DefinitionError(ValueError):
    """A definition that cannot be: each fault is a field (numerator.conditions.0.value) and a rule."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {rule}" for name, rule in faults))
        self.faults = list(faults)


@dataclass(frozen=True, kw_only=True)
class HasCondition(Condition):
    """Accounts that have so many facts of another kind, which `that` narrows."""

    of: FactSet

    def q(self, scope: Scope) -> Q:
        return by_sum(
            matching(self.of, scope, self.that),
            Sum(self.of.weight),
            self.operator.slug,
            self.value,
            account=self.of.account,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "field": self.field.slug,
            "operator": self.operator.slug,
            "value": self.value,
            "that": [each.as_json() for each in self.that],
        }

    @property
    def words(self) -> str:
        many = _described(self.of, self.that)
        match self.operator.slug, self.value:
            case ("at_most" | "equals", 0):
                return f"without {many}"
            case ("at_least", 1):
                return f"with {many}"
            case _:
                word = {"at_least": "at least", "at_most": "at most", "equals": "exactly"}[self.operator.slug]
                return f"with {word} {self.value:,} {many}"


def _never(scope: Scope, operator: str, value: Any) -> Q:
    raise AssertionError("a HasCondition matches by itself")


HAS_FIELDS: Mapping[str, tuple[Field, FactSet]] = {
    f"{HAS}{of.slug}": (
        Field(
            slug=f"{HAS}{of.slug}",
            label=f"Has {of.label[:1].lower()}{of.label[1:]}",
            type="number",
            where=_never,
            only=COUNTS,
            has_clock=of.has_clock,
        ),
        of,
    )
    for of in FACT_SETS.values()
    if of.can_be_had
}


def fields_of(of: FactSet) -> dict[str, Field]:
    """Return every field a condition on these facts may name: their own, then those of their account."""
    own = {each.slug: each for each in of.fields}
    about = [*ACCOUNT_FIELDS, *(each for each, _ in HAS_FIELDS.values())]
    prefix = "" if of is ACCOUNTS else OF_ACCOUNT
    return own | {f"{prefix}{each.slug}": each for each in about}


def had_by(slug: str) -> FactSet | None:
    """Return the facts that a field such as `has_tickets` or `account.has_tickets` speaks of."""
    found = HAS_FIELDS.get(slug.removeprefix(OF_ACCOUNT))
    return found[1] if found else None


# --- Which facts are meant ------------------------------------------------------------


def _is_of_account(condition: Condition) -> bool:
    return condition.field.slug.startswith(OF_ACCOUNT)


def matching(of: FactSet, scope: Scope, conditions: Iterable[Condition]) -> QuerySet[Any]:
    """Return the facts that meet every condition; those after the period only where they are asked for."""
    facts = of.facts(scope)
    about_accounts = []
    reaches_beyond = False
    for condition in conditions:
        if _is_of_account(condition):
            about_accounts.append(condition)
            continue
        facts = facts.filter(condition.q(scope))
        is_main = condition.field.slug == of.main_day
        reaches_beyond |= is_main and condition.operator.slug in ("next_days", "not_by_end")
    main = of.field(of.main_day)
    if main is not None and not reaches_beyond:
        facts = facts.filter(main.where(scope, "by_end", None))
    if about_accounts:
        accounts = ACCOUNTS.facts(scope)
        for condition in about_accounts:
            accounts = accounts.filter(condition.q(scope))
        facts = facts.filter(**{f"{of.account}__in": accounts.values("pk")})
        if of.anonymous:
            facts = facts.filter(**{of.anonymous: False})
    return facts


def _accounts_of(of: FactSet, facts: QuerySet[Any]) -> QuerySet[Any]:
    """Return the ids of the accounts that facts are about; what is anonymous is about none."""
    if of.anonymous:
        facts = facts.filter(**{of.anonymous: False})
    facts = facts.filter(**{f"{of.account}__isnull": False}).order_by().values(of.account)
    if of.weight is not ONE:
        facts = facts.annotate(kpi_weight=Sum(of.weight)).filter(kpi_weight__gt=0)
    return facts.values(of.account)


@dataclass(frozen=True, kw_only=True)
class Side:
    """What is counted or added up: a numerator or a denominator."""

    of: FactSet
    measure: str = "count"
    summed: Measure | None = None
    conditions: tuple[Condition, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return {
            "facts": self.of.slug,
            "measure": self.measure,
            "of": self.summed.slug if self.summed else "",
            "conditions": [each.as_json() for each in self.conditions],
        }

    @property
    def unit(self) -> str:
        return self.summed.unit if self.summed else "count"

    @property
    def is_flow(self) -> bool:
        """Say whether periods add up: everything counted happened within the period."""
        main, is_state = self.of.main_day, self._has_state
        within = any(
            each.field.slug == main and each.operator.slug == "within_period" for each in self.conditions
        )
        return within and not is_state and self.measure != "accounts"

    @property
    def _has_state(self) -> bool:
        return any(each.field.is_state and not _is_of_account(each) for each in self.conditions)

    @property
    def has_clock(self) -> bool:
        return self.of.has_clock and all(
            each.field.has_clock and all(inner.field.has_clock for inner in each.that)
            for each in self.conditions
        )

    def facts(self, scope: Scope) -> QuerySet[Any]:
        facts = matching(self.of, scope, self.conditions)
        if self.measure == "accounts":
            return Account.objects.filter(pk__in=_accounts_of(self.of, facts))
        if self.summed is None:
            return facts
        facts = facts.filter(self.summed.only)
        return self.summed.rows(scope, facts) if self.summed.rows else facts

    def part(self, name: str) -> Part:
        of, summed = self.of, self.summed
        if self.measure == "accounts" or (of is ACCOUNTS and not summed):
            return Part(facts=self.facts, amounts={name: Amount(ONE)}, account="", csm_on="end")
        if summed is None:
            amounts = {name: Amount(of.weight)}
        else:
            amounts = {name: Amount(summed.of, summed.kind), "_sampled": Amount(summed.sampled)}
        is_money = summed is not None and summed.kind == "money"
        if of is ACCOUNTS:
            # The figure of an account lies in its ledger, or on it.
            in_ledger = summed is not None and summed.rows is not None
            return Part(
                facts=self.facts,
                amounts=amounts,
                account="account" if in_ledger else "",
                currency="currency" if in_ledger else "",
                recorded="recorded_at" if in_ledger else "",
                details=ledger.COLUMNS if in_ledger else {},
            )
        return Part(
            facts=self.facts,
            amounts=amounts,
            account=of.account,
            csm_on=self._csm_on,
            currency=of.currency if is_money else "",
            rate_on=of.rate_on,
            anonymous=of.anonymous,
            scale=summed.scale if summed else None,
            columns=of.columns,
            recorded=of.recorded,
            groups={grouping.slug: by for grouping, by in of.groups},
        )

    @property
    def _csm_on(self) -> Boundary | Any:
        """Whoever held the account on the row's day is credited; for a state, whoever holds it at the end."""
        on_a_day = any(each.field.slug == self.of.main_day for each in self.conditions)
        return self.of.day if on_a_day and not self._has_state and self.of.day is not None else "end"

    @property
    def groupings(self) -> tuple[Grouping, ...]:
        """The groupings that only these facts have."""
        if self.measure == "accounts" or self.of is ACCOUNTS:
            return ()
        return tuple(grouping for grouping, _ in self.of.groups)

    @property
    def words(self) -> str:
        """What is counted, in words: customers whose segment is “enterprise”."""
        described = _described(self.of, self.conditions)
        if self.measure == "accounts":
            return f"accounts with {described}"
        if self.summed is None:
            return described
        label = self.summed.label
        label = label if label[:3].isupper() else label[:1].lower() + label[1:]
        return f"sum of {label} of {described}"


def _described(of: FactSet, conditions: Sequence[Condition]) -> str:
    own = [each for each in conditions if not _is_of_account(each)]
    about = [replace(each, field=_without_prefix(each.field)) for each in conditions if _is_of_account(each)]
    noun, said = of.many, own
    if of is ACCOUNTS:
        noun, said = _accounts_in_words(own)
    words = " ".join([noun, _joined([each.words for each in said])]).strip()
    if about:
        words += f", of {_described(ACCOUNTS, about)}"
    return words


def _without_prefix(of: Field) -> Field:
    return replace(of, slug=of.slug.removeprefix(OF_ACCOUNT))


def _accounts_in_words(conditions: Sequence[Condition]) -> tuple[str, list[Condition]]:
    """Say "customers" rather than "accounts whose status is customer"."""
    nouns = {
        "customer": "customers",
        "former": "former customers",
        "never": "accounts that never were customers",
    }
    for each in conditions:
        if each.field.slug == "status" and each.operator.slug == "is":
            return nouns[each.value], [other for other in conditions if other is not each]
    return "accounts", list(conditions)


def _joined(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


# --- The whole formula ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Formula:
    """One side, or one divided by another; `unit` is said of a ratio only."""

    numerator: Side
    denominator: Side | None = None
    unit: str = ""
    groups: tuple[str, ...] = DIMENSIONS

    def as_json(self) -> dict[str, Any]:
        return {
            "numerator": self.numerator.as_json(),
            "denominator": self.denominator.as_json() if self.denominator else None,
            "unit": self.unit,
            "groups": list(self.groups),
        }

    @property
    def words(self) -> str:
        """The formula in words."""
        if self.denominator is None:
            return self.numerator.words
        return f"{self.numerator.words} ÷ {self.denominator.words}{RATIOS[self.unit][2]}"

    @property
    def shown_unit(self) -> str:
        """The unit of the value: percent, ratio, money, points, count."""
        if self.denominator is None:
            return self.numerator.unit
        return self.unit if self.unit in ("percent", "ratio") else self.numerator.unit

    @property
    def kind(self) -> Any:
        if self.denominator is not None:
            return "rate"
        return "flow" if self.numerator.is_flow else "level"

    @property
    def is_share(self) -> bool:
        """Say whether the numerator's rows are among the denominator's: then a share has an interval."""
        of, all_of_them = self.numerator, self.denominator
        if all_of_them is None or self.unit != "percent" or of.summed or all_of_them.summed:
            return False
        if (of.of, of.measure) != (all_of_them.of, all_of_them.measure):
            return False
        asked = [each.as_json() for each in of.conditions]
        return all(each.as_json() in asked for each in all_of_them.conditions)

    @property
    def has_clock(self) -> bool:
        return self.numerator.has_clock and (self.denominator is None or self.denominator.has_clock)

    @property
    def source(self) -> str:
        """The facts it counts, and those it chooses accounts by."""
        found = []
        for side in filter(None, (self.numerator, self.denominator)):
            found.append(side.of.source)
            found += [had.source for each in side.conditions if (had := had_by(each.field.slug))]
        return "; ".join(dict.fromkeys(found))

    @property
    def variant(self) -> Variant:
        parts = [self.numerator.part(NUMERATOR)]
        labels = {NUMERATOR: _capitalised(self.numerator.words)}
        if self.denominator is None:
            return Variant(
                parts=tuple(parts),
                numerator=NUMERATOR,
                formula=self.words,
                source=self.source,
                count_labels=labels,
            )
        parts.append(self.denominator.part(DENOMINATOR))
        labels[DENOMINATOR] = _capitalised(self.denominator.words)
        # The count of one side only: two of a name would overwrite each other.
        parts[0] = replace(parts[0], amounts={NUMERATOR: parts[0].amounts[NUMERATOR]})
        return Variant(
            parts=tuple(parts),
            numerator=NUMERATOR,
            denominator=DENOMINATOR,
            calculate=RATIOS[self.unit][1],
            interval=_interval if self.is_share else None,
            sample="_sampled" if "_sampled" in parts[1].amounts else "",
            reason=NOTHING_COUNTED,
            formula=self.words,
            source=self.source,
            count_labels=labels,
        )


def _interval(counts: Mapping[str, Decimal]) -> Any:
    return wilson_interval(part=counts[NUMERATOR], whole=counts[DENOMINATOR])


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def kpi_of(slug: str, label: str, formula: Formula, *, direction: str, words: str, number: int) -> Kpi:
    """Return the KPI that a formula makes, with everything that follows from it."""
    said = words.strip() or _capitalised(formula.words)
    return Kpi(
        slug=slug,
        label=label,
        theme=THEME,
        unit=formula.shown_unit,
        higher_is_better=DIRECTIONS[direction],
        kind=formula.kind,
        definition=said if said.endswith((".", "!", "?")) else f"{said}.",
        version=number,
        variants=(formula.variant,),
        shared_groups=(*(name for name in DIMENSIONS if name in formula.groups), *STEPS),
        own_groups=tuple(each for each in formula.numerator.groupings if each.slug in formula.groups),
        has_known_at=formula.has_clock,
        is_custom=True,
    )


# --- Reading --------------------------------------------------------------------------


class _Faults(list[tuple[str, str]]):
    def add(self, name: str, rule: str) -> None:
        self.append((name, rule))


def read_formula(given: Any) -> Formula:
    """Return the formula that JSON or a form says; raises DefinitionError with every fault there is."""
    faults = _Faults()
    if not isinstance(given, Mapping):
        raise DefinitionError([("", "An object with a numerator is needed.")])
    numerator = _read_side(given.get(NUMERATOR), NUMERATOR, faults)
    denominator = None
    if given.get(DENOMINATOR) not in (None, {}):
        denominator = _read_side(given[DENOMINATOR], DENOMINATOR, faults)
    unit = given.get("unit") or ""
    groups: tuple[str, ...] = ()
    if numerator is not None:
        groups = _read_groups(given.get("groups"), numerator, faults)
        if not faults:
            _check_unit(unit, numerator, denominator, faults)
    if faults or numerator is None:
        raise DefinitionError(faults)
    return Formula(
        numerator=numerator,
        denominator=denominator,
        unit=unit if denominator is not None else "",
        groups=groups,
    )


def units_for(numerator: Side, denominator: Side) -> list[str]:
    """Return the ways a ratio of these two can be shown: per cent only of like by like."""
    if (numerator.unit == "money") == (denominator.unit == "money"):
        return [*RATIOS] if numerator.unit != "money" else ["percent", "ratio"]
    return ["average", "per_100", "per_1000"]


def _check_unit(unit: Any, numerator: Side, denominator: Side | None, faults: _Faults) -> None:
    if denominator is None:
        if unit not in ("", numerator.unit):
            faults.add("unit", f"Without a denominator the unit is that of the numerator: {numerator.unit}.")
        return
    allowed = units_for(numerator, denominator)
    if unit not in allowed:
        faults.add("unit", f"These two can be shown as {', '.join(allowed)}, not as {unit!r}.")


def allowed_groups(numerator: Side) -> list[tuple[str, str]]:
    """Return what a KPI with this numerator can be grouped by beside days, months and the like."""
    words = {"csm": "CSM", "segment": "Segment", "plan": "Plan", "lifecycle_stage": "Stage"}
    return [
        *((name, words[name]) for name in DIMENSIONS),
        *((grouping.slug, grouping.label) for grouping in numerator.groupings),
    ]


def _read_groups(given: Any, numerator: Side, faults: _Faults) -> tuple[str, ...]:
    allowed = [slug for slug, _ in allowed_groups(numerator)]
    if given is None:
        return tuple(allowed)
    if not isinstance(given, Sequence) or isinstance(given, str):
        faults.add("groups", "A list of groups is needed.")
        return ()
    for slug in given:
        if slug not in allowed:
            faults.add("groups", f"These facts can be grouped by {', '.join(allowed)}, not by {slug!r}.")
            return ()
    return tuple(slug for slug in allowed if slug in given)


def _read_side(given: Any, at: str, faults: _Faults) -> Side | None:
    if not isinstance(given, Mapping):
        faults.add(at, "An object with facts, a measure and conditions is needed.")
        return None
    if unknown := sorted(set(map(str, given)) - {"facts", "measure", "of", "conditions"}):
        faults.add(f"{at}.{unknown[0]}", "Nothing reads this; known are facts, measure, of and conditions.")
    facts = given.get("facts")
    of = FACT_SETS.get(facts) if isinstance(facts, str) else None
    if of is None:
        faults.add(f"{at}.facts", f"Choose one of {', '.join(FACT_SETS)}.")
        return None
    measure, summed = given.get("measure") or "count", None
    if measure not in ("count", "accounts", "sum"):
        faults.add(f"{at}.measure", "Choose one of count, accounts, sum.")
    elif measure == "sum":
        name = given.get("of")
        summed = of.measure(name) if isinstance(name, str) else None
        if summed is None:
            known = ", ".join(each.slug for each in of.measures)
            rule = f"Of {of.many} these add up: {known}." if known else f"{of.label} have nothing to add up."
            faults.add(f"{at}.of", rule)
    elif measure == "accounts" and of is ACCOUNTS:
        measure = "count"
    conditions = _read_conditions(given.get("conditions"), f"{at}.conditions", of, faults)
    return Side(of=of, measure=measure, summed=summed, conditions=conditions)


def _read_conditions(given: Any, at: str, of: FactSet, faults: _Faults) -> tuple[Condition, ...]:
    rows = _rows(given, at, MOST_CONDITIONS, faults)
    known = fields_of(of)
    found = [_read_condition(row, f"{at}.{number}", known, faults) for number, row in enumerate(rows)]
    return tuple(each for each in found if each is not None)


def _rows(given: Any, at: str, most: int, faults: _Faults) -> Sequence[Any]:
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str):
        faults.add(at, "A list of conditions is needed.")
        return ()
    if len(given) > most:
        faults.add(at, f"At most {most} conditions are allowed.")
        return ()
    return given


def _read_condition(row: Any, at: str, known: Mapping[str, Field], faults: _Faults) -> Condition | None:
    if not isinstance(row, Mapping):
        faults.add(at, "An object with field, operator and value is needed.")
        return None
    if unknown := sorted(set(map(str, row)) - {"field", "operator", "value", "that"}):
        faults.add(f"{at}.{unknown[0]}", "Nothing reads this; known are field, operator, value and that.")
    slug = row.get("field")
    of = known.get(slug) if isinstance(slug, str) else None
    if of is None:
        faults.add(f"{at}.field", f"Choose one of {', '.join(known)}.")
        return None
    named = replace(of, slug=str(slug))
    asked = row.get("operator")
    operator = next((each for each in of.operators if each.slug == asked), None)
    if operator is None:
        faults.add(f"{at}.operator", f"Choose one of {', '.join(each.slug for each in of.operators)}.")
        return None
    if had := had_by(named.slug):
        return _read_has(row, at, named, operator, had, faults)
    if row.get("that"):
        faults.add(f"{at}.that", "Only what accounts have can be narrowed further.")
    try:
        value = read_value(named, operator, row.get("value"))
    except Refused as refused:
        faults.add(f"{at}.value", str(refused))
        return None
    return Condition(field=named, operator=operator, value=value)


def _read_has(
    row: Mapping[str, Any], at: str, named: Field, operator: Operator, had: FactSet, faults: _Faults
) -> Condition | None:
    inner = _rows(row.get("that"), f"{at}.that", MOST_INNER, faults)
    known = {each.slug: each for each in had.fields}
    that = [_read_condition(each, f"{at}.that.{number}", known, faults) for number, each in enumerate(inner)]
    try:
        value = whole(row.get("value"), low=0, high=MOST_OF_A_COUNT)
    except Refused as refused:
        faults.add(f"{at}.value", str(refused))
        return None
    return HasCondition(
        field=named, operator=operator, value=value, that=tuple(each for each in that if each), of=had
    )
