"""Exchange rates: what is known, what is missing, and one more of them."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import rates
from accounts.fields import EARLIEST, LATEST
from accounts.models import ExchangeRate
from playbooks.answers import changed
from playbooks.forms import DateInput
from team.requests import StaffRequest

PER_PAGE = 50
SAID: dict[rates.Outcome, str] = {
    "created": "Recorded: {}.",
    "updated": "Corrected: {}.",
    "unchanged": "That was known already: {}.",
}


class RateForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ExchangeRate
        fields = ["currency", "starts_on", "rate"]
        labels = {"starts_on": "From", "rate": f"{settings.REPORTING_CURRENCY} for one of it"}
        widgets = {
            "currency": forms.TextInput(
                attrs={"size": 4, "autocomplete": "off", "placeholder": "USD", "data-focus": ""}
            ),
            "starts_on": DateInput(),
        }
        help_texts = {"rate": ""}

    def clean_currency(self) -> str:
        currency: str = self.cleaned_data["currency"]
        return currency.upper()

    def clean_starts_on(self) -> date:
        day: date = self.cleaned_data["starts_on"]
        if not EARLIEST <= day < LATEST:
            raise forms.ValidationError(f"Choose a day from {EARLIEST.year} to {LATEST.year - 1}.")
        return day

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "currency" in cleaned and "rate" in cleaned:
            rates.check(cleaned["currency"], cleaned["rate"])
        return cleaned


class ListForm(forms.Form):
    page = forms.IntegerField(min_value=1, max_value=100_000, required=False)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rate_list(request: StaffRequest) -> HttpResponse:
    """For admins: the currencies of the books, the gaps, all rates, and a form for another."""
    if not request.user.is_admin:
        raise PermissionDenied("Only admins record exchange rates.")
    form = RateForm(request.POST or None)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        row = (given["currency"], given["starts_on"], given["rate"])
        (outcome,) = rates.record([row], at=timezone.now())
        words = f"1 {row[0]} = {row[2].normalize():f} {settings.REPORTING_CURRENCY} from {row[1]:%-d %b %Y}"
        return changed(request, SAID[outcome].format(words), fallback=reverse("workspace:rates"))
    asked = ListForm(request.GET)
    later = ExchangeRate.objects.filter(
        currency=OuterRef("currency"), starts_on=OuterRef("starts_on")
    ).filter(
        Q(recorded_at__gt=OuterRef("recorded_at"))
        | Q(recorded_at=OuterRef("recorded_at"), pk__gt=OuterRef("pk"))
    )
    found = ExchangeRate.objects.annotate(is_replaced=Exists(later))
    context = {
        "form": form,
        "books": rates.books(),
        "reporting": settings.REPORTING_CURRENCY,
        "page": Paginator(found, PER_PAGE).get_page(
            asked.cleaned_data.get("page") if asked.is_valid() else None
        ),
    }
    return render(request, "workspace/rates.html", context, status=422 if form.is_bound else 200)
