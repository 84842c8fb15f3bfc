"""The rooms of the house, in the order of the sidebar, and who sees which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from team.models import User


@dataclass(frozen=True, kw_only=True)
class Item:
    label: str
    path: str
    icon: str
    group: str = ""
    roles: frozenset[str] | None = None  # None: everybody
    on_phone_bar: bool = False
    # Further paths whose pages belong to this room: an account's page is part of the portfolio.
    also: tuple[str, ...] = ()
    # Where a number beside the label is fetched, once the page is on the screen.
    count_path: str = ""

    def is_current(self, path: str) -> bool:
        if self.path == "/":
            return path == "/"
        return path.startswith((self.path, *self.also))


ADMINS = frozenset({"admin"})
IMPORTERS = frozenset({"admin", "manager"})
ALERTED = frozenset({"admin", "manager", "csm"})

ITEMS = [
    Item(label="Home", path="/", icon="home", on_phone_bar=True),
    Item(label="Portfolio", path="/portfolio/", icon="building", on_phone_bar=True, also=("/accounts/",)),
    Item(label="Tasks", path="/tasks/", icon="checklist", on_phone_bar=True),
    Item(label="Renewals", path="/renewals/", icon="calendar-event"),
    Item(label="Dashboards", path="/dashboards/", icon="layout-dashboard", also=("/dashboard-mails/",)),
    Item(
        label="Numbers",
        path="/kpis/",
        icon="chart-line",
        on_phone_bar=True,
        also=("/annotations/", "/targets/"),
    ),
    Item(label="Alerts", path="/alerts/", icon="bell", roles=ALERTED, count_path="/alerts/unread/"),
    Item(label="Imports", path="/imports/", icon="database-import", group="Data", roles=IMPORTERS),
    Item(
        label="Support hours",
        path="/settings/support-hours/",
        icon="clock",
        group="Administration",
        roles=ADMINS,
    ),
    Item(label="Exchange rates", path="/settings/rates/", icon="coin", group="Administration", roles=ADMINS),
    Item(label="Admin", path="/admin/", icon="settings", group="Administration", roles=ADMINS),
    Item(label="Status", path="/status/", icon="activity", group="Administration", roles=ADMINS),
]


def items_for(user: User | AnonymousUser) -> list[Item]:
    """Return the links this user sees."""
    role = getattr(user, "role", "")
    return [item for item in ITEMS if item.roles is None or role in item.roles]
