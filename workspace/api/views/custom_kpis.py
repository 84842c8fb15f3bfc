"""KPIs that an installation defines itself: those there are, a look before saving, and each new version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metrics.kpis import KpiError
from metrics.kpis.custom import keeping
from metrics.kpis.custom.definition import DIRECTIONS, RATIOS, DefinitionError
from metrics.kpis.custom.facts import FACT_SETS
from metrics.kpis.custom.previewing import preview
from metrics.kpis.custom.published import kpi_of_version
from metrics.models import CustomKpi, may_define
from team.models import User
from workspace.api.authentication import may_write_with
from workspace.api.problems import Conflict, FieldError
from workspace.api.reading import refuse_unknown_parameters
from workspace.api.views.kpis import ANSWER, described, plain

DEFINED = frozenset(
    {"slug", "label", "direction", "definition", "unit", "groups", "numerator", "denominator"}
)
SAVED = DEFINED | {"state", "reason", "based_on"}
State = CustomKpi.State

_TEXT = {"type": "string"}
_CONDITION: dict[str, Any] = {
    "type": "object",
    "required": ["field", "operator"],
    "properties": {
        "field": {**_TEXT, "description": "One of the facts' own, or account.… for those of their account."},
        "operator": _TEXT,
        "value": {"description": "A text, a number, a list or a truth, as the operator takes it."},
        "that": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {}},
            "description": "Narrows what accounts have to have: conditions on those facts.",
        },
    },
}
_SIDE: dict[str, Any] = {
    "type": "object",
    "required": ["facts"],
    "properties": {
        "facts": {**_TEXT, "enum": list(FACT_SETS)},
        "measure": {**_TEXT, "enum": ["count", "accounts", "sum"]},
        "of": {**_TEXT, "description": "What is added up, for the measure sum."},
        "conditions": {"type": "array", "items": _CONDITION},
    },
}
_DEFINITION: dict[str, Any] = {
    "type": "object",
    "required": ["slug", "label", "direction", "numerator"],
    "properties": {
        "slug": _TEXT,
        "label": _TEXT,
        "direction": {**_TEXT, "enum": list(DIRECTIONS)},
        "definition": {**_TEXT, "description": "In your words; those of the formula where it is empty."},
        "numerator": _SIDE,
        "denominator": {**_SIDE, "nullable": True},
        "unit": {**_TEXT, "enum": ["", *RATIOS], "description": "How a ratio is shown; empty without one."},
        "groups": {"type": "array", "items": _TEXT, "description": "All that there are, if left out."},
    },
}
_TO_SAVE: dict[str, Any] = {
    **_DEFINITION,
    "properties": {
        **_DEFINITION["properties"],
        "state": {**_TEXT, "enum": list(State.values)},
        "reason": {**_TEXT, "description": "Why it changes; needed from the second version on."},
        "based_on": {"type": "integer", "description": "The version that this change was made from."},
    },
}
_SAVED: dict[str, Any] = {
    "type": "object",
    "properties": {
        **_TO_SAVE["properties"],
        "version": {"type": "integer"},
        "formula": _TEXT,
        "made_at": {"type": "string", "format": "date-time"},
        "made_by": {**_TEXT, "nullable": True},
    },
}


class MayDefine(BasePermission):
    """Admins say what a number means, and their keys that may write; a look saves nothing."""

    message = "Defining a KPI needs an admin, or a key of an admin with the scope “write”."

    def has_permission(self, request: Request, view: Any) -> bool:
        only_looks = request.method in SAFE_METHODS or isinstance(view, CustomKpiPreviewView)
        return may_define(request.user) and (only_looks or may_write_with(request))


@contextmanager
def faults_named() -> Iterator[None]:
    """Turn what cannot be defined into a 400 that names each field, and a stale change into a 409."""
    try:
        yield
    except DefinitionError as error:
        raise FieldError(*((name, "invalid", rule) for name, rule in error.faults)) from error
    except KpiError as error:
        raise FieldError((error.field, "invalid", error.message)) from error
    except keeping.StaleDefinition as error:
        raise Conflict(str(error)) from error


def _given(request: Request, known: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(request.data, Mapping):
        raise FieldError(("", "invalid", "The body is to be one JSON object."))
    if unknown := sorted(set(request.data) - known):
        rule = f"Nothing reads this; known are {', '.join(sorted(known))}."
        raise FieldError(*((name, "unknown", rule) for name in unknown))
    return request.data


def saved(kpi: CustomKpi) -> dict[str, Any]:
    """Return what the API says of a custom KPI: what it takes, and what it made of it."""
    version = kpi.current
    assert version is not None  # saved together with its first version
    try:
        words = kpi_of_version(version).default.formula_text
    except DefinitionError:
        words = ""
    return {
        "slug": kpi.slug,
        "state": kpi.state,
        "version": version.number,
        "label": version.label,
        "direction": version.direction,
        "definition": version.definition,
        **version.formula,
        "formula": words,
        "made_at": version.made_at.isoformat(),
        "made_by": str(version.made_by) if version.made_by else None,
        "reason": version.reason,
    }


def _stored() -> Any:
    return CustomKpi.objects.filter(current__isnull=False).select_related("current__made_by")


def _found(slug: str) -> CustomKpi:
    kpi: CustomKpi | None = _stored().filter(slug=slug).first()
    if kpi is None:
        raise NotFound(f"There is no KPI {slug!r} that was defined here.")
    return kpi


def _save(request: Request, given: Mapping[str, Any], state: str, based_on: int) -> CustomKpi:
    by, now = cast(User, request.user), timezone.now()
    reason = given.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise FieldError(("reason", "invalid", "Write a text."))
    with faults_named():
        version = keeping.save(
            keeping.read(given),
            by=by,
            reason=reason or "",
            based_on=based_on,
            now=now,
            publish=state == State.PUBLISHED,
        )
        if state == State.RETIRED:
            keeping.retire(version.kpi.slug, by=by, now=now)
    return _found(version.kpi.slug)


def _state(given: Mapping[str, Any], default: str) -> str:
    state = given.get("state") or default
    if state not in State.values:
        raise FieldError(("state", "invalid", f"Choose one of {', '.join(State.values)}."))
    return str(state)


class CustomKpiListView(APIView):
    permission_classes = [MayDefine]

    @extend_schema(
        operation_id="kpis_custom_list",
        responses=OpenApiResponse(
            {"type": "object", "properties": {"results": {"type": "array", "items": _SAVED}}}
        ),
    )
    def get(self, request: Request) -> Response:
        """Every KPI that was defined here: drafts, published and retired ones."""
        refuse_unknown_parameters(request, {"format"})
        return Response({"results": [saved(kpi) for kpi in _stored()]})

    @extend_schema(
        operation_id="kpis_custom_create",
        request={"application/json": _TO_SAVE},
        responses={201: OpenApiResponse(_SAVED)},
    )
    def post(self, request: Request) -> Response:
        """Define a KPI: a draft, unless its state is said to be published."""
        given = _given(request, SAVED - {"based_on"})
        kpi = _save(request, given, _state(given, State.DRAFT), based_on=0)
        return Response(saved(kpi), status=status.HTTP_201_CREATED)


class CustomKpiView(APIView):
    permission_classes = [MayDefine]

    @extend_schema(operation_id="kpis_custom_retrieve", responses=OpenApiResponse(_SAVED))
    def get(self, request: Request, slug: str) -> Response:
        """One KPI that was defined here, in its newest version."""
        refuse_unknown_parameters(request, {"format"})
        return Response(saved(_found(slug)))

    @extend_schema(
        operation_id="kpis_custom_update",
        request={"application/json": _TO_SAVE},
        responses=OpenApiResponse(_SAVED),
    )
    def put(self, request: Request, slug: str) -> Response:
        """Save the next version, made from `based_on`; a 409 if somebody saved one since."""
        given = _given(request, SAVED)
        kpi = _found(slug)
        if given.get("slug", slug) != slug:
            raise FieldError(("slug", "invalid", "A KPI keeps its name; define another one."))
        based_on = str(given.get("based_on", ""))
        if not (based_on.isascii() and based_on.isdigit() and 0 < int(based_on[:9]) < 32_768):
            raise FieldError(("based_on", "invalid", "Write the number of the version you changed."))
        kpi = _save(request, {**given, "slug": slug}, _state(given, kpi.state), int(based_on))
        return Response(saved(kpi))


class CustomKpiPreviewView(APIView):
    permission_classes = [MayDefine]

    @extend_schema(
        operation_id="kpis_custom_preview",
        request={"application/json": _DEFINITION},
        parameters=[
            OpenApiParameter("start", {"type": "string", "format": "date"}),
            OpenApiParameter("end", {"type": "string", "format": "date"}),
            OpenApiParameter("group_by", str),
        ],
        responses=OpenApiResponse(
            {
                "type": "object",
                "properties": {
                    "kpi": {"type": "object", "additionalProperties": {}},
                    "answer": ANSWER,
                    "series": {"type": "array", "items": ANSWER},
                    "rows": {
                        "type": "object",
                        "properties": {
                            "count": {"type": "integer"},
                            "results": {"type": "array", "items": {"type": "object"}},
                        },
                    },
                },
            }
        ),
    )
    def post(self, request: Request) -> Response:
        """What a definition would say, without saving it: the figure, its year, groups, the first rows."""
        refuse_unknown_parameters(request, {"start", "end", "group_by", "format"})
        with faults_named():
            kpi = keeping.read(_given(request, DEFINED)).kpi()
            seen = preview(kpi, request.query_params, user=request.user, now=timezone.now())
        return Response(
            {
                "kpi": described(kpi, None),
                "answer": seen.answer.as_dict(),
                "series": [answer.as_dict() for answer in seen.series],
                "rows": {
                    "count": len(seen.rows),
                    "results": [{name: plain(value) for name, value in row.items()} for row in seen.shown],
                },
            }
        )
