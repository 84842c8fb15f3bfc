"""The numbers: catalogue, value, series and the rows behind a count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from csplatform.periods import Step
from metrics.calculations import exact_text
from metrics.kpis import EARLIER, KPIS, STEPS, Aims, Kpi, KpiError, ask, compare, read_question, rows, series
from metrics.models import Target
from workspace.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from workspace.api.problems import FieldError
from workspace.api.reading import refuse_unknown_parameters

QUESTION = {
    "start",
    "end",
    "variant",
    "known_at",
    "csm",
    "segment",
    "plan",
    "lifecycle_stage",
    "account",
    "format",
}

_DATE = {"type": "string", "format": "date"}
PARAMETERS = [
    OpenApiParameter(
        "start",
        {**_DATE},
        description="First day that counts. Without dates it is the month so far, or as many months as the "
        "KPI's definition says.",
    ),
    OpenApiParameter("end", {**_DATE}, description="First day that no longer counts."),
    OpenApiParameter("variant", str, description="One of the KPI's variants."),
    OpenApiParameter("known_at", str, description="A day or a moment: what we would have said then."),
    OpenApiParameter("csm", str, description="Id or e-mail address of a user."),
    OpenApiParameter("segment", str),
    OpenApiParameter("plan", str, description="Code of a plan."),
    OpenApiParameter("lifecycle_stage", str),
    OpenApiParameter("account", int),
]
_NUMBER = {"type": "string", "nullable": True, "description": "Exact decimal."}
_FIGURE: dict[str, Any] = {
    "value": _NUMBER,
    "numerator": _NUMBER,
    "denominator": _NUMBER,
    "sample_size": {"type": "integer", "nullable": True},
    "interval": {
        "type": "object",
        "nullable": True,
        "properties": {name: {"type": "string"} for name in ("low", "high", "level")},
    },
    "small_sample": {"type": "boolean"},
    "reason": {"type": "string", "nullable": True, "description": "Why there is no value."},
    "counts": {"type": "object", "additionalProperties": _NUMBER},
}
_HELD_AGAINST: dict[str, Any] = {
    "target": _NUMBER,
    "target_met": {"type": "boolean", "nullable": True},
    "benchmark": {
        "type": "object",
        "nullable": True,
        "properties": {name: {"type": "string"} for name in ("low", "high")},
    },
}
_COMPARISON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "to": {"type": "string", "enum": list(EARLIER)},
        "period": {"type": "object", "properties": {"start": _DATE, "end": _DATE}},
        **{name: _FIGURE[name] for name in ("value", "numerator", "denominator", "sample_size", "reason")},
        "change": {**_NUMBER, "description": "The value less the earlier one."},
        "significance": {
            "type": "object",
            "nullable": True,
            "description": "Whether the change is more than chance would make; null where not defined.",
            "properties": {
                "z": {"type": "string"},
                "level": {"type": "string"},
                "significant": {"type": "boolean"},
            },
        },
    },
}
ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["kpi", "version", "period", "value", "unit", "groups", "computed_at", "data_as_of"],
    "properties": {
        "kpi": {"type": "string"},
        "version": {"type": "integer"},
        "variant": {"type": "string", "nullable": True},
        "period": {"type": "object", "properties": {"start": _DATE, "end": _DATE}},
        **_FIGURE,
        "unit": {"type": "string"},
        "restated": {"type": "boolean", "description": "Facts about these days came or changed later."},
        "previous_value": {**_NUMBER, "description": "What was said when the period was over, if another."},
        "restated_at": {"type": "string", "format": "date-time", "nullable": True},
        **_HELD_AGAINST,
        "group_by": {"type": "string", "nullable": True},
        "additive": {"type": "boolean"},
        "groups": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": {"type": "string"},
                    "label": {"type": "string"},
                    **_FIGURE,
                    **_HELD_AGAINST,
                },
            },
        },
        "comparison": {**_COMPARISON, "description": "Only when `compare` is asked."},
        "known_at": {"type": "string", "format": "date-time", "nullable": True},
        "computed_at": {"type": "string", "format": "date-time"},
        "data_as_of": {"type": "string", "format": "date-time"},
    },
}


@contextmanager
def fields_named() -> Iterator[None]:
    """Turn what a KPI cannot be asked into a 400 that names the field; an unknown KPI is a 404."""
    try:
        yield
    except KpiError as error:
        if error.field == "kpi":
            raise NotFound(error.message) from error
        raise FieldError((error.field, "invalid", error.message)) from error


def own_groups(request: Request, slug: str) -> set[str]:
    """Return the parameters that filter by the KPI's own groupings."""
    kpi = KPIS.get(slug)
    if kpi is None:
        return set()
    known = {grouping.slug for grouping in kpi.own_groups if not grouping.takes_name}
    return known | {name for name in request.query_params if kpi.grouping(name)}


def described(kpi: Kpi, target: Target | None) -> dict[str, Any]:
    """Return what the catalogue says of a KPI."""
    benchmark = (target and target.benchmark) or kpi.benchmark
    return {
        "slug": kpi.slug,
        "label": kpi.label,
        "theme": kpi.theme,
        "unit": kpi.unit_of(kpi.default),
        "direction": kpi.direction,
        "definition": kpi.definition,
        "formula": kpi.default.formula_text,
        "source": kpi.default.source_text,
        "version": kpi.version,
        "custom": kpi.is_custom,
        "variants": [
            {
                "slug": variant.slug,
                "label": variant.label,
                "unit": kpi.unit_of(variant),
                "formula": variant.formula_text,
                "source": variant.source_text,
            }
            for variant in kpi.variants
        ],
        "groups": list(kpi.group_words),
        "additive": kpi.is_additive,
        "target": exact_text(target.value) if target else None,
        "target_months": target.months if target else None,
        "benchmark": benchmark and {"low": exact_text(benchmark[0]), "high": exact_text(benchmark[1])},
    }


_TEXT = {"type": "string"}
_DESCRIBED = {
    "type": "object",
    "properties": {
        **dict.fromkeys(
            ("slug", "label", "theme", "unit", "direction", "definition", "formula", "source"), _TEXT
        ),
        "version": {"type": "integer"},
        "custom": {"type": "boolean", "description": "Whether it was defined here, not by the platform."},
        "variants": {"type": "array", "items": {"type": "object", "additionalProperties": _TEXT}},
        "groups": {"type": "array", "items": _TEXT},
        "additive": {"type": "boolean"},
        "target": _NUMBER,
        "target_months": {
            "type": "integer",
            "nullable": True,
            "description": "It holds for periods of so many whole months; null for any length.",
        },
        "benchmark": {"type": "object", "nullable": True, "additionalProperties": _TEXT},
    },
}


class KpiCatalogueView(APIView):
    @extend_schema(
        operation_id="kpis_list",
        responses=OpenApiResponse(
            {"type": "object", "properties": {"results": {"type": "array", "items": _DESCRIBED}}}
        ),
    )
    def get(self, request: Request) -> Response:
        """Every KPI: what it means, how it is worked out, by what it can be grouped."""
        refuse_unknown_parameters(request, {"format"})
        aims = Aims()
        return Response({"results": [described(kpi, aims.stated(kpi)) for kpi in KPIS.values()]})


class KpiView(APIView):
    @extend_schema(
        operation_id="kpis_retrieve",
        parameters=[
            *PARAMETERS,
            OpenApiParameter("group_by", str),
            OpenApiParameter(
                "compare",
                str,
                enum=list(EARLIER),
                description="Put the period before, or the year before, beside it.",
            ),
        ],
        responses=OpenApiResponse(ANSWER),
    )
    def get(self, request: Request, slug: str) -> Response:
        """One number for a period, with its counts, its interval and its groups."""
        refuse_unknown_parameters(request, QUESTION | own_groups(request, slug) | {"group_by", "compare"})
        to = request.query_params.get("compare", "")
        with fields_named():
            question = read_question(slug, request.query_params, user=request.user)
            if to:
                return Response(compare(question, to).as_dict())
            return Response(ask(question).as_dict())


class KpiSeriesView(APIView):
    @extend_schema(
        operation_id="kpis_series",
        parameters=[*PARAMETERS, OpenApiParameter("step", str, enum=STEPS)],
        responses=OpenApiResponse(
            {"type": "object", "properties": {"results": {"type": "array", "items": ANSWER}}}
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """The number for each day, week, month … of the period."""
        refuse_unknown_parameters(request, QUESTION | own_groups(request, slug) | {"step"})
        with fields_named():
            question = read_question(slug, request.query_params, user=request.user)
            step = cast(Step, request.query_params.get("step", "month"))
            return Response({"results": [answer.as_dict() for answer in series(question, step)]})


def plain(value: Any) -> Any:
    """Return a cell of a row as JSON has it: numbers exact, as text."""
    if isinstance(value, Decimal):
        return exact_text(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value


class KpiRowsView(APIView):
    @extend_schema(
        operation_id="kpis_rows",
        parameters=[
            *PARAMETERS,
            OpenApiParameter("part", str, description="numerator, denominator, or one of the counts."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
        responses=OpenApiResponse(
            {
                "type": "object",
                "properties": {
                    "part": _TEXT,
                    "count": {"type": "integer"},
                    "results": {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
                    "next": {"type": "string", "format": "uri", "nullable": True},
                    "previous": {"type": "string", "format": "uri", "nullable": True},
                },
            }
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """The rows that were counted; their amounts add up to exactly the part."""
        refuse_unknown_parameters(request, QUESTION | own_groups(request, slug) | {"part", "limit", "cursor"})
        at = _whole(request, "cursor", 0, 0, 10**12)
        limit = _whole(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        with fields_named():
            question = read_question(slug, request.query_params, user=request.user)
            found = rows(question, request.query_params.get("part", "numerator"))
            page = found[at : at + limit]
            count = len(found)
        url = request.build_absolute_uri()
        return Response(
            {
                "part": found.name,
                "count": count,
                "results": [{name: plain(value) for name, value in row.items()} for row in page],
                "next": replace_query_param(url, "cursor", at + limit) if at + limit < count else None,
                "previous": replace_query_param(url, "cursor", max(at - limit, 0)) if at else None,
            }
        )


def _whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    text = request.query_params.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 13 and low <= int(text) <= high):
        raise FieldError((name, "invalid", f"Write a whole number from {low} to {high}."))
    return int(text)
