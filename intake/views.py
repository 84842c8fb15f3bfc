"""The import pages: upload, map, check, import, result."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from intake import importing
from intake.forms import MappingFileForm, MappingForm, UploadForm
from intake.importing import ImportRefusedError
from intake.kinds import KINDS
from intake.mapping import MappingError, as_document, load
from intake.models import Import, RowNote, may_import
from intake.reading import Layout, ReadingError, inspect
from intake.results import csv_lines, notes_of

PER_PAGE = 25
PREVIEW_ROWS = 8
SHOWN_NOTES = 50
SHOWN_ACCOUNTS = 12

View = Callable[..., HttpResponseBase]


def importers_only(view: View) -> View:
    """Let admins and managers in; others are told that they may not."""

    @login_required
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_import(request.user):
            raise PermissionDenied("Only admins and managers bring files in.")
        return view(request, *args, **kwargs)

    return checked


def _record(request: HttpRequest, pk: int) -> Import:
    return get_object_or_404(Import.objects.visible_to(request.user), pk=pk)


@importers_only
@require_GET
def import_list(request: HttpRequest) -> HttpResponse:
    """Past imports, newest first."""
    imports = Import.objects.visible_to(request.user).select_related("created_by")
    page = Paginator(imports, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "intake/import_list.html", {"page": page, "kinds": KINDS})


@importers_only
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """First step: the file and what is in it."""
    if request.method != "POST":
        kind = request.GET.get("kind", "")
        form = UploadForm(initial={"kind": kind} if kind in KINDS else {})
        return render(request, "intake/upload.html", {"form": form, "step": 1})
    form = UploadForm(request.POST, request.FILES)
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            record = importing.receive(
                kind=form.cleaned_data["kind"],
                file_name=file.name,
                upload=file,
                source=form.cleaned_data["source"].strip(),
                created_by=request.user,
            )
        except ImportRefusedError as error:
            for _, rule in error.problems:
                form.add_error("file", rule)
        else:
            return redirect("intake:mapping", record.pk)
    return render(request, "intake/upload.html", {"form": form, "step": 1}, status=422)


@importers_only
@require_http_methods(["GET", "POST"])
def mapping(request: HttpRequest, pk: int) -> HttpResponse:
    """Second step: which column fills what, with the first rows as they will be read."""
    record = _record(request, pk)
    if record.state != Import.State.UPLOADED:
        messages.info(request, "This import has begun; its mapping stays as it is.")
        return redirect(record)
    kind = KINDS[record.kind]
    file_form = MappingFileForm()
    if request.method == "POST" and "mapping_file" in request.POST:
        file_form = MappingFileForm(request.POST, request.FILES)
        if file_form.is_valid():
            try:
                importing.set_mapping(record, file_form.cleaned_data["mapping"])
            except ImportRefusedError as error:
                for where, rule in error.problems[:20]:
                    file_form.add_error("mapping", f"{where}: {rule}" if where else rule)
            else:
                messages.success(request, "The mapping file is taken over.")
                return redirect("intake:mapping", pk)
    try:
        layout = _layout(record)
    except ReadingError as error:
        return render(
            request, "intake/unreadable.html", {"record": record, "error": error, "step": 2}, status=422
        )
    is_choice = request.method == "POST" and "mapping_file" not in request.POST
    form = MappingForm(record, kind, layout, request.POST if is_choice else None)
    document, as_of = record.mapping, record.as_of
    is_only_looking = "HX-Request" in request.headers
    if is_choice and form.is_valid():
        document, as_of = form.to_document(), form.cleaned_data["as_of"]
        if "check" in request.POST and not is_only_looking:
            try:
                importing.set_mapping(record, document, source=form.cleaned_data["source"], as_of=as_of)
            except ImportRefusedError as error:
                for where, rule in error.problems:
                    form.add_error(None, _in_words(form, where, rule))
            else:
                importing.enqueue_rehearsal(record)
                return redirect(record)
    context = {
        "record": record,
        "kind": kind,
        "layout": layout,
        "form": form,
        "file_form": file_form,
        "preview": _preview(record, document, layout, as_of),
        "remarks": layout.warnings,
        "step": 2,
    }
    if is_only_looking:
        return render(request, "intake/_preview.html", context)
    is_bad = form.errors or file_form.errors
    return render(request, "intake/mapping.html", context, status=422 if is_bad else 200)


def _layout(record: Import) -> Layout:
    try:
        return inspect(record.path, **load(record.mapping, KINDS[record.kind]).file_options)
    except MappingError:
        return inspect(record.path)  # a guess that lacks something yet says nothing about the file


def _in_words(form: MappingForm, where: str, rule: str) -> str:
    labels = {f"fields.{one.name}": one.label for one in form.kind.fields}
    label = next(
        (label for place, label in labels.items() if where == place or where.startswith(f"{place}.")), where
    )
    return rule if rule.startswith(label) else f"{label}: {rule}"


def _preview(record: Import, document: dict[str, Any], layout: Layout, as_of: date) -> dict[str, Any]:
    """Return the first rows as the mapping reads them, or what keeps it from reading them."""
    kind = KINDS[record.kind]
    try:
        reader = load(document, kind).bind(layout, as_of=as_of)
    except MappingError as error:
        return {"problems": [rule if not where else f"{where}: {rule}" for where, rule in error.problems]}
    labels = {one.name: one.label for one in kind.fields}
    names = list(document["fields"])
    rows = []
    for row in importing.first_rows(layout, PREVIEW_ROWS):
        parsed = reader.read(row)
        rows.append(
            {
                "line": row.line,
                "problem": f"{parsed.problem_field}: {parsed.problem}"
                if parsed.problem_field
                else parsed.problem,
                "is_skipped": parsed.is_skipped,
                "values": [_shown(parsed.values.get(name)) for name in names],
            }
        )
    return {"labels": [labels[name] for name in names], "rows": rows}


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return timezone.localtime(value).strftime("%Y-%m-%d %H:%M")
        case bool():
            return "yes" if value else "no"
        case list():
            return "; ".join(map(str, value))
        case _:
            return str(value)


@importers_only
@never_cache
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """How an import stands: being checked, checked, waiting, running, over."""
    record = _record(request, pk)
    preview = record.preview or {}
    is_being_checked = record.state == Import.State.UPLOADED and bool(preview.get("is_running"))
    context = {
        "record": record,
        "kind": KINDS[record.kind],
        "checked": preview if record.state == Import.State.UPLOADED and "created" in preview else None,
        "check_error": preview.get("error", "") if record.state == Import.State.UPLOADED else "",
        "is_being_checked": is_being_checked,
        "is_live": record.is_live or is_being_checked,
        "step": 5 if record.state in ("done", "failed", "cancelled") else 4 if record.is_live else 3,
    }
    if not context["is_live"]:
        accounts = importing.accounts_of(record, request.user)
        context["account_count"] = accounts.count()
        context["accounts"] = accounts.order_by("name", "pk")[:SHOWN_ACCOUNTS]
        context["notes"] = RowNote.objects.filter(batch=record, kind=RowNote.Kind.REJECTED)[:SHOWN_NOTES]
    template = "intake/_import.html" if "HX-Request" in request.headers else "intake/import_detail.html"
    return render(request, template, context)


@importers_only
@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Hand the import to a worker; one that failed goes on where it stopped."""
    record = _record(request, pk)
    try:
        load(record.mapping, KINDS[record.kind])
    except MappingError:
        messages.error(request, "The mapping lacks something yet.")
        return redirect("intake:mapping", pk)
    if not importing.enqueue_run(record):
        messages.info(request, "This import has begun already.")
    return redirect(record)


@importers_only
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    record = _record(request, pk)
    if importing.cancel(record):
        messages.success(request, "The import is stopped. What it had stored stays.")
    return redirect(record)


@importers_only
@require_GET
def mapping_download(request: HttpRequest, pk: int) -> HttpResponse:
    record = _record(request, pk)
    return HttpResponse(
        as_document(record.mapping),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{record.kind}-mapping.json"'},
    )


@importers_only
@require_GET
def notes_download(request: HttpRequest, pk: int, kind: str) -> StreamingHttpResponse:
    """The rejected or the repaired rows, in the columns they came in."""
    record = _record(request, pk)
    try:
        columns = _layout(record).columns
    except ReadingError:
        columns = []  # the upload is gone; the rows are still worth having
    return StreamingHttpResponse(
        csv_lines(notes_of(record, kind), columns),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="import-{record.pk}-{kind}.csv"'},
    )
