"""How many people use the product and its features, how often, and how much of what was contracted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from django.db.models import (
    Case,
    Count,
    DecimalField,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat, Greatest

from accounts.models import Account, AccountTrait, Plan, Subscription, SubscriptionTerms
from csplatform.periods import Period, PeriodError
from metrics.calculations import (
    account_retention_rate,
    active_share,
    adoption_breadth,
    adoption_depth,
    feature_adoption,
    feature_adoption_by_users,
    license_utilization,
    stickiness,
    user_abandonment_rate,
    user_retention_rate,
    wilson_interval,
)
from metrics.kpis import ledger
from metrics.kpis.counting import ONE, once_a_count
from metrics.kpis.definition import (
    Amount,
    Counts,
    Grouping,
    Kpi,
    Part,
    Scope,
    Variant,
    distinct,
    quantity,
    up_to_end,
    within,
)
from usage.bits import NumberOfDays, bits_between, in_days
from usage.models import ActivityMonth, EndUser, FeatureMonth, UsageDay

THEME = "Product usage"
ACTIVE = "Active is who did anything at all on a day."
WINDOW = 30  # days
NOTHING = Value(0, output_field=IntegerField())
_SEATS = DecimalField(max_digits=14, decimal_places=4)

PERSON: Mapping[str, str | Combinable] = {
    "end_user": "end_user__external_id",
    "name": "end_user__name",
    "source": "end_user__source",
    "id": "end_user",
}
# Somebody who works for two accounts is told apart in each.
PERSON_OF_ACCOUNT: Mapping[str, str | Combinable] = {**PERSON, "for_account": "account"}
FEATURE = Grouping(slug="feature", label="Feature")


def _pair(first: str, second: str) -> Combinable:
    """Return two columns as one text, to be counted together."""
    return Concat(Cast(first, TextField()), Value("/"), Cast(second, TextField()), output_field=TextField())


_MEMBER = _pair("account_id", "end_user_id")


def active_between(first: date, last: date) -> QuerySet[ActivityMonth]:
    """Return the months of everybody who was active on any day from `first` to `last`."""
    return in_days(ActivityMonth.objects.all(), first, last)


def _active_in(scope: Scope) -> QuerySet[Any]:
    return active_between(scope.period.start, scope.period.last_day)


def _window_to(day: date, days: int = WINDOW) -> QuerySet[Any]:
    return active_between(day - timedelta(days=days - 1), day)


def _active_in_last(days: int) -> Callable[[Scope], QuerySet[Any]]:
    def facts(scope: Scope) -> QuerySet[Any]:
        return _window_to(scope.period.last_day, days)

    return facts


def _again(rows: QuerySet[Any]) -> Exists:
    """Return whether the person of a row is, for the same account, among these rows too."""
    return Exists(rows.filter(end_user=OuterRef("end_user"), account=OuterRef("account")))


def _when(condition: Any, of: Any) -> Combinable:
    return Case(When(condition, then=of), default=None, output_field=TextField())


# --- Active users ---------------------------------------------------------------------


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
                        first_on=lambda period: period.last_day - timedelta(days=days - 1),
                        amounts={"active_users": distinct("end_user")},
                        columns=PERSON,
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
    "monthly_active_users", "Monthly active users", WINDOW, "in the 30 days to the last day of the period"
)


def _days_of_the_last_30(scope: Scope) -> QuerySet[Any]:
    last = scope.period.last_day
    first = last - timedelta(days=WINDOW - 1)
    return active_between(first, last).annotate(kpi_days=NumberOfDays(bits_between(first, last)))


STICKINESS = Kpi(
    slug="stickiness",
    label="Stickiness",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "Which part of a month's users come on an average day: the mean of the daily active users over the "
        f"30 days to the end of the period, of those active in these days at all. {ACTIVE} Somebody who "
        "works for two accounts counts for each."
    ),
    has_known_at=False,
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_days_of_the_last_30,
                    amounts={
                        "daily_active_total": Amount(F("kpi_days")),
                        "monthly_active_users": distinct(_MEMBER),
                    },
                    columns=PERSON_OF_ACCOUNT,
                    first_on=lambda period: period.last_day - timedelta(days=WINDOW - 1),
                ),
            ),
            numerator="daily_active_total",
            denominator="monthly_active_users",
            calculate=stickiness,
            reason="no_users",
            count_labels={"daily_active_total": "Active days of all users"},
        ),
    ),
)

# --- Who stays and who goes -----------------------------------------------------------


def _active_in_previous(period: Period) -> QuerySet[Any]:
    """Return who was active in the period before; nobody where that would begin before the calendar."""
    try:
        previous = period.previous()
    except PeriodError:
        return active_between(period.start, period.last_day).none()
    return active_between(previous.start, previous.last_day)


def _active_before(scope: Scope) -> QuerySet[Any]:
    """Return who was active in the previous period, with whether they are in this one too."""
    return _active_in_previous(scope.period).annotate(kpi_again=_again(_active_in(scope)))


def _accounts_active_before(scope: Scope) -> QuerySet[Any]:
    before = _active_in_previous(scope.period).filter(account=OuterRef("pk"))
    again = Exists(_active_in(scope).filter(account=OuterRef("pk")))
    return Account.objects.filter(Exists(before)).annotate(
        kpi_again=Case(When(again, then=ONE), default=NOTHING)
    )


def _is_known(period: Period, prefix: str = "") -> Q:
    """Hold for end users that were known on a day of the period and not removed before it."""
    return Q(
        Q(**{f"{prefix}removed_on__isnull": True}) | Q(**{f"{prefix}removed_on__gte": period.start}),
        Q(**{f"{prefix}first_seen_on__isnull": True}) | Q(**{f"{prefix}first_seen_on__lte": period.last_day}),
    )


_KNOWN_USERS = Part(
    facts=lambda scope: EndUser.objects.filter(_is_known(scope.period)),
    amounts={"known_users": Amount(ONE)},
    columns={"end_user": "external_id", "name": "name", "source": "source", "id": "pk"},
    first_on=up_to_end,
)

USER_RETENTION_RATE = Kpi(
    slug="user_retention_rate",
    label="User retention rate",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "The share of the end users active in the previous period who are active in this one too, for the "
        "same account; the previous period is as long, in whole months where this one is. By default people "
        "are followed; the variant `accounts` follows accounts any of whose people were active, and `total` "
        f"compares the active with all known users, active or not. {ACTIVE}"
    ),
    has_known_at=False,
    is_additive=False,
    variants=(
        Variant(
            slug="previous",
            label="Of the users of the period before",
            parts=(
                Part(
                    facts=_active_before,
                    amounts={
                        "still_active": distinct(_when(Q(kpi_again=True), _MEMBER)),
                        "active_before": distinct(_MEMBER),
                    },
                    csm_on="start",
                    columns=PERSON_OF_ACCOUNT,
                    first_on=up_to_end,
                ),
            ),
            numerator="still_active",
            denominator="active_before",
            calculate=user_retention_rate,
            interval=lambda counts: wilson_interval(
                part=counts["still_active"], whole=counts["active_before"]
            ),
            reason="no_users_before",
        ),
        Variant(
            slug="total",
            label="Active users of all known users",
            parts=(
                Part(
                    facts=lambda scope: _active_in(scope).filter(_is_known(scope.period, "end_user__")),
                    amounts={"active_users": distinct("end_user")},
                    columns=PERSON,
                    first_on=up_to_end,
                ),
                _KNOWN_USERS,
            ),
            numerator="active_users",
            denominator="known_users",
            calculate=active_share,
            reason="no_known_users",
        ),
        Variant(
            slug="accounts",
            label="Of the accounts of the period before",
            parts=(
                Part(
                    facts=_accounts_active_before,
                    amounts={
                        "accounts_still_active": Amount(F("kpi_again")),
                        "accounts_active_before": Amount(ONE),
                    },
                    account="",
                    csm_on="start",
                    first_on=up_to_end,
                ),
            ),
            numerator="accounts_still_active",
            denominator="accounts_active_before",
            calculate=account_retention_rate,
            interval=lambda counts: wilson_interval(
                part=counts["accounts_still_active"], whole=counts["accounts_active_before"]
            ),
            reason="no_users_before",
        ),
    ),
)


def _users_at_start(scope: Scope) -> QuerySet[Any]:
    """Return who was active in the 30 days before the period, with whether they have stopped by its end."""
    period = scope.period
    is_removed = Q(end_user__removed_on__lte=period.last_day)
    still_active = _again(_window_to(period.last_day))
    return (
        _window_to(period.start - timedelta(days=1))
        .filter(Q(end_user__removed_on__isnull=True) | Q(end_user__removed_on__gte=period.start))
        .annotate(kpi_removed=Case(When(is_removed, then=ONE), default=NOTHING), kpi_active=still_active)
    )


USER_ABANDONMENT_RATE = Kpi(
    slug="user_abandonment_rate",
    label="User abandonment rate",
    theme=THEME,
    unit="percent",
    higher_is_better=False,
    kind="rate",
    definition=(
        "Of the end users who used the product when the period began (active in the 30 days before it), the "
        "share who have stopped by its end: no activity for the account in the last 30 days, or removed by "
        f"then. {ACTIVE} Somebody who works for two accounts counts for each. Filtered by account, it is "
        "that account's."
    ),
    has_known_at=False,
    is_additive=False,
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_users_at_start,
                    amounts={
                        "stopped": distinct(_when(Q(kpi_removed=1) | Q(kpi_active=False), _MEMBER)),
                        "users_at_start": distinct(_MEMBER),
                        "removed": distinct(_when(Q(kpi_removed=1), _MEMBER)),
                    },
                    csm_on="start",
                    columns=PERSON_OF_ACCOUNT,
                    first_on=up_to_end,
                ),
            ),
            numerator="stopped",
            denominator="users_at_start",
            calculate=user_abandonment_rate,
            interval=lambda counts: wilson_interval(part=counts["stopped"], whole=counts["users_at_start"]),
            reason="no_users_at_start",
        ),
    ),
)

# --- Features -------------------------------------------------------------------------


def _used_in(scope: Scope) -> QuerySet[UsageDay]:
    used = UsageDay.objects.on_days(scope.period.start, scope.period.last_day)
    return used.filter(Q(events__gt=0) | Q(users__gt=0))


def _used_by_customers(scope: Scope) -> QuerySet[Any]:
    return _used_in(scope).filter(account__in=ledger.accounts_that_are_customers(scope, "end"))


def _users_of_features(scope: Scope) -> QuerySet[Any]:
    used = in_days(FeatureMonth.objects.all(), scope.period.start, scope.period.last_day)
    return used.filter(_is_known(scope.period, "end_user__"))


def _share(part: str, whole: str) -> Callable[[Counts], Any]:
    return lambda counts: wilson_interval(part=counts[part], whole=counts[whole])


FEATURE_ADOPTION = Kpi(
    slug="feature_adoption",
    label="Feature adoption",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    own_groups=(FEATURE,),
    definition=(
        "The share of the customers at the end of the period that used a feature in it; without a feature, "
        "any. By default accounts are counted, the variant `users` counts end users of all that are known. "
        "Each feature stands beside all customers, so features don't add up. Plans without the feature "
        "count in full: filter by plan to leave them out."
    ),
    has_known_at=False,
    is_additive=False,
    variants=(
        Variant(
            slug="accounts",
            label="Customers that used it",
            parts=(
                Part(
                    facts=_used_by_customers,
                    amounts={"accounts_using": distinct("account")},
                    columns={"for_account": "account"},
                    groups={"feature": "feature"},
                    first_on=up_to_end,
                ),
                ledger.customers("customers", "end"),
            ),
            numerator="accounts_using",
            denominator="customers",
            calculate=feature_adoption,
            interval=_share("accounts_using", "customers"),
            reason="no_customers",
        ),
        Variant(
            slug="users",
            label="End users who used it",
            parts=(
                Part(
                    facts=_users_of_features,
                    amounts={"users_using": distinct("end_user")},
                    columns=PERSON,
                    groups={"feature": "feature"},
                    first_on=up_to_end,
                ),
                _KNOWN_USERS,
            ),
            numerator="users_using",
            denominator="known_users",
            calculate=feature_adoption_by_users,
            interval=_share("users_using", "known_users"),
            reason="no_known_users",
        ),
    ),
)


def _planned() -> Mapping[str, frozenset[str]]:
    """Return the features that each plan includes, of plans that name any."""
    plans = Plan.objects.values_list("code", "features")
    return {code: found for code, names in plans if (found := frozenset(map(str, names or ())))}


def _on_plan(plans: list[str], day: date) -> QuerySet[AccountTrait]:
    """Return the plans that accounts were on that day, one row an account."""
    return AccountTrait.objects.filter(
        Q(ends_on__isnull=True) | Q(ends_on__gte=day),
        kind=AccountTrait.Kind.PLAN,
        value__in=plans,
        starts_on__lte=day,
    )


def _planned_features(scope: Scope) -> QuerySet[Any]:
    planned = once_a_count("features of plans", _planned)
    number = [When(value=code, then=Value(len(features))) for code, features in planned.items()]
    return (
        _on_plan(list(planned), scope.period.last_day)
        .filter(account__in=ledger.accounts_that_are_customers(scope, "end"))
        .annotate(kpi_features=Case(*number, default=NOTHING, output_field=IntegerField()))
    )


def _used_as_planned(scope: Scope) -> QuerySet[Any]:
    planned = once_a_count("features of plans", _planned)
    plans_of: dict[frozenset[str], list[str]] = {}
    for code, features in planned.items():
        plans_of.setdefault(features, []).append(code)
    is_planned = Q(pk__in=[])
    for features, codes in plans_of.items():
        on_plan = _on_plan(codes, scope.period.last_day).values("account")
        is_planned |= Q(feature__in=sorted(features), account__in=on_plan)
    return _used_by_customers(scope).filter(is_planned)


ADOPTION_BREADTH = Kpi(
    slug="adoption_breadth",
    label="Adoption breadth",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How much of what their plans include customers use: the features they used in the period, of those "
        "in the plan they are on at its end. Features outside the plan, and customers whose plan names no "
        "features, are left out."
    ),
    has_known_at=False,
    is_additive=False,
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_used_as_planned,
                    amounts={"features_used": distinct(_pair("account_id", "feature"))},
                    columns={"feature": "feature", "for_account": "account"},
                    first_on=up_to_end,
                ),
                Part(
                    facts=_planned_features,
                    amounts={"features_in_plan": Amount(F("kpi_features"))},
                    columns={"plan": "value"},
                    first_on=up_to_end,
                ),
            ),
            numerator="features_used",
            denominator="features_in_plan",
            calculate=adoption_breadth,
            reason="no_features_in_plans",
        ),
    ),
)


def _events_of_active_accounts(scope: Scope) -> QuerySet[Any]:
    return _used_in(scope).filter(account__in=_active_in(scope).values("account"))


ADOPTION_DEPTH = Kpi(
    slug="adoption_depth",
    label="Adoption depth",
    theme=THEME,
    unit="ratio",
    higher_is_better=True,
    kind="rate",
    own_groups=(FEATURE,),
    definition=(
        "How much people do: events in the period for each end user active in it. By feature, each feature's "
        "events stand beside all active users, so that features add up. Accounts of whose people "
        f"nothing is known are left out. {ACTIVE}"
    ),
    has_known_at=False,
    is_additive=False,
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_events_of_active_accounts,
                    amounts={"events": Amount(F("events"))},
                    columns={"feature": "feature"},
                    groups={"feature": "feature"},
                    first_on=within,
                ),
                Part(
                    facts=_active_in,
                    amounts={"active_users": distinct("end_user")},
                    columns=PERSON,
                    first_on=within,
                ),
            ),
            numerator="events",
            denominator="active_users",
            calculate=adoption_depth,
            reason="no_users",
        ),
    ),
)

# --- Licences -------------------------------------------------------------------------


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
    return _window_to(scope.period.last_day).filter(account__in=_contracted(scope).values("account"))


def _accounts_with_seats(scope: Scope) -> QuerySet[Any]:
    """Return accounts with the seats they have and the people who use them."""
    seats = _contracted(scope).filter(account=OuterRef("pk")).order_by().values("account")
    active = _window_to(scope.period.last_day).filter(account=OuterRef("pk")).order_by().values("account")
    people = active.annotate(kpi_people=Count("end_user", distinct=True)).values("kpi_people")
    return (
        Account.objects.annotate(
            kpi_seats=Subquery(seats.annotate(kpi_total=Sum("kpi_seats")).values("kpi_total"), _SEATS),
            kpi_users=Coalesce(Subquery(people, IntegerField()), NOTHING),
        )
        .filter(kpi_seats__gt=0)
        .annotate(
            kpi_unused=Greatest(F("kpi_seats") - Cast("kpi_users", _SEATS), Cast(Value(0), _SEATS)),
            kpi_over=Case(When(kpi_users__gt=F("kpi_seats"), then=ONE), default=NOTHING),
        )
    )


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
        "were paid for. The variant `unused` counts, account by account, the seats nobody uses, and names "
        "the accounts that are over theirs."
    ),
    has_known_at=False,
    variants=(
        Variant(
            label="Share of the seats in use",
            parts=(
                Part(
                    facts=_active_on_a_seat,
                    first_on=up_to_end,
                    amounts={"active_users": distinct(_MEMBER)},
                    columns=PERSON_OF_ACCOUNT,
                ),
                Part(
                    facts=_contracted,
                    first_on=up_to_end,
                    amounts={"seats": quantity("kpi_seats")},
                    columns={"subscription": "pk", "since": "starts_on"},
                ),
            ),
            numerator="active_users",
            denominator="seats",
            calculate=license_utilization,
            reason="no_seats",
        ),
        Variant(
            slug="unused",
            label="Unused seats",
            parts=(
                Part(
                    facts=_accounts_with_seats,
                    amounts={
                        "unused_seats": quantity("kpi_unused"),
                        "accounts_with_seats": Amount(ONE),
                        "accounts_over_their_seats": Amount(F("kpi_over")),
                    },
                    account="",
                    columns={"seats": Cast("kpi_seats", IntegerField()), "active_users": "kpi_users"},
                    first_on=up_to_end,
                ),
            ),
            numerator="unused_seats",
            unit="count",
            formula="contracted seats − end users active in the last 30 days, by account and where above 0",
            source=(
                "daily activity, and the contracts in force on the last day of the period; accounts over "
                "their seats don't make up for the unused seats of others"
            ),
        ),
    ),
)

KPIS = (
    DAILY,
    WEEKLY,
    MONTHLY,
    STICKINESS,
    USER_RETENTION_RATE,
    USER_ABANDONMENT_RATE,
    FEATURE_ADOPTION,
    ADOPTION_BREADTH,
    ADOPTION_DEPTH,
    LICENSE_UTILIZATION,
)
