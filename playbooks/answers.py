"""How a view answers a change: a toast for htmx, a message and the page they came from for a plain form."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import trigger_client_event


def safe_next(request: HttpRequest, fallback: str) -> str:
    """Return where the form asked to go afterwards, if that is on this site."""
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}):
        return wanted
    return fallback


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def say(
    request: HttpRequest,
    response: HttpResponse,
    text: str,
    *,
    level: str = "good",
    undo: str = "",
    events: dict[str, Any] | None = None,
) -> HttpResponse:
    """Add a toast, with a way back if there is one, and tell the page what else changed."""
    trigger_client_event(response, "toast", {"text": text, "level": level, "undo": undo})
    for name, detail in (events or {}).items():
        trigger_client_event(response, name, detail)
    return response


def changed(
    request: HttpRequest,
    text: str,
    *,
    fallback: str,
    level: str = "good",
    undo: str = "",
    events: dict[str, Any] | None = None,
) -> HttpResponse:
    """Answer a change that went well: an empty answer with a toast, or a redirect with a message."""
    if is_htmx(request):
        return say(request, HttpResponse(status=204), text, level=level, undo=undo, events=events)
    messages.add_message(
        request, {"good": messages.SUCCESS, "bad": messages.ERROR}.get(level, messages.INFO), text
    )
    return redirect(safe_next(request, fallback))
