"""What we did for customers: touches by those who did them, and how many accounts they reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from django.db.models import Case, Exists, F, Min, OuterRef, Q, QuerySet, Value, When

from accounts.models import Account, Assignment, Touch
from csplatform.periods import start_of_day
from metrics.calculations import touch_coverage, wilson_interval
from metrics.kpis.counting import ONE, day_of_moment
from metrics.kpis.definition import Amount, Grouping, Kpi, Part, Scope, Variant, up_to_end, within
from team.models import User

THEME = "Team"
DAYS = 30
Kind = Touch.Kind
# A note is no contact with anybody.
CONTACTS = tuple(kind for kind in Kind if kind != Kind.NOTE)


def people() -> dict[str, str]:
    """Return everybody of us by id, also those who left."""
    return {str(user.pk): str(user) for user in User.objects.order_by("name", "email")[:1000]}


BY = Grouping(slug="by", label="Done by", labels=people)
KIND = Grouping(slug="kind", label="Kind", labels={kind.value: str(kind.label) for kind in CONTACTS})


def _touches(kinds: Iterable[str], *, is_over: bool) -> Callable[[Scope], QuerySet[Any]]:
    wanted = list(kinds)

    def facts(scope: Scope) -> QuerySet[Any]:
        touches = Touch.objects.filter(
            kind__in=wanted,
            happened_at__gte=scope.period.starts_at,
            happened_at__lt=scope.period.ends_at,
        )
        if is_over:
            touches = touches.filter(happened_at__lte=min(scope.as_of, scope.period.ends_at))
        return touches if scope.known_at is None else touches.filter(recorded_at__lte=scope.known_at)

    return facts


def _next_touch(scope: Scope) -> datetime | None:
    """Return when the next of the touches takes place that are entered ahead."""
    ahead = Touch.objects.filter(happened_at__gte=scope.as_of, happened_at__lt=scope.period.ends_at)
    return cast("datetime | None", ahead.aggregate(next=Min("happened_at"))["next"])


def _count(count: str, kinds: Iterable[str], *, is_over: bool = True) -> Part:
    return Part(
        facts=_touches(kinds, is_over=is_over),
        amounts={count: Amount(ONE)},
        csm_on=day_of_moment("happened_at"),
        columns={
            "day": day_of_moment("happened_at"),
            "kind": "kind",
            "by": "user__name",
            "contact": "contact__name",
            "id": "pk",
        },
        groups={"kind": "kind", "by": "user"},
        recorded="recorded_at",
        first_on=within,
        steady_until=_next_touch if is_over else None,
    )


def _activity(
    slug: str,
    label: str,
    definition: str,
    formula: str,
    part: Part,
    groups: tuple[Grouping, ...] = (BY,),
) -> Kpi:
    (count,) = part.amounts
    return Kpi(
        slug=slug,
        label=label,
        theme=THEME,
        unit="count",
        higher_is_better=True,
        kind="flow",
        definition=definition,
        own_groups=groups,
        variants=(Variant(parts=(part,), numerator=count, formula=formula, source="touches"),),
    )


TOUCHES = _activity(
    "touches",
    "Touches",
    "Calls, meetings, mails, trainings, demos, events and check-ins with customers in the period; notes are "
    "no contact and don't count. By CSM it is who held the account that day, whoever of us it was; 'by' is "
    "who did it.",
    "touches by the day they took place, counted",
    _count("touches", CONTACTS),
    (KIND, BY),
)
DEMOS_BOOKED = _activity(
    "demos_booked",
    "Demos booked",
    "Demos with customers in the period, by the day they are booked for: those held and those still ahead.",
    "demos by the day they take place, counted",
    _count("demos", [Kind.DEMO], is_over=False),
)
TRAININGS_HELD = _activity(
    "trainings_held",
    "Trainings held",
    "Trainings of customers in the period that have taken place.",
    "trainings by the day they took place, counted",
    _count("trainings", [Kind.TRAINING]),
)


def _held(scope: Scope) -> QuerySet[Any]:
    """Return the accounts that have a CSM on the last day, with whether anybody was in contact lately."""
    last = scope.period.last_day
    held = Assignment.objects.in_force(last).filter(account=OuterRef("pk"), kind=Assignment.Kind.CSM)
    touches = Touch.objects.filter(
        account=OuterRef("pk"),
        kind__in=CONTACTS,
        happened_at__gte=start_of_day(scope.period.end - timedelta(days=DAYS)),
        happened_at__lt=min(scope.period.ends_at, scope.as_of),
    )
    if scope.known_at is not None:
        touches = touches.filter(recorded_at__lte=scope.known_at)
    return Account.objects.filter(Exists(held)).annotate(
        kpi_touched=Case(When(Q(Exists(touches)), then=ONE), default=Value(0))
    )


TOUCH_COVERAGE = Kpi(
    slug="touch_coverage",
    label="Touch coverage",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="level",
    definition=(
        f"Of the accounts that have a CSM on the last day of the period, the share that any of us was in "
        f"contact with in the {DAYS} days up to it. Notes are no contact."
    ),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_held,
                    amounts={"accounts_touched": Amount(F("kpi_touched")), "accounts_held": Amount(ONE)},
                    account="",
                    first_on=up_to_end,
                    steady_until=_next_touch,
                ),
            ),
            numerator="accounts_touched",
            denominator="accounts_held",
            calculate=touch_coverage,
            interval=lambda counts: wilson_interval(
                part=counts["accounts_touched"], whole=counts["accounts_held"]
            ),
            reason="no_accounts_held",
        ),
    ),
)

KPIS = (TOUCHES, DEMOS_BOOKED, TRAININGS_HELD, TOUCH_COVERAGE)
