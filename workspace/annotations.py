"""What happened on which day: the list, and the marks that charts over time take from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from functools import wraps
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.fields import EARLIEST, LATEST
from csplatform.periods import Period, day_of
from metrics.models import Annotation, may_annotate
from playbooks.answers import changed, is_htmx, safe_next
from playbooks.forms import DateInput
from team.requests import StaffRequest
from workspace.charts import Mark
from workspace.undo import remember

PER_PAGE = 50
LONGEST_LABEL = 28


def happened_within(periods: Sequence[Period]) -> list[Annotation]:
    """Return what happened between the first and the last day of some periods, in that order."""
    if not periods:
        return []
    whole = Period(min(each.start for each in periods), max(each.end for each in periods))
    return list(Annotation.objects.within(whole).order_by("day", "pk"))


def marks_over(
    periods: Sequence[Period], labels: Sequence[str], happened: Sequence[Annotation] | None = None
) -> list[Mark]:
    """Return a mark for each step of a chart in which something happened; `labels` are its categories.

    `happened` is what was read before, for all charts of a page.
    """
    found: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in happened_within(periods) if happened is None else happened:
        for period, label in zip(periods, labels, strict=True):
            if period.start <= annotation.day < period.end:
                found[label].append(annotation)
                break
    return [
        Mark(label, _short(happened), "; ".join(f"{each.text} ({each.day:%-d %b %Y})" for each in happened))
        for label, happened in found.items()
    ]


def _short(happened: Sequence[Annotation]) -> str:
    more = f" +{len(happened) - 1}" if len(happened) > 1 else ""
    text, room = happened[0].text, LONGEST_LABEL - len(more)
    return (text if len(text) <= room else f"{text[: room - 1].rstrip()}…") + more


class AnnotationForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Annotation
        fields = ["day", "text"]
        labels = {"text": "What happened"}
        widgets = {
            "day": DateInput(),
            "text": forms.TextInput(attrs={"data-focus": "", "autocomplete": "off"}),
        }

    def clean_day(self) -> date:
        day: date = self.cleaned_data["day"]
        if not EARLIEST <= day < LATEST:
            raise forms.ValidationError(f"Choose a day from {EARLIEST.year} to {LATEST.year - 1}.")
        return day


class ListForm(forms.Form):
    page = forms.IntegerField(min_value=1, max_value=100_000, required=False)


def _editors_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @login_required
    @wraps(view)
    def checked(request: StaffRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not may_annotate(request.user):
            raise PermissionDenied("Only admins and managers write down what happened.")
        return view(request, *args, **kwargs)

    return checked


@login_required
@require_safe
def annotation_list(request: StaffRequest) -> HttpResponse:
    """All that was noted, newest day first."""
    form = ListForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    found = Annotation.objects.visible_to(request.user).select_related("created_by")
    context = {
        "page": Paginator(found, PER_PAGE).get_page(asked.get("page")),
        "may_edit": may_annotate(request.user),
        "page_shortcuts": [(["c"], "Note what happened")] if may_annotate(request.user) else [],
    }
    template = "workspace/_annotations.html" if is_htmx(request) else "workspace/annotations.html"
    return render(request, template, context)


@_editors_only
@require_http_methods(["GET", "HEAD", "POST"])
def annotation_new(request: StaffRequest) -> HttpResponse:
    return _edit(request, Annotation(day=day_of(timezone.now()), created_by=request.user), "Noted")


@_editors_only
@require_http_methods(["GET", "HEAD", "POST"])
def annotation_edit(request: StaffRequest, pk: int) -> HttpResponse:
    return _edit(
        request, get_object_or_404(Annotation.objects.editable_by(request.user), pk=pk), "Noted anew"
    )


def _edit(request: StaffRequest, annotation: Annotation, said: str) -> HttpResponse:
    here = reverse("workspace:annotations")
    form = AnnotationForm(request.POST or None, instance=annotation)
    if form.is_bound and form.is_valid():
        form.save()
        events: dict[str, Any] = {"annotationsChanged": {}, "closeDialog": "annotation-dialog"}
        return changed(request, f"{said}: {annotation.text}", fallback=here, events=events)
    template = "workspace/_annotation_form.html" if is_htmx(request) else "workspace/annotation_form.html"
    action = request.path
    context = {
        "form": form,
        "action": action,
        "is_new": annotation.pk is None,
        "next": safe_next(request, here),
    }
    return render(request, template, context, status=422 if form.is_bound else 200)


@_editors_only
@require_POST
def annotation_delete(request: StaffRequest, pk: int) -> HttpResponse:
    annotation = get_object_or_404(Annotation.objects.editable_by(request.user), pk=pk)
    kept = {
        "day": annotation.day.isoformat(),
        "text": annotation.text,
        "created_by": annotation.created_by_id,
    }
    annotation.delete()
    return changed(
        request,
        f"Deleted: {annotation.text}",
        fallback=reverse("workspace:annotations"),
        undo=remember(request, "annotation", kept),
        events={"annotationsChanged": {}},
    )
