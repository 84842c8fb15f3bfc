"""The parts in a real browser: accessible, narrow enough, self-contained, and working by keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from team.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
PAGES = ["/design/", "/auth/login/", "/auth/password/reset/"]

Opener = Callable[..., Page]

# Nothing waits this long on a free machine; a busy one may.
expect.set_options(timeout=15_000)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada@example.org", "a-long-password-1", name="Ada Lindholm")


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer, ada: User) -> Iterator[Opener]:
    """Open a path as Ada (signed out for /auth/) and collect what the browser complains about."""
    contexts: list[BrowserContext] = []

    def opened(path: str, *, theme: str = "light", size: dict[str, int] = DESKTOP) -> Page:
        context = browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        if not path.startswith("/auth/"):
            client = Client()
            client.force_login(ada)
            name = django_settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
        page = context.new_page()
        page.goto(live_server.url + path)
        page.wait_for_load_state("networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()


def draw_all_charts(page: Page) -> None:
    """Scroll past every chart, since each is drawn when it comes near the window."""
    for chart in page.locator("[data-chart]").all():
        chart.scroll_into_view_if_needed()
        expect(chart.locator("svg")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_accessibility_violation(open_page: Opener, path, theme, size):
    page = open_page(path, theme=theme, size=size)
    draw_all_charts(page)
    assert violations(page) == []


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_a_page_never_scrolls_sideways(open_page: Opener, path, width):
    page = open_page(path, size={"width": width, "height": 844})
    draw_all_charts(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_nobody_else_and_breaks_no_policy(open_page: Opener, path, browser, live_server):
    page = open_page(path)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.reload(wait_until="networkidle")
    draw_all_charts(page)
    page.evaluate("document.dispatchEvent(new Event('themechange'))")
    if page.locator(".chart-canvas svg").count():
        page.locator(".chart-canvas").first.hover()
    ours = urlsplit(live_server.url).netloc
    assert {urlsplit(url).netloc for url in asked} == {ours}
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_follows_the_system_until_somebody_chooses(open_page: Opener, theme):
    assert open_page("/design/", theme=theme).locator("html").get_attribute("data-bs-theme") == theme


def test_a_chosen_theme_lasts_and_recolours_the_charts(open_page: Opener):
    page = open_page("/design/")
    draw_all_charts(page)
    axis = page.locator("[data-chart=sample-retention] text").first
    before = axis.get_attribute("fill")
    page.click(".user-trigger")
    page.click("[data-theme-set=dark]")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert axis.get_attribute("fill") != before
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_the_question_mark_opens_the_help_and_escape_closes_it(open_page: Opener):
    page = open_page("/design/")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


@pytest.mark.parametrize("key", ["/", "Control+k"])
def test_a_key_opens_the_search_with_the_cursor_in_it(open_page: Opener, key):
    page = open_page("/design/")
    page.keyboard.press(key)
    expect(page.locator("#search-box")).to_be_focused()
    assert violations(page) == []


def test_keys_are_letters_while_somebody_types(open_page: Opener):
    page = open_page("/design/")
    page.locator("#id_name").fill("")
    page.locator("#id_name").press_sequentially("j/k?")
    expect(page.locator("#id_name")).to_have_value("j/k?")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_j_and_k_move_through_the_rows_and_x_selects(open_page: Opener):
    page = open_page("/design/")
    for key in ["j", "j", "j", "k", "x"]:
        page.keyboard.press(key)
    row = page.locator("tr.is-current")
    expect(row.locator("[data-row-link]")).to_be_focused()
    expect(row.locator("[data-row-link]")).to_have_text("Helio Biotech")
    expect(page.locator("[data-selected-count]")).to_have_text("1 selected")


def test_selecting_all_and_clearing_again(open_page: Opener):
    page = open_page("/design/")
    page.check("[data-select-all]")
    expect(page.locator("[data-selected-count]")).to_have_text("6 selected")
    page.click("[data-select-none]")
    expect(page.locator(".bulk-bar")).to_be_hidden()


def test_a_dialog_keeps_the_focus_and_gives_it_back(open_page: Opener):
    page = open_page("/design/")
    button = page.get_by_role("button", name="Open dialog")
    button.click()
    dialog = page.locator("#sample-dialog")
    expect(dialog).to_be_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
    assert page.evaluate("!document.activeElement.closest('main')")
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


def test_a_definition_opens_beside_its_word(open_page: Opener):
    page = open_page("/design/")
    button = page.locator(".definition-button")
    button.evaluate("element => element.scrollIntoView({block: 'center'})")
    button.click()
    note = page.locator("#def-nrr")
    expect(note).to_be_visible()
    at, box = button.bounding_box(), note.bounding_box()
    assert at
    assert box
    assert abs(box["y"] - (at["y"] + at["height"])) < 20
    page.keyboard.press("Escape")
    expect(note).to_be_hidden()


def test_messages_are_toasts_and_the_bad_ones_stay(open_page: Opener):
    page = open_page("/design/?message=1")
    page.clock.install()
    page.reload()
    expect(page.locator(".toast-good")).to_be_visible()
    page.clock.run_for(20_000)
    expect(page.locator(".toast-good")).to_have_count(0)
    expect(page.locator(".toast-bad")).to_be_visible()


def test_the_menu_of_a_phone_slides_in_and_closes(open_page: Opener):
    page = open_page("/design/", size=PHONE)
    expect(page.locator("#sidebar")).to_be_hidden()
    page.locator(".phone-bar").get_by_role("button", name="More").click()
    expect(page.get_by_role("link", name="Renewals")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#sidebar")).to_be_hidden()


def test_the_first_tab_leads_past_the_menu(open_page: Opener):
    page = open_page("/design/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_without_script_the_figures_of_a_chart_can_still_be_read(browser: Browser, live_server, ada):
    client = Client()
    client.force_login(ada)
    name = django_settings.SESSION_COOKIE_NAME
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    page = context.new_page()
    page.goto(live_server.url + "/design/")
    page.locator(".chart-table summary").first.click()
    expect(page.locator(".chart-table td").first).to_be_visible()
    context.close()


def test_a_wrong_password_says_so_and_keeps_the_address(open_page: Opener):
    page = open_page("/auth/login/")
    page.fill("[name=login]", "ada@example.org")
    page.fill("[name=password]", "not-the-password")
    page.click("button[type=submit]")
    expect(page.locator(".notice-bad")).to_be_visible()
    expect(page.locator("[name=login]")).to_have_value("ada@example.org")
    assert violations(page) == []
