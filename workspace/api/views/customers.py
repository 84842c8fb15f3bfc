"""Accounts, contacts and subscriptions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Account, Assignment, Contact, Subscription
from accounts.models.customers import today
from csplatform.periods import Period, PeriodError
from metrics.health.reasons import api_shape, history
from workspace.api.filters import AccountFilter, ContactFilter, SubscriptionFilter
from workspace.api.problems import FieldError
from workspace.api.reading import StrictFilters, day_asked, refuse_unknown_parameters
from workspace.api.schemas import DAY, HEALTH, HEALTH_CHANGE, list_of
from workspace.api.serializers import AccountSerializer, ContactSerializer, SubscriptionSerializer
from workspace.api.writing import KindWrites, with_writes


class Readable(StrictFilters, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    lookup_value_regex = r"\d{1,18}"


@with_writes
class AccountViewSet(KindWrites, Readable):
    """Customer organisations: who they are, who looks after them, what they pay, how they are."""

    kind = "accounts"
    queryset = Account.objects.none()
    serializer_class = AccountSerializer
    filterset_class = AccountFilter
    orderings = {
        "name": "name",
        "mrr": "mrr",
        "renews_on": "renews_on",
        "score": "health__score",
        "joined_on": "joined_on",
    }

    def get_queryset(self) -> QuerySet[Account]:
        held_now = (
            Assignment.objects.in_force(today()).filter(kind=Assignment.Kind.CSM).select_related("user")
        )
        return (
            Account.objects.visible_to(self.request.user)
            .select_related("plan", "health")
            .prefetch_related("external_ids", Prefetch("assignments", queryset=held_now, to_attr="held_now"))
        )

    def by_external_id(self, source: str, external_id: str) -> QuerySet[Account]:
        return self.get_queryset().filter(external_ids__source=source, external_ids__external_id=external_id)

    @extend_schema(responses=OpenApiResponse(HEALTH))
    @action(detail=True, filterset_class=None, pagination_class=None)
    def health(self, request: Request, pk: str) -> Response:
        """The score, how much of it is known, how old it is, and each measure it is made of."""
        refuse_unknown_parameters(request, {"format"})
        return Response(api_shape(self._account(pk)))

    @extend_schema(
        parameters=[
            OpenApiParameter("start", DAY, description="90 days before the end by default."),
            OpenApiParameter("end", DAY, description="First day that no longer counts; tomorrow by default."),
        ],
        responses=OpenApiResponse(list_of(HEALTH_CHANGE)),
    )
    @action(detail=True, url_path="health/history", filterset_class=None, pagination_class=None)
    def health_history(self, request: Request, pk: str) -> Response:
        """Each change of the score with what drove it; the effects add up to the change exactly."""
        refuse_unknown_parameters(request, {"start", "end", "format"})
        end = day_asked(request, "end", today() + timedelta(days=1))
        start = day_asked(request, "start", end - timedelta(days=90))
        try:
            period = Period(start, end)
        except PeriodError as error:
            raise FieldError((error.field, "invalid", error.message)) from error
        return Response({"results": history(self._account(pk), period.start, period.end)})

    def _account(self, pk: str) -> Account:
        return get_object_or_404(Account.objects.visible_to(self.request.user), pk=pk)


@with_writes
class ContactViewSet(KindWrites, Readable):
    """People at customers."""

    kind = "contacts"
    queryset = Contact.objects.none()
    serializer_class = ContactSerializer
    filterset_class = ContactFilter
    orderings = {"name": "name", "email": "email"}

    def get_queryset(self) -> QuerySet[Contact]:
        return Contact.objects.visible_to(self.request.user)


@with_writes
class SubscriptionViewSet(KindWrites, Readable):
    """Lines of contracts; the revenue ledger follows from them."""

    kind = "subscriptions"
    queryset = Subscription.objects.none()
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilter
    orderings = {"starts_on": "starts_on", "term_ends_on": "term_ends_on", "mrr": "mrr"}

    def get_queryset(self) -> QuerySet[Subscription]:
        return Subscription.objects.visible_to(self.request.user).select_related("plan")
