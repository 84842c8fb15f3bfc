"""The pages of the KPIs: what they show, to whom, and how many queries it takes."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from accounts.models import Cost, FactChange
from accounts.tests.factories import make_account, make_user, subscribe
from metrics import rollups
from metrics.calculations import Interval
from metrics.kpis import KPIS
from metrics.models import KpiRollUp, Target
from metrics.tests.cast import NOW, Cast, answer, february, make_company
from team.models import User
from workspace.value_bars import value_bars

pytestmark = pytest.mark.django_db
IN_FEBRUARY = {"start": "2026-02-01", "last": "2026-02-28"}


@pytest.fixture(scope="module")
def told(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    with django_db_blocker.unblock(), transaction.atomic():
        cast = make_company()
        make_user("Root", User.Role.ADMIN)
        yield cast
        transaction.set_rollback(True)


@pytest.fixture
def company(told: Cast, db: None) -> Cast:
    return told


@pytest.fixture
def admin(company: Cast) -> Client:
    return signed_in(User.objects.get(name="Root"))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, slug: str, **query: str) -> str:
    response = client.get(reverse("workspace:kpi", args=[slug]), {**IN_FEBRUARY, **query})
    assert response.status_code == 200, response.content.decode()[:2000]
    return " ".join(response.content.decode().replace("\u00a0", " ").split())


@pytest.mark.parametrize("slug", KPIS)
def test_every_kpi_has_a_page_within_twenty_queries(slug: str, admin: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        text = page(admin, slug, group_by="csm")
    assert len(queries) <= 20
    assert KPIS[slug].default.formula_text.replace("'", "&#x27;").split("<")[0] in text
    assert "no data" not in text.split('class="kpi-figure"')[1].split("</p>")[0]


def test_the_page_shows_the_number_its_counts_groups_and_rows(admin: Client) -> None:
    text = page(admin, "customer_churn_rate", group_by="csm")
    assert "40.0 %" in text or "50.0 %" in text
    for words in ("Month 0 churned", "Grace", "Initech", "Customers at start"):
        assert words in text


def test_the_rows_are_paged_and_link_to_their_accounts(admin: Client, company: Cast) -> None:
    for number in range(30):
        answer("nps", 9, account=company.acme, day=february(1 + number % 28))
    text = page(admin, "nps", part="answers", page="2")
    assert f'href="{company.acme.get_absolute_url()}"' in text
    assert "26–" in text


def test_a_stranger_sees_none_of_the_rows(company: Cast) -> None:
    stranger = signed_in(make_user("Stranger"))
    for slug in KPIS:
        text = page(stranger, slug)
        assert not any(name in text for name in ("Acme", "Globex", "Initech", "Soylent")), slug


def test_the_pages_need_a_login() -> None:
    for name, arguments in (("kpis", []), ("kpi", ["nps"]), ("kpi-export", ["nps"])):
        response = Client().get(reverse(f"workspace:{name}", args=arguments))
        assert response.status_code == 302


@pytest.mark.parametrize(
    "query",
    [
        {"start": "yesterday"},
        {"start": "2026-02-30"},
        {"start": "0001-01-01"},
        {"start": "9999-12-31", "last": "9999-12-31"},
        {"start": "2026-03-01", "last": "2026-02-01"},
        {"variant": "nothing"},
        {"group_by": "colour"},
        {"csm": "ada"},
        {"csm": "9" * 30},
        {"known_at": "never"},
        {"plan": "no such plan"},
        {"segment": "\x00"},
    ],
)
def test_bad_input_is_refused_with_words(query: dict[str, str], admin: Client) -> None:
    for name in ("kpi", "kpi-export"):
        response = admin.get(reverse(f"workspace:{name}", args=["nps"]), {**IN_FEBRUARY, **query})
        assert response.status_code == 400


def test_the_first_month_of_the_calendar_is_compared_with_none_before_it(admin: Client) -> None:
    assert "than " not in page(admin, "customer_count", start="1900-01-01", last="1900-01-31")


def test_an_unknown_part_or_kpi_breaks_nothing(admin: Client) -> None:
    assert "A part is one of" in page(admin, "nps", part="nonsense")
    assert admin.get("/kpis/nonsense/").status_code == 404


def test_as_known_then_is_said_and_marked(admin: Client) -> None:
    text = page(admin, "nps", known_at="2026-02-12")
    assert "As known then." in text
    assert "Today we say something else" in text
    assert "no figure of this period was stored" in page(admin, "daily_active_users", known_at="2026-02-12")


def test_the_facts_that_came_late_are_listed(admin: Client) -> None:
    response = admin.get(reverse("workspace:kpi", args=["nps"]), {**IN_FEBRUARY, "known_at": "2026-02-12"})
    late = {found["words"]: found for found in response.context["late"]}
    assert (
        late["Answers"]["then"] + sum(line["amount"] for line in late["Answers"]["lines"])
        == late["Answers"]["now"]
    )
    assert "What we learned later" in response.content.decode()
    assert "What we learned later" not in page(admin, "nps")


def test_the_change_says_whether_it_is_more_than_chance(admin: Client, company: Cast) -> None:
    for score in (9, 9, 9, 0):
        answer("nps", score, account=company.acme, day=date(2026, 1, 9))
    assert "change not significant (z 0." in page(admin, "nps")


def test_who_is_not_there_yet_is_drawn_day_by_day(admin: Client) -> None:
    text = page(admin, "onboarding_time")
    assert "Not there yet" in text
    assert "1 of 2 are there so far, half of all after 16 days." in text
    assert "First schedule" in page(admin, "time_to_value", group_by="milestone")
    assert "Not there yet" not in page(admin, "nps")


def test_the_page_offers_the_kpis_own_groups_and_filters_by_them(admin: Client) -> None:
    text = page(admin, "nps", group_by="attribute:met a problem")
    assert '<option value="attribute:met a problem" selected>met a problem</option>' in text
    assert '<option value="Airport">Airport</option>' in text
    assert "attribute%3Amet+a+problem=yes" in text
    filtered = page(admin, "nps", **{"attribute:met a problem": "yes", "survey": "Airport"})
    assert ">100<" in filtered
    assert '<option value="Airport" selected>Airport</option>' in filtered


def test_the_export_holds_the_rows_and_no_formulas(admin: Client) -> None:
    account = make_account("=cmd()")
    subscribe(account, 10, february(3))
    response = admin.get(reverse("workspace:kpi-export", args=["new_mrr"]), IN_FEBRUARY)
    lines = b"".join(response).decode().splitlines()  # type: ignore[arg-type]
    assert lines[0].endswith(
        "account,account id,day,kind,detail,plan,contract,amount,amount in currency,currency"
    )
    assert f"'=cmd(),{account.pk},2026-02-03,new,,,,10,10,EUR" in [
        line.replace("10.000000", "10") for line in lines
    ]


def store(monkeypatch: pytest.MonkeyPatch, now: datetime = NOW) -> None:
    """Work out what the catalogue shows at `now`."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)
    monkeypatch.setattr(rollups, "MONTHS_BACK", 2)
    rollups.plan(now.date())
    KpiRollUp.objects.exclude(group_by__in=["", "csm"]).delete()
    rollups.refresh(rows=rollups.due_now)


@pytest.mark.parametrize("is_stored", [True, False])
def test_the_catalogue_takes_few_queries_for_everybody(
    is_stored: bool, company: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_stored:
        store(monkeypatch)
    for role in User.Role.values:
        reader = signed_in(make_user(f"Reader {role}", role))
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            response = reader.get("/kpis/")
        assert response.status_code == 200, role
        assert len(queries) <= 20, role
        assert all(escape(kpi.label) in response.content.decode() for kpi in KPIS.values()), role


def test_the_catalogue_shows_the_stored_value_and_the_target(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(monkeypatch)
    Target.objects.create(kpi="nps", value=40)
    text = " ".join(admin.get("/kpis/").content.decode().split())
    assert "/kpis/nps/?start=2026-02-01&amp;end=2026-03-01" in text
    assert "target 40" in text
    assert "They hold all facts there are." in text


def test_the_catalogue_says_which_facts_its_numbers_hold(
    admin: Client, company: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(monkeypatch)
    answer("nps", 9, account=company.acme)
    FactChange.objects.update(logged_at=NOW - timedelta(minutes=5))
    assert "Facts of up to" in admin.get("/kpis/").content.decode()


def test_a_month_in_which_nothing_of_a_csm_was_counted_is_0_and_not_the_month_before(
    company: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(monkeypatch, NOW.replace(month=4))
    text = " ".join(signed_in(company.ada).get("/kpis/").content.decode().split())
    expansion = text.split(">Expansion MRR<")[1].split("</article>")[0]
    assert "Mar 2026" in expansion
    assert "€ 0<" in expansion


def test_a_rates_rows_are_in_money_where_money_was_counted(admin: Client) -> None:
    text = page(admin, "nrr", part="churned")
    assert "Initech" in text
    assert "€ 300.00" in text.replace("\xa0", " ")
    assert "percent 300" not in text


def test_each_bar_of_the_bridge_opens_the_movements_behind_it(admin: Client) -> None:
    response = admin.get(reverse("workspace:kpi", args=["nrr"]), IN_FEBRUARY)
    chart = response.context["waterfall"]
    links = dict(zip(chart.categories, chart.series[0].links, strict=True))
    opened = admin.get(f"{reverse('workspace:kpi', args=['nrr'])}{links['Churned']}".split("#")[0])
    assert [line["account"]["name"] for line in opened.context["lines"]] == ["Initech"]


def test_a_group_of_its_own_leads_to_its_own_page(admin: Client) -> None:
    text = page(admin, "first_response_time", group_by="agent")
    assert 'name="agent"' not in text
    href = '?start=2026-02-01&amp;last=2026-02-28&amp;agent=Kim"'
    assert f"{href}>Kim</a>" in text
    kims = page(admin, "first_response_time", agent="Kim")
    assert 'name="agent" value="Kim"' in kims
    assert "answered 0" in kims
    assert "answered 2" not in kims, "that one is Lou's"


def test_the_rows_of_a_median_say_how_long_each_took(admin: Client) -> None:
    text = page(admin, "resolution_time", agent="Kim")
    assert '<th scope="col">Hours</th>' in text
    assert '<td data-label="Hours">144</td>' in text
    assert page(admin, "resolution_time", priority="high", group_by="priority").count(">High</a>") == 1


def test_the_cohort_table_leads_to_the_rows_of_each_cell(admin: Client, company: Cast) -> None:
    text = page(admin, "cohort_retention", start="2025-06-01")
    table = text.split('<table class="heatmap">')[1].split("</table>")[0]
    links = re.findall(r'<a href="([^"]+)">([^<]+)</a>', table)
    query = "start=2025-06-01&amp;last=2025-07-31&amp;variant=customers&amp;cohort=2025-06"
    assert (f"/kpis/cohort_retention/?{query}#rows", "100") in links
    for href, value in links:
        opened = admin.get(html.unescape(href))
        assert opened.status_code == 200
        assert f"{opened.context['answer'].value:.1f}".removesuffix(".0") == value


@pytest.mark.parametrize("slug", ["nrr", "cohort_retention"])
def test_twelve_months_are_asked_and_drawn_looking_back_from_each_month(slug: str, admin: Client) -> None:
    response = admin.get(reverse("workspace:kpi", args=[slug]))
    assert response.context["answer"].question.period.months == 12
    assert len(response.context["chart"].categories) == 12
    old = {"start": "1900-01-01", "last": "1900-12-31"}
    assert admin.get(reverse("workspace:kpi", args=[slug]), old).status_code == 200


def test_a_margin_below_0_is_marked_as_a_loss(admin: Client) -> None:
    assert "<dt>Remark</dt>" not in page(admin, "retention_margin")
    Cost.objects.create(category="other", day=february(3), amount=90_000)
    remark = page(admin, "retention_margin").split("<dt>Remark</dt>")[1].split("</dd>")[0]
    assert "a loss" in remark


def test_the_gross_margin_is_said_and_that_it_is_a_guess(admin: Client, settings: Any) -> None:
    assert "100 %, taken for granted until it is set" in page(admin, "clv", variant="predictive")
    assert "taken for granted" not in page(admin, "clv", variant="historic")
    settings.IS_GROSS_MARGIN_SET, settings.GROSS_MARGIN_PERCENT = True, Decimal("82.5")
    assert "Gross margin</dt><dd>82.5 %<" in page(admin, "clv", variant="predictive")


def test_the_groups_are_sorted_by_name_value_or_change_and_those_without_a_value_come_last(
    admin: Client, company: Cast
) -> None:
    address = reverse("workspace:kpi", args=["nps"])
    asked = {"start": "2025-09-01", "last": "2026-02-28", "group_by": "month"}

    def months(sort: str) -> list[tuple[int, Decimal | None]]:
        lines = admin.get(address, {**asked, "sort": sort}).context["groups"]
        return [(int(line.group.key[5:7]), line.value) for line in lines]

    answer("nps", 0, account=company.acme, day=date(2025, 10, 9))
    answer("nps", 9, account=company.acme, day=date(2025, 12, 9))
    assert [month for month, _ in months("-name")] == [2, 1, 12, 11, 10, 9]
    found = [value for _, value in months("value")]
    known = [value for value in found if value is not None]
    assert known == sorted(known)
    assert known[0] == -100
    assert found == [*known, *[None] * (len(found) - len(known))], "what has no value comes last"
    assert [value for _, value in months("-value")] == [*known[::-1], *[None] * (len(found) - len(known))]
    by_csm = admin.get(address, {**IN_FEBRUARY, "group_by": "csm", "sort": "name"}).context["groups"]
    names = [line.group.label for line in by_csm]
    assert names == sorted(names, key=str.casefold)


def test_months_stand_in_their_order_until_another_is_asked_for(admin: Client) -> None:
    asked = {"start": "2025-11-01", "last": "2026-02-28", "group_by": "month"}
    address = reverse("workspace:kpi", args=["customer_count"])
    keys = [line.group.key for line in admin.get(address, asked).context["groups"]]
    assert keys == ["2025-11-01", "2025-12-01", "2026-01-01", "2026-02-01"]


def test_the_number_stands_beside_the_period_before_and_the_year_before(admin: Client) -> None:
    asked = {"start": "2026-02-01", "last": "2026-02-28", "group_by": "segment", "compare": "year"}
    response = admin.get(reverse("workspace:kpi", args=["mrr"]), asked)
    compared = response.context["comparisons"]
    assert [(each["label"], each["period"]) for each in compared] == [
        ("Period before", "Jan 2026"),
        ("Year before", "Feb 2025"),
    ]
    assert response.context["group_than"] == "Feb 2025"
    year = admin.get(reverse("workspace:kpi", args=["nrr"]), {"start": "2025-01-01", "last": "2025-12-31"})
    assert [each["period"] for each in year.context["comparisons"]] == ["2024"], (
        "once, where both are the same"
    )


def test_a_fall_is_worse_or_better_as_the_kpi_has_it_and_says_so_in_words(admin: Client) -> None:
    text = page(admin, "customer_churn_rate")
    beside = text.split('<dl class="number-beside">')[1].split("</dl>")[0]
    assert '<span class="delta-word">worse</span>' in beside


def test_a_preset_asks_for_its_days_and_its_days_choose_it(admin: Client) -> None:
    address = reverse("workspace:kpi", args=["nps"])
    by_name = admin.get(address, {"period": "last_quarter"})
    days = by_name.context["answer"].question.period
    by_days = admin.get(address, {"start": str(days.start), "last": str(days.last_day)})
    assert by_days.context["answer"].question.period == days
    assert by_days.context["form"]["period"].value() == "last_quarter"
    assert 'name="start"' not in by_days.content.decode()
    assert 'name="start" value="2026-02-03"' in page(admin, "nps", start="2026-02-03")
    assert admin.get(address, {"period": "whenever"}).status_code == 400


def test_filters_in_force_are_counted_and_taken_away_by_one_click_each(admin: Client, company: Cast) -> None:
    text = page(admin, "nps", csm=str(company.ada.pk), survey="Airport", group_by="segment")
    assert 'More filters <span class="tab-count">2</span>' in text
    chips = text.split('<ul class="chips"')[1].split("</ul>")[0]
    assert "Remove filter Survey: Airport" in chips
    assert 'class="chip-clear" href="?start=2026-02-01&amp;last=2026-02-28&amp;group_by=segment"' in chips
    assert '<ul class="chips"' not in page(admin, "nps", group_by="segment")


def test_the_bars_share_one_scale_and_negative_ones_point_the_other_way() -> None:
    bars = value_bars([Decimal(30), Decimal(-10), None], [Interval(Decimal(20), Decimal(70)), None, None])
    assert [bar and (bar.start, bar.length, bar.is_negative) for bar in bars] == [
        (12.5, 37.5, False),
        (0, 12.5, True),
        None,
    ]
    assert bars[0]
    assert (bars[0].low, bars[0].high) == (37.5, 100)
    assert value_bars([Decimal(0)]) == value_bars([Decimal(0)], [None]), "nothing to divide by is no error"
