"""Pages by cursor: `?limit=&cursor=`, steady while rows come and go."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import DateField, DecimalField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param

from workspace.api.problems import FieldError

DEFAULT_LIMIT = 50
MAX_LIMIT = 1_000


class CursorPages(BasePagination):
    """Walks a queryset in the view's order; the cursor holds the last row's place in it.

    A view may offer `orderings`: {name: field}. Rows without a value come last ascending and
    first descending. Ties are settled by the primary key.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.limit = self._limit()
        orderings: dict[str, str] = getattr(view, "orderings", {})
        name = request.query_params.get("ordering", "")
        field = orderings.get(name.removeprefix("-"), "")
        if name and not field:
            allowed = ", ".join(sorted(orderings)) or "none"
            raise FieldError(
                ("ordering", "invalid_choice", f"“{name}” is no ordering here; allowed: {allowed}.")
            )
        is_descending = name.startswith("-")
        cursor = self._cursor(name)
        backwards = bool(cursor and cursor["back"])

        if field:
            queryset = queryset.annotate(_place=self._never_null(queryset, field))
        descending_now = is_descending != backwards
        signs = "-" if descending_now else ""
        queryset = queryset.order_by(*([f"{signs}_place"] if field else []), f"{signs}pk")
        if cursor:
            beyond = "lt" if descending_now else "gt"
            after_key = Q(**{f"pk__{beyond}": cursor["pk"]})
            if field:
                place = cursor["place"]
                try:
                    queryset = queryset.filter(
                        Q(**{f"_place__{beyond}": place}) | (Q(_place=place) & after_key)
                    )
                except (ValueError, TypeError, ArithmeticError) as error:
                    raise self._bad_cursor() from error
            else:
                queryset = queryset.filter(after_key)
        try:
            rows = list(queryset[: self.limit + 1])
        except (OverflowError, ValueError) as error:
            raise self._bad_cursor() from error
        has_more = len(rows) > self.limit
        rows = rows[: self.limit]
        if backwards:
            rows.reverse()
        has_next = bool(rows) and (has_more if not backwards else True)
        has_previous = bool(rows) and (bool(cursor) if not backwards else has_more)
        self.next = self._link(rows[-1], name, back=False) if has_next else None
        self.previous = self._link(rows[0], name, back=True) if has_previous else None
        return rows

    @staticmethod
    def _never_null(queryset: QuerySet[Any], field: str) -> Any:
        if "__" in field:
            path = field.split("__")
            model = queryset.model
            for step in path[:-1]:
                model = model._meta.get_field(step).related_model
            column = model._meta.get_field(path[-1])
        else:
            column = queryset.model._meta.get_field(field)
        if isinstance(column, DateField):
            return Coalesce(F(field), Value(date(9999, 12, 31)), output_field=column)
        if isinstance(column, DecimalField):
            wide = DecimalField(max_digits=30, decimal_places=6)
            return Coalesce(F(field), Value(Decimal(10) ** 15), output_field=wide)
        return F(field)

    def _limit(self) -> int:
        text = self.request.query_params.get("limit", str(DEFAULT_LIMIT))
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT):
            raise FieldError(("limit", "invalid", f"Write a whole number from 1 to {MAX_LIMIT}."))
        return int(text)

    @staticmethod
    def _bad_cursor() -> FieldError:
        return FieldError(("cursor", "invalid", "This cursor is not one of ours; begin without a cursor."))

    def _cursor(self, ordering: str) -> dict[str, Any] | None:
        text = self.request.query_params.get("cursor")
        if not text:
            return None
        try:
            value = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
            cursor = {"pk": int(value["k"]), "back": bool(value["b"]), "place": value["p"]}
            is_ours = (
                value["o"] == ordering and isinstance(value["p"], str | None) and abs(cursor["pk"]) < 2**63
            )
        except (ValueError, KeyError, TypeError, UnicodeError, binascii.Error, RecursionError) as error:
            raise self._bad_cursor() from error
        if not is_ours or (cursor["place"] and "\x00" in cursor["place"]):
            raise self._bad_cursor()
        return cursor

    def _link(self, row: Any, ordering: str, *, back: bool) -> str:
        place = getattr(row, "_place", None)
        value = {"k": row.pk, "b": back, "o": ordering, "p": None if place is None else str(place)}
        cursor = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
        url = remove_query_param(self.request.build_absolute_uri(), "cursor")
        return f"{url}{'&' if '?' in url else '?'}{urlencode({'cursor': cursor})}"

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.next, "previous": self.previous})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {"results": schema, "next": link, "previous": link},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        found: list[dict[str, Any]] = [
            {"name": "limit", "in": "query", "required": False, "schema": limit},
            {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}},
        ]
        if orderings := getattr(view, "orderings", {}):
            names = [sign + name for name in sorted(orderings) for sign in ("", "-")]
            found.append(
                {
                    "name": "ordering",
                    "in": "query",
                    "required": False,
                    "schema": {"type": "string", "enum": names},
                }
            )
        return found
