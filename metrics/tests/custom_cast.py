"""KPIs that an installation might define itself, of each kind of fact, and something for them to count."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from accounts.models import Account, Charge, Contact, Cost, Milestone, Referral, Touch
from metrics.kpis.custom.keeping import read
from metrics.kpis.definition import Kpi
from metrics.models import HealthScore, ScorecardVersion
from metrics.tests.cast import Cast, at, february, renewal
from surveys.models import Feedback
from tickets.models import Ticket
from usage.models import UsageDay

Json = dict[str, Any]


def where(field: str, operator: str, value: Any = None, **more: Any) -> Json:
    return {"field": field, "operator": operator, "value": value, **more}


def side(facts: str, *conditions: Json, measure: str = "count", of: str = "") -> Json:
    return {"facts": facts, "measure": measure, "of": of, "conditions": list(conditions)}


CUSTOMERS = side("accounts", where("status", "is", "customer"))
LARGE = (where("status", "is", "customer"), where("segment", "is", "large"))
BUSY = where("has_tickets", "at_least", 1, that=[where("open", "holds", "yes")])


def defined(slug: str, numerator: Json, denominator: Json | None = None, unit: str = "", **more: Any) -> Json:
    return {
        "slug": slug,
        "label": slug.replace("_", " ").capitalize(),
        "direction": "neutral",
        "numerator": numerator,
        "denominator": denominator,
        "unit": unit,
        **more,
    }


DEFINITIONS = [
    defined("large_with_open_ticket", side("accounts", *LARGE, BUSY), side("accounts", *LARGE), "percent"),
    defined(
        "customers_untouched",
        side(
            "accounts",
            where("status", "is", "customer"),
            where("has_touches", "at_most", 0, that=[where("happened", "last_days", 30)]),
        ),
        CUSTOMERS,
        "percent",
    ),
    defined("mrr_in_red", side("accounts", where("band", "is", "red"), measure="sum", of="mrr")),
    defined(
        "mean_health",
        side("accounts", where("score", "is_set"), measure="sum", of="score"),
        side("accounts", where("score", "is_set")),
        "average",
    ),
    defined(
        "billing_tickets_per_100",
        side("tickets", where("opened", "within_period"), where("category", "is", "billing")),
        CUSTOMERS,
        "per_100",
    ),
    defined("open_tickets_at_end", side("tickets", where("open", "holds", "yes"))),
    defined("accounts_that_asked", side("tickets", where("opened", "within_period"), measure="accounts")),
    defined(
        "training_sold",
        side(
            "charges",
            where("day", "within_period"),
            where("description", "contains", "TRAINING"),
            measure="sum",
            of="amount",
        ),
    ),
    defined(
        "nps_answers_of_pro",
        side(
            "answers",
            where("given", "within_period"),
            where("kind", "is", "nps"),
            where("account.plan", "is", "pro"),
        ),
    ),
    defined(
        "mean_ces_answer",
        side(
            "answers", where("given", "within_period"), where("kind", "is", "ces"), measure="sum", of="score"
        ),
        side("answers", where("given", "within_period"), where("kind", "is", "ces")),
        "average",
    ),
    defined(
        "bad_feedback_share",
        side(
            "feedback",
            where("given", "last_days", 60),
            where("sentiment", "is_any_of", ["negative", "neutral"]),
        ),
        side("feedback", where("given", "last_days", 60)),
        "percent",
    ),
    defined("mrr_change", side("movements", where("day", "within_period"), measure="sum", of="change")),
    defined("accounts_that_moved", side("movements", where("day", "within_period"), measure="accounts")),
    defined("movements_made", side("movements", where("day", "within_period"))),
    defined(
        "seats_of_paying_lines",
        side(
            "subscriptions",
            where("in_force", "holds", "yes"),
            where("kind", "is", "recurring"),
            measure="sum",
            of="seats",
        ),
    ),
    defined(
        "value_due_soon",
        side(
            "renewals",
            where("due", "next_days", 90),
            where("outcome", "is", "open"),
            measure="sum",
            of="due",
        ),
    ),
    defined(
        "renewed_value_rate",
        side("renewals", where("due", "within_period"), measure="sum", of="renewed"),
        side(
            "renewals",
            where("due", "within_period"),
            where("outcome", "is_not", "open"),
            measure="sum",
            of="due",
        ),
        "percent",
    ),
    defined(
        "exports_per_customer",
        side(
            "usage_days",
            where("day", "within_period"),
            where("feature", "is", "export"),
            measure="sum",
            of="events",
        ),
        CUSTOMERS,
        "average",
    ),
    defined(
        "milestones_reached",
        side("milestones", where("due", "by_end"), where("reached", "by_end")),
        side("milestones", where("due", "by_end")),
        "percent",
    ),
    defined("referrals_made", side("referrals", where("made", "within_period"))),
    defined("champions", side("contacts", where("role", "is", "champion")), CUSTOMERS, "average"),
    defined(
        "training_cost",
        side("costs", where("day", "within_period"), measure="sum", of="amount"),
        CUSTOMERS,
        "average",
    ),
    defined(
        "touches_of_busy_accounts",
        side("touches", where("happened", "within_period"), where("account.has_tickets", "at_least", 1)),
    ),
]


def custom_kpis() -> list[Kpi]:
    return [read(each).kpi() for each in DEFINITIONS]


def add_facts(cast: Cast) -> None:
    """Give the company what only KPIs of this kind count so far."""
    acme, globex = cast.acme, cast.globex
    Ticket.objects.filter(external_id__in=["once", "long"]).update(category="billing")
    for account, day, kind in ((acme, 2, "call"), (globex, 12, "mail"), (globex, 20, "training")):
        Touch.objects.create(account=account, kind=kind, happened_at=at(february(day)))
    Charge.objects.create(
        account=globex,
        day=february(4),
        amount=Decimal("120.50"),
        currency="EUR",
        description="Training, 1 day",
    )
    _health(acme, 40, january(30))
    _health(acme, 80, february(20))
    _health(globex, 30, january(28))
    for number, (account, sentiment) in enumerate(
        ((acme, "negative"), (globex, "positive"), (globex, "neutral"))
    ):
        Feedback.objects.create(
            account=account, sentiment=sentiment, quote="…", given_at=at(february(3 + number)), area="product"
        )
    renewal(globex, date(2026, 4, 2), 240)
    for account, day, events in ((acme, 3, 5), (acme, 4, 2), (globex, 20, 9)):
        UsageDay.objects.create(account=account, feature="export", day=february(day), events=events, users=1)
    Milestone.objects.create(account=acme, name="Live", due_on=february(1), reached_on=january(20))
    Milestone.objects.create(account=globex, name="Live", due_on=february(5))
    Referral.objects.create(account=acme, referred_name="Initrode", referred_on=february(9))
    Contact.objects.create(account=acme, name="Maria", role="champion", created_at=at(january(2)))
    Cost.objects.create(category="training", day=february(7), amount=300, currency="EUR")
    Cost.objects.create(category="events", day=february(8), amount=90, currency="USD", account=globex)


def january(day: int) -> date:
    return date(2026, 1, day)


def _health(account: Account, score: int, day: date) -> None:
    band = "red" if score < 50 else "green"
    HealthScore.objects.create(
        account=account,
        day=day,
        version=ScorecardVersion.objects.first(),
        score=score,
        band=band,
        coverage=100,
        computed_at=datetime(day.year, day.month, day.day, 23, tzinfo=UTC),
    )
