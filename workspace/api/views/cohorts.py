"""The table of cohorts, as JSON and as CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metrics.kpis import read_question
from metrics.kpis.cohorts import COHORT_RETENTION, matrix
from workspace import cohorts
from workspace.api.reading import refuse_unknown_parameters
from workspace.api.views.kpis import PARAMETERS, QUESTION, fields_named
from workspace.exports import csv_lines

_TEXT, _WHOLE = {"type": "string"}, {"type": "integer"}
_NUMBER = {"type": "string", "nullable": True, "description": "Exact decimal."}
_DATE = {"type": "string", "format": "date"}
_CELL = {
    "type": "object",
    "properties": {
        "month": {**_WHOLE, "description": "Months since that of joining, which is 0."},
        "end": {**_DATE, "description": "First day that no longer counts."},
        "value": _NUMBER,
        "numerator": _NUMBER,
        "denominator": _NUMBER,
        "reason": {**_TEXT, "nullable": True},
    },
}
_TABLE = {
    "type": "object",
    "properties": {
        "kpi": _TEXT,
        "version": _WHOLE,
        "variant": _TEXT,
        "unit": _TEXT,
        "period": {"type": "object", "properties": {"start": _DATE, "end": _DATE}},
        "cohorts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "cohort": {**_TEXT, "description": "Month of joining, 2026-03."},
                    "joined": _WHOLE,
                    "cells": {"type": "array", "items": _CELL},
                },
            },
        },
    },
}


class CsvOfCohorts(BaseRenderer):
    """A line a cell; what went wrong stays JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        if "cohorts" not in data:
            return json.dumps(data)
        return "".join(csv_lines(cohorts.HEAD, cohorts.lines(data)))


class CohortMatrixView(APIView):
    renderer_classes = [JSONRenderer, CsvOfCohorts]

    @extend_schema(
        operation_id="kpis_cohort_matrix",
        parameters=[*PARAMETERS, OpenApiParameter("format", str, enum=["json", "csv"])],
        responses=OpenApiResponse(_TABLE),
    )
    def get(self, request: Request) -> Response:
        """Accounts by month of joining, and what became of them by the end of each month since.

        Each cell is what the KPI `cohort_retention` says with `cohort` set to the month of joining, from
        its first day to the cell's end. Filters take what an account was on the last day of the period.
        """
        refuse_unknown_parameters(request, QUESTION)
        with fields_named():
            asked = read_question(COHORT_RETENTION.slug, request.query_params, user=request.user)
            table = matrix(
                asked.period,
                variant=asked.variant,
                user=asked.user,
                filters=asked.filters,
                known_at=asked.known_at,
                now=asked.now,
            )
        return Response(cohorts.as_dict(table))
