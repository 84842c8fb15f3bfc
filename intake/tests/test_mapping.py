"""The mapping language: what it can say, and how it refuses what it cannot."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from intake.kinds import KINDS
from intake.mapping import MappingError, Parsed, load, parse_json, propose
from intake.reading import Reader, inspect
from intake.tests.files import EXAMPLES, write

AS_OF = date(2026, 3, 31)


def read_one(tmp_path: Path, kind: str, text: str, document: dict[str, Any]) -> Parsed:
    layout = inspect(write(tmp_path, text))
    reader = load(document, KINDS[kind]).bind(layout, as_of=AS_OF)
    return reader.read(next(iter(Reader(layout))))


def value_of(tmp_path: Path, cell: str, spec: dict[str, Any], *, field: str = "unit_price") -> Any:
    """Read one cell into one field of a subscription; a problem comes back as its sentence."""
    fields: dict[str, Any] = {
        "account": {"constant": "a"},
        "starts_on": {"constant": "2020-01-01"},
        "unit_price": {"constant": 1},
    }
    document = {"fields": fields | {field: {"column": "x", **spec}}}
    row = read_one(tmp_path, "subscriptions", f'x,y\n"{cell}",z\n', document)
    return row.problem or row.values[field]


@pytest.mark.parametrize(
    ("cell", "spec", "value"),
    [
        ("12.50", {}, Decimal("12.50")),
        ("1.234,50", {"number": {"decimal": ",", "thousands": "."}}, Decimal("1234.50")),
        ("1,234,567", {"number": {"thousands": ","}}, Decimal(1234567)),
        ("£12", {"strip_prefix": ["£"]}, Decimal(12)),
        ("0.30000000000000004", {"number": {"round": 2}}, Decimal("0.30")),
        ("n/a", {"null_values": ["n/a"], "default": 5}, Decimal(5)),
        ("gold", {"translate": {"gold": 99}}, Decimal(99)),
    ],
)
def test_numbers_are_read_as_the_mapping_says(
    tmp_path: Path, cell: str, spec: dict[str, Any], value: Decimal
) -> None:
    assert value_of(tmp_path, cell, spec) == value


@pytest.mark.parametrize(
    ("cell", "spec", "sentence"),
    [
        ("NaN", {}, "“NaN” is not a finite number."),
        ("Infinity", {}, "“Infinity” is not a finite number."),
        ("-1", {}, "is negative."),
        ("1_000", {}, "“1_000” is not a number."),
        ("1e30", {}, "1e30 is too large: numbers stay below a trillion."),
        ("1,5", {}, "“1,5” is not a number."),
        ("1.5", {"number": {"decimal": ","}}, "“1.5” is not a number with ',' as decimal sign."),
        ("12,34", {"number": {"thousands": ","}}, "“12,34” is not a number with ',' between thousands."),
        ("0.30000000000000004", {}, "has more than 6 decimals"),
        ("lead", {"translate": {"gold": 99}, "unlisted": "reject"}, "not in the mapping's table of codes"),
    ],
)
def test_what_is_no_number_is_refused_with_its_rule(
    tmp_path: Path, cell: str, spec: dict[str, Any], sentence: str
) -> None:
    assert sentence in value_of(tmp_path, cell, spec)


@pytest.mark.parametrize(
    ("cell", "spec", "value"),
    [
        ("2024-02-29", {}, date(2024, 2, 29)),
        ("29/2/2024", {"date": "%d/%m/%Y"}, date(2024, 2, 29)),
        ("45351", {"date": "excel"}, date(2024, 2, 29)),
        ("1709164800", {"date": "unix"}, date(2024, 2, 29)),
        ("2024-02-28T23:30:00-05:00", {"time_zone": "Europe/Berlin"}, date(2024, 2, 29)),
        ("2012-10-01l", {"strip_suffix": ["l"]}, date(2012, 10, 1)),
        ("3", {"months_before_as_of": True}, date(2025, 12, 31)),
        ("0", {"months_before_as_of": {"minimum": 1, "minus_days": 1}}, date(2026, 2, 27)),
        ("10", {"days_before_as_of": True}, date(2026, 3, 21)),
        ("Yes", {"translate": {"Yes": {"days_before_as_of": 2}, "No": None}}, date(2026, 3, 29)),
    ],
)
def test_dates_are_read_as_the_mapping_says(
    tmp_path: Path, cell: str, spec: dict[str, Any], value: date
) -> None:
    assert value_of(tmp_path, cell, spec, field="starts_on") == value


@pytest.mark.parametrize(
    "cell", ["30/2/2024", "1899-12-31", "2200-01-01", "9999-12-31", "0001-01-01", "soon", "999999"]
)
def test_days_that_cannot_be_are_refused(tmp_path: Path, cell: str) -> None:
    assert isinstance(value_of(tmp_path, cell, {}, field="starts_on"), str)


def test_a_time_without_zone_is_one_of_the_mappings_zone(tmp_path: Path) -> None:
    document = {
        "time_zone": "Europe/Berlin",
        "fields": {
            "external_id": "id",
            "opened_at": {"column": "at", "date": "%d/%m/%Y %H:%M"},
        },
    }
    row = read_one(tmp_path, "tickets", "id,at\n7,1/7/2016 12:00\n", document)
    assert row.values["opened_at"] == datetime(2016, 7, 1, 10, tzinfo=UTC)


def test_a_value_can_be_made_of_several_columns(tmp_path: Path) -> None:
    document = {
        "fields": {
            "external_id": {"template": "{id}-{line}-{occurrence}"},
            "name": {"columns": ["first", "last"], "separator": " "},
        }
    }
    row = read_one(tmp_path, "accounts", "id,first,last\n7,Ada,Lovelace\n", document)
    assert (row.values["external_id"], row.values["name"]) == ("7-2-1", "Ada Lovelace")


def test_a_repair_is_listed_with_what_was_there_before(tmp_path: Path) -> None:
    document = {"fields": {"account": "c", "day": {"column": "m", "strip_suffix": ["l"]}, "amount": "t"}}
    row = read_one(tmp_path, "charges", "c,m,t\nA,2012-10-01l,5\n", document)
    assert row.repairs == [("day", "2012-10-01l", "2012-10-01")]


def test_all_problems_of_a_row_are_named(tmp_path: Path) -> None:
    document = {"fields": {"account": "c", "day": "m", "amount": "t"}}
    row = read_one(tmp_path, "charges", "c,m,t\n,yesterday,much\n", document)
    assert row.problem_field == "day, amount"


@pytest.mark.parametrize(
    ("document", "where", "words"),
    [
        ({"fields": {"name": "n"}}, "fields.external_id", "needed"),
        ({"fields": {"external_id": "i", "name": "n", "segmnt": "s"}}, "fields.segmnt", "segment"),
        ({"felds": {}}, "felds", "did you mean “fields”"),
        ({"kind": "contacts", "fields": {}}, "kind", "for contacts"),
        (
            {"fields": {"external_id": {"column": "a", "constant": "b"}, "name": "n"}},
            "fields.external_id",
            "Exactly one",
        ),
        ({"fields": {"external_id": "i", "name": 5}}, "fields.name", "column's name"),
        (
            {"fields": {"external_id": "i", "name": "n", "customer_from": {"column": "d", "date": "dd.mm"}}},
            "fields.customer_from.date",
            "not a date format",
        ),
        (
            {"fields": {"external_id": "i", "name": "n"}, "time_zone": "Mars/Base"},
            "time_zone",
            "not a time zone",
        ),
        (
            {"fields": {"external_id": "i", "name": "n"}, "file": {"encoding": "klingon"}},
            "file.encoding",
            "Known",
        ),
        ({"fields": {"external_id": "i", "name": "n"}, "create": ["planets"]}, "create.planets", "unknown"),
        (
            {"fields": {"external_id": "i", "name": "n"}, "answers": []},
            "answers",
            "Only an import of responses",
        ),
        (
            {"fields": {"external_id": "i", "name": "n"}, "skip_when": [{"column": "x"}]},
            "skip_when[0]",
            "Exactly one",
        ),
    ],
)
def test_a_mistake_in_a_mapping_names_its_place(document: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(MappingError) as caught:
        load(document, KINDS["accounts"])
    assert any(place == where and words in rule for place, rule in caught.value.problems), (
        caught.value.problems
    )


def test_a_column_that_is_not_in_the_file_is_named_with_its_likeness(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"no column “Custmer”\. Did you mean “Customer”"):
        read_one(
            tmp_path, "accounts", "Customer\nA\n", {"fields": {"external_id": "Custmer", "name": "Customer"}}
        )


def test_a_column_that_stands_twice_must_be_told_apart(tmp_path: Path) -> None:
    text = "id,id\n1,2\n"
    with pytest.raises(MappingError, match="more than once"):
        read_one(tmp_path, "accounts", text, {"fields": {"external_id": "id", "name": "id [2]"}})
    row = read_one(tmp_path, "accounts", text, {"fields": {"external_id": "id [1]", "name": "id [2]"}})
    assert (row.values["external_id"], row.values["name"]) == ("1", "2")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000, '{"about": "' + "x" * 300_000 + '"}']
)
def test_what_is_no_mapping_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(MappingError):
        parse_json(text)


def test_a_mapping_is_guessed_from_ordinary_headers(tmp_path: Path) -> None:
    text = "Customer ID;Company Name;Customer since;Notes\n7;Acme;31.12.2023;\n8;Globex;01.02.2024;x\n"
    layout = inspect(write(tmp_path, text))
    document, remarks = propose(KINDS["accounts"], layout, list(Reader(layout)))
    assert document["fields"] == {
        "external_id": "Customer ID",
        "name": "Company Name",
        "notes": "Notes",
        "customer_from": {"column": "Customer since", "date": "%d.%m.%Y"},
    }
    assert remarks == []


def test_a_guess_says_when_a_date_can_be_read_two_ways(tmp_path: Path) -> None:
    layout = inspect(write(tmp_path, 'account,day,amount\nA,03/04/2024,"1.234,5"\n'))
    document, remarks = propose(KINDS["charges"], layout, list(Reader(layout)))
    assert document["fields"]["amount"] == {"column": "amount", "number": {"decimal": ",", "thousands": "."}}
    assert any("month first" in remark for remark in remarks)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_the_examples_are_mappings_of_the_kind_they_are_named_for(path: Path) -> None:
    document = parse_json(path.read_text())
    assert load(document, KINDS[document["kind"]]).kind.slug == path.stem.split("-", 1)[1]


def test_the_document_names_every_kind_with_its_fields() -> None:
    document = (EXAMPLES.parents[1] / "docs" / "importing.md").read_text()
    for kind in KINDS.values():
        fields = ", ".join(f"**{one.name}**" if one.is_required else one.name for one in kind.fields)
        assert f"| `{kind.slug}` | {fields} | {', '.join(kind.creates) or '–'} |" in document
