"""What a user arranged for themselves in these pages; customer data is in the apps below."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def visible_to(self, user: Any) -> SavedViewQuerySet:
        return self.filter(user=user.pk)


class SavedView(models.Model):
    """Filters and order of a table that a user gave a name; the rows are looked up anew each time."""

    class Page(models.TextChoices):
        PORTFOLIO = "portfolio", "Portfolio"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=20, choices=Page, default=Page.PORTFOLIO)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2_000, blank=True, help_text="The address's part after the ?.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["user", "page", "name"], name="workspace_savedview_one_name"),
            models.CheckConstraint(name="workspace_savedview_name_not_empty", condition=~Q(name="")),
        ]

    def __str__(self) -> str:
        return self.name
