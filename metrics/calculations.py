"""Arithmetic of the KPIs: no database, no clock, nothing rounded.

Each function names its counts as keywords; `metrics.kpis` counts under the same names. What
is undefined is None and never 0. Money and rates are exact decimals; pages round them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import NamedTuple

ZERO = Decimal(0)
HUNDRED = Decimal(100)

# The 97.5 % point of the normal distribution: intervals hold 95 %.
Z_95 = Decimal("1.959963984540054")

Number = Decimal | int
# How values are spread: each different value, lowest first, with what the rows of that value count for.
Spread = Sequence[tuple[Decimal, Mapping[str, Decimal]]]


class Interval(NamedTuple):
    """Where the value may well lie, seen how few were asked."""

    low: Decimal
    high: Decimal


class Estimate(NamedTuple):
    """What a value is held to be, and the variance of that: for comparing two of them."""

    value: Decimal
    variance: Decimal


class Significance(NamedTuple):
    """How far two values lie apart, in standard errors; significant at 95 % or not."""

    z: Decimal
    is_significant: bool


def significance_of(now: Estimate | None, before: Estimate | None) -> Significance | None:
    """Return whether two values differ by more than chance would make them differ.

    z is the distance of the two estimates divided by the square root of their variances added
    up; above 1.96 it is significant at 95 %. None when one of them cannot be estimated, or when
    they differ and nobody's answer varied: then there is nothing to measure the distance with.

    >>> first = net_promoter_estimate(promoters=120, detractors=30, answers=200)
    >>> second = net_promoter_estimate(promoters=90, detractors=50, answers=200)
    >>> round(significance_of(second, first).z, 3)
    Decimal('3.193')
    """
    if now is None or before is None:
        return None
    distance = abs(now.value - before.value)
    error = (now.variance + before.variance).sqrt()
    if not error:
        return None if distance else Significance(ZERO, is_significant=False)
    z = distance / error
    return Significance(z, is_significant=z > Z_95)


def per_cent(part: Number, whole: Number) -> Decimal | None:
    """Return `part` as per cent of `whole`; None when there is no whole.

    >>> per_cent(1, 8)
    Decimal('12.5')
    """
    return None if not whole else HUNDRED * Decimal(part) / Decimal(whole)


def as_counted(*, counted: Number) -> Decimal:
    """Return a count or a sum as it is; nothing counted is a true 0."""
    return Decimal(counted)


# --- Values that are spread -----------------------------------------------------------

SECONDS_AN_HOUR = Decimal(3600)
HALF, NINE_TENTHS = Decimal("0.5"), Decimal("0.9")


def percentile(spread: Spread, of: str, *, share: Decimal) -> Decimal | None:
    """Return the lowest value that at least this share of the rows does not exceed: the nearest rank.

    `of` names the count that says how many rows have a value. No rows give None.

    >>> percentile([(Decimal(1), {"n": 9}), (Decimal(5), {"n": 1})], "n", share=NINE_TENTHS)
    Decimal('1')
    """
    total = _rows_in(spread, of)
    return _at_rank(spread, of, int((share * total).to_integral_value(ROUND_CEILING))) if total else None


def median(spread: Spread, of: str) -> Decimal | None:
    """Return the middle value, of an even number of rows the mean of the middle two.

    >>> median([(Decimal(1), {"n": 1}), (Decimal(2), {"n": 1})], "n")
    Decimal('1.5')
    """
    total = _rows_in(spread, of)
    if not total:
        return None
    return (_at_rank(spread, of, (total + 1) // 2) + _at_rank(spread, of, total // 2 + 1)) / 2


def interval_of_percentile(spread: Spread, of: str, *, share: Decimal) -> Interval | None:
    """Return the 95 % interval of a percentile, by the ranks between which it lies (binomial).

    Nothing is supposed about how the values are spread: the number of rows below the percentile
    is binomial. Its normal approximation gives the ranks. None where they fall off the ends,
    because too few rows were seen.

    >>> [int(bound) for bound in interval_of_percentile([(Decimal(n), {"n": 1}) for n in range(1, 101)],
    ...                                                 "n", share=HALF)]
    [40, 61]
    """
    total = _rows_in(spread, of)
    reach = Z_95 * (total * share * (1 - share)).sqrt()
    low = int((total * share - reach).to_integral_value(ROUND_HALF_UP))
    high = int((total * share + reach).to_integral_value(ROUND_HALF_UP)) + 1
    if low < 1 or high > total:
        return None
    return Interval(_at_rank(spread, of, low), _at_rank(spread, of, high))


def _rows_in(spread: Spread, of: str) -> int:
    return int(sum(counts[of] for _, counts in spread))


def _at_rank(spread: Spread, of: str, rank: int) -> Decimal:
    """Return the value that stands at a rank, counted from 1, when all rows are put in order."""
    for value, counts in spread:
        rank -= int(counts[of])
        if rank <= 0:
            return Decimal(value)
    raise ValueError("There are fewer rows than that.")


# --- Customers ------------------------------------------------------------------------


def customer_churn_rate(*, churned: Number, customers_at_start: Number) -> Decimal | None:
    """Return the share of customers who left.

    Formula: churned ÷ customers at start × 100
    Unit:    per cent
    Source:  the movement ledger; every churn of the period counts, also of customers who
             joined within it, while the base holds only those there at its start

    No customers at the start give None.

    >>> customer_churn_rate(churned=50, customers_at_start=1000)
    Decimal('5')
    """
    return per_cent(churned, customers_at_start)


def cohort_churn_rate(*, lost: Number, customers_at_start: Number) -> Decimal | None:
    """Return the share of the customers at the start who are gone at the end.

    Formula: customers at start who are gone at end ÷ customers at start × 100
    Unit:    per cent
    Source:  the movement ledger; who joined within the period is out of both counts

    >>> cohort_churn_rate(lost=9, customers_at_start=100)
    Decimal('9')
    """
    return per_cent(lost, customers_at_start)


def widened_churn_rate(*, churned: Number, customers_at_start_or_joined: Number) -> Decimal | None:
    """Return the share of everybody who was a customer at some time of the period and left.

    Formula: churned ÷ (customers at start + joined) × 100
    Unit:    per cent
    Source:  the movement ledger; joined means new and reactivated customers

    >>> widened_churn_rate(churned=12, customers_at_start_or_joined=150)
    Decimal('8')
    """
    return per_cent(churned, customers_at_start_or_joined)


def customer_retention_rate(*, kept: Number, customers_at_start: Number) -> Decimal | None:
    """Return the share of the customers at the start who are still there at the end.

    Formula: (customers at end − joined and still there) ÷ customers at start × 100
    Unit:    per cent; 100 − the cohort churn rate
    Source:  the movement ledger

    >>> customer_retention_rate(kept=9, customers_at_start=10)
    Decimal('90')
    """
    return per_cent(kept, customers_at_start)


def customer_lifespan(*, lifetime_days: Number, churned: Number) -> Decimal | None:
    """Return how long those who left had been customers, on average.

    Formula: Σ days from joining to leaving ÷ customers who left × 12 ÷ 365
    Unit:    months
    Source:  the movement ledger; a customer who came back counts from that day. Those who
             are still there have no end yet and are shown beside it

    Nobody who left gives None: no life is over.

    >>> customer_lifespan(lifetime_days=365 + 730, churned=2)
    Decimal('18')
    """
    return None if not churned else Decimal(lifetime_days) * 12 / (Decimal(churned) * 365)


def lifespan_from_churn_rate(
    *, churned: Number, customers_at_start: Number, period_months: Number
) -> Decimal | None:
    """Return how long customers would stay if they kept leaving at this rate.

    Formula: 1 ÷ (churned ÷ customers at start ÷ months of the period)
    Unit:    months
    Source:  the customer churn rate of the period, brought to a month

    Nobody who left gives None: the lifespan would have no end.

    >>> lifespan_from_churn_rate(churned=6, customers_at_start=100, period_months=3)
    Decimal('50')
    """
    if not churned or not customers_at_start:
        return None
    return Decimal(customers_at_start) * Decimal(period_months) / Decimal(churned)


def cohort_retention(*, kept: Number, joined: Number) -> Decimal | None:
    """Return the share of those who joined that is still there.

    Formula: customers at end who joined in the period ÷ customers who joined in the period × 100
    Unit:    per cent
    Source:  the movement ledger; joined is who became a customer for the first time ever

    >>> cohort_retention(kept=9, joined=12)
    Decimal('75')
    """
    return per_cent(kept, joined)


def cohort_revenue_retention(*, mrr_at_end: Number, mrr_joined: Number) -> Decimal | None:
    """Return what those who joined pay at the end, compared with what they began with.

    Formula: Σ MRR at end of those who joined in the period ÷ Σ their first MRR × 100
    Unit:    per cent; above 100 means they grew
    Source:  the movement ledger at the exchange rates of the last day

    >>> cohort_revenue_retention(mrr_at_end=150, mrr_joined=100)
    Decimal('150')
    """
    return per_cent(mrr_at_end, mrr_joined)


def cohort_buyers(*, active: Number, joined: Number) -> Decimal | None:
    """Return the share of those who bought for the first time that bought in the last month.

    Formula: first-time buyers of the period who bought in its last month ÷ first-time buyers × 100
    Unit:    per cent
    Source:  one-off charges above zero; returns and credit notes are left out

    >>> cohort_buyers(active=324, joined=885) == Decimal(32400) / 885
    True
    """
    return per_cent(active, joined)


# --- Recurring revenue ----------------------------------------------------------------


def annual_recurring_revenue(*, mrr: Number) -> Decimal:
    """Return a year of today's recurring revenue.

    Formula: 12 × MRR at the end of the period
    Unit:    money a year, reporting currency
    Source:  the movement ledger
    """
    return 12 * Decimal(mrr)


def average_revenue_per_account(*, mrr: Number, paying_customers: Number) -> Decimal | None:
    """Return what a paying customer pays on average.

    Formula: MRR ÷ paying customers, both at the end of the period
    Unit:    money a month, reporting currency
    Source:  the movement ledger; a customer whose MRR is 0 does not pay

    >>> average_revenue_per_account(mrr=300, paying_customers=4)
    Decimal('75')
    """
    return None if not paying_customers else Decimal(mrr) / Decimal(paying_customers)


def net_revenue_retention(*, mrr_at_end: Number, mrr_at_start: Number) -> Decimal | None:
    """Return what became of the revenue of those who were customers at the start.

    Formula: Σ their MRR at end ÷ Σ their MRR at start × 100
    Unit:    per cent; above 100 means they grew
    Source:  the movement ledger at the exchange rates of the start; accounts that joined
             later are out, one that left and came back counts at its end value

    >>> net_revenue_retention(mrr_at_end=900, mrr_at_start=1000)
    Decimal('90')
    """
    return per_cent(mrr_at_end, mrr_at_start)


def gross_revenue_retention(*, mrr_kept: Number, mrr_at_start: Number) -> Decimal | None:
    """Return how much of the opening revenue was kept, growth left out.

    Formula: Σ min(MRR at end, MRR at start) per account ÷ Σ MRR at start × 100
    Unit:    per cent, never above 100
    Source:  the movement ledger at the exchange rates of the start; the accounts that were
             customers at the start

    >>> gross_revenue_retention(mrr_kept=min(100, 120), mrr_at_start=100)
    Decimal('100')
    """
    return per_cent(mrr_kept, mrr_at_start)


def gross_revenue_churn_rate(*, mrr_lost: Number, opening_mrr: Number) -> Decimal | None:
    """Return the share of the opening revenue that movements took away.

    Formula: (contraction + churn) ÷ opening MRR × 100
    Unit:    per cent
    Source:  the movement ledger

    >>> gross_revenue_churn_rate(mrr_lost=30, opening_mrr=100)
    Decimal('30')
    """
    return per_cent(mrr_lost, opening_mrr)


def net_revenue_churn_rate(*, net_mrr_lost: Number, opening_mrr: Number) -> Decimal | None:
    """Return the share of the opening revenue that was lost and not won back by growth.

    Formula: (contraction + churn − expansion − reactivation) ÷ opening MRR × 100
    Unit:    per cent; below 0 means growth outran the losses
    Source:  the movement ledger

    >>> net_revenue_churn_rate(net_mrr_lost=-20, opening_mrr=100)
    Decimal('-20')
    """
    return per_cent(net_mrr_lost, opening_mrr)


def quick_ratio(*, mrr_won: Number, mrr_lost: Number) -> Decimal | None:
    """Return how many times over growth outweighs loss.

    Formula: (new + expansion) ÷ (contraction + churn)
    Unit:    a ratio; 4 means four won for one lost
    Source:  the movement ledger

    Nothing lost gives None: no number is large enough.

    >>> quick_ratio(mrr_won=400, mrr_lost=100)
    Decimal('4')
    """
    return None if not mrr_lost else Decimal(mrr_won) / Decimal(mrr_lost)


def exchange_effect(*, opening: Number, movements: Number, closing: Number) -> Decimal:
    """Return the part of a change in MRR that only exchange rates made.

    Formula: closing MRR − opening MRR − movements, each at its own rate
    Unit:    money a month, reporting currency
    Source:  the movement ledger and the exchange rates

    >>> exchange_effect(opening=110, movements=0, closing=100)
    Decimal('-10')
    """
    return Decimal(closing) - Decimal(opening) - Decimal(movements)


def revenue_of_a_year(*, recurring: Number, one_off: Number) -> Decimal:
    """Return what was paid in twelve months.

    Formula: Σ MRR at the end of each of the twelve months + one-off invoiced lines
    Unit:    money, reporting currency
    Source:  the movement ledger and one-off charges; exchanged at the rates of the last day

    >>> revenue_of_a_year(recurring=12 * 100, one_off=700)
    Decimal('1900')
    """
    return Decimal(recurring) + Decimal(one_off)


def revenue_of_a_year_per_account(*, recurring: Number, one_off: Number, accounts: Number) -> Decimal | None:
    """Return what an account that paid anything in twelve months paid on average.

    Formula: (Σ MRR at the end of each of the twelve months + one-off invoiced lines) ÷ accounts that paid
    Unit:    money, reporting currency
    Source:  the movement ledger and one-off charges; exchanged at the rates of the last day

    >>> revenue_of_a_year_per_account(recurring=12 * 100, one_off=700, accounts=2)
    Decimal('950')
    """
    return None if not accounts else (Decimal(recurring) + Decimal(one_off)) / Decimal(accounts)


def portfolio_growth_rate(*, growth: Number, opening_mrr: Number) -> Decimal | None:
    """Return how much the customers one has grew, as a share of what they paid.

    Formula: (expansions + upgrades − downgrades − contractions − churn) ÷ opening MRR × 100
    Unit:    per cent; below 0 the portfolio shrank
    Source:  the movement ledger; new and returning customers are no growth of the portfolio

    >>> portfolio_growth_rate(growth=20, opening_mrr=400)
    Decimal('5')
    """
    return per_cent(growth, opening_mrr)


def portfolio_growth_with_renewals(*, growth: Number, renewals: Number) -> Decimal:
    """Return the growth of the portfolio with all that was renewed counted as won.

    Formula: expansions + upgrades + renewals − downgrades − contractions − churn
    Unit:    money a month, reporting currency
    Source:  the movement ledger, and the value of the contract terms renewed in the period

    >>> portfolio_growth_with_renewals(growth=-20, renewals=100)
    Decimal('80')
    """
    return Decimal(growth) + Decimal(renewals)


# --- Renewals -------------------------------------------------------------------------


def renewal_rate(*, renewed: Number, decided: Number) -> Decimal | None:
    """Return the share of the accounts due that renewed.

    Formula: accounts renewed ÷ accounts due × 100
    Unit:    per cent
    Source:  contract terms by the day they end; those in the middle of a term are not due,
             those still open are left out and shown

    >>> renewal_rate(renewed=24, decided=75)
    Decimal('32')
    """
    return per_cent(renewed, decided)


def gross_renewal_rate(*, value_kept: Number, value_due: Number) -> Decimal | None:
    """Return how much of the value due was renewed, growth left out.

    Formula: Σ min(renewed value, due value) ÷ Σ due value × 100
    Unit:    per cent, never above 100
    Source:  contract terms by the day they end, decided ones

    >>> gross_renewal_rate(value_kept=8000, value_due=10000)
    Decimal('80')
    """
    return per_cent(value_kept, value_due)


def net_renewal_rate(*, value_renewed: Number, value_due: Number) -> Decimal | None:
    """Return what the value due was renewed at.

    Formula: Σ renewed value ÷ Σ due value × 100
    Unit:    per cent; may pass 100
    Source:  contract terms by the day they end, decided ones

    >>> net_renewal_rate(value_renewed=11000, value_due=10000)
    Decimal('110')
    """
    return per_cent(value_renewed, value_due)


class Likelihood(NamedTuple):
    """How likely something is, as a share, and the ends of where that may well lie."""

    low: Decimal
    expected: Decimal
    high: Decimal

    def at_most(self, other: Likelihood) -> Likelihood:
        return Likelihood(*map(min, self, other))


# How many terms of all accounts stand in for those that a small group lacks.
TERMS_OF_ALL = 10


def renewal_likelihood(
    *, renewed: Number, decided: Number, all_renewed: Number, all_decided: Number
) -> Likelihood | None:
    """Return how likely a term is renewed, seen how many of its like were, and how many of all.

    Formula: (renewed + 10 × share of all) ÷ (decided + 10)
    Unit:    a share, two decimals; its ends are those of the 95 % interval (Wilson)
    Source:  terms that ended within a year, those of accounts in the same band and all

    Ten terms at the rate of all keep a band with few of its own from being held for certain.
    Nothing decided gives None.

    >>> renewal_likelihood(renewed=45, decided=50, all_renewed=80, all_decided=100)
    Likelihood(low=Decimal('0.78'), expected=Decimal('0.88'), high=Decimal('0.94'))
    """
    if not all_decided:
        return None
    terms = Decimal(decided) + TERMS_OF_ALL
    share_of_all = Decimal(all_renewed) / Decimal(all_decided)
    likely = Decimal(renewed) + TERMS_OF_ALL * share_of_all
    interval = wilson_interval(part=min(likely, terms), whole=terms)
    assert interval is not None
    shares = (interval.low / HUNDRED, likely / terms, interval.high / HUNDRED)
    return Likelihood(*(share.quantize(Decimal("0.01"), ROUND_HALF_UP) for share in shares))


def renewal_forecast(
    *, weighted: Number, contracts_forecast: Number, without_likelihood: Number
) -> Decimal | None:
    """Return what open terms are expected to be renewed at.

    Formula: Σ value due × likelihood of the account to renew
    Unit:    money a month, reporting currency
    Source:  open contract terms by the day they end, with the likelihood noted last; that is done
             every hour

    Nothing open gives None, and so does a term without any history to weigh it by.

    >>> renewal_forecast(weighted=1700, contracts_forecast=2, without_likelihood=0)
    Decimal('1700')
    """
    return None if without_likelihood or not contracts_forecast else Decimal(weighted)


def forecast_error(*, error: Number, value_due: Number, without_likelihood: Number) -> Decimal | None:
    """Return how far a forecast was off, of all that was at stake: above 0 it promised too much.

    Formula: (Σ value due × likelihood as it was said − Σ min(renewed value, value due)) ÷ Σ value due × 100
    Unit:    per cent of the value due
    Source:  contract terms by the day they end, decided ones that were open when it was said

    Nothing decided gives None, and so does a term that had no likelihood then.

    >>> forecast_error(error=50, value_due=1000, without_likelihood=0)
    Decimal('5')
    """
    return None if without_likelihood else per_cent(error, value_due)


def predictive_lifetime_value(
    *, arpa: Number, margin_percent: Number, monthly_churn_percent: Number
) -> Decimal | None:
    """Return what a customer brings before they leave, should churn stay as it is.

    Formula: ARPA × gross margin ÷ monthly customer churn rate
    Unit:    money, reporting currency
    Source:  ARPA and the customer churn rate of the same months

    No churn gives None: the lifetime would have no end.

    >>> predictive_lifetime_value(arpa=100, margin_percent=80, monthly_churn_percent=2)
    Decimal('4000')
    """
    if not monthly_churn_percent:
        return None
    return Decimal(arpa) * Decimal(margin_percent) / Decimal(monthly_churn_percent)


# --- Value and cost -------------------------------------------------------------------


def simple_lifetime_value(
    *,
    recurring_revenue: Number,
    one_off_revenue: Number,
    customer_months: Number,
    invoices: Number,
    lifetime_days: Number,
    churned: Number,
) -> Decimal | None:
    """Return what a customer brings over an average life.

    Formula: average purchase value × purchases a year × lifespan in years
    Unit:    money, reporting currency
    Source:  the movement ledger and one-off charges; a purchase is a month that a customer was
             billed for, or a day with one-off lines; the lifespan is that of those who left

    Nobody who left, or no customer, gives None.

    >>> simple_lifetime_value(
    ...     recurring_revenue=1200, one_off_revenue=0, customer_months=12, invoices=0,
    ...     lifetime_days=5 * 365, churned=1,
    ... )
    Decimal('6000')
    """
    purchases = Decimal(customer_months) + Decimal(invoices)
    if not churned or not customer_months:
        return None
    value_of_purchase = (Decimal(recurring_revenue) + Decimal(one_off_revenue)) / purchases
    purchases_a_year = purchases / Decimal(customer_months) * 12
    lifespan_in_years = Decimal(lifetime_days) / (Decimal(churned) * 365)
    return value_of_purchase * purchases_a_year * lifespan_in_years


def predicted_lifetime_value(
    *,
    mrr: Number,
    paying_customers: Number,
    churned: Number,
    customers_at_start: Number,
    period_months: Number,
    margin_percent: Number,
) -> Decimal | None:
    """Return what a customer brings before they leave, should churn stay as it is.

    Formula: ARPA × gross margin ÷ monthly customer churn rate
    Unit:    money, reporting currency
    Source:  the movement ledger; ARPA at the end of the period, its churn brought to a month,
             and the margin set in GROSS_MARGIN_PERCENT, 100 % until it is set

    No churn gives None: the lifetime would have no end.

    >>> predicted_lifetime_value(
    ...     mrr=1000, paying_customers=10, churned=2, customers_at_start=100,
    ...     period_months=1, margin_percent=80,
    ... )
    Decimal('4000')
    """
    arpa = average_revenue_per_account(mrr=mrr, paying_customers=paying_customers)
    churn = per_cent(churned, customers_at_start)
    if arpa is None or churn is None:
        return None
    return predictive_lifetime_value(
        arpa=arpa, margin_percent=margin_percent, monthly_churn_percent=churn / Decimal(period_months)
    )


def historic_lifetime_value(*, recurring: Number, one_off: Number, accounts: Number) -> Decimal | None:
    """Return what an account that ever paid has brought so far.

    Formula: (Σ MRR at the end of each month so far + one-off invoiced lines) ÷ accounts that paid
    Unit:    money, reporting currency
    Source:  the movement ledger and one-off charges; exchanged at the rates of the last day

    >>> historic_lifetime_value(recurring=2300, one_off=100, accounts=2)
    Decimal('1200')
    """
    return revenue_of_a_year_per_account(recurring=recurring, one_off=one_off, accounts=accounts)


def customer_retention_cost(*, cost: Number, cost_lines: Number, average_customers: Number) -> Decimal | None:
    """Return what keeping one customer cost.

    Formula: retention costs of the period ÷ ((customers at start + customers at end) ÷ 2)
    Unit:    money, reporting currency
    Source:  costs by the day they are for, and the movement ledger

    No customers give None, and so does a period for which no costs were entered.

    >>> customer_retention_cost(cost=10_000, cost_lines=3, average_customers=500)
    Decimal('20')
    """
    return None if not cost_lines or not average_customers else Decimal(cost) / Decimal(average_customers)


def customer_retention_cost_at_end(
    *, cost: Number, cost_lines: Number, customers_at_end: Number
) -> Decimal | None:
    """Return what keeping one customer cost, by those there at the end.

    Formula: retention costs of the period ÷ customers at the end
    Unit:    money, reporting currency
    Source:  costs by the day they are for, and the movement ledger

    >>> customer_retention_cost_at_end(cost=10_000, cost_lines=3, customers_at_end=400)
    Decimal('25')
    """
    return None if not cost_lines or not customers_at_end else Decimal(cost) / Decimal(customers_at_end)


def retention_margin(
    *,
    mrr: Number,
    paying_customers: Number,
    cost: Number,
    cost_lines: Number,
    average_customers: Number,
    period_months: Number,
) -> Decimal | None:
    """Return what is left of a customer's monthly revenue once keeping them is paid for.

    Formula: ARPA − retention cost per customer and month
    Unit:    money a month, reporting currency; below 0 keeping them costs more than they pay
    Source:  the movement ledger, and costs by the day they are for

    >>> retention_margin(
    ...     mrr=1000, paying_customers=10, cost=360, cost_lines=1, average_customers=4, period_months=3
    ... )
    Decimal('70')
    """
    arpa = average_revenue_per_account(mrr=mrr, paying_customers=paying_customers)
    spent = customer_retention_cost(cost=cost, cost_lines=cost_lines, average_customers=average_customers)
    return None if arpa is None or spent is None else arpa - spent / Decimal(period_months)


# --- Voice of the customer ------------------------------------------------------------


def net_promoter_score(*, promoters: Number, detractors: Number, answers: Number) -> Decimal | None:
    """Return the Net Promoter Score of a group of answers.

    Formula: 100 × (promoters − detractors) ÷ answers
    Unit:    points from −100 to 100, not per cent
    Source:  confirmed answers to "How likely are you to recommend us?"; 9–10 promotes, 7–8 is
             passive, 0–6 detracts (Reichheld, HBR, Dec 2003); a 1–10 scale has the same cuts

    No answers give None. Zero would be a score that customers gave.

    >>> net_promoter_score(promoters=6, detractors=2, answers=10)
    Decimal('40')
    """
    return per_cent(Decimal(promoters) - Decimal(detractors), answers)


def account_net_promoter_score(*, promoters: Number, detractors: Number, accounts: Number) -> Decimal | None:
    """Return the Net Promoter Score of accounts, each with one vote.

    Formula: 100 × (promoting accounts − detracting accounts) ÷ accounts that answered
    Unit:    points from −100 to 100, not per cent
    Source:  the latest confirmed answer of each contact in the period, averaged per account;
             9 and above promotes, below 7 detracts

    >>> account_net_promoter_score(promoters=1, detractors=0, accounts=2)
    Decimal('50')
    """
    return per_cent(Decimal(promoters) - Decimal(detractors), accounts)


def response_rate(*, answered: Number, delivered: Number) -> Decimal | None:
    """Return the share of those asked who answered.

    Formula: invitations answered ÷ invitations delivered × 100
    Unit:    per cent
    Source:  invitations by the day they were sent; delivered are those that did not bounce

    >>> response_rate(answered=19, delivered=95)
    Decimal('20')
    """
    return per_cent(answered, delivered)


def net_promoter_estimate(*, promoters: Number, detractors: Number, answers: Number) -> Estimate | None:
    """Return the adjusted score and its variance, in points: three answers are added, ¾ of one
    each to promoters and detractors, which keeps both honest when few answered or all agree.

    >>> round(net_promoter_estimate(promoters=12, detractors=3, answers=20).value, 2)
    Decimal('39.13')
    """
    if not answers:
        return None
    n = Decimal(answers) + 3
    p = (Decimal(promoters) + Decimal("0.75")) / n
    d = (Decimal(detractors) + Decimal("0.75")) / n
    return Estimate(HUNDRED * (p - d), HUNDRED**2 * (p + d - (p - d) ** 2) / n)


def net_promoter_interval(
    *, promoters: Number, detractors: Number, answers: Number, population: Number | None = None
) -> Interval | None:
    """Return the 95 % interval of a Net Promoter Score: adjusted Wald, clamped to ±100.

    `population` is how many were asked, where that is known: the more of them answered, the less
    is left to chance, and if all did, nothing (finite population correction).

    >>> [round(bound, 2) for bound in net_promoter_interval(promoters=50, detractors=20, answers=100)]
    [Decimal('14.05'), Decimal('44.20')]
    """
    estimate = net_promoter_estimate(promoters=promoters, detractors=detractors, answers=answers)
    if estimate is None:
        return None
    reach = Z_95 * estimate.variance.sqrt()
    if population is not None and population >= answers:
        left = (Decimal(population) - Decimal(answers)) / max(Decimal(population) - 1, Decimal(1))
        reach *= left.sqrt()
    return Interval(max(estimate.value - reach, -HUNDRED), min(estimate.value + reach, HUNDRED))


def share_estimate(*, part: Number, whole: Number) -> Estimate | None:
    """Return an adjusted share and its variance, in per cent: one success and one failure are
    added (Agresti and Caffo 2000), as for comparing two shares.

    >>> round(share_estimate(part=9, whole=10).value, 2)
    Decimal('83.33')
    """
    if not whole or part < 0 or part > whole:
        return None
    n = Decimal(whole) + 2
    p = (Decimal(part) + 1) / n
    return Estimate(HUNDRED * p, HUNDRED**2 * p * (1 - p) / n)


def wilson_interval(*, part: Number, whole: Number) -> Interval | None:
    """Return the 95 % interval of a share, in per cent (Wilson 1927).

    None without a whole, and when the part is no part of it.

    >>> [round(bound, 2) for bound in wilson_interval(part=45, whole=50)]
    [Decimal('78.64'), Decimal('95.65')]
    """
    if not whole or part < 0 or part > whole:
        return None
    n, p, zz = Decimal(whole), Decimal(part) / Decimal(whole), Z_95**2
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    reach = Z_95 / (1 + zz / n) * (p * (1 - p) / n + zz / (4 * n * n)).sqrt()
    return Interval(max(HUNDRED * (middle - reach), ZERO), min(HUNDRED * (middle + reach), HUNDRED))


def mean_estimate(*, total: Number, squares: Number, answers: Number) -> Estimate | None:
    """Return a mean and its variance, s² ÷ n. `squares` is the sum of the squared scores.

    Fewer than two answers say nothing about how far apart people are: None.

    >>> mean_estimate(total=6, squares=20, answers=2)
    Estimate(value=Decimal('3'), variance=Decimal('1'))
    """
    if answers < 2:
        return None
    n, mean = Decimal(answers), Decimal(total) / Decimal(answers)
    return Estimate(mean, max((Decimal(squares) - n * mean * mean) / (n - 1), ZERO) / n)


def mean_interval(*, total: Number, squares: Number, answers: Number) -> Interval | None:
    """Return the 95 % interval of a mean: mean ± 1.96 × s ÷ √n, the normal approximation.

    >>> [round(bound, 2) for bound in mean_interval(total=32, squares=180, answers=7)]
    [Decimal('2.82'), Decimal('6.33')]
    """
    estimate = mean_estimate(total=total, squares=squares, answers=answers)
    if estimate is None:
        return None
    reach = Z_95 * estimate.variance.sqrt()
    return Interval(estimate.value - reach, estimate.value + reach)


def customer_satisfaction(*, satisfied: Number, answers: Number) -> Decimal | None:
    """Return the share of answers that are positive.

    Formula: positive answers ÷ answers × 100
    Unit:    per cent
    Source:  confirmed answers to satisfaction questions; what is positive belongs to the
             question: 4–5 of 5 as a rule, 6–10 of 10, 3 of 3

    >>> customer_satisfaction(satisfied=35, answers=50)
    Decimal('70')
    """
    return per_cent(satisfied, answers)


def mean_score(*, score_total: Number, answers: Number) -> Decimal | None:
    """Return the mean of scores given on one scale.

    Formula: sum of the scores ÷ answers
    Unit:    points of the scale
    Source:  confirmed answers; scales are never mixed

    >>> mean_score(score_total=9, answers=2)
    Decimal('4.5')
    """
    return None if not answers else Decimal(score_total) / Decimal(answers)


def customer_effort_score(*, score_total: Number, answers: Number) -> Decimal | None:
    """Return how easy customers found it, on average.

    Formula: sum of the scores ÷ answers
    Unit:    points from 1 (strongly disagree that it was easy) to 7 (strongly agree)
    Source:  confirmed answers to "It was easy to get this done"

    >>> round(customer_effort_score(score_total=7 + 7 + 6 + 5 + 4 + 2 + 1, answers=7), 2)
    Decimal('4.57')
    """
    return mean_score(score_total=score_total, answers=answers)


def ease_share(*, easy: Number, answers: Number) -> Decimal | None:
    """Return the share of customers who found it easy.

    Formula: answers of 5 to 7 ÷ answers × 100
    Unit:    per cent
    Source:  confirmed answers to "It was easy to get this done", 1 to 7

    >>> round(ease_share(easy=4, answers=7), 1)
    Decimal('57.1')
    """
    return per_cent(easy, answers)


# --- Support --------------------------------------------------------------------------


def first_contact_resolution_rate(*, resolved_on_first_contact: Number, settled: Number) -> Decimal | None:
    """Return the share of tickets that one contact was enough for.

    Formula: tickets resolved on first contact ÷ tickets received × 100, settled tickets only
    Unit:    per cent
    Source:  tickets by the day they were opened; settled once their reopen window has passed;
             merged, spam, outbound and auto-closed ones are out of both counts

    >>> first_contact_resolution_rate(resolved_on_first_contact=3, settled=4)
    Decimal('75')
    """
    return per_cent(resolved_on_first_contact, settled)


def immediate_resolution_rate(*, closed_after_one_interaction: Number, received: Number) -> Decimal | None:
    """Return the share of tickets closed after one interaction, without waiting for a reopen.

    Formula: tickets closed after one interaction ÷ tickets received × 100
    Unit:    per cent
    Source:  tickets by the day they were opened; merged, spam, outbound and auto-closed ones
             are out of both counts

    >>> immediate_resolution_rate(closed_after_one_interaction=3, received=5)
    Decimal('60')
    """
    return per_cent(closed_after_one_interaction, received)


def reopen_rate(*, reopened: Number, resolved: Number) -> Decimal | None:
    """Return the share of resolved tickets that came back.

    Formula: tickets reopened at least once since ÷ tickets resolved for the first time × 100
    Unit:    per cent
    Source:  ticket events, by the day of a ticket's first resolution

    >>> reopen_rate(reopened=1, resolved=8)
    Decimal('12.5')
    """
    return per_cent(reopened, resolved)


def median_response_hours(*, spread: Spread) -> Decimal | None:
    """Return how long customers typically wait for the first answer.

    Formula: the median of the times from a ticket's opening to its first public reply by a person
    Unit:    hours
    Source:  ticket events and messages, by the day of the first reply; no estimated moments

    >>> median_response_hours(spread=[(3600, {"answered": 2}), (7200, {"answered": 1})])
    Decimal('1')
    """
    return _in_hours(median(spread, "answered"))


def slow_response_hours(*, spread: Spread) -> Decimal | None:
    """Return within which time nine of ten tickets are answered.

    Formula: the 90th percentile of the times from opening to first public reply (nearest rank)
    Unit:    hours
    Source:  ticket events and messages, by the day of the first reply; no estimated moments

    >>> slow_response_hours(spread=[(3600, {"answered": 9}), (7200, {"answered": 1})])
    Decimal('1')
    """
    return _in_hours(percentile(spread, "answered", share=NINE_TENTHS))


def median_resolution_hours(*, spread: Spread) -> Decimal | None:
    """Return how long it typically takes until a ticket is resolved for good.

    Formula: the median of the times from a ticket's opening to its last resolution
    Unit:    hours
    Source:  ticket events, by the day of the resolution; no estimated moments

    >>> median_resolution_hours(spread=[(3600, {"resolved": 1}), (7200, {"resolved": 1})])
    Decimal('1.5')
    """
    return _in_hours(median(spread, "resolved"))


def slow_resolution_hours(*, spread: Spread) -> Decimal | None:
    """Return within which time nine of ten tickets are resolved for good.

    Formula: the 90th percentile of the times from opening to last resolution (nearest rank)
    Unit:    hours
    Source:  ticket events, by the day of the resolution; no estimated moments

    >>> slow_resolution_hours(spread=[(3600, {"resolved": 8}), (7200, {"resolved": 2})])
    Decimal('2')
    """
    return _in_hours(percentile(spread, "resolved", share=NINE_TENTHS))


def _in_hours(seconds: Decimal | None) -> Decimal | None:
    return None if seconds is None else seconds / SECONDS_AN_HOUR


def interval_in_hours(interval: Interval | None) -> Interval | None:
    """Return an interval of seconds in hours."""
    return interval and Interval(interval.low / SECONDS_AN_HOUR, interval.high / SECONDS_AN_HOUR)


def in_time_rate(*, in_time: Number, due: Number) -> Decimal | None:
    """Return the share of tickets for which we kept what we promised.

    Formula: tickets answered, or resolved, by the time they were due ÷ tickets due × 100
    Unit:    per cent
    Source:  ticket events against the target of each priority in business hours, by the day a
             ticket was due; one that nobody answered yet was missed

    >>> in_time_rate(in_time=9, due=12)
    Decimal('75')
    """
    return per_cent(in_time, due)


# --- Product usage --------------------------------------------------------------------


def license_utilization(*, active_users: Number, seats: Number) -> Decimal | None:
    """Return how much of what was contracted is used.

    Formula: end users active in the last 30 days ÷ seats contracted × 100
    Unit:    per cent; above 100 is shown as it is and flagged
    Source:  daily activity, and the contracts in force on the last day of the period; unused
             seats count

    No seats give None.

    >>> license_utilization(active_users=80, seats=100)
    Decimal('80')
    """
    return per_cent(active_users, seats)


def stickiness(*, daily_active_total: Number, monthly_active_users: Number) -> Decimal | None:
    """Return which part of a month's users come on an average day.

    Formula: mean daily active users over the 30 days ÷ monthly active users × 100; the mean is the
             active days of all users ÷ 30
    Unit:    per cent
    Source:  daily activity of end users

    >>> stickiness(daily_active_total=30 * 20_000, monthly_active_users=100_000)
    Decimal('20')
    """
    return per_cent(Decimal(daily_active_total) / 30, monthly_active_users)


def user_retention_rate(*, still_active: Number, active_before: Number) -> Decimal | None:
    """Return the share of the users of one period who come in the next one too.

    Formula: active in this period and the previous one ÷ active in the previous one × 100
    Unit:    per cent
    Source:  daily activity of end users

    >>> user_retention_rate(still_active=3, active_before=4)
    Decimal('75')
    """
    return per_cent(still_active, active_before)


def active_share(*, active_users: Number, known_users: Number) -> Decimal | None:
    """Return the share of all known users who are active.

    Formula: end users active in the period ÷ all known end users × 100
    Unit:    per cent
    Source:  daily activity of end users; known is who was seen by the end of the period and not
             removed before its start

    >>> active_share(active_users=6, known_users=8)
    Decimal('75')
    """
    return per_cent(active_users, known_users)


def account_retention_rate(
    *, accounts_still_active: Number, accounts_active_before: Number
) -> Decimal | None:
    """Return the share of the accounts with active users that have some in the next period too.

    Formula: accounts active in this period and the previous one ÷ accounts active in the previous one × 100
    Unit:    per cent
    Source:  daily activity of end users

    >>> round(account_retention_rate(accounts_still_active=34, accounts_active_before=49), 2)
    Decimal('69.39')
    """
    return per_cent(accounts_still_active, accounts_active_before)


def user_abandonment_rate(*, stopped: Number, users_at_start: Number) -> Decimal | None:
    """Return the share of the users at the start who have stopped using the product.

    Formula: end users who stopped, or were removed ÷ end users at start × 100
    Unit:    per cent
    Source:  daily activity of end users; at start is who was active in the 30 days before the period,
             stopped who was not in the last 30 days up to its end

    >>> user_abandonment_rate(stopped=1, users_at_start=5)
    Decimal('20')
    """
    return per_cent(stopped, users_at_start)


def feature_adoption(*, accounts_using: Number, customers: Number) -> Decimal | None:
    """Return the share of the customers that use a feature.

    Formula: customers that used the feature in the period ÷ all customers × 100
    Unit:    per cent
    Source:  daily usage by account and feature; the movement ledger, customers at the end of the period

    >>> feature_adoption(accounts_using=3, customers=12)
    Decimal('25')
    """
    return per_cent(accounts_using, customers)


def feature_adoption_by_users(*, users_using: Number, known_users: Number) -> Decimal | None:
    """Return the share of the end users who use a feature.

    Formula: end users who used the feature in the period ÷ all known end users × 100
    Unit:    per cent
    Source:  daily activity of end users by feature; known is who was seen by the end of the period
             and not removed before its start

    >>> feature_adoption_by_users(users_using=1, known_users=4)
    Decimal('25')
    """
    return per_cent(users_using, known_users)


def adoption_breadth(*, features_used: Number, features_in_plan: Number) -> Decimal | None:
    """Return how much of what is in their plans customers use.

    Formula: Σ features of the plan that were used ÷ Σ features in the plan × 100, over customers
    Unit:    per cent
    Source:  daily usage by account and feature, and the plan at the end of the period

    >>> adoption_breadth(features_used=3, features_in_plan=8)
    Decimal('37.5')
    """
    return per_cent(features_used, features_in_plan)


def adoption_depth(*, events: Number, active_users: Number) -> Decimal | None:
    """Return how much an active user does.

    Formula: events in the period ÷ end users active in the period
    Unit:    events for each active user
    Source:  daily usage by account and feature, daily activity of end users

    >>> adoption_depth(events=90, active_users=20)
    Decimal('4.5')
    """
    return None if not active_users else Decimal(events) / Decimal(active_users)


# --- What an installation defines itself ----------------------------------------------


def share_of(*, numerator: Number, denominator: Number) -> Decimal | None:
    """Return one count or sum as per cent of another.

    Formula: numerator ÷ denominator × 100
    Unit:    per cent
    Source:  the facts that its definition names

    >>> share_of(numerator=3, denominator=12)
    Decimal('25')
    """
    return per_cent(numerator, denominator)


def quotient(*, numerator: Number, denominator: Number) -> Decimal | None:
    """Return how much of one comes to each of another.

    Formula: numerator ÷ denominator
    Unit:    that of the numerator for each of the denominator, or a ratio of two sums
    Source:  the facts that its definition names

    >>> quotient(numerator=3, denominator=12)
    Decimal('0.25')
    """
    return None if not denominator else Decimal(numerator) / Decimal(denominator)


def quotient_per_hundred(*, numerator: Number, denominator: Number) -> Decimal | None:
    """Return how much of one comes to a hundred of another.

    Formula: numerator ÷ denominator × 100
    Unit:    that of the numerator for each hundred of the denominator
    Source:  the facts that its definition names

    >>> quotient_per_hundred(numerator=3, denominator=12)
    Decimal('25')
    """
    return per_cent(numerator, denominator)


def quotient_per_thousand(*, numerator: Number, denominator: Number) -> Decimal | None:
    """Return how much of one comes to a thousand of another.

    Formula: numerator ÷ denominator × 1,000
    Unit:    that of the numerator for each thousand of the denominator
    Source:  the facts that its definition names

    >>> quotient_per_thousand(numerator=3, denominator=12)
    Decimal('250')
    """
    return None if not denominator else 1000 * Decimal(numerator) / Decimal(denominator)


# --- Onboarding -----------------------------------------------------------------------


def onboarding_completion_rate(*, completed: Number, due: Number) -> Decimal | None:
    """Return the share of the onboardings due that are over.

    Formula: accounts that completed onboarding ÷ accounts whose onboarding was due × 100
    Unit:    per cent
    Source:  milestones that end the onboarding, by the day they were due on

    >>> onboarding_completion_rate(completed=3, due=4)
    Decimal('75')
    """
    return per_cent(completed, due)


def onboarded_on_time(*, completed_on_time: Number, due: Number) -> Decimal | None:
    """Return the share of the onboardings due that were over by the day they were due on.

    Formula: accounts that completed onboarding by its due day ÷ accounts whose onboarding was due × 100
    Unit:    per cent
    Source:  milestones that end the onboarding, by the day they were due on

    >>> onboarded_on_time(completed_on_time=1, due=4)
    Decimal('25')
    """
    return per_cent(completed_on_time, due)


def tutorial_visits(*, visits: Number, accounts_in_onboarding: Number) -> Decimal | None:
    """Return how often an account in onboarding looked at tutorials.

    Formula: visits to tutorials by accounts in onboarding ÷ accounts in onboarding
    Unit:    visits an account
    Source:  daily usage of the features that are tutorials; milestones that end the onboarding

    >>> tutorial_visits(visits=9, accounts_in_onboarding=2)
    Decimal('4.5')
    """
    return None if not accounts_in_onboarding else Decimal(visits) / Decimal(accounts_in_onboarding)


# --- Outcomes and referrals -----------------------------------------------------------

# Changes are counted in millionths of a per cent: whole numbers, exact enough.
OUTCOME_STEPS = 1_000_000


def outcome_change(*, spread: Spread) -> Decimal | None:
    """Return how far customers' figures are from their baseline, in the middle of them all.

    Formula: median of (latest reading − baseline) ÷ |baseline| × 100
    Unit:    per cent; what is better, up or down, differs from figure to figure
    Source:  outcome figures with a baseline and a reading up to the end of the period

    >>> outcome_change(spread=[(Decimal(30 * OUTCOME_STEPS), {"figures": Decimal(1)})])
    Decimal('30')
    """
    found = median(spread, "figures")
    return None if found is None else found / OUTCOME_STEPS


def outcome_improvement(*, spread: Spread) -> Decimal | None:
    """Return how far customers' figures are better than their baseline, in the middle of them all.

    Formula: median of (latest reading − baseline) ÷ |baseline| × 100, the sign turned for figures
             that are better when lower
    Unit:    per cent; above 0 is better
    Source:  outcome figures with a baseline and a reading up to the end of the period

    >>> outcome_improvement(spread=[(Decimal(-5 * OUTCOME_STEPS), {"figures": Decimal(3)})])
    Decimal('-5')
    """
    return outcome_change(spread=spread)


def referral_conversion_rate(*, converted: Number, referrals: Number) -> Decimal | None:
    """Return the share of referrals that became customers.

    Formula: referrals that became customers ÷ referrals made × 100
    Unit:    per cent
    Source:  referrals by the day they were made, and the movement ledger

    >>> referral_conversion_rate(converted=1, referrals=4)
    Decimal('25')
    """
    return per_cent(converted, referrals)


# --- Team -----------------------------------------------------------------------------


def touch_coverage(*, accounts_touched: Number, accounts_held: Number) -> Decimal | None:
    """Return the share of the accounts held that somebody was in contact with lately.

    Formula: accounts touched in the last 30 days ÷ accounts held × 100
    Unit:    per cent
    Source:  assignments in force on the last day; touches, notes left out

    >>> touch_coverage(accounts_touched=30, accounts_held=40)
    Decimal('75')
    """
    return per_cent(accounts_touched, accounts_held)


# --- Health ---------------------------------------------------------------------------


def average_health(*, score_total: Number, customers_scored: Number) -> Decimal | None:
    """Return the mean health score of the customers that have one.

    Formula: sum of the scores ÷ customers with a score
    Unit:    points from 0 to 100
    Source:  health scores as they stood at the end of the period

    >>> average_health(score_total=150, customers_scored=2)
    Decimal('75')
    """
    return None if not customers_scored else Decimal(score_total) / Decimal(customers_scored)


def mrr_weighted_health(*, health_times_mrr: Number, mrr_scored: Number) -> Decimal | None:
    """Return the mean health score of the customers that have one, each weighted by its revenue.

    Formula: Σ score × MRR ÷ Σ MRR of the customers with a score
    Unit:    points from 0 to 100
    Source:  health scores as they stood, and the movement ledger, at the end of the period

    >>> mrr_weighted_health(health_times_mrr=80 * 900 + 20 * 100, mrr_scored=1000)
    Decimal('74')
    """
    return None if not mrr_scored else Decimal(health_times_mrr) / Decimal(mrr_scored)


def accounts_at_risk(*, red: Number, customers_scored: Number) -> Decimal | None:
    """Return how many customers stand in the red band.

    Formula: customers whose health is in the red band, counted
    Unit:    a count
    Source:  health scores as they stood at the end of the period

    Nobody scored gives None: that nobody is red would be a guess.

    >>> accounts_at_risk(red=3, customers_scored=20)
    Decimal('3')
    """
    return None if not customers_scored else Decimal(red)


def share_of_accounts_at_risk(*, red: Number, customers_scored: Number) -> Decimal | None:
    """Return the share of the customers with a score that stand in the red band.

    Formula: customers whose health is in the red band ÷ customers with a score × 100
    Unit:    per cent
    Source:  health scores as they stood at the end of the period

    >>> share_of_accounts_at_risk(red=3, customers_scored=20)
    Decimal('15')
    """
    return per_cent(red, customers_scored)


def mrr_at_risk(*, red_mrr: Number, customers_scored: Number) -> Decimal | None:
    """Return the recurring revenue of the customers in the red band.

    Formula: Σ MRR of customers whose health is in the red band
    Unit:    money a month, reporting currency
    Source:  health scores as they stood, and the movement ledger, at the end of the period

    Nobody scored gives None: that nothing is at risk would be a guess.

    >>> mrr_at_risk(red_mrr=500, customers_scored=20)
    Decimal('500')
    """
    return None if not customers_scored else Decimal(red_mrr)


def share_of_mrr_at_risk(*, red_mrr: Number, mrr_scored: Number) -> Decimal | None:
    """Return the share of the scored customers' recurring revenue that stands in the red band.

    Formula: Σ MRR of customers in the red band ÷ Σ MRR of customers with a score × 100
    Unit:    per cent
    Source:  health scores as they stood, and the movement ledger, at the end of the period

    >>> share_of_mrr_at_risk(red_mrr=500, mrr_scored=2000)
    Decimal('25')
    """
    return per_cent(red_mrr, mrr_scored)


# --- Words for numbers ----------------------------------------------------------------

# Values go out with at most this many decimals: enough to compare, few enough to read.
PLACES = 6


def exact_text(number: Decimal | None, *, at_least: int = 0) -> str | None:
    """Return a number as text with up to six decimals, without zeros that say nothing.

    >>> exact_text(Decimal("26.536986")), exact_text(Decimal(5)), exact_text(Decimal(5), at_least=2)
    ('26.536986', '5', '5.00')
    """
    if number is None:
        return None
    rounded = number.quantize(Decimal(1).scaleb(-PLACES), ROUND_HALF_UP) or Decimal("0.000000")
    whole, decimals = f"{rounded:f}".split(".")
    decimals = decimals.rstrip("0").ljust(at_least, "0")
    return f"{whole}.{decimals}" if decimals else whole
