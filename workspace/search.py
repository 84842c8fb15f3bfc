"""Search: accounts, people, tickets and numbers, from the dialog of every page or a page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Case, Q, Value, When
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.models import Account, Contact
from metrics.kpis import KPIS
from playbooks.answers import is_htmx
from team.models import User
from team.requests import StaffRequest
from tickets.models import Ticket
from workspace.forms import SearchForm

MOST = 8
# One letter finds half of everything, and takes as long to look for.
SHORTEST = 2


@dataclass(frozen=True)
class Hit:
    title: str
    href: str
    note: str = ""
    icon: str = "building"
    account: Account | None = None


@dataclass(frozen=True)
class Group:
    label: str
    hits: list[Hit]
    more: str = ""


def find(user: User, words: str) -> list[Group]:
    """Return what matches, in groups; names that begin with the words come first."""
    groups = [
        Group("Accounts", _accounts(user, words), f"{reverse('workspace:portfolio')}?status=all&search="),
        Group("People", _contacts(user, words)),
        Group("Tickets", _tickets(user, words)),
        Group("Numbers", _numbers(words)),
    ]
    return [group for group in groups if group.hits]


def _accounts(user: User, words: str) -> list[Hit]:
    begins = Case(When(name__istartswith=words, then=Value(0)), default=Value(1))
    found = (
        Account.objects.visible_to(user)
        .filter(Q(name__icontains=words) | Q(external_ids__external_id=words))
        .select_related("health", "plan")
        .distinct()
        .annotate(begins=begins)
        .order_by("-is_customer", "begins", "name", "pk")[:MOST]
    )
    return [
        Hit(
            account.name,
            account.get_absolute_url(),
            " · ".join(part for part in (account.segment, account.plan.name if account.plan else "") if part)
            or ("customer" if account.is_customer else "no customer"),
            account=account,
        )
        for account in found
    ]


def _contacts(user: User, words: str) -> list[Hit]:
    found = (
        Contact.objects.visible_to(user)
        .filter(Q(name__icontains=words) | Q(email__istartswith=words))
        .select_related("account")
        .order_by("name", "pk")[:MOST]
    )
    return [
        Hit(
            contact.name,
            f"{contact.account.get_absolute_url()}#people",
            ", ".join(
                part for part in (contact.get_role_display() or contact.title, contact.account.name) if part
            )
            + (", has left" if contact.left_on else ""),
            "user",
        )
        for contact in found
    ]


def _tickets(user: User, words: str) -> list[Hit]:
    found = (
        Ticket.objects.visible_to(user)
        .filter(Q(subject__icontains=words) | Q(external_id__iexact=words), account__isnull=False)
        .select_related("account")
        .order_by("-opened_at", "-pk")[:MOST]
    )
    return [
        Hit(
            str(ticket),
            f"{ticket.account.get_absolute_url()}#tickets" if ticket.account else "",
            f"{ticket.get_status_display()}, {ticket.account}",
            "ticket",
        )
        for ticket in found
    ]


def _numbers(words: str) -> list[Hit]:
    wanted = words.casefold()
    return [
        Hit(kpi.label, f"/kpis/{slug}/", kpi.definition.split(". ")[0], "chart-line")
        for slug, kpi in KPIS.items()
        if wanted in kpi.label.casefold() or wanted in slug.replace("_", " ") or wanted == slug
    ][:MOST]


@login_required
@require_safe
@vary_on_headers("HX-Request")
def search(request: StaffRequest) -> HttpResponse:
    """A page of results; the dialog asks for the results alone."""
    form = SearchForm(request.GET)
    words = form.cleaned_data["q"] if form.is_valid() else ""
    is_enough = len(words) >= SHORTEST
    context: dict[str, Any] = {"form": form, "q": words, "is_enough": is_enough, "groups": []}
    if is_enough:
        context["groups"] = find(request.user, words)
    template = "workspace/_search_results.html" if is_htmx(request) else "workspace/search.html"
    return render(request, template, context)


@login_required
@require_safe
def account_names(request: StaffRequest) -> HttpResponse:
    """Names of accounts as options, for the field that asks for one."""
    form = SearchForm({"q": request.GET.get("account", "")})
    words = form.cleaned_data["q"] if form.is_valid() else ""
    names: list[str] = []
    if len(words) >= SHORTEST:
        found = Account.objects.editable_by(request.user).filter(name__icontains=words)
        names = list(found.order_by("-is_customer", "name").values_list("name", flat=True)[:MOST])
    return render(request, "workspace/_account_names.html", {"names": names})
