"""The CSM's rooms in a real browser: by keyboard, on a phone, for a screen reader, in both themes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import Touch
from playbooks.models import Dismissal, Task
from playbooks.tests.cast import World
from workspace.models import SavedView
from workspace.tests.test_browser_design import DESKTOP, PHONE, draw_all_charts, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

expect.set_options(timeout=20_000)

Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer, world: World) -> Iterator[Opener]:
    """Open a path as Ada, or somebody else of the cast; complaints of the browser fail the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # A form that is refused comes back with 422, which Chromium lists as a failed request.
        if message.type == "error" and "status of 422" not in message.text:
            complaints.append(message.text)

    def opened(path: str, *, who: str = "ada", theme: str = "light", size: dict[str, int] = DESKTOP) -> Page:
        context = browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        client = Client()
        client.force_login(getattr(world, who))
        name = django_settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(live_server.url + path)
        page.wait_for_load_state("networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def paths(world: World) -> list[str]:
    return ["/", "/portfolio/", f"/accounts/{world.globex.pk}/", "/tasks/", "/renewals/", "/search/?q=glo"]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_have_no_accessibility_violation(open_page: Opener, world, theme, size):
    Task.objects.create(account=world.globex, title="Call back", due_on="2026-06-20", assignee=world.ada)
    for path in paths(world):
        page = open_page(path, theme=theme, size=size)
        draw_all_charts(page)
        assert violations(page) == [], path


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_scrolls_sideways(open_page: Opener, world, width):
    for path in paths(world):
        page = open_page(path, size={"width": width, "height": 844})
        draw_all_charts(page)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_a_line_is_snoozed_by_two_keys_and_comes_back_by_undo(open_page: Opener, world):
    page = open_page("/")
    page.keyboard.press("j")
    expect(page.locator(".queue-line.is-current [data-row-link]")).to_be_focused()
    page.keyboard.press("s")
    expect(page.get_by_role("radio", name="Until tomorrow")).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page.locator(".queue-line")).to_have_count(0)
    assert Dismissal.objects.get().kind == "snoozed"
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".queue-line")).to_have_count(1)
    assert not Dismissal.objects.exists()


def test_a_line_is_done_with_a_note_by_keyboard_alone(open_page: Opener, world):
    page = open_page("/")
    page.keyboard.press("j")
    page.keyboard.press("d")
    expect(page.get_by_label("What came of it?")).to_be_focused()
    page.keyboard.type("Called Maria")
    page.keyboard.press("Enter")
    expect(page.locator(".queue-line")).to_have_count(0)
    assert Dismissal.objects.get().note == "Called Maria"


def test_a_line_that_is_not_useful_asks_why(open_page: Opener, world):
    page = open_page("/")
    page.keyboard.press("j")
    page.keyboard.press("n")
    page.get_by_role("radio", name="The facts are wrong or out of date").check()
    page.get_by_role("button", name="Set aside", exact=True).click()
    expect(page.locator(".queue-line")).to_have_count(0)
    assert Dismissal.objects.get().note == "The facts are wrong or out of date."


def test_the_figures_arrive_and_lead_to_their_explanation(open_page: Opener, world):
    page = open_page("/")
    link = page.locator(".figures a.kpi-value").first
    expect(link).to_have_attribute("href", f"/kpis/mrr/?start=2026-06-01&end=2026-06-18&csm={world.ada.pk}")


@pytest.mark.parametrize(("key", "kind"), [("c", "call"), ("n", "note")])
def test_a_call_or_a_note_is_logged_in_two_keystrokes(open_page: Opener, world, key, kind):
    page = open_page(f"/accounts/{world.globex.pk}/")
    page.keyboard.press(key)
    expect(page.locator("#touch textarea")).to_be_focused()
    page.keyboard.type("They will try again in July.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#timeline")).to_contain_text("They will try again in July.")
    expect(page.locator("#touch")).to_be_hidden()
    touch = Touch.objects.get(notes="They will try again in July.")
    assert (touch.kind, touch.user) == (kind, world.ada)


def test_a_call_is_logged_from_the_queue(open_page: Opener, world):
    page = open_page("/")
    page.keyboard.press("j")
    page.keyboard.press("c")
    expect(page.locator("#touch textarea")).to_be_focused()
    page.keyboard.type("Talked it through.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".queue-line")).not_to_contain_text("no contact since")
    assert Touch.objects.get(notes="Talked it through.").kind == "call"


def test_a_form_with_an_error_says_so_in_its_dialog(open_page: Opener, world):
    page = open_page(f"/accounts/{world.globex.pk}/")
    page.keyboard.press("c")
    page.locator("#touch textarea").fill("x")
    page.locator("#touch [name=happened_at]").fill("2027-01-01T10:00")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#touch .form-error").first).to_contain_text("future")


def test_a_task_from_the_queue_is_on_the_list_and_done_by_a_key(open_page: Opener, world):
    page = open_page("/")
    page.keyboard.press("j")
    page.keyboard.press("t")
    expect(page.get_by_label("What to do")).to_have_value(
        "Call Maria Lopez, champion: ask what is behind the answer"
    )
    page.get_by_role("button", name="Add the task").click()
    expect(page.locator("#toasts")).to_contain_text("Task added for Globex")
    page.goto(page.url.split("?")[0] + "tasks/")
    page.keyboard.press("j")
    page.keyboard.press("d")
    expect(page.locator("#tasks")).to_contain_text("Nothing on your list")
    assert Task.objects.get().state == "done"


def test_the_portfolio_filters_as_one_types_and_keeps_the_address(open_page: Opener, world):
    page = open_page("/portfolio/")
    expect(page.locator("tbody tr[data-row]")).to_have_count(2)
    page.keyboard.press("f")
    page.keyboard.type("glob")
    expect(page.locator("tbody tr[data-row]")).to_have_count(1)
    expect(page).to_have_url(re.compile("search=glob"))
    page.locator(".chip-clear").click()
    expect(page.locator("tbody tr[data-row]")).to_have_count(2)


def test_a_view_is_saved_with_the_filters_in_force(open_page: Opener, world):
    page = open_page("/portfolio/")
    page.get_by_label("Health").select_option("red")
    expect(page.locator("tbody tr[data-row]")).to_have_count(1)
    page.get_by_role("button", name="Save this view").click()
    page.locator("#save-view [name=name]").first.fill("In red")
    page.keyboard.press("Enter")
    expect(page.locator(".tabs a[aria-current]")).to_have_text("In red")
    assert "band=red" in SavedView.objects.get().query


def test_many_accounts_get_a_task_and_lose_it_again(open_page: Opener, world):
    page = open_page("/portfolio/")
    page.check("[data-select-all]")
    page.get_by_role("button", name="Add a task").click()
    page.locator("#bulk-task").get_by_label("What to do").fill("Send the survey")
    page.locator("#bulk-task").get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#toasts")).to_contain_text("Task added to 2 accounts")
    assert Task.objects.count() == 2
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("2 tasks removed again")
    assert Task.objects.count() == 0


def test_search_finds_an_account_and_enter_opens_it(open_page: Opener, world):
    page = open_page("/")
    page.keyboard.press("/")
    page.keyboard.type("globex")
    expect(page.locator("#search-results a").first).to_contain_text("Globex")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Globex")
