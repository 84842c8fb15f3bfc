"""What a user arranged for themselves in these pages; customer data is in the apps below."""

from __future__ import annotations

from datetime import date, timedelta
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


class DashboardMailQuerySet(models.QuerySet["DashboardMail"]):
    def visible_to(self, user: Any) -> DashboardMailQuerySet:
        """Keep those one set up and those one gets; admins see all."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_admin:
            return self
        return self.filter(Q(owner=user.pk) | Q(recipients=user.pk)).distinct()

    def editable_by(self, user: Any) -> DashboardMailQuerySet:
        """Keep those that `user` may change, pause and delete."""
        if not user.is_authenticated or not user.is_active or not user.may_write:
            return self.none()
        return self if user.is_admin else self.filter(owner=user.pk)


class DashboardMail(models.Model):
    """A dashboard that goes out by mail on a day of the week or the month; `workspace.mailing` sends it."""

    class Cadence(models.TextChoices):
        WEEKLY = "weekly", "Every week"
        MONTHLY = "monthly", "Every month"

    class Weekday(models.IntegerChoices):
        MONDAY = 0, "Monday"
        TUESDAY = 1, "Tuesday"
        WEDNESDAY = 2, "Wednesday"
        THURSDAY = 3, "Thursday"
        FRIDAY = 4, "Friday"
        SATURDAY = 5, "Saturday"
        SUNDAY = 6, "Sunday"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="dashboard_mails")
    dashboard = models.CharField(max_length=40)
    period = models.CharField(max_length=20)
    compare = models.CharField(max_length=10, default="previous")
    csm = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    segment = models.CharField(max_length=60, blank=True)
    plan = models.CharField(max_length=100, blank=True)
    lifecycle_stage = models.CharField(max_length=60, blank=True)
    recipients: models.ManyToManyField[Any, Any] = models.ManyToManyField(
        settings.AUTH_USER_MODEL, related_name="dashboard_mails_received"
    )
    cadence = models.CharField(max_length=7, choices=Cadence, default=Cadence.WEEKLY)
    weekday = models.PositiveSmallIntegerField(choices=Weekday, default=Weekday.MONDAY)
    day_of_month = models.PositiveSmallIntegerField(
        default=1, help_text="In a shorter month it is the last day."
    )
    hour = models.PositiveSmallIntegerField(default=8, help_text="In the workspace's time zone.")
    is_paused = models.BooleanField(default=False)
    last_slot_at = models.DateTimeField(help_text="The last slot that was decided, or passed over.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DashboardMailQuerySet.as_manager()

    class Meta:
        ordering = ["dashboard", "pk"]
        constraints = [
            models.CheckConstraint(
                name="workspace_dashboardmail_cadence_known", condition=Q(cadence__in=["weekly", "monthly"])
            ),
            models.CheckConstraint(
                name="workspace_dashboardmail_day_of_calendar",
                condition=Q(weekday__range=(0, 6), day_of_month__range=(1, 31), hour__range=(0, 23)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dashboard}, {self.when_in_words}"

    def falls_on(self, day: date) -> bool:
        if self.cadence == self.Cadence.WEEKLY:
            return day.weekday() == self.weekday
        is_last = (day + timedelta(days=1)).month != day.month
        return day.day == self.day_of_month or (is_last and day.day < self.day_of_month)

    @property
    def when_in_words(self) -> str:
        if self.cadence == self.Cadence.WEEKLY:
            day = f"every {self.Weekday(self.weekday).label}"
        else:
            day = (
                "on the last day of each month"
                if self.day_of_month == 31
                else (f"on day {self.day_of_month} of each month")
            )
        return f"{day} at {self.hour:02}:00"

    @property
    def filters_in_words(self) -> str:
        given = [
            ("CSM", str(self.csm) if self.csm else ""),
            ("segment", self.segment),
            ("plan", self.plan),
            ("stage", self.lifecycle_stage),
        ]
        return ", ".join(f"{name} {value}" for name, value in given if value)
