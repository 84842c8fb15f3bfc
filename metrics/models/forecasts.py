"""What we expected of contract terms, as it was said from time to time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from accounts.fields import CurrencyField, MoneyField
from accounts.models import Account, Renewal
from metrics.models.health import Band


class RenewalForecastQuerySet(models.QuerySet["RenewalForecast"]):
    def visible_to(self, user: Any) -> RenewalForecastQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))

    def as_of(self, moment: datetime | None) -> RenewalForecastQuerySet:
        """Keep what was said last of each term up to a moment; None keeps what is said now."""
        later = RenewalForecast.objects.filter(renewal=OuterRef("renewal"), said_at__gt=OuterRef("said_at"))
        if moment is None:
            return self.filter(~Exists(later))
        return self.filter(~Exists(later.filter(said_at__lte=moment)), said_at__lte=moment)


class RenewalForecast(models.Model):
    """What we said of one contract term: a row when that became something else, never changed.

    The last row of a term is the one that it was decided with; it is no longer open then. Day and
    value are those of that time, so that later corrections of the term leave them alone.
    """

    class Likeness(models.TextChoices):
        """What an account's likelihood is taken from: terms of accounts that stood alike."""

        GREEN = Band.GREEN.value, Band.GREEN.label
        YELLOW = Band.YELLOW.value, Band.YELLOW.label
        RED = Band.RED.value, Band.RED.label
        NO_SCORE = "", "No score"

    # The constraint below finds the rows of a term.
    renewal = models.ForeignKey(Renewal, models.CASCADE, related_name="forecasts", db_index=False)
    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    said_at = models.DateTimeField()
    said_on = models.DateField(help_text="The day of that moment.")
    is_open = models.BooleanField(default=True)
    due_on = models.DateField(help_text="Last day of the term, as it was known.")
    due_value = MoneyField(help_text="MRR that was up for renewal.")
    currency = CurrencyField()
    band = models.CharField(max_length=6, blank=True, choices=Likeness)
    likelihood = models.DecimalField(
        max_digits=3, decimal_places=2, null=True, help_text="Of being renewed; empty without history."
    )
    likelihood_low = models.DecimalField(max_digits=3, decimal_places=2, null=True)
    likelihood_high = models.DecimalField(max_digits=3, decimal_places=2, null=True)

    objects = RenewalForecastQuerySet.as_manager()

    class Meta:
        ordering = ["due_on", "renewal", "said_at"]
        constraints = [
            models.UniqueConstraint(fields=["renewal", "said_at"], name="metrics_forecast_one_a_time"),
            models.CheckConstraint(
                name="metrics_forecast_band_known", condition=Q(band__in=["green", "yellow", "red", ""])
            ),
            models.CheckConstraint(
                name="metrics_forecast_likelihoods_in_order",
                condition=Q(
                    likelihood__isnull=True, likelihood_low__isnull=True, likelihood_high__isnull=True
                )
                | Q(
                    likelihood_low__gte=0,
                    likelihood__gte=F("likelihood_low"),
                    likelihood_high__gte=F("likelihood"),
                    likelihood_high__lte=1,
                ),
            ),
        ]
        indexes = [
            # What was said of the terms due in a period.
            models.Index(fields=["due_on"], name="metrics_forecast_by_due"),
        ]

    def __str__(self) -> str:
        return f"{self.account} due {self.due_on}, as of {self.said_at:%Y-%m-%d}"
