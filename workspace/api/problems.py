"""Errors as application/problem+json (RFC 9457): what is wrong, with which field, by which rule."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

log = logging.getLogger(__name__)

TITLES = {
    400: "This request has mistakes",
    401: "Sign in first",
    403: "You may not do this",
    404: "There is nothing here",
    405: "This address does not take that method",
    406: "This address does not answer in that form",
    409: "This collides with something stored",
    413: "This request is too large",
    415: "This address does not read that kind of content",
    422: "This request cannot be carried out",
    429: "Too many requests",
    500: "Something failed on our side",
}


class FieldError(exceptions.APIException):
    """A 400 that names fields."""

    status_code = status.HTTP_400_BAD_REQUEST

    def __init__(self, *errors: tuple[str, str, str]) -> None:
        super().__init__(errors[0][2] if errors else None)
        self.errors = [{"field": field, "code": code, "message": message} for field, code, message in errors]


class Conflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "This collides with something stored."


class Unprocessable(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This request cannot be carried out."


def _flatten(detail: Any, field: str = "") -> list[dict[str, str]]:
    """Turn REST framework's nested details into a flat list with dotted field names."""
    if isinstance(detail, dict):
        found = []
        for name, inner in detail.items():
            name = "" if name == "non_field_errors" else str(name)
            found += _flatten(inner, f"{field}.{name}".strip("."))
        return found
    if isinstance(detail, list):
        found = []
        for number, inner in enumerate(detail):
            found += _flatten(inner, f"{field}.{number}" if isinstance(inner, dict) else field)
        return found
    return [{"field": field, "code": getattr(detail, "code", "invalid"), "message": str(detail)}]


def problem(code: int, detail: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """Return the body of an error."""
    return {
        "type": "about:blank",
        "title": TITLES.get(code, "Error"),
        "status": code,
        "detail": detail,
        "errors": errors or [],
    }


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Answer every exception of an API view; nothing leaves as HTML, nothing unexpected leaks."""
    set_rollback()
    headers: dict[str, str] = {}
    errors: list[dict[str, str]] = []
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        return _response(413, problem(413, "The body is larger than 2.5 MiB."), headers)
    elif isinstance(error, DjangoValidationError):
        messages = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        error = exceptions.ValidationError(messages)
    if not isinstance(error, exceptions.APIException):
        log.error("Unexpected error in %s", context.get("view"), exc_info=error)
        return _response(500, problem(500, "The error was written to the log."), headers)
    code = error.status_code
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    if isinstance(error, FieldError):
        errors = error.errors
        detail = str(error.detail)
    elif isinstance(error, exceptions.ValidationError):
        errors = _flatten(error.detail)
        detail = errors[0]["message"] if errors else TITLES[400]
    else:
        detail = str(error.detail)
    return _response(code, problem(code, detail, errors), headers)


def _response(code: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(body, status=code, headers=headers, content_type="application/problem+json")


def not_found(request: HttpRequest, rest: str = "") -> JsonResponse:
    """Answer an address of the API that does not exist."""
    body = problem(404, f"No address of the API is called {request.path}.")
    return JsonResponse(body, status=404, content_type="application/problem+json")
