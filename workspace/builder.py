"""The pages on which admins define KPIs: what is typed, a look at what it says, and its versions.

The server draws the form anew after each choice, with script or without: a draft is read from
what was posted, the button that was pressed changes it, and it is shown again. Nothing typed is
lost on the way, also where it cannot be read yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from metrics.kpis import Answer, Kpi, KpiError, step_labels
from metrics.kpis.custom import keeping
from metrics.kpis.custom.conditions import OPERATORS, Field
from metrics.kpis.custom.definition import (
    DENOMINATOR,
    MOST_CONDITIONS,
    MOST_INNER,
    NUMERATOR,
    OF_ACCOUNT,
    RATIOS,
    DefinitionError,
    allowed_groups,
    fields_of,
    had_by,
    read_formula,
    units_for,
)
from metrics.kpis.custom.facts import ACCOUNTS, FACT_SETS, FactSet
from metrics.kpis.custom.previewing import Preview, preview
from metrics.kpis.custom.published import kpi_of_version
from metrics.models import CustomKpi, CustomKpiVersion, may_define
from playbooks.answers import is_htmx
from team.requests import StaffRequest
from workspace.charts import Chart, Series
from workspace.dashboards.selection import in_words
from workspace.numbers import table_of
from workspace.templatetags.show import as_unit

Json = dict[str, Any]
SIDES = {NUMERATOR: "What is counted", DENOMINATOR: "Divided by"}
State = CustomKpi.State
Choices = Sequence[tuple[str, Any]]


# --- What is typed --------------------------------------------------------------------


class Text(forms.CharField):
    """Any text, kept as it was typed: `metrics.kpis.custom` says what it may be."""

    def __init__(self, label: str, widget: Any = None, **kwargs: Any) -> None:
        super().__init__(label=label, required=False, strip=False, widget=widget, **kwargs)


class Choice(Text):
    """One of a list; what is no longer in the list stays until something else is chosen."""

    def __init__(self, label: str, choices: Choices = (), **kwargs: Any) -> None:
        super().__init__(label, forms.Select(choices=choices), **kwargs)


class HeadForm(forms.Form):
    label = Text("Name", forms.TextInput(attrs={"autocomplete": "off", "maxlength": "80"}))
    shape = Choice("It is", [("ratio", "One thing divided by another"), ("total", "A count or a sum")])
    unit = Choice("Shown as", [(slug, label) for slug, (label, _, _) in RATIOS.items()])
    direction = Choice("Better is", [("up", "Higher"), ("down", "Lower"), ("neutral", "Neither")])
    definition = Text("In your words", forms.Textarea(attrs={"rows": 2}))
    groups = forms.MultipleChoiceField(
        label="Can be grouped by", required=False, widget=forms.CheckboxSelectMultiple
    )
    reason = Text("Why it changes", forms.TextInput(attrs={"autocomplete": "off"}))
    based_on = forms.IntegerField(required=False, min_value=0, max_value=32_767, widget=forms.HiddenInput())


class SideForm(forms.Form):
    facts = Choice("Count", [(of.slug, of.label) for of in FACT_SETS.values()])
    measure = Choice("As")
    rows = forms.IntegerField(
        required=False, min_value=0, max_value=MOST_CONDITIONS, widget=forms.HiddenInput()
    )
    # Which facts its conditions were offered for: they follow when others are chosen.
    were = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput())


class ConditionForm(forms.Form):
    field = Choice("Field")
    operator = Choice("How")
    value = Text("Value", forms.TextInput(attrs={"autocomplete": "off"}))
    rows = forms.IntegerField(required=False, min_value=0, max_value=MOST_INNER, widget=forms.HiddenInput())


def _read(form: forms.Form) -> Json:
    form.is_valid()
    return {name: form.cleaned_data.get(name) or "" for name in form.fields if name != "groups"}


def default_conditions(of: FactSet) -> list[Json]:
    """Return the conditions that most people want of these facts, to begin with."""
    match of.slug:
        case "accounts":
            return [{"field": "status", "operator": "is", "value": "customer"}]
        case "subscriptions":
            return [{"field": "in_force", "operator": "holds", "value": "yes"}]
        case "milestones":
            return [{"field": "due", "operator": "by_end", "value": ""}]
        case _ if of.main_day:
            return [{"field": of.main_day, "operator": "within_period", "value": ""}]
        case _:
            return []


def new_draft() -> Json:
    side = {"facts": ACCOUNTS.slug, "measure": "count", "conditions": default_conditions(ACCOUNTS)}
    return {
        "label": "",
        "shape": "ratio",
        "unit": "percent",
        "direction": "up",
        "definition": "",
        "groups": None,
        "reason": "",
        "based_on": 0,
        NUMERATOR: {**side, "conditions": [*side["conditions"], {"field": "", "operator": "", "value": ""}]},
        DENOMINATOR: side,
    }


def draft_of(version: CustomKpiVersion) -> Json:
    """Return what the form shows of a version that is to be changed."""
    stored = version.formula
    draft = new_draft() | {
        "label": version.label,
        "shape": "ratio" if stored["denominator"] else "total",
        "unit": stored["unit"] or "percent",
        "direction": version.direction,
        "definition": version.definition,
        "groups": stored["groups"],
        "based_on": version.number,
    }
    for name in SIDES:
        if side := stored[name]:
            measure = f"sum.{side['of']}" if side["measure"] == "sum" else side["measure"]
            conditions = [_as_typed(each) for each in side["conditions"]]
            draft[name] = {"facts": side["facts"], "measure": measure, "conditions": conditions}
    return draft


def _as_typed(condition: Json) -> Json:
    value = condition.get("value", "")
    if isinstance(value, list):
        value = ", ".join(value)
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    typed = {"field": condition["field"], "operator": condition["operator"], "value": str(value)}
    return typed | {"that": [_as_typed(each) for each in condition.get("that", [])]}


def read_draft(data: QueryDict) -> Json:
    """Return the draft that a form posted, with conditions that follow a new choice of facts."""
    head = HeadForm(data)
    draft = _read(head)
    # A box that is not ticked is not sent: without the field all are meant.
    draft["groups"] = data.getlist("groups") if "groups_shown" in data else None
    draft["based_on"] = draft["based_on"] or 0
    for name in SIDES:
        side = SideForm(data, prefix=name)
        found = _read(side)
        rows = [_read_condition(data, f"{name}-{at}") for at in range(found["rows"] or 0)]
        draft[name] = _follow({**found, "conditions": rows})
    return draft


def _read_condition(data: QueryDict, prefix: str) -> Json:
    found = _read(ConditionForm(data, prefix=prefix))
    inner = [_read(ConditionForm(data, prefix=f"{prefix}-{at}")) for at in range(found.pop("rows") or 0)]
    for each in inner:
        each.pop("rows")
    return {**found, "that": inner}


def _follow(side: Json) -> Json:
    """Return a side whose conditions follow its facts, if others were chosen: what can stay, stays."""
    of, were = FACT_SETS.get(side["facts"]), FACT_SETS.get(side.pop("were"))
    side.pop("rows")
    if of is None or were is None or of is were:
        return side
    typed = [{name: each[name] for name in ("field", "operator", "value")} for each in side["conditions"]]
    usual = default_conditions(were)
    rest = [
        each
        for each, said in zip(side["conditions"], typed, strict=True)
        if said not in usual and any(said.values())
    ]
    side["conditions"] = [*default_conditions(of), *(_moved(each, of, were) for each in rest)]
    if side["measure"] not in dict(measures_of(of)):
        side["measure"] = "count"
    return side


def _moved(condition: Json, of: FactSet, were: FactSet) -> Json:
    slug = condition["field"]
    if of is ACCOUNTS:
        slug = slug.removeprefix(OF_ACCOUNT)
    elif were is ACCOUNTS:
        slug = f"{OF_ACCOUNT}{slug}"
    return {**condition, "field": slug if slug in fields_of(of) else ""}


def as_given(draft: Json, slug: str) -> Json:
    """Return a draft as `keeping.read` and the API take it; rows without a field are not meant."""
    given: Json = {
        "slug": slug,
        "label": draft["label"],
        "direction": draft["direction"],
        "definition": draft["definition"],
        "groups": draft["groups"],
        "unit": draft["unit"] if draft["shape"] == "ratio" else "",
        DENOMINATOR: None,
    }
    for name in SIDES if draft["shape"] == "ratio" else (NUMERATOR,):
        side = draft[name]
        measure, _, of = side["measure"].partition(".")
        given[name] = {
            "facts": side["facts"],
            "measure": measure,
            "of": of,
            "conditions": [_condition_given(each) for each in side["conditions"]],
        }
    return given


def _condition_given(condition: Json) -> Json:
    given = {name: condition.get(name, "") for name in ("field", "operator", "value")}
    if condition.get("that"):
        given["that"] = [_condition_given(each) for each in condition["that"] if each.get("field")]
    return given


def _without_empty_rows(draft: Json) -> Json:
    """Return a draft without the rows in which nothing was chosen and nothing typed."""
    kept = dict(draft)
    for name in SIDES:
        rows = [each for each in draft[name]["conditions"] if each["field"] or each["value"].strip()]
        kept[name] = {**draft[name], "conditions": rows}
    return kept


# --- What a button does to it ---------------------------------------------------------


class ActionForm(forms.Form):
    """Which button was pressed: add:numerator, remove:numerator:2, add:numerator:1, remove:numerator:1:0 …"""

    do = forms.RegexField(r"^[a-z]+(:[a-z]+(:[0-9]{1,2}){0,2})?$", required=False, max_length=40)


def act(draft: Json, action: str) -> str:
    """Change the draft as a button says; return the name of the field that gets the focus, if one does."""
    verb, _, where = action.partition(":")
    name, *numbers = where.split(":") if where else [""]
    if name not in SIDES:
        return ""
    at = [int(number) for number in numbers]
    empty = {"field": "", "operator": "", "value": "", "that": []}
    if verb == "copy":
        draft[name] = {
            **draft[NUMERATOR],
            "conditions": [dict(each) for each in draft[NUMERATOR]["conditions"]],
        }
        return ""
    rows = draft[name]["conditions"]
    prefix, most = name, MOST_CONDITIONS
    if (verb == "add" and at) or len(at) > 1:
        if at[0] >= len(rows):
            return ""
        prefix, most = f"{name}-{at[0]}", MOST_INNER
        rows = rows[at[0]].setdefault("that", [])
        at = at[1:]
    if verb == "add" and len(rows) < most:
        rows.append(dict(empty))
        return f"{prefix}-{len(rows) - 1}-field"
    if verb == "remove" and at and at[0] < len(rows):
        del rows[at[0]]
    return ""


# --- How it is shown ------------------------------------------------------------------


@dataclass
class Row:
    """A condition on the page. `inner` are those that narrow what accounts have; None where none can."""

    form: ConditionForm
    at: str
    takes: str
    help: str = ""
    suggestions: Sequence[str] = ()
    inner: list[Row] | None = None
    inner_words: str = ""
    is_full: bool = False


@dataclass
class Side:
    name: str
    title: str
    form: SideForm
    rows: list[Row] = field(default_factory=list)
    is_full: bool = False


def measures_of(of: FactSet) -> list[tuple[str, str]]:
    """Return the ways these facts can be measured, as a form offers them."""
    found = [("count", f"Number of {of.many}")]
    if of is not ACCOUNTS:
        found.append(("accounts", "Number of accounts that have any"))
    return found + [(f"sum.{each.slug}", f"Sum: {each.label}") for each in of.measures]


def _field_choices(of: FactSet) -> Choices:
    known = fields_of(of)
    own = [(slug, each.label) for slug, each in known.items() if each in of.fields]
    about = [(slug, each.label) for slug, each in known.items() if each not in of.fields]
    has = [(slug, label) for slug, label in about if had_by(slug)]
    about = [pair for pair in about if pair not in has]
    groups: list[tuple[str, Any]] = [("", "Choose…")]
    if own:
        groups.append((of.label, own))
    if about:
        groups.append(("Its account", about))
    return [*groups, ("The account has" if of is not ACCOUNTS else "It has", has)]


def _inner_choices(of: FactSet) -> Choices:
    return [("", "Choose…"), *((each.slug, each.label) for each in of.fields)]


def _flat(draft: Json) -> Json:
    """Return the draft as names and values of the form's fields."""
    flat: Json = {name: draft[name] for name in HeadForm.base_fields if name in draft}
    for name in SIDES:
        side = draft[name]
        flat |= {
            f"{name}-facts": side["facts"],
            f"{name}-were": side["facts"],
            f"{name}-measure": side["measure"],
            f"{name}-rows": len(side["conditions"]),
        }
        for at, condition in enumerate(side["conditions"]):
            flat |= _flat_condition(condition, f"{name}-{at}")
            for inner_at, inner in enumerate(condition.get("that", [])):
                flat |= _flat_condition(inner, f"{name}-{at}-{inner_at}")
    return flat


def _flat_condition(condition: Json, prefix: str) -> Json:
    return {
        f"{prefix}-field": condition["field"],
        f"{prefix}-operator": condition["operator"],
        f"{prefix}-value": condition["value"],
        f"{prefix}-rows": len(condition.get("that", [])),
    }


class Page:
    """The form of a draft, ready for the template: each field with what can be chosen in it."""

    def __init__(self, draft: Json, *, focus: str = "") -> None:
        self.draft, self.focus = draft, focus
        flat = _flat(draft)
        self.head = HeadForm(flat)
        self.sides = [self._side(name, title, flat) for name, title in SIDES.items()]
        self.has_ratio = draft["shape"] != "total"
        self.general: list[str] = []
        self._offer_units_and_groups()
        self._bound = {form.add_prefix(name): (form, name) for form in self._forms() for name in form.fields}

    def _forms(self) -> list[forms.Form]:
        found: list[forms.Form] = [self.head]
        for side in self.sides:
            found.append(side.form)
            for row in side.rows:
                found += [row.form, *(inner.form for inner in row.inner or [])]
        return found

    def _side(self, name: str, title: str, flat: Json) -> Side:
        form = SideForm(flat, prefix=name)
        of = FACT_SETS.get(self.draft[name]["facts"], ACCOUNTS)
        _offer(form, "measure", measures_of(of))
        _refreshes(form, "facts", "measure")
        side = Side(name, title, form)
        known = fields_of(of)
        for at, condition in enumerate(self.draft[name]["conditions"]):
            row = self._row(f"{name}-{at}", f"{name}:{at}", condition, known, _field_choices(of), flat)
            if had := had_by(condition["field"]):
                own = {each.slug: each for each in had.fields}
                row.inner = [
                    self._row(f"{name}-{at}-{n}", f"{name}:{at}:{n}", inner, own, _inner_choices(had), flat)
                    for n, inner in enumerate(condition.get("that", []))
                ]
                row.inner_words = had.many
                row.is_full = len(row.inner) >= MOST_INNER
            side.rows.append(row)
        side.is_full = len(side.rows) >= MOST_CONDITIONS
        return side

    def _row(
        self, prefix: str, at: str, condition: Json, known: Mapping[str, Field], choices: Choices, flat: Json
    ) -> Row:
        form = ConditionForm(flat, prefix=prefix)
        _offer(form, "field", choices)
        of = known.get(condition["field"])
        operators = of.operators if of else ()
        _offer(form, "operator", [(each.slug, each.label) for each in operators])
        asked = next((each for each in operators if each.slug == condition["operator"]), None)
        asked = asked or (operators[0] if operators else None)
        takes = asked.takes if asked else "one"
        row = Row(form, at, takes, help=of.help if of else "")
        form.fields["value"].widget = _value_widget(of, takes)
        if of and of.suggest and takes in ("one", "several"):
            row.suggestions = list(of.suggest())
            form.fields["value"].widget.attrs["list"] = f"id_{prefix}-known"
        if takes == "several":
            row.help = f"Several, separated by commas. {row.help}".strip()
        _refreshes(form, "field", "operator")
        if self.focus == f"{prefix}-field":
            form.fields["field"].widget.attrs["data-focus"] = ""
        return row

    def _offer_units_and_groups(self) -> None:
        given = _without_empty_rows(self.draft)
        groups: list[tuple[str, str]] = []
        try:
            sides = as_given({**given, "shape": "ratio"}, "x")
            one = read_formula({NUMERATOR: {**sides[NUMERATOR], "conditions": []}}).numerator
            other = read_formula({NUMERATOR: {**sides[DENOMINATOR], "conditions": []}}).numerator
        except DefinitionError:
            pass  # what is wrong is said where it was typed
        else:
            groups = allowed_groups(one)
            _offer(self.head, "unit", [(slug, RATIOS[slug][0]) for slug in units_for(one, other)])
        ticked = self.draft["groups"]
        field: Any = self.head.fields["groups"]
        field.choices = groups
        known = [slug for slug, _ in groups]
        chosen = known if ticked is None else [slug for slug in ticked if slug in known]
        self.head.data = {**self.head.data, "groups": chosen}
        field.widget.value_from_datadict = lambda data, files, name: data.get(name, [])
        _refreshes(self.head, "shape")

    def refuse(self, faults: Sequence[tuple[str, str]]) -> None:
        """Put each fault where it was typed; what has no place of its own stands at the top."""
        for name, rule in faults:
            form, at = self._bound.get(_field_name(name), (None, ""))
            if form is not None:
                form.add_error(at, rule)
            else:
                self.general.append(rule)

    @property
    def faults(self) -> list[tuple[str, str, str]]:
        """Return (id of the field, its label, what is wrong) for the list at the top."""
        return [
            (bound.auto_id, str(bound.label), str(error))
            for form in self._forms()
            for bound in form
            for error in bound.errors
        ]


def _offer(form: forms.Form, name: str, choices: Choices) -> None:
    widget: Any = form.fields[name].widget
    widget.choices = choices


def _refreshes(form: forms.Form, *names: str) -> None:
    for name in names:
        form.fields[name].widget.attrs |= {
            "hx-post": "",
            "hx-trigger": "change",
            "hx-vals": '{"do": "refresh"}',
        }


def _value_widget(of: Field | None, takes: str) -> forms.Widget:
    match takes:
        case "nothing":
            return forms.HiddenInput()
        case "yes_no":
            return forms.Select(choices=[("yes", "Yes"), ("no", "No")])
        case "days":
            return forms.NumberInput(attrs={"min": 1, "max": 3_660, "placeholder": "days"})
        case "day":
            return forms.DateInput(attrs={"type": "date"})
        case "number":
            return forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        case "one" if of and of.choices:
            return forms.Select(
                choices=[("", "Choose…"), *((key, label) for key, label in of.choices if key)]
            )
        case _:
            return forms.TextInput(attrs={"autocomplete": "off"})


def _field_name(fault: str) -> str:
    """Return the form's field for a fault: numerator.conditions.0.that.1.value → numerator-0-1-value."""
    parts = [part for part in fault.split(".") if part not in ("conditions", "that")]
    if parts[-1:] == ["of"]:
        parts[-1] = "measure"
    if parts[0] in SIDES and len(parts) == 1:
        return f"{parts[0]}-facts"
    if parts[0] in SIDES and parts[-1].isdigit():
        parts.append("field")
    return "label" if fault == "slug" else "-".join(parts)


# --- The pages ------------------------------------------------------------------------


def _complete(draft: Json) -> None:
    """Fill in the operator that the page shows first, where none was chosen yet."""
    for name in SIDES:
        of = FACT_SETS.get(draft[name]["facts"], ACCOUNTS)
        known = fields_of(of)
        for condition in draft[name]["conditions"]:
            _complete_condition(condition, known)
            if had := had_by(condition["field"]):
                own = {each.slug: each for each in had.fields}
                for inner in condition.get("that", []):
                    _complete_condition(inner, own)
            else:
                condition["that"] = []


def _complete_condition(condition: Json, known: Mapping[str, Field]) -> None:
    of = known.get(condition["field"])
    if of is None:
        return
    allowed = [each.slug for each in of.operators]
    if condition["operator"] not in allowed:
        condition["operator"] = allowed[0]
    if OPERATORS[condition["operator"]].takes == "yes_no" and condition["value"] not in ("yes", "no"):
        condition["value"] = "yes"


@login_required
@require_http_methods(["GET", "POST"])
def define(request: StaffRequest, slug: str = "") -> HttpResponse:
    """Define a KPI, or change one: a form, a look at what it says, and its versions."""
    if not may_define(request.user):
        raise PermissionDenied("Only admins define KPIs.")
    kpi = _stored(slug) if slug else None
    draft, action = new_draft(), ""
    if request.method == "POST":
        form = ActionForm(request.POST)
        action = form.cleaned_data["do"] if form.is_valid() else ""
        draft = read_draft(request.POST)
    elif kpi and kpi.current:
        draft = draft_of(kpi.current)
    focus = act(draft, action)
    _complete(draft)
    if action in ("preview", "save", "publish"):
        draft = _without_empty_rows(draft)
    page = Page(draft, focus=focus)
    context: dict[str, Any] = {"page": page, "stored": kpi, "version": kpi.current if kpi else None}
    if kpi and action == "retire":
        keeping.retire(kpi.slug, by=request.user, now=timezone.now())
        messages.success(request, f"{kpi.current} is retired: nobody sees it any more.")
        return redirect("workspace:kpis")
    status = 200
    if action in ("preview", "save", "publish"):
        answer = _try(request, page, context, kpi, action)
        if isinstance(answer, HttpResponse):
            return answer
        status = answer
    if kpi:
        context["versions"] = _versions(kpi)
    template = "workspace/_kpi_builder.html" if is_htmx(request) else "workspace/kpi_builder.html"
    return render(request, template, context, status=status)


def _try(
    request: StaffRequest, page: Page, context: dict[str, Any], kpi: CustomKpi | None, action: str
) -> HttpResponse | int:
    """Show what a draft says, or save it; return where to go then, or the status to show the form with."""
    draft, now = page.draft, timezone.now()
    slug = kpi.slug if kpi else keeping.slug_from(draft["label"])
    before = _kpi_of(kpi.current) if kpi and kpi.current else None
    # What has no name yet can be looked at already.
    named = draft if action != "preview" else {**draft, "label": draft["label"].strip() or "Preview"}
    try:
        definition = keeping.read(as_given(named, slug))
        if action == "preview":
            seen = preview(definition.kpi(), {}, user=request.user, now=now, before=before)
            context["seen"] = _seen(seen, before)
            return 200
        is_published = bool(kpi and kpi.state == State.PUBLISHED)
        keeping.save(
            definition,
            by=request.user,
            reason=draft["reason"],
            based_on=draft["based_on"],
            now=now,
            publish=action == "publish",
        )
    except DefinitionError as error:
        page.refuse(error.faults)
    except KpiError as error:
        page.refuse([(error.field, error.message)])
    except keeping.StaleDefinition as error:
        context["newer"] = error.newest
        context["newer_words"] = _words_of(error.newest)
        page.head.data = {**page.head.data, "based_on": error.newest.number}
    else:
        if action == "publish" or is_published:
            messages.success(request, f"{definition.label} is there for everybody.")
            return redirect("workspace:kpi", slug=slug)
        messages.success(request, f"{definition.label} is kept as a draft, which only admins see.")
        return redirect("workspace:kpi-edit", slug=slug)
    return 422


def _stored(slug: str) -> CustomKpi:
    found = CustomKpi.objects.filter(slug=slug, current__isnull=False)
    kpi: CustomKpi | None = found.select_related("current", "state_by").first()
    if kpi is None:
        raise Http404(f"There is no KPI {slug!r} that was defined here.")
    return kpi


def _kpi_of(version: CustomKpiVersion) -> Kpi | None:
    try:
        return kpi_of_version(version)
    except DefinitionError:
        return None


def _words_of(version: CustomKpiVersion) -> str:
    kpi = _kpi_of(version)
    return kpi.default.formula_text if kpi else "It names facts that are no longer counted."


def _versions(kpi: CustomKpi) -> list[dict[str, Any]]:
    return [
        {"version": version, "words": _words_of(version)}
        for version in kpi.versions.select_related("made_by").order_by("-number")
    ]


def _seen(seen: Preview, before: Kpi | None) -> dict[str, Any]:
    """Return a preview as the page shows it."""
    answer = seen.answer
    return {
        "answer": answer,
        "words": answer.variant.formula_text,
        "period": in_words(answer.question.period),
        "chart": _chart(seen.series, answer),
        "group_label": answer.question.group_by.replace("_", " ").capitalize(),
        "table": table_of(seen.rows, seen.shown),
        "count": len(seen.rows),
        "before": seen.before,
        "before_words": before.default.formula_text if before else "",
    }


def _chart(series: Sequence[Answer], answer: Answer) -> Chart:
    labels = step_labels(series, "month")
    known = [(label, each) for label, each in zip(labels, series, strict=True) if each.value is not None]
    summary = "No data in any of the last 12 months."
    if known:
        (first, one), (last, other) = known[0], known[-1]
        summary = f"{as_unit(one.value, one.unit)} in {first}, {as_unit(other.value, other.unit)} in {last}."
    return Chart(
        kind="stacked" if answer.kpi.kind == "flow" else "line",
        key="preview",
        summary=summary,
        categories=labels,
        series=[Series(name=answer.kpi.label or "Preview", values=[each.value for each in series])],
        unit=answer.unit,
        category_label="Month",
    )
