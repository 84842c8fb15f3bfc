"""Forms of words: how numbers, money and dates look on a page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import engines

from workspace.templatetags import show

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def plain(text: str) -> str:
    """The text with ordinary spaces, so that a test reads as it looks."""
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("184000", "EUR", "€ 184,000"),
        ("316985.75", "EUR", "€ 316,986"),
        ("61.2651", "EUR", "€ 61.27"),
        ("50", "GBP", "£ 50"),
        ("-1250.5", "USD", "−US$ 1,251"),
        ("999.5", "JPY", "¥ 1,000"),
        ("0", "EUR", "€ 0"),
        ("12", "XQZ", "XQZ 12"),
    ],
)
def test_money_shows_whole_units_from_a_thousand_on_and_cents_below(amount, currency, text):
    assert plain(show.money(Decimal(amount), currency)).replace("JP¥", "¥") == text


def test_money_without_a_currency_is_in_the_reporting_currency(settings):
    settings.REPORTING_CURRENCY = "GBP"
    assert plain(show.money(2000)) == "£ 2,000"


def test_exact_money_keeps_the_currencys_decimals():
    assert plain(show.money_exact(Decimal("316985.75"), "EUR")) == "€ 316,985.75"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("999", "€ 999"),
        ("999.70", "€ 999.70"),
        ("1000", "€ 1.0 k"),
        ("9960", "€ 10 k"),
        ("214300", "€ 214 k"),
        ("999600", "€ 1.0 M"),
        ("-1240000", "−€ 1.2 M"),
        ("2000000000", "€ 2.0 bn"),
    ],
)
def test_short_money_never_shows_a_thousand_thousands(amount, text):
    assert plain(show.money_short(Decimal(amount), "EUR")) == text


@pytest.mark.parametrize(
    ("value", "text"), [("26.537", "26.5 %"), ("0", "0.0 %"), ("-2.25", "−2.3 %"), (100, "100.0 %")]
)
def test_per_cent_have_one_decimal_with_halves_away_from_zero(value, text):
    assert plain(show.percent(value)) == text


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [("1.44", 1, "+1.4"), ("-2", 0, "−2"), (0, 0, "±0"), ("0.04", 1, "±0"), ("-0.04", 1, "±0")],
)
def test_a_change_always_carries_its_sign(value, places, text):
    assert show.signed(value, places) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("111.2", "percent", "111.2 %"),
        ("43", "points", "43"),
        ("39.84", "points", "39.8"),
        ("1240", "count", "1,240"),
        ("1.5", "ratio", "1.50 ×"),
        ("1", "months", "1 month"),
        ("6.4", "hours", "6.4 hours"),
        ("316985.75", "EUR", "€ 316,986"),
        ("61.6", "score", "62"),
    ],
)
def test_a_number_is_written_in_its_unit(value, unit, text):
    assert plain(show.as_unit(Decimal(value), unit)) == text


def test_a_change_of_per_cent_is_in_percentage_points():
    assert plain(show.signed_as_unit(Decimal("1.4"), "percent")) == "+1.4 pt"


def test_a_change_of_money_is_short_and_signed():
    assert plain(show.signed_as_unit(Decimal("-12400"), "EUR")) == "−€ 12 k"


FILTERS_OF_FIGURES = [
    "number",
    "money",
    "money_exact",
    "money_short",
    "percent",
    "points",
    "signed",
    'as_unit:"percent"',
    'as_unit:"EUR"',
    'level:"percent"',
    'signed_as_unit:"percent"',
    "day",
    "day_short",
    "month",
    "moment",
    "ago",
    "when",
    "or_no_data",
]


@pytest.mark.parametrize("name", FILTERS_OF_FIGURES)
def test_what_is_missing_says_no_data_and_never_nought(name):
    template = engines["django"].from_string("{% load show %}{{ value|" + name + " }}")
    assert template.render({"value": None}) == '<span class="no-data">no data</span>'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "twelve", True])
def test_what_is_no_number_says_no_data(value):
    assert "no data" in show.number(value)


def test_a_missing_score_says_no_score():
    assert "no score" in show.score(None)


def test_a_score_of_nought_is_a_score():
    assert show.score(0) == "0"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (-800, "2 years ago"),
        (-400, "13 months ago"),
        (-3, "3 days ago"),
        (-1, "yesterday"),
        (0, "today"),
        (1, "tomorrow"),
        (12, "in 12 days"),
        (59, "in 59 days"),
        (91, "in 3 months"),
    ],
)
def test_days_away_are_said_in_words(days, words):
    assert show.days_in_words(days) == words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=3), "3 hours ago"),
        (timedelta(hours=13), "yesterday"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(days=-2), "in 2 days"),
    ],
)
def test_a_moment_is_told_in_hours_first_and_in_calendar_days_after(before, words):
    assert show.moment_in_words(NOW - before, NOW) == words


def test_a_moment_is_shown_in_the_workspaces_time_zone(settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    late = datetime(2026, 12, 31, 20, 30, tzinfo=UTC)
    assert plain(show.moment(late)) == "1 Jan 2027, 05:30"


def test_a_day_is_written_the_british_way():
    assert plain(show.day(date(2027, 1, 2))) == "2 Jan 2027"


@pytest.mark.parametrize(
    ("band", "label"),
    [("red", "At risk"), ("yellow", "Watch"), ("green", "Healthy"), ("", "No score"), (None, "No score")],
)
def test_each_band_has_a_word(band, label):
    assert show.band_label(band) == label


def test_a_reason_nobody_translated_is_still_readable():
    assert show.reason_words("nothing_to_divide_by") == "nothing to divide by"


def test_a_reason_is_escaped():
    assert "<b>" not in show.no_data("<b>bold</b>")
