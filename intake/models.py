"""How facts come in: one row for each file handed to us, and for each row of it we could not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from team.models import User


def may_import(user: Any) -> bool:
    """Admins and managers bring files in; nobody else sees what was in them."""
    return bool(
        user.is_authenticated and user.is_active and user.role in (User.Role.ADMIN, User.Role.MANAGER)
    )


def stored_name(instance: Import, filename: str) -> str:
    """Return where an upload is kept: by its day, under a name of ours and the safe part of theirs."""
    return f"imports/{timezone.now():%Y/%m}/{default_storage.get_valid_name(Path(filename).name)[-80:]}"


class ImportQuerySet(models.QuerySet["Import"]):
    def visible_to(self, user: Any) -> ImportQuerySet:
        """Admins see all imports, managers their own; a file may name accounts of other teams."""
        if not may_import(user):
            return self.none()
        return self if user.role == User.Role.ADMIN else self.filter(created_by=user)

    def unfinished(self) -> ImportQuerySet:
        """Keep what died while it ran, or gave up; `cursor_line` says where."""
        return self.filter(state__in=[Import.State.RUNNING, Import.State.FAILED])


class Import(models.Model):
    """One file, how it is read, how far we are, and what became of its rows.

    `cursor_line` moves in the transaction that stores a batch, so an import that died is
    taken up where it was, with nothing double.
    """

    class State(models.TextChoices):
        UPLOADED = "uploaded", "Waiting for its mapping"
        QUEUED = "queued", "Waiting for a worker"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    kind = models.CharField(max_length=20)
    source = models.CharField(
        max_length=60, help_text="The system the file comes from; its ids are unique in it."
    )
    upload = models.FileField(upload_to=stored_name, blank=True, max_length=300)
    local_path = models.CharField(
        max_length=1000, blank=True, help_text="A file read where it lies, by `manage.py import`."
    )
    file_name = models.CharField(max_length=255)
    file_sha256 = models.CharField(max_length=64, blank=True)
    mapping = models.JSONField(default=dict)
    as_of = models.DateField(help_text="The day that relative dates of the mapping count from.")
    state = models.CharField(max_length=9, choices=State, default=State.UPLOADED)
    error = models.TextField(blank=True)

    cursor_line = models.PositiveIntegerField(
        default=0, help_text="Last line of the file that was dealt with."
    )
    bytes_read = models.BigIntegerField(default=0)
    bytes_total = models.BigIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    repaired = models.PositiveIntegerField(default=0)
    details = models.JSONField(default=dict, help_text="What else was created, by kind of thing.")
    preview = models.JSONField(null=True, help_text="Counts of the last dry run.")

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="imports"
    )
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = ImportQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="intake_import_state_known",
                condition=Q(state__in=["uploaded", "queued", "running", "done", "failed", "cancelled"]),
            ),
        ]
        indexes = [
            # Past imports, newest first; and the one to resume.
            models.Index(fields=["-created_at", "-id"], name="intake_import_newest"),
            models.Index(fields=["file_sha256", "kind"], name="intake_import_of_file"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} from {self.file_name}"

    def get_absolute_url(self) -> str:
        return reverse("intake:detail", args=[self.pk])

    @property
    def path(self) -> Path:
        return Path(self.upload.path) if self.upload else Path(self.local_path)

    @property
    def rows_read(self) -> int:
        return self.created + self.updated + self.unchanged + self.rejected + self.skipped

    @property
    def percent(self) -> int:
        """Return how much of the file is dealt with, by bytes, from 0 to 100."""
        if self.state == self.State.DONE:
            return 100
        return min(99, 100 * self.bytes_read // self.bytes_total) if self.bytes_total else 0

    @property
    def is_live(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING)


class RowNoteQuerySet(models.QuerySet["RowNote"]):
    def visible_to(self, user: Any) -> RowNoteQuerySet:
        return self.filter(batch__in=Import.objects.visible_to(user))

    def rejected(self) -> RowNoteQuerySet:
        return self.filter(kind=RowNote.Kind.REJECTED)

    def repaired(self) -> RowNoteQuerySet:
        return self.filter(kind=RowNote.Kind.REPAIRED)


class RowNote(models.Model):
    """A row of a file that was rejected, or repaired by a rule of its mapping, and why."""

    class Kind(models.TextChoices):
        REJECTED = "rejected", "Rejected"
        REPAIRED = "repaired", "Repaired"

    batch = models.ForeignKey(Import, models.CASCADE, related_name="notes")
    kind = models.CharField(max_length=8, choices=Kind)
    line = models.PositiveIntegerField(help_text="Line of the file the row begins on.")
    field = models.CharField(max_length=200, blank=True)
    reason = models.TextField()
    cells = models.JSONField(default=list, help_text="The row as it stands in the file.")

    objects = RowNoteQuerySet.as_manager()

    class Meta:
        ordering = ["line", "pk"]
        indexes = [
            # The rejected rows of one import, in the order of the file.
            models.Index(fields=["batch", "kind", "line"], name="intake_rownote_of_import"),
        ]

    def __str__(self) -> str:
        return f"Line {self.line}: {self.reason}"


class ImportedAccount(models.Model):
    """An account that an import created or changed, so that its result can link there."""

    batch = models.ForeignKey(Import, models.CASCADE, related_name="imported_accounts")
    account = models.ForeignKey(Account, models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "account"], name="intake_importedaccount_once"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} by import {self.batch_id}"
