"""What customers got out of it: their own figures against their baseline, and whom they told of us."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Abs, Cast, Greatest, Least, Round

from accounts.models import Account, Movement, OutcomeMetric, OutcomeValue, Referral
from csplatform.periods import Period, day_of
from metrics.calculations import (
    OUTCOME_STEPS,
    outcome_change,
    outcome_improvement,
    referral_conversion_rate,
    wilson_interval,
)
from metrics.kpis import ledger, voice
from metrics.kpis.counting import ONE
from metrics.kpis.definition import Amount, Grouping, Kpi, Part, Scope, Variant, up_to_end

THEME = "Outcomes and referrals"
NOTHING = Value(0)
FIGURE = DecimalField(max_digits=19, decimal_places=6)
# Beyond a million million per cent a change no longer fits, nor does it matter.
FURTHEST = 10**18


def _figures(scope: Scope) -> QuerySet[Any]:
    """Return customers' figures with a baseline and a reading, and how far the latest is from it."""
    readings = OutcomeValue.objects.filter(metric=OuterRef("pk"), day__lt=scope.period.end)
    if scope.known_at is not None:
        readings = readings.filter(recorded_at__lte=scope.known_at)
    latest = readings.order_by("-day", "-recorded_at", "-pk")
    share = ExpressionWrapper(
        Cast(F("kpi_now") - F("baseline"), FloatField()) / Cast(Abs("baseline"), FloatField()),
        output_field=FloatField(),
    )
    steps = Greatest(
        Least(share * Value(float(100 * OUTCOME_STEPS)), Value(float(FURTHEST))), Value(float(-FURTHEST))
    )
    up = Q(higher_is_better=True)
    return (
        OutcomeMetric.objects.filter(account__in=ledger.accounts_that_are_customers(scope, "end"))
        .exclude(baseline=0)
        .filter(baseline__isnull=False)
        .annotate(
            kpi_now=Subquery(latest.values("value")[:1], output_field=FIGURE),
            kpi_read_on=Subquery(latest.values("day")[:1]),
        )
        .filter(kpi_now__isnull=False)
        .annotate(kpi_change=Cast(Round(steps), BigIntegerField()))
        .annotate(
            kpi_better=Case(When(up, then=F("kpi_change")), default=-F("kpi_change")),
        )
    )


def _part(spread: str) -> Part:
    return Part(
        facts=_figures,
        amounts={
            "improved": Amount(Case(When(kpi_better__gt=0, then=ONE), default=NOTHING)),
            "figures": Amount(ONE),
            "worsened": Amount(Case(When(kpi_better__lt=0, then=ONE), default=NOTHING)),
        },
        columns={
            "figure": "name",
            "unit": "unit",
            "baseline": "baseline",
            "now": "kpi_now",
            "read_on": "kpi_read_on",
            "better_when": Case(
                When(higher_is_better=True, then=Value("higher")),
                default=Value("lower"),
                output_field=CharField(),
            ),
        },
        groups={"metric": "name"},
        spread=F(spread),
    )


def _metric_names() -> dict[str, str]:
    names = OutcomeMetric.objects.order_by("name").values_list("name", flat=True).distinct()[:500]
    return {name: name for name in names}


OUTCOME_CHANGE = Kpi(
    slug="outcome_change",
    label="Customers' outcomes",
    theme=THEME,
    unit="percent",
    higher_is_better=None,
    kind="level",
    definition=(
        "How far customers' own business figures (revenue, employees, leads …) are from their baseline at "
        "purchase: the median over all figures that have a baseline and a reading up to the end of the "
        "period. The median, because one figure that grew from 1 to 300 would drown a mean, and because "
        "figures in different units cannot be added up. Whether up is better differs from figure to figure: "
        "how many improved and worsened stands beside it, and the variant improvement turns the sign of "
        "figures that are better when lower. Only figures of accounts that are customers at the end count."
    ),
    own_groups=(Grouping(slug="metric", label="Figure", labels=_metric_names),),
    variants=(
        Variant(
            slug="change",
            label="Median change",
            parts=(_part("kpi_change"),),
            numerator="improved",
            denominator="figures",
            calculate=outcome_change,
            reason="no_outcomes",
        ),
        Variant(
            slug="improvement",
            label="Median improvement",
            parts=(_part("kpi_better"),),
            numerator="improved",
            denominator="figures",
            calculate=outcome_improvement,
            reason="no_outcomes",
        ),
    ),
)


# --- Referrals ------------------------------------------------------------------------

BANDS = {
    "promoter": "Likely to refer (promoters)",
    "passive": "Passives",
    "detractor": "Unlikely to refer (detractors)",
}
LIKELY = Grouping(slug="likely", label="Likely to refer", labels=BANDS)


def _year(scope: Scope) -> Scope:
    """Return the year up to the end of the period: what somebody said in it still holds."""
    year = Period(scope.period.end - timedelta(days=365), scope.period.end)
    return Scope(year, scope.now, scope.known_at)


def _referrals(scope: Scope) -> QuerySet[Any]:
    """Return the referrals made in the period, what came of them, and how likely they were."""
    today = day_of(scope.as_of)
    # Nobody has to write down what the contracts say.
    joined = Movement.objects.known_at(scope.known_at).filter(
        account=OuterRef("referred_account"),
        customers__gt=0,
        effective_on__gte=OuterRef("referred_on"),
        effective_on__lte=today,
    )
    is_noted = Q(converted_on__lte=today)
    referrals = Referral.objects.filter(referred_on__gte=scope.period.start, referred_on__lt=scope.period.end)
    if scope.known_at is not None:
        referrals = referrals.filter(recorded_at__lte=scope.known_at)
        is_noted &= Q(conversion_recorded_at__isnull=True) | Q(conversion_recorded_at__lte=scope.known_at)
    year = _year(scope)

    def said(voted: Q) -> Q:
        return Q(account__in=voice.accounts_that(voted, year))

    return referrals.annotate(
        kpi_converted=Case(When(is_noted | Exists(joined), then=ONE), default=NOTHING),
        kpi_likely=Case(
            When(said(voice.PROMOTES), then=Value("promoter")),
            When(said(voice.DETRACTS), then=Value("detractor")),
            When(said(voice.VOTES), then=Value("passive")),
            default=Value(""),
            output_field=CharField(),
        ),
    )


def _likely(scope: Scope) -> QuerySet[Any]:
    """Return the promoters, with whether they referred somebody in the period."""
    referrers = _referrals(scope).order_by().values("account")
    return Account.objects.filter(pk__in=voice.accounts_that(voice.PROMOTES, _year(scope))).annotate(
        kpi_did=Case(When(pk__in=referrers, then=ONE), default=NOTHING)
    )


_MADE = Part(
    facts=_referrals,
    amounts={
        "referrals": Amount(ONE),
        "converted": Amount(F("kpi_converted")),
        "by_promoters": Amount(Case(When(kpi_likely="promoter", then=ONE), default=NOTHING)),
    },
    csm_on=F("referred_on"),
    columns={
        "referred": "referred_name",
        "referred_on": "referred_on",
        "by": "contact__name",
        "became_customer_on": "converted_on",
        "id": "pk",
    },
    groups={"likely": "kpi_likely"},
)

REFERRALS = Kpi(
    slug="referrals",
    label="Referrals",
    theme=THEME,
    unit="count",
    higher_is_better=True,
    kind="flow",
    definition=(
        "How often customers told somebody else about us in the period; the rows say who referred whom. "
        "Beside it stand those who said that they are likely to: the accounts whose latest answers of the "
        "year up to the period's end promote us, and how many of them did refer in the period. Group by "
        "'likely' to see who refers without being asked how likely that is."
    ),
    own_groups=(LIKELY,),
    variants=(
        Variant(
            parts=(
                _MADE,
                Part(
                    facts=_likely,
                    amounts={
                        "promoting_accounts": Amount(ONE),
                        "promoters_who_referred": Amount(F("kpi_did")),
                    },
                    account="",
                    first_on=up_to_end,
                ),
            ),
            numerator="referrals",
            formula="referrals by the day they were made, counted",
            source="referrals; answers to 'How likely are you to recommend us?'",
        ),
    ),
)

REFERRAL_CONVERSION_RATE = Kpi(
    slug="referral_conversion_rate",
    label="Referrals that became customers",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "Of the referrals made in the period, the share that has become a customer since, by what was noted "
        "or by the referred account's first revenue. The newest ones still have time, so the figure rises."
    ),
    own_groups=(LIKELY,),
    default_months=12,
    variants=(
        Variant(
            parts=(_MADE,),
            numerator="converted",
            denominator="referrals",
            calculate=referral_conversion_rate,
            interval=lambda counts: wilson_interval(part=counts["converted"], whole=counts["referrals"]),
            reason="no_referrals",
        ),
    ),
)

KPIS = (OUTCOME_CHANGE, REFERRALS, REFERRAL_CONVERSION_RATE)
