"""The page of parts, `/design/`: everything a page can be made of, in every state, for its builders.

Its figures are invented and say nothing about anybody. The browser tests of the design system run on it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from metrics.calculations import Interval
from workspace.charts import Chart, HeatCell, HeatMap, Series
from workspace.value_bars import ValueBar, value_bars

MONTHS = ["Dec", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov"]
HERE = "/design/#charts"


class SampleForm(forms.Form):
    """One field of each sort."""

    name = forms.CharField(max_length=80, help_text="As it stands on the contract.")
    kind = forms.ChoiceField(
        choices=[("", "Choose…"), ("call", "Call"), ("meeting", "Meeting"), ("mail", "Mail")]
    )
    seats = forms.IntegerField(min_value=1, max_value=10_000)
    happened_on = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    notes = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    mood = forms.ChoiceField(
        choices=[("good", "Good"), ("mixed", "Mixed"), ("bad", "Bad")],
        widget=forms.RadioSelect,
        initial="good",
    )
    follow_up = forms.BooleanField(required=False, label="Remind me in a week")


class SampleFilter(forms.Form):
    """Filters of a list."""

    search = forms.CharField(
        required=False, widget=forms.SearchInput(attrs={"placeholder": "Name or domain"})
    )
    band = forms.ChoiceField(
        required=False,
        label="Health",
        choices=[
            ("", "Any"),
            ("red", "At risk"),
            ("yellow", "Watch"),
            ("green", "Healthy"),
            ("none", "No score"),
        ],
    )
    segment = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any"),
            ("enterprise", "Enterprise"),
            ("mid", "Mid-market"),
            ("small", "Small business"),
        ],
    )


def sample_charts() -> dict[str, Chart]:
    """One chart of each kind."""
    net = [104.2, 104.7, 105.4, 104.9, 106.0, 107.0, 107.5, 108.3, 107.6, 109.0, 109.9, 111.2]
    gross = [91.3, 91.6, 91.2, 92.0, 92.5, 92.3, 92.9, 93.2, 92.8, 93.5, 94.0, 94.3]
    nps = [38, 35, 41, 33, None, 36, 44, 39, 47, 42, 41, 43]
    healthy = [143, 145, 149, 151, 158, 160, 166, 171, 170, 176, 181, 188]
    watch = [38, 36, 39, 38, 37, 41, 36, 35, 42, 36, 34, 32]
    at_risk = [20, 23, 19, 21, 17, 16, 15, 13, 15, 15, 13, 12]
    return {
        "line": Chart(
            kind="line",
            key="sample-retention",
            unit="percent",
            categories=MONTHS,
            category_label="Month",
            target=110,
            target_label="target 110 %",
            summary=(
                "Net retention rose from 104.2 % to 111.2 % in a year and passed its target in November; "
                "gross retention rose to 94.3 %."
            ),
            series=[
                Series(name="Net", values=net, links=[HERE] * 12),
                Series(name="Gross", values=gross, links=[HERE] * 12),
            ],
        ),
        "interval": Chart(
            kind="line",
            key="sample-nps",
            unit="points",
            categories=MONTHS,
            category_label="Month",
            benchmark=(30, 70),
            benchmark_label="usual range 30 to 70",
            summary="NPS stood at 43 in November, inside the usual range; nobody was asked in April.",
            series=[
                Series(
                    name="NPS",
                    values=nps,
                    tone="teal",
                    low=[None if value is None else value - 9 for value in nps],
                    high=[None if value is None else value + 8 for value in nps],
                )
            ],
        ),
        "stacked": Chart(
            kind="stacked",
            key="sample-bands",
            categories=MONTHS,
            category_label="Month",
            summary=(
                "188 of 232 accounts were healthy at the end of November; "
                "12 were at risk, 8 fewer than a year before."
            ),
            series=[
                Series(name="Healthy", values=healthy, tone="green"),
                Series(name="Watch", values=watch, tone="yellow"),
                Series(name="At risk", values=at_risk, tone="red"),
            ],
        ),
        "bars": Chart(
            kind="bars",
            key="sample-reasons",
            unit="percent",
            categories=[
                "Usage down by more than 30 %",
                "Champion left",
                "Urgent tickets open",
                "NPS detractor",
                "Onboarding step overdue",
                "Invoice overdue",
            ],
            category_label="Reason",
            summary=(
                "Falling usage is the main reason at 34 % of the accounts at risk, "
                "followed by a champion who left at 21 %."
            ),
            series=[Series(name="Accounts at risk", values=[34, 21, 16, 12, 9, 8], links=[HERE] * 6)],
        ),
        "waterfall": Chart(
            kind="waterfall",
            key="sample-waterfall",
            unit="money",
            categories=["Opening", "New", "Expansion", "Back", "Contraction", "Churn", "Closing"],
            totals=["Opening", "Closing"],
            category_label="Movement",
            summary=(
                "MRR grew from € 316,900 to € 331,100: expansion and new customers "
                "outweighed € 22,600 of churn."
            ),
            series=[
                Series(
                    name="MRR",
                    values=[
                        Decimal(316900),
                        Decimal(18400),
                        Decimal(24700),
                        Decimal(2100),
                        Decimal(-8400),
                        Decimal(-22600),
                        Decimal(331100),
                    ],
                )
            ],
        ),
        "histogram": Chart(
            kind="histogram",
            key="sample-histogram",
            categories=[f"{low}–{low + 9}" for low in range(0, 100, 10)],
            category_label="Score",
            summary="Most scores lie between 70 and 89; 12 accounts stand below 50.",
            series=[Series(name="Accounts", values=[0, 1, 2, 4, 5, 14, 26, 61, 74, 45])],
        ),
        "empty": Chart(
            kind="line",
            key="sample-empty",
            size="small",
            categories=MONTHS,
            summary="No survey has been answered yet.",
            series=[Series(name="NPS", values=[None] * 12)],
        ),
    }


def sample_heatmap() -> HeatMap:
    kept = [
        ("Dec 2025", [99, 96, 92, 90, 86, 83, 81, 77, 75, 71, 69, 66]),
        ("Feb 2026", [99, 94, 93, 89, 84, 80, 78, 75, 69, 69]),
        ("Apr 2026", [97, 95, 92, 88, 84, 79, 77, 72]),
        ("Jun 2026", [98, 95, 90, 87, 83, 79]),
        ("Aug 2026", [98, 94, 90, 85]),
        ("Oct 2026", [99, 94]),
    ]
    return HeatMap(
        caption="Customers kept, by month of joining, in per cent",
        corner="Joined",
        columns=[f"M{number}" for number in range(12)],
        rows=[
            (label, [HeatCell(value=value, href=HERE, note=f"{value} % of 41 customers") for value in values])
            for label, values in kept
        ],
        low=60,
    )


def sample_accounts() -> list[dict[str, object]]:
    today = timezone.localdate()
    rows = [
        (
            "Northwind Logistics",
            "Enterprise",
            "184000",
            31,
            "red",
            -12,
            "Usage fell by 42 % in 14 days",
            41,
            "Mara Okafor",
            5,
            6,
            2,
        ),
        (
            "Helio Biotech",
            "Enterprise",
            "126500",
            38,
            "red",
            -6,
            "Champion left on 6 November",
            88,
            "Sven Lindqvist",
            6,
            6,
            1,
        ),
        (
            "Brightside Retail",
            "Mid-market",
            "58200",
            57,
            "yellow",
            -3,
            "2 urgent tickets open for 9 days",
            91,
            "Mara Okafor",
            6,
            6,
            3,
        ),
        (
            "Castellan Insurance",
            "Enterprise",
            "210000",
            62,
            "yellow",
            0,
            "NPS 4 from the buyer",
            119,
            "Jun Tanaka",
            4,
            6,
            24,
        ),
        (
            "Ærøskøbing Skibsværft & Søn",
            "Small business",
            "9600",
            88,
            "green",
            7,
            "No warnings",
            181,
            "Anne Dubois",
            6,
            6,
            0,
        ),
        (
            "Quiet Harbour",
            "Small business",
            "840",
            None,
            "",
            None,
            "2 of 6 signals known",
            200,
            "Anne Dubois",
            2,
            6,
            47,
        ),
    ]
    return [
        {
            "pk": number,
            "name": name,
            "segment": segment,
            "arr": Decimal(arr),
            "score": score,
            "band": band,
            "change": change,
            "reason": reason,
            "renewal_on": today + timedelta(days=days),
            "owner": owner,
            "used": used,
            "total": total,
            "oldest": oldest,
        }
        for number, (
            name,
            segment,
            arr,
            score,
            band,
            change,
            reason,
            days,
            owner,
            used,
            total,
            oldest,
        ) in enumerate(rows, 1)
    ]


def sample_value_bars() -> list[tuple[str, ValueBar | None]]:
    """One upwards, one downwards, one with an interval, one missing."""
    values = [Decimal(42), Decimal(-18), Decimal(12), None]
    intervals = [None, None, Interval(Decimal(-4), Decimal(31)), None]
    return list(zip(["42", "−18", "12", "no data"], value_bars(values, intervals), strict=True))


@login_required
@require_safe
def design(request: HttpRequest) -> HttpResponse:
    """Show every part; `?message=` puts up one toast of each tone."""
    if "message" in request.GET:
        messages.success(request, "The call with Acme is noted.")
        messages.error(request, "The file has no column called “account”.")
    now = timezone.now()
    invalid = SampleForm({"name": "", "kind": "call", "seats": "0"}, auto_id="bad_%s")
    invalid.is_valid()
    return render(
        request,
        "workspace/design.html",
        {
            "charts": sample_charts(),
            "heatmap": sample_heatmap(),
            "value_bars": sample_value_bars(),
            "accounts": sample_accounts(),
            "form": SampleForm(),
            "invalid": invalid,
            "filters": SampleFilter(request.GET or None),
            "page": Paginator(range(1, 1241), 50).get_page(request.GET.get("page")),
            "default_sort": "-arr",
            "rising": [3, 4, 3.5, 5, 4.8, 6, 6.4, 7, 6.8, 8, 8.5, 9.4],
            "falling": [9, 9.4, 8, 7.6, 7.8, 7, 7.4, 6.1, 5, 6.2, 4.6, 4.2],
            "broken": [3, 5, 4, None, None, 4, 6, 5, 7],
            "interval": (Decimal("34.1"), Decimal("51.2")),
            "moments": {
                "now": now,
                "hours": now - timedelta(hours=3),
                "days": now - timedelta(days=3),
                "months": now - timedelta(days=200),
                "soon": timezone.localdate() + timedelta(days=12),
            },
            "tabs": [
                {"label": "Overview", "href": "#containers", "is_current": True},
                {"label": "Tickets", "href": "#containers", "is_current": False, "count": 14},
                {"label": "Answers", "href": "#containers", "is_current": False, "count": 3},
                {"label": "History", "href": "#containers", "is_current": False},
            ],
        },
    )
