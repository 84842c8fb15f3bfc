"""The pages of the numbers in a real browser: for everybody in both themes, by keyboard, on a phone."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from accounts.models import ExchangeRate
from metrics.models import Annotation, Target
from metrics.tests.health_cast import TODAY, answer
from playbooks.tests.cast import World
from workspace.tests.test_browser_design import PHONE, draw_all_charts, violations
from workspace.tests.test_browser_pages import Opener, open_page

__all__ = ["open_page"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NPS_BY_CSM = "/kpis/nps/?group_by=csm"
PATHS = [
    "/kpis/",
    NPS_BY_CSM,
    "/kpis/new/",
    "/targets/",
    "/targets/new/?kpi=nps",
    "/alerts/",
    "/annotations/",
    "/settings/rates/",
    "/settings/support-hours/",
    "/dashboard-mails/",
    "/dashboard-mails/new/?dashboard=executive",
]


def tell_something(world: World) -> None:
    Target.objects.create(kpi="nps", value=40)
    Annotation.objects.create(day=TODAY, text="Price change")
    ExchangeRate.objects.create(currency="USD", starts_on=date(2026, 1, 1), rate=Decimal("0.9"))
    for score in (10, 9, 3):
        answer(world.acme, "nps", score, back=1)
    answer(world.globex, "nps", 0, back=1)


def test_no_page_of_the_numbers_has_an_accessibility_violation_or_scrolls_sideways(
    open_page: Opener, world: World
):
    tell_something(world)
    page = open_page("/kpis/", who="admin")
    base = page.url.removesuffix("/kpis/")
    found = []
    for path in PATHS:
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto(base + path)
        draw_all_charts(page)
        found += [(path, "light", each) for each in violations(page)]
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
        page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        found += [(path, "dark on a phone", each) for each in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth - innerWidth") > 0:
            found.append((path, "phone", "scrolls sideways"))
    assert found == []


def test_the_groups_are_sorted_and_the_filters_opened_by_keyboard(open_page: Opener, world: World):
    tell_something(world)
    page = open_page(NPS_BY_CSM, who="admin")
    page.keyboard.press("f")
    expect(page.get_by_label("Period")).to_be_focused()
    page.locator("#groups a.sort").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("sort=name"))
    expect(page.locator("#groups th[aria-sort=ascending]")).to_contain_text("CSM")
    expect(page.locator("#groups tbody tr").first).to_contain_text("Ada")
    page.locator(".more-filters > summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#id_csm")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#id_csm")).to_be_focused()
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(ring) == "solid"


def test_replacing_the_form_of_a_kpi_copies_no_style_attribute_that_the_policy_refuses(
    open_page: Opener, world: World
):
    page = open_page("/kpis/new/", who="admin")
    page.locator("#id_label").fill("Trial")
    # What extensions that fill in forms leave behind on every field.
    page.evaluate("document.querySelectorAll('input').forEach((each) => { each.style.color = 'red'; })")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("What was counted").first).to_be_visible()
