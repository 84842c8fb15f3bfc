"""What every list of the API does with its query parameters."""

from __future__ import annotations

from datetime import date
from typing import Any

from rest_framework.request import Request

from workspace.api.problems import FieldError

ALWAYS = frozenset({"limit", "cursor", "ordering", "format"})


def refuse_unknown_parameters(request: Request, known: set[str]) -> None:
    """Raise a 400 for a parameter that nothing reads: a misspelt filter must not widen a result."""
    if unknown := sorted(set(request.query_params) - known):
        allowed = ", ".join(sorted(known - {"format"}))
        raise FieldError(
            *((name, "unknown", f"There is no parameter “{name}”; known are {allowed}.") for name in unknown)
        )
    for name, value in request.query_params.items():
        if "\x00" in value:
            raise FieldError((name, "invalid", "NUL characters are not allowed."))


def day_asked(request: Request, name: str, default: date) -> date:
    """Return a day of the query string, as 2026-01-31."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise FieldError((name, "invalid", f"“{text[:40]}” is no day; write it as 2026-01-31.")) from error


class StrictFilters:
    """A viewset mixin: parameters are those of its filters and of paging, and nothing else."""

    filterset_class: Any

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action == "list":  # type: ignore[attr-defined]
            names = set(self.filterset_class.base_filters) | ALWAYS
            refuse_unknown_parameters(self.request, names)  # type: ignore[attr-defined]
            return super().filter_queryset(queryset)  # type: ignore[misc]
        return queryset
