"""Parts of the CSM's own pages, on top of `ui`: a score with its account, a bar of bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import Account
from workspace.templatetags import ui

register = template.Library()

WIDTH = 1000


@register.simple_tag
def account_score(health: Any, account: Account, change: bool = False) -> SafeString:
    """An account's score as a link to its reasons; why there is none, if there is none."""
    where = f"{account.get_absolute_url()}#health"
    if health is None:
        return format_html('<span class="no-data">not worked out yet</span>')
    if health.score is None:
        words = "not enough data" if health.band == "insufficient_data" else "not scored"
        return format_html('<a class="no-data" href="{}">{}</a>', where, words)
    return ui.score(health.score, health.band, href=where, change=health.change_7d if change else None)


@register.simple_tag(takes_context=True)
def band_bar(context: template.Context, bands: Sequence[Any], accounts: int) -> SafeString:
    """How many accounts and how much money stand in each band: a bar, and a legend that filters."""
    parts = []
    at = 0.0
    for band in bands:
        width = WIDTH * band.accounts / accounts if accounts else 0.0
        parts.append({"band": band, "x": f"{at:.1f}", "width": f"{max(width - 2, 0):.1f}"})
        at += width
    request = context["request"]
    for part in parts:
        part["href"] = ui.with_query(request, band=part["band"].band, page=None)
    return render_to_string("components/band_bar.html", {"parts": parts, "width": WIDTH})
