"""Files brought in by programs: the same engine as the page and the command."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from intake import importing
from intake.kinds import KINDS
from intake.mapping import MappingError, parse_json
from intake.models import Import, RowNote
from workspace.api.authentication import MayImport
from workspace.api.pagination import CursorPages
from workspace.api.problems import FieldError
from workspace.api.reading import refuse_unknown_parameters

FIRST_ERRORS = 100


class ImportSerializer(serializers.ModelSerializer[Import]):
    percent = serializers.IntegerField(read_only=True)
    rows_read = serializers.IntegerField(read_only=True)

    class Meta:
        model = Import
        fields = [
            "id",
            "kind",
            "source",
            "file_name",
            "as_of",
            "state",
            "error",
            "percent",
            "rows_read",
            "created",
            "updated",
            "unchanged",
            "rejected",
            "skipped",
            "repaired",
            "details",
            "created_at",
            "started_at",
            "finished_at",
        ]


class RowNoteSerializer(serializers.ModelSerializer[RowNote]):
    class Meta:
        model = RowNote
        fields = ["line", "field", "reason", "cells"]


class ImportDetailSerializer(ImportSerializer):
    errors = serializers.SerializerMethodField(  # type: ignore[assignment]
        help_text=f"The first {FIRST_ERRORS} rejected rows."
    )

    class Meta(ImportSerializer.Meta):
        fields = [*ImportSerializer.Meta.fields, "mapping", "errors"]

    def get_errors(self, record: Import) -> list[dict[str, Any]]:
        notes = RowNote.objects.filter(batch=record).rejected()[:FIRST_ERRORS]
        return list(RowNoteSerializer(notes, many=True).data)


class UploadSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=[(slug, kind.label) for slug, kind in KINDS.items()])
    file = serializers.FileField()
    mapping = serializers.CharField(
        required=False, help_text="A mapping as JSON; guessed from the header without one."
    )
    source = serializers.CharField(required=False, max_length=60)  # type: ignore[assignment]
    as_of = serializers.DateField(required=False, help_text="The day that relative dates count from.")
    dry_run = serializers.BooleanField(default=False, help_text="Say what would happen and store nothing.")


class ImportListView(APIView):
    permission_classes = [MayImport]
    parser_classes = [MultiPartParser]

    @extend_schema(operation_id="imports_list", responses=ImportSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Past imports and those under way, newest first."""
        refuse_unknown_parameters(request, {"limit", "cursor", "format"})
        pages = CursorPages()
        found = pages.paginate_queryset(Import.objects.visible_to(request.user), request, self)
        return pages.get_paginated_response(ImportSerializer(found, many=True).data)

    @extend_schema(
        operation_id="imports_create",
        request={"multipart/form-data": UploadSerializer},
        responses={
            202: ImportDetailSerializer,
            200: OpenApiResponse(OpenApiTypes.OBJECT, "The result of a dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        """Hand in a file. It is stored at once and read by a worker; ask its address how far that is."""
        form = UploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        try:
            document = parse_json(given["mapping"]) if given.get("mapping") else None
            record = importing.prepare(
                kind=given["kind"],
                file_name=given["file"].name,
                document=document,
                source=given.get("source", ""),
                as_of=given.get("as_of"),
                upload=given["file"],
                created_by=request.user,
            )
        except (MappingError, importing.ImportRefusedError) as error:
            raise FieldError(
                *((where or "file", "invalid", rule) for where, rule in error.problems)
            ) from error
        if given["dry_run"]:
            counts, rejected = importing.rehearse(record, most_rows=importing.DRY_RUN_ROWS)
            importing.forget_file(record)
            record.delete()
            errors = RowNoteSerializer(rejected[:FIRST_ERRORS], many=True).data
            return Response({"dry_run": True, **counts.as_dict(), "errors": errors})
        importing.enqueue_run(record)
        url = request.build_absolute_uri(reverse("api:import-detail", args=[record.pk]))
        return Response(
            ImportDetailSerializer(record).data, status=status.HTTP_202_ACCEPTED, headers={"Location": url}
        )


class ImportView(APIView):
    permission_classes = [MayImport]

    @extend_schema(operation_id="imports_retrieve", responses=ImportDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """How far an import is, what became of its rows, and which were rejected."""
        record = get_object_or_404(Import.objects.visible_to(request.user), pk=pk)
        return Response(ImportDetailSerializer(record).data)
