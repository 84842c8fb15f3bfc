"""What happened on a day that its numbers alone don't tell: a price change, an outage, a campaign."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.fields import within_centuries
from csplatform.periods import Period
from team.models import User


def may_annotate(user: Any) -> bool:
    """Everybody reads what happened; admins and managers write it down."""
    return user.is_authenticated and user.is_active and user.role in (User.Role.ADMIN, User.Role.MANAGER)


class AnnotationQuerySet(models.QuerySet["Annotation"]):
    def visible_to(self, user: Any) -> AnnotationQuerySet:
        """Keep all for everybody who works here: they name no customer's figures."""
        return self if user.is_authenticated and user.is_active else self.none()

    def editable_by(self, user: Any) -> AnnotationQuerySet:
        return self.visible_to(user) if may_annotate(user) else self.none()

    def within(self, period: Period) -> AnnotationQuerySet:
        return self.filter(day__gte=period.start, day__lt=period.end)


class Annotation(models.Model):
    """A few words on a day, drawn as a mark on every chart over time that holds it."""

    day = models.DateField()
    text = models.CharField(max_length=200)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AnnotationQuerySet.as_manager()

    class Meta:
        ordering = ["-day", "-pk"]
        constraints = [
            models.CheckConstraint(name="metrics_annotation_text_not_empty", condition=~Q(text="")),
            models.CheckConstraint(name="metrics_annotation_day_sane", condition=within_centuries("day")),
        ]
        indexes = [
            # The marks of a chart.
            models.Index(fields=["day"], name="metrics_annotation_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.text}"
