"""The customers: who they are, who looks after them, what they pay, what was said and done."""

from accounts.models.changes import FactChange
from accounts.models.customers import (
    Account,
    AccountExternalId,
    AccountQuerySet,
    AccountTrait,
    Assignment,
    Contact,
    DueAccount,
)
from accounts.models.dealings import Cost, Milestone, OutcomeMetric, OutcomeValue, Referral, Touch
from accounts.models.money import (
    Charge,
    ExchangeRate,
    Movement,
    MovementQuerySet,
    Plan,
    Product,
    Renewal,
    Subscription,
    SubscriptionTerms,
)

__all__ = [
    "Account",
    "AccountExternalId",
    "AccountQuerySet",
    "AccountTrait",
    "Assignment",
    "Charge",
    "Contact",
    "Cost",
    "DueAccount",
    "ExchangeRate",
    "FactChange",
    "Milestone",
    "Movement",
    "MovementQuerySet",
    "OutcomeMetric",
    "OutcomeValue",
    "Plan",
    "Product",
    "Referral",
    "Renewal",
    "Subscription",
    "SubscriptionTerms",
    "Touch",
]
