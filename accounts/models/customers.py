"""Customer organisations, the people there, and who of us looks after them."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from accounts.fields import CurrencyField, MoneyField, validate_time_zone, within_centuries
from csplatform.periods import day_of
from team.models import User


def today() -> date:
    return day_of(timezone.now())


class AccountQuerySet(models.QuerySet["Account"]):
    def visible_to(self, user: Any) -> AccountQuerySet:
        """Return the accounts whose rows `user` may read; written once for every model below."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.role in (User.Role.ADMIN, User.Role.VIEWER):
            return self
        # A list rather than a question to each account: a CSM's few dozen are found by index.
        held = Assignment.objects.in_force(today())
        if user.role == User.Role.MANAGER:
            held = held.filter(user__team__isnull=False, user__team=user.team_id)
        else:
            held = held.filter(user=user.pk)
        return self.filter(pk__in=held.values("account"))

    def editable_by(self, user: Any) -> AccountQuerySet:
        return self.visible_to(user) if user.is_authenticated and user.may_write else self.none()

    def customers(self) -> AccountQuerySet:
        return self.filter(is_customer=True)


class Account(models.Model):
    """A customer organisation, or one that was or may become a customer."""

    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    segment = models.CharField(max_length=60, blank=True)
    industry = models.CharField(max_length=100, blank=True)
    region = models.CharField(max_length=60, blank=True)
    country = models.CharField(max_length=2, blank=True, help_text="Two letters of ISO 3166.")
    lifecycle_stage = models.CharField(max_length=60, blank=True)
    website = models.CharField(max_length=200, blank=True)
    time_zone = models.CharField(max_length=60, blank=True, validators=[validate_time_zone])
    currency = CurrencyField(blank=True)
    notes = models.TextField(blank=True)
    custom = models.JSONField(default=dict, blank=True, help_text="Further columns of your own files.")
    customer_from = models.DateField(
        null=True, blank=True, help_text="First day as a customer without subscriptions."
    )
    customer_until = models.DateField(null=True, blank=True, help_text="Last such day.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    # Copies kept by accounts.ledger from the ledger and the terms, checked by `manage.py verify`.
    plan = models.ForeignKey(
        "accounts.Plan", models.SET_NULL, null=True, blank=True, editable=False, related_name="accounts"
    )
    mrr = MoneyField(
        default=0,
        null=True,
        editable=False,
        help_text="MRR today in the reporting currency; empty when an exchange rate is missing.",
    )
    is_customer = models.BooleanField(default=False, editable=False)
    joined_on = models.DateField(null=True, editable=False, help_text="First day as a customer, ever.")
    left_on = models.DateField(
        null=True, editable=False, help_text="The day the last churn took effect, if not back since."
    )
    renews_on = models.DateField(null=True, editable=False, help_text="Next day a contract term ends.")

    objects = AccountQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(
                name="accounts_account_customer_dates_in_order",
                condition=Q(customer_until__isnull=True)
                | Q(customer_from__isnull=False, customer_until__gte=F("customer_from")),
            ),
            models.CheckConstraint(
                name="accounts_account_customer_dates_sane",
                condition=within_centuries("customer_from") & within_centuries("customer_until"),
            ),
            models.CheckConstraint(name="accounts_account_name_not_empty", condition=~Q(name="")),
        ]
        indexes = [
            # Portfolio: sorted by name, by money and by the next renewal.
            models.Index(fields=["name", "id"], name="accounts_account_by_name"),
            models.Index(fields=["-mrr", "id"], name="accounts_account_by_mrr"),
            models.Index(fields=["renews_on", "id"], name="accounts_account_by_renewal"),
            # Filters of the portfolio and groups of every KPI.
            models.Index(fields=["segment"], name="accounts_account_segment"),
            models.Index(fields=["is_customer", "id"], name="accounts_account_customers"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("workspace:account", args=[self.pk])


class AccountExternalId(models.Model):
    """What another system calls this account."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="external_ids")
    source = models.CharField(max_length=60)
    external_id = models.CharField(max_length=200)

    class Meta:
        constraints = [
            # Finds the account of an imported row.
            models.UniqueConstraint(
                fields=["source", "external_id"], name="accounts_externalid_once_per_source"
            ),
            models.CheckConstraint(name="accounts_externalid_not_empty", condition=~Q(external_id="")),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.external_id}"


class AccountTrait(models.Model):
    """Which segment, plan or lifecycle stage an account had, and when.

    KPIs are grouped by what an account was at the end of their period, so every value stays
    with its days. The first value reaches back to 1900: before we knew better it was this.
    """

    class Kind(models.TextChoices):
        SEGMENT = "segment", "Segment"
        PLAN = "plan", "Plan"
        LIFECYCLE_STAGE = "lifecycle_stage", "Lifecycle stage"

    account = models.ForeignKey(Account, models.CASCADE, related_name="traits")
    kind = models.CharField(max_length=15, choices=Kind)
    value = models.CharField(max_length=200, blank=True)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Last day; empty while it lasts.")
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            # Joins an account's trait on one day to a KPI's rows.
            models.UniqueConstraint(fields=["account", "kind", "starts_on"], name="accounts_trait_one_start"),
            models.CheckConstraint(
                name="accounts_trait_dates_in_order",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value} from {self.starts_on}"


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def in_force(self, day: Any) -> AssignmentQuerySet:
        """Keep the assignments that hold on `day` (a date or an expression)."""
        return self.filter(Q(ends_on__isnull=True) | Q(ends_on__gte=day), starts_on__lte=day)

    def visible_to(self, user: Any) -> AssignmentQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class Assignment(models.Model):
    """Who looks after an account, for as long as it says; never two of one kind at once.

    The database refuses overlaps: an exclusion constraint on PostgreSQL, triggers on SQLite.
    """

    class Kind(models.TextChoices):
        CSM = "csm", "CSM"
        BACKUP = "backup", "Backup"

    account = models.ForeignKey(Account, models.CASCADE, related_name="assignments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="assignments")
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.CSM)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Last day; empty while it lasts.")
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["account", "kind", "starts_on"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "starts_on"], name="accounts_assignment_one_start"
            ),
            models.CheckConstraint(
                name="accounts_assignment_dates_in_order",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
            ),
            models.CheckConstraint(
                name="accounts_assignment_dates_sane",
                condition=within_centuries("starts_on") & within_centuries("ends_on"),
            ),
            models.CheckConstraint(
                name="accounts_assignment_kind_known", condition=Q(kind__in=["csm", "backup"])
            ),
        ]
        indexes = [
            # visible_to(): the accounts a CSM holds today.
            models.Index(fields=["user", "account"], name="accounts_assignment_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user} for {self.account}"


class ContactQuerySet(models.QuerySet["Contact"]):
    def visible_to(self, user: Any) -> ContactQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class Contact(models.Model):
    """Somebody who works at an account."""

    class Role(models.TextChoices):
        CHAMPION = "champion", "Champion"
        SPONSOR = "sponsor", "Sponsor"
        USER = "user", "User"
        BILLING = "billing", "Billing"

    account = models.ForeignKey(Account, models.CASCADE, related_name="contacts")
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    title = models.CharField(max_length=150, blank=True)
    role = models.CharField(max_length=8, choices=Role, blank=True)
    language = models.CharField(max_length=10, blank=True)
    time_zone = models.CharField(max_length=60, blank=True, validators=[validate_time_zone])
    left_on = models.DateField(null=True, blank=True, help_text="First day they no longer work there.")
    surveys_stopped_at = models.DateTimeField(
        null=True, blank=True, help_text="When they asked for no more surveys."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ContactQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="accounts_contact_once_per_source",
            ),
            models.CheckConstraint(
                name="accounts_contact_role_known",
                condition=Q(role__in=["", "champion", "sponsor", "user", "billing"]),
            ),
            models.CheckConstraint(name="accounts_contact_left_sane", condition=within_centuries("left_on")),
        ]
        indexes = [
            # Finds a contact by address: imports and search.
            models.Index(fields=["email"], name="accounts_contact_email"),
        ]

    def __str__(self) -> str:
        return self.name


class DueAccount(models.Model):
    """An account some fact of which changed: its signals and score are to be worked out again.

    One row an account at most. Marking again moves `marked_at`, which also makes a marker
    wait for a worker that is just taking the row, so no mark is lost.
    """

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True, related_name="due")
    marked_at = models.DateTimeField()

    class Meta:
        indexes = [
            # The worker takes the longest waiting first.
            models.Index(fields=["marked_at"], name="accounts_due_oldest"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} since {self.marked_at}"
