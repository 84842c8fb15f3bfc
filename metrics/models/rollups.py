"""Answers about calendar periods, worked out beforehand and kept right."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from csplatform.periods import Period


class KpiRollUp(models.Model):
    """The figure of one KPI and period, as a whole or by one grouping.

    Facts that change make it stale: `generation` is raised. Whoever works it out first notes in
    `taken` which generation that is, and stores it in `stored` with the figure. So facts that
    change meanwhile leave it stale, however many workers there are and wherever they die.
    """

    kpi = models.CharField(max_length=60)
    variant = models.CharField(max_length=30, blank=True)
    group_by = models.CharField(max_length=60, blank=True, help_text="Empty for the total.")
    starts_on = models.DateField(help_text="First day of the period.")
    ends_on = models.DateField(help_text="Last day of the period.")
    fingerprint = models.CharField(max_length=40, help_text="Stands for the definition that made it.")
    reads = models.TextField(help_text="Tables that it reads, and since which day of theirs.")
    urgency = models.PositiveSmallIntegerField(help_text="What is looked at most is worked out first: 0.")

    generation = models.PositiveBigIntegerField(default=1, help_text="Raised when facts of it changed.")
    taken = models.PositiveBigIntegerField(default=0, help_text="Generation last worked on.")
    stored = models.PositiveBigIntegerField(default=0, help_text="Generation of the figure; 0 for none.")
    stale_since = models.DateTimeField(null=True, help_text="First change that the figure lacks.")
    marked_at = models.DateTimeField(null=True, help_text="First change since it was last worked on.")
    steady_until = models.DateTimeField(
        null=True, help_text="When the clock alone changes it; empty when it cannot."
    )

    figure = models.TextField(blank=True)
    unit = models.CharField(max_length=10, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    rate_changes = models.TextField(blank=True, help_text="Exchange rates that were corrected afterwards.")
    computed_at = models.DateTimeField(null=True)

    said = models.TextField(blank=True, help_text="The figure that was said first once the period was over.")
    said_at = models.DateTimeField(null=True)
    said_last = models.TextField(blank=True, help_text="The one that was said last.")
    restated_at = models.DateTimeField(null=True, help_text="When that became another one than the first.")

    failures = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "KPI roll-up"
        ordering = ["kpi", "variant", "group_by", "-ends_on", "starts_on"]
        constraints = [
            # Finds the answers to questions.
            models.UniqueConstraint(
                fields=["kpi", "variant", "group_by", "starts_on", "ends_on"], name="metrics_rollup_one"
            ),
            models.CheckConstraint(
                name="metrics_rollup_dates_in_order", condition=Q(ends_on__gte=F("starts_on"))
            ),
            models.CheckConstraint(
                name="metrics_rollup_generations_in_order",
                condition=Q(stored__lte=F("taken"), taken__lte=F("generation")),
            ),
        ]
        indexes = [
            # What is to be worked out, the most urgent first.
            models.Index(
                fields=["urgency", "-ends_on", "id"],
                condition=Q(stored__lt=F("generation")),
                name="metrics_rollup_stale",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kpi} {self.starts_on} to {self.ends_on}"

    @property
    def period(self) -> Period:
        return Period.last_days((self.ends_on - self.starts_on).days + 1, until=self.ends_on)


class KpiRollUpGroup(models.Model):
    """The figure of one group. A group that is not there has nothing to count."""

    # The constraint finds the groups of a roll-up.
    rollup = models.ForeignKey(KpiRollUp, models.CASCADE, related_name="groups", db_index=False)
    key = models.CharField(max_length=200, blank=True, help_text="Empty for what is in no group.")
    figure = models.TextField()

    class Meta:
        ordering = ["rollup", "key"]
        constraints = [
            models.UniqueConstraint(fields=["rollup", "key"], name="metrics_rollupgroup_one"),
        ]

    def __str__(self) -> str:
        return self.key
