"""The dashboards in a real browser: for everybody, by keyboard, on a phone, on paper and as a picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from metrics.models import Annotation, Target
from metrics.tests.health_cast import TODAY, answer
from playbooks.tests.cast import World
from workspace.dashboards import selection
from workspace.dashboards.catalogue import DASHBOARDS
from workspace.tests.test_browser_design import DESKTOP, PHONE, draw_all_charts, violations
from workspace.tests.test_browser_pages import Opener, open_page

__all__ = ["open_page"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def short_courses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three months show the same as twelve, in a quarter of the time."""
    monkeypatch.setattr(selection, "MONTHS_OF_A_COURSE", 3)


def opened(open_page: Opener, path: str, **how: object) -> Page:
    """Open a dashboard and wait for all its sections and charts."""
    page = open_page(path, **how)
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=60_000)
    draw_all_charts(page)
    return page


def path_of(slug: str, world: World) -> str:
    return f"/dashboards/{slug}/" + (f"?csm={world.ada.pk}" if DASHBOARDS[slug].is_of_one_csm else "")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_dashboard_has_an_accessibility_violation_or_scrolls_sideways(
    open_page: Opener, world: World, theme, size
):
    Target.objects.create(kpi="nps", value=40)
    Annotation.objects.create(day=TODAY, text="Price change")
    for slug in DASHBOARDS:
        page = opened(open_page, path_of(slug, world), who="admin", theme=theme, size=size)
        assert violations(page) == [], slug
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, slug
        page.close()


def test_the_days_are_chosen_by_keyboard_and_taken_along(open_page: Opener, world: World):
    page = opened(open_page, "/dashboards/csm/")
    page.keyboard.press("f")
    expect(page.get_by_label("Period")).to_be_focused()
    page.get_by_label("Period").select_option("last_quarter")
    page.wait_for_url(re.compile(r"/dashboards/csm/\?period=last_quarter&compare=previous$"))
    expect(page.locator(".board-days")).to_contain_text("Q1 2026 compared with Q4 2025")
    page.get_by_role("link", name="Revenue", exact=True).click()
    expect(page.locator("h1")).to_have_text("Revenue")
    expect(page.get_by_label("Period")).to_have_value("last_quarter")


def test_free_days_are_typed_and_sent_with_enter(open_page: Opener, world: World):
    page = opened(open_page, "/dashboards/csm/")
    page.get_by_label("Period").select_option("days")
    page.wait_for_url(re.compile("period=days"))
    page.get_by_label("From").fill("2026-05-04")
    page.get_by_label("To, included").fill("2026-05-10")
    page.get_by_label("To, included").press("Enter")
    expect(page.locator(".board-days")).to_contain_text("4 – 10 May 2026")
    assert "csm=" not in page.url


def test_a_figure_opens_its_explanation_by_keyboard_with_the_same_days(open_page: Opener, world: World):
    page = opened(open_page, "/dashboards/csm/?period=last_month")
    page.locator("a.kpi-value").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/kpis/mrr/?start=2026-05-01&end=2026-06-01&csm={world.ada.pk}")
    expect(page.locator("h1")).to_have_text("Monthly recurring revenue")


def test_a_point_of_a_chart_opens_its_own_days(open_page: Opener, world: World):
    page = opened(open_page, "/dashboards/csm/?period=last_month")
    table = page.locator(".chart-table").first
    table.locator("summary").click()
    table.locator("td a").first.click()
    page.wait_for_url(f"**/kpis/mrr/?start=2026-03-01&end=2026-04-01&csm={world.ada.pk}")


def test_a_chart_is_saved_as_a_picture(open_page: Opener, world: World, tmp_path: Path):
    answer(world.acme, "nps", 9, back=40)
    page = opened(open_page, "/dashboards/voice/", theme="dark")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save “Net Promoter Score” as a picture").click()
    assert waiting.value.suggested_filename == "net-promoter-score.png"
    waiting.value.save_as(tmp_path / "chart.png")
    picture = (tmp_path / "chart.png").read_bytes()
    assert picture.startswith(PNG)
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (2400, 1200)


def test_on_paper_there_are_the_charts_and_the_address_and_no_menu(open_page: Opener, world: World):
    page = open_page("/dashboards/csm/", theme="dark")
    page.get_by_role("link", name="Print view").click()
    charts = page.locator("[data-chart]")
    # Drawn without anybody scrolling there.
    expect(page.locator("[data-chart] svg")).to_have_count(charts.count())
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".print-foot")).to_contain_text("/dashboards/csm/")
    expect(page.locator(".print-foot")).to_contain_text("17 Jun 2026")
    for unwanted in (".sidebar", ".tabs", "#filters", ".page-actions", ".board-actions"):
        assert page.locator(unwanted).first.is_hidden(), unwanted
    assert page.locator("html").get_attribute("data-bs-theme") == "light"
    for chart in charts.all():
        assert chart.locator("svg").get_attribute("viewBox")
        box = chart.locator("svg").bounding_box()
        assert box
        assert box["width"] > 200
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"


def test_without_script_the_whole_board_is_one_link_away(
    open_page: Opener, world: World, browser, live_server
):
    cookies = open_page("/dashboards/csm/").context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"{live_server.url}/dashboards/csm/")
    page.get_by_role("link", name="Show them all on one page").click()
    expect(page.locator("a.kpi-value").first).to_be_visible()
    context.close()
