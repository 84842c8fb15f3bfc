"""What to do about it: tasks, what people set aside in their queue, and numbers that fell behind."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.fields import within_centuries
from accounts.models import Account
from team.models import User


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: Any) -> TaskQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))

    def editable_by(self, user: Any) -> TaskQuerySet:
        return self.filter(account__in=Account.objects.editable_by(user))

    def open(self) -> TaskQuerySet:
        return self.filter(state=Task.State.OPEN)

    def done(self) -> TaskQuerySet:
        return self.filter(state=Task.State.DONE)

    def overdue(self, day: date) -> TaskQuerySet:
        return self.open().filter(due_on__lt=day)


class Task(models.Model):
    """One thing to do for an account, who does it by when, and why it exists."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"

    account = models.ForeignKey(Account, models.CASCADE, related_name="tasks")
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="tasks"
    )
    title = models.CharField(max_length=200)
    rule = models.CharField(
        max_length=100,
        blank=True,
        help_text="What made it: a reason of the queue, a playbook; empty by hand.",
    )
    fired_by = models.JSONField(
        default=dict, blank=True, help_text="The values that made the rule fire, as they were that day."
    )
    due_on = models.DateField()
    state = models.CharField(max_length=4, choices=State, default=State.OPEN)
    done_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["due_on", "pk"]
        constraints = [
            models.CheckConstraint(
                name="playbooks_task_done_has_its_moment",
                condition=Q(state="open", done_at__isnull=True) | Q(state="done", done_at__isnull=False),
            ),
            models.CheckConstraint(name="playbooks_task_title_not_empty", condition=~Q(title="")),
            models.CheckConstraint(name="playbooks_task_due_sane", condition=within_centuries("due_on")),
        ]
        indexes = [
            # Somebody's list, soonest first; the calendar of home.
            models.Index(fields=["assignee", "state", "due_on"], name="playbooks_task_of_assignee"),
            # The open tasks of an account's page.
            models.Index(fields=["account", "state", "due_on"], name="playbooks_task_of_account"),
        ]

    def __str__(self) -> str:
        return self.title


class DismissalQuerySet(models.QuerySet["Dismissal"]):
    def visible_to(self, user: Any) -> DismissalQuerySet:
        """Keep one's own: what others set aside in their queue is their business."""
        return self.filter(user=user.pk, account__in=Account.objects.visible_to(user))

    def in_force(self, day: date) -> DismissalQuerySet:
        return self.filter(until__gt=day)


class Dismissal(models.Model):
    """Somebody set a line of their queue aside: until a day, and for the reason it then had.

    Another reason brings the account back at once.
    """

    class Kind(models.TextChoices):
        DONE = "done", "Done"
        SNOOZED = "snoozed", "Snoozed"
        NOT_USEFUL = "not_useful", "Not useful"

    account = models.ForeignKey(Account, models.CASCADE, related_name="dismissals")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="dismissals")
    kind = models.CharField(max_length=10, choices=Kind)
    until = models.DateField(help_text="The day the line comes back if its reason still stands.")
    reason_key = models.CharField(max_length=200, help_text="The reasons it had, by key.")
    note = models.CharField(max_length=500, blank=True)
    dismissed_at = models.DateTimeField(default=timezone.now)

    objects = DismissalQuerySet.as_manager()

    class Meta:
        ordering = ["-dismissed_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="playbooks_dismissal_kind_known", condition=Q(kind__in=["done", "snoozed", "not_useful"])
            ),
            models.CheckConstraint(
                name="playbooks_dismissal_until_sane", condition=within_centuries("until")
            ),
        ]
        indexes = [
            # The queue leaves out what its reader set aside.
            models.Index(fields=["user", "account", "reason_key", "until"], name="playbooks_dismissal_hides"),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.kind} until {self.until}"


class AlertQuerySet(models.QuerySet["Alert"]):
    def visible_to(self, user: Any) -> AlertQuerySet:
        """Keep what concerns `user`: all for admins, their people's for managers, their own for a CSM.

        Managers also hear that a number of the whole company fell behind; what it says counts
        accounts of other teams and stays with those who see all (`figures_are_for`).
        """
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.role == User.Role.ADMIN:
            return self
        if user.role == User.Role.MANAGER:
            mates = User.objects.filter(team__isnull=False, team=user.team_id).values_list("pk", flat=True)
            return self.filter(Q(group_by="") | Q(group_by="csm", group__in=[str(pk) for pk in mates]))
        if user.role == User.Role.CSM:
            return self.filter(group_by="csm", group=str(user.pk))
        return self.none()

    def unread_by(self, user: Any) -> AlertQuerySet:
        return self.exclude(receipts__user=user.pk)


class Alert(models.Model):
    """A figure crossed its target, or left its benchmark: said once, with what it said then."""

    class Kind(models.TextChoices):
        TARGET = "target", "Missed its target"
        BENCHMARK = "benchmark", "Left its benchmark"

    kind = models.CharField(max_length=9, choices=Kind)
    kpi = models.CharField(max_length=60)
    label = models.CharField(max_length=150, help_text="What the KPI was called.")
    variant = models.CharField(max_length=30, blank=True)
    group_by = models.CharField(max_length=20, blank=True)
    group = models.CharField(max_length=200, blank=True)
    of = models.CharField(max_length=250, blank=True, help_text="What the group was called.")
    starts_on = models.DateField(help_text="First day of the period.")
    ends_on = models.DateField(help_text="Last day of the period.")
    unit = models.CharField(max_length=10)
    higher_is_better = models.BooleanField(null=True)
    value = models.DecimalField(max_digits=28, decimal_places=10)
    value_before = models.DecimalField(max_digits=28, decimal_places=10)
    sample_size = models.BigIntegerField(null=True)
    is_small_sample = models.BooleanField(default=False)
    target = models.DecimalField(max_digits=19, decimal_places=6, null=True)
    benchmark_low = models.DecimalField(max_digits=19, decimal_places=6, null=True)
    benchmark_high = models.DecimalField(max_digits=19, decimal_places=6, null=True)
    raised_at = models.DateTimeField()

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-raised_at", "-pk"]
        constraints = [
            # The decision to raise it is made once, by whichever worker is first.
            models.UniqueConstraint(
                fields=["kpi", "variant", "group_by", "group", "kind", "starts_on", "ends_on"],
                name="playbooks_alert_once_a_crossing",
            ),
            models.CheckConstraint(
                name="playbooks_alert_kind_has_its_numbers",
                condition=Q(kind="target", target__isnull=False)
                | Q(kind="benchmark", benchmark_low__isnull=False, benchmark_high__isnull=False),
            ),
            models.CheckConstraint(
                name="playbooks_alert_dates_in_order", condition=Q(ends_on__gte=F("starts_on"))
            ),
        ]
        indexes = [
            # A CSM's own alerts, and those of a manager's people.
            models.Index(fields=["group_by", "group"], name="playbooks_alert_of_group"),
        ]

    def __str__(self) -> str:
        return f"{self.title}, {self.period_words}"

    @property
    def title(self) -> str:
        what = f"{self.label} ({self.of})" if self.of else self.label
        if self.kind == self.Kind.BENCHMARK:
            return f"{what} left its benchmark"
        return f"{what} {'fell below' if self.higher_is_better else 'rose above'} its target"

    @property
    def period_words(self) -> str:
        first, last = self.starts_on, self.ends_on
        if first == last:
            return f"{last:%-d %b %Y}"
        return f"{last:%b %Y}" if first.month == last.month else f"{first:%b %Y} – {last:%b %Y}"

    @property
    def address(self) -> str:
        """The KPI's page with this figure and the rows that were counted."""
        query = {"start": self.starts_on.isoformat(), "end": (self.ends_on + timedelta(days=1)).isoformat()}
        if self.variant:
            query["variant"] = self.variant
        if self.group_by:
            query[self.group_by] = self.group
        return f"{reverse('workspace:kpi', args=[self.kpi])}?{urlencode(query)}#rows"

    def figures_are_for(self, user: Any) -> bool:
        return user.role == User.Role.ADMIN or self.group_by == "csm"


class AlertReceipt(models.Model):
    """Somebody has taken notice of an alert; without it the alert counts as new for them."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="receipts")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="alert_receipts")
    acknowledged_at = models.DateTimeField()

    class Meta:
        ordering = ["acknowledged_at"]
        constraints = [
            models.UniqueConstraint(fields=["alert", "user"], name="playbooks_receipt_once_a_person"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.alert}"
