"""Requests for help, from opening to resolution.

Every moment here comes from an event that the helpdesk reported, never from the time a row
was last changed.
"""

from __future__ import annotations

from datetime import time
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.fields import validate_time_zone
from accounts.models import Account, Contact


class TicketSource(models.Model):
    """A helpdesk, and how its tickets are judged."""

    class FcrRule(models.TextChoices):
        REPLIES = "replies", "At most one public reply by an agent, and nothing more from the customer"
        NO_REASSIGNMENT_NO_REOPEN = "no_reassignment_no_reopen", "Resolved without reassignment and reopen"

    name = models.CharField(max_length=60, unique=True)
    fcr_rule = models.CharField(max_length=30, choices=FcrRule, default=FcrRule.REPLIES)
    settle_days = models.PositiveSmallIntegerField(
        default=7, help_text="Days a closed ticket can still be reopened."
    )

    def __str__(self) -> str:
        return self.name


class TicketQuerySet(models.QuerySet["Ticket"]):
    def visible_to(self, user: Any) -> TicketQuerySet:
        if user.is_authenticated and user.is_active and user.role in ("admin", "viewer"):
            return self
        return self.filter(account__in=Account.objects.visible_to(user))

    def open(self) -> TicketQuerySet:
        return self.filter(resolved_at__isnull=True).not_merged()

    def not_merged(self) -> TicketQuerySet:
        """Leave out what was merged, whether or not the helpdesk says into which ticket."""
        return self.filter(merged_into__isnull=True, merged_at__isnull=True)

    def counted(self) -> TicketQuerySet:
        """Leave out what no figure counts: spam, outbound, merged and auto-closed tickets."""
        return self.filter(exclusion="").not_merged()


class Ticket(models.Model):
    """One request for help. Durations follow from TicketEvents; the moments here are copies."""

    class Status(models.TextChoices):
        NEW = "new", "New"
        OPEN = "open", "Open"
        PENDING = "pending", "Waiting for the customer"
        ON_HOLD = "on_hold", "On hold"
        RESOLVED = "resolved", "Resolved"
        CLOSED = "closed", "Closed"

    class Priority(models.TextChoices):
        LOW = "low", "Low"
        NORMAL = "normal", "Normal"
        HIGH = "high", "High"
        URGENT = "urgent", "Urgent"

    class Exclusion(models.TextChoices):
        SPAM = "spam", "Spam"
        OUTBOUND = "outbound", "Outbound"
        AUTO_CLOSED = "auto_closed", "Closed automatically"

    account = models.ForeignKey(Account, models.CASCADE, null=True, blank=True, related_name="tickets")
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, blank=True, related_name="tickets")
    source = models.ForeignKey(TicketSource, models.PROTECT, related_name="tickets")
    external_id = models.CharField(max_length=200)
    subject = models.CharField(max_length=300, blank=True)
    category = models.CharField(max_length=100, blank=True)
    channel = models.CharField(max_length=40, blank=True)
    priority = models.CharField(max_length=6, choices=Priority, default=Priority.NORMAL)
    source_status = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=8, choices=Status, default=Status.NEW)
    agent = models.CharField(max_length=150, blank=True)
    exclusion = models.CharField(max_length=11, choices=Exclusion, blank=True)
    merged_into = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="merged")

    opened_at = models.DateTimeField()
    first_response_at = models.DateTimeField(null=True, blank=True)
    first_resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(
        null=True, blank=True, help_text="The last resolution; empty while open."
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    merged_at = models.DateTimeField(null=True, blank=True)
    reopen_count = models.PositiveSmallIntegerField(default=0)
    reassignment_count = models.PositiveSmallIntegerField(default=0)
    agent_replies = models.PositiveSmallIntegerField(default=0, help_text="Public ones, by people.")
    customer_replies = models.PositiveSmallIntegerField(
        default=0, help_text="After the first message, thanks left out."
    )
    is_repeated = models.BooleanField(
        default=False, help_text="The same contact asked about the same category soon after."
    )
    is_first_contact = models.BooleanField(
        default=False, help_text="Resolved on first contact, by its source's rule."
    )
    settles_at = models.DateTimeField(
        null=True, blank=True, help_text="From when on `is_first_contact` is final."
    )
    recorded_at = models.DateTimeField(default=timezone.now)
    response_recorded_at = models.DateTimeField(null=True, blank=True)
    resolution_recorded_at = models.DateTimeField(null=True, blank=True)

    # How long it took from the opening, by any clock and in business hours. Empty until it happened,
    # and where the moment is only estimated.
    response_seconds = models.PositiveBigIntegerField(null=True, blank=True)
    response_business_seconds = models.PositiveBigIntegerField(null=True, blank=True)
    resolution_seconds = models.PositiveBigIntegerField(null=True, blank=True)
    resolution_business_seconds = models.PositiveBigIntegerField(null=True, blank=True)
    response_due_at = models.DateTimeField(
        null=True, blank=True, help_text="By its priority's target, in business hours."
    )
    resolution_due_at = models.DateTimeField(null=True, blank=True)

    objects = TicketQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="tickets_ticket_once_per_source"),
            models.CheckConstraint(name="tickets_ticket_external_id_not_empty", condition=~Q(external_id="")),
            models.CheckConstraint(
                name="tickets_ticket_status_known",
                condition=Q(status__in=["new", "open", "pending", "on_hold", "resolved", "closed"]),
            ),
            models.CheckConstraint(
                name="tickets_ticket_priority_known",
                condition=Q(priority__in=["low", "normal", "high", "urgent"]),
            ),
            models.CheckConstraint(
                name="tickets_ticket_not_merged_into_itself", condition=~Q(merged_into=F("pk"))
            ),
        ]
        indexes = [
            # Tickets received in a period.
            models.Index(fields=["opened_at"], name="tickets_ticket_opened"),
            # Open tickets of an account: its page and the health signal.
            models.Index(fields=["account", "resolved_at", "priority"], name="tickets_ticket_of_account"),
            # Repeated questions of one contact.
            models.Index(fields=["contact", "category", "opened_at"], name="tickets_ticket_of_contact"),
            # First answered, resolved for the first time, and resolved for good in a period.
            models.Index(fields=["first_response_at"], name="tickets_ticket_answered"),
            models.Index(fields=["first_resolved_at"], name="tickets_ticket_first_resolved"),
            models.Index(fields=["resolved_at"], name="tickets_ticket_resolved"),
            # Due in a period, by the target of their priority.
            models.Index(fields=["response_due_at"], name="tickets_ticket_response_due"),
            models.Index(fields=["resolution_due_at"], name="tickets_ticket_resolution_due"),
        ]

    def __str__(self) -> str:
        return self.subject or self.external_id


class TicketEventQuerySet(models.QuerySet["TicketEvent"]):
    def visible_to(self, user: Any) -> TicketEventQuerySet:
        return self.filter(ticket__in=Ticket.objects.visible_to(user))


class TicketEvent(models.Model):
    """A change of a ticket's state: the source of every duration and of the backlog."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        ASSIGNED = "assigned", "Assigned"
        REASSIGNED = "reassigned", "Reassigned"
        STATUS = "status", "Status changed"
        REPLIED = "replied", "Replied"
        RESOLVED = "resolved", "Resolved"
        REOPENED = "reopened", "Reopened"
        CLOSED = "closed", "Closed"
        MERGED = "merged", "Merged"

    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="events")
    kind = models.CharField(max_length=10, choices=Kind)
    happened_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    status = models.CharField(max_length=60, blank=True, help_text="As the helpdesk named it.")
    agent = models.CharField(max_length=150, blank=True)
    is_estimated = models.BooleanField(
        default=False,
        help_text="The helpdesk does not say when; it had happened by then. No duration is taken from it.",
    )

    objects = TicketEventQuerySet.as_manager()

    class Meta:
        ordering = ["ticket", "happened_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["ticket", "kind", "happened_at", "status", "agent"], name="tickets_event_once"
            ),
        ]
        indexes = [
            # Received, reopened, resolved and merged in a period: the backlog.
            models.Index(fields=["kind", "happened_at"], name="tickets_event_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.happened_at}"


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, user: Any) -> MessageQuerySet:
        return self.filter(ticket__in=Ticket.objects.visible_to(user))


class Message(models.Model):
    """Something said in a ticket."""

    class Author(models.TextChoices):
        CUSTOMER = "customer", "Customer"
        AGENT = "agent", "Agent"
        SYSTEM = "system", "System"

    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="messages")
    external_id = models.CharField(max_length=200, blank=True)
    author = models.CharField(max_length=8, choices=Author)
    is_public = models.BooleanField(default=True)
    is_thanks = models.BooleanField(default=False)
    body = models.TextField(blank=True)
    sent_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ["ticket", "sent_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["ticket", "external_id"], condition=~Q(external_id=""), name="tickets_message_once"
            ),
            models.CheckConstraint(
                name="tickets_message_author_known", condition=Q(author__in=["customer", "agent", "system"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.author} at {self.sent_at}"


class BusinessCalendar(models.Model):
    """When support works. There is one; `tickets.calendar` reads and changes it."""

    THE_ONLY = 1

    time_zone = models.CharField(
        max_length=64, blank=True, validators=[validate_time_zone], help_text="The workspace's when empty."
    )
    changed_at = models.DateTimeField(default=timezone.now)
    applied_at = models.DateTimeField(
        null=True, blank=True, help_text="Which change all tickets were measured by last."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="tickets_businesscalendar_only_one", condition=Q(id=1)),
        ]

    def __str__(self) -> str:
        return "Business hours"


class OpeningHours(models.Model):
    """A stretch of a weekday in which support works; midnight as its end is that day's end."""

    class Weekday(models.IntegerChoices):
        MONDAY = 0, "Monday"
        TUESDAY = 1, "Tuesday"
        WEDNESDAY = 2, "Wednesday"
        THURSDAY = 3, "Thursday"
        FRIDAY = 4, "Friday"
        SATURDAY = 5, "Saturday"
        SUNDAY = 6, "Sunday"

    calendar = models.ForeignKey(BusinessCalendar, models.CASCADE, related_name="opening_hours")
    weekday = models.PositiveSmallIntegerField(choices=Weekday)
    opens_at = models.TimeField()
    closes_at = models.TimeField()

    class Meta:
        ordering = ["weekday", "opens_at"]
        verbose_name_plural = "opening hours"
        constraints = [
            models.UniqueConstraint(
                fields=["calendar", "weekday", "opens_at"], name="tickets_openinghours_once"
            ),
            models.CheckConstraint(
                name="tickets_openinghours_weekday_known", condition=Q(weekday__range=(0, 6))
            ),
            models.CheckConstraint(
                name="tickets_openinghours_close_after_opening",
                condition=Q(closes_at__gt=F("opens_at")) | Q(closes_at=time(0)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_weekday_display()} {self.opens_at:%H:%M}–{self.closes_at:%H:%M}"


class ClosedDay(models.Model):
    """A holiday: once, or on that day of every year."""

    calendar = models.ForeignKey(BusinessCalendar, models.CASCADE, related_name="closed_days")
    day = models.DateField()
    is_yearly = models.BooleanField(default=False)
    name = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["calendar", "day", "is_yearly"], name="tickets_closedday_once"),
        ]

    def __str__(self) -> str:
        return f"{self.day:%d %B}" if self.is_yearly else f"{self.day}"


class ServiceTarget(models.Model):
    """Within how many business minutes tickets of a priority are to be answered and resolved."""

    calendar = models.ForeignKey(BusinessCalendar, models.CASCADE, related_name="targets")
    priority = models.CharField(max_length=6, choices=Ticket.Priority, unique=True)
    response_minutes = models.PositiveIntegerField(null=True, blank=True)
    resolution_minutes = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="tickets_servicetarget_priority_known",
                condition=Q(priority__in=["low", "normal", "high", "urgent"]),
            ),
            models.CheckConstraint(
                name="tickets_servicetarget_response_above_zero",
                condition=Q(response_minutes__isnull=True) | Q(response_minutes__gt=0),
            ),
            models.CheckConstraint(
                name="tickets_servicetarget_resolution_above_zero",
                condition=Q(resolution_minutes__isnull=True) | Q(resolution_minutes__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.get_priority_display()
