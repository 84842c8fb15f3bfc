"""The pass: works out signals, points and scores of many accounts at once, and stores them.

One statement reads the facts and fills a temporary table, a row an account; four more bring the
history and the accounts' copies in line with it. Python never sees an account, so memory does
not grow with their number, and today's score of the whole base, of a batch of due accounts and
of a past day all come from the same statement.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from django.db import DataError, connection, transaction
from django.utils import timezone

from accounts.models import Account, DueAccount
from csplatform.periods import day_of
from metrics.health import sql
from metrics.health.curves import BEST
from metrics.health.scorecards import Card, Measure, current_cards
from metrics.health.signals import SIGNALS
from metrics.health.sources import SOURCES, View, look_around
from metrics.health.sql import Asked, Scope

log = structlog.get_logger(__name__)

# Passes that write take turns: two at once could each overwrite what the other, with newer
# facts, had just found. A batch is short, so that due accounts wait less than a second.
TURN = 7_204_118_036_551
PAUSE_AFTER_FAILURE = timedelta(hours=1)
CLOCKS_DIFFER_BY = timedelta(minutes=1)  # of the machines that mark and that work


def batch_size() -> int:
    """Accounts in one transaction; on SQLite it keeps every other writer waiting."""
    return 20_000 if sql.is_postgresql() else 2_500


@dataclass
class Passed:
    """What a pass did: accounts looked at, those that got a score, and rows of history written."""

    checked: int = 0
    scored: int = 0
    written: int = 0
    failed: int = 0

    def add(self, other: Passed) -> None:
        self.checked += other.checked
        self.scored += other.scored
        self.written += other.written
        self.failed += other.failed


Progress = Callable[[Passed], None]


def _nobody_watches(passed: Passed) -> None:
    pass


# --- Whose turn it is -----------------------------------------------------------------


def score_accounts(account_ids: Sequence[int], *, now: datetime | None = None) -> Passed:
    """Work out these accounts' scores as of today and store what changed. Run again it writes nothing new."""
    if not account_ids:
        return Passed()
    with transaction.atomic():
        _take_turn()
        return _score(Scope.of(account_ids), now or timezone.now())


def score_all(*, now: datetime | None = None, progress: Progress = _nobody_watches) -> Passed:
    """Work out every account's score, batch by batch, each in its own transaction."""
    total = Passed()
    for first, last in _id_ranges():
        moment = now or timezone.now()
        total.add(_range(first, last, functools.partial(_score, now=moment)))
        progress(total)
    return total


def score_due(
    *, now: datetime | None = None, seconds: float | None = None, progress: Progress = _nobody_watches
) -> Passed:
    """Work out the scores of accounts whose facts changed, until none is due or the time is up.

    Marks are taken and scores written in one transaction. Whoever commits a fact after we
    looked either waits for our locks or finds its mark gone and sets it anew: none is lost.
    """
    total = Passed()
    end = math.inf if seconds is None else time.monotonic() + seconds
    most = limit = 2_000
    while time.monotonic() < end:
        claimed: list[int] = []
        try:
            with transaction.atomic():
                _take_turn()
                claimed = _claim_due(limit)
                if not claimed:
                    return total
                total.add(_score(Scope.of(claimed), now or timezone.now()))
        except DataError as error:
            # Some account's figures cannot be worked with. The others must not wait for it.
            if limit == 1:
                total.failed += 1
                _postpone(claimed, error)
            limit = max(1, limit // 10)
            continue
        limit = min(most, limit * 10)
        progress(total)
    return total


def backfill(
    days: Sequence[date], *, now: datetime | None = None, progress: Progress = _nobody_watches
) -> Passed:
    """Work out scores of past days from the facts of their time, under today's scorecards.

    The rows say `is_backfilled`. Days on which, or after which, an account's score was recorded
    as it happened are left alone: what we said then stays.
    """
    today = day_of(now or timezone.now())
    total = Passed()
    for day in sorted(days):
        if day >= today:
            raise ValueError(f"{day} is not over yet; its scores are recorded as they come.")
        for first, last in _id_ranges():
            moment = now or timezone.now()
            total.add(_range(first, last, functools.partial(_score_past, day=day, now=moment)))
            progress(total)
    return total


def _id_ranges() -> Iterator[tuple[int, int]]:
    size = batch_size()
    last = -1
    while True:
        ids = Account.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)
        first = ids.first()
        if first is None:
            return
        last = ids[size - 1 : size].first() or ids.last() or first
        yield first, last


def _range(first: int, last: int, score: Callable[[Scope], Passed]) -> Passed:
    try:
        with transaction.atomic():
            _take_turn()
            return score(Scope(first=first, last=last))
    except DataError as error:
        if first == last:
            log.error("health not worked out", account=first, error=str(error).strip())
            return Passed(failed=1)
    middle = (first + last) // 2
    passed = _range(first, middle, score)
    passed.add(_range(middle + 1, last, score))
    return passed


def _take_turn() -> None:
    if not sql.is_postgresql():
        return  # a transaction on SQLite holds the only write lock there is
    with connection.cursor() as cursor:
        # Compiling the statement takes PostgreSQL longer than running it: its many joins of grouped
        # queries look far more costly than they are. And what it thinks of a disk's arm would have it
        # read every answer there is to find those of a few due accounts.
        cursor.execute(
            "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL random_page_cost = 1.1;"
            " SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '30s'"
        )
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])


def some_are_due() -> bool:
    """Say whether accounts wait; those put off because their figures failed don't count."""
    return DueAccount.objects.filter(marked_at__lte=timezone.now() + CLOCKS_DIFFER_BY).exists()


def _claim_due(limit: int) -> list[int]:
    """Take the marks of the longest waiting accounts; rows somebody is marking just now come later."""
    soon = sql.literal(timezone.now() + CLOCKS_DIFFER_BY)
    skip_locked = "FOR UPDATE SKIP LOCKED" if sql.is_postgresql() else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM accounts_dueaccount WHERE account_id IN (
                SELECT account_id FROM accounts_dueaccount WHERE marked_at <= {soon}
                ORDER BY marked_at, account_id LIMIT {limit} {skip_locked}
            ) RETURNING account_id""",
            [],
        )
        return [row[0] for row in cursor.fetchall()]


def _postpone(account_ids: list[int], error: DataError) -> None:
    log.error("health not worked out", accounts=account_ids, error=str(error).strip())
    later = timezone.now() + PAUSE_AFTER_FAILURE
    with connection.cursor() as cursor:
        for account_id in account_ids:
            cursor.execute(
                f"UPDATE accounts_dueaccount SET marked_at = {sql.literal(later)} WHERE account_id = %s",
                [account_id],
            )


# --- One pass -------------------------------------------------------------------------


def _score(scope: Scope, now: datetime) -> Passed:
    asked = Asked(as_of=day_of(now), is_today=True, scope=scope)
    with connection.cursor() as cursor:
        passed = _fill(cursor, asked)
        _mark_changed(cursor, asked)
        passed.written = _write_history(cursor, asked, now, is_backfilled=False)
        _write_copies(cursor, asked, now)
        cursor.execute("DROP TABLE health_pass")
    return passed


def _score_past(scope: Scope, *, day: date, now: datetime) -> Passed:
    asked = Asked(as_of=day, is_today=False, scope=scope)
    with connection.cursor() as cursor:
        passed = _fill(cursor, asked)
        passed.written = _write_history(cursor, asked, now, is_backfilled=True)
        cursor.execute("DROP TABLE health_pass")
    return passed


def _fill(cursor: Any, asked: Asked) -> Passed:
    cards = current_cards()
    view = look_around(asked, {source for key in _keys(cards) for source in SIGNALS[key].sources})
    cursor.execute(
        """CREATE TEMPORARY TABLE health_pass (
            account_id BIGINT PRIMARY KEY, version_id BIGINT, score BIGINT, coverage BIGINT, oldest BIGINT,
            band TEXT, reason TEXT, points TEXT, raws TEXT, state TEXT, is_changed INTEGER
        )""",
        [],
    )
    statement, parameters = pass_statement(cards, view)
    cursor.execute(f"INSERT INTO health_pass {statement}", parameters)
    checked = cursor.rowcount
    if sql.is_postgresql():
        cursor.execute("ANALYZE health_pass")
    cursor.execute("SELECT COUNT(score) FROM health_pass", [])
    return Passed(checked=checked, scored=cursor.fetchone()[0])


def _keys(cards: Sequence[Card]) -> list[str]:
    return list(dict.fromkeys(measure.key for card in cards for measure in card.measures))


def pass_statement(cards: Sequence[Card], view: View) -> tuple[str, list[str]]:
    """Return the statement that works out all scores of a scope, and its parameters.

    Columns: account, version, score, coverage and oldest observation (whole hundredths and
    seconds), band, reason, points, raws, state, changed.
    """
    asked = view.asked
    keys = _keys(cards)
    sources = list(dict.fromkeys(source for key in keys for source in SIGNALS[key].sources))
    scope, parameters = _scope(cards, view)
    tables = [f"scope AS ({scope})"]
    joins: list[str] = []
    if "features" in sources:
        tables.append(
            "plan_feature AS (SELECT DISTINCT plan.id AS plan_id, member.value AS feature"
            f" FROM accounts_plan AS plan, {sql.members_of_json_list('plan.features')})"
        )
        tables.append(
            "plan_size AS (SELECT plan_id, COUNT(*) AS features_planned FROM plan_feature GROUP BY plan_id)"
        )
        joins.append("LEFT JOIN plan_size ON plan_size.plan_id = scope.plan_id")
    for name in sources:
        tables.append(f"{name} AS ({SOURCES[name].query(asked)})")
        joins.append(f"LEFT JOIN {name} ON {name}.account_id = scope.account_id")
    columns = "".join(
        f", {sql.integer(SIGNALS[key].raw(view))} AS raw_{key}"
        f", {sql.integer(SIGNALS[key].seen(view))} AS seen_{key}"
        for key in keys
    )
    tables.append(
        f"figures AS (SELECT scope.account_id, scope.version_id{columns} FROM scope {' '.join(joins)}"
        " WHERE scope.version_id IS NOT NULL)"
    )
    parts = [
        "SELECT account_id, version_id, CAST(NULL AS BIGINT), CAST(0 AS BIGINT), CAST(NULL AS BIGINT),"
        " 'not_scored', '', '', '', '', 1 FROM scope WHERE version_id IS NULL"
    ]
    parts += [_scored(card, asked) for card in cards]
    return f"WITH {', '.join(tables)} {' UNION ALL '.join(parts)}", parameters


def _scope(cards: Sequence[Card], view: View) -> tuple[str, list[str]]:
    """The accounts asked for, each with its plan, its first day and the version that judges it."""
    asked = view.asked
    if asked.is_today:
        is_customer, plan = "account.is_customer", "account.plan_id"
        traits = {"segment": "account.segment", "lifecycle_stage": "account.lifecycle_stage"}
    else:
        is_customer = (
            "(SELECT COALESCE(SUM(move.customers), 0) FROM accounts_movement AS move"
            f" WHERE move.account_id = account.id AND move.effective_on <= {asked.day()}) > 0"
        )
        plan = f"(SELECT plan.id FROM accounts_plan AS plan WHERE plan.code = {_trait(asked, 'plan')})"
        traits = {
            "segment": f"COALESCE({_trait(asked, 'segment')}, account.segment)",
            "lifecycle_stage": f"COALESCE({_trait(asked, 'lifecycle_stage')}, account.lifecycle_stage)",
        }
    parameters: list[str] = []

    def one_of(expression: str, words: Sequence[str]) -> str:
        parameters.extend(words)
        return f"{expression} IN ({', '.join(['%s'] * len(words))})"

    choices: list[str] = []
    for card in cards:
        rules: list[str] = []
        if card.segments:
            rules.append(one_of(traits["segment"], card.segments))
        if card.stages:
            rules.append(one_of(traits["lifecycle_stage"], card.stages))
        if card.plans:
            coded = one_of("code", card.plans)
            rules.append(f"{plan} IN (SELECT id FROM accounts_plan WHERE {coded})")
        choices.append(f"WHEN {' AND '.join(rules) or 'TRUE'} THEN {card.version_id}")
    chosen = f"CASE {' '.join(choices)} END" if choices else "NULL"
    statement = (
        f"SELECT account.id AS account_id, {plan} AS plan_id,"
        f" {sql.day_number('account.joined_on')} AS joined_day,"
        f" {sql.integer(f'CASE WHEN {is_customer} THEN {chosen} END')} AS version_id"
        f" FROM accounts_account AS account WHERE {asked.scope.holds('account.id')}"
    )
    return statement, parameters


def _trait(asked: Asked, kind: str) -> str:
    return (
        "(SELECT trait.value FROM accounts_accounttrait AS trait WHERE trait.account_id = account.id"
        f" AND trait.kind = '{kind}' AND trait.starts_on <= {asked.day()}"
        f" AND (trait.ends_on IS NULL OR trait.ends_on >= {asked.day()})"
        " ORDER BY trait.starts_on DESC LIMIT 1)"
    )


def _scored(card: Card, asked: Asked) -> str:
    """From raw figures to the score of the accounts that one version judges."""
    measures = card.measures
    valued = "".join(f", raw_{m.key}, seen_{m.key}, {_points(m, asked)} AS points_{m.key}" for m in measures)
    used = " + ".join(
        f"CASE WHEN points_{m.key} IS NULL THEN 0 ELSE {sql.integer(str(m.weight_hundredths))} END"
        for m in measures
    )
    weighted = " + ".join(
        f"COALESCE(points_{m.key}, 0) * {sql.integer(str(m.weight_hundredths))}" for m in measures
    )
    points = " || ',' || ".join(
        f"COALESCE(CAST(points_{m.key} AS TEXT), CASE WHEN raw_{m.key} IS NULL OR seen_{m.key} IS NULL"
        " THEN 'm' ELSE 's' END)"
        for m in measures
    )
    raws = " || ',' || ".join(
        f"COALESCE(CAST(raw_{m.key} AS TEXT) || '@' || CAST(seen_{m.key} AS TEXT), '')" for m in measures
    )
    never = sql.integer("9223372036854775807")
    oldest = sql.least(
        *[f"CASE WHEN points_{m.key} IS NULL THEN {never} ELSE seen_{m.key} END" for m in measures]
    )
    # What stands out: the measure below green that takes most off the score.
    losses = {
        m.key: f"CASE WHEN points_{m.key} < {card.green_from}"
        f" THEN ({BEST} - points_{m.key}) * {sql.integer(str(m.weight_hundredths))} ELSE 0 END"
        for m in measures
    }
    reason = " ".join(f"WHEN {loss} = worst THEN '{key}'" for key, loss in losses.items())
    whole = sql.integer(str(card.weight))
    least_weight = sql.integer(str(card.min_coverage * card.weight))
    is_enough = f"weight_used > 0 AND weight_used * 10000 >= {least_weight}"
    score = f"CASE WHEN {is_enough} THEN (2 * weighted + weight_used) / (2 * weight_used) END"
    fence = sql.fence()
    return f"""
        SELECT account_id, version_id, score, coverage, NULLIF(oldest, {never}),
            CASE WHEN score IS NULL THEN 'insufficient_data' WHEN score < {card.yellow_from} THEN 'red'
                WHEN score < {card.green_from} THEN 'yellow' ELSE 'green' END,
            CASE WHEN score IS NULL THEN '' ELSE reason END,
            points, raws, CAST(version_id AS TEXT) || ':' || points, 1
        FROM (
            SELECT account_id, version_id, {score} AS score,
                (20000 * weight_used + {whole}) / (2 * {whole}) AS coverage, oldest,
                CASE WHEN worst = 0 THEN '' {reason} END AS reason, points, raws
            FROM (
                SELECT *, {used} AS weight_used, {weighted} AS weighted, {oldest} AS oldest,
                    {sql.greatest(*losses.values())} AS worst, {points} AS points, {raws} AS raws
                FROM (
                    SELECT account_id, version_id{valued}
                    FROM (
                        SELECT * FROM figures WHERE version_id = {card.version_id} {fence}
                    ) AS judged {fence}
                ) AS valued {fence}
            ) AS weighed {fence}
        ) AS scored"""


def _points(measure: Measure, asked: Asked) -> str:
    """Points of a usable signal; null when it is missing, or older than its shelf life."""
    raw, seen = f"raw_{measure.key}", f"seen_{measure.key}"
    is_usable = f"{raw} IS NOT NULL AND {seen} IS NOT NULL"
    if measure.shelf_days is not None:
        is_usable += f" AND ({asked.last_second} - {seen}) / {sql.DAY_SECONDS} <= {measure.shelf_days}"
    return sql.integer(f"CASE WHEN {is_usable} THEN {measure.curve.sql(raw)} END")


def _mark_changed(cursor: Any, asked: Asked) -> None:
    """Most accounts are as they were: the copy, which holds the newest state, says so at once.

    Figures that moved without moving points matter only to a row of this very day.
    """
    cursor.execute(
        f"""UPDATE health_pass SET is_changed = 0
        FROM metrics_accounthealth AS known
        WHERE known.account_id = health_pass.account_id AND known.version_id = health_pass.version_id
            AND known.points = health_pass.points
            AND (known.raws = health_pass.raws OR known.checked_at < {sql.literal(asked.starts_at)})""",
        [],
    )


def _write_history(cursor: Any, asked: Asked, now: datetime, *, is_backfilled: bool) -> int:
    """Bring the day's rows in line: one where the state differs from the last row before the day."""
    state_before = f"""COALESCE((
        SELECT CAST(earlier.version_id AS TEXT) || ':' || earlier.points FROM metrics_healthscore AS earlier
        WHERE earlier.account_id = health_pass.account_id AND earlier.day < {asked.day()}
        ORDER BY earlier.day DESC LIMIT 1
    ), '')"""
    may_write = "is_changed = 1 AND version_id IS NOT NULL"
    may_replace = ""
    flag = "TRUE" if is_backfilled else "FALSE"
    if is_backfilled:
        may_replace = " AND metrics_healthscore.is_backfilled"
        may_write += f""" AND NOT EXISTS (
            SELECT 1 FROM metrics_healthscore AS recorded
            WHERE recorded.account_id = health_pass.account_id AND recorded.day <= {asked.day()}
                AND NOT recorded.is_backfilled)"""
    cursor.execute(
        f"""DELETE FROM metrics_healthscore WHERE day = {asked.day()}{may_replace} AND account_id IN (
            SELECT account_id FROM health_pass WHERE {may_write} AND state = {state_before})""",
        [],
    )
    cursor.execute(
        f"""INSERT INTO metrics_healthscore (account_id, day, version_id, computed_at, is_backfilled,
            score, band, coverage, oldest_signal_at, points, raws)
        SELECT account_id, {asked.day()}, version_id, {sql.literal(now)}, {flag}, score / 100.0, band,
            coverage / 100.0, {sql.moment_of("oldest")}, points, raws
        FROM health_pass WHERE {may_write} AND state <> {state_before}
        ON CONFLICT (account_id, day) DO UPDATE SET
            version_id = excluded.version_id, computed_at = excluded.computed_at,
            is_backfilled = excluded.is_backfilled, score = excluded.score, band = excluded.band,
            coverage = excluded.coverage, oldest_signal_at = excluded.oldest_signal_at,
            points = excluded.points, raws = excluded.raws
        WHERE (metrics_healthscore.points <> excluded.points OR metrics_healthscore.raws <> excluded.raws
            OR metrics_healthscore.version_id <> excluded.version_id){may_replace}""",
        [],
    )
    return int(cursor.rowcount)


def _write_copies(cursor: Any, asked: Asked, now: datetime) -> None:
    moment = sql.literal(now)
    cursor.execute(
        f"""INSERT INTO metrics_accounthealth
            (account_id, band, coverage, points, raws, reason, computed_at, checked_at)
        SELECT account_id, 'not_scored', 0, '', '', '', {moment}, {moment} FROM health_pass
        WHERE NOT EXISTS (
            SELECT 1 FROM metrics_accounthealth AS known WHERE known.account_id = health_pass.account_id)
        ON CONFLICT (account_id) DO NOTHING""",
        [],
    )
    cursor.execute(
        f"""UPDATE metrics_accounthealth SET
            version_id = health_pass.version_id, score = health_pass.score / 100.0, band = health_pass.band,
            coverage = health_pass.coverage / 100.0, oldest_signal_at = {sql.moment_of("health_pass.oldest")},
            points = health_pass.points, raws = health_pass.raws, reason = health_pass.reason,
            change_7d = health_pass.score / 100.0 - (
                SELECT earlier.score FROM metrics_healthscore AS earlier
                WHERE earlier.account_id = health_pass.account_id AND earlier.day <= {asked.day(7)}
                ORDER BY earlier.day DESC LIMIT 1),
            computed_at = CASE WHEN metrics_accounthealth.points = health_pass.points
                    AND COALESCE(metrics_accounthealth.version_id, 0) = COALESCE(health_pass.version_id, 0)
                THEN metrics_accounthealth.computed_at ELSE {moment} END,
            checked_at = {moment}
        FROM health_pass WHERE metrics_accounthealth.account_id = health_pass.account_id""",
        [],
    )
