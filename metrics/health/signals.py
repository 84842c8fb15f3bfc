"""The signals: what a raw figure about an account means, how old it is, and how to say it.

A `Signal` reads the columns of a source. To add one, add it to SIGNALS; to count other facts
for it, add a column or a source in sources.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from metrics.health import sql
from metrics.health.sources import View

Unit = Literal["%", "days", "of 10", "of 5", "of 7", "tickets", "times", "yes or no"]

MINUS = "\N{MINUS SIGN}"


def number(value: Decimal, *, places: int = 2) -> str:
    """Write a number without needless zeros, with a real minus sign.

    >>> number(Decimal("41.00")), number(Decimal("-8.50"))
    ('41', '−8.5')
    """
    text = f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", MINUS) if text != "-0" else "0"


def counted(amount: int, one: str, many: str) -> str:
    return f"{amount} {one if amount == 1 else many}"


def days_ago(age: int) -> str:
    return ("today", "yesterday")[age] if age < 2 else f"{age} days ago"


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One raw figure about an account. `raw` and `seen` are expressions over the columns of `sources`.

    `raw` is in hundredths of the unit and null while nothing is known; `seen` is the second it
    was observed. A measure uses it for `shelf_days` (None: it does not age), unless a scorecard
    says otherwise. `curve` is a suggestion, in units.
    """

    key: str
    label: str
    unit: Unit
    higher_is_better: bool | None
    definition: str
    source: str
    window_days: int | None
    shelf_days: int | None
    sources: tuple[str, ...]
    raw: Callable[[View], str]
    seen: Callable[[View], str]
    curve: tuple[tuple[str, int], ...]
    in_words: str
    sentence: Callable[[Decimal, int], str] | None = None
    is_answer: bool = False  # a person's own score: said as it is, not as a change

    def show(self, raw: Decimal) -> str:
        """Write a raw figure with its unit.

        >>> SIGNALS["license_utilization"].show(Decimal("41.26"))
        '41 %'
        """
        match self.unit:
            case "%":
                return f"{number(raw, places=0)} %"
            case "days":
                return counted(int(raw), "day", "days")
            case "yes or no":
                return "yes" if raw else "no"
            case "of 10" | "of 5" | "of 7":
                return number(raw, places=1)
            case _:
                return number(raw)

    def say(self, raw: Decimal, *, age_days: int) -> str:
        """Say what the figure is, as part of a sentence.

        >>> SIGNALS["days_since_touch"].say(Decimal(47), age_days=0)
        'no contact for 47 days'
        """
        if self.sentence:
            return self.sentence(raw, age_days)
        return f"{self.in_words} {self.show(raw)}"

    def say_change(self, before: Decimal, after: Decimal) -> str:
        """Say how the figure moved.

        >>> SIGNALS["license_utilization"].say_change(Decimal(62), Decimal(41))
        'licence use 62 % → 41 %'
        """
        if self.show(before) == self.show(after):
            return f"{self.in_words} {self.show(after)}"
        return f"{self.in_words} {self.show(before)} → {self.show(after)}"


def _today(view: View) -> str:
    return view.today


def _usage_seen(view: View) -> str:
    return str(view.usage_second) if view.usage_second is not None else "NULL"


def _utilization(view: View) -> str:
    share = sql.rounded_share("active_now", "seats", factor=100_000_000)
    return f"CASE WHEN people > 0 AND seats > 0 THEN {share} END"


def _trend(view: View) -> str:
    share = sql.rounded_share("active_now", "active_before", factor=10_000)
    return f"CASE WHEN active_before > 0 THEN {share} - 10000 END"


def _breadth(view: View) -> str:
    share = sql.rounded_share("COALESCE(features_used, 0)", "features_planned", factor=10_000)
    return f"CASE WHEN people > 0 AND features_planned > 0 THEN {share} END"


def _answer(column: str, factor: int) -> tuple[Callable[[View], str], Callable[[View], str]]:
    raw = f"({column} - {column} / 1000 * 1000) * {factor}"
    return lambda view: raw, lambda view: f"{column} / 1000"


def _mrr_trend(view: View) -> str:
    # In hundredths; beyond 4 million million the trend no longer fits, nor does it matter.
    now = sql.least(f"{sql.greatest('mrr', '0')} / 10000", sql.integer("400000000000000"))
    then = "(mrr_before / 10000)"
    share = sql.rounded_share(now, then, factor=10_000)
    return f"CASE WHEN mrr_before >= 10000 AND currency = other_currency THEN {share} - 10000 END"


def _since_touch(view: View) -> str:
    # Somebody we never spoke to since the sale has been left alone since the sale.
    since_sale = f"{view.asked.number} - joined_day"
    days = f"COALESCE(({view.asked.last_second} - touched) / {sql.DAY_SECONDS}, {since_sale})"
    return f"100 * {sql.greatest('0', days)}" if "touches" in view.there else "NULL"


def _onboarding(view: View) -> str:
    share = sql.rounded_share("milestones_reached", "milestones_due", factor=10_000)
    return f"CASE WHEN milestones_due > 0 THEN {share} END"


def _overdue(view: View) -> str:
    if "contracts" not in view.there:
        return "NULL"
    days = sql.greatest("0", f"COALESCE({view.asked.number} - payment_due, 0)")
    return f"CASE WHEN seats IS NOT NULL THEN 100 * {days} END"


def _count(column: str, source: str) -> Callable[[View], str]:
    return lambda view: f"100 * COALESCE({column}, 0)" if source in view.there else "NULL"


_nps, _nps_seen = _answer("nps", 10)
_csat, _csat_seen = _answer("csat", 1)
_ces, _ces_seen = _answer("ces", 1)


def _tickets_sentence(kind: str) -> Callable[[Decimal, int], str]:
    def say(raw: Decimal, age_days: int) -> str:
        if not raw:
            return f"no {kind}ticket open"
        return counted(int(raw), f"{kind}ticket open", f"{kind}tickets open")

    return say


def _answer_sentence(name: str) -> Callable[[Decimal, int], str]:
    return lambda raw, age_days: f"last {name} {number(raw, places=1)}, {days_ago(age_days)}"


SIGNALS = {
    signal.key: signal
    for signal in [
        Signal(
            key="license_utilization",
            label="Licence use",
            unit="%",
            higher_is_better=True,
            definition="End users active in the last 30 days ÷ seats contracted that day × 100; above 100 is"
            " not cut. Seats are those of the KPI: of each recurring line in force and not paused, its"
            " quantity, or what its plan includes if that is more. Missing while no end user of the account"
            " is known.",
            source="usage events, subscriptions",
            window_days=30,
            shelf_days=7,
            sources=("people", "contracts"),
            raw=_utilization,
            seen=_usage_seen,
            curve=(("10", 0), ("40", 40), ("80", 100)),
            in_words="licence use",
        ),
        Signal(
            key="active_user_trend",
            label="Active users, trend",
            unit="%",
            higher_is_better=True,
            definition="Change of the end users active in the last 30 days against those of the 30 days"
            " before. Missing when nobody was active before.",
            source="usage events",
            window_days=60,
            shelf_days=7,
            sources=("people",),
            raw=_trend,
            seen=_usage_seen,
            curve=(("-50", 0), ("-20", 40), ("0", 90), ("10", 100)),
            in_words="active-user trend",
            sentence=lambda raw, age_days: (
                f"active users {'down' if raw < 0 else 'up'} {number(abs(raw), places=0)} %"
                if raw
                else "active users unchanged"
            ),
        ),
        Signal(
            key="adoption_breadth",
            label="Adoption breadth",
            unit="%",
            higher_is_better=True,
            definition="Features of the account's plan used in the last 30 days ÷ features of the plan × 100."
            " Missing while no end user is known or the plan lists no features.",
            source="usage days, plans",
            window_days=30,
            shelf_days=7,
            sources=("people", "features"),
            raw=_breadth,
            seen=_usage_seen,
            curve=(("0", 0), ("30", 40), ("70", 100)),
            in_words="features in use",
        ),
        Signal(
            key="last_login",
            label="Last activity",
            unit="days",
            higher_is_better=False,
            definition="Days since any end user of the account was last active.",
            source="usage events",
            window_days=None,
            shelf_days=7,
            sources=("people",),
            raw=lambda view: "100 * quiet_days",
            seen=_usage_seen,
            curve=(("2", 100), ("14", 50), ("30", 0)),
            in_words="nobody active for",
            sentence=lambda raw, age_days: (
                f"nobody active for {counted(int(raw), 'day', 'days')}" if raw else "active today"
            ),
        ),
        Signal(
            key="last_nps",
            label="Last NPS answer",
            unit="of 10",
            higher_is_better=True,
            definition="The newest confirmed answer to the NPS question, by anybody of the account. Of two in"
            " the same second the higher one. Anonymous surveys never count.",
            source="survey responses",
            window_days=None,
            shelf_days=180,
            sources=("voice",),
            raw=_nps,
            seen=_nps_seen,
            curve=(("0", 0), ("6", 30), ("8", 70), ("9", 100)),
            in_words="last NPS",
            sentence=_answer_sentence("NPS"),
            is_answer=True,
        ),
        Signal(
            key="last_csat",
            label="Last CSAT answer",
            unit="of 5",
            higher_is_better=True,
            definition="The newest confirmed satisfaction score, brought to a scale of 1 to 5.",
            source="survey responses",
            window_days=None,
            shelf_days=90,
            sources=("voice",),
            raw=_csat,
            seen=_csat_seen,
            curve=(("1", 0), ("3", 50), ("4", 85), ("5", 100)),
            in_words="last CSAT",
            sentence=_answer_sentence("CSAT"),
            is_answer=True,
        ),
        Signal(
            key="last_ces",
            label="Last CES answer",
            unit="of 7",
            higher_is_better=True,
            definition="The newest confirmed answer to the ease question, 1 to 7; 7 is easiest.",
            source="survey responses",
            window_days=None,
            shelf_days=90,
            sources=("voice",),
            raw=_ces,
            seen=_ces_seen,
            curve=(("1", 0), ("4", 50), ("6", 100)),
            in_words="last CES",
            sentence=_answer_sentence("CES"),
            is_answer=True,
        ),
        Signal(
            key="open_urgent_tickets",
            label="Urgent tickets open",
            unit="tickets",
            higher_is_better=False,
            definition="Tickets of priority urgent that are open at the end of the day; spam, outbound and"
            " merged ones left out. Missing while no helpdesk reports tickets of any account.",
            source="tickets",
            window_days=None,
            shelf_days=None,
            sources=("tickets",),
            raw=_count("urgent_tickets", "tickets"),
            seen=_today,
            curve=(("0", 100), ("1", 50), ("3", 0)),
            in_words="urgent tickets open",
            sentence=_tickets_sentence("urgent "),
        ),
        Signal(
            key="open_tickets",
            label="Tickets open",
            unit="tickets",
            higher_is_better=False,
            definition="Tickets open at the end of the day, of any priority.",
            source="tickets",
            window_days=None,
            shelf_days=None,
            sources=("tickets",),
            raw=_count("tickets", "tickets"),
            seen=_today,
            curve=(("1", 100), ("5", 50), ("15", 0)),
            in_words="tickets open",
            sentence=_tickets_sentence(""),
        ),
        Signal(
            key="mrr_trend",
            label="MRR, trend",
            unit="%",
            higher_is_better=True,
            definition="Change of the account's MRR against 90 days ago, from the ledger. Missing for"
            " customers of less than 90 days and for accounts billed in several currencies.",
            source="revenue ledger",
            window_days=90,
            shelf_days=None,
            sources=("ledger",),
            raw=_mrr_trend,
            seen=_today,
            curve=(("-30", 0), ("0", 90), ("5", 100)),
            in_words="MRR over 90 days",
            sentence=lambda raw, age_days: (
                f"MRR {'down' if raw < 0 else 'up'} {number(abs(raw), places=0)} % in 90 days"
                if raw
                else "MRR unchanged in 90 days"
            ),
        ),
        Signal(
            key="payment_overdue",
            label="Payment overdue",
            unit="days",
            higher_is_better=False,
            definition="Days since the oldest unpaid invoice was due, 0 when all is paid. Known for today"
            " only; missing while no subscription carries a payment date.",
            source="subscriptions",
            window_days=None,
            shelf_days=None,
            sources=("contracts",),
            raw=_overdue,
            seen=_today,
            curve=(("0", 100), ("14", 60), ("60", 0)),
            in_words="payment overdue for",
            sentence=lambda raw, age_days: (
                f"payment overdue for {counted(int(raw), 'day', 'days')}" if raw else "all invoices paid"
            ),
        ),
        Signal(
            key="days_to_renewal",
            label="Days to renewal",
            unit="days",
            higher_is_better=None,
            definition="Days to the next end of a contract term among the lines in force.",
            source="subscriptions",
            window_days=None,
            shelf_days=None,
            sources=("contracts",),
            raw=lambda view: f"100 * (term_end - {view.asked.number})",
            seen=_today,
            curve=(("0", 40), ("90", 100)),
            in_words="renewal in",
            sentence=lambda raw, age_days: (
                f"renewal in {counted(int(raw), 'day', 'days')}" if raw else "renewal today"
            ),
        ),
        Signal(
            key="days_since_touch",
            label="Days since contact",
            unit="days",
            higher_is_better=False,
            definition="Days since the last call, meeting, mail, training, demo, event or check-in; notes"
            " don't count. Without any, since the first day as a customer. Missing while no contact with"
            " any account is recorded.",
            source="touches",
            window_days=None,
            shelf_days=None,
            sources=("touches",),
            raw=_since_touch,
            seen=_today,
            curve=(("14", 100), ("30", 75), ("60", 25), ("90", 0)),
            in_words="without contact",
            sentence=lambda raw, age_days: (
                f"no contact for {counted(int(raw), 'day', 'days')}" if raw else "in contact today"
            ),
        ),
        Signal(
            key="onboarding_progress",
            label="Onboarding progress",
            unit="%",
            higher_is_better=True,
            definition="Milestones reached ÷ milestones due by the day × 100. Missing while none is due.",
            source="milestones",
            window_days=None,
            shelf_days=None,
            sources=("milestones",),
            raw=_onboarding,
            seen=_today,
            curve=(("0", 0), ("50", 40), ("100", 100)),
            in_words="milestones reached",
        ),
        Signal(
            key="champion_left",
            label="Champion left",
            unit="yes or no",
            higher_is_better=False,
            definition="Yes when each champion and sponsor we knew has left the account. Missing when we"
            " never knew one.",
            source="contacts",
            window_days=None,
            shelf_days=None,
            sources=("champions",),
            raw=lambda view: "CASE WHEN champions > 0 THEN 0 WHEN champions_gone > 0 THEN 100 END",
            seen=_today,
            curve=(("0", 100), ("1", 0)),
            in_words="champion left:",
            sentence=lambda raw, age_days: "the champion has left" if raw else "the champion is there",
        ),
        Signal(
            key="referrals",
            label="Referrals made",
            unit="times",
            higher_is_better=True,
            definition="Referrals by the account in the last 365 days. Missing while nobody ever referred.",
            source="referrals",
            window_days=365,
            shelf_days=None,
            sources=("referrals",),
            raw=_count("referrals", "referrals"),
            seen=_today,
            curve=(("0", 60), ("1", 100)),
            in_words="referrals",
            sentence=lambda raw, age_days: (
                counted(int(raw), "referral this year", "referrals this year")
                if raw
                else "no referral this year"
            ),
        ),
    ]
}
