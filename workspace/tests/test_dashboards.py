"""The dashboards: right numbers, that lead to their rows, for whom they are, in few queries."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import ledger
from accounts.models import Account, Cost, ExchangeRate
from accounts.tests.factories import make_account, subscribe
from csplatform.periods import Period
from metrics.kpis import KPIS, Answer, Filters, ask, read_question, rows
from metrics.models import Annotation, Target
from metrics.tests.health_cast import NOON, TODAY, answer, open_ticket
from playbooks.tests.cast import CANARY, World, hold, make_world, stop_the_clock
from surveys.models import Response
from workspace.charts import Chart, HeatMap
from workspace.dashboards import selection
from workspace.dashboards.answering import ShownDashboard, answer_dashboard
from workspace.dashboards.blocks import Table
from workspace.dashboards.catalogue import DASHBOARDS
from workspace.dashboards.definition import Card
from workspace.dashboards.selection import Selection, in_words, preset_period, step_labels

pytestmark = pytest.mark.django_db

QUARTER = Period(date(2026, 4, 1), date(2026, 6, 18))
BOARDS = list(DASHBOARDS)
SECTIONS = [(slug, section.key) for slug in BOARDS for section in DASHBOARDS[slug].sections]


@pytest.fixture(scope="module")
def told(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """The cast, made once: most tests here only read."""
    with django_db_blocker.unblock(), transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        stop_the_clock(patch)
        world = make_world()
        ledger.record_traits(
            {
                world.acme.pk: {"segment": "Enterprise"},
                world.globex.pk: {"segment": "Mid-market"},
                world.umbrella.pk: {"segment": "Canary segment"},
            },
            on=date(2025, 1, 1),
        )
        yield world
        transaction.set_rollback(True)


@pytest.fixture
def world(told: World, db: None, noon: None, monkeypatch: pytest.MonkeyPatch) -> World:
    cache.clear()
    # Three months show the same as twelve, in a quarter of the time.
    monkeypatch.setattr(selection, "MONTHS_OF_A_COURSE", 3)
    return told


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def body_of(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode())


def printed(client: Client, slug: str, **query: str) -> str:
    response = client.get(reverse("workspace:dashboard-print", args=[slug]), query)
    assert response.status_code == 200, response.content.decode()[:2000]
    return " ".join(response.content.decode().replace("\u00a0", " ").split())


def shown_to(user: Any, slug: str, **changes: Any) -> ShownDashboard:
    filters = Filters(csm=user.pk) if DASHBOARDS[slug].is_of_one_csm else Filters()
    given = {"user": user, "period": QUARTER, "filters": filters, "now": NOON, **changes}
    return answer_dashboard(slug, **given)


def answers_of(shown: ShownDashboard) -> list[Answer]:
    return [each for section in shown.sections for _, each in section.answers]


def addresses_of(shown: ShownDashboard) -> list[str]:
    """Return every address that a figure, a point or a cell leads to."""
    found = [tile.href for tile in shown.tiles]
    for section in shown.sections:
        for card in section.cards:
            if isinstance(card.content, Chart):
                found += [link for series in card.content.series for link in series.links if link]
            if isinstance(card.content, Table):
                lines = [*card.content.lines, card.content.total]
                found += [cell.href for line in lines for cell in line.cells if cell.href]
            if isinstance(card.content, HeatMap):
                found += [cell.href for _, cells in card.content.rows for cell in cells if cell.href]
    return found


def card_of(shown: ShownDashboard, title: str) -> Card:
    return next(card for section in shown.sections for card in section.cards if card.title == title)


# --- The definitions ------------------------------------------------------------------


@pytest.mark.parametrize("slug", BOARDS)
def test_a_dashboard_names_only_kpis_and_variants_there_are(slug):
    for section in DASHBOARDS[slug].sections:
        for question in section.questions(Selection(user=None, period=QUARTER, now=NOON)):
            assert question.slug in KPIS


@pytest.mark.parametrize("slug", BOARDS)
def test_every_section_and_every_card_of_a_dashboard_has_a_name_of_its_own(slug):
    sections = DASHBOARDS[slug].sections
    titles = [block.title for section in sections for block in section.blocks]
    assert len({section.key for section in sections}) == len(sections)
    assert len({*titles}) == len(titles)


# --- Days -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "start", "last"),
    [
        ("this_month", "2026-06-01", "2026-06-17"),
        ("last_month", "2026-05-01", "2026-05-31"),
        ("this_quarter", "2026-04-01", "2026-06-17"),
        ("last_quarter", "2026-01-01", "2026-03-31"),
        ("this_year", "2026-01-01", "2026-06-17"),
        ("last_year", "2025-01-01", "2025-12-31"),
        ("last_12_months", "2025-06-01", "2026-05-31"),
    ],
)
def test_a_preset_means_these_days(preset, start, last):
    period = preset_period(preset, TODAY)
    assert (period.start.isoformat(), period.last_day.isoformat()) == (start, last)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-01-01", "2027-01-01", "2026"),
        ("2026-04-01", "2026-07-01", "Q2 2026"),
        ("2026-02-01", "2026-03-01", "Feb 2026"),
        ("2026-02-01", "2026-02-18", "1 – 17 Feb 2026"),
        ("2026-02-03", "2026-02-04", "3 Feb 2026"),
        ("2026-02-03", "2026-04-01", "3 Feb – 31 Mar 2026"),
        ("2025-11-03", "2026-04-01", "3 Nov 2025 – 31 Mar 2026"),
    ],
)
def test_a_period_is_called_as_people_call_it(start, end, words):
    period = Period(date.fromisoformat(start), date.fromisoformat(end))
    assert in_words(period).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("start", "end", "steps", "first", "last"),
    [
        ("2026-06-01", "2026-06-18", 12, "Jul 2025", "1–17 Jun"),
        ("2025-01-01", "2026-06-18", 18, "Jan 2025", "1–17 Jun"),
        ("2023-01-01", "2026-06-18", 14, "Q1 2023", "Q2 2026"),
        ("1970-01-01", "2026-06-18", 24, "2003", "2026"),
    ],
)
def test_a_course_has_at_most_24_steps_and_ends_with_the_period(start, end, steps, first, last):
    period = Period(date.fromisoformat(start), date.fromisoformat(end))
    course = Selection(user=None, period=period).course()
    labels = step_labels(course)
    assert (len(course), labels[0], labels[-1]) == (steps, first, last)
    assert course[-1].end == period.end
    assert len({*labels}) == len(labels)


def test_the_year_before_29_february_ends_with_the_month_too():
    leap_day = Period(date(2024, 2, 29), date(2024, 3, 1))
    before = Selection(user=None, period=leap_day, compare="year").before
    assert before == Period(date(2023, 2, 28), date(2023, 3, 1))


# --- Right numbers --------------------------------------------------------------------


@pytest.mark.parametrize("slug", BOARDS)
def test_every_figure_is_what_the_kpi_says_when_asked_alone(world: World, slug):
    shown = shown_to(world.ada, slug)
    # The newest of each place: the others differ in their days only.
    figures = [tile.answer for tile in shown.tiles]
    figures += [said for section in shown.sections for card in section.cards for said in card.answers[-1:]]
    for said in figures:
        alone = ask(said.question)
        assert (said.value, said.figure.counts, said.unit) == (alone.value, alone.figure.counts, alone.unit)
        assert {group.key: group.figure.value for group in said.groups} == {
            group.key: group.figure.value for group in alone.groups
        }


@pytest.mark.parametrize("slug", BOARDS)
def test_every_address_asks_about_the_same_days_and_accounts(world: World, slug):
    filters = Filters(csm=world.ada.pk, segment="Mid-market", plan="team", lifecycle_stage="Live")
    shown = shown_to(world.admin, slug, filters=filters)
    asked = {replace(said.question, group_by="") for said in answers_of(shown)}
    addresses = addresses_of(shown)
    assert addresses
    for address in addresses:
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        kpi = urlsplit(address).path.split("/")[2]
        query.pop("part", None)
        question = read_question(kpi, query, user=world.admin, now=NOON)
        assert replace(question, group_by="") in asked, address


def test_every_address_opens(world: World):
    filters = Filters(csm=world.ada.pk)
    addresses = [
        each for slug in BOARDS for each in addresses_of(shown_to(world.admin, slug, filters=filters))
    ]
    # One of each KPI and part: the others differ in their days only.
    different = {
        (urlsplit(each).path, parse_qs(urlsplit(each).query).get("part", [""])[0]): each for each in addresses
    }
    for (path, part), address in different.items():
        if part:
            query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
            del query["part"]
            rows(read_question(path.split("/")[2], query, user=world.admin, now=NOON), part)
    # One page of each KPI, with the last of its parts.
    client = signed_in(world.admin)
    for address in {path: address for (path, _), address in different.items()}.values():
        response = client.get(address)
        assert response.status_code == 200, address
        assert "A part is one of" not in response.content.decode(), address


def test_a_tile_shows_value_change_interval_sample_target_and_course(world: World):
    Target.objects.create(kpi="nps", value=40)
    answer(world.acme, "nps", 9, back=100)
    text = printed(signed_in(world.ada), "executive")
    tile = text.split(">NPS</h3>")[1].split("</article>")[0]
    for words in (">0</a>", "target 40", "2 answers", "small sample", "kpi-spark", "−100", " to "):
        assert words in tile, words


def test_a_tile_without_a_value_says_why_and_still_leads_somewhere(world: World):
    text = printed(signed_in(world.grace), "voice")
    tile = text.split(">NPS</h3>")[1].split("</article>")[0]
    assert "no data" in tile
    assert "Nobody answered in this period." in tile
    assert 'href="/kpis/nps/?' in tile


def test_the_change_is_against_the_period_chosen(world: World):
    answer(world.acme, "nps", 3, back=100)
    answer(world.acme, "nps", 10, back=365 + 12)
    before = {tile.label: tile for tile in shown_to(world.ada, "executive").tiles}["NPS"]
    year = {tile.label: tile for tile in shown_to(world.ada, "executive", compare="year").tiles}["NPS"]
    assert (before.change, year.change) == (Decimal(100), Decimal(-100))


def test_net_retention_is_asked_of_twelve_months_and_says_so(world: World):
    tile = next(tile for tile in shown_to(world.ada, "executive").tiles if tile.answer.kpi.slug == "nrr")
    assert tile.answer.question.period == Period(date(2025, 6, 18), date(2026, 6, 18))
    assert tile.period == "12 months"


def test_the_waterfall_closes_and_each_bar_opens_its_movements(world: World):
    shown = shown_to(world.ada, "revenue")
    chart = next(
        card.content
        for section in shown.sections
        for card in section.cards
        if card.title == "From opening to closing"
    )
    (series,) = chart.series
    steps = dict(zip(chart.categories, series.values, strict=True))
    assert sum(steps.values()) - steps["Closing"] == steps["Closing"] == Decimal(1900)
    links = dict(zip(chart.categories, series.links, strict=True))
    assert "part=churned#rows" in links["Churned"]
    assert "Initech" in signed_in(world.ada).get(links["Churned"].split("#")[0]).content.decode()


def test_the_largest_movements_come_first_with_their_contract_and_in_one_currency(world: World):
    ExchangeRate.objects.create(currency="JPY", starts_on=date(2025, 1, 1), rate=Decimal("0.006"))
    for name, amount, currency in (("Small", 20_000, "JPY"), ("Large", 5_000, "EUR")):
        account = make_account(name)
        subscribe(account, amount, date(2026, 6, 2), currency=currency)
        hold(account, world.ada)
    shown = shown_to(world.ada, "revenue")
    moves = card_of(shown, "Largest movements").content
    assert [(move.account, move.kind, move.amount) for move in moves] == [
        ("Large", "New", 5000),
        ("Initech", "Churn", -300),
        ("Small", "New", 120),
        ("Globex", "Contraction", -100),
    ]
    assert moves[0].href == Account.objects.get(name="Large").get_absolute_url() + "#money"
    assert {move.unit for move in moves} == {"EUR"}


def test_what_happened_is_marked_on_courses_and_said_once(world: World):
    Annotation.objects.create(day=date(2026, 5, 4), text="Price change")
    Annotation.objects.create(day=date(2020, 5, 4), text="Long ago")
    shown = shown_to(world.ada, "executive")
    chart = card_of(shown, "Retention of revenue").content
    assert [(mark.category, mark.label) for mark in chart.marks] == [("May", "Price change")]
    text = printed(signed_in(world.ada), "executive")
    assert text.count("<strong>4 May 2026</strong> Price change") == 1
    assert "Long ago" not in text


def test_a_change_is_told_from_chance(world: World):
    before = datetime.combine(date(2026, 3, 1), time(12), UTC)
    back = (NOON - before).days
    for _ in range(60):
        answer(world.acme, "nps", 10, back=back)
        answer(world.acme, "nps", 2, back=20)
    tile = next(tile for tile in shown_to(world.ada, "voice").tiles if tile.label == "NPS")
    assert tile.note == "change significant"
    Response.objects.filter(given_at__lt=before + timedelta(days=2)).delete()
    answer(world.acme, "nps", 10, back=back)
    Response.objects.filter(pk__gt=0, answers__score=2).delete()
    tile = next(tile for tile in shown_to(world.ada, "voice").tiles if tile.label == "NPS")
    assert tile.note == "change not significant"


def test_a_target_and_a_benchmark_are_drawn(world: World):
    Target.objects.create(kpi="nps", value=40, benchmark_low=20, benchmark_high=60)
    shown = shown_to(world.ada, "voice")
    chart = next(
        card.content
        for section in shown.sections
        for card in section.cards
        if card.title == "Net Promoter Score"
    )
    assert (chart.target, chart.benchmark) == (40, (20, 60))
    assert any(low is not None for low in chart.series[0].low)


def test_a_team_has_a_line_for_each_csm_and_the_same_total(world: World):
    shown = shown_to(world.admin, "team")
    table = next(card.content for section in shown.sections for card in section.cards if card.kind == "table")
    mrr = [key for key, _ in table.columns].index("mrr")
    lines = {line.label: line.cells[mrr].value for line in table.lines}
    assert lines == {"Ada": Decimal(1900), "Linus": Decimal(77_777)}
    assert table.total.cells[mrr].value == Decimal(79_677)


def test_the_lines_of_a_team_are_sorted_as_the_address_says(world: World):
    client = signed_in(world.admin)
    for order, names in (
        ("mrr", ["Ada", "Linus"]),
        ("-mrr", ["Linus", "Ada"]),
        ("nonsense", ["Ada", "Linus"]),
    ):
        text = printed(client, "team", sort=order)
        table = text.split("<tbody>")[1].split("</tbody>")[0]
        assert sorted(names, key=table.index) == names, order


# --- Who sees what --------------------------------------------------------------------


def test_a_stranger_is_sent_to_the_sign_in_page():
    for slug in BOARDS:
        for name in ("dashboard", "dashboard-print", "dashboard-export"):
            response = Client().get(reverse(f"workspace:{name}", args=[slug]))
            assert response.headers["Location"].startswith("/auth/login/")


# That a CSM has them is tested below, with what must not be on them.
@pytest.mark.parametrize("who", ["manager", "admin", "viewer"])
def test_every_role_has_every_dashboard(world: World, who):
    client = signed_in(getattr(world, who))
    for slug in BOARDS:
        for name in ("dashboard", "dashboard-print"):
            assert client.get(reverse(f"workspace:{name}", args=[slug])).status_code == 200, (name, slug)


@pytest.mark.parametrize(("slug", "key"), SECTIONS)
def test_every_section_can_be_fetched_alone(world: World, slug, key):
    client = signed_in(world.ada)
    address = reverse("workspace:dashboard-section", args=[slug, key])
    part = client.get(address, headers={"HX-Request": "true"})
    assert part.headers["Vary"].count("HX-Request") == 1
    assert "<html" not in part.content.decode()
    assert "grid" in part.content.decode()


@pytest.mark.parametrize("slug", BOARDS)
def test_the_address_of_a_section_opens_as_a_page(world: World, slug):
    address = reverse("workspace:dashboard-section", args=[slug, DASHBOARDS[slug].sections[-1].key])
    whole = signed_in(world.ada).get(address)
    assert whole.headers["Vary"].count("HX-Request") == 1
    assert "<html" in whole.content.decode()


@pytest.mark.parametrize("who", ["ada", "grace", "manager"])
def test_a_canary_of_somebody_elses_is_on_no_dashboard(world: World, who):
    client = signed_in(getattr(world, who))
    for slug in BOARDS:
        for name in ("dashboard", "dashboard-print"):
            query = {} if who != "manager" else {"csm": world.ada.pk}
            response = client.get(reverse(f"workspace:{name}", args=[slug]), query)
            assert response.status_code == 200, (name, slug)
            text = body_of(response)
            for secret in (CANARY, "Canary segment", "77,777", "77777", "77 k", "78 k", "Linus"):
                assert secret not in text, (secret, name, slug)


def test_the_admin_does_see_the_canary(world: World):
    """Without this the test above could pass on pages that show nothing at all."""
    text = printed(signed_in(world.admin), "revenue")
    assert "Canary segment" in text
    assert "77,777" in text


def test_a_csm_has_a_board_of_their_own_and_others_choose_one(world: World):
    assert "Ada’s board" in printed(signed_in(world.ada), "csm")
    manager = signed_in(world.manager)
    page = manager.get(reverse("workspace:dashboard", args=["csm"])).content.decode()
    assert f'href="?csm={world.ada.pk}"' in page
    assert "Linus" not in page
    assert "Ada’s board" in printed(manager, "csm", csm=str(world.ada.pk))


def test_nobody_asks_for_the_board_of_somebody_in_another_team(world: World):
    for who in (world.manager, world.grace):
        response = signed_in(who).get(reverse("workspace:dashboard", args=["csm"]), {"csm": world.linus.pk})
        assert response.status_code == 400
        assert "CSM" in response.content.decode()


def test_the_overview_leads_a_csm_to_their_board_and_others_to_the_executive_one(world: World):
    for who, board in ((world.ada, "csm"), (world.manager, "executive")):
        response = signed_in(who).get("/dashboards/?segment=Enterprise")
        assert response.headers["Location"] == f"/dashboards/{board}/?segment=Enterprise"


# --- What the address says ------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"period": "next_week"}, "Period"),
        ({"start": "yesterday", "last": "2026-06-01"}, "From"),
        ({"start": "2026-02-30", "last": "2026-06-01"}, "From"),
        ({"start": "2026-06-10", "last": "2026-06-01"}, "To, included"),
        ({"start": "2026-06-10"}, "To, included"),
        ({"last": "2026-06-10"}, "From"),
        ({"start": "0001-01-01", "last": "2026-06-01"}, "From"),
        ({"start": "1949-12-31", "last": "2026-06-01"}, "From"),
        ({"start": "2026-01-01", "last": "9999-12-31"}, "To, included"),
        ({"start": "1950-01-01", "last": "2150-01-01"}, "To, included"),
        ({"compare": "never"}, "Compared with"),
        ({"csm": "ada"}, "CSM"),
        ({"csm": "9" * 30}, "CSM"),
        ({"csm": "\x00"}, "CSM"),
        ({"plan": "no such plan"}, "Plan"),
        ({"segment": "\x00"}, "Segment"),
        ({"segment": "x" * 201}, "Segment"),
        ({"lifecycle_stage": "x" * 201}, "Stage"),
    ],
)
def test_bad_input_is_refused_with_the_name_of_the_field(world: World, query, field):
    client = signed_in(world.admin)
    for name in ("dashboard", "dashboard-export"):
        response = client.get(reverse(f"workspace:{name}", args=["executive"]), query)
        assert response.status_code == 400, name
        assert field in body_of(response), name
    section = reverse("workspace:dashboard-section", args=["executive", "figures"])
    assert client.get(section, query, headers={"HX-Request": "true"}).status_code == 400


@pytest.mark.parametrize(
    "days", [("1950-01-01", "1950-01-02"), ("2199-12-01", "2199-12-31"), ("1950-01-01", "2049-12-01")]
)
def test_days_at_the_ends_of_the_calendar_are_answered(world: World, days):
    start, last = days
    for slug, compare in (("executive", "year"), ("support", "previous"), ("team", "year")):
        printed(signed_in(world.ada), slug, start=start, last=last, compare=compare)


def test_a_value_no_account_has_any_more_can_still_be_asked_for(world: World):
    text = printed(signed_in(world.ada), "executive", segment="Long gone")
    assert '<option value="Long gone" selected>' in text


def test_free_days_begin_as_the_month_so_far(world: World):
    text = printed(signed_in(world.ada), "executive", period="days")
    assert 'value="2026-06-01"' in text
    assert 'value="2026-06-17"' in text


def test_days_and_filters_are_taken_along_to_the_other_dashboards(world: World):
    query = {
        "period": "last_quarter",
        "compare": "year",
        "segment": "Enterprise",
        "sort": "mrr",
        "empty": "x",
    }
    page = (
        signed_in(world.admin).get(reverse("workspace:dashboard", args=["executive"]), query).content.decode()
    )
    carried = "period=last_quarter&amp;compare=year&amp;segment=Enterprise"
    for slug in BOARDS:
        assert f'href="/dashboards/{slug}/?{carried}"' in page
    for name in ("export", "print", "sections/figures"):
        assert f"/dashboards/executive/{name}/?{carried}" in page


@pytest.mark.parametrize(
    "path", ["nonsense/", "nonsense/print/", "nonsense/export/", "executive/sections/nonsense/"]
)
def test_what_there_is_not_is_not_found(world: World, path):
    assert signed_in(world.admin).get(f"/dashboards/{path}").status_code == 404


# --- Taken away -----------------------------------------------------------------------


def test_the_export_has_each_figure_with_its_days_and_counts(world: World):
    response = signed_in(world.ada).get(reverse("workspace:dashboard-export", args=["revenue"]))
    assert (
        response.headers["Content-Disposition"] == 'attachment; filename="revenue-2026-04-01-2026-06-17.csv"'
    )
    rows = list(csv.DictReader(io.StringIO(body_of(response).lstrip("\ufeff"))))
    said = next(row for row in rows if (row["shown as"], row["first day"]) == ("MRR", "2026-04-01"))
    assert (said["kpi"], said["last day"], said["value"], said["unit"]) == (
        "mrr",
        "2026-06-17",
        "1900",
        "EUR",
    )
    grouped = {row["group"]: row["value"] for row in rows if row["shown as"] == "MRR by segment"}
    assert grouped == {"": "1900", "Enterprise": "1000", "Mid-market": "900", "none": "0"}
    retention = next(row for row in rows if row["shown as"] == "Net revenue retention")
    assert Decimal(retention["numerator"]) / Decimal(retention["denominator"]) * 100 == Decimal(
        retention["value"]
    )


def test_the_export_runs_nothing_in_a_spreadsheet(world: World):
    account = make_account("Evil")
    ledger.record_traits({account.pk: {"segment": "=cmd()"}}, on=date(2025, 1, 1))
    subscribe(account, 10, date(2025, 1, 1))
    hold(account, world.ada)
    text = body_of(signed_in(world.ada).get(reverse("workspace:dashboard-export", args=["revenue"])))
    assert ",'=cmd()," in text
    assert ",=cmd()" not in text


def test_the_printout_has_every_section_its_address_and_the_day(world: World):
    text = printed(signed_in(world.ada), "executive", segment="Enterprise")
    foot = text.split('class="print-foot"')[1]
    assert "http://testserver/dashboards/executive/?segment=Enterprise" in foot
    assert "17 Jun 2026" in foot
    for section in DASHBOARDS["executive"].sections:
        assert f'id="section-{section.key}"' in text
    assert 'hx-get="/dashboards/' not in text


def test_a_dashboard_is_worked_out_without_a_request_for_a_mail(world: World):
    shown = answer_dashboard("executive", user=world.ada, period=QUARTER, now=NOON)
    assert {tile.label: tile.answer.value for tile in shown.tiles}["MRR"] == Decimal(1900)
    with pytest.raises(KeyError):
        answer_dashboard("nonsense", user=world.ada, period=QUARTER)


def test_a_cell_of_the_cohorts_opens_the_figure_it_shows_among_the_same_accounts(world: World):
    client = signed_in(world.admin)
    for name, holder in (("Newcomer", world.ada), ("Another", world.grace)):
        account = make_account(name)
        subscribe(account, 10, date(2026, 2, 3), date(2026, 5, 5) if name == "Another" else None)
        hold(account, holder)
    for filters in (Filters(), Filters(csm=world.ada.pk)):
        card = card_of(shown_to(world.admin, "revenue", filters=filters), "Revenue kept, by month of joining")
        cells = [cell for _, cells in card.content.rows for cell in cells if cell.value is not None]
        assert cells
        for cell in (cells[0], cells[-1]):
            opened = client.get(cell.href).context["answer"]
            assert (opened.value, opened.question.filters.csm) == (cell.value, filters.csm)
    assert [cells[-1].value, cells[0].value] == [100, 100], "Ada's alone"


def test_a_loss_is_marked_on_its_tile(world: World):
    Cost.objects.create(category="other", day=TODAY, amount=10_000_000)
    shown = shown_to(world.admin, "revenue")
    (tile,) = [each for each in shown.tiles if each.answer.kpi.slug == "retention_margin"]
    assert tile.answer.value < 0
    assert tile.remark == "a loss"
    assert "a loss" in printed(signed_in(world.admin), "revenue")


# --- Few queries ----------------------------------------------------------------------


def queries_for(client: Client, address: str) -> int:
    # The choices of the filters are kept for a minute, and read anew on a slow day.
    client.get(reverse("workspace:dashboard", args=["executive"]))
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_a_whole_dashboard_takes_at_most_twenty_queries_however_many_accounts(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(selection, "MONTHS_OF_A_COURSE", 12)
    client = signed_in(world.admin)
    addresses = [
        reverse("workspace:dashboard-print", args=[slug]) + f"?csm={world.ada.pk}" for slug in BOARDS
    ]
    before = [queries_for(client, address) for address in addresses]
    for number in range(30):
        account = make_account(f"Number {number}", segment=f"Segment {number % 5}")
        subscribe(account, 10 + number, date(2025, 1, 1))
        hold(account, world.ada)
        answer(account, "nps", number % 11, back=number)
        open_ticket(account, back=number)
    for address, queries in zip(addresses, before, strict=True):
        assert queries_for(client, address) <= queries <= 20, address


@pytest.mark.parametrize("slug", BOARDS)
def test_the_frame_of_a_dashboard_asks_no_number(world: World, slug):
    client = signed_in(world.ada)
    address = reverse("workspace:dashboard", args=[slug])
    client.get(address)
    assert queries_for(client, address) <= 6


def test_what_two_cards_ask_alike_is_asked_once(world: World):
    shown = shown_to(world.ada, "executive")
    questions = [said.question for said in answers_of(shown)]
    assert len({*questions}) < len(questions)
    assert {id(said) for said in answers_of(shown) if said.question == questions[0]} == {
        id(answers_of(shown)[0])
    }
