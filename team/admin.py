"""The people who log in, as admins keep them, and the work done in the background."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import Truncator

from team import keys, work
from team.mail import send_again
from team.models import ApiKey, Mail, Team, User, Work

admin.site.site_header = "csplatform administration"
admin.site.site_title = "csplatform"
admin.site.index_title = "Everything we keep"

# Roles say who may do what; groups would be a second answer to the same question.
admin.site.unregister(Group)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    search_fields = ["name"]


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Users are switched off, not deleted: history keeps its names."""

    list_display = ["email", "name", "role", "team", "is_active", "last_login"]
    list_filter = ["role", "is_active", "team"]
    list_select_related = ["team"]
    search_fields = ["email", "name"]
    autocomplete_fields = ["team"]
    ordering = ["email"]
    filter_horizontal = ()
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        ("Who", {"fields": ["name", "role", "team", "is_active"]}),
        ("When", {"fields": ["joined_at", "last_login"]}),
    ]
    add_fieldsets = [
        (None, {"classes": ["wide"], "fields": ["email", "name", "role", "team", "password1", "password2"]})
    ]
    readonly_fields = ["joined_at", "last_login"]

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


@admin.register(Work)
class WorkAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What the queue did and does. Rows change by the queue's own functions only."""

    list_display = ["kind", "key", "state", "due_at", "attempts", "what_went_wrong", "finished_at"]
    list_filter = ["state", "lane", "kind"]
    search_fields = ["kind", "key", "last_error"]
    ordering = ["-pk"]
    show_full_result_count = False
    actions = ["replay", "cancel"]

    @admin.action(description="Replay: queue again with all attempts", permissions=["queue"])
    def replay(self, request: HttpRequest, rows: QuerySet[Work]) -> None:
        self._tell(
            request, work.replay(rows), len(rows), "queued again; only what was given up or cancelled is"
        )

    @admin.action(description="Cancel: never do it", permissions=["queue"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Work]) -> None:
        self._tell(request, work.cancel(rows), len(rows), "cancelled; only what waits or was given up is")

    def _tell(self, request: HttpRequest, changed: int, chosen: int, what: str) -> None:
        level = messages.SUCCESS if changed == chosen else messages.WARNING
        self.message_user(request, f"{changed} of {chosen} {what}.", level)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Work | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Work | None = None) -> bool:
        return False

    def has_queue_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("team.change_work")

    @admin.display(description="last error", ordering="last_error")
    def what_went_wrong(self, row: Work) -> str:
        return Truncator(row.error_line).chars(120)


@admin.register(Mail)
class MailAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Mails to our own people. Whether one that may have been sent goes out again, a person decides."""

    list_display = ["kind", "user", "state", "attempts", "created_at", "finished_at", "what_went_wrong"]
    list_filter = ["state", "kind"]
    list_select_related = ["user"]
    search_fields = ["key", "user__email", "last_error"]
    show_full_result_count = False
    actions = ["send_again"]

    @admin.action(description="Send again: those refused or perhaps sent", permissions=["view"])
    def send_again(self, request: HttpRequest, rows: QuerySet[Mail]) -> None:
        changed = sum(send_again(row) for row in rows)
        level = messages.SUCCESS if changed == len(rows) else messages.WARNING
        words = f"{changed} of {len(rows)} queued again; only what was refused or is uncertain is."
        self.message_user(request, words, level)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Mail | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Mail | None = None) -> bool:
        return False

    @admin.display(description="last error", ordering="last_error")
    def what_went_wrong(self, row: Mail) -> str:
        return Truncator(row.last_error).chars(120)


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys are shown once, when they are made; from then on they can only be revoked."""

    list_display = [
        "name",
        "prefix",
        "owner",
        "scope",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    ]
    list_filter = ["scope"]
    list_select_related = ["owner"]
    search_fields = ["name", "prefix", "owner__email"]
    autocomplete_fields = ["owner"]
    fields = ["name", "owner", "scope", "expires_at"]
    actions = ["revoke"]

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            return
        made, token = keys.issue(name=obj.name, owner=obj.owner, scope=obj.scope, expires_at=obj.expires_at)
        obj.pk = made.pk
        words = f"This is the key. Copy it now, it is not shown again: {token}"
        self.message_user(request, words, messages.WARNING)

    @admin.action(description="Revoke: worth nothing from now on", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        for key in rows:
            keys.revoke(key, at=timezone.now())
        self.message_user(request, f"{len(rows)} revoked.")

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        return ["name", "owner", "scope", "expires_at"] if obj else []
