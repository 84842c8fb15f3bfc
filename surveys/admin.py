"""What customers answered and said. Answers are evidence: shown, never edited."""

from __future__ import annotations

from django.contrib import admin

from accounts.admin import ReadOnly
from surveys.models import Answer, Feedback, Invitation, Response, Survey


@admin.register(Survey)
class SurveyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "is_anonymous"]
    list_filter = ["is_anonymous"]
    search_fields = ["name"]


class AnswerInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Answer
    extra = 0
    fields = ["kind", "question", "score", "scale_low", "scale_high", "positive_from", "text"]


@admin.register(Response)
class ResponseAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["given_at", "survey", "account", "contact", "state", "source"]
    list_filter = ["state", "survey"]
    list_select_related = ["survey", "account", "contact"]
    search_fields = ["account__name", "contact__name", "external_id"]
    date_hierarchy = "given_at"
    inlines = [AnswerInline]
    show_full_result_count = False


@admin.register(Invitation)
class InvitationAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["sent_at", "survey", "account", "contact", "state", "answered_at", "source"]
    list_filter = ["state", "survey"]
    list_select_related = ["survey", "account", "contact"]
    search_fields = ["account__name", "contact__name", "external_id"]
    date_hierarchy = "sent_at"
    show_full_result_count = False


@admin.register(Feedback)
class FeedbackAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["given_at", "account", "area", "sentiment", "channel", "__str__"]
    list_filter = ["sentiment", "area", "channel"]
    list_select_related = ["account"]
    search_fields = ["quote", "account__name"]
    autocomplete_fields = ["account", "contact"]
    date_hierarchy = "given_at"
    show_full_result_count = False
