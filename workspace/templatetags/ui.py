"""The parts pages are made of: `{% load ui %}`. Every one of them is shown, in each state, on `/design/`.

Tags choose markup; they ask no database and calculate no figure. How a number looks is in `show`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.contrib.staticfiles import finders
from django.core.paginator import Page
from django.forms import BaseForm, BoundField, CheckboxInput, FileInput, RadioSelect, Select
from django.http import HttpRequest, QueryDict
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from workspace import sparklines, value_bars
from workspace.charts import Chart, HeatMap
from workspace.navigation import items_for
from workspace.templatetags import show
from workspace.value_bars import ValueBar

register = template.Library()

ICON_NAME = re.compile(r"[a-z0-9-]+\Z")
SVG_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


# --- Icons and pictures ---------------------------------------------------------------


@lru_cache(maxsize=256)
def icon_body(name: str) -> str:
    """Return what is inside an icon's SVG.

    Raises TemplateSyntaxError for a name that scripts/icons.txt doesn't list, or before `make setup`.
    """
    path = finders.find(f"vendor/icons/{name}.svg") if ICON_NAME.match(name) else None
    if not path:
        raise template.TemplateSyntaxError(
            f"There is no icon {name!r} in static/vendor/icons: "
            "add its name to scripts/icons.txt and run `make setup`."
        )
    found = SVG_BODY.search(Path(str(path)).read_text(encoding="utf-8"))
    if not found:
        raise template.TemplateSyntaxError(f"The icon file {name}.svg holds no SVG.")
    body = re.sub(r'<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*/>', "", found[1])
    return re.sub(r"\s+", " ", body).strip()


@register.simple_tag
def icon(name: str, label: str = "", css: str = "") -> SafeString:
    """`{% icon "search" %}`: of the text's size and colour; it speaks its label, and is silent without."""
    spoken = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="icon {}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"'
        ' stroke-linecap="round" stroke-linejoin="round" {}>{}</svg>',
        css,
        spoken,
        mark_safe(icon_body(name)),  # noqa: S308 - our own file, fetched by hash
    )


@register.simple_tag
def sparkline(values: Sequence[float | Decimal | None], label: str = "", tone: str = "accent") -> SafeString:
    """A line beside a number. The label says in words what the line does; without one it is decoration."""
    strokes = sparklines.line_points(values)
    if not strokes:
        return mark_safe("")
    spoken = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    areas = format_html_join(
        "", '<path class="spark-area" d="{}"/>', ((sparklines.area_path(s),) for s in strokes if len(s) > 1)
    )
    lines = format_html_join(
        "", '<path class="spark-line" d="{}"/>', ((sparklines.line_path(s),) for s in strokes)
    )
    return format_html(
        '<svg class="spark tone-{}" viewBox="0 0 {} {}" preserveAspectRatio="none" {}>{}{}</svg>',
        tone,
        sparklines.WIDTH,
        sparklines.HEIGHT,
        spoken,
        areas,
        lines,
    )


@register.simple_tag
def value_bar(bar: ValueBar | None, tone: str = "accent") -> SafeString:
    """The bar beside a value of a table, with its interval across it; the value itself is text beside it."""
    if bar is None:
        return mark_safe("")
    interval = (
        format_html('<path class="value-interval" d="M{0} 2V10M{0} 6H{1}M{1} 2V10"/>', bar.low, bar.high)
        if bar.low is not None
        else ""
    )
    return format_html(
        '<svg class="value-bar tone-{}{}" viewBox="0 0 {} 12" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="value-fill" x="{}" y="1" width="{}" height="10"/>{}'
        '<path class="value-zero" d="M{} 0V12"/></svg>',
        tone,
        " is-negative" if bar.is_negative else "",
        value_bars.WIDTH,
        bar.start,
        bar.length,
        interval,
        bar.zero,
    )


@register.simple_tag
def avatar(who: Any) -> SafeString:
    """The initials of a user, or of a name, in a circle. The name itself stands beside it or in its title."""
    name = str(who)
    words = name.split("@")[0].replace(".", " ").split()
    initials = getattr(who, "initials", None) or "".join(word[0] for word in words[:2]).upper() or "?"
    tone = sum(name.encode()) % 6
    return format_html(
        '<span class="avatar-initials hue-{}" title="{}" aria-hidden="true">{}</span>', tone, name, initials
    )


# --- Numbers with their circumstances -------------------------------------------------


@register.simple_tag
def delta(
    change: Any, unit: str = "count", better: str = "up", than: str = "", says_so: bool = False
) -> SafeString:
    """A change with its sign, an arrow, and whether it is good: `{% delta 1.4 "percent" better="up" %}`.

    `better` is `up`, `down` or `neither`. Colour is never alone: the arrow shows the direction and hidden
    words, which everybody sees with `says_so`, say better or worse.
    """
    amount = show.as_decimal(change)
    if amount is None:
        return mark_safe("")
    words = show.signed_as_unit(amount, unit)
    # What is shown as ±0 is no change, whatever the decimals behind it say.
    way = "flat" if amount == 0 or words.startswith("±") else "up" if amount > 0 else "down"
    verdict = "" if way == "flat" or better == "neither" else "better" if way == better else "worse"
    arrow = {"flat": "minus", "up": "trending-up", "down": "trending-down"}[way]
    hidden = [part for part in ("" if says_so else verdict, than) if part]
    if not verdict and not than:
        hidden = ["no change"] if way == "flat" else []
    return format_html(
        '<span class="delta {}"{}>{}{}{}<span class="visually-hidden"> {}</span></span>',
        f"is-{verdict}" if verdict else "is-flat",
        format_html(' title="{}"', than) if than else "",
        words,
        icon(arrow),
        format_html('<span class="delta-word">{}</span>', verdict) if says_so and verdict else "",
        ", ".join(hidden),
    )


@register.simple_tag
def kpi_card(
    *,
    label: str,
    value: Any,
    unit: str = "count",
    href: str = "",
    period: str = "",
    change: Any = None,
    better: str = "up",
    than: str = "",
    note: str = "",
    interval: Sequence[Any] | None = None,
    sample_size: int | None = None,
    counted_as: str = "counted",
    small_sample: bool = False,
    restated: bool = False,
    remark: str = "",
    reason: str = "",
    target: Any = None,
    spark: Sequence[float | Decimal | None] = (),
    spark_label: str = "",
    tone: str = "accent",
    short: bool = False,
) -> SafeString:
    """One number in a card: what it is, how it moved, how sure it is, and a link to its explanation.

    A missing value says why (`reason`, a KPI's code). `short` writes money as € 214 k. `interval` is
    (low, high); `counted_as` says what the sample consists of; `remark` marks what calls for it.
    """
    amount = show.as_decimal(value)
    currency = unit if unit.isupper() else None
    as_text = (
        show.money_short(amount, currency) if short and amount is not None else show.as_unit(amount, unit)
    )
    low, high = (interval[0], interval[1]) if interval else (None, None)
    return render_to_string(
        "components/kpi_card.html",
        {
            "label": label,
            "has_value": amount is not None,
            "text": as_text,
            "href": href,
            "period": period,
            "change": change,
            "unit": unit,
            "better": better,
            "than": than,
            "note": note,
            "low": low,
            "high": high,
            "sample_size": sample_size,
            "counted_as": counted_as,
            "small_sample": small_sample,
            "restated": restated,
            "remark": remark,
            "reason": reason,
            "target": None if target is None else show.level(target, unit),
            "spark": spark,
            "spark_label": spark_label,
            "tone": tone,
        },
    )


BAND_ICONS = {"red": "alert-triangle", "yellow": "eye", "green": "circle-check"}


@register.simple_tag
def band(value: str | None, label: str = "") -> SafeString:
    """A health band as colour, icon and word: `{% band "red" %}` → At risk."""
    known = value if value in BAND_ICONS else "none"
    return format_html(
        '<span class="band band-{}">{}{}</span>',
        known,
        icon(BAND_ICONS.get(known, "circle-dashed")),
        label or show.band_label(value),
    )


@register.simple_tag
def score(value: Any, band: str | None, href: str = "", change: Any = None) -> SafeString:
    """A health score with its bar: a link to its reasons with `href`. No score is a dash and says so."""
    amount = show.as_decimal(value)
    if amount is None:
        body = mark_safe('<span class="score-value">–</span><span class="no-data">no score</span>')
    else:
        bar = min(max(float(amount), 0.0), 100.0)
        body = format_html(
            '<span class="score-value">{}</span>'
            '<svg class="score-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="score-track" width="100" height="6" rx="3"/>'
            '<rect class="score-fill" width="{}" height="6" rx="3"/></svg>'
            "{}",
            show.digits(amount, 0),
            f"{bar:.0f}",
            delta(change, "points") if change else "",
        )
    css = f"score band-{band or 'none'}"
    spoken = (
        f"Health {show.digits(amount, 0)} of 100, {show.band_label(band)}"
        if amount is not None
        else "No health score"
    )
    if href:
        return format_html('<a class="{}" href="{}" title="{}">{}</a>', css, href, f"{spoken}: why?", body)
    return format_html('<span class="{}" title="{}">{}</span>', css, spoken, body)


@register.simple_tag
def coverage(used: int, total: int, oldest_days: int | None = None) -> SafeString:
    """How complete and how old a score is: `{% coverage 5 6 3 %}` → 5 of 6 signals · oldest 3 days."""
    age = (
        ""
        if oldest_days is None
        else "all from today"
        if oldest_days == 0
        else f"oldest {oldest_days} day{'s' if oldest_days != 1 else ''}"
    )
    text = f"{used} of {total} signals" + (f" · {age}" if age else "")
    marks = format_html_join(
        "",
        '<rect class="{}" x="{}" width="5" height="10" rx="1.5"/>',
        (("on" if n < used else "off", n * 7) for n in range(total)),
    )
    return format_html(
        '<span class="coverage{}"><svg viewBox="0 0 {} 10" width="{}" height="10" aria-hidden="true">{}</svg>'
        "{}</span>",
        " is-low" if total and used * 2 < total else "",
        max(total * 7 - 2, 1),
        max(total * 7 - 2, 1),
        marks,
        text,
    )


@register.simple_tag
def progress(value: Any, most: Any = 100, label: str = "", text: str = "", css: str = "") -> SafeString:
    """A progress bar with its label; without a value it shows that something is under way."""
    amount = show.as_decimal(value)
    shown = text or (
        ""
        if amount is None
        else f"{show.digits(amount, 0)} of {show.digits(show.as_decimal(most) or Decimal(0), 0)}"
    )
    return format_html(
        '<span class="progress-line {}"><progress max="{}" {} aria-label="{}"></progress>'
        '<span class="progress-text">{}</span></span>',
        css,
        most,
        format_html('value="{}"', amount) if amount is not None else "",
        label or "Progress",
        shown,
    )


@register.simple_tag
def age(value: date | datetime | None) -> SafeString:
    """Same as `{{ value|when }}`."""
    return show.when(value)


# --- Containers -----------------------------------------------------------------------


@register.simple_block_tag
def card(
    content: str,
    title: str = "",
    note: str = "",
    href: str = "",
    link: str = "",
    css: str = "",
    flush: bool = False,
) -> SafeString:
    """A card with an optional head: `{% card "At risk" href="/portfolio/" link="All" %}…{% endcard %}`.

    `flush` leaves out the padding, for a table or a list.
    """
    return render_to_string(
        "components/card.html",
        {
            "title": title,
            "note": note,
            "href": href,
            "link": link,
            "css": css,
            "flush": flush,
            "content": content,
        },
    )


@register.simple_block_tag
def dialog(content: str, key: str, title: str, size: str = "") -> SafeString:
    """A dialog that `<button data-dialog="key">` opens; Escape, × and a click beside it close it."""
    return render_to_string(
        "components/dialog.html", {"key": key, "title": title, "size": size, "content": content}
    )


@register.simple_block_tag
def definition(content: str, key: str, label: str) -> SafeString:
    """A small (i) beside a word that explains it: `{% definition "def-nrr" "NRR" %}…{% enddefinition %}`."""
    return render_to_string("components/definition.html", {"key": key, "label": label, "content": content})


@register.simple_block_tag
def timeline_item(
    content: str,
    title: str,
    at: datetime | date | None = None,
    icon: str = "circle",
    who: str = "",
    tone: str = "",
    href: str = "",
) -> SafeString:
    """One thing that happened; items go into `<ol class="timeline">`."""
    return render_to_string(
        "components/timeline_item.html",
        {
            "title": title,
            "at": at,
            "icon": icon,
            "who": who,
            "tone": tone,
            "href": href,
            "content": mark_safe(content.strip()),  # noqa: S308 - rendered by the template engine
        },
    )


@register.simple_block_tag
def empty(
    content: str, title: str, icon: str = "inbox", href: str = "", link: str = "", compact: bool = False
) -> SafeString:
    """A designed nothing: what is missing, why, and the next step."""
    return render_to_string(
        "components/empty.html",
        {
            "title": title,
            "icon": icon,
            "href": href,
            "link": link,
            "content": mark_safe(content.strip()),  # noqa: S308 - rendered by the template engine
            "compact": compact,
        },
    )


@register.simple_block_tag
def alert(content: str, tone: str = "info", title: str = "") -> SafeString:
    """A notice that stays on the page: tone `info`, `good`, `warn` or `bad`."""
    name = {"info": "info-circle", "good": "circle-check", "warn": "alert-triangle", "bad": "alert-circle"}[
        tone
    ]
    return format_html(
        '<div class="notice notice-{}" role="{}">{}<div>{}{}</div></div>',
        tone,
        "alert" if tone == "bad" else "note",
        icon(name),
        format_html("<strong>{}</strong> ", title) if title else "",
        mark_safe(content.strip()),  # noqa: S308 - rendered by the template engine
    )


@register.simple_tag
def skeleton(lines: int = 3) -> SafeString:
    """Grey lines while htmx fetches what belongs there."""
    return format_html(
        '<div class="skeleton" aria-hidden="true">{}</div>',
        format_html_join("", "<span></span>", ((None,) for _ in range(lines))),
    )


@register.simple_tag
def copy(text: str, label: str = "Copy") -> SafeString:
    """A button that copies a text to the clipboard."""
    return format_html(
        '<button type="button" class="btn btn-icon-text copy" data-copy="{}">{}<span>{}</span></button>',
        text,
        icon("copy"),
        label,
    )


# --- Charts ---------------------------------------------------------------------------


def chart_data(spec: Chart) -> dict[str, Any]:
    """Return what the browser draws, with the currency's sign where the unit is money."""
    data = spec.for_browser()
    if show.is_money(spec.unit):
        data["unit"], data["symbol"] = "money", show.currency_sign(spec.unit)
    return data


@register.simple_tag
def chart(spec: Chart) -> SafeString:
    """Draw a `Chart`: the picture, its sentence for those who don't see it, and its figures as a table."""
    return render_to_string(
        "components/chart.html",
        {"chart": spec, "data": json.dumps(chart_data(spec)), "rows": spec.rows()},
    )


@register.simple_tag
def heatmap(spec: HeatMap) -> SafeString:
    """Draw a `HeatMap`, a table whose cells are coloured by value."""
    return render_to_string("components/heatmap.html", {"map": spec, "body": spec.body()})


# --- Lists, filters, sorting ----------------------------------------------------------


def with_query(request: HttpRequest, **changes: Any) -> str:
    """Return the page's query string with some parameters set, or removed where the value is None."""
    query: QueryDict = request.GET.copy()
    for name, value in changes.items():
        if value is None:
            query.pop(name, None)
        else:
            query[name] = str(value)
    text = query.urlencode()
    return f"?{text}" if text else "?"


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """`href="{% query page=2 %}"`: this page's address with something changed, everything else kept."""
    return with_query(context["request"], **changes)


@register.simple_tag(takes_context=True)
def th(
    context: template.Context,
    key: str,
    label: str,
    numeric: bool = False,
    parameter: str = "sort",
    first: str = "",
) -> SafeString:
    """A head cell that sorts: `{% th "mrr" "MRR" numeric=True %}` links to `?sort=mrr`, then `?sort=-mrr`.

    The filters stay, the page goes back to the first. `first="-"` sorts downwards on the first click.
    """
    request: HttpRequest = context["request"]
    now = request.GET.get(parameter, context.get("default_sort", ""))
    state = "ascending" if now == key else "descending" if now == f"-{key}" else "none"
    other = f"-{key}" if now == key else key if now == f"-{key}" else f"{first}{key}"
    mark = {"ascending": "chevron-up", "descending": "chevron-down", "none": "arrows-sort"}[state]
    return format_html(
        '<th scope="col" class="{}" aria-sort="{}"><a class="sort" href="{}">{}{}</a></th>',
        "num" if numeric else "",
        state,
        with_query(request, **{parameter: other, "page": None}),
        label,
        icon(mark),
    )


@register.simple_tag(takes_context=True)
def pagination(context: template.Context, page: Page[Any], parameter: str = "page") -> SafeString:
    """Which rows are shown, and the way to the others, with everything else of the address kept."""
    request: HttpRequest = context["request"]
    numbers = [
        (number, with_query(request, **{parameter: number}) if isinstance(number, int) else "")
        for number in page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    ]
    return render_to_string(
        "components/pagination.html",
        {
            "page": page,
            "numbers": numbers,
            "previous": with_query(request, **{parameter: page.previous_page_number()})
            if page.has_previous()
            else "",
            "next": with_query(request, **{parameter: page.next_page_number()}) if page.has_next() else "",
        },
    )


@dataclass(frozen=True)
class Chip:
    """A filter in force: what it is, its value in words, and the address without it."""

    label: str
    value: str
    href: str


@register.simple_tag(takes_context=True)
def chips(context: template.Context, form: BaseForm, skip: str = "") -> SafeString:
    """The filters in force of a bound GET form, each with a × that takes it away, and "Clear all".

    What is to `skip` has no chip, and stays.
    """
    request: HttpRequest = context["request"]
    skipped = {"page", "sort", *skip.split()}
    found = []
    for field in form:
        name = field.html_name
        values = [value for value in request.GET.getlist(name) if value]
        if name in skipped or not values:
            continue
        choices = {str(key): text for key, text in _flat_choices(field)}
        for value in values:
            rest = request.GET.copy()
            rest.setlist(name, [other for other in rest.getlist(name) if other != value])
            rest.pop("page", None)
            found.append(Chip(str(field.label), choices.get(value, value), f"?{rest.urlencode()}"))
    if not found:
        return mark_safe("")
    kept = request.GET.copy()
    for name in list(kept):
        if name not in skip.split():
            kept.pop(name)
    return render_to_string("components/chips.html", {"chips": found, "clear": f"?{kept.urlencode()}"})


def _flat_choices(field: BoundField) -> list[tuple[Any, str]]:
    flat: list[tuple[Any, str]] = []
    for key, text in getattr(field.field, "choices", None) or []:
        if isinstance(text, list | tuple):
            flat.extend((inner, str(words)) for inner, words in text)
        else:
            flat.append((key, str(text)))
    return flat


@register.simple_tag
def tabs(items: Sequence[Mapping[str, Any]], label: str = "Views") -> SafeString:
    """Links that look like tabs; each item has `label`, `href`, `is_current` and perhaps `count`."""
    return render_to_string("components/tabs.html", {"items": items, "label": label})


@register.simple_tag
def breadcrumb(*parts: str) -> SafeString:
    """`{% breadcrumb "Portfolio" "/portfolio/" "Acme" %}`: words and addresses, the last without one."""
    pairs = list(zip(parts[::2], [*parts[1::2], ""], strict=False))
    return render_to_string("components/breadcrumb.html", {"pairs": pairs})


# --- Forms ----------------------------------------------------------------------------


@register.simple_tag
def field(
    bound: BoundField,
    label: str = "",
    hint: str = "",
    hide_label: bool = False,
    css: str = "",
    placeholder: str | None = None,
) -> SafeString:
    """A form field with its label, hint and errors tied to it for screen readers."""
    widget = bound.field.widget
    is_check = isinstance(widget, CheckboxInput)
    is_choice = isinstance(widget, RadioSelect)
    attributes: dict[str, Any] = {} if placeholder is None else {"placeholder": placeholder}
    if not is_choice:
        kind = (
            "form-check-input"
            if is_check
            else "form-select"
            if isinstance(widget, Select)
            else "form-control"
        )
        classes = [widget.attrs.get("class", ""), kind, "is-invalid" if bound.errors else ""]
        attributes["class"] = " ".join(word for word in classes if word)
    described = [f"{bound.auto_id}_hint"] if hint or bound.help_text else []
    if bound.errors:
        described.append(f"{bound.auto_id}_error")
        attributes["aria-invalid"] = "true"
    if described:
        attributes["aria-describedby"] = " ".join(described)
    return render_to_string(
        "components/field.html",
        {
            "field": bound,
            "control": bound.as_widget(attrs=attributes),
            "label": label or bound.label,
            "hint": hint or bound.help_text,
            "hide_label": hide_label,
            "is_check": is_check,
            "is_choice": is_choice,
            "is_file": isinstance(widget, FileInput),
            "css": css,
        },
    )


@register.simple_tag
def form_errors(form: BaseForm, focus: bool = True) -> SafeString:
    """What has to be mended, at the top of a form, each line a link to its field; it gets the focus."""
    if not form.is_bound or form.is_valid():
        return mark_safe("")
    listed = [(bound.auto_id, bound.label, error) for bound in form for error in bound.errors]
    return render_to_string(
        "components/form_errors.html", {"general": form.non_field_errors(), "listed": listed, "focus": focus}
    )


# --- The frame of every page ----------------------------------------------------------


@register.simple_tag(takes_context=True)
def navigation(context: template.Context, short: bool = False) -> SafeString:
    """The links of the sidebar, or with `short` those of the bar at the foot of a phone."""
    request: HttpRequest | None = context.get("request")
    if request is None or not getattr(request, "user", None) or not request.user.is_authenticated:
        return mark_safe("")
    items = [
        {
            "label": item.label,
            "path": item.path,
            "icon": item.icon,
            "group": item.group,
            "count_path": item.count_path,
            "is_current": item.is_current(request.path),
        }
        for item in items_for(request.user)
        if not short or item.on_phone_bar
    ]
    return render_to_string("components/navigation.html", {"items": items, "short": short})


@register.simple_tag
def toast_level(tags: str | None) -> str:
    """Django's message tags as a toast's tone: good, bad, warn or info."""
    words = set((tags or "").split())
    for word, tone in (("error", "bad"), ("warning", "warn"), ("success", "good")):
        if word in words:
            return tone
    return "info"
