"""What we did with customers, what they brought us, and what it cost."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.fields import CurrencyField, MoneyField, not_nan, within_centuries
from accounts.models.customers import Account, Contact
from csplatform.periods import Period


class TouchQuerySet(models.QuerySet["Touch"]):
    def visible_to(self, user: Any) -> TouchQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class Touch(models.Model):
    """One time we dealt with a customer: a call, a meeting, a note."""

    class Kind(models.TextChoices):
        CALL = "call", "Call"
        MEETING = "meeting", "Meeting"
        MAIL = "mail", "Mail"
        TRAINING = "training", "Training"
        DEMO = "demo", "Demo"
        EVENT = "event", "Event"
        CHECK_IN = "check_in", "Check-in"
        NOTE = "note", "Note"

    account = models.ForeignKey(Account, models.CASCADE, related_name="touches")
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, blank=True, related_name="touches")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="touches"
    )
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=8, choices=Kind)
    happened_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    notes = models.TextField(blank=True, max_length=10_000)

    objects = TouchQuerySet.as_manager()

    class Meta:
        ordering = ["-happened_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="accounts_touch_once_per_source",
            ),
            models.CheckConstraint(
                name="accounts_touch_kind_known",
                condition=Q(
                    kind__in=["call", "meeting", "mail", "training", "demo", "event", "check_in", "note"]
                ),
            ),
        ]
        indexes = [
            # Touches of a period, by kind.
            models.Index(fields=["happened_at", "kind"], name="accounts_touch_in_period"),
            # Timeline of an account, and its last touch.
            models.Index(fields=["account", "-happened_at"], name="accounts_touch_of_account"),
            # Productivity of a CSM in a period.
            models.Index(fields=["user", "happened_at"], name="accounts_touch_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} with {self.account}"


class ReferralQuerySet(models.QuerySet["Referral"]):
    def visible_to(self, user: Any) -> ReferralQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class Referral(models.Model):
    """A customer told somebody else about us."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="referrals", help_text="Who referred.")
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, blank=True, related_name="referrals")
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    referred_name = models.CharField(max_length=200)
    referred_account = models.ForeignKey(
        Account, models.SET_NULL, null=True, blank=True, related_name="referred_by"
    )
    referred_on = models.DateField()
    converted_on = models.DateField(null=True, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)
    conversion_recorded_at = models.DateTimeField(
        null=True, blank=True, help_text="When we learned of it, if that was later than the referral."
    )

    objects = ReferralQuerySet.as_manager()

    class Meta:
        ordering = ["-referred_on", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="accounts_referral_once_per_source",
            ),
            models.CheckConstraint(
                name="accounts_referral_date_sane",
                condition=within_centuries("referred_on") & within_centuries("converted_on"),
            ),
        ]
        indexes = [
            # Referrals of a period.
            models.Index(fields=["referred_on", "account"], name="accounts_referral_in_period"),
        ]

    def __str__(self) -> str:
        return f"{self.account} referred {self.referred_name}"


class CostQuerySet(models.QuerySet["Cost"]):
    def known_at(self, moment: Any) -> CostQuerySet:
        """Keep what had been recorded by `moment`; None keeps all we know now."""
        return self if moment is None else self.filter(recorded_at__lte=moment)

    def spent_in(self, period: Period) -> CostQuerySet:
        return self.filter(day__gte=period.start, day__lt=period.end)


class Cost(models.Model):
    """What keeping customers cost us, by category."""

    class Category(models.TextChoices):
        PAYROLL = "payroll", "Payroll"
        SOFTWARE = "software", "CRM and communication software"
        EVENTS = "events", "Engagement events"
        TRAINING = "training", "Training"
        MARKETING = "marketing", "Customer marketing"
        OTHER = "other", "Other"

    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=9, choices=Category)
    day = models.DateField()
    amount = MoneyField()
    currency = CurrencyField(default="EUR")
    account = models.ForeignKey(Account, models.SET_NULL, null=True, blank=True, related_name="costs")
    note = models.CharField(max_length=300, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = CostQuerySet.as_manager()

    class Meta:
        ordering = ["-day", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="accounts_cost_once_per_source",
            ),
            models.CheckConstraint(name="accounts_cost_amount_is_a_number", condition=not_nan("amount")),
            models.CheckConstraint(name="accounts_cost_day_sane", condition=within_centuries("day")),
            models.CheckConstraint(
                name="accounts_cost_category_known",
                condition=Q(category__in=["payroll", "software", "events", "training", "marketing", "other"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.category} {self.amount} {self.currency}"


class OutcomeMetricQuerySet(models.QuerySet["OutcomeMetric"]):
    def visible_to(self, user: Any) -> OutcomeMetricQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class OutcomeMetric(models.Model):
    """A business figure of the customer's own that our product is meant to move."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="outcomes")
    name = models.CharField(max_length=120)
    unit = models.CharField(max_length=30, blank=True)
    baseline = MoneyField(null=True, blank=True, help_text="The figure at purchase.")
    baseline_on = models.DateField(null=True, blank=True)
    target = MoneyField(null=True, blank=True)
    higher_is_better = models.BooleanField(default=True)

    objects = OutcomeMetricQuerySet.as_manager()

    class Meta:
        ordering = ["account", "name"]
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="accounts_outcome_one_name"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.name}"


class OutcomeValue(models.Model):
    """One reading of a customer's business figure; a later reading of the same day replaces it."""

    metric = models.ForeignKey(OutcomeMetric, models.CASCADE, related_name="values")
    day = models.DateField()
    value = MoneyField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["metric", "day", "pk"]
        constraints = [
            models.CheckConstraint(name="accounts_outcomevalue_is_a_number", condition=not_nan("value")),
            models.CheckConstraint(name="accounts_outcomevalue_day_sane", condition=within_centuries("day")),
        ]
        indexes = [
            # The latest reading of a figure.
            models.Index(fields=["metric", "-day", "-recorded_at"], name="accounts_outcomevalue_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.value} on {self.day}"


class MilestoneQuerySet(models.QuerySet["Milestone"]):
    def visible_to(self, user: Any) -> MilestoneQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class Milestone(models.Model):
    """Something an account is to reach, such as "100 contacts imported" or "onboarding completed"."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="milestones")
    name = models.CharField(max_length=120)
    started_on = models.DateField(null=True, blank=True)
    due_on = models.DateField(null=True, blank=True)
    reached_on = models.DateField(null=True, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)
    reach_recorded_at = models.DateTimeField(
        null=True, blank=True, help_text="When we learned that it was reached, if that was later."
    )

    objects = MilestoneQuerySet.as_manager()

    class Meta:
        ordering = ["account", "due_on", "name"]
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="accounts_milestone_one_name"),
            models.CheckConstraint(
                name="accounts_milestone_dates_sane",
                condition=within_centuries("started_on")
                & within_centuries("due_on")
                & within_centuries("reached_on"),
            ),
        ]
        indexes = [
            # Time to one milestone, such as the end of onboarding, of all accounts.
            models.Index(Lower("name"), "started_on", name="accounts_milestone_by_name"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.name}"
