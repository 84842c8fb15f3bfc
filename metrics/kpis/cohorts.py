"""Who is still there: accounts by the month in which they joined, and the months since.

The KPI answers for the accounts that joined in a period; `matrix` works the whole table of
months out in one pass over the facts. A cell of it is what the KPI says of that month of
joining at the end of that month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import CharField, F, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, Substr
from django.utils import timezone

from accounts.models import Account, Charge, Movement
from csplatform.periods import Period, floor_to
from metrics.calculations import cohort_buyers, cohort_retention, cohort_revenue_retention, wilson_interval
from metrics.kpis import ledger
from metrics.kpis.counting import MICRO, ONE, Filters, MissingRateError, Rates, counted_facts
from metrics.kpis.customers import THEME
from metrics.kpis.definition import (
    Amount,
    Counts,
    Grouping,
    Kpi,
    KpiError,
    Part,
    Scope,
    Variant,
    money,
    up_to_end,
)

NOBODY_JOINED = "nobody_joined"
MOST_MONTHS = 120

# The month of joining, written 2026-03.
_COHORT = {"cohort": Substr(Cast(F("kpi_joined_on"), CharField()), 1, 7)}


def _joined(scope: Scope) -> QuerySet[Any]:
    joined = Account.objects.filter(pk__in=ledger.accounts_that_joined(scope))
    return joined.annotate(kpi_joined_on=ledger.joining_day(scope, "pk"))


def _kept(scope: Scope) -> QuerySet[Any]:
    return _joined(scope).filter(pk__in=ledger.accounts_that_are_customers(scope, "end"))


def _revenue(scope: Scope) -> QuerySet[Any]:
    joined = ledger.until(scope, "end").filter(account__in=ledger.accounts_that_joined(scope))
    return joined.annotate(kpi_joined_on=ledger.joining_day(scope, "account"))


def _first_revenue(scope: Scope) -> QuerySet[Any]:
    return _revenue(scope).filter(kind=Movement.Kind.NEW)


def _purchases(scope: Scope) -> QuerySet[Any]:
    charges = Charge.objects.known_at(scope.known_at)
    return charges.filter(amount__gt=0, day__lt=scope.period.end)


def _first_bought(scope: Scope) -> QuerySet[Any]:
    first = _purchases(scope).order_by().values("account_id").annotate(kpi_first=Min("day"))
    in_period = first.filter(kpi_first__gte=scope.period.start)
    of_account = _purchases(scope).filter(account=OuterRef("pk")).order_by("day").values("day")
    buyers = Account.objects.filter(pk__in=in_period.values("account_id"))
    return buyers.annotate(kpi_joined_on=Subquery(of_account[:1]))


def _bought_in_the_last_month(scope: Scope) -> QuerySet[Any]:
    month = floor_to(scope.period.last_day, "month")
    return _first_bought(scope).filter(pk__in=_purchases(scope).filter(day__gte=month).values("account_id"))


def _accounts(name: str, facts: Any) -> Part:
    return Part(
        facts=facts,
        amounts={name: Amount(ONE)},
        account="",
        columns={"joined": "kpi_joined_on"},
        groups=_COHORT,
        first_on=up_to_end,
    )


def _money(name: str, facts: Any) -> Part:
    return Part(
        facts=facts,
        amounts={name: money("delta")},
        currency="currency",
        columns={"joined": "kpi_joined_on"},
        groups=_COHORT,
        first_on=up_to_end,
    )


CUSTOMERS, REVENUE, BUYERS = "customers", "mrr", "buyers"

COHORT_RETENTION = Kpi(
    slug="cohort_retention",
    label="Cohort retention",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "Of the accounts that became customers for the first time in the period, the share that still is at "
        "its end; by revenue, what they pay then against what they began with; of buyers, the share of those "
        "first invoiced in the period who were invoiced anything in its last calendar month, returns left "
        "out. Grouped by the month of joining it is one column of the cohort table. Twelve months up to "
        "today unless other days are asked."
    ),
    default_months=12,
    own_groups=(Grouping(slug="cohort", label="Month of joining"),),
    variants=(
        Variant(
            slug=CUSTOMERS,
            label="Customers",
            parts=(_accounts("kept", _kept), _accounts("joined", _joined)),
            numerator="kept",
            denominator="joined",
            calculate=cohort_retention,
            interval=lambda counts: wilson_interval(part=counts["kept"], whole=counts["joined"]),
            reason=NOBODY_JOINED,
        ),
        Variant(
            slug=REVENUE,
            label="Recurring revenue",
            parts=(
                _money("mrr_at_end", _revenue),
                _money("mrr_joined", _first_revenue),
                _accounts("joined", _joined),
            ),
            numerator="mrr_at_end",
            denominator="mrr_joined",
            sample="joined",
            calculate=cohort_revenue_retention,
            reason=NOBODY_JOINED,
        ),
        Variant(
            slug=BUYERS,
            label="Buyers",
            parts=(_accounts("active", _bought_in_the_last_month), _accounts("joined", _first_bought)),
            numerator="active",
            denominator="joined",
            calculate=cohort_buyers,
            interval=lambda counts: wilson_interval(part=counts["active"], whole=counts["joined"]),
            reason=NOBODY_JOINED,
        ),
    ),
)

KPIS = (COHORT_RETENTION,)


# --- The whole table ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What became of one cohort by the end of one month; `period` begins with its joining."""

    period: Period
    value: Decimal | None
    counts: Counts
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The accounts of one month of joining, at the ends of that month and of those after it."""

    month: date
    joined: int
    cells: Sequence[Cell]

    @property
    def key(self) -> str:
        """How the KPI calls this group."""
        return f"{self.month:%Y-%m}"


@dataclass(frozen=True, kw_only=True)
class Matrix:
    variant: Variant
    period: Period
    cohorts: Sequence[Cohort]

    @property
    def width(self) -> int:
        """How many months the oldest cohort has."""
        return max((len(cohort.cells) for cohort in self.cohorts), default=0)


@dataclass
class _Tally:
    """What happened to one cohort: how many joined, and in which month what was added to its sums."""

    joined: int = 0
    # {month: {currency: [heads or buyers, millionths of revenue, and of first revenue]}}
    months: dict[date, dict[str, list[int]]] = field(default_factory=dict)

    def of(self, month: date) -> Mapping[str, Sequence[int]]:
        return self.months.get(month, {})

    def up_to(self, month: date) -> Mapping[str, Sequence[int]]:
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for day, sums in self.months.items():
            if day <= month:
                for currency, added in sums.items():
                    totals[currency] = [a + b for a, b in zip(totals[currency], added, strict=True)]
        return totals


def matrix(
    period: Period,
    *,
    variant: str = "",
    user: Any = None,
    filters: Filters | None = None,
    known_at: datetime | None = None,
    now: datetime | None = None,
) -> Matrix:
    """Return the cohorts of the months from that of `period.start` on, each up to `period.end`.

    Column 0 is the end of the month of joining, so that who left within it shows. Filters by
    CSM, segment, plan and stage take, in every cell, what an account was on the last day of the
    whole period. Raises KpiError when it cannot be asked.
    """
    kind = COHORT_RETENTION.variant(variant)
    period = Period(floor_to(period.start, "month"), period.end)
    months = list(period.steps("month"))
    if len(months) > MOST_MONTHS:
        raise KpiError("start", f"That makes more than {MOST_MONTHS} months; take fewer.")
    scope = Scope(period, now or timezone.now(), known_at)
    everybody = Part(facts=lambda scope: Account.objects.all(), amounts={}, account="")
    accounts = counted_facts(everybody, scope, filters=filters or Filters(), user=user).values("pk")
    tallies = _tallies(scope, accounts, of_purchases=kind.slug == BUYERS)
    rates = Rates()
    cohorts = [
        Cohort(
            month=month.start,
            joined=tallies[month.start].joined,
            cells=[
                _cell(kind, tallies[month.start], Period(month.start, later.end), rates)
                for later in months[at:]
            ],
        )
        for at, month in enumerate(months)
    ]
    return Matrix(variant=kind, period=period, cohorts=cohorts)


def _cell(variant: Variant, tally: _Tally, period: Period, rates: Rates) -> Cell:
    month = floor_to(period.last_day, "month")
    counts: Counts = {"joined": Decimal(tally.joined)}
    if variant.slug == BUYERS:
        counts["active"] = Decimal(sum(sums[0] for sums in tally.of(month).values()))
    elif variant.slug == CUSTOMERS:
        counts["kept"] = Decimal(sum(sums[0] for sums in tally.up_to(month).values()))
    else:
        try:
            counts |= _exchanged(tally.up_to(month), period, rates)
        except MissingRateError:
            return Cell(period=period, value=None, counts={}, reason="no_exchange_rate")
    value = variant.value(counts, period=period)
    return Cell(period=period, value=value, counts=counts, reason="" if value is not None else variant.reason)


def _exchanged(sums: Mapping[str, Sequence[int]], period: Period, rates: Rates) -> Counts:
    rates = rates.suited_to({currency for currency, (_, now, first) in sums.items() if now or first})
    counts = {"mrr_at_end": Decimal(0), "mrr_joined": Decimal(0)}
    for currency, (_, now, first) in sums.items():
        if now or first:
            rate = rates.at(currency, period.last_day) / MICRO
            counts["mrr_at_end"] += now * rate
            counts["mrr_joined"] += first * rate
    return counts


# Three grouped queries in one statement: who joined when, and what happened to them in which month.
_LEDGER = """
    WITH joining AS (
        SELECT account_id, effective_on FROM accounts_movement
        WHERE customers <> 0 AND (customers > 0) <> is_reversal
            AND effective_on < %s {known} AND account_id IN ({accounts})
        GROUP BY account_id, effective_on HAVING SUM(customers) > 0
    ), cohort AS (
        SELECT account_id, MIN(effective_on) AS joined_on FROM joining
        GROUP BY account_id HAVING MIN(effective_on) >= %s
    )
    SELECT {joined_month}, 0, '', COUNT(*), 0, 0 FROM cohort GROUP BY 1
    UNION ALL
    SELECT {joined_month}, {month}, currency, SUM(customers), SUM({micro}),
        SUM(CASE WHEN kind = 'new' THEN {micro} ELSE 0 END)
    FROM cohort JOIN accounts_movement USING (account_id)
    WHERE effective_on < %s {known}
    GROUP BY 1, 2, 3
"""
_CHARGES = """
    WITH cohort AS (
        SELECT account_id, MIN(day) AS joined_on FROM accounts_charge
        WHERE amount > 0 AND day < %s {known} AND account_id IN ({accounts})
        GROUP BY account_id HAVING MIN(day) >= %s
    )
    SELECT {joined_month}, 0, '', COUNT(*), 0, 0 FROM cohort GROUP BY 1
    UNION ALL
    SELECT {joined_month}, {month}, '', COUNT(DISTINCT account_id), 0, 0
    FROM cohort JOIN accounts_charge USING (account_id)
    WHERE amount > 0 AND day < %s {known}
    GROUP BY 1, 2
"""


def _tallies(scope: Scope, accounts: QuerySet[Any, Any], *, of_purchases: bool) -> Mapping[date, _Tally]:
    """Return {first day of a month: what became of those who joined in it}."""
    found: dict[date, _Tally] = defaultdict(_Tally)
    try:
        whose, their_values = accounts.order_by().query.sql_with_params()
    except EmptyResultSet:
        return found
    start = connection.ops.adapt_datefield_value(scope.period.start)
    end = connection.ops.adapt_datefield_value(scope.period.end)
    known, known_at = "", []
    if scope.known_at is not None:
        known, known_at = "AND recorded_at <= %s", [connection.ops.adapt_datetimefield_value(scope.known_at)]
    statement = (_CHARGES if of_purchases else _LEDGER).format(
        accounts=whose,
        known=known,
        joined_month=_number_of_month("joined_on"),
        month=_number_of_month("day" if of_purchases else "effective_on"),
        micro=f"CAST(ROUND(delta * {MICRO}) AS BIGINT)",
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [end, *known_at, *their_values, start, end, *known_at])
        for joined, month, currency, *sums in cursor.fetchall():
            tally = found[_month_of_number(joined)]
            if month:
                tally.months.setdefault(_month_of_number(month), {})[currency] = [
                    int(total) for total in sums
                ]
            else:
                tally.joined = sums[0]
    return found


def _number_of_month(column: str) -> str:
    """Return the month of a date as one whole number."""
    if connection.vendor == "postgresql":
        return f"CAST(EXTRACT(YEAR FROM {column}) * 12 + EXTRACT(MONTH FROM {column}) - 1 AS INTEGER)"
    year, month = (f"CAST(strftime('%%{part}', {column}) AS INTEGER)" for part in "Ym")
    return f"({year} * 12 + {month} - 1)"


def _month_of_number(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)
