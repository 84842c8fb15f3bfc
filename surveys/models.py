"""Questions sent and answers received. A response counts once it is confirmed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account, Contact
from csplatform.periods import Period


class Survey(models.Model):
    """A set of questions that people answer together."""

    name = models.CharField(max_length=150, unique=True)
    is_anonymous = models.BooleanField(default=False, help_text="Counts in totals, never for one account.")

    def __str__(self) -> str:
        return self.name


class ResponseQuerySet(models.QuerySet["Response"]):
    def visible_to(self, user: Any) -> ResponseQuerySet:
        if user.is_authenticated and user.is_active and user.role in ("admin", "viewer"):
            return self
        return self.filter(account__in=Account.objects.visible_to(user))


class Response(models.Model):
    """What one person answered at one time."""

    class State(models.TextChoices):
        PROVISIONAL = "provisional", "Clicked, not confirmed"
        CONFIRMED = "confirmed", "Confirmed"
        TEST = "test", "Test"
        BOT = "bot", "Machine"
        DELETED = "deleted", "Deleted"

    survey = models.ForeignKey(Survey, models.PROTECT, related_name="responses")
    account = models.ForeignKey(Account, models.CASCADE, null=True, blank=True, related_name="responses")
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, blank=True, related_name="responses")
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=11, choices=State, default=State.CONFIRMED)
    language = models.CharField(max_length=10, blank=True)
    given_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    attributes = models.JSONField(
        default=dict, blank=True, help_text="Further columns of an imported survey."
    )

    objects = ResponseQuerySet.as_manager()

    class Meta:
        ordering = ["-given_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="surveys_response_once_per_source",
            ),
            models.CheckConstraint(
                name="surveys_response_state_known",
                condition=Q(state__in=["provisional", "confirmed", "test", "bot", "deleted"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.survey} at {self.given_at}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def visible_to(self, user: Any) -> InvitationQuerySet:
        if user.is_authenticated and user.is_active and user.role in ("admin", "viewer"):
            return self
        return self.filter(account__in=Account.objects.visible_to(user))

    def sent_in(self, period: Period) -> InvitationQuerySet:
        return self.filter(sent_at__gte=period.starts_at, sent_at__lt=period.ends_at)

    def known_at(self, moment: datetime | None) -> InvitationQuerySet:
        return self if moment is None else self.filter(recorded_at__lte=moment)


class Invitation(models.Model):
    """One person was asked once: the fact that a response rate is counted from.

    Whoever answered is linked to what they answered, except in anonymous surveys, where nothing
    may lead from an answer back to a person: their invitations never say that they were answered.
    """

    class State(models.TextChoices):
        SENT = "sent", "Sent, nothing heard of it"
        DELIVERED = "delivered", "Delivered"
        BOUNCED = "bounced", "Not deliverable"

    survey = models.ForeignKey(Survey, models.PROTECT, related_name="invitations")
    account = models.ForeignKey(Account, models.CASCADE, null=True, blank=True, related_name="invitations")
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, blank=True, related_name="invitations")
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    sent_at = models.DateTimeField()
    state = models.CharField(max_length=9, choices=State, default=State.SENT)
    bounced_at = models.DateTimeField(null=True, blank=True, help_text="When we heard that it bounced.")
    answered_at = models.DateTimeField(null=True, blank=True)
    response = models.OneToOneField(
        Response, models.SET_NULL, null=True, blank=True, related_name="invitation"
    )
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-sent_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="surveys_invitation_once_per_source",
            ),
            models.CheckConstraint(
                name="surveys_invitation_state_known",
                condition=Q(state__in=["sent", "delivered", "bounced"]),
            ),
            models.CheckConstraint(
                name="surveys_invitation_answered_once_there",
                condition=Q(answered_at__isnull=True) | Q(~Q(state="bounced"), answered_at__gte=F("sent_at")),
            ),
            models.CheckConstraint(
                name="surveys_invitation_response_has_its_moment",
                condition=Q(response__isnull=True) | Q(answered_at__isnull=False),
            ),
            models.CheckConstraint(
                name="surveys_invitation_bounce_has_its_state",
                condition=Q(bounced_at__isnull=True) | Q(state="bounced", bounced_at__gte=F("sent_at")),
            ),
        ]
        indexes = [
            # Response rate of a period; the population behind an NPS.
            models.Index(fields=["sent_at", "survey"], name="surveys_invitation_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.survey} to {self.contact or self.account or 'somebody'}"


class AnswerQuerySet(models.QuerySet["Answer"]):
    def visible_to(self, user: Any) -> AnswerQuerySet:
        return self.filter(response__in=Response.objects.visible_to(user))

    def counted(self) -> AnswerQuerySet:
        """Keep confirmed answers; provisional, test, machine and deleted ones never count."""
        return self.filter(response__state=Response.State.CONFIRMED)

    def given_in(self, period: Period) -> AnswerQuerySet:
        return self.filter(response__given_at__gte=period.starts_at, response__given_at__lt=period.ends_at)


class Answer(models.Model):
    """The answer to one question, on that question's own scale."""

    class Kind(models.TextChoices):
        NPS = "nps", "Likely to recommend"
        CSAT = "csat", "Satisfaction"
        CES = "ces", "Ease"
        TEXT = "text", "Comment"
        CHOICE = "choice", "Choice"

    response = models.ForeignKey(Response, models.CASCADE, related_name="answers")
    kind = models.CharField(max_length=6, choices=Kind)
    question = models.CharField(
        max_length=100, blank=True, help_text="Tells questions of one kind apart, such as 'overall'."
    )
    score = models.PositiveSmallIntegerField(null=True, blank=True, help_text="As the customer chose it.")
    scale_low = models.PositiveSmallIntegerField(null=True, blank=True)
    scale_high = models.PositiveSmallIntegerField(null=True, blank=True)
    positive_from = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Lowest score that counts as satisfied."
    )
    text = models.TextField(blank=True, max_length=20_000)

    objects = AnswerQuerySet.as_manager()

    class Meta:
        ordering = ["response", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["response", "kind", "question"], name="surveys_answer_one_a_question"
            ),
            models.CheckConstraint(
                name="surveys_answer_score_on_its_scale",
                condition=Q(score__isnull=True)
                | Q(
                    scale_low__isnull=False,
                    scale_high__isnull=False,
                    score__gte=F("scale_low"),
                    score__lte=F("scale_high"),
                ),
            ),
            models.CheckConstraint(
                name="surveys_answer_nps_0_to_10",
                condition=~Q(kind="nps") | Q(scale_low__in=[0, 1], scale_high=10, score__isnull=False),
            ),
            models.CheckConstraint(
                name="surveys_answer_ces_1_to_7",
                condition=~Q(kind="ces") | Q(scale_low=1, scale_high=7, score__isnull=False),
            ),
            models.CheckConstraint(
                name="surveys_answer_csat_has_threshold",
                condition=~Q(kind="csat") | Q(positive_from__isnull=False, score__isnull=False),
            ),
            models.CheckConstraint(
                name="surveys_answer_kind_known",
                condition=Q(kind__in=["nps", "csat", "ces", "text", "choice"]),
            ),
        ]
        indexes = [
            # Scores of one kind: every voice KPI.
            models.Index(fields=["kind", "response", "score"], name="surveys_answer_scores"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.text if self.score is None else self.score}"


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    def visible_to(self, user: Any) -> FeedbackQuerySet:
        return self.filter(account__in=Account.objects.visible_to(user))


class Feedback(models.Model):
    """What a customer said outside a survey, noted by one of us."""

    class Sentiment(models.TextChoices):
        POSITIVE = "positive", "Positive"
        NEUTRAL = "neutral", "Neutral"
        NEGATIVE = "negative", "Negative"

    class Area(models.TextChoices):
        PRODUCT = "product", "Product"
        SERVICE = "service", "Service"
        COMPANY = "company", "Company"

    account = models.ForeignKey(Account, models.CASCADE, related_name="feedback")
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, blank=True, related_name="feedback")
    source = models.CharField(max_length=60, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    channel = models.CharField(max_length=40, blank=True, help_text="Meeting, event, call …")
    area = models.CharField(max_length=7, choices=Area, blank=True)
    sentiment = models.CharField(max_length=8, choices=Sentiment, blank=True)
    quote = models.TextField(max_length=20_000)
    given_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        ordering = ["-given_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="surveys_feedback_once_per_source",
            ),
        ]
        indexes = [
            # Timeline of an account.
            models.Index(fields=["account", "-given_at"], name="surveys_feedback_of_account"),
        ]

    def __str__(self) -> str:
        return self.quote[:60]
