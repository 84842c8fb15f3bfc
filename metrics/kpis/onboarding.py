"""How customers get started: onboarding, time to value, tutorials.

All of it is asked of those who started, or were due, in the period, and says what has become
of them by the day we look from. So the figures of the newest weeks still move.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Case, DateField, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Coalesce, Greatest, Lower

from accounts.models import Milestone
from csplatform.periods import day_of
from metrics import survival
from metrics.calculations import (
    onboarded_on_time,
    onboarding_completion_rate,
    tutorial_visits,
    wilson_interval,
)
from metrics.kpis.counting import ONE, DaysBetween
from metrics.kpis.definition import Amount, Counts, Grouping, Kpi, Part, Scope, Variant
from usage.models import UsageDay

THEME = "Onboarding"
NOTHING = Value(0)
# A year: of one month's starters few are done.
MONTHS = 12
ENDS_ONBOARDING = "The milestones that end it are named in the setting ONBOARDING_MILESTONES."
DATES = DateField()


def _milestones(scope: Scope) -> QuerySet[Any]:
    """Return what is known of milestones: when each was started, and reached, if it was by then."""
    today = day_of(scope.as_of)
    milestones = Milestone.objects.annotate(
        kpi_name=Lower("name"),
        # An account that nobody wrote a start down for started as a customer.
        kpi_started=Coalesce("started_on", "account__joined_on", output_field=DATES),
    )
    is_reached = Q(reached_on__lte=today)
    if scope.known_at is not None:
        milestones = milestones.filter(recorded_at__lte=scope.known_at)
        is_reached &= Q(reach_recorded_at__isnull=True) | Q(reach_recorded_at__lte=scope.known_at)
    return milestones.annotate(
        kpi_reached=Case(When(is_reached, then=F("reached_on")), default=None, output_field=DATES),
    ).annotate(
        kpi_is_reached=Case(When(kpi_reached__isnull=False, then=ONE), default=NOTHING),
        kpi_until=Coalesce("kpi_reached", Cast(Value(today), DATES), output_field=DATES),
    )


def _names() -> list[str]:
    return [name.strip().lower() for name in settings.ONBOARDING_MILESTONES]


def _onboardings(scope: Scope) -> QuerySet[Any]:
    """Return the milestone that ends the onboarding of each account: the first, if it has several."""
    ends_it = Q(kpi_name__in=_names())
    earlier = Milestone.objects.annotate(kpi_name=Lower("name")).filter(
        ends_it, account=OuterRef("account"), pk__lt=OuterRef("pk")
    )
    return _milestones(scope).filter(ends_it & ~Exists(earlier))


def _started(milestones: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
    """Keep those started in the period, with the days from then until they were reached, or until now."""
    return milestones.filter(
        kpi_started__gte=scope.period.start,
        kpi_started__lt=scope.period.end,
        kpi_started__lte=day_of(scope.as_of),
    ).annotate(kpi_days=Greatest(DaysBetween("kpi_started", "kpi_until"), NOTHING))


def _waits(milestones: Any, reached: str) -> Part:
    return Part(
        facts=lambda scope: _started(milestones(scope), scope),
        amounts={
            reached: Amount(F("kpi_is_reached")),
            "started": Amount(ONE),
            "not_yet": Amount(ONE - F("kpi_is_reached")),
        },
        csm_on=F("kpi_until"),
        columns={
            "milestone": "name",
            "started_on": "kpi_started",
            "reached_on": "kpi_reached",
            "days": "kpi_days",
        },
        groups={"milestone": "name"},
        spread=F("kpi_days"),
    )


_ONBOARDING = _waits(_onboardings, "completed")
_TO_VALUE = _waits(lambda scope: _milestones(scope).exclude(kpi_name__in=_names()), "reached")


def _reason(counts: Counts) -> str:
    return "fewer_than_half_yet" if counts["started"] else "nobody_started"


def _due(scope: Scope) -> QuerySet[Any]:
    """Return the onboardings that were to be over in the period, as far as that day has come."""
    return (
        _onboardings(scope)
        .filter(due_on__gte=scope.period.start, due_on__lt=scope.period.end, due_on__lte=day_of(scope.as_of))
        .annotate(
            kpi_on_time=Case(When(kpi_reached__lte=F("due_on"), then=ONE), default=NOTHING),
        )
    )


_DUE = Part(
    facts=_due,
    amounts={
        "completed": Amount(F("kpi_is_reached")),
        "due": Amount(ONE),
        "completed_on_time": Amount(F("kpi_on_time")),
    },
    csm_on=F("due_on"),
    columns={"milestone": "name", "due_on": "due_on", "reached_on": "kpi_reached"},
)

ONBOARDING_COMPLETION_RATE = Kpi(
    slug="onboarding_completion_rate",
    label="Onboarding completed",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "Of the accounts whose onboarding was due in the period, the share that has completed it, late or "
        f"not; the variant on_time leaves out the late ones. {ENDS_ONBOARDING} An onboarding without a due "
        "day is due at no time and counts in the time it takes only."
    ),
    default_months=3,
    variants=(
        Variant(
            slug="completed",
            label="Completed by now",
            parts=(_DUE,),
            numerator="completed",
            denominator="due",
            calculate=onboarding_completion_rate,
            interval=lambda counts: wilson_interval(part=counts["completed"], whole=counts["due"]),
            reason="nothing_due",
        ),
        Variant(
            slug="on_time",
            label="Completed on time",
            parts=(_DUE,),
            numerator="completed_on_time",
            denominator="due",
            calculate=onboarded_on_time,
            interval=lambda counts: wilson_interval(part=counts["completed_on_time"], whole=counts["due"]),
            reason="nothing_due",
        ),
    ),
)

ONBOARDING_TIME = Kpi(
    slug="onboarding_time",
    label="Time to onboard",
    theme=THEME,
    unit="days",
    higher_is_better=False,
    kind="rate",
    definition=(
        "Days from the start of onboarding to its end, for the accounts that started in the period: after "
        "so many days half of them are done. Whoever is not done yet counts for as long as they have been "
        "at it, also an account that has left since; dropping them would make us look faster than we are. "
        f"{ENDS_ONBOARDING}"
    ),
    default_months=MONTHS,
    variants=(
        Variant(
            parts=(_ONBOARDING,),
            numerator="completed",
            denominator="started",
            calculate=survival.onboarding_time,
            interval_of_spread=lambda spread: survival.interval_of(spread, reached="completed"),
            survival=lambda spread: survival.curve_of(spread, reached="completed"),
            reason="nobody_started",
            reason_of=_reason,
        ),
    ),
)


def _milestone_names() -> dict[str, str]:
    names = Milestone.objects.order_by("name").values_list("name", flat=True).distinct()[:500]
    return {name: name for name in names}


TIME_TO_VALUE = Kpi(
    slug="time_to_value",
    label="Time to value",
    theme=THEME,
    unit="days",
    higher_is_better=False,
    kind="rate",
    definition=(
        "Days from the start to a milestone, such as '100 contacts imported', for what was started in the "
        "period: after so many days half have reached it. Group or filter by milestone to see one of them; "
        "together each counts by itself. Whoever has not reached it yet counts for as long as they have "
        "been at it. The end of onboarding has a KPI of its own and is left out."
    ),
    own_groups=(Grouping(slug="milestone", label="Milestone", labels=_milestone_names),),
    default_months=MONTHS,
    variants=(
        Variant(
            parts=(_TO_VALUE,),
            numerator="reached",
            denominator="started",
            calculate=survival.time_to_value,
            interval_of_spread=lambda spread: survival.interval_of(spread, reached="reached"),
            survival=lambda spread: survival.curve_of(spread, reached="reached"),
            reason="nobody_started",
            reason_of=_reason,
        ),
    ),
)


def _in_onboarding(scope: Scope) -> QuerySet[Any]:
    """Return the onboardings that went on at some time of the period; who left before it has none."""
    return _onboardings(scope).filter(
        Q(reached_on__isnull=True) | Q(reached_on__gte=scope.period.start),
        Q(account__left_on__isnull=True) | Q(account__left_on__gte=scope.period.start),
        kpi_started__lt=scope.period.end,
        kpi_started__lte=day_of(scope.as_of),
    )


def _is_tutorial() -> Q:
    found = Q()
    for name in settings.TUTORIAL_FEATURES:
        text = name.strip()
        found |= Q(feature__istartswith=text[:-1]) if text.endswith("*") else Q(feature__iexact=text)
    return found


def _visits(scope: Scope) -> QuerySet[Any]:
    """Return the tutorials that accounts looked at while they were in onboarding."""
    at_that_time = _in_onboarding(scope).filter(
        Q(reached_on__isnull=True) | Q(reached_on__gte=OuterRef("day")),
        account=OuterRef("account"),
        kpi_started__lte=OuterRef("day"),
    )
    return UsageDay.objects.filter(
        _is_tutorial(),
        Exists(at_that_time),
        day__gte=scope.period.start,
        day__lt=scope.period.end,
        account__in=_in_onboarding(scope).values("account"),
    )


TUTORIAL_VISITS = Kpi(
    slug="tutorial_visits",
    label="Tutorial visits",
    theme=THEME,
    unit="count",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How often an account in onboarding looks at tutorials, on average: visits in the period while it "
        "was in onboarding, divided by the accounts that were in onboarding at some time of the period. "
        "Tutorials are the features named in the setting TUTORIAL_FEATURES, those whose name begins with "
        f"'Tutorial' unless it says otherwise. {ENDS_ONBOARDING}"
    ),
    own_groups=(Grouping(slug="tutorial", label="Tutorial"),),
    has_known_at=False,
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_visits,
                    amounts={"visits": Amount(F("events"))},
                    csm_on=F("day"),
                    columns={"day": "day", "tutorial": "feature"},
                    groups={"tutorial": "feature"},
                ),
                Part(
                    facts=_in_onboarding,
                    amounts={"accounts_in_onboarding": Amount(ONE)},
                    columns={"milestone": "name", "started_on": "kpi_started", "reached_on": "kpi_reached"},
                ),
            ),
            numerator="visits",
            denominator="accounts_in_onboarding",
            calculate=tutorial_visits,
            reason="nobody_in_onboarding",
        ),
    ),
)

KPIS = (ONBOARDING_COMPLETION_RATE, ONBOARDING_TIME, TIME_TO_VALUE, TUTORIAL_VISITS)
