"""How a number is asked for: defaults, errors, the shape of the answer, and nothing to count."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.tests.factories import make_account, make_user, subscribe
from csplatform.periods import Period
from metrics.kpis import KPIS, KpiError, Question, ask, read_question, rows, series
from metrics.models import Target
from metrics.tests.cast import FEBRUARY, answer, february, ticket

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)


@pytest.mark.parametrize("slug", KPIS)
def test_without_data_a_rate_is_missing_with_a_reason_and_a_count_is_0(slug: str) -> None:
    for variant in KPIS[slug].variants:
        figure = ask(Question(slug, FEBRUARY, variant=variant.slug, group_by="csm")).figure
        if variant.denominator or variant.reason:
            assert figure.value is None
            assert figure.reason
        else:
            assert (figure.value, figure.reason) == (0, "")


def test_the_answer_goes_out_as_exact_text() -> None:
    subscribe(make_account(csm=make_user("Ada")), "33.333333", february(1))
    subscribe(make_account("Globex"), "66.67", date(2025, 1, 1), february(27))
    Target.objects.create(kpi="customer_churn_rate", value=5)
    answer = ask(Question("customer_churn_rate", FEBRUARY, group_by="csm", now=NOW))
    assert answer.as_dict() == {
        "kpi": "customer_churn_rate",
        "version": 1,
        "variant": "all",
        "period": {"start": "2026-02-01", "end": "2026-03-01"},
        "value": "100",
        "numerator": "1",
        "denominator": "1",
        "sample_size": 1,
        "interval": {"low": "20.654931", "high": "100", "level": "0.95"},
        "small_sample": True,
        "reason": None,
        "counts": {"churned": "1", "customers_at_start": "1", "month_0_churned": "0"},
        "unit": "percent",
        "restated": False,
        "previous_value": None,
        "restated_at": None,
        "target": "5",
        "target_met": False,
        "benchmark": None,
        "group_by": "csm",
        "additive": True,
        "groups": [
            {
                "key": "",
                "label": "none",
                "value": "100",
                "numerator": "1",
                "denominator": "1",
                "sample_size": 1,
                "interval": {"low": "20.654931", "high": "100", "level": "0.95"},
                "small_sample": True,
                "reason": None,
                "counts": {"churned": "1", "customers_at_start": "1", "month_0_churned": "0"},
                "target": "5",
                "target_met": False,
                "benchmark": None,
            }
        ],
        "known_at": None,
        "computed_at": "2026-03-10T09:00:00+00:00",
        "data_as_of": "2026-03-10T09:00:00+00:00",
    }
    assert ask(Question("new_mrr", FEBRUARY)).as_dict()["value"] == "33.333333"
    assert ask(Question("mrr", Period(date(2025, 3, 1), date(2025, 4, 1)))).as_dict()["value"] == "66.67"


def test_many_small_amounts_add_up_exactly() -> None:
    for number in range(40):
        subscribe(make_account(f"Account {number}"), "0.1", date(2025, 1, 1), february(9))
    assert ask(Question("mrr", FEBRUARY)).figure.counts["opening"] == 4
    assert ask(Question("mrr", FEBRUARY)).as_dict()["value"] == "0.00"
    assert ask(Question("arpa", FEBRUARY)).figure.reason == "no_paying_customers", "no dust is left over"


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ({}, date(2026, 3, 1), date(2026, 3, 11)),
        ({"start": "2026-01-15"}, date(2026, 1, 15), date(2026, 2, 15)),
        ({"end": "2026-03-01"}, date(2026, 2, 1), date(2026, 3, 1)),
        ({"start": " 2026-01-01 ", "end": "2026-04-01"}, date(2026, 1, 1), date(2026, 4, 1)),
    ],
)
def test_days_that_are_not_said_are_the_month_so_far_or_one_month(
    given: dict[str, str], start: date, end: date
) -> None:
    assert read_question("mrr", given, user=None, now=NOW).period == Period(start, end)


@pytest.mark.parametrize("slug", ["nrr", "grr"])
@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ({}, date(2025, 3, 11), date(2026, 3, 11)),
        ({"end": "2026-03-01"}, date(2025, 3, 1), date(2026, 3, 1)),
        ({"start": "2025-01-01"}, date(2025, 1, 1), date(2026, 1, 1)),
        ({"start": "2026-01-01", "end": "2026-04-01"}, date(2026, 1, 1), date(2026, 4, 1)),
    ],
)
def test_retention_of_revenue_is_asked_of_twelve_months_unless_days_are_said(
    slug: str, given: dict[str, str], start: date, end: date
) -> None:
    assert read_question(slug, given, user=None, now=NOW).period == Period(start, end)


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        (date(2026, 2, 1), date(2026, 3, 1), 1),
        (date(2024, 2, 29), date(2025, 2, 28), Decimal(365 * 12) / 365),
        (date(2025, 3, 11), date(2026, 3, 11), 12),
        (date(2026, 1, 1), date(2026, 1, 11), Decimal(120) / 365),
    ],
)
def test_months_are_whole_ones_or_365_days_to_twelve(start: date, end: date, months: Decimal) -> None:
    assert Period(start, end).months == months


def test_known_at_a_day_means_its_end() -> None:
    assert read_question("mrr", {"known_at": "2026-04-05"}, user=None).known_at == datetime(
        2026, 4, 6, tzinfo=UTC
    )
    by_moment = read_question("mrr", {"known_at": "2026-04-05T12:00:00 02:00"}, user=None)
    assert by_moment.known_at == datetime(2026, 4, 5, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("slug", "given", "field"),
    [
        ("no_such_kpi", {}, "kpi"),
        ("mrr", {"variant": "net"}, "variant"),
        ("csat", {"variant": "median"}, "variant"),
        ("mrr", {"group_by": "colour"}, "group_by"),
        ("mrr", {"start": "1 May"}, "start"),
        ("mrr", {"start": "2026-02-30"}, "start"),
        ("mrr", {"start": "0001-01-01"}, "start"),
        ("mrr", {"start": "9999-12-31"}, "start"),
        ("mrr", {"end": "0001-01-01"}, "end"),
        ("mrr", {"start": "2026-02-01", "end": "2026-02-01"}, "end"),
        ("mrr", {"known_at": "soon"}, "known_at"),
        ("mrr", {"known_at": "9999-12-31"}, "known_at"),
        ("mrr", {"known_at": "2026-13-01T00:00:00Z"}, "known_at"),
        ("mrr", {"csm": "nobody@example.com"}, "csm"),
        ("mrr", {"csm": "-1"}, "csm"),
        ("mrr", {"csm": "²"}, "csm"),
        ("mrr", {"account": "9" * 30}, "account"),
        ("mrr", {"segment": "a\x00b"}, "segment"),
        ("mrr", {"segment": "\ud800"}, "segment"),
        ("mrr", {"plan": "x" * 300}, "plan"),
    ],
)
def test_what_cannot_be_asked_names_the_field(slug: str, given: dict[str, str], field: str) -> None:
    with pytest.raises(KpiError) as raised:
        read_question(slug, given, user=None, now=NOW)
    assert raised.value.field == field
    assert raised.value.message.endswith(".")


def test_too_many_steps_and_unknown_parts_are_refused() -> None:
    question = Question("mrr", Period(date(2020, 1, 1), date(2026, 1, 1)))
    with pytest.raises(KpiError, match="400 steps"):
        series(question, "day")
    with pytest.raises(KpiError, match="A step is one of"):
        series(question, "fortnight")  # type: ignore[arg-type]
    with pytest.raises(KpiError, match="A part is one of"):
        rows(question, "denominator")


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("kpi", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_number_its_counts_and_its_formula() -> None:
    subscribe(make_account(), 100, february(3))
    text = printed("mrr", "--start", "2026-02-01", "--end", "2026-03-01", "--group-by", "segment")
    for words in ("2026-02-01 to 2026-02-28", "100.00 EUR", "opening", "none", "formula:", "source:"):
        assert words in text
    csv = printed("mrr", "--start", "2026-02-01", "--end", "2026-03-01", "--format", "csv").splitlines()
    assert csv[1].startswith("mrr,,2026-02-01,2026-03-01,,total,100.00,100,,1,")
    assert "2026-02-03" in printed("mrr", "--start", "2026-02-01", "--end", "2026-03-01", "--rows", "new")


def test_the_command_filters_by_the_kpis_own_groupings() -> None:
    answer("nps", 9)
    answer("nps", 0, is_anonymous=True)
    asked = ("nps", "--start", "2026-02-01", "--end", "2026-03-01", "--format", "json")
    assert json.loads(printed(*asked, "--where", "survey=Open"))["value"] == "100"
    assert json.loads(printed(*asked, "--where", "survey=Quiet"))["value"] == "-100"


def test_the_command_refuses_with_a_sentence_and_exit_code_2() -> None:
    for arguments in (
        ["nonsense"],
        [],
        ["mrr", "--start", "soon"],
        ["mrr", "--rows", "nothing"],
        ["mrr", "--where", "survey=Open"],
        ["nps", "--where", "survey"],
    ):
        with pytest.raises(CommandError) as raised:
            printed(*arguments)
        assert raised.value.returncode == 2


def test_the_list_names_every_kpi() -> None:
    assert all(slug in printed("--list") for slug in KPIS)


def test_the_printed_definitions_are_those_of_the_code() -> None:
    call_command("kpi_docs", "--check")


def test_the_command_takes_a_group_of_the_kpis_own() -> None:
    for number, agent in ((1, "Kim"), (2, "Lou"), (3, "Lou")):
        ticket(str(number), february(2), february(3), agent=agent)
    days = ["--start", "2026-02-01", "--end", "2026-03-01", "--format", "json"]
    assert json.loads(printed("tickets_closed", "--where", "agent=Lou", *days))["value"] == "2"
    groups = json.loads(printed("tickets_closed", "--group-by", "agent", *days))["groups"]
    assert [(group["key"], group["value"]) for group in groups] == [("Kim", "1"), ("Lou", "2")]
    for slug, where in (("tickets_closed", "agent"), ("tickets_closed", "feature=x"), ("mrr", "agent=Kim")):
        with pytest.raises(CommandError, match="where:") as raised:
            printed(slug, "--where", where)
        assert raised.value.returncode == 2
