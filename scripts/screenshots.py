"""Takes pictures of the pages in a demo company, in both themes and two widths.

`make screenshots` takes the README's. `make screenshots ARGS="--all DIR"` takes every page
for somebody who wants to look at them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "demo-password-1"  # noqa: S105 - of the demo company
WIDTHS = {"desktop": (1440, 1000), "phone": (390, 844)}

README = [
    ("home", "csm", "/", "light", "desktop"),
    ("account", "csm", "account", "dark", "desktop"),
    ("executive", "admin", "/dashboards/executive/", "light", "desktop"),
]
PAGES = {
    "csm": [
        ("home", "/"),
        ("portfolio", "/portfolio/"),
        ("account", "account"),
        ("tasks", "/tasks/"),
        ("renewals", "/renewals/"),
        ("numbers", "/kpis/"),
        ("number", "/kpis/customer_churn_rate/?group_by=segment"),
        ("nps", "/kpis/nps/"),
        ("board", "/dashboards/csm/"),
    ],
    "manager": [("home", "/"), ("portfolio", "/portfolio/"), ("imports", "/imports/")],
    "admin": [
        ("home", "/"),
        ("design", "/design/"),
        ("status", "/status/"),
        ("admin", "/admin/"),
        ("admin-accounts", "/admin/accounts/account/"),
        ("numbers", "/kpis/"),
        ("number", "/kpis/nrr/?group_by=segment"),
        ("executive", "/dashboards/executive/"),
        ("revenue", "/dashboards/revenue/"),
        ("team", "/dashboards/team/"),
        ("rates", "/settings/rates/"),
        ("api", "/api/v1/docs/"),
    ],
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    sys.exit("Chromium is needed: apt-get install chromium")


def wait_for(url: str) -> None:
    for _ in range(120):
        try:
            urllib.request.urlopen(url, timeout=2)  # noqa: S310 - our own address
            return
        except OSError:
            time.sleep(0.5)
    sys.exit(f"{url} does not answer")


def sign_in(browser: Browser, base: str, role: str, theme: str, width: str) -> Page:
    wide, high = WIDTHS[width]
    context = browser.new_context(
        viewport={"width": wide, "height": high},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=1,
        base_url=base,
    )
    page = context.new_page()
    page.goto("/auth/login/")
    page.fill("input[name=login]", f"{role}@demo.local")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{base}/")
    return page


def account_of(page: Page) -> str:
    """Return the address of the account that heads the queue."""
    page.goto("/")
    link = page.locator("main a[href^='/accounts/']").first.get_attribute("href")
    return link or sys.exit("The queue shows no account")


def shoot(page: Page, path: str, file: Path, *, whole: bool) -> None:
    page.goto(account_of(page) if path == "account" else path)
    page.wait_for_load_state("networkidle")
    page.wait_for_selector("[aria-busy]", state="detached", timeout=60_000)  # a board's sections
    page.wait_for_timeout(800)  # charts draw themselves
    page.screenshot(path=file, full_page=whole)
    print(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", metavar="DIR", type=Path, help="every page, whole, into DIR")
    parser.add_argument("--base", help="a running demo, instead of one made for this")
    options = parser.parse_args()
    target = options.all or ROOT / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    server: subprocess.Popen[bytes] | None = None
    base = options.base
    with tempfile.TemporaryDirectory() as var:
        if not base:
            port = free_port()
            base = f"http://127.0.0.1:{port}"
            env = os.environ | {"CSPLATFORM_VAR": var, "PORT": str(port)}
            manage = [sys.executable, str(ROOT / "manage.py")]
            subprocess.run([*manage, "migrate", "--noinput", "--verbosity", "0"], env=env, check=True)
            subprocess.run([*manage, "demo_data"], env=env, check=True)
            subprocess.run([*manage, "collectstatic", "--noinput", "--verbosity", "0"], env=env, check=True)
            server = subprocess.Popen([*manage, "serve", "--port", str(port)], env=env)
        try:
            wait_for(f"{base}/healthz")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium(), args=["--no-sandbox"] if os.geteuid() == 0 else []
                )
                if options.all:
                    for role, pages in PAGES.items():
                        for theme in ("light", "dark"):
                            for width in WIDTHS:
                                page = sign_in(browser, base, role, theme, width)
                                for name, path in pages:
                                    file = target / f"{role}-{name}-{theme}-{width}.png"
                                    shoot(page, path, file, whole=True)
                                page.context.close()
                else:
                    for name, role, path, theme, width in README:
                        page = sign_in(browser, base, role, theme, width)
                        shoot(page, path, target / f"{name}-{theme}.png", whole=False)
                        page.context.close()
                browser.close()
        finally:
            if server:
                server.terminate()
                server.wait(timeout=30)


if __name__ == "__main__":
    main()
