"""Says what becomes of open contract terms, and keeps every word of it.

How likely an account renews is read from the terms that ended within the last year: of those
whose account stood in the same health band 90 days before the end, how many were renewed. Rows
are only added, so what was said on a day can be held against what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.db.models import (
    BooleanField,
    Case,
    CharField,
    Count,
    DateField,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from accounts.bulk import insert_rows
from accounts.models import Renewal
from csplatform.periods import day_of
from metrics.calculations import Likelihood, renewal_likelihood
from metrics.models import Band, HealthScore, RenewalForecast

DAYS_BACK = 365
LEAD_DAYS = 90
BATCH = 2_000
RENEWALS = (Renewal.Outcome.RENEWED, Renewal.Outcome.SMALLER, Renewal.Outcome.LARGER)
BANDS = tuple(RenewalForecast.Likeness.values)
# Who stands worse is not held to be likelier to stay, however few of them there were.
BANDS_IN_ORDER = (Band.GREEN, Band.YELLOW, Band.RED)

_SAID = ("due_on", "due_value", "currency", "band", "likelihood", "likelihood_low", "likelihood_high")


def say(moment: datetime) -> int:
    """Write down what we expect of the terms that are open at a moment, where that is something new.

    Return how many rows that took. Safe to run twice. Moments come in their order: nothing can be
    said afterwards.
    """
    if RenewalForecast.objects.filter(said_at__gt=moment).exists():
        raise ValueError("Later forecasts are there already.")
    found = likelihoods(moment)
    said = last = 0
    while batch := list(_to_speak_of(moment).filter(pk__gt=last).order_by("pk")[:BATCH]):
        last = batch[-1].pk
        with transaction.atomic():
            latest = RenewalForecast.objects.as_of(None).filter(renewal__in=[term.pk for term in batch])
            before = {row.renewal_id: row for row in latest}
            rows = [_row(term, found, moment) for term in batch]
            new = [row for row in rows if _is_news(row, before.get(row.renewal_id))]
            insert_rows(RenewalForecast, new)
        said += len(new)
    return said


def _to_speak_of(moment: datetime) -> QuerySet[Any]:
    """Return the terms that are open, and those that were when we spoke of them last."""
    is_open = Q(outcome=Renewal.Outcome.OPEN) | Q(decided_at__gt=moment)
    is_open &= Q(recorded_at__lte=moment)
    spoken_of = RenewalForecast.objects.as_of(None).filter(renewal=OuterRef("pk"), is_open=True)
    return Renewal.objects.filter(is_open | Exists(spoken_of)).annotate(
        is_still_open=Case(When(is_open, then=True), default=False, output_field=BooleanField()),
        band=_band_at(Value(day_of(moment), output_field=DateField())),
    )


def _band_at(day: Any) -> Coalesce:
    """Return the band in which a term's account stood at the end of a day; empty without a score."""
    scores = HealthScore.objects.filter(account=OuterRef("account"), day__lte=day)
    known = Case(When(band__in=BANDS, then="band"), default=Value(""), output_field=CharField())
    return Coalesce(Subquery(scores.annotate(known=known).order_by("-day").values("known")[:1]), Value(""))


def likelihoods(moment: datetime) -> Mapping[str, Likelihood]:
    """Return {band: how likely its terms are renewed}, as far as was known then; empty without history."""
    day = day_of(moment)
    ahead = ExpressionWrapper(OuterRef("due_on") - timedelta(days=LEAD_DAYS), output_field=DateField())
    ended = Renewal.objects.filter(
        Q(decided_at__isnull=True) | Q(decided_at__lte=moment),
        recorded_at__lte=moment,
        due_on__gte=day - timedelta(days=DAYS_BACK),
        due_on__lt=day,
    ).exclude(outcome=Renewal.Outcome.OPEN)
    counted = (
        ended.annotate(band=_band_at(ahead))
        .order_by()
        .values("band")
        .annotate(decided=Count("pk"), renewed=Count("pk", filter=Q(outcome__in=RENEWALS)))
    )
    of_band = {row["band"]: row for row in counted}
    decided = sum(row["decided"] for row in of_band.values())
    renewed = sum(row["renewed"] for row in of_band.values())
    found = {}
    for band in BANDS:
        row = of_band.get(band, {"decided": 0, "renewed": 0})
        likelihood = renewal_likelihood(
            renewed=row["renewed"], decided=row["decided"], all_renewed=renewed, all_decided=decided
        )
        if likelihood is not None:
            found[band] = likelihood
    for better, worse in pairwise(BANDS_IN_ORDER):
        if found:
            found[worse] = found[worse].at_most(found[better])
    return found


def _row(term: Any, found: Mapping[str, Likelihood], moment: datetime) -> RenewalForecast:
    likelihood = found.get(term.band)
    return RenewalForecast(
        renewal_id=term.pk,
        account_id=term.account_id,
        said_at=moment,
        said_on=day_of(moment),
        is_open=term.is_still_open,
        due_on=term.due_on,
        due_value=term.due_value,
        currency=term.currency,
        band=term.band,
        likelihood=likelihood and likelihood.expected,
        likelihood_low=likelihood and likelihood.low,
        likelihood_high=likelihood and likelihood.high,
    )


def _is_news(row: RenewalForecast, before: RenewalForecast | None) -> bool:
    if before is None or row.is_open != before.is_open:
        return True
    # What is decided is decided; how likely it was is said already.
    return row.is_open and any(getattr(row, name) != getattr(before, name) for name in _SAID)
