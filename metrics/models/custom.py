"""KPIs that this installation defined itself, with every version they ever had."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from team.models import User


def may_define(user: Any) -> bool:
    """Admins say what a number means; everybody may read it."""
    return bool(user.is_authenticated and user.is_active and user.role == User.Role.ADMIN)


class CustomKpi(models.Model):
    """One KPI by its slug, and which of its versions is in force.

    `metrics.kpis.custom.keeping` makes and changes these; everybody sees those that are published.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        PUBLISHED = "published", "Published"
        RETIRED = "retired", "Retired"

    slug = models.CharField(max_length=60, unique=True)
    state = models.CharField(max_length=9, choices=State, default=State.DRAFT)
    current = models.OneToOneField(
        "metrics.CustomKpiVersion", models.PROTECT, null=True, editable=False, related_name="+"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    state_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    state_at = models.DateTimeField(default=timezone.now, help_text="When it was published or retired last.")

    class Meta:
        verbose_name = "custom KPI"
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(name="metrics_custom_kpi_slug_not_empty", condition=~Q(slug="")),
            models.CheckConstraint(
                name="metrics_custom_kpi_state_known",
                condition=Q(state__in=["draft", "published", "retired"]),
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class CustomKpiVersion(models.Model):
    """What a custom KPI meant from one change to the next; never edited, so that a stored value can be read.

    `formula` is what `metrics.kpis.custom.definition` reads: names of facts, fields and operators from
    its lists, and the values they compare with.
    """

    kpi = models.ForeignKey(CustomKpi, models.PROTECT, related_name="versions")
    number = models.PositiveSmallIntegerField()
    label = models.CharField(max_length=80)
    direction = models.CharField(
        max_length=7,
        choices=[("up", "Higher is better"), ("down", "Lower is better"), ("neutral", "Neither")],
    )
    definition = models.CharField(
        max_length=1_000, blank=True, help_text="In the admin's words; empty for those of the formula."
    )
    formula = models.JSONField()
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of all of it: what is read once is kept by it."
    )
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    made_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=300)

    class Meta:
        verbose_name = "version of a custom KPI"
        ordering = ["kpi", "-number"]
        constraints = [
            # One successor of each version.
            models.UniqueConstraint(fields=["kpi", "number"], name="metrics_custom_version_one_a_number"),
            models.CheckConstraint(name="metrics_custom_version_has_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(name="metrics_custom_version_has_a_label", condition=~Q(label="")),
        ]

    def __str__(self) -> str:
        return f"{self.label} v{self.number}"
