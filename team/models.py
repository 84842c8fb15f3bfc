"""Who works here and what they may do. Customers are in `accounts`; they never log in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils import timezone


class Team(models.Model):
    """Users who share a manager's view of their accounts."""

    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"role": User.Role.ADMIN, **fields})


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who logs in: a CSM, their manager, an admin, a viewer."""

    class Role(models.TextChoices):
        ADMIN = "admin", "Admin"
        MANAGER = "manager", "Manager"
        CSM = "csm", "CSM"
        VIEWER = "viewer", "Viewer"

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150, blank=True)
    role = models.CharField(max_length=8, choices=Role, default=Role.CSM)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="users")
    is_active = models.BooleanField(
        default=True, help_text="Untick instead of deleting: history keeps its names."
    )
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"

    class Meta:
        ordering = ["name", "email"]
        constraints = [
            models.CheckConstraint(
                name="team_user_role_known",
                condition=models.Q(role__in=["admin", "manager", "csm", "viewer"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        self.is_superuser = self.role == self.Role.ADMIN
        super().save(*args, **kwargs)

    @property
    def is_staff(self) -> bool:
        """The admin site is open to admins only; whoever loses the role loses it at once."""
        return self.role == self.Role.ADMIN and self.is_active

    @property
    def is_admin(self) -> bool:
        return self.role == self.Role.ADMIN

    @property
    def may_write(self) -> bool:
        return self.role != self.Role.VIEWER

    @property
    def initials(self) -> str:
        words = str(self).split("@")[0].replace(".", " ").split()
        return "".join(word[0] for word in words[:2]).upper()


class Work(models.Model):
    """One thing to be done outside a request; written with the decision, kept until it is done.

    `team.work` holds all functions that change it.
    """

    class Lane(models.TextChoices):
        FAST = "fast", "Fast"
        SLOW = "slow", "Slow"

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        CLAIMED = "claimed", "Being done"
        DONE = "done", "Done"
        DEAD = "dead", "Given up"
        CANCELLED = "cancelled", "Cancelled"

    kind = models.CharField(max_length=100)
    key = models.CharField(
        max_length=200, blank=True, help_text="Waiting work of one kind and key is done once."
    )
    payload = models.JSONField(default=dict, blank=True)
    lane = models.CharField(max_length=4, choices=Lane, default=Lane.FAST)
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=8)
    claim_token = models.UUIDField(null=True, blank=True, editable=False)
    claimed_by = models.CharField(
        max_length=120, blank=True, help_text="The process that has, or last had, it."
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="Renewed while its worker lives.")
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "work"
        indexes = [
            # the next due row of a lane (team.work.queue.due), expired claims, depth by state
            models.Index(name="team_work_due", fields=["state", "lane", "due_at", "id"]),
            # a waiting row with the same key (team.work.queue.enqueue); the latest of a kind
            models.Index(name="team_work_kind_key", fields=["kind", "key", "state"]),
        ]
        constraints = [
            models.UniqueConstraint(
                name="team_work_one_at_a_time_per_key",
                fields=["kind", "key"],
                condition=models.Q(state="claimed") & ~models.Q(key=""),
            ),
            models.CheckConstraint(
                name="team_work_lane_known", condition=models.Q(lane__in=["fast", "slow"])
            ),
            models.CheckConstraint(
                name="team_work_state_known",
                condition=models.Q(state__in=["queued", "claimed", "done", "dead", "cancelled"]),
            ),
            models.CheckConstraint(
                name="team_work_claimed_has_token_and_end",
                condition=~models.Q(state="claimed")
                | models.Q(claim_token__isnull=False, claimed_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".strip()

    @property
    def error_line(self) -> str:
        """The last line of a traceback says what went wrong."""
        return self.last_error.strip().rpartition("\n")[2]


class ScheduledJob(models.Model):
    """How far a job that comes round has come; moved forward by whichever scheduler is first."""

    name = models.CharField(max_length=100, primary_key=True)
    last_slot_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """When a part of the machinery last proved that it works."""

    name = models.CharField(max_length=50, primary_key=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name

    @classmethod
    def beat(cls, name: str, at: datetime, *, unless_within: timedelta = timedelta(0)) -> None:
        """Note that `name` lives, unless it did so a moment ago."""
        last = cls.objects.filter(name=name).values_list("beat_at", flat=True).first()
        if last is None or at - last >= unless_within:
            cls.objects.update_or_create(name=name, defaults={"beat_at": at})


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self, at: datetime) -> ApiKeyQuerySet:
        return self.filter(
            models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=at),
            revoked_at__isnull=True,
            owner__is_active=True,
        )


class ApiKey(models.Model):
    """Lets a program in as its owner, for what its scopes say. Only a hash of it is stored."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        WRITE = "write", "Read and write"

    name = models.CharField(max_length=100, help_text="What it is for.")
    owner = models.ForeignKey(
        User, models.CASCADE, related_name="api_keys", help_text="Whose rows it may see."
    )
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.READ)
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="team_apikey_scope_known", condition=models.Q(scope__in=["read", "write"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotentRequest(models.Model):
    """The answer to a write that carried an Idempotency-Key, stored in the transaction of its effect."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="team_idempotentrequest_one_a_key"),
        ]
        indexes = [
            # Old ones are dropped every night.
            models.Index(fields=["created_at"], name="team_idempotent_created"),
        ]

    def __str__(self) -> str:
        return self.key


class Mail(models.Model):
    """One mail to one of us: decided once, written anew when it goes out, and never sent twice.

    `team.mail` holds all functions that change it. What it says is not kept.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        CLAIMED = "claimed", "Being written"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Refused"
        UNCERTAIN = "uncertain", "Perhaps sent"
        DROPPED = "dropped", "No longer wanted"

    kind = models.CharField(max_length=60, help_text="Who writes it.")
    key = models.CharField(max_length=200, help_text="The decision to send it.")
    user = models.ForeignKey(User, models.CASCADE, related_name="mails")
    payload = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    claim_token = models.UUIDField(null=True, blank=True, editable=False)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="team_mail_decided_once", fields=["kind", "key"]),
            models.CheckConstraint(
                name="team_mail_state_known",
                condition=models.Q(
                    state__in=["queued", "claimed", "sending", "sent", "failed", "uncertain", "dropped"]
                ),
            ),
            models.CheckConstraint(name="team_mail_key_not_empty", condition=~models.Q(key="")),
        ]
        indexes = [
            # What operators look at: what has failed, what is uncertain.
            models.Index(name="team_mail_by_state", fields=["state", "created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
