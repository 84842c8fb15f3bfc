"""What customers say: confirmed answers, counted in the period in which they were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Concat

from metrics.calculations import (
    customer_effort_score,
    customer_satisfaction,
    ease_share,
    mean_interval,
    mean_score,
    net_promoter_interval,
    net_promoter_score,
    wilson_interval,
)
from metrics.kpis.counting import ONE, day_of_moment
from metrics.kpis.definition import Amount, Kpi, Part, Scope, Variant
from surveys.models import Answer

THEME = "Voice of the customer"
NO_RESPONSES = "no_responses"
NOTHING = Value(0)


def _answers(kind: str) -> Callable[[Scope], QuerySet[Any]]:
    def facts(scope: Scope) -> QuerySet[Any]:
        answers = Answer.objects.counted().filter(kind=kind).given_in(scope.period)
        if scope.known_at is not None:
            answers = answers.filter(response__recorded_at__lte=scope.known_at)
        return answers

    return facts


def _part(kind: str, amounts: Mapping[str, Amount], *, is_on_one_scale: bool = False) -> Part:
    scale = Concat(
        Cast("scale_low", CharField()), Value("–"), Cast("scale_high", CharField()), output_field=CharField()
    )
    return Part(
        facts=_answers(kind),
        amounts=amounts,
        account="response__account",
        csm_on=day_of_moment("response__given_at"),
        anonymous="response__survey__is_anonymous",
        scale=scale if is_on_one_scale else None,
        columns={
            "day": day_of_moment("response__given_at"),
            "survey": "response__survey__name",
            "question": "question",
            "score": "score",
            "answer": "pk",
        },
        recorded="response__recorded_at",
    )


def _if(condition: Q, amount: Any = ONE) -> Amount:
    return Amount(Case(When(condition, then=amount), default=NOTHING))


_PROMOTES, _DETRACTS = Q(score__gte=9), Q(score__lte=6)

NPS = Kpi(
    slug="nps",
    label="Net Promoter Score",
    theme=THEME,
    unit="points",
    higher_is_better=True,
    kind="rate",
    definition=(
        "How far promoters outnumber detractors, of all who said how likely they are to recommend us. "
        "9 and 10 promote, 7 and 8 are passive, 6 and below detract; a skipped question is no answer."
    ),
    benchmark=(Decimal(30), Decimal(70)),
    variants=(
        Variant(
            parts=(
                _part(
                    Answer.Kind.NPS,
                    {
                        "balance": Amount(
                            Case(When(_PROMOTES, then=ONE), When(_DETRACTS, then=Value(-1)), default=NOTHING)
                        ),
                        "answers": Amount(ONE),
                        "promoters": _if(_PROMOTES),
                        "passives": _if(~_PROMOTES & ~_DETRACTS),
                        "detractors": _if(_DETRACTS),
                    },
                ),
            ),
            numerator="balance",
            denominator="answers",
            calculate=net_promoter_score,
            interval=lambda counts: net_promoter_interval(
                promoters=counts["promoters"], detractors=counts["detractors"], answers=counts["answers"]
            ),
            reason=NO_RESPONSES,
        ),
    ),
)

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
    variants=(
        Variant(
            slug="share",
            label="Share of positive answers",
            parts=(
                _part(
                    Answer.Kind.CSAT,
                    {"satisfied": _if(Q(score__gte=F("positive_from"))), "answers": Amount(ONE)},
                ),
            ),
            numerator="satisfied",
            denominator="answers",
            calculate=customer_satisfaction,
            interval=lambda counts: wilson_interval(part=counts["satisfied"], whole=counts["answers"]),
            reason=NO_RESPONSES,
        ),
        Variant(
            slug="mean",
            label="Mean score",
            parts=(
                _part(
                    Answer.Kind.CSAT,
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
            interval=lambda counts: mean_interval(
                total=counts["score_total"], squares=counts["_squares"], answers=counts["answers"]
            ),
            reason=NO_RESPONSES,
            unit="points",
        ),
    ),
)

_EASE = _part(
    Answer.Kind.CES,
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
    variants=(
        Variant(
            slug="mean",
            label="Mean score",
            parts=(_EASE,),
            numerator="score_total",
            denominator="answers",
            calculate=customer_effort_score,
            interval=lambda counts: mean_interval(
                total=counts["score_total"], squares=counts["_squares"], answers=counts["answers"]
            ),
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
            reason=NO_RESPONSES,
            unit="percent",
        ),
    ),
)

KPIS = (NPS, CSAT, CES)
