"""How many people use the product, and how much of what was contracted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from django.db.models import DecimalField, F, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat, Greatest

from accounts.models import Subscription, SubscriptionTerms
from metrics.calculations import license_utilization
from metrics.kpis.definition import Kpi, Part, Scope, Variant, distinct, quantity
from usage.models import ActivityMonth

THEME = "Product usage"
ACTIVE = "Active is who did anything at all on a day."
_SEATS = DecimalField(max_digits=14, decimal_places=4)


def active_between(first: date, last: date) -> QuerySet[ActivityMonth]:
    """Return the months of everybody who was active on any day from `first` to `last`."""
    months = Q()
    masks: dict[str, Any] = {}
    month = first.replace(day=1)
    while month <= last:
        until = min(last, month + relativedelta(months=1) - timedelta(days=1))
        since = max(first, month)
        mask = (1 << until.day) - (1 << (since.day - 1))
        name = f"kpi_hit_{len(masks)}"
        masks[name] = F("days").bitand(mask)
        months |= Q(month=month) & ~Q(**{name: 0})
        month += relativedelta(months=1)
    return ActivityMonth.objects.annotate(**masks).filter(months)


def _active_in_last(days: int) -> Callable[[Scope], QuerySet[Any]]:
    def facts(scope: Scope) -> QuerySet[Any]:
        last = scope.period.last_day
        return active_between(last - timedelta(days=days - 1), last)

    return facts


def _active_users(slug: str, label: str, days: int, window: str) -> Kpi:
    return Kpi(
        slug=slug,
        label=label,
        theme=THEME,
        unit="count",
        higher_is_better=True,
        kind="level",
        definition=(
            f"Different end users who were active {window}. {ACTIVE} Somebody who works for two accounts "
            "counts once in the total and once in each group, so groups need not add up."
        ),
        is_additive=False,
        has_known_at=False,
        variants=(
            Variant(
                parts=(
                    Part(
                        facts=_active_in_last(days),
                        amounts={"active_users": distinct("end_user")},
                        columns={
                            "end_user": "end_user__external_id",
                            "name": "end_user__name",
                            "source": "end_user__source",
                            "id": "end_user",
                        },
                    ),
                ),
                numerator="active_users",
                formula=f"distinct end users active {window}",
                source="daily activity of end users",
            ),
        ),
    )


DAILY = _active_users("daily_active_users", "Daily active users", 1, "on the last day of the period")
WEEKLY = _active_users(
    "weekly_active_users", "Weekly active users", 7, "in the 7 days to the last day of the period"
)
MONTHLY = _active_users(
    "monthly_active_users", "Monthly active users", 30, "in the 30 days to the last day of the period"
)


def _contracted(scope: Scope) -> QuerySet[Any]:
    """Return the lines in force on the last day, each with the seats it gives that day.

    A line gives as many seats as its quantity, or as its plan includes if that is more.
    """
    day = scope.period.last_day
    seats = Greatest(F("quantity"), Cast(Coalesce(F("plan__seats_included"), Value(0)), _SEATS))
    terms = SubscriptionTerms.objects.filter(subscription=OuterRef("pk")).annotate(kpi_of_terms=seats)
    in_force = terms.filter(effective_on__lte=day).order_by("-effective_on", "-recorded_at", "-pk")
    # Terms agreed for a later day only reach back to the start of the line.
    first = terms.filter(effective_on__gt=day).order_by("effective_on", "-recorded_at", "-pk")
    return (
        Subscription.objects.in_force(day)
        .filter(kind=Subscription.Kind.RECURRING)
        .annotate(
            kpi_seats=Coalesce(
                Subquery(in_force.values("kpi_of_terms")[:1]), Subquery(first.values("kpi_of_terms")[:1])
            ),
            kpi_paused=Coalesce(
                Subquery(in_force.values("is_paused")[:1]), Subquery(first.values("is_paused")[:1])
            ),
        )
        .filter(kpi_seats__gt=0, kpi_paused=False)
    )


def _active_on_a_seat(scope: Scope) -> QuerySet[Any]:
    return _active_in_last(30)(scope).filter(account__in=_contracted(scope).values("account"))


LICENSE_UTILIZATION = Kpi(
    slug="license_utilization",
    label="Licence utilisation",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        f"How many of the contracted seats are used by people active in the last 30 days. {ACTIVE} Seats "
        "come from the recurring lines in force on the last day: their quantity, or what their plan includes "
        "if that is more; nobody's unused seat is forgotten. Users of accounts without seats are left out. "
        "Somebody who works for two accounts takes a seat in each. Above 100 % more people come than "
        "were paid for."
    ),
    has_known_at=False,
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_active_on_a_seat,
                    amounts={
                        "active_users": distinct(
                            Concat(
                                Cast("account_id", TextField()),
                                Value("/"),
                                Cast("end_user_id", TextField()),
                                output_field=TextField(),
                            )
                        )
                    },
                    columns={
                        "end_user": "end_user__external_id",
                        "name": "end_user__name",
                        "source": "end_user__source",
                        "id": "end_user",
                        "for_account": "account",
                    },
                ),
                Part(
                    facts=_contracted,
                    amounts={"seats": quantity("kpi_seats")},
                    columns={"subscription": "pk", "since": "starts_on"},
                ),
            ),
            numerator="active_users",
            denominator="seats",
            calculate=license_utilization,
            reason="no_seats",
        ),
    ),
)

KPIS = (DAILY, WEEKLY, MONTHLY, LICENSE_UTILIZATION)
