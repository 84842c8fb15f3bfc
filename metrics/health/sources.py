"""Where the facts behind the signals come from: one grouped query per kind of fact.

A source answers for the end of any day: for today from the maintained copies, for earlier days
from the histories, so that a past score can be worked out from the facts of its time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection

from csplatform.periods import start_of_day
from metrics.health import sql
from metrics.health.sql import Asked

# While anybody anywhere was active this recently, nobody's silence is a fault of the feed.
FEED_IS_QUIET_FOR = 3


@dataclass(frozen=True)
class Source:
    """One query with a row per account that has such facts: `account_id` and the columns named.

    `is_there` asks, once per pass, whether the workspace has such facts at all: where no helpdesk
    is connected, no ticket is no news.
    """

    name: str
    columns: tuple[str, ...]
    query: Callable[[Asked], str]
    is_there: Callable[[Asked], str] | None = None


def _people(asked: Asked) -> str:
    return _people_from_masks(asked) if asked.is_today else _people_from_months(asked)


def _people_from_masks(asked: Asked) -> str:
    # Bit k of a mask is the day k days before `activity_until`, which itself is `age` days
    # before ours: a window of our days, moved right by `age`, is a window of the mask's bits.
    # A clock ahead of ours makes `age` negative; then the mask is moved instead.
    def active(window: int) -> str:
        bits = sql.integer(str(window))
        return (
            f"COUNT(CASE WHEN CASE WHEN age BETWEEN 0 AND 59 THEN activity & ({bits} >> age)"
            f" WHEN age BETWEEN -62 AND -1 THEN (activity >> -age) & {bits} ELSE 0 END <> 0 THEN 1 END)"
        )

    thirty = (1 << 30) - 1
    return f"""
        SELECT account_id, COUNT(*) AS people, {active(thirty)} AS active_now,
            {active(thirty << 30)} AS active_before,
            MIN(CASE WHEN age > 0 THEN age ELSE 0 END) AS quiet_days
        FROM (
            SELECT account_id, activity, {asked.number} - {sql.day_number("activity_until")} AS age
            FROM usage_enduser
            WHERE activity_until IS NOT NULL AND {asked.scope.holds("account_id")}
        ) AS person
        GROUP BY account_id"""


def _people_from_months(asked: Asked) -> str:
    def active(first_back: int, last_back: int) -> str:
        bits_of_month: dict[date, int] = defaultdict(int)
        for back in range(first_back, last_back + 1):
            day = asked.as_of - timedelta(days=back)
            bits_of_month[day.replace(day=1)] |= 1 << (day.day - 1)
        cases = " ".join(
            f"WHEN month = {sql.date_literal(month)} AND days & {bits} <> 0 THEN end_user_id"
            for month, bits in bits_of_month.items()
        )
        return f"COUNT(DISTINCT CASE {cases} END)"

    until_then = (1 << asked.as_of.day) - 1
    this_month = sql.date_literal(asked.as_of.replace(day=1))
    # The newest month with its bits below it; the highest bit of those is the last active day.
    newest = f"MAX({sql.integer(sql.day_number('month'))} * 4294967296 + days)"
    month_number = "newest / 4294967296"
    days = f"(newest - ({month_number}) * 4294967296)"
    last_day = " ".join(f"WHEN {days} >= {1 << bit} THEN {bit}" for bit in range(30, 0, -1))
    return f"""
        SELECT account_id, people, active_now, active_before,
            {asked.number} - ({month_number} + CASE {last_day} ELSE 0 END) AS quiet_days
        FROM (
            SELECT account_id, COUNT(DISTINCT end_user_id) AS people,
                {active(0, 29)} AS active_now, {active(30, 59)} AS active_before,
                {newest} AS newest
            FROM (
                SELECT account_id, end_user_id, month,
                    CASE WHEN month = {this_month} THEN days & {sql.integer(str(until_then))} ELSE days END
                    AS days
                FROM usage_activitymonth
                WHERE month <= {this_month} AND {asked.scope.holds("account_id")}
            ) AS lived
            WHERE days <> 0
            GROUP BY account_id
        ) AS summed"""


def _features(asked: Asked) -> str:
    # scope carries the plan an account was on that day; features outside it don't count. A month
    # of days shrinks to a few features first: joined as it is, it would be sorted as a whole. It is
    # sought account by account, since years of other days lie between one account's and the next's.
    return f"""
        SELECT used.account_id, COUNT(*) AS features_used
        FROM (
            SELECT DISTINCT lived.account_id, lived.feature
            FROM scope JOIN usage_usageday AS lived ON lived.account_id = scope.account_id
            WHERE lived.day BETWEEN {asked.day(29)} AND {asked.day()}
                AND (lived.events > 0 OR lived.users > 0)
        ) AS used
        JOIN scope ON scope.account_id = used.account_id
        JOIN plan_feature ON plan_feature.plan_id = scope.plan_id AND plan_feature.feature = used.feature
        GROUP BY used.account_id"""


def _contracts(asked: Asked) -> str:
    in_force = (
        f"line.kind = 'recurring' AND line.starts_on <= {asked.day()}"
        f" AND (line.ends_on IS NULL OR line.ends_on >= {asked.day()})"
    )
    seats = f"CASE WHEN {in_force} THEN {_seats(asked)} ELSE 0 END"
    term_end = sql.day_number("line.term_ends_on")
    return f"""
        SELECT line.account_id,
            {sql.integer(f"SUM({seats})")} AS seats,
            MIN({sql.day_number("line.payment_due_on")}) AS payment_due,
            MIN(CASE WHEN {in_force} AND line.term_ends_on >= {asked.day()} THEN {term_end} END) AS term_end
        FROM accounts_subscription AS line
        LEFT JOIN accounts_plan AS plan ON plan.id = line.plan_id
        WHERE {asked.scope.holds("line.account_id")}
        GROUP BY line.account_id"""


def _seats(asked: Asked) -> str:
    """The seats a line gives, as in the KPI: its quantity, or what its plan includes if that is more."""

    def given(quantity: str, plan: str) -> str:
        included = f"CAST(10000 AS BIGINT) * COALESCE({plan}.seats_included, 0)"
        return sql.greatest(sql.ten_thousandths(quantity), included)

    if asked.is_today:
        return f"CASE WHEN line.status = 'paused' THEN 0 ELSE {given('line.quantity', 'plan')} END"
    of_line = f"""SELECT CASE WHEN terms.is_paused THEN 0 ELSE {given("terms.quantity", "agreed")} END
        FROM accounts_subscriptionterms AS terms
        LEFT JOIN accounts_plan AS agreed ON agreed.id = terms.plan_id
        WHERE terms.subscription_id = line.id"""
    # Terms agreed for a later day only reach back to the start, as in the ledger.
    return f"""COALESCE(
        ({of_line} AND terms.effective_on <= {asked.day()}
            ORDER BY terms.effective_on DESC, terms.recorded_at DESC, terms.id DESC LIMIT 1),
        ({of_line} ORDER BY terms.effective_on, terms.recorded_at DESC, terms.id DESC LIMIT 1), 0)"""


def _tickets(asked: Asked) -> str:
    return f"""
        SELECT account_id, COUNT(*) AS tickets,
            COUNT(CASE WHEN priority = 'urgent' THEN 1 END) AS urgent_tickets
        FROM tickets_ticket
        WHERE opened_at < {asked.before} AND (resolved_at IS NULL OR resolved_at >= {asked.before})
            AND merged_into_id IS NULL AND merged_at IS NULL AND exclusion = ''
            AND {asked.scope.holds("account_id")}
        GROUP BY account_id"""


def _tickets_are_there(asked: Asked) -> str:
    return f"SELECT 1 FROM tickets_ticket WHERE account_id IS NOT NULL AND opened_at < {asked.before} LIMIT 1"


def _voice(asked: Asked) -> str:
    # The moment and the score in one number: the largest is the newest answer, without sorting.
    second = sql.epoch("response.given_at")
    on_five = (
        "(100 + (800 * (answer.score - answer.scale_low) + (answer.scale_high - answer.scale_low))"
        " / (2 * (answer.scale_high - answer.scale_low)))"
    )
    return f"""
        SELECT response.account_id,
            MAX(CASE WHEN answer.kind = 'nps' THEN {second} * 1000 + answer.score * 10 END) AS nps,
            MAX(CASE WHEN answer.kind = 'csat' AND answer.scale_high > answer.scale_low
                THEN {second} * 1000 + {on_five} END) AS csat,
            MAX(CASE WHEN answer.kind = 'ces' THEN {second} * 1000 + answer.score * 100 END) AS ces
        FROM surveys_response AS response
        JOIN surveys_answer AS answer ON answer.response_id = response.id
        JOIN surveys_survey AS survey ON survey.id = response.survey_id
        WHERE response.state = 'confirmed' AND NOT survey.is_anonymous
            AND answer.kind IN ('nps', 'csat', 'ces') AND response.given_at < {asked.before}
            AND {asked.scope.holds("response.account_id")}
        GROUP BY response.account_id"""


def _ledger(asked: Asked) -> str:
    return f"""
        SELECT account_id, MIN(currency) AS currency, MAX(currency) AS other_currency,
            {sql.sum_of_millionths("delta", "TRUE")} AS mrr,
            {sql.sum_of_millionths("delta", f"effective_on <= {asked.day(90)}")} AS mrr_before
        FROM accounts_movement
        WHERE effective_on <= {asked.day()} AND {asked.scope.holds("account_id")}
        GROUP BY account_id"""


def _touches(asked: Asked) -> str:
    return f"""
        SELECT account_id, {sql.epoch("MAX(happened_at)")} AS touched
        FROM accounts_touch
        WHERE kind <> 'note' AND happened_at < {asked.before} AND {asked.scope.holds("account_id")}
        GROUP BY account_id"""


def _touches_are_there(asked: Asked) -> str:
    return f"SELECT 1 FROM accounts_touch WHERE kind <> 'note' AND happened_at < {asked.before} LIMIT 1"


def _milestones(asked: Asked) -> str:
    return f"""
        SELECT account_id, COUNT(*) AS milestones_due,
            COUNT(CASE WHEN reached_on <= {asked.day()} THEN 1 END) AS milestones_reached
        FROM accounts_milestone
        WHERE due_on <= {asked.day()} AND {asked.scope.holds("account_id")}
        GROUP BY account_id"""


def _champions(asked: Asked) -> str:
    gone = f"left_on <= {asked.day()}"
    return f"""
        SELECT account_id, COUNT(CASE WHEN {gone} THEN NULL ELSE 1 END) AS champions,
            COUNT(CASE WHEN {gone} THEN 1 END) AS champions_gone
        FROM accounts_contact
        WHERE role IN ('champion', 'sponsor') AND {asked.scope.holds("account_id")}
        GROUP BY account_id"""


def _referrals(asked: Asked) -> str:
    return f"""
        SELECT account_id, COUNT(*) AS referrals
        FROM accounts_referral
        WHERE referred_on BETWEEN {asked.day(364)} AND {asked.day()} AND {asked.scope.holds("account_id")}
        GROUP BY account_id"""


def _referrals_are_there(asked: Asked) -> str:
    return f"SELECT 1 FROM accounts_referral WHERE referred_on <= {asked.day()} LIMIT 1"


def _payments_are_there(asked: Asked) -> str:
    # We know only what is unpaid now: of an earlier day we cannot say.
    if not asked.is_today:
        return ""
    return "SELECT 1 FROM accounts_subscription WHERE payment_due_on IS NOT NULL LIMIT 1"


SOURCES = {
    source.name: source
    for source in [
        Source("people", ("people", "active_now", "active_before", "quiet_days"), _people),
        Source("features", ("features_used",), _features),
        Source("contracts", ("seats", "payment_due", "term_end"), _contracts, _payments_are_there),
        Source("tickets", ("tickets", "urgent_tickets"), _tickets, _tickets_are_there),
        Source("voice", ("nps", "csat", "ces"), _voice),
        Source("ledger", ("currency", "other_currency", "mrr", "mrr_before"), _ledger),
        Source("touches", ("touched",), _touches, _touches_are_there),
        Source("milestones", ("milestones_due", "milestones_reached"), _milestones),
        Source("champions", ("champions", "champions_gone"), _champions),
        Source("referrals", ("referrals",), _referrals, _referrals_are_there),
    ]
}


# --- The workspace as a whole ---------------------------------------------------------


@dataclass(frozen=True)
class View:
    """What is asked, and what is true of the whole workspace on that day."""

    asked: Asked
    there: frozenset[str]
    usage_second: int | None

    @property
    def today(self) -> str:
        """Observation of what is a fact of the day itself, such as "no ticket is open"."""
        return str(self.asked.first_second)


def look_around(asked: Asked, sources: Iterable[str]) -> View:
    """Ask, once per pass, which of these sources have any facts and how long usage has been reported."""
    needed = set(sources)
    there = {name for name in needed if SOURCES[name].is_there is None}
    with connection.cursor() as cursor:
        for name in sorted(needed - there):
            question = SOURCES[name].is_there
            text = question(asked) if question else ""
            if text and _first(cursor, text) is not None:
                there.add(name)
        usage_second = _usage_second(asked, cursor) if "people" in needed else None
    return View(asked, frozenset(there), usage_second)


def _usage_second(asked: Asked, cursor: Any) -> int | None:
    """Return when usage was last observed: the day itself while the feed lives, else its last day.

    Without this a broken feed would look like every customer leaving at once.
    """
    if asked.is_today:
        recently = f"activity_until >= {asked.day(FEED_IS_QUIET_FOR - 1)}"
        if _first(cursor, f"SELECT 1 FROM usage_enduser WHERE {recently} LIMIT 1") is not None:
            return asked.first_second
        last = _first(cursor, f"SELECT MAX({sql.day_number('activity_until')}) FROM usage_enduser")
        return None if last is None else _second_of_day(int(last))
    month = asked.as_of.replace(day=1)
    for _ in range(24):
        bits = (1 << asked.as_of.day) - 1 if month == asked.as_of.replace(day=1) else (1 << 31) - 1
        days = _first(
            cursor,
            f"SELECT MAX(days & {sql.integer(str(bits))}) FROM usage_activitymonth"
            f" WHERE month = {sql.date_literal(month)}",
        )
        if days:
            last_day = month + timedelta(days=int(days).bit_length() - 1)
            quiet = (asked.as_of - last_day).days
            return (
                asked.first_second
                if quiet < FEED_IS_QUIET_FOR
                else _second_of_day((last_day - sql.EPOCH).days)
            )
        month = (month - timedelta(days=1)).replace(day=1)
    return None


def _second_of_day(day_number: int) -> int:
    return int(start_of_day(sql.EPOCH + timedelta(days=day_number)).timestamp())


def _first(cursor: Any, text: str) -> Any:
    cursor.execute(text, [])
    row = cursor.fetchone()
    return row[0] if row else None
