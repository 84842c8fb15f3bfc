"""KPIs over 36 months: stored figures against the facts, and against statements written by hand.

For every KPI the stored series and the one counted from the rows must be the same, or the run stops.
Then a day's facts arrive and the figures they concern are worked out anew; that is rolled back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Account, Touch
from benchmarks.figures import Figure, Options, duration, median, percentile, times
from benchmarks.processor import seconds_worked
from csplatform.periods import Period, day_of, floor_to
from metrics import rollups
from metrics.kpis import KPIS, Answer, Question, ask_stored
from metrics.kpis.asking import count_many
from surveys.models import Answer as SurveyAnswer
from tickets.models import Ticket

MONTHS, QUICK_MONTHS = 36, 3
MOST_SECONDS = 0.1
REPEATS = 3
# Shown one by one; of all others the slowest and the median.
SHOWN = ("mrr", "nrr", "customer_churn_rate", "nps", "first_contact_resolution_rate", "monthly_active_users")
BY_SEGMENT = "nps"


@dataclass
class Timed:
    seconds: float
    processor: float


def run(options: Options) -> Iterator[Figure]:
    months = QUICK_MONTHS if options.is_quick else MONTHS
    periods = _months(months)
    said = f"{months} months, {options.accounts:,} accounts"
    measured: dict[str, tuple[Timed, Timed]] = {}
    for slug in KPIS:
        measured[slug] = _compare([Question(slug, period) for period in periods])
    for slug in SHOWN:
        yield _figure(f"{slug}, {said}", *measured[slug])
    grouped = [Question(BY_SEGMENT, period, group_by="segment") for period in periods]
    yield _figure(f"{BY_SEGMENT} by segment, {said}", *_compare(grouped))
    stored = [both[0].seconds for both in measured.values()]
    slowest = max(measured, key=lambda slug: measured[slug][0].seconds)
    yield Figure(
        f"all {len(measured)} KPIs, each {said}",
        f"median {duration(median(stored))}, p95 {duration(percentile(stored, 95))}",
        f"slowest: {slowest} {duration(max(stored))}",
        "",
        f"≤ {duration(MOST_SECONDS)}",
        max(stored) <= MOST_SECONDS,
    )
    for slug, statement in BY_HAND.items():
        yield _against_hand(slug, statement, periods, said)
    yield from _a_day(options)


def _months(number: int) -> list[Period]:
    """Return the last full months, the newest last."""
    month = floor_to(day_of(timezone.now()), "month")
    return [Period.month_of(month - relativedelta(months=back)) for back in range(number, 0, -1)]


def _timed(work: Callable[[], object], repeats: int = REPEATS) -> Timed:
    seconds, processor = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), seconds_worked()
        work()
        seconds.append(time.perf_counter() - began)
        processor.append(seconds_worked() - worked)
    return Timed(median(seconds), median(processor))


def _compare(questions: Sequence[Question]) -> tuple[Timed, Timed]:
    """Return how long the stored answers and the counted ones take; both must be the same."""
    slug = questions[0].slug
    answers = ask_stored(questions)
    counted: list[Answer] = []
    from_rows = _timed(lambda: counted.extend(count_many(questions)), repeats=1)
    for stored, right in zip(answers, counted, strict=True):
        if stored is None:
            raise SystemExit(f"{slug} of {right.question.period} is not stored.")
        if (stored.figure, stored.groups) != (right.figure, right.groups):
            raise SystemExit(f"{slug} of {right.question.period}: stored and counted differ.")
    return _timed(lambda: ask_stored(questions)), from_rows


def _figure(what: str, stored: Timed, from_rows: Timed) -> Figure:
    return Figure(
        f"{what}, stored",
        f"{duration(stored.seconds)} (processor {duration(stored.processor)})",
        f"from the rows {duration(from_rows.seconds)} (processor {duration(from_rows.processor)})",
        f"1/{from_rows.processor / stored.processor:,.0f}",
        f"≤ {duration(MOST_SECONDS)}",
        stored.seconds <= MOST_SECONDS,
    )


# --- Against statements written by hand ---------------------------------------------------

_CUSTOMERS = """
    SELECT m.starts_on, (SELECT sum(v.customers) FROM accounts_movement v WHERE v.effective_on < m.ends_on)
    FROM ({months}) AS m
"""
_TICKETS = """
    SELECT m.starts_on, (
        SELECT count(*) FROM tickets_ticket t
        WHERE t.opened_at >= m.starts_at AND t.opened_at < m.ends_at AND t.exclusion = ''
    )
    FROM ({months}) AS m
"""
BY_HAND = {"customer_count": _CUSTOMERS, "tickets_received": _TICKETS}


def _against_hand(slug: str, statement: str, periods: Sequence[Period], said: str) -> Figure:
    kinds = ("date", "date", "timestamptz", "timestamptz") if connection.vendor == "postgresql" else None
    columns = ", ".join(
        f"CAST(%s AS {kinds[at]}) AS {name}" if kinds else f"%s AS {name}"
        for at, name in enumerate(("starts_on", "ends_on", "starts_at", "ends_at"))
    )
    sql = statement.format(months=" UNION ALL ".join([f"SELECT {columns}"] * len(periods)))
    parameters = [
        text
        for period in periods
        for text in (
            period.start.isoformat(),
            period.end.isoformat(),
            connection.ops.adapt_datetimefield_value(period.starts_at),
            connection.ops.adapt_datetimefield_value(period.ends_at),
        )
    ]

    def by_hand() -> list[Decimal]:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            found = {date.fromisoformat(str(day)): Decimal(value or 0) for day, value in cursor.fetchall()}
        return [found[period.start] for period in periods]

    questions = [Question(slug, period) for period in periods]
    right = [answer.value for answer in count_many(questions)]
    if by_hand() != right:
        raise SystemExit(f"{slug}: the statement by hand gives {by_hand()}, we give {right}.")
    hand, ours = _timed(by_hand), _timed(lambda: count_many(questions))
    return Figure(
        f"{slug}, {said}, from the rows",
        f"{duration(ours.seconds)} (processor {duration(ours.processor)})",
        f"by hand {duration(hand.seconds)} (processor {duration(hand.processor)})",
        times(ours.processor / hand.processor),
    )


# --- A day's facts --------------------------------------------------------------------------


class _UndoneError(Exception):
    pass


def _a_day(options: Options) -> Iterator[Figure]:
    """Have some facts of today, and one of 45 days ago, arrive; work out what they concern."""
    rollups.refresh(rows=rollups.due_now)
    try:
        with transaction.atomic():
            _facts(timezone.now())
            yield _refreshed(f"facts of today, {options.accounts:,} accounts")
            _facts(timezone.now() - timedelta(days=45))
            yield _refreshed(f"facts of 45 days ago, {options.accounts:,} accounts")
            raise _UndoneError
    except _UndoneError:
        pass


def _facts(moment: datetime) -> None:
    """Let one of each of the busiest kinds of facts arrive: a touch, a ticket, an answer."""
    account = Account.objects.filter(is_customer=True).earliest("pk")
    Touch.objects.create(account=account, kind=Touch.Kind.CALL, happened_at=moment)
    ticket = Ticket.objects.latest("pk")
    ticket.pk, ticket.external_id, ticket.opened_at = None, f"benchmark {moment}", moment
    ticket.save()
    answer = SurveyAnswer.objects.select_related("response").latest("pk")
    response = answer.response
    response.pk, response.external_id, response.given_at = None, f"benchmark {moment}", moment
    response.save()
    answer.pk, answer.response = None, response
    answer.save()


def _refreshed(what: str) -> Figure:
    done = rollups.Refreshed()

    def work() -> None:
        nonlocal done
        done = rollups.refresh(rows=rollups.due_now)

    taken = _timed(work, repeats=1)
    kept = rollups.KpiRollUp.objects.count()
    if done.failed:
        raise SystemExit(f"{done.failed} figures could not be worked out.")
    return Figure(
        f"{what}: figures worked out anew",
        f"{done.counted:,} in {duration(taken.seconds)} (processor {duration(taken.processor)})",
        f"{kept:,} are kept",
        f"{100 * done.counted / kept:.1f} %",
    )
