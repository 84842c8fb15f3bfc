"""How the queue orders accounts: plain arithmetic, no Django, no clock.

priority = money at stake × likelihood of losing it × urgency

The ranking in the database (`playbooks.attention`) uses the very same tables; a test compares the
two. The figures are a stated order of work, not a forecast: they are not trained on history.
"""

from __future__ import annotations

from decimal import Decimal

MONTHS = 12

# Without a score we know too little to relax, and too little to sound the alarm.
LIKELIHOOD_WITHOUT_SCORE = Decimal("0.30")
LEAST_LIKELY = Decimal("0.05")
MOST_LIKELY = Decimal("0.95")

# Days until the contract renews, and how urgent that makes it: (up to so many days, weight).
RENEWAL_STEPS: list[tuple[int, Decimal]] = [
    (30, Decimal("1.0")),
    (60, Decimal("0.8")),
    (90, Decimal("0.6")),
    (180, Decimal("0.4")),
]
URGENCY_LATER = Decimal("0.2")
# No term to wait for: they can leave any month.
URGENCY_WITHOUT_TERM = Decimal("0.5")

# Points lost in a week: a drop of 20 or more doubles the urgency.
DROP_THAT_DOUBLES = 20
# What makes an account worth a line although its band is green.
NOTABLE_DROP = 5
RENEWAL_IN_SIGHT_DAYS = 45


def likelihood(score: Decimal | None) -> Decimal:
    """Return the weight of a health score: the points missing to 100, as a share.

    Formula: (100 − score) ÷ 100, held between 0.05 and 0.95; no score gives 0.30

    >>> likelihood(Decimal(38))
    Decimal('0.62')
    >>> likelihood(Decimal(100)), likelihood(None)
    (Decimal('0.05'), Decimal('0.30'))
    """
    if score is None:
        return LIKELIHOOD_WITHOUT_SCORE
    return min(max((100 - score) / 100, LEAST_LIKELY), MOST_LIKELY)


def urgency(days_to_renewal: int | None, change: Decimal | None) -> Decimal:
    """Return how soon an account wants somebody: by its renewal, more when it has just dropped.

    Formula: renewal weight × (1 + points lost in 7 days ÷ 20, at most 1)
    Renewal: 1.0 within 30 days, 0.8 within 60, 0.6 within 90, 0.4 within 180, 0.2 later;
             0.5 without a contract term

    >>> urgency(12, Decimal(-10))
    Decimal('1.50')
    >>> urgency(400, None), urgency(None, Decimal(8))
    (Decimal('0.2'), Decimal('0.5'))
    """
    if days_to_renewal is None:
        weight = URGENCY_WITHOUT_TERM
    else:
        weight = next((w for days, w in RENEWAL_STEPS if days_to_renewal <= days), URGENCY_LATER)
    if change is None or change >= 0:
        return weight
    return weight * (1 + min(-change / DROP_THAT_DOUBLES, Decimal(1)))


def priority(
    mrr: Decimal | None, score: Decimal | None, days_to_renewal: int | None, change: Decimal | None
) -> Decimal:
    """Return the order of a line, in money a year.

    Formula: MRR × 12 × likelihood × urgency

    >>> priority(Decimal(1000), Decimal(40), 20, None)
    Decimal('7200.00')
    """
    return (mrr or Decimal(0)) * MONTHS * likelihood(score) * urgency(days_to_renewal, change)
