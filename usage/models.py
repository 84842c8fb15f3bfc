"""What customers' people do in the product we measure.

Raw events are kept for a while and carry no constraints to other tables, which would make
loading them five times slower. Roll-ups carry them: who was active on which day, as one bit a
day, the same for each feature, and how often an account used a feature on a day. From the days
of each feature follows who was active by a narrower definition than "did anything".
"""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.fields import within_centuries
from accounts.models import Account

MASK_DAYS = 63  # a signed 64-bit column, without its sign bit


class EndUserQuerySet(models.QuerySet["EndUser"]):
    def visible_to(self, user: Any) -> EndUserQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class EndUser(models.Model):
    """A person at the customer who uses the product; never logs in here.

    `activity` holds the 63 days up to `activity_until` as bits: bit 0 is that day, bit 1 the
    day before, and so on. Activity longer ago is in ActivityMonth.
    """

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="end_users", help_text="Where they were active last."
    )
    source = models.CharField(max_length=60)
    external_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    first_seen_on = models.DateField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    removed_on = models.DateField(null=True, blank=True)
    activity = models.BigIntegerField(default=0)
    activity_until = models.DateField(null=True, blank=True)

    objects = EndUserQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="usage_enduser_once_per_source"),
            models.CheckConstraint(name="usage_enduser_activity_not_negative", condition=Q(activity__gte=0)),
            models.CheckConstraint(name="usage_enduser_external_id_not_empty", condition=~Q(external_id="")),
        ]
        indexes = [
            # Active users of an account from the masks, without touching the table.
            models.Index(fields=["account", "activity_until", "activity"], name="usage_enduser_masks"),
        ]

    def __str__(self) -> str:
        return self.name or self.external_id


class ActivityMonthQuerySet(models.QuerySet["ActivityMonth"]):
    def visible_to(self, user: Any) -> ActivityMonthQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class ActivityMonth(models.Model):
    """The days of a month on which a person was active for an account: bit 0 is the first."""

    end_user = models.ForeignKey(EndUser, models.CASCADE, related_name="months")
    account = models.ForeignKey(Account, models.CASCADE, related_name="activity_months")
    month = models.DateField(help_text="First day of the month.")
    days = models.BigIntegerField(default=0)

    objects = ActivityMonthQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["end_user", "account", "month"], name="usage_activitymonth_one"),
            models.CheckConstraint(
                name="usage_activitymonth_days_in_month", condition=Q(days__gte=0, days__lt=2**31)
            ),
        ]
        indexes = [
            # Active users of any past window: one or two months of everybody.
            models.Index(fields=["month", "account", "end_user", "days"], name="usage_activitymonth_window"),
        ]

    def __str__(self) -> str:
        return f"{self.end_user_id} in {self.month:%Y-%m}"


class FeatureMonthQuerySet(models.QuerySet["FeatureMonth"]):
    def visible_to(self, user: Any) -> FeatureMonthQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class FeatureMonth(models.Model):
    """The days of a month on which a person used a feature for an account: bit 0 is the first."""

    end_user = models.ForeignKey(EndUser, models.CASCADE, related_name="feature_months", db_index=False)
    account = models.ForeignKey(Account, models.CASCADE, related_name="feature_months")
    feature = models.CharField(max_length=100)
    month = models.DateField(help_text="First day of the month.")
    days = models.BigIntegerField(default=0)

    objects = FeatureMonthQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["end_user", "account", "month", "feature"], name="usage_featuremonth_one"
            ),
            models.CheckConstraint(
                name="usage_featuremonth_days_in_month", condition=Q(days__gte=0, days__lt=2**31)
            ),
        ]
        indexes = [
            # Users of each feature in any past window, and everybody active by a definition.
            models.Index(
                fields=["month", "feature", "account", "end_user", "days"], name="usage_featuremonth_window"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.end_user_id} used {self.feature} in {self.month:%Y-%m}"


class UsageDayQuerySet(models.QuerySet["UsageDay"]):
    def visible_to(self, user: Any) -> UsageDayQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))

    def on_days(self, first: date, last: date) -> UsageDayQuerySet:
        return self.filter(day__gte=first, day__lte=last)


class UsageDay(models.Model):
    """How often, and by how many people, an account used a feature on a day."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="usage_days")
    feature = models.CharField(max_length=100)
    day = models.DateField()
    events = models.PositiveIntegerField(default=0)
    users = models.PositiveIntegerField(default=0)

    objects = UsageDayQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "day", "feature"], name="usage_usageday_one"),
            models.CheckConstraint(name="usage_usageday_day_sane", condition=within_centuries("day")),
        ]
        indexes = [
            # Which accounts used a feature in a period; the constraint's index begins with the account.
            models.Index(fields=["day", "feature", "account", "events", "users"], name="usage_usageday_days"),
        ]

    def __str__(self) -> str:
        return f"{self.feature} on {self.day}"


class Event(models.Model):
    """One thing somebody did, as it was reported; the message id makes it count once."""

    message_id = models.CharField(max_length=200)
    source = models.CharField(max_length=60)
    account_id = models.BigIntegerField()
    end_user_id = models.BigIntegerField(null=True)
    feature = models.CharField(max_length=100)
    happened_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "message_id"], name="usage_event_once"),
        ]
        indexes = [
            # The newest events of one account, for its timeline.
            models.Index(fields=["account_id", "-happened_at"], name="usage_event_of_account"),
        ]

    def __str__(self) -> str:
        return f"{self.feature} at {self.happened_at}"
