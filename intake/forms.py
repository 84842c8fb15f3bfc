"""What people choose on the import pages: a file, and which column fills which field."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from intake.importing import DEFAULT_SOURCE
from intake.kinds import KINDS, Kind
from intake.mapping import MAX_MAPPING_CHARACTERS, MappingError, parse_json
from intake.models import Import
from intake.reading import Layout
from intake.values import COMMON_FORMATS, NAMED_FORMATS, Field

MAX_UPLOAD_BYTES = 512 * 1024 * 1024
NOT_USED, CONSTANT, KEEP = "", "=constant", "=keep"
_EXAMPLE = datetime(2026, 3, 31, 14, 5, 9)  # noqa: DTZ001 - only shown
_NUMBERS = {
    "": "1234.50",
    '{"thousands": ","}': "1,234.50",
    '{"decimal": ","}': "1234,50",
    '{"decimal": ",", "thousands": "."}': "1.234,50",
}
_CREATES = {
    "accounts": "accounts that are not there yet",
    "contacts": "contacts that are not there yet, by their e-mail address",
    "plans": "plans and products that are not there yet",
    "surveys": "surveys that are not there yet",
}


class UploadForm(forms.Form):
    kind = forms.ChoiceField(
        label="What is in the file?",
        choices=[
            (kind.slug, f"{kind.label}: {kind.about[0].lower()}{kind.about[1:]}") for kind in KINDS.values()
        ],
    )
    file = forms.FileField(
        label="File",
        help_text=(
            "CSV with a header line, plain or gzip, at most 512 MB. Encoding and delimiter are recognised."
        ),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.tsv,.txt,.gz,text/csv"}),
    )
    source = forms.CharField(
        label="Where it comes from",
        max_length=60,
        required=False,
        initial=DEFAULT_SOURCE,
        help_text="A short name, such as crm or billing. Ids are looked up under it next time.",
    )

    def clean_file(self) -> UploadedFile[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > MAX_UPLOAD_BYTES:
            raise forms.ValidationError("The file is larger than 512 MB. Split it, or use manage.py import.")
        return file


class MappingFileForm(forms.Form):
    """A mapping kept as a file: downloaded here before, or one of the examples."""

    mapping = forms.FileField(
        label="Mapping file", widget=forms.ClearableFileInput(attrs={"accept": ".json,application/json"})
    )

    def clean_mapping(self) -> dict[str, Any]:
        file: UploadedFile[bytes] = self.cleaned_data["mapping"]
        if (file.size or 0) > 4 * MAX_MAPPING_CHARACTERS:
            raise forms.ValidationError("A mapping is much smaller than this file.")
        try:
            return parse_json(file.read().decode("utf-8-sig"))
        except (UnicodeDecodeError, MappingError) as error:
            raise forms.ValidationError(f"This is not a mapping: {error}") from error


def _date_choices(current: str) -> list[tuple[str, str]]:
    patterns = [*COMMON_FORMATS, *(name for name in NAMED_FORMATS if name != "iso")]
    if current not in patterns:
        patterns.append(current)
    return [(pattern, NAMED_FORMATS.get(pattern) or f"{_EXAMPLE:{pattern}}") for pattern in patterns]


def _number_choices(current: str) -> list[tuple[str, str]]:
    choices = list(_NUMBERS.items())
    return choices if current in _NUMBERS else [*choices, (current, "as in the mapping file")]


class MappingForm(forms.Form):
    """One row for each field of the kind; what only JSON can say is kept as it is."""

    source = forms.CharField(label="Source", max_length=60, help_text="The system whose ids these are.")
    as_of = forms.DateField(
        label="As of",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="The day from which changes hold, and relative dates count.",
    )

    def __init__(self, record: Import, kind: Kind, layout: Layout, data: Any = None) -> None:
        self.kind = kind
        self.document: dict[str, Any] = copy.deepcopy(record.mapping)
        super().__init__(data, initial={"source": record.source, "as_of": record.as_of})
        if kind.creates:
            self.fields["create"] = forms.MultipleChoiceField(
                label="Create on the way",
                choices=[(name, _CREATES[name]) for name in kind.creates],
                initial=self.document.get("create", []),
                widget=forms.CheckboxSelectMultiple,
                required=False,
            )
        specs = self.document.get("fields", {})
        for target in kind.fields:
            self._add(target, specs.get(target.name), layout)

    def _add(self, target: Field, spec: Any, layout: Layout) -> None:
        spec = {"column": spec} if isinstance(spec, str) else spec or {}
        choices = [(NOT_USED, "– not in the file –"), (CONSTANT, "the same for every row …")]
        if {"columns", "template"} & spec.keys():
            choices.append((KEEP, "as in the mapping file"))
            chosen = KEEP
        else:
            chosen = CONSTANT if "constant" in spec else spec.get("column", NOT_USED)
        choices += [(column, column) for column in layout.columns]
        if chosen not in dict(choices):
            chosen = NOT_USED
        label = target.label
        self.fields[f"column_{target.name}"] = forms.ChoiceField(
            label=f"Column for {label}",
            choices=choices,
            initial=chosen,
            required=False,
            error_messages={"invalid_choice": f"{label}: the file has no column “%(value)s”."},
        )
        self.fields[f"constant_{target.name}"] = forms.CharField(
            label=f"{label} for every row", initial=spec.get("constant", ""), required=False, max_length=1000
        )
        if target.type in ("date", "moment"):
            pattern = spec.get("date", "iso")
            self.fields[f"layout_{target.name}"] = forms.ChoiceField(
                label=f"How {label} is written",
                choices=_date_choices(pattern),
                initial=pattern,
                required=False,
            )
        elif target.type in ("number", "integer"):
            number = json.dumps(spec["number"], sort_keys=True) if spec.get("number") else ""
            self.fields[f"layout_{target.name}"] = forms.ChoiceField(
                label=f"How {label} is written",
                choices=_number_choices(number),
                initial=number,
                required=False,
            )

    def rows(self) -> list[dict[str, Any]]:
        """What the table of the page shows, a field a row."""
        return [
            {
                "field": target,
                "column": self[f"column_{target.name}"],
                "constant": self[f"constant_{target.name}"],
                "layout": self[f"layout_{target.name}"] if f"layout_{target.name}" in self.fields else None,
            }
            for target in self.kind.fields
        ]

    def to_document(self) -> dict[str, Any]:
        """Return the mapping as chosen; call when the form is valid."""
        document = copy.deepcopy(self.document)
        before = document.get("fields", {})
        document["fields"] = {}
        for target in self.kind.fields:
            spec = self._spec(target, before.get(target.name))
            if spec is not None:
                document["fields"][target.name] = spec
        document["kind"] = self.kind.slug
        document["source"] = self.cleaned_data["source"]
        if self.kind.creates:
            document["create"] = self.cleaned_data["create"]
        return document

    def _spec(self, target: Field, before: Any) -> Any:
        chosen = self.cleaned_data[f"column_{target.name}"]
        before = {"column": before} if isinstance(before, str) else before or {}
        if chosen == NOT_USED:
            return None
        if chosen == KEEP:
            spec = dict(before)
        elif chosen == CONSTANT:
            spec = {"constant": self.cleaned_data[f"constant_{target.name}"]}
        else:
            # What the mapping says about this column beyond its name stays: codes, repairs.
            spec = {**before, "column": chosen} if before.get("column") == chosen else {"column": chosen}
        layout = self.cleaned_data.get(f"layout_{target.name}", "")
        if target.type in ("date", "moment") and not spec.keys() & {
            "months_before_as_of",
            "days_before_as_of",
        }:
            spec.pop("date", None)
            if layout and layout != "iso":
                spec["date"] = layout
        elif target.type in ("number", "integer"):
            spec.pop("number", None)
            if layout:
                spec["number"] = json.loads(layout)
        return spec["column"] if spec.keys() == {"column"} else spec
