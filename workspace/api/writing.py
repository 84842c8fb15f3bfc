"""Writes of the API: one record, an upsert by external id, or up to 1,000 at once.

They go through the importer's fields and rules (`intake.records`). A request with an
Idempotency-Key is carried out once: its answer is stored in the transaction of its effect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, cast

from django.db import IntegrityError, models, transaction
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models.customers import today
from intake.kinds import KINDS, Kind
from intake.records import MAX_RECORDS, NAMES_OF_RECORD, Outcome, store
from intake.values import Field
from team.models import IdempotentRequest, User
from workspace.api.problems import Conflict, FieldError, Unprocessable

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "date": {"type": "string", "format": "date"},
    "moment": {"type": "string", "format": "date-time"},
    "number": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "email": {"type": "string", "format": "email"},
    "list": {"type": "array", "items": {"type": "string"}},
}


def _property(field: Field) -> dict[str, Any]:
    found = dict(_JSON_TYPES.get(field.type, {"type": "string"}))
    if field.max_length:
        found["maxLength"] = field.max_length
    if field.choices:
        found["enum"] = [value for value, _ in field.choices]
    if not field.is_required:
        found["nullable"] = True
    found["description"] = field.help or field.label
    return found


def record_schema(kind: Kind, *, with_id: bool = True) -> dict[str, Any]:
    """Return the JSON schema of a record, made from the importer's fields."""
    fields = [field for field in kind.fields if with_id or field.name != "external_id"]
    properties = {field.name: _property(field) for field in fields}
    for name in NAMES_OF_RECORD if with_id else ("account_source",):
        properties[name] = {"type": "string", "maxLength": 60}
    if kind.custom_field:
        properties[kind.custom_field] = {"type": "object", "additionalProperties": {}}
    required = [field.name for field in fields if field.is_required or field.name == "external_id"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_OUTCOME = {
    "type": "object",
    "required": ["external_id", "outcome", "errors"],
    "properties": {
        "external_id": {"type": "string"},
        "outcome": {"type": "string", "enum": ["created", "updated", "unchanged", "rejected"]},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
_BULK_RESPONSE = {
    "type": "object",
    "required": ["results", "counts"],
    "properties": {
        "results": {"type": "array", "items": _OUTCOME},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key never acts twice."
)


def once(request: Request, effect: Callable[[], Response]) -> Response:
    """Carry `effect` out in a transaction; with an Idempotency-Key, only the first time it comes.

    The same key with another request is refused with 422.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        with transaction.atomic():
            return effect()
    if len(key) > 200 or not key.isprintable():
        raise FieldError(("Idempotency-Key", "invalid", "At most 200 printable characters are allowed."))
    text = f"{request.method} {request.get_full_path()}\n".encode() + request.body
    digest = hashlib.sha256(text).hexdigest()
    user = cast(User, request.user)
    try:
        with transaction.atomic():
            stored = IdempotentRequest.objects.create(user=user, key=key, request_digest=digest)
            response = effect()
            stored.status, stored.body = (
                response.status_code,
                json.loads(json.dumps(response.data, default=str)),
            )
            stored.save(update_fields=["status", "body"])
            return response
    except IntegrityError:
        earlier = IdempotentRequest.objects.filter(user=user, key=key).first()
        if earlier is None:
            raise
    if earlier.request_digest != digest:
        raise Unprocessable("This Idempotency-Key belongs to another request.")
    return Response(earlier.body, status=earlier.status, headers={"Idempotency-Replayed": "true"})


def _answer(outcome: Outcome) -> dict[str, Any]:
    errors = []
    if outcome.state == "rejected":
        errors = [{"field": outcome.field, "code": "invalid", "message": outcome.reason}]
    return {"external_id": outcome.external_id, "outcome": outcome.state, "errors": errors}


class KindWrites:
    """Gives a viewset its writes; `kind` names the importer's kind of the same facts."""

    kind: str
    get_queryset: Callable[[], models.QuerySet[Any]]
    get_serializer: Callable[..., Any]

    @property
    def importer(self) -> Kind:
        return KINDS[self.kind]

    def by_external_id(self, source: str, external_id: str) -> models.QuerySet[Any]:
        return self.get_queryset().filter(source=source, external_id=external_id)

    def _store_one(self, record: dict[str, Any], source: str) -> Outcome:
        outcome = store(self.importer, [record], source=source, now=timezone.now(), as_of=today())[0]
        if outcome.state == "rejected":
            raise FieldError((outcome.field, "invalid", outcome.reason))
        return outcome

    def create(self, request: Request) -> Response:
        record = _record(request)
        external_id, source = record.get("external_id"), record.get("source") or "api"
        if not isinstance(external_id, str) or not external_id.strip():
            raise FieldError(("external_id", "required", "Say what your system calls this record."))
        if not isinstance(source, str) or len(source) > 60:
            raise FieldError(("source", "invalid", "At most 60 characters are allowed."))

        def effect() -> Response:
            if self.by_external_id(source.strip(), external_id.strip()).exists():
                raise Conflict(
                    f"Source “{source}” has a record “{external_id}” already; PUT it by its external id."
                )
            self._store_one(record, source.strip())
            made = self.by_external_id(source.strip(), external_id.strip()).get()
            return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

        return once(request, effect)

    def upsert(self, request: Request, source: str, external_id: str) -> Response:
        record = _record(request)
        for name, value in (("source", source), ("external_id", external_id)):
            if record.get(name, value) != value:
                raise FieldError((name, "mismatch", f"The address says “{value}”."))
        if len(source) > 60 or len(external_id) > 200 or "\x00" in source + external_id:
            raise FieldError(("external_id", "invalid", "At most 60 and 200 characters are allowed."))

        def effect() -> Response:
            outcome = self._store_one(record | {"external_id": external_id, "source": source}, source)
            code = status.HTTP_201_CREATED if outcome.state == "created" else status.HTTP_200_OK
            return Response(
                self.get_serializer(self.by_external_id(source, external_id).get()).data, status=code
            )

        return once(request, effect)

    def bulk(self, request: Request) -> Response:
        records = request.data
        if not isinstance(records, list):
            raise ParseError("A list of records is needed.")
        if not 1 <= len(records) <= MAX_RECORDS:
            raise ValidationError(f"Send 1 to {MAX_RECORDS:,} records, not {len(records):,}.")

        def effect() -> Response:
            outcomes = store(self.importer, records, source="api", now=timezone.now(), as_of=today())
            counts = dict.fromkeys(("created", "updated", "unchanged", "rejected"), 0)
            for outcome in outcomes:
                counts[outcome.state] += 1
            return Response({"results": [_answer(outcome) for outcome in outcomes], "counts": counts})

        return once(request, effect)


def _record(request: Request) -> dict[str, Any]:
    if not isinstance(request.data, dict):
        raise ParseError("An object is needed.")
    return dict(request.data)


def with_writes(viewset: Any) -> Any:
    """Add create, upsert and bulk to a viewset, with schemas made from the importer's fields."""
    kind = KINDS[viewset.kind]
    one = viewset.serializer_class

    def create(self: Any, request: Request) -> Response:
        """Create a record; 409 when its source has one with this external id."""
        return KindWrites.create(self, request)

    def upsert(self: Any, request: Request, source: str, external_id: str) -> Response:
        """Create the record with this external id, or update it; fields left out stay as they are."""
        return KindWrites.upsert(self, request, source, external_id)

    def bulk(self: Any, request: Request) -> Response:
        """Create or update up to 1,000 records; each is answered on its own."""
        return KindWrites.bulk(self, request)

    def body(schema: dict[str, Any]) -> dict[str, Any]:
        return {"application/json": schema}

    viewset.create = extend_schema(
        request=body(record_schema(kind)), responses={201: one}, parameters=[IDEMPOTENCY_KEY]
    )(create)
    viewset.upsert = extend_schema(
        request=body(record_schema(kind, with_id=False)),
        responses={200: one, 201: one},
        parameters=[IDEMPOTENCY_KEY],
    )(
        action(
            detail=False,
            methods=["put"],
            url_path=r"by-external-id/(?P<source>[^/]+)/(?P<external_id>[^/]+)",
            url_name="by-external-id",
        )(upsert)
    )
    viewset.bulk = extend_schema(
        request=OpenApiRequest(
            {"type": "array", "items": record_schema(kind), "minItems": 1, "maxItems": MAX_RECORDS}
        ),
        responses={200: OpenApiResponse(_BULK_RESPONSE)},
        parameters=[IDEMPOTENCY_KEY],
    )(action(detail=False, methods=["post"])(bulk))
    return viewset
