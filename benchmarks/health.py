"""Health of the whole base: our pass against one statement written by hand, and against an ORM loop.

All three work out the same eight measures and write the same scores; a difference stops the run.
Every measurement is rolled back, so each starts from the same rows. The hand-written statement
knows the standard scorecard by heart: no versions, no bands in words, no reasons, no stale signals.
On SQLite, where a statement writes one table, a second one copies the history to the accounts.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from accounts import due
from accounts.models import Account, DueAccount, Movement, Subscription, Touch
from benchmarks.figures import Figure, Options, duration, median, times
from csplatform.periods import day_of, start_of_day
from metrics.health import scorecards, scores, sql
from metrics.health.scorecards import Card
from metrics.health.sql import Asked, Scope
from metrics.models import AccountHealth, HealthScore
from surveys.models import Answer
from tickets.models import Ticket
from usage.models import EndUser, UsageDay

LOOPED = 300
MOST_MEMORY = 128
DAY = timedelta(days=1)


def run(options: Options) -> Iterator[Figure]:
    now = timezone.now()
    card = scorecards.current_cards()[0]
    repeats = 1 if options.is_quick else 3
    customers = Account.objects.filter(is_customer=True).count()
    size = f"{options.accounts:,} accounts"

    before = _memory()
    ours = median([_timed(_whole_pass, now) for _ in range(repeats)])
    grown = _memory() - before
    by_hand = median([_timed(_by_hand, card, now) for _ in range(repeats)])
    loop = _timed(_orm_loop, card, now, LOOPED) / min(LOOPED, customers) * customers
    _compare(card, now)

    yield Figure(
        f"health of {size}, all history written",
        f"{duration(ours)}, {1_000_000 * ours / options.accounts:.0f} µs an account",
        f"one statement by hand {duration(by_hand)}",
        times(ours / by_hand),
        "≤ 1.5 ×",
        ours <= 1.5 * by_hand,
    )
    yield Figure(
        f"the same against an ORM loop (extrapolated from {LOOPED})",
        duration(ours),
        duration(loop),
        f"1/{loop / ours:,.0f}",
        "≤ 1/300",
        loop >= 300 * ours,
    )
    night = median([_timed(_night, now) for _ in range(repeats)])
    yield Figure(f"a night's pass of {size}", duration(night), "all history written", times(night / ours))
    for count in (100, 1_000):
        if count <= customers:
            batch = median([_timed(_due, count, now, prepare=_mark) for _ in range(repeats)])
            yield Figure(f"{count:,} due accounts of {options.accounts:,}", duration(batch), "", "")
    # On SQLite the database's own cache of 64 MB is part of it.
    memory = f"memory that a pass of {size} takes"
    yield Figure(memory, f"{grown:.0f} MB", "", "", f"≤ {MOST_MEMORY} MB", grown <= MOST_MEMORY)
    if size_of_row := _bytes_of_history():
        yield Figure("history on disk, with its indexes", f"{size_of_row:.0f} bytes a row", "", "")


# --- Measuring ------------------------------------------------------------------------


def _timed(work: Callable[..., Any], *arguments: Any, prepare: Callable[..., Any] | None = None) -> float:
    with _rolled_back():
        if prepare:
            prepare(*arguments)
        start = time.perf_counter()
        work(*arguments)
        return time.perf_counter() - start


@contextmanager
def _rolled_back() -> Iterator[None]:
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")
        yield
        transaction.set_rollback(True)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM metrics_healthscore, metrics_accounthealth, accounts_dueaccount")


def _memory() -> float:
    """The most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _bytes_of_history() -> float:
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size('metrics_healthscore') / COUNT(*) FROM metrics_healthscore"
        )
        return float(cursor.fetchone()[0])


# --- Ours -----------------------------------------------------------------------------


def _forget() -> None:
    with connection.cursor() as cursor:
        for model in (HealthScore, AccountHealth):
            table = model._meta.db_table
            cursor.execute(f"{'TRUNCATE' if connection.vendor == 'postgresql' else 'DELETE FROM'} {table}")


def _whole_pass(now: datetime) -> None:
    _forget()
    scores.score_all(now=now)


def _night(now: datetime) -> None:
    scores.score_all(now=now + DAY)


def _mark(count: int, now: datetime) -> None:
    DueAccount.objects.all().delete()
    step = max(Account.objects.count() // count, 1)
    ids = list(Account.objects.order_by("pk").values_list("pk", flat=True))[::step][:count]
    due.mark_due(ids)


def _due(count: int, now: datetime) -> None:
    assert scores.score_due(now=now + DAY).checked == count


# --- By hand --------------------------------------------------------------------------


def _by_hand(card: Card, now: datetime) -> None:
    _forget()
    with connection.cursor() as cursor:
        for statement in _statements(card, now):
            cursor.execute(statement, [])


def _statements(card: Card, now: datetime) -> list[str]:
    day = day_of(now)
    asked = Asked(as_of=day, is_today=True, scope=Scope(first=0, last=2**62))
    last, number = asked.last_second, asked.number
    measures = {m.key: m for m in card.measures}
    age = f"{number} - {sql.day_number('activity_until')}"
    answered = sql.epoch("given_at")

    def points(key: str, raw: str) -> str:
        return f"CASE WHEN {raw} IS NOT NULL THEN {measures[key].curve.sql(raw)} END"

    keys = list(measures)
    weights = {key: m.weight_hundredths for key, m in measures.items()}
    used = " + ".join(f"CASE WHEN {key} IS NULL THEN 0 ELSE {weights[key]} END" for key in keys)
    total = " + ".join(f"COALESCE({key}, 0) * {weights[key]}" for key in keys)
    text = " || ',' || ".join(f"COALESCE(CAST({key} AS TEXT), 'm')" for key in keys)
    raws = " || ',' || ".join(f"COALESCE(CAST(raw_{key} AS TEXT), '')" for key in keys)
    history = f"""INSERT INTO metrics_healthscore (account_id, day, version_id, computed_at, is_backfilled,
            score, band, coverage, oldest_signal_at, points, raws)
        SELECT id, {asked.day()}, {card.version_id}, {sql.literal(now)}, FALSE, score / 100.0,
            CASE WHEN score IS NULL THEN 'insufficient_data' WHEN score < 5000 THEN 'red'
                WHEN score < 7500 THEN 'yellow' ELSE 'green' END,
            used / 100.0, NULL, points, raws
        FROM scored"""
    copies = f"""INSERT INTO metrics_accounthealth (account_id, version_id, computed_at, checked_at,
            score, band, coverage, points, raws, reason)
        SELECT id, {card.version_id}, {sql.literal(now)}, {sql.literal(now)}, score / 100.0,
            CASE WHEN score IS NULL THEN 'insufficient_data' WHEN score < 5000 THEN 'red'
                WHEN score < 7500 THEN 'yellow' ELSE 'green' END,
            used / 100.0, points, raws, ''
        FROM scored"""
    with_tables = f"""WITH
        people AS (
            SELECT account_id, COUNT(*) AS people,
                COUNT(CASE WHEN activity_until > {asked.day(30)} THEN 1 END) AS active_now,
                COUNT(CASE WHEN activity_until > {asked.day(60)}
                    AND activity & ({sql.integer(str(((1 << 30) - 1) << 30))} >> ({age})) <> 0 THEN 1 END)
                AS active_before
            FROM usage_enduser WHERE activity_until IS NOT NULL GROUP BY account_id),
        plan_feature AS (
            SELECT DISTINCT plan.id AS plan_id, member.value AS feature
            FROM accounts_plan AS plan, {sql.members_of_json_list("plan.features")}),
        plan_size AS (SELECT plan_id, COUNT(*) AS planned FROM plan_feature GROUP BY plan_id),
        features AS (
            SELECT d.account_id, COUNT(DISTINCT d.feature) AS used_features
            FROM usage_usageday AS d JOIN accounts_account AS a ON a.id = d.account_id
            JOIN plan_feature ON plan_feature.plan_id = a.plan_id AND plan_feature.feature = d.feature
            WHERE d.day BETWEEN {asked.day(29)} AND {asked.day()} AND (d.events > 0 OR d.users > 0)
            GROUP BY d.account_id),
        seats AS (
            SELECT s.account_id, {
        sql.integer(f'''SUM(CASE WHEN s.status = 'paused' THEN 0 ELSE
                {sql.greatest(sql.ten_thousandths("s.quantity"), "10000 * COALESCE(p.seats_included, 0)")}
                END)''')
    } AS seats
            FROM accounts_subscription AS s LEFT JOIN accounts_plan AS p ON p.id = s.plan_id
            WHERE s.kind = 'recurring' AND s.starts_on <= {asked.day()}
                AND (s.ends_on IS NULL OR s.ends_on >= {asked.day()})
            GROUP BY s.account_id),
        open_tickets AS (
            SELECT account_id, COUNT(*) AS urgent FROM tickets_ticket
            WHERE priority = 'urgent' AND opened_at < {asked.before} AND merged_into_id IS NULL
                AND merged_at IS NULL AND (resolved_at IS NULL OR resolved_at >= {
        asked.before
    }) AND exclusion = ''
            GROUP BY account_id),
        voice AS (
            SELECT r.account_id,
                MAX(CASE WHEN a.kind = 'nps' THEN {answered} * 1000 + a.score * 10 END) AS nps,
                MAX(CASE WHEN a.kind = 'csat' THEN {answered} * 1000 + (100 + (800 * (a.score - a.scale_low)
                    + a.scale_high - a.scale_low) / (2 * (a.scale_high - a.scale_low))) END) AS csat
            FROM surveys_response AS r JOIN surveys_answer AS a ON a.response_id = r.id
            JOIN surveys_survey AS s ON s.id = r.survey_id
            WHERE r.state = 'confirmed' AND a.kind IN ('nps', 'csat') AND NOT s.is_anonymous
                AND r.given_at < {asked.before}
            GROUP BY r.account_id),
        money AS (
            SELECT account_id, MIN(currency) AS low, MAX(currency) AS high,
                {sql.sum_of_millionths("delta", "TRUE")} / 10000 AS now_mrr,
                {sql.sum_of_millionths("delta", f"effective_on <= {asked.day(90)}")} / 10000 AS then_mrr
            FROM accounts_movement WHERE effective_on <= {asked.day()} GROUP BY account_id),
        contact AS (
            SELECT account_id, {sql.epoch("MAX(happened_at)")} AS touched FROM accounts_touch
            WHERE kind <> 'note' AND happened_at < {asked.before} GROUP BY account_id),
        figures AS (
            SELECT a.id,
                CASE WHEN people > 0 AND seats > 0
                    THEN (200000000 * active_now + seats) / (2 * seats) END AS raw_license_utilization,
                CASE WHEN active_before > 0 THEN (20000 * active_now + active_before) / (2 * active_before)
                    - 10000 END AS raw_active_user_trend,
                CASE WHEN people > 0 AND planned > 0
                    THEN (20000 * COALESCE(used_features, 0) + planned) / (2 * planned) END
                    AS raw_adoption_breadth,
                CASE WHEN ({last} - nps / 1000) / 86400 <= 180
                    THEN (nps - nps / 1000 * 1000) * 10 END AS raw_last_nps,
                CASE WHEN ({last} - csat / 1000) / 86400 <= 90
                    THEN csat - csat / 1000 * 1000 END AS raw_last_csat,
                100 * COALESCE(urgent, 0) AS raw_open_urgent_tickets,
                CASE WHEN then_mrr >= 1 AND low = high THEN (20000 * {
        sql.greatest("now_mrr", "0")
    } + then_mrr)
                    / (2 * then_mrr) - 10000 END AS raw_mrr_trend,
                100 * {
        sql.greatest("0", f"COALESCE(({last} - touched) / 86400, {number} - {sql.day_number('a.joined_on')})")
    } AS raw_days_since_touch
            FROM accounts_account AS a
            LEFT JOIN people ON people.account_id = a.id LEFT JOIN plan_size ON plan_size.plan_id = a.plan_id
            LEFT JOIN features ON features.account_id = a.id LEFT JOIN seats ON seats.account_id = a.id
            LEFT JOIN open_tickets ON open_tickets.account_id = a.id
            LEFT JOIN voice ON voice.account_id = a.id LEFT JOIN money ON money.account_id = a.id
            LEFT JOIN contact ON contact.account_id = a.id
            WHERE a.is_customer {sql.fence()}),
        pointed AS (
            SELECT id, {", ".join(f"{points(key, f'raw_{key}')} AS {key}, raw_{key}" for key in keys)}
            FROM figures {sql.fence()}),
        scored AS (
            SELECT id, {used} AS used, {text} AS points, {raws} AS raws,
                CASE WHEN ({used}) * 2 >= {card.weight}
                    THEN (2 * ({total}) + {used}) / (2 * ({used})) END AS score
            FROM pointed)"""
    if connection.vendor == "postgresql":
        return [f"{with_tables}, history AS ({history}) {copies}"]
    insert, select = history.split("SELECT id", 1)
    copy = """INSERT INTO metrics_accounthealth
            (account_id, version_id, computed_at, checked_at, score, band, coverage, points, raws, reason)
        SELECT account_id, version_id, computed_at, computed_at, score, band, coverage, points, raws, ''
        FROM metrics_healthscore"""
    return [f"{insert} {with_tables} SELECT id{select}", copy]


# --- The loop -------------------------------------------------------------------------


def _orm_loop(card: Card, now: datetime, most: int) -> None:
    """What one would write first: a few queries an account, arithmetic in Python, two saves."""
    for account in Account.objects.filter(is_customer=True).select_related("plan")[:most]:
        score, points = _orm_score(card, account, now)
        values = {
            "version_id": card.version_id,
            "score": score,
            "band": "green",
            "coverage": 100,
            "points": points,
            "computed_at": now,
        }
        HealthScore.objects.update_or_create(account=account, day=day_of(now), defaults=values)
        AccountHealth.objects.update_or_create(account=account, defaults={**values, "checked_at": now})


def _orm_score(card: Card, account: Account, now: datetime) -> tuple[Decimal | None, str]:
    day = day_of(now)
    end = start_of_day(day + DAY)
    last = int(end.timestamp()) - 1
    raws: dict[str, int | None] = {}

    people = EndUser.objects.filter(account=account, activity_until__isnull=False)
    active_now = active_before = 0
    for person in people:
        assert person.activity_until is not None
        age = (day - person.activity_until).days
        active_now += age < 30
        active_before += age < 60 and bool(person.activity & ((((1 << 30) - 1) << 30) >> age))
    seats = 0
    lines = Subscription.objects.in_force(day).filter(account=account, kind="recurring")
    for line in lines.select_related("plan"):
        if line.status != Subscription.Status.PAUSED:
            included = Decimal(line.plan.seats_included or 0 if line.plan else 0)
            seats += int(max(line.quantity, included) * 10_000)
    if people and seats:
        raws["license_utilization"] = (200_000_000 * active_now + seats) // (2 * seats)
    if active_before:
        raws["active_user_trend"] = (20_000 * active_now + active_before) // (2 * active_before) - 10_000
    planned = set(account.plan.features) if account.plan else set()
    if people and planned:
        recent = UsageDay.objects.filter(account=account).on_days(day - 29 * DAY, day)
        recent = recent.filter(Q(events__gt=0) | Q(users__gt=0))
        found = set(recent.values_list("feature", flat=True).distinct()) & planned
        raws["adoption_breadth"] = (20_000 * len(found) + len(planned)) // (2 * len(planned))
    for kind, shelf in (("nps", 180), ("csat", 90)):
        said = (
            Answer.objects.counted()
            .filter(response__account=account, kind=kind, response__survey__is_anonymous=False)
            .filter(response__given_at__lt=end)
            .select_related("response")
            .order_by("-response__given_at", "-score")
            .first()
        )
        if said and (last - int(said.response.given_at.timestamp())) // 86_400 <= shelf:
            score, low, span = (
                said.score or 0,
                said.scale_low or 0,
                (said.scale_high or 0) - (said.scale_low or 0),
            )
            raws[f"last_{kind}"] = 100 * score
            if kind == "csat":
                raws["last_csat"] = 100 + (800 * (score - low) + span) // (2 * span)
    urgent = Ticket.objects.filter(account=account, priority="urgent", exclusion="", opened_at__lt=end)
    waiting = urgent.filter(merged_into__isnull=True, merged_at__isnull=True).exclude(resolved_at__lt=end)
    raws["open_urgent_tickets"] = 100 * waiting.count()
    moves = Movement.objects.filter(account=account, effective_on__lte=day)
    currencies = moves.aggregate(count=Count("currency", distinct=True))["count"]
    sums = [
        int((part.aggregate(total=Sum("delta"))["total"] or 0) * 100)
        for part in (moves, moves.filter(effective_on__lte=day - 90 * DAY))
    ]
    if sums[1] >= 1 and currencies == 1:
        raws["mrr_trend"] = (20_000 * max(sums[0], 0) + sums[1]) // (2 * sums[1]) - 10_000
    touched = Touch.objects.filter(account=account, happened_at__lt=end).exclude(kind="note")
    latest = touched.aggregate(latest=Max("happened_at"))["latest"]
    if latest:
        raws["days_since_touch"] = 100 * max((last - int(latest.timestamp())) // 86_400, 0)
    elif account.joined_on:
        raws["days_since_touch"] = 100 * max((day - account.joined_on).days, 0)

    weighted = used = 0
    points: list[str] = []
    for measure in card.measures:
        raw = raws.get(measure.key)
        if raw is None:
            points.append("-")
            continue
        given = measure.curve.at(raw)
        points.append(str(given))
        weighted += given * measure.weight_hundredths
        used += measure.weight_hundredths
    if used * 2 < card.weight:
        return None, ",".join(points)
    return Decimal((2 * weighted + used) // (2 * used)) / 100, ",".join(points)


def _compare(card: Card, now: datetime) -> None:
    """Stop unless all three say the same of the same accounts."""
    with _rolled_back():
        _whole_pass(now)
        ours = dict(HealthScore.objects.values_list("account", "score"))
    with _rolled_back():
        _by_hand(card, now)
        by_hand = dict(HealthScore.objects.values_list("account", "score"))
    if ours != by_hand:
        differ = [pk for pk in ours.keys() | by_hand.keys() if ours.get(pk) != by_hand.get(pk)]
        raise SystemExit(f"{len(differ)} scores differ from those by hand, such as account {differ[0]}.")
    for account in Account.objects.filter(is_customer=True).select_related("plan")[:LOOPED]:
        score, points = _orm_score(card, account, now)
        if score != ours[account.pk]:
            raise SystemExit(f"Account {account.pk}: {ours[account.pk]}, but {score} in the loop ({points}).")
