"""The people who log in, as admins keep them."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from team.models import Team, User

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
