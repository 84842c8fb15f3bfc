"""Dashboards by mail: when one is due, who gets it, and what it says.

Each recipient gets what they may see at the moment it goes out. A slot and a recipient are one decision;
after hours off there is one catch-up, the newest slot, not a flood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from csplatform.periods import day_of
from metrics.kpis import Filters
from team.mail import Letter, NotWantedError, send_later
from team.models import Mail, User
from workspace.charts import Chart
from workspace.dashboards.answering import ShownDashboard, answered
from workspace.dashboards.blocks import Line, Move, Table
from workspace.dashboards.catalogue import DASHBOARDS
from workspace.dashboards.selection import Selection, in_words, preset_period
from workspace.models import DashboardMail
from workspace.templatetags.show import as_unit

KIND = "workspace.dashboard"
MOST_LINES = 15


# --- When -----------------------------------------------------------------------------


def latest_slot(mailing: DashboardMail, now: datetime) -> datetime:
    """Return the last moment, `now` included, at which this mailing was to go out."""
    zone = timezone.get_default_timezone()
    today = timezone.localtime(now, zone).date()
    for back in range(32):
        day = today - timedelta(days=back)
        if mailing.falls_on(day):
            slot = timezone.make_aware(datetime.combine(day, time(mailing.hour)), zone)
            if slot <= now:
                return slot
    raise ValueError(f"{mailing} names no day of the calendar.")


def next_slot(mailing: DashboardMail, now: datetime) -> datetime:
    """Return the next moment at which it goes out."""
    zone = timezone.get_default_timezone()
    today = timezone.localtime(now, zone).date()
    for ahead in range(63):
        day = today + timedelta(days=ahead)
        if mailing.falls_on(day):
            slot = timezone.make_aware(datetime.combine(day, time(mailing.hour)), zone)
            if slot > now:
                return slot
    raise ValueError(f"{mailing} names no day of the calendar.")


def send_due(now: datetime) -> int:
    """Decide the mails of every slot that has come; return how many are new."""
    decided = 0
    for mailing in DashboardMail.objects.filter(is_paused=False).order_by("pk"):
        slot = latest_slot(mailing, now)
        if mailing.last_slot_at >= slot:
            continue
        with transaction.atomic():
            # Two workers may both see the old slot; the row lets only one of them move it.
            is_ours = DashboardMail.objects.filter(
                pk=mailing.pk, is_paused=False, last_slot_at__lt=slot
            ).update(last_slot_at=slot)
            if is_ours:
                decided += sum(
                    send_later(
                        KIND,
                        f"{mailing.pk}:{slot.isoformat()}:{user.pk}",
                        user=user,
                        payload={"mailing": mailing.pk, "slot": slot.isoformat()},
                    )
                    for user in mailing.recipients.filter(is_active=True)
                )
    return decided


# --- What it says ---------------------------------------------------------------------


def write(mail: Mail) -> Letter:
    """Write one recipient's mail from what they may see now."""
    mailing = DashboardMail.objects.filter(pk=mail.payload["mailing"]).first()
    if mailing is None:
        raise NotWantedError("The mailing was deleted.")
    if mailing.is_paused:
        raise NotWantedError("The mailing is paused.")
    if not mailing.recipients.filter(pk=mail.user_id).exists():
        raise NotWantedError("The recipient is no longer among those who get it.")
    return letter(mailing, mail.user, timezone.now())


def letter(mailing: DashboardMail, user: User, now: datetime) -> Letter:
    """Return what `user` would get now; raises NotWantedError where there is nothing for them."""
    shown = shown_to(mailing, user, now)
    selection = shown.selection
    days = in_words(selection.period)
    address = settings.BASE_URL + selection.dashboard_address(mailing.dashboard)
    context = {
        "mailing": mailing,
        "user": user,
        "dashboard": shown.dashboard,
        "days": days,
        "than": in_words(selection.before) if selection.before else "",
        "filters": mailing.filters_in_words,
        "sections": [_section(each.section.title, each.tiles, each.cards) for each in shown.sections],
        "address": address,
        "manage": settings.BASE_URL + reverse("workspace:mailings"),
        "base": settings.BASE_URL,
        "now": now,
    }
    return Letter(
        subject=f"{shown.dashboard.label}: {days}".replace("\u00a0", " "),
        text=_plain(render_to_string("workspace/mails/dashboard.txt", context)),
        html=render_to_string("workspace/mails/dashboard.html", context),
    )


def shown_to(mailing: DashboardMail, user: User, now: datetime) -> ShownDashboard:
    """Return the mailing's dashboard with the figures `user` may see."""
    dashboard = DASHBOARDS.get(mailing.dashboard)
    if dashboard is None:
        raise NotWantedError("There is no such dashboard any more.")
    filters = Filters(
        csm=mailing.csm_id,
        segment=mailing.segment or None,
        plan=mailing.plan or None,
        lifecycle_stage=mailing.lifecycle_stage or None,
    )
    if dashboard.is_of_one_csm and filters.csm is None:
        if user.role != User.Role.CSM:
            raise NotWantedError("No CSM was chosen, and the recipient is none.")
        filters = replace(filters, csm=user.pk)
    selection = Selection(
        user=user,
        period=preset_period(mailing.period, day_of(now)),
        compare=mailing.compare,  # type: ignore[arg-type]
        filters=filters,
        now=now,
    )
    return answered(dashboard, selection, dashboard.sections)


@dataclass(frozen=True, kw_only=True)
class MailCard:
    """A card without a picture: its sentence, and a small table where it has one."""

    title: str
    note: str = ""
    summary: str = ""
    head: Sequence[str] = ()
    lines: Sequence[tuple[str, str, Sequence[tuple[Any, str]]]] = ()  # words, address, (figure, unit)
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class MailSection:
    title: str
    tiles: Sequence[Any]
    cards: Sequence[MailCard]


def _section(title: str, tiles: Sequence[Any], cards: Sequence[Any]) -> MailSection:
    return MailSection(title=title, tiles=tiles, cards=[_card(card) for card in cards])


def _card(card: Any) -> MailCard:
    content = card.content
    if isinstance(content, Table):
        rows: list[Line] = [*content.lines[:MOST_LINES], content.total]
        return MailCard(
            title=card.title,
            note=card.note,
            head=[content.corner, *(words for _, words in content.columns)],
            lines=[(row.label, row.href, [(cell.value, cell.unit) for cell in row.cells]) for row in rows],
            left_out=max(len(content.lines) - MOST_LINES, 0),
        )
    if isinstance(content, Chart):
        lines: list[tuple[str, str, list[tuple[Any, str]]]] = []
        if content.kind in ("bars", "waterfall"):
            lines = [
                (category, cells[0][1] or "", [(value, content.unit) for value, _ in cells])
                for category, cells in content.rows()
            ]
        return MailCard(title=card.title, note=card.note, summary=content.summary, lines=lines[:MOST_LINES])
    if card.kind == "movements":
        moves: Sequence[Move] = content
        return MailCard(
            title=card.title,
            note=card.note,
            summary="" if moves else "Nothing moved.",
            lines=[(f"{move.account}, {move.kind}", move.href, [(move.amount, move.unit)]) for move in moves],
        )
    # A table of colours is no mail's; the one figure above it is.
    said = [as_unit(answer.value, answer.unit) for answer in card.answers if answer.value is not None]
    summary = f"{said[0]} of all of them together. " if said else ""
    return MailCard(title=card.title, note=card.note, summary=f"{summary}The dashboard has it in full.")


def _plain(text: str) -> str:
    """Bring the text template's output to paragraphs: no spaces at ends, one empty line at most."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip() + "\n"
