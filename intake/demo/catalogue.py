"""What the demo's company sells: two products, six plans, two extras, fourteen features."""

from __future__ import annotations

from typing import NamedTuple

from accounts.models import Plan, Product


class Offer(NamedTuple):
    """A plan. The price is for a month, in cents: Scheduler's for one seat, Field Service's for one depot."""

    code: str
    product: str
    name: str
    level: int
    price: int
    features: tuple[str, ...]


PRODUCTS = {"scheduler": "Scheduler", "field-service": "Field Service"}

# Everybody who works in the product opens the board: its daily users are the active users.
BOARD = "Schedule board"
_STARTER = (BOARD, "Mobile app", "Availability", "Messages")
_TEAM = (*_STARTER, "Time tracking", "Shift swaps", "Reports")
_BUSINESS = (*_TEAM, "Forecasting", "Integrations", "API")
_ESSENTIALS = ("Work orders", "Route planning")
_PRO = (*_ESSENTIALS, "Customer portal")
_COMPLETE = (*_PRO, "Inventory")

OFFERS = {
    offer.code: offer
    for offer in (
        Offer("scheduler-starter", "scheduler", "Scheduler Starter", 1, 2900, _STARTER),
        Offer("scheduler-team", "scheduler", "Scheduler Team", 2, 4900, _TEAM),
        Offer("scheduler-business", "scheduler", "Scheduler Business", 3, 7900, _BUSINESS),
        Offer("field-essentials", "field-service", "Field Service Essentials", 1, 9000, _ESSENTIALS),
        Offer("field-pro", "field-service", "Field Service Pro", 2, 19000, _PRO),
        Offer("field-complete", "field-service", "Field Service Complete", 3, 42000, _COMPLETE),
        Offer("extra-sms", "scheduler", "SMS reminders", 0, 4900, ()),
        Offer("extra-support", "scheduler", "Premium support", 0, 29000, ()),
    )
}
NEXT_PLAN = {
    "scheduler-starter": "scheduler-team",
    "scheduler-team": "scheduler-business",
    "field-essentials": "field-pro",
    "field-pro": "field-complete",
}
PREVIOUS_PLAN = {after: before for before, after in NEXT_PLAN.items()}

# What is to be learned first comes first. No plan sells them.
TUTORIALS = ("Tutorial: first schedule", "Tutorial: inviting the team", "Tutorial: reports")

# How many of an account's active people use a feature on a day.
SHARE = {
    BOARD: 1.0,
    "Mobile app": 0.62,
    "Time tracking": 0.48,
    "Availability": 0.26,
    "Messages": 0.3,
    "Shift swaps": 0.14,
    "Reports": 0.1,
    "Forecasting": 0.05,
    "Integrations": 0.03,
    "API": 0.03,
    "Work orders": 0.34,
    "Route planning": 0.14,
    "Customer portal": 0.07,
    "Inventory": 0.05,
}

# What part of an account's people ever use a feature, where not all do.
SOME = 0.6
FANS = {
    BOARD: 1.0,
    "Mobile app": 0.85,
    "Forecasting": 0.25,
    "Integrations": 0.2,
    "API": 0.2,
    "Inventory": 0.3,
}
# Features that came out so many days before the demo ends; the others were there before it began.
LAUNCHED = {"Shift swaps": 240}


def stock_catalogue() -> dict[str, int]:
    """Make sure that products and plans are there; return the ids of the plans by code."""
    for code, name in PRODUCTS.items():
        Product.objects.get_or_create(code=code, defaults={"name": name})
    products = dict(Product.objects.values_list("code", "pk"))
    for offer in OFFERS.values():
        Plan.objects.get_or_create(
            code=offer.code,
            defaults={
                "product_id": products[offer.product],
                "name": offer.name,
                "level": offer.level,
                "features": list(offer.features),
            },
        )
    return dict(Plan.objects.values_list("code", "pk"))
