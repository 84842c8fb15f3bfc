"""What customers say: confirmed answers, counted in the period in which they were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import (
    Avg,
    BigIntegerField,
    Case,
    CharField,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Concat, NullIf, RowNumber

from accounts.models import Account
from metrics.calculations import (
    Estimate,
    Interval,
    account_net_promoter_score,
    customer_effort_score,
    customer_satisfaction,
    ease_share,
    mean_estimate,
    mean_interval,
    mean_score,
    net_promoter_estimate,
    net_promoter_interval,
    net_promoter_score,
    response_rate,
    share_estimate,
    wilson_interval,
)
from metrics.kpis.counting import ONE, day_of_moment
from metrics.kpis.definition import (
    UNNAMEABLE,
    Amount,
    Counts,
    Grouping,
    Kpi,
    Part,
    Scope,
    Variant,
    within,
)
from surveys.models import Answer, Invitation, Response, Survey

THEME = "Voice of the customer"
NO_RESPONSES = "no_responses"
NOTHING = Value(0)
# How many names a page offers.
MOST_NAMES = 500


# --- How answers can be grouped -------------------------------------------------------


def _surveys() -> dict[str, str]:
    names = Survey.objects.order_by("name").values_list("name", flat=True)[:MOST_NAMES]
    return {name: name for name in names}


def _attributes() -> dict[str, str]:
    """Return the further columns of imported surveys, as the latest response of each has them."""
    latest = (
        Response.objects.filter(survey=OuterRef("pk"), state=Response.State.CONFIRMED)
        .order_by("-given_at", "-pk")
        .values("pk")[:1]
    )
    found = Response.objects.filter(
        pk__in=Survey.objects.order_by("-pk")[:MOST_NAMES].values(kpi=Subquery(latest))
    )
    names = {
        name
        for attributes in found.values_list("attributes", flat=True)
        for name in attributes
        if not set(name) & UNNAMEABLE
    }
    return {name: name for name in sorted(names)[:MOST_NAMES]}


SURVEY = Grouping(slug="survey", label="Survey", labels=_surveys)
QUESTION = Grouping(slug="question", label="Question")
LANGUAGE = Grouping(slug="language", label="Language")
SCALE = Grouping(slug="scale", label="Scale")
ATTRIBUTE = Grouping(slug="attribute", label="Column of the survey", labels=_attributes, takes_name=True)


def _scale(dash: str) -> Combinable:
    return Concat(
        Cast("scale_low", CharField()), Value(dash), Cast("scale_high", CharField()), output_field=CharField()
    )


def _attribute(name: str) -> Combinable:
    # SQLite writes JSON's null as text.
    return NullIf(KeyTextTransform(name, "response__attributes"), Value("null"))


GROUPS: Mapping[str, Any] = {
    "survey": "response__survey__name",
    "question": "question",
    "language": "response__language",
    "scale": _scale("-"),
    "attribute": _attribute,
}


# --- What was answered ----------------------------------------------------------------


def _answers(kind: str) -> Callable[[Scope], QuerySet[Any]]:
    def facts(scope: Scope) -> QuerySet[Any]:
        answers = Answer.objects.counted().filter(kind=kind).given_in(scope.period)
        if scope.known_at is not None:
            answers = answers.filter(response__recorded_at__lte=scope.known_at)
        return answers

    return facts


def _nps_answers(scope: Scope) -> QuerySet[Any]:
    is_from_before = Q(response__invitation__sent_at__lt=scope.period.starts_at)
    return _answers(Answer.Kind.NPS)(scope).annotate(
        kpi_asked_before=Case(When(is_from_before, then=ONE), default=NOTHING)
    )


def _part(
    facts: Callable[[Scope], QuerySet[Any]], amounts: Mapping[str, Amount], *, is_on_one_scale: bool = False
) -> Part:
    return Part(
        facts=facts,
        amounts=amounts,
        account="response__account",
        csm_on=day_of_moment("response__given_at"),
        anonymous="response__survey__is_anonymous",
        scale=_scale("–") if is_on_one_scale else None,
        groups=GROUPS,
        columns={
            "day": day_of_moment("response__given_at"),
            "survey": "response__survey__name",
            "question": "question",
            "score": "score",
            "answer": "pk",
        },
        recorded="response__recorded_at",
        first_on=within,
    )


def _if(condition: Q, amount: Any = ONE) -> Amount:
    return Amount(Case(When(condition, then=amount), default=NOTHING))


_PROMOTES, _DETRACTS = Q(score__gte=9), Q(score__lte=6)


def _invitations(scope: Scope) -> QuerySet[Any]:
    """Return the invitations sent in the period, with what had become of them when we look back."""
    is_bounced = Q(state=Invitation.State.BOUNCED)
    has_answered = Q(response__isnull=True, answered_at__isnull=False)
    has_answered |= Q(response__state=Response.State.CONFIRMED)
    if scope.known_at is not None:
        is_bounced &= Q(bounced_at__isnull=True) | Q(bounced_at__lte=scope.known_at)
        has_answered &= Q(answered_at__lte=scope.known_at)
        has_answered &= Q(response__isnull=True) | Q(response__recorded_at__lte=scope.known_at)
    return (
        Invitation.objects.sent_in(scope.period)
        .known_at(scope.known_at)
        .annotate(
            kpi_delivered=Case(When(is_bounced, then=NOTHING), default=ONE),
            kpi_answered=Case(When(has_answered, then=ONE), default=NOTHING),
        )
    )


def _asked_for_nps(scope: Scope) -> QuerySet[Any]:
    """Return those asked in the period by the surveys whose score is counted."""
    surveys = _answers(Answer.Kind.NPS)(scope).order_by().values("response__survey")
    return _invitations(scope).filter(survey__in=surveys)


# Whom an NPS speaks for, where that is known: asked in the period, or earlier and answered in it.
_POPULATION = Part(
    facts=_asked_for_nps,
    amounts={"_asked": Amount(F("kpi_delivered"))},
    csm_on=day_of_moment("sent_at"),
    groups={"survey": "survey__name"},
    first_on=within,
)


def _interval_of_nps(counts: Counts) -> Interval | None:
    population = counts["_asked"] + counts["_asked_before"]
    return net_promoter_interval(
        promoters=counts["promoters"],
        detractors=counts["detractors"],
        answers=counts["answers"],
        population=population if counts["_invited"] == counts["answers"] else None,
    )


def _estimate_of_nps(counts: Counts) -> Estimate | None:
    return net_promoter_estimate(
        promoters=counts["promoters"], detractors=counts["detractors"], answers=counts["answers"]
    )


NPS = Kpi(
    slug="nps",
    label="Net Promoter Score",
    theme=THEME,
    unit="points",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How far promoters outnumber detractors, of all who said how likely they are to recommend us. "
        "9 and 10 promote, 7 and 8 are passive, 6 and below detract; a skipped question is no answer. When "
        "every answer came from an invitation, the interval is narrowed by the share of those asked who "
        "answered (finite population correction)."
    ),
    own_groups=(SURVEY, LANGUAGE, SCALE, ATTRIBUTE),
    benchmark=(Decimal(30), Decimal(70)),
    variants=(
        Variant(
            parts=(
                _part(
                    _nps_answers,
                    {
                        "balance": Amount(
                            Case(When(_PROMOTES, then=ONE), When(_DETRACTS, then=Value(-1)), default=NOTHING)
                        ),
                        "answers": Amount(ONE),
                        "promoters": _if(_PROMOTES),
                        "passives": _if(~_PROMOTES & ~_DETRACTS),
                        "detractors": _if(_DETRACTS),
                        "_invited": _if(Q(response__invitation__isnull=False)),
                        "_asked_before": Amount(F("kpi_asked_before")),
                    },
                ),
                _POPULATION,
            ),
            numerator="balance",
            denominator="answers",
            calculate=net_promoter_score,
            interval=_interval_of_nps,
            estimate=_estimate_of_nps,
            reason=NO_RESPONSES,
        ),
    ),
)


def _of_mean(counts: Counts) -> dict[str, Decimal]:
    return {
        "total": counts["score_total"],
        "squares": counts["_squares"],
        "answers": counts["answers"],
    }


CSAT = Kpi(
    slug="csat",
    label="Customer satisfaction",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "The share of answers to satisfaction questions that are positive. From which score on an answer is "
        "positive belongs to the question: 4 of 5 as a rule. The mean needs all answers on one scale."
    ),
    own_groups=(SURVEY, QUESTION, LANGUAGE, SCALE, ATTRIBUTE),
    variants=(
        Variant(
            slug="share",
            label="Share of positive answers",
            parts=(
                _part(
                    _answers(Answer.Kind.CSAT),
                    {"satisfied": _if(Q(score__gte=F("positive_from"))), "answers": Amount(ONE)},
                ),
            ),
            numerator="satisfied",
            denominator="answers",
            calculate=customer_satisfaction,
            interval=lambda counts: wilson_interval(part=counts["satisfied"], whole=counts["answers"]),
            estimate=lambda counts: share_estimate(part=counts["satisfied"], whole=counts["answers"]),
            reason=NO_RESPONSES,
        ),
        Variant(
            slug="mean",
            label="Mean score",
            parts=(
                _part(
                    _answers(Answer.Kind.CSAT),
                    {
                        "score_total": Amount(F("score")),
                        "answers": Amount(ONE),
                        "_squares": Amount(F("score") * F("score")),
                    },
                    is_on_one_scale=True,
                ),
            ),
            numerator="score_total",
            denominator="answers",
            calculate=mean_score,
            interval=lambda counts: mean_interval(**_of_mean(counts)),
            estimate=lambda counts: mean_estimate(**_of_mean(counts)),
            reason=NO_RESPONSES,
            unit="points",
        ),
    ),
)

_EASE = _part(
    _answers(Answer.Kind.CES),
    {
        "score_total": Amount(F("score")),
        "answers": Amount(ONE),
        "easy": _if(Q(score__gte=5)),
        "_squares": Amount(F("score") * F("score")),
    },
)

CES = Kpi(
    slug="ces",
    label="Customer effort score",
    theme=THEME,
    unit="points",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How far customers agree that it was easy, from 1 (strongly disagree) to 7 (strongly agree): the "
        "mean, and beside it the share of 5 to 7. The interval of the mean is the normal approximation."
    ),
    own_groups=(SURVEY, QUESTION, LANGUAGE, ATTRIBUTE),
    variants=(
        Variant(
            slug="mean",
            label="Mean score",
            parts=(_EASE,),
            numerator="score_total",
            denominator="answers",
            calculate=customer_effort_score,
            interval=lambda counts: mean_interval(**_of_mean(counts)),
            estimate=lambda counts: mean_estimate(**_of_mean(counts)),
            reason=NO_RESPONSES,
        ),
        Variant(
            slug="share",
            label="Share of 5 to 7",
            parts=(_EASE,),
            numerator="easy",
            denominator="answers",
            calculate=ease_share,
            interval=lambda counts: wilson_interval(part=counts["easy"], whole=counts["answers"]),
            estimate=lambda counts: share_estimate(part=counts["easy"], whole=counts["answers"]),
            reason=NO_RESPONSES,
            unit="percent",
        ),
    ),
)


def _named_answers(scope: Scope) -> QuerySet[Any]:
    return _answers(Answer.Kind.NPS)(scope).filter(
        response__account__isnull=False, response__survey__is_anonymous=False
    )


def accounts_that(voted: Q, scope: Scope) -> QuerySet[Any]:
    """Return the ids of the accounts whose `kpi_mean`, that of their contacts' latest scores, is so.

    A set that stands by itself: asked of each account anew, the same mean took PostgreSQL seconds.
    """
    # Who answered without a name stands for themselves: no two responses have one negative id.
    voice = Coalesce(F("response__contact"), -F("response"), output_field=BigIntegerField())
    number = Window(
        RowNumber(),
        partition_by=[F("response__account"), voice],
        order_by=[F("response__given_at").desc(), F("pk").desc()],
    )
    latest = _named_answers(scope).annotate(kpi_number=number).filter(kpi_number=1)
    return (
        Answer.objects.filter(pk__in=latest.order_by().values("pk"))
        .order_by()
        .values("response__account")
        .annotate(kpi_mean=Avg("score"))
        .filter(voted)
        .values("response__account")
    )


PROMOTES, DETRACTS, VOTES = Q(kpi_mean__gte=9), Q(kpi_mean__lt=7), Q(kpi_mean__isnull=False)


def account_votes(scope: Scope) -> QuerySet[Any]:
    """Return the accounts that answered, each with its one vote."""
    promotes, detracts = (Q(pk__in=accounts_that(voted, scope)) for voted in (PROMOTES, DETRACTS))
    return Account.objects.filter(pk__in=_named_answers(scope).values("response__account")).annotate(
        kpi_promotes=Case(When(promotes, then=ONE), default=NOTHING),
        kpi_detracts=Case(When(detracts, then=ONE), default=NOTHING),
    )


NPS_ACCOUNT = Kpi(
    slug="nps_account",
    label="Net Promoter Score by account",
    theme=THEME,
    unit="points",
    higher_is_better=True,
    kind="rate",
    definition=(
        "The Net Promoter Score with one vote for each account, so that those who answer much do not drown "
        "out the others: of each contact the latest answer of the period, averaged over the account's "
        "contacts. A mean of 9 and above promotes, one below 7 detracts; nothing is rounded before. "
        "Anonymous answers belong to no account and are left out."
    ),
    benchmark=(Decimal(30), Decimal(70)),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=account_votes,
                    first_on=within,
                    amounts={
                        "balance": Amount(F("kpi_promotes") - F("kpi_detracts")),
                        "accounts": Amount(ONE),
                        "promoters": Amount(F("kpi_promotes")),
                        "passives": Amount(ONE - F("kpi_promotes") - F("kpi_detracts")),
                        "detractors": Amount(F("kpi_detracts")),
                    },
                    account="",
                    columns={
                        "vote": Case(
                            When(kpi_promotes=1, then=Value("promoter")),
                            When(kpi_detracts=1, then=Value("detractor")),
                            default=Value("passive"),
                            output_field=CharField(),
                        )
                    },
                ),
            ),
            numerator="balance",
            denominator="accounts",
            calculate=account_net_promoter_score,
            interval=lambda counts: net_promoter_interval(
                promoters=counts["promoters"], detractors=counts["detractors"], answers=counts["accounts"]
            ),
            estimate=lambda counts: net_promoter_estimate(
                promoters=counts["promoters"], detractors=counts["detractors"], answers=counts["accounts"]
            ),
            reason=NO_RESPONSES,
        ),
    ),
)


def _not_anonymous(scope: Scope) -> QuerySet[Any]:
    return _invitations(scope).filter(survey__is_anonymous=False)


RESPONSE_RATE = Kpi(
    slug="response_rate",
    label="Response rate",
    theme=THEME,
    unit="percent",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How many of those asked have answered. An answer counts in the period in which its invitation was "
        "sent, however late it came, so the figure of the newest weeks still rises. Delivered is whatever "
        "was sent and did not bounce. Anonymous surveys are left out: who answered them is not kept."
    ),
    own_groups=(SURVEY, LANGUAGE),
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_not_anonymous,
                    amounts={
                        "answered": Amount(F("kpi_answered")),
                        "delivered": Amount(F("kpi_delivered")),
                        "sent": Amount(ONE),
                        "bounced": Amount(ONE - F("kpi_delivered")),
                    },
                    csm_on=day_of_moment("sent_at"),
                    columns={
                        "sent_on": day_of_moment("sent_at"),
                        "survey": "survey__name",
                        "contact": "contact__name",
                        "answered_on": day_of_moment("answered_at"),
                        "id": "pk",
                    },
                    groups={"survey": "survey__name", "language": "contact__language"},
                ),
            ),
            numerator="answered",
            denominator="delivered",
            calculate=response_rate,
            interval=lambda counts: wilson_interval(part=counts["answered"], whole=counts["delivered"]),
            estimate=lambda counts: share_estimate(part=counts["answered"], whole=counts["delivered"]),
            reason="nothing_delivered",
        ),
    ),
)

KPIS = (NPS, NPS_ACCOUNT, CSAT, CES, RESPONSE_RATE)
