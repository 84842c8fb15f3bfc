"""Stored values of KPIs, each with the counts it came from, and what we aim for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.fields import not_nan
from team.models import User


class KpiSnapshotQuerySet(models.QuerySet["KpiSnapshot"]):
    def visible_to(self, user: Any) -> KpiSnapshotQuerySet:
        """Keep what `user` may read: a total counts everybody's accounts, so it takes seeing them all."""
        sees_all = user.is_authenticated and user.is_active
        return self if sees_all and user.role in (User.Role.ADMIN, User.Role.VIEWER) else self.none()


class KpiSnapshot(models.Model):
    """What a KPI said about a period at some time; added when it says something else, never changed.

    Rates never stand without their counts. Rows with a `group` are of releases that kept each
    group by itself; since then the groups stand in the row of their grouping.
    """

    kpi = models.CharField(max_length=60)
    variant = models.CharField(max_length=30, blank=True)
    version = models.PositiveSmallIntegerField(help_text="Version of the definition that made it.")
    starts_on = models.DateField(help_text="First day of the period.")
    ends_on = models.DateField(help_text="Last day of the period.")
    group_by = models.CharField(max_length=20, blank=True, help_text="Empty for the total.")
    group = models.CharField(max_length=200, blank=True)
    value = models.DecimalField(max_digits=28, decimal_places=10, null=True)
    numerator = models.DecimalField(max_digits=28, decimal_places=10, null=True)
    denominator = models.DecimalField(max_digits=28, decimal_places=10, null=True)
    sample_size = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=40, blank=True, help_text="Why there is no value.")
    unit = models.CharField(
        max_length=10, blank=True, help_text="percent, points, count, ratio or a currency."
    )
    figure = models.TextField(blank=True, help_text="All of it, exact to the last digit.")
    groups = models.TextField(blank=True, help_text="The figure of each group.")
    computed_at = models.DateTimeField(help_text="When it was said.")

    objects = KpiSnapshotQuerySet.as_manager()

    class Meta:
        verbose_name = "KPI snapshot"
        ordering = ["kpi", "variant", "-ends_on", "starts_on", "group_by", "group", "-computed_at"]
        constraints = [
            # One row a figure and moment; also finds what was said of a period by some time.
            models.UniqueConstraint(
                fields=["kpi", "variant", "group_by", "group", "ends_on", "starts_on", "computed_at"],
                name="metrics_snapshot_one_a_time",
            ),
            models.CheckConstraint(
                name="metrics_snapshot_dates_in_order", condition=Q(ends_on__gte=F("starts_on"))
            ),
            models.CheckConstraint(
                name="metrics_snapshot_value_or_reason",
                condition=Q(value__isnull=False, reason="") | Q(value__isnull=True) & ~Q(reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kpi} {self.starts_on} to {self.ends_on}"


class Target(models.Model):
    """What the workspace wants a KPI to be, and the range it compares itself with.

    A row may speak of one variant and of one group; `metrics.kpis.aims` finds the row that holds for a
    figure.
    """

    class Months(models.IntegerChoices):
        MONTH = 1, "One month"
        QUARTER = 3, "Three months"
        YEAR = 12, "Twelve months"

    kpi = models.CharField(max_length=60)
    variant = models.CharField(max_length=30, blank=True, help_text="Empty for all that share its unit.")
    group_by = models.CharField(max_length=20, blank=True, help_text="Empty for the KPI as a whole.")
    group = models.CharField(max_length=200, blank=True)
    months = models.PositiveSmallIntegerField(
        choices=Months,
        null=True,
        blank=True,
        help_text="Holds for periods of so many whole months; empty for periods of any length.",
    )
    value = models.DecimalField(max_digits=19, decimal_places=6, null=True, blank=True)
    benchmark_low = models.DecimalField(max_digits=19, decimal_places=6, null=True, blank=True)
    benchmark_high = models.DecimalField(max_digits=19, decimal_places=6, null=True, blank=True)
    watch_by = models.CharField(
        max_length=20, blank=True, help_text="Grouping whose groups raise alerts too, each for itself."
    )
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    set_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["kpi", "variant", "group_by", "group"]
        constraints = [
            models.UniqueConstraint(
                fields=["kpi", "variant", "group_by", "group"],
                name="metrics_target_one_a_figure",
                violation_error_message="This has a target already: change that one.",
            ),
            models.CheckConstraint(
                name="metrics_target_is_a_number", condition=Q(value__isnull=True) | not_nan("value")
            ),
            models.CheckConstraint(
                name="metrics_target_range_in_order",
                condition=Q(benchmark_low__isnull=True, benchmark_high__isnull=True)
                | Q(
                    benchmark_low__isnull=False,
                    benchmark_high__isnull=False,
                    benchmark_high__gte=F("benchmark_low"),
                )
                & not_nan("benchmark_low")
                & not_nan("benchmark_high"),
            ),
            models.CheckConstraint(
                name="metrics_target_months_known",
                condition=Q(months__isnull=True) | Q(months__in=[1, 3, 12]),
            ),
            models.CheckConstraint(
                name="metrics_target_group_needs_a_grouping", condition=~Q(group_by="") | Q(group="")
            ),
            models.CheckConstraint(
                name="metrics_target_watches_from_the_whole", condition=Q(group_by="") | Q(watch_by="")
            ),
        ]

    def __str__(self) -> str:
        of = f" of {self.group_by} {self.group or 'none'}" if self.group_by else ""
        return f"{self.kpi}{f', {self.variant}' if self.variant else ''}{of}"

    @property
    def benchmark(self) -> tuple[Decimal, Decimal] | None:
        if self.benchmark_low is None or self.benchmark_high is None:
            return None
        return self.benchmark_low, self.benchmark_high
