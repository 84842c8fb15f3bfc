"""What customers pay: products, plans, subscriptions and the ledger of recurring revenue.

A subscription's dates say when it is in force; its terms say what it costs from which day.
`accounts.ledger` turns both into movements. Revenue at any date, as known at any date, is a
sum over the movements and nothing else.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.fields import CurrencyField, MoneyField, not_nan, within_centuries
from accounts.models.customers import Account
from csplatform.periods import Period


class Product(models.Model):
    """Something we sell."""

    name = models.CharField(max_length=150)
    code = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Plan(models.Model):
    """A way to buy a product, with the seats and features it includes."""

    product = models.ForeignKey(Product, models.PROTECT, related_name="plans")
    name = models.CharField(max_length=150)
    code = models.CharField(max_length=100, unique=True)
    level = models.PositiveSmallIntegerField(
        default=0, help_text="Higher is a higher plan of the same product."
    )
    seats_included = models.PositiveIntegerField(null=True, blank=True)
    features = models.JSONField(
        default=list, blank=True, help_text="Feature names as they stand in usage events."
    )

    class Meta:
        ordering = ["product", "level", "name"]

    def __str__(self) -> str:
        return self.name


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def visible_to(self, user: Any) -> SubscriptionQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))

    def in_force(self, day: date) -> SubscriptionQuerySet:
        return self.filter(Q(ends_on__isnull=True) | Q(ends_on__gte=day), starts_on__lte=day)


class Subscription(models.Model):
    """One line of a contract. Both dates are in force: with 31 March as its last day it churns on 1 April."""

    class Kind(models.TextChoices):
        RECURRING = "recurring", "Recurring"
        ADDON = "addon", "Recurring extra outside the plan"
        TRIAL = "trial", "Trial"

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        CANCELLED = "cancelled", "Cancelled"

    account = models.ForeignKey(Account, models.CASCADE, related_name="subscriptions")
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=9, choices=Kind, default=Kind.RECURRING)
    starts_on = models.DateField()
    term_ends_on = models.DateField(
        null=True, blank=True, help_text="Last day of the running contract term: when it renews."
    )
    ends_on = models.DateField(null=True, blank=True, help_text="Last day in force; empty while it runs on.")
    payment_due_on = models.DateField(
        null=True, blank=True, help_text="Day the oldest unpaid invoice was due; empty when all is paid."
    )
    recorded_at = models.DateTimeField(default=timezone.now)

    # Copies of the terms in force today, kept by accounts.ledger.
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, blank=True, related_name="subscriptions")
    quantity = models.DecimalField(max_digits=14, decimal_places=4, default=1)
    unit_price = MoneyField(default=0)
    currency = CurrencyField(default="EUR")
    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE)
    mrr = MoneyField(default=0, editable=False)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["account", "starts_on", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="accounts_subscription_once_per_source",
            ),
            models.CheckConstraint(
                name="accounts_subscription_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
            ),
            models.CheckConstraint(
                name="accounts_subscription_term_ends_after_start",
                condition=Q(term_ends_on__isnull=True) | Q(term_ends_on__gte=F("starts_on")),
            ),
            models.CheckConstraint(
                name="accounts_subscription_dates_sane",
                condition=within_centuries("starts_on")
                & within_centuries("ends_on")
                & within_centuries("term_ends_on"),
            ),
            models.CheckConstraint(
                name="accounts_subscription_quantity_0_or_more", condition=not_nan("quantity", low="0")
            ),
            models.CheckConstraint(
                name="accounts_subscription_price_0_or_more", condition=not_nan("unit_price", low="0")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.plan or 'subscription'} from {self.starts_on}"


class SubscriptionTerms(models.Model):
    """What a subscription costs from a day on. Never edited: a later row for the same day replaces it.

    The monthly amount is quantity × (unit price × (1 − discount %) − discount amount), brought
    to a month by the billing interval (definitions, section 3).
    """

    class Interval(models.TextChoices):
        DAY = "day", "Day"
        WEEK = "week", "Week"
        MONTH = "month", "Month"
        QUARTER = "quarter", "Quarter"
        HALF_YEAR = "half_year", "Half-year"
        YEAR = "year", "Year"

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="terms")
    effective_on = models.DateField()
    recorded_at = models.DateTimeField(default=timezone.now)
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, blank=True, related_name="+")
    quantity = models.DecimalField(max_digits=14, decimal_places=4, default=1)
    unit_price = MoneyField(default=0)
    currency = CurrencyField(default="EUR")
    interval = models.CharField(max_length=9, choices=Interval, default=Interval.MONTH)
    interval_count = models.PositiveSmallIntegerField(default=1)
    discount_percent = models.DecimalField(max_digits=7, decimal_places=4, default=0)
    discount_amount = MoneyField(default=0, help_text="Off each unit, every billing interval.")
    discount_ends_on = models.DateField(null=True, blank=True, help_text="Last day of the discount.")
    is_paused = models.BooleanField(default=False)

    class Meta:
        ordering = ["subscription", "effective_on", "recorded_at", "pk"]
        constraints = [
            models.CheckConstraint(
                name="accounts_terms_quantity_0_or_more", condition=not_nan("quantity", low="0")
            ),
            models.CheckConstraint(
                name="accounts_terms_price_0_or_more", condition=not_nan("unit_price", low="0")
            ),
            models.CheckConstraint(
                name="accounts_terms_discount_0_to_100",
                condition=Q(discount_percent__gte=0, discount_percent__lte=100)
                & not_nan("discount_amount", low="0"),
            ),
            models.CheckConstraint(
                name="accounts_terms_interval_1_or_more", condition=Q(interval_count__gte=1)
            ),
            models.CheckConstraint(
                name="accounts_terms_interval_known",
                condition=Q(interval__in=["day", "week", "month", "quarter", "half_year", "year"]),
            ),
            models.CheckConstraint(
                name="accounts_terms_dates_sane",
                condition=within_centuries("effective_on") & within_centuries("discount_ends_on"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.unit_price} {self.currency} from {self.effective_on}"


class MovementQuerySet(models.QuerySet["Movement"]):
    def visible_to(self, user: Any) -> MovementQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))

    def known_at(self, moment: Any) -> MovementQuerySet:
        """Keep what had been recorded by `moment`; None keeps all we know now."""
        return self if moment is None else self.filter(recorded_at__lte=moment)

    def before(self, day: date) -> MovementQuerySet:
        return self.filter(effective_on__lt=day)

    def effective_in(self, period: Period) -> MovementQuerySet:
        return self.filter(effective_on__gte=period.start, effective_on__lt=period.end)


class Movement(models.Model):
    """A change of an account's monthly recurring revenue; append-only.

    A correction adds rows: the old row again with the opposite sign, then the right one, so
    the sums per kind are right for what was known at any moment.
    """

    class Kind(models.TextChoices):
        NEW = "new", "New"
        EXPANSION = "expansion", "Expansion"
        CONTRACTION = "contraction", "Contraction"
        CHURN = "churn", "Churn"
        REACTIVATION = "reactivation", "Reactivation"

    class SubKind(models.TextChoices):
        UPSELL = "upsell", "Upsell"
        CROSS_SELL = "cross_sell", "Cross-sell"
        PRICE_INCREASE = "price_increase", "Price increase"
        DISCOUNT_END = "discount_end", "Discount ended"
        ADDON = "addon", "Add-on"
        DOWNSELL = "downsell", "Downsell"
        PRICE_DECREASE = "price_decrease", "Price decrease"
        DISCOUNT_START = "discount_start", "Discount started"
        ADDON_REMOVED = "addon_removed", "Add-on removed"
        PAUSE = "pause", "Pause"
        RESUME = "resume", "Resumed after a pause"

    class Origin(models.TextChoices):
        DERIVED = "derived", "Worked out from subscriptions"
        IMPORTED = "imported", "Imported as it is"

    account = models.ForeignKey(Account, models.CASCADE, related_name="movements")
    subscription = models.ForeignKey(
        Subscription,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="movements",
        help_text="The line that moved most that day.",
    )
    effective_on = models.DateField()
    recorded_at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=12, choices=Kind)
    sub_kind = models.CharField(max_length=15, choices=SubKind, blank=True)
    currency = CurrencyField()
    delta = MoneyField(help_text="Change of MRR in `currency`.")
    customers = models.SmallIntegerField(
        default=0, help_text="1 when the account becomes a customer that day, -1 when it ceases to be one."
    )
    is_reversal = models.BooleanField(
        default=False, help_text="Takes back an earlier row that later facts proved wrong."
    )
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.DERIVED)
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)

    objects = MovementQuerySet.as_manager()

    class Meta:
        ordering = ["effective_on", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="accounts_movement_once_per_source",
            ),
            models.CheckConstraint(
                name="accounts_movement_kind_known",
                condition=Q(kind__in=["new", "expansion", "contraction", "churn", "reactivation"]),
            ),
            models.CheckConstraint(
                name="accounts_movement_customers_one_step", condition=Q(customers__in=[-1, 0, 1])
            ),
            models.CheckConstraint(name="accounts_movement_delta_is_a_number", condition=not_nan("delta")),
            models.CheckConstraint(
                name="accounts_movement_date_sane", condition=within_centuries("effective_on")
            ),
        ]
        indexes = [
            # MRR of one account, or of all, on a day.
            models.Index(fields=["account", "effective_on"], name="accounts_movement_by_account"),
            # The movements of a period, by kind.
            models.Index(fields=["effective_on", "kind"], name="accounts_movement_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.delta} {self.currency} on {self.effective_on}"


class ExchangeRateQuerySet(models.QuerySet["ExchangeRate"]):
    def known_at(self, moment: Any) -> ExchangeRateQuerySet:
        """Keep what had been recorded by `moment`; None keeps all we know now."""
        return self if moment is None else self.filter(recorded_at__lte=moment)

    def in_order(self) -> ExchangeRateQuerySet:
        """Sort so that of the rows up to a day the last one is in force on it."""
        return self.order_by("currency", "starts_on", "recorded_at", "pk")

    def newest_first(self) -> ExchangeRateQuerySet:
        """Sort so that of one currency's rows up to a day the first one is in force on it."""
        return self.order_by("-starts_on", "-recorded_at", "-pk")


class ExchangeRate(models.Model):
    """What one unit of a currency was worth in the reporting currency, from a day on.

    Never edited: a later row for the same day replaces it (`accounts.rates` records them).
    """

    currency = CurrencyField()
    starts_on = models.DateField()
    rate = models.DecimalField(max_digits=18, decimal_places=9, help_text="Reporting currency for one unit.")
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = ExchangeRateQuerySet.as_manager()

    class Meta:
        ordering = ["currency", "-starts_on", "-recorded_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="accounts_rate_above_0", condition=Q(rate__gt=0) & not_nan("rate", low="0")
            ),
            models.CheckConstraint(name="accounts_rate_day_sane", condition=within_centuries("starts_on")),
        ]
        indexes = [
            # The rate of a currency on a day.
            models.Index(fields=["currency", "starts_on", "recorded_at"], name="accounts_rate_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.currency} {self.rate} from {self.starts_on}"


class ChargeQuerySet(models.QuerySet["Charge"]):
    def visible_to(self, user: Any) -> ChargeQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))

    def known_at(self, moment: Any) -> ChargeQuerySet:
        """Keep what had been recorded by `moment`; None keeps all we know now."""
        return self if moment is None else self.filter(recorded_at__lte=moment)

    def invoiced_in(self, period: Period) -> ChargeQuerySet:
        return self.filter(day__gte=period.start, day__lt=period.end)


class Charge(models.Model):
    """A one-off line that was invoiced: set-up fee, usage overage, project, or a credit note below zero."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="charges")
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    day = models.DateField()
    amount = MoneyField()
    currency = CurrencyField(default="EUR")
    description = models.CharField(max_length=300, blank=True)
    supplier = models.CharField(max_length=200, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = ChargeQuerySet.as_manager()

    class Meta:
        ordering = ["day", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="accounts_charge_once_per_source",
            ),
            models.CheckConstraint(name="accounts_charge_amount_is_a_number", condition=not_nan("amount")),
            models.CheckConstraint(name="accounts_charge_day_sane", condition=within_centuries("day")),
        ]
        indexes = [
            # Invoiced revenue of a period.
            models.Index(fields=["day"], name="accounts_charge_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} on {self.day}"


class RenewalQuerySet(models.QuerySet["Renewal"]):
    def visible_to(self, user: Any) -> RenewalQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))

    def known_at(self, moment: Any) -> RenewalQuerySet:
        """Keep what had been recorded by `moment`; None keeps all we know now."""
        return self if moment is None else self.filter(recorded_at__lte=moment)

    def due_in(self, period: Period) -> RenewalQuerySet:
        return self.filter(due_on__gte=period.start, due_on__lt=period.end)


class Renewal(models.Model):
    """A contract term that ends, counted by the day it was due, and what became of it."""

    class Outcome(models.TextChoices):
        OPEN = "open", "Open"
        RENEWED = "renewed", "Renewed"
        SMALLER = "smaller", "Renewed smaller"
        LARGER = "larger", "Renewed larger"
        LOST = "lost", "Lost"

    account = models.ForeignKey(Account, models.CASCADE, related_name="renewals")
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="renewals")
    due_on = models.DateField(help_text="Last day of the ending term.")
    due_value = MoneyField(help_text="MRR that was up for renewal.")
    renewed_value = MoneyField(null=True, blank=True)
    currency = CurrencyField()
    outcome = models.CharField(max_length=7, choices=Outcome, default=Outcome.OPEN)
    decided_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = RenewalQuerySet.as_manager()

    class Meta:
        ordering = ["due_on", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "due_on"], name="accounts_renewal_one_a_term"),
            models.CheckConstraint(
                name="accounts_renewal_outcome_known",
                condition=Q(outcome__in=["open", "renewed", "smaller", "larger", "lost"]),
            ),
            models.CheckConstraint(
                name="accounts_renewal_due_value_is_a_number", condition=not_nan("due_value", low="0")
            ),
        ]
        indexes = [
            # Open renewals by date, and those due in a period.
            models.Index(fields=["due_on", "outcome"], name="accounts_renewal_by_due"),
        ]

    def __str__(self) -> str:
        return f"{self.account} due {self.due_on}"
