"""Health: which scorecard judges an account, each state of its score, and the latest of it.

The scores are written by `metrics.health.scores` in a few statements for many accounts at
once. Nothing here is edited by hand: a scorecard changes by getting a new version.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account


class Band(models.TextChoices):
    GREEN = "green", "Green"
    YELLOW = "yellow", "Yellow"
    RED = "red", "Red"
    INSUFFICIENT_DATA = "insufficient_data", "Not enough data"
    NOT_SCORED = "not_scored", "Not scored"


class PointsField(models.DecimalField):  # type: ignore[type-arg]
    """0 to 100, two decimals: a score, a threshold, a coverage in per cent."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 5)
        kwargs.setdefault("decimal_places", 2)
        kwargs.setdefault("validators", [MinValueValidator(0), MaxValueValidator(100)])
        super().__init__(**kwargs)


def validate_list_of_words(value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise ValidationError("A list of words is needed; an empty list applies to all.")


class Scorecard(models.Model):
    """How some of the accounts are judged. Of those that apply to an account, the first by order does."""

    name = models.CharField(max_length=100, unique=True)
    order = models.PositiveSmallIntegerField(
        default=100, help_text="The lowest number that applies to an account scores it."
    )
    segments = models.JSONField(default=list, blank=True, validators=[validate_list_of_words])
    plans = models.JSONField(
        default=list, blank=True, validators=[validate_list_of_words], help_text="Codes of plans."
    )
    stages = models.JSONField(
        default=list, blank=True, validators=[validate_list_of_words], help_text="Lifecycle stages."
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["order", "pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def applies_to(self) -> str:
        """Say in words whom this scorecard judges."""
        parts = [
            f"{word} {' or '.join(values)}"
            for word, values in (("segment", self.segments), ("plan", self.plans), ("stage", self.stages))
            if values
        ]
        return ", ".join(parts) or "every customer"


class ScorecardVersion(models.Model):
    """One state of a scorecard; never edited, so that every score can be checked for good.

    `measures` is a list of `{"signal", "weight", "curve": [[raw, points], …], "shelf_days"}`;
    numbers are strings, exact. `metrics.health.scorecards` reads, checks and makes them.
    """

    scorecard = models.ForeignKey(Scorecard, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    measures = models.JSONField()
    yellow_from = PointsField(default=50)
    green_from = PointsField(default=75)
    min_coverage = PointsField(default=50, help_text="Per cent of the weight; below it there is no score.")
    made_at = models.DateTimeField(default=timezone.now)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=300)

    class Meta:
        ordering = ["scorecard", "-number"]
        constraints = [
            # One successor of each version; also finds the current one.
            models.UniqueConstraint(fields=["scorecard", "number"], name="metrics_version_one_a_number"),
            models.CheckConstraint(
                name="metrics_version_bands_in_order",
                condition=Q(yellow_from__gte=0, green_from__gt=F("yellow_from"), green_from__lte=100),
            ),
            models.CheckConstraint(
                name="metrics_version_coverage_0_to_100", condition=Q(min_coverage__range=(0, 100))
            ),
            models.CheckConstraint(name="metrics_version_has_a_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.scorecard} v{self.number}"


class ScoredState(models.Model):
    """What a score consists of; `metrics.health.reasons` takes the two texts apart.

    One text for all measures, in the version's order, costs half of what a JSON object costs
    and reads the same on both databases.
    """

    score = PointsField(null=True)
    band = models.CharField(max_length=17, choices=Band)
    coverage = PointsField(help_text="Per cent of the weight whose measure had a usable signal.")
    oldest_signal_at = models.DateTimeField(
        null=True, help_text="When the oldest signal that was used was observed."
    )
    points = models.TextField(
        blank=True, help_text="Of each measure, in hundredths: 5600; m for missing, s for stale."
    )
    raws = models.TextField(
        blank=True,
        help_text="Of each measure, in hundredths, with the second of observation: 4100@1764547200.",
    )

    class Meta:
        abstract = True


class HealthScoreQuerySet(models.QuerySet["HealthScore"]):
    def visible_to(self, user: Any) -> HealthScoreQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class HealthScore(ScoredState):
    """How an account stood at the end of a day; a row only for days on which that changed.

    "Changed" means the points or the availability of a measure, or the version. The row of the
    running day is rewritten until the day is over; rows of past days stay as they are.
    """

    # The unique constraint below finds an account's rows, and versions are never deleted:
    # two indexes less to write on the largest table of this app.
    account = models.ForeignKey(Account, models.CASCADE, related_name="health_scores", db_index=False)
    day = models.DateField()
    version = models.ForeignKey(ScorecardVersion, models.PROTECT, related_name="scores", db_index=False)
    computed_at = models.DateTimeField()
    is_backfilled = models.BooleanField(
        default=False, help_text="Worked out later from the facts, not recorded on that day."
    )

    objects = HealthScoreQuerySet.as_manager()

    class Meta:
        ordering = ["account", "-day"]
        constraints = [
            # History of an account, and its last row before a day.
            models.UniqueConstraint(fields=["account", "day"], name="metrics_healthscore_one_a_day"),
            models.CheckConstraint(
                name="metrics_healthscore_0_to_100",
                condition=Q(score__isnull=True) | Q(score__range=(0, 100)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} on {self.day}: {self.band if self.score is None else self.score}"


class AccountHealthQuerySet(models.QuerySet["AccountHealth"]):
    def visible_to(self, user: Any) -> AccountHealthQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class AccountHealth(ScoredState):
    """How an account stands now: the copy that lists sort and filter by, with today's raw figures.

    Every account has had a row since its first pass. Accounts that are no customers, or that no
    scorecard applies to, are in the band "not scored".
    """

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True, related_name="health")
    version = models.ForeignKey(ScorecardVersion, models.PROTECT, null=True, related_name="+", db_index=False)
    change_7d = models.DecimalField(
        max_digits=5, decimal_places=2, null=True, help_text="Score now less score a week ago."
    )
    reason = models.CharField(max_length=60, blank=True, help_text="Signal that costs the score most.")
    computed_at = models.DateTimeField(help_text="When the score was last found to be another.")
    checked_at = models.DateTimeField(help_text="When it was last worked out.")

    objects = AccountHealthQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "account health"
        constraints = [
            models.CheckConstraint(
                name="metrics_accounthealth_0_to_100",
                condition=Q(score__isnull=True) | Q(score__range=(0, 100)),
            ),
        ]
        indexes = [
            # Portfolio sorted by score, in one band or in all.
            models.Index(fields=["score", "account"], name="metrics_health_by_score"),
            models.Index(fields=["band", "score", "account"], name="metrics_health_by_band"),
            # Who fell most this week.
            models.Index(fields=["change_7d", "account"], name="metrics_health_by_change"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.band if self.score is None else self.score}"
