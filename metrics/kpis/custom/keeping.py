"""Saving a version of a custom KPI, publishing and retiring it.

    definition = read(data)                          # raises DefinitionError with every fault
    save(definition, by=user, reason="", based_on=0) # 0 for a new one

Nothing changes a version afterwards; the database refuses it too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from metrics.kpis.catalogue import KPIS
from metrics.kpis.custom.definition import DIRECTIONS, DefinitionError, Formula, kpi_of, read_formula
from metrics.kpis.definition import Kpi
from metrics.models import CustomKpi, CustomKpiVersion, may_define
from team.models import User
from team.work import enqueue

SLUG = re.compile(r"[a-z][a-z0-9_]{1,58}[a-z0-9]\Z")
# Words that the addresses of KPIs use themselves.
RESERVED = frozenset({"new", "custom", "preview", "series", "rows", "export", "edit"})
LONGEST_LABEL, LONGEST_WORDS, LONGEST_REASON = 80, 1_000, 300
State = CustomKpi.State


class StaleDefinition(ValueError):
    """Somebody saved a version since the one this change was made from."""

    def __init__(self, newest: CustomKpiVersion, based_on: int) -> None:
        super().__init__(
            f"Version {newest.number} was saved meanwhile; yours was made from version {based_on}."
        )
        self.newest = newest


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A checked definition, not yet saved."""

    slug: str
    label: str
    direction: str
    words: str
    formula: Formula

    def kpi(self, number: int = 1) -> Kpi:
        return kpi_of(
            self.slug, self.label, self.formula, direction=self.direction, words=self.words, number=number
        )

    def digest(self, number: int) -> str:
        content = [self.slug, number, self.label, self.direction, self.words, self.formula.as_json()]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read(given: Mapping[str, Any]) -> Definition:
    """Return what was defined; raises DefinitionError that names each field and its rule."""
    faults: list[tuple[str, str]] = []
    slug = _text(given, "slug", 60, faults)
    if slug and (rule := _slug_rule(slug)):
        faults.append(("slug", rule))
    label = _text(given, "label", LONGEST_LABEL, faults)
    words = _text(given, "definition", LONGEST_WORDS, faults, is_required=False)
    direction = given.get("direction")
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        faults.append(("direction", f"Choose one of {', '.join(DIRECTIONS)}."))
    try:
        formula = read_formula(given)
    except DefinitionError as error:
        faults += error.faults
    if faults:
        raise DefinitionError(faults)
    return Definition(slug=slug, label=label, direction=str(direction), words=words, formula=formula)


def _slug_rule(slug: str) -> str:
    if not SLUG.match(slug):
        return "Write 3 to 60 small letters, digits and underscores, beginning with a letter."
    if slug in KPIS.built_in:
        return f"{slug} is a KPI that comes with the platform; choose another name."
    if slug in RESERVED:
        return f"{slug} means something else in addresses; choose another name."
    return ""


def _text(
    given: Mapping[str, Any],
    name: str,
    longest: int,
    faults: list[tuple[str, str]],
    *,
    is_required: bool = True,
) -> str:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        faults.append((name, "Write a text."))
        return ""
    text = " ".join((value or "").split())
    rule = ""
    if is_required and not text:
        rule = "This is needed."
    elif len(text) > longest:
        rule = f"At most {longest} characters are allowed."
    elif "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        rule = "That is not valid text."
    if rule:
        faults.append((name, rule))
    return "" if rule else text


def slug_from(label: str) -> str:
    """Return a slug that a label suggests, free of those there are: "Urgent ones" → urgent_ones."""
    words = re.sub(r"[^a-z0-9]+", "_", label.casefold()).strip("_")[:50].strip("_")
    slug = words if words[:1].isalpha() else f"kpi_{words}".strip("_")
    slug = slug if len(slug) > 2 else f"{slug}_kpi"
    taken = {*KPIS.built_in, *RESERVED, *CustomKpi.objects.values_list("slug", flat=True)}
    number, found = 2, slug
    while found in taken:
        found, number = f"{slug}_{number}", number + 1
    return found


@transaction.atomic
def save(
    definition: Definition, *, by: User, reason: str, based_on: int, now: datetime, publish: bool = False
) -> CustomKpiVersion:
    """Store the next version; one of a published KPI is in force at once.

    `based_on` is the number of the version it was made from, 0 for a new KPI. If a newer one is
    there by now, StaleDefinition is raised and nothing is stored.
    """
    if not may_define(by):
        raise PermissionDenied
    faults: list[tuple[str, str]] = []
    reason = _text({"reason": reason}, "reason", LONGEST_REASON, faults, is_required=based_on > 0)
    if faults:
        raise DefinitionError(faults)
    stored = CustomKpi.objects.select_for_update(of=("self",)).select_related("current")
    kpi = stored.filter(slug=definition.slug).first()
    newest = kpi.current if kpi else None
    if newest and based_on == 0:
        raise DefinitionError([("slug", f"There is a KPI {definition.slug} already; choose another name.")])
    if newest and newest.number != based_on:
        raise StaleDefinition(newest, based_on)
    if kpi is None:
        if based_on:
            raise DefinitionError([("slug", f"There is no KPI {definition.slug} to change.")])
        try:
            with transaction.atomic():
                kpi = CustomKpi.objects.create(slug=definition.slug, created_by=by, state_by=by, state_at=now)
        except IntegrityError:
            rule = f"A KPI {definition.slug} was saved at the same moment; choose another name."
            raise DefinitionError([("slug", rule)]) from None
    version = CustomKpiVersion.objects.create(
        kpi=kpi,
        number=based_on + 1,
        label=definition.label,
        direction=definition.direction,
        definition=definition.words,
        formula=definition.formula.as_json(),
        digest=definition.digest(based_on + 1),
        made_by=by,
        made_at=now,
        reason=reason or "First version.",
    )
    kpi.current = version
    kpi.save(update_fields=["current"])
    if publish:
        _turn(kpi, State.PUBLISHED, by=by, now=now)
    elif kpi.state == State.PUBLISHED:
        _store_soon(kpi)
    return version


@transaction.atomic
def publish(slug: str, *, by: User, now: datetime) -> CustomKpi:
    """Show a KPI to everybody, with its pages, rows, API and stored values."""
    return _turn(_locked(slug, by), State.PUBLISHED, by=by, now=now)


@transaction.atomic
def retire(slug: str, *, by: User, now: datetime) -> CustomKpi:
    """Take a KPI away from pages and API; its versions and stored values stay."""
    return _turn(_locked(slug, by), State.RETIRED, by=by, now=now)


def _locked(slug: str, by: User) -> CustomKpi:
    if not may_define(by):
        raise PermissionDenied
    return CustomKpi.objects.select_for_update().get(slug=slug)


def _turn(kpi: CustomKpi, state: str, *, by: User, now: datetime) -> CustomKpi:
    if kpi.state != state:
        kpi.state, kpi.state_by, kpi.state_at = state, by, now
        kpi.save(update_fields=["state", "state_by", "state_at"])
    if state == State.PUBLISHED:
        _store_soon(kpi)
    return kpi


def _store_soon(kpi: CustomKpi) -> None:
    """Have the values of the last months stored, as the night does for all others."""
    enqueue("metrics.store_kpi", key=kpi.slug, payload={"kpi": kpi.slug})
