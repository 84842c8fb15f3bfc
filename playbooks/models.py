"""What to do about it: tasks, and what people said about the lines of their queue."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.fields import within_centuries
from accounts.models import Account


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
