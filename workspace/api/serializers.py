"""How customers and contracts look in the API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Account, AccountExternalId, Contact, Plan, Subscription
from metrics.models import AccountHealth
from team.models import User


class MoneySerializer(serializers.Serializer[Any]):
    amount = serializers.CharField(
        allow_null=True, help_text="Exact decimal; null when an exchange rate is missing."
    )
    currency = serializers.CharField()


class ExternalIdSerializer(serializers.ModelSerializer[AccountExternalId]):
    class Meta:
        model = AccountExternalId
        fields = ["source", "external_id"]


class CsmSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "name", "email"]


class PlanSerializer(serializers.ModelSerializer[Plan]):
    class Meta:
        model = Plan
        fields = ["code", "name"]


class HealthSummarySerializer(serializers.ModelSerializer[AccountHealth]):
    class Meta:
        model = AccountHealth
        fields = ["score", "band", "coverage", "change_7d", "oldest_signal_at", "computed_at"]


class AccountSerializer(serializers.ModelSerializer[Account]):
    external_ids = ExternalIdSerializer(many=True)
    csm = serializers.SerializerMethodField()
    plan = PlanSerializer(allow_null=True)
    mrr = serializers.SerializerMethodField()
    health = serializers.SerializerMethodField()

    class Meta:
        model = Account
        fields = [
            "id",
            "name",
            "external_ids",
            "parent",
            "segment",
            "industry",
            "region",
            "country",
            "lifecycle_stage",
            "website",
            "time_zone",
            "currency",
            "custom",
            "csm",
            "plan",
            "mrr",
            "is_customer",
            "joined_on",
            "left_on",
            "renews_on",
            "health",
            "created_at",
        ]

    @extend_schema_field(MoneySerializer)
    def get_mrr(self, account: Account) -> dict[str, str | None]:
        amount = None if account.mrr is None else format(account.mrr.normalize(), "f")
        return {"amount": amount, "currency": settings.REPORTING_CURRENCY}

    @extend_schema_field(CsmSerializer(allow_null=True))
    def get_csm(self, account: Account) -> dict[str, Any] | None:
        held: list[Any] = account.held_now  # type: ignore[attr-defined]
        return CsmSerializer(held[0].user).data if held else None

    @extend_schema_field(HealthSummarySerializer(allow_null=True))
    def get_health(self, account: Account) -> dict[str, Any] | None:
        health = getattr(account, "health", None)
        return HealthSummarySerializer(health).data if health else None


class ContactSerializer(serializers.ModelSerializer[Contact]):
    class Meta:
        model = Contact
        fields = [
            "id",
            "account",
            "source",
            "external_id",
            "name",
            "email",
            "phone",
            "title",
            "role",
            "language",
            "time_zone",
            "left_on",
            "created_at",
        ]


class SubscriptionSerializer(serializers.ModelSerializer[Subscription]):
    plan = PlanSerializer(allow_null=True)
    mrr = serializers.SerializerMethodField()
    unit_price = serializers.SerializerMethodField()

    class Meta:
        model = Subscription
        fields = [
            "id",
            "account",
            "source",
            "external_id",
            "kind",
            "status",
            "plan",
            "quantity",
            "unit_price",
            "mrr",
            "starts_on",
            "term_ends_on",
            "ends_on",
            "payment_due_on",
            "recorded_at",
        ]

    @extend_schema_field(MoneySerializer)
    def get_mrr(self, subscription: Subscription) -> dict[str, str]:
        return {"amount": format(subscription.mrr.normalize(), "f"), "currency": subscription.currency}

    @extend_schema_field(MoneySerializer)
    def get_unit_price(self, subscription: Subscription) -> dict[str, str]:
        return {"amount": format(subscription.unit_price.normalize(), "f"), "currency": subscription.currency}
