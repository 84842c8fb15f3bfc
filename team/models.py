"""Who works here and what they may do. Customers are in `accounts`; they never log in."""

from __future__ import annotations

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
