"""What pages and the API ask: why this score, why did it move, what is the matter with these accounts.

Functions for lists take any number of accounts and ask the database one or two questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from accounts.models import Account
from csplatform.periods import day_of
from metrics.health.decomposition import Change, Reading, explain_change, readings, why_no_score
from metrics.health.scorecards import cards_by_id
from metrics.models import AccountHealth, Band, HealthScore

DAY = timedelta(days=1)


# --- Words ----------------------------------------------------------------------------


def since(day: date, *, today: date) -> str:
    """Say since when, as one would aloud.

    >>> since(date(2026, 6, 15), today=date(2026, 6, 17))
    'since Monday'
    """
    back = (today - day).days
    if back == 0:
        return "today"
    if back == 1:
        return "since yesterday"
    if back <= 7:
        return f"since {'last ' if back == 7 else ''}{day:%A}"
    year = f" {day.year}" if day.year != today.year else ""
    return f"since {day.day} {day:%B}{year}"


# --- For one account ------------------------------------------------------------------


def explain(account: Account) -> list[Reading]:
    """Return what each measure saw and gave when the account was last scored; empty when it is not."""
    state = AccountHealth.objects.filter(account=account).first()
    if state is None or not state.version_id:
        return []
    return readings(state, cards_by_id([state.version_id])[state.version_id])


def drivers(account: Account, since_day: date, *, today: date | None = None) -> Change | None:
    """Explain how the score moved since the end of a day; None when the account was never scored."""
    state = AccountHealth.objects.filter(account=account).first()
    if state is None:
        return None
    return changes_since([state], since_day, today=today)[account.pk]


def api_shape(account: Account, *, today: date | None = None) -> dict[str, Any]:
    """Return `/accounts/{id}/health/` as plain values: numbers as strings, moments in ISO 8601."""
    on = today or day_of(timezone.now())
    state = AccountHealth.objects.filter(account=account).select_related("version__scorecard").first()
    if state is None:
        return {
            "score": None,
            "band": Band.NOT_SCORED.value,
            "coverage": "0.00",
            "oldest_signal_at": None,
            "computed_at": None,
            "checked_at": None,
            "scorecard": None,
            "version": None,
            "change_7d": None,
            "trend_30d": None,
            "measures": [],
            "override": None,
        }
    month_ago = state_at([account.pk], on - 30 * DAY).get(account.pk)
    trend = None
    if state.score is not None and month_ago is not None and month_ago.score is not None:
        trend = state.score - month_ago.score
    cards = cards_by_id([state.version_id]) if state.version_id else {}
    found = readings(state, cards[state.version_id]) if state.version_id else []
    return {
        "score": _text(state.score),
        "band": state.band,
        "coverage": _text(state.coverage),
        "oldest_signal_at": _iso(state.oldest_signal_at),
        "computed_at": _iso(state.computed_at),
        "checked_at": _iso(state.checked_at),
        "scorecard": state.version.scorecard.name if state.version else None,
        "version": state.version.number if state.version else None,
        "change_7d": _text(state.change_7d),
        "trend_30d": _text(trend),
        "measures": [
            {
                "key": reading.key,
                "label": reading.label,
                "raw": _text(reading.raw),
                "unit": reading.unit,
                "points": _text(reading.points),
                "weight": _text(reading.weight),
                "weight_used": _text(reading.weight_used),
                "observed_at": _iso(reading.observed_at),
                "state": reading.state,
                "effect": _text(reading.effect),
                "words": reading.sentence(on=on),
            }
            for reading in found
        ],
        "override": None,
    }


def history(account: Account, start: date, end: date) -> list[dict[str, Any]]:
    """Return `/accounts/{id}/health/history/`: each change within [start, end), oldest first."""
    rows = list(HealthScore.objects.filter(account=account, day__gte=start, day__lt=end).order_by("day"))
    before = state_at([account.pk], start - DAY).get(account.pk)
    cards = cards_by_id([row.version_id for row in [*rows, *([before] if before else [])]])
    found: list[dict[str, Any]] = []
    for row in rows:
        change = explain_change(before, row, cards, on=row.day)
        card = cards[row.version_id]
        found.append(
            {
                "day": row.day.isoformat(),
                "computed_at": _iso(row.computed_at),
                "is_backfilled": row.is_backfilled,
                "score": _text(row.score),
                "band": row.band,
                "coverage": _text(row.coverage),
                "oldest_signal_at": _iso(row.oldest_signal_at),
                "scorecard": card.name,
                "version": card.number,
                "change": _text(change.change),
                "words": change.sentence(),
                "drivers": [
                    {
                        "key": driver.key,
                        "label": driver.label,
                        "cause": driver.cause,
                        "points_before": _text(driver.points_before),
                        "points_after": _text(driver.points_after),
                        "effect": _text(driver.effect),
                        "words": driver.words,
                    }
                    for driver in change.drivers
                ],
            }
        )
        before = row
    return found


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


# --- For lists ------------------------------------------------------------------------


def state_at(account_ids: Iterable[int], day: date) -> dict[int, HealthScore]:
    """Return the state of each account at the end of a day, in one query; never scored by then: left out."""
    newest = (
        HealthScore.objects.filter(account=OuterRef("pk"), day__lte=day).order_by("-day").values("pk")[:1]
    )
    accounts = Account.objects.filter(pk__in=list(account_ids)).annotate(state=Subquery(newest))
    rows = HealthScore.objects.filter(pk__in=accounts.values("state"))
    return {row.account_id: row for row in rows}


def changes_since(
    healths: Sequence[AccountHealth], day: date, *, today: date | None = None
) -> dict[int, Change]:
    """Explain, in two queries for all, how these accounts' scores moved since the end of a day."""
    on = today or day_of(timezone.now())
    before = state_at([health.pk for health in healths], day)
    versions = {health.version_id for health in healths} | {row.version_id for row in before.values()}
    cards = cards_by_id(version for version in versions if version is not None)
    return {health.pk: explain_change(before.get(health.pk), health, cards, on=on) for health in healths}


def biggest_reasons(healths: Sequence[AccountHealth], *, today: date | None = None) -> dict[int, str]:
    """Return, in one query for all, what costs each of these accounts most: "no contact for 47 days".

    Empty for a perfect score; where there is no score, why there is none.
    """
    on = today or day_of(timezone.now())
    cards = cards_by_id([health.version_id for health in healths if health.version_id is not None])
    found: dict[int, str] = {}
    for health in healths:
        if health.score is None or health.version_id is None:
            found[health.pk] = why_no_score(health)
            continue
        said = {r.key: r for r in readings(health, cards[health.version_id])}.get(health.reason)
        found[health.pk] = said.sentence(on=on) if said else ""
    return found
