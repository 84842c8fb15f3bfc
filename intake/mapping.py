"""The mapping language: a JSON document saying which column fills which field, and how.

docs/importing.md describes it. A mapping is checked twice: on its own (`load`), and against
the columns of a file (`bind`), which gives a reader of rows. Nothing in it is a program: no
expressions, no regular expressions.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import zoneinfo
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta

from csplatform.periods import start_of_day
from intake.reading import DELIMITERS, ENCODINGS, Layout, Row
from intake.values import COMMON_FORMATS, Field, check_format, parser_for

if TYPE_CHECKING:
    from intake.kinds.base import Kind

MAX_MAPPING_CHARACTERS = 200_000
DEFAULT_NULLS = ("",)
PSEUDO_COLUMNS = {
    "line": "the row's line in the file",
    "row_digest": "a fingerprint of the whole row",
    "occurrence": "1 for the first of several identical rows, 2 for the second, and so on",
}
_SOURCES = ("column", "columns", "template", "constant")
_SPEC_KEYS = {
    *_SOURCES,
    "separator",
    "null_values",
    "strip_prefix",
    "strip_suffix",
    "translate",
    "unlisted",
    "date",
    "time_zone",
    "number",
    "months_before_as_of",
    "days_before_as_of",
    "default",
}
_TOP_KEYS = {
    "kind",
    "about",
    "source",
    "file",
    "time_zone",
    "null_values",
    "fields",
    "custom",
    "answers",
    "skip_when",
    "match_without_case",
    "create",
    "ticket_source",
    "account_source",
}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class MappingError(ValueError):
    """The mapping cannot be used; `problems` names each place and the rule it breaks."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{where}: {rule}" if where else rule for where, rule in problems))


@dataclass(slots=True)
class Parsed:
    """One row as the mapping reads it, and later what became of it."""

    line: int
    cells: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    repairs: list[tuple[str, str, str]] = field(default_factory=list)
    is_skipped: bool = False
    problem_field: str = ""
    problem: str = ""
    outcome: str = ""

    def reject(self, field_name: str, reason: str) -> None:
        if not self.problem:
            self.problem_field, self.problem = field_name, reason


# --- The document on its own ------------------------------------------------------------


def _no_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise MappingError([("mapping", f"“{twice}” stands twice in one object.")])
    return dict(pairs)


def _no_constant(word: str) -> None:
    raise MappingError([("mapping", f"{word} is not a number of JSON.")])


def parse_json(text: str) -> dict[str, Any]:
    """Return the document, or raise MappingError with the line of the mistake."""
    if len(text) > MAX_MAPPING_CHARACTERS:
        raise MappingError([("mapping", f"A mapping has at most {MAX_MAPPING_CHARACTERS:,} characters.")])
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicate_keys, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise MappingError([("mapping", f"This is not JSON: {error.msg} on line {error.lineno}.")]) from error
    except RecursionError as error:
        raise MappingError([("mapping", "The JSON is nested too deeply.")]) from error
    if not isinstance(document, dict):
        raise MappingError([("mapping", "A mapping is a JSON object: {…}.")])
    return document


def _unknown(keys: Iterable[str], known: Iterable[str], where: str) -> list[tuple[str, str]]:
    problems = []
    known = sorted(known)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean “{near[0]}”?" if near else f"known are {', '.join(known)}."
            problems.append((f"{where}.{key}" if where else key, f"This is unknown; {hint}"))
    return problems


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _check_zone(name: Any, where: str) -> list[tuple[str, str]]:
    if not isinstance(name, str) or name not in zoneinfo.available_timezones():
        return [(where, f"{name!r} is not a time zone such as Europe/Berlin.")]
    return []


def _check_relative(value: Any, where: str) -> list[tuple[str, str]]:
    if value is True:
        return []
    if not isinstance(value, dict):
        return [(where, "Write true, or an object with “minimum” and “minus_days”.")]
    problems = _unknown(value, {"minimum", "minus_days"}, where)
    problems += [
        (f"{where}.{key}", "A whole number from 0 to 100,000 is needed.")
        for key, number in value.items()
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 100_000
    ]
    return problems


def _check_spec(spec: Any, where: str) -> list[tuple[str, str]]:
    if isinstance(spec, str):
        return []
    if not isinstance(spec, dict):
        return [(where, "Write a column's name, or an object.")]
    problems = _unknown(spec, _SPEC_KEYS, where)
    given = [key for key in _SOURCES if key in spec]
    if len(given) != 1:
        problems.append((where, f"Exactly one of {', '.join(_SOURCES)} is needed."))
    for key in ("column", "template", "separator"):
        if key in spec and not isinstance(spec[key], str):
            problems.append((f"{where}.{key}", "Text is needed."))
    for key in ("columns", "null_values", "strip_prefix", "strip_suffix"):
        if key in spec and not _is_texts(spec[key]):
            problems.append((f"{where}.{key}", "A list of texts is needed."))
    if "constant" in spec and not isinstance(spec["constant"], str | int | float | bool | type(None)):
        problems.append((f"{where}.constant", "Text, a number, true or false is needed."))
    if "date" in spec:
        rule = check_format(spec["date"]) if isinstance(spec["date"], str) else "A date format is needed."
        if rule:
            problems.append((f"{where}.date", rule))
    if "time_zone" in spec:
        problems += _check_zone(spec["time_zone"], f"{where}.time_zone")
    if "number" in spec:
        number = spec["number"]
        if not isinstance(number, dict):
            problems.append(
                (f"{where}.number", "An object with “decimal”, “thousands” or “round” is needed.")
            )
        else:
            problems += _unknown(number, {"decimal", "thousands", "round"}, f"{where}.number")
            if number.get("decimal", ".") not in {".", ","}:
                problems.append((f"{where}.number.decimal", "The decimal sign is “.” or “,”."))
            if number.get("thousands", "") not in {"", ".", ",", " ", "'", "\u00a0", "\u202f", "’"}:
                problems.append((f"{where}.number.thousands", "Known are “.”, “,”, “'” and the space."))
            if number.get("thousands") == number.get("decimal", "."):
                problems.append((f"{where}.number", "Decimal and thousands sign are the same."))
            if "round" in number and number["round"] not in range(7):
                problems.append((f"{where}.number.round", "A number of decimals from 0 to 6 is needed."))
    for key in ("months_before_as_of", "days_before_as_of"):
        if key in spec:
            problems += _check_relative(spec[key], f"{where}.{key}")
    if "translate" in spec:
        table = spec["translate"]
        if not isinstance(table, dict):
            problems.append((f"{where}.translate", "An object from code to value is needed."))
        else:
            for code, value in table.items():
                if isinstance(value, dict):
                    if set(value) != {"days_before_as_of"} or not isinstance(value["days_before_as_of"], int):
                        problems.append(
                            (f"{where}.translate.{code}", "Only {“days_before_as_of”: 2} is known.")
                        )
                elif not isinstance(value, str | int | float | bool | type(None)):
                    problems.append((f"{where}.translate.{code}", "Text, a number or null is needed."))
    if spec.get("unlisted", "keep") not in {"keep", "reject", "null"}:
        problems.append((f"{where}.unlisted", "Write keep, reject or null."))
    return problems


_ANSWER_KEYS = {"kind", "question", "score", "scale", "positive_from", "text"}


def _check_answers(answers: Any) -> list[tuple[str, str]]:
    if not isinstance(answers, list):
        return [("answers", "A list of answers is needed.")]
    problems: list[tuple[str, str]] = []
    seen = set()
    for at, answer in enumerate(answers):
        where = f"answers[{at}]"
        if not isinstance(answer, dict):
            problems.append((where, "An object is needed."))
            continue
        problems += _unknown(answer, _ANSWER_KEYS, where)
        kind = answer.get("kind")
        if kind not in {"nps", "csat", "ces", "text", "choice"}:
            problems.append((f"{where}.kind", "Known are nps, csat, ces, text and choice."))
        if not isinstance(answer.get("question", ""), str) or len(answer.get("question", "")) > 100:
            problems.append((f"{where}.question", "Text of at most 100 characters is needed."))
        key = (kind, answer.get("question", ""))
        if key in seen:
            problems.append((where, "The same kind and question stand twice; give each its own question."))
        seen.add(key)
        if ("score" in answer) == ("text" in answer):
            problems.append((where, "Exactly one of score and text is needed."))
        for part in ("score", "text"):
            if part in answer:
                problems += _check_spec(answer[part], f"{where}.{part}")
        scale = answer.get("scale")
        if scale is not None and not (
            isinstance(scale, list)
            and len(scale) == 2
            and all(type(n) is int and 0 <= n <= 1000 for n in scale)
            and scale[0] < scale[1]
        ):
            problems.append(
                (f"{where}.scale", "The lowest and the highest score are needed, such as [1, 5].")
            )
            scale = None
        if kind == "csat" and scale is None:
            problems.append((f"{where}.scale", "A satisfaction question needs its scale, such as [1, 5]."))
        if kind == "nps" and scale is not None and scale not in ([0, 10], [1, 10]):
            problems.append((f"{where}.scale", "The scale of NPS is [0, 10] or [1, 10]."))
        if kind == "ces" and scale is not None and scale != [1, 7]:
            problems.append((f"{where}.scale", "The scale of CES is [1, 7]; scales are never mixed."))
        positive = answer.get("positive_from")
        if positive is not None and (
            type(positive) is not int or (scale and not scale[0] <= positive <= scale[1])
        ):
            problems.append((f"{where}.positive_from", "A score on the scale is needed."))
    return problems


@dataclass(frozen=True)
class Mapping:
    """A mapping that has been checked on its own."""

    kind: Kind
    document: dict[str, Any]

    @property
    def source(self) -> str:
        return str(self.document.get("source", ""))

    @property
    def creates(self) -> frozenset[str]:
        return frozenset(self.document.get("create", []))

    @property
    def file_options(self) -> dict[str, Any]:
        """Arguments for `reading.inspect`."""
        options = self.document.get("file", {})
        return {
            "encoding": options.get("encoding", ""),
            "delimiter": options.get("delimiter", ""),
            "has_header": options.get("header", True),
            "short_rows_filled": options.get("short_rows") == "fill",
        }

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.document, sort_keys=True).encode()).hexdigest()

    def bind(self, layout: Layout, *, as_of: date) -> RowReader:
        """Return the reader of a file's rows; MappingError names the columns that are missing."""
        return RowReader(self, layout, as_of)


def load(document: Any, kind: Kind) -> Mapping:
    """Return the checked mapping, or raise MappingError with all problems found."""
    if not isinstance(document, dict):
        raise MappingError([("mapping", "A mapping is a JSON object: {…}.")])
    problems = _unknown(document, _TOP_KEYS, "")
    if document.get("kind", kind.slug) != kind.slug:
        problems.append(("kind", f"The mapping is for {document['kind']}, not for {kind.slug}."))
    if not isinstance(document.get("source", ""), str) or len(document.get("source", "")) > 60:
        problems.append(("source", "Text of at most 60 characters is needed."))
    if not isinstance(document.get("account_source", ""), str):
        problems.append(("account_source", "The name of a source is needed."))
    if "time_zone" in document:
        problems += _check_zone(document["time_zone"], "time_zone")
    for key in ("null_values", "match_without_case", "create"):
        if key in document and not _is_texts(document[key]):
            problems.append((key, "A list of texts is needed."))
    names = {one.name for one in kind.fields}
    if _is_texts(document.get("create", [])):
        problems += _unknown(document.get("create", []), kind.creates, "create")
    if _is_texts(document.get("match_without_case", [])):
        problems += _unknown(document.get("match_without_case", []), names, "match_without_case")
    file = document.get("file", {})
    if not isinstance(file, dict):
        problems.append(("file", "An object is needed."))
    else:
        problems += _unknown(file, {"encoding", "delimiter", "header", "short_rows"}, "file")
        if file.get("encoding", "utf-8") not in ENCODINGS:
            problems.append(("file.encoding", f"Known are {', '.join(ENCODINGS)}."))
        if file.get("delimiter", ",") not in DELIMITERS:
            problems.append(("file.delimiter", "Known are “,”, “;”, “|” and “\\t”."))
        if not isinstance(file.get("header", True), bool):
            problems.append(("file.header", "Write true or false."))
        if file.get("short_rows", "reject") not in {"reject", "fill"}:
            problems.append(("file.short_rows", "Write reject or fill."))
    fields = document.get("fields", {})
    if not isinstance(fields, dict):
        problems.append(("fields", "An object from field to column is needed."))
        fields = {}
    problems += _unknown(fields, names, "fields")
    for name, spec in fields.items():
        problems += _check_spec(spec, f"fields.{name}")
    custom = document.get("custom", {})
    if custom and not kind.custom_field:
        problems.append(("custom", f"An import of {kind.slug} has no further columns of your own."))
    elif not isinstance(custom, dict) or len(custom) > 200:
        problems.append(("custom", "An object from name to column is needed, with at most 200 names."))
    else:
        for name, spec in custom.items():
            problems += _check_spec(spec, f"custom.{name}")
    if "answers" in document:
        if not kind.has_answers:
            problems.append(("answers", "Only an import of responses has answers."))
        else:
            problems += _check_answers(document["answers"])
    if "ticket_source" in document:
        problems += kind.check_ticket_source(document["ticket_source"])
    conditions = document.get("skip_when", [])
    if not isinstance(conditions, list):
        problems.append(("skip_when", "A list of conditions is needed."))
        conditions = []
    for at, condition in enumerate(conditions):
        where = f"skip_when[{at}]"
        if not isinstance(condition, dict) or not isinstance(condition.get("column"), str):
            problems.append(
                (where, "An object with “column” and one of equals, not_equals, is_blank is needed.")
            )
            continue
        problems += _unknown(condition, {"column", "equals", "not_equals", "is_blank"}, where)
        tests = [key for key in ("equals", "not_equals", "is_blank") if key in condition]
        if len(tests) != 1:
            problems.append((where, "Exactly one of equals, not_equals and is_blank is needed."))
        for key in ("equals", "not_equals"):
            if key in condition and not (isinstance(condition[key], str) or _is_texts(condition[key])):
                problems.append((f"{where}.{key}", "Text or a list of texts is needed."))
    if problems:
        raise MappingError(problems)
    missing = [one for one in kind.fields if one.is_required and one.name not in fields]
    if missing:
        raise MappingError(
            [(f"fields.{one.name}", f"{one.label} is needed and no column fills it.") for one in missing]
        )
    problems = kind.check_mapping(document)
    if problems:
        raise MappingError(problems)
    return Mapping(kind, document)


# --- Bound to a file --------------------------------------------------------------------

Getter = Callable[["Parsed"], Any]


class _Binder:
    """Turns specifications into functions of a row; collects what is wrong on the way."""

    def __init__(self, mapping: Mapping, layout: Layout, as_of: date) -> None:
        document = mapping.document
        self.layout = layout
        self.as_of = as_of
        self.zone: str = document.get("time_zone", "")
        self.nulls: list[str] = list(document.get("null_values", DEFAULT_NULLS))
        self.without_case = frozenset(document.get("match_without_case", []))
        self.position = {name: at for at, name in enumerate(layout.columns)}
        self.uses_digest = False
        self.uses_occurrence = False
        self.problems: list[tuple[str, str]] = []

    def column(self, name: str, where: str) -> int:
        at = self.position.get(" ".join(name.split()))
        if at is not None:
            return at
        if name in self.layout.duplicate_columns:
            both = ", ".join(f"“{other}”" for other in self.layout.columns if other.startswith(f"{name} ["))
            self.problems.append(
                (where, f"Column “{name}” stands more than once in the header; name one: {both}.")
            )
            return 0
        near = difflib.get_close_matches(name, self.layout.columns, 1, 0.6)
        shown = ", ".join(self.layout.columns[:30]) + (" …" if len(self.layout.columns) > 30 else "")
        hint = f"Did you mean “{near[0]}”?" if near else f"The file has: {shown}."
        self.problems.append((where, f"There is no column “{name}”. {hint}"))
        return 0

    def text(self, spec: dict[str, Any], where: str) -> Callable[[Parsed], str]:
        if "column" in spec:
            at = self.column(spec["column"], where)
            return lambda row: row.cells[at].strip()
        if "columns" in spec:
            places = [self.column(name, where) for name in spec["columns"]]
            separator = spec.get("separator", " ")
            return lambda row: separator.join(text for at in places if (text := row.cells[at].strip()))
        parts: list[tuple[str, int | str]] = []
        literal = ""
        for at, piece in enumerate(_PLACEHOLDER.split(spec["template"])):
            if at % 2 == 0:
                literal = piece
                if piece and at == len(_PLACEHOLDER.split(spec["template"])) - 1:
                    parts.append((piece, ""))
                continue
            if piece in PSEUDO_COLUMNS and piece not in self.position:
                self.uses_digest |= piece != "line"
                self.uses_occurrence |= piece == "occurrence"
                parts.append((literal, piece))
            else:
                parts.append((literal, self.column(piece, where)))

        def fill(row: Parsed) -> str:
            written = []
            for before, source in parts:
                written.append(before)
                if isinstance(source, int):
                    written.append(row.cells[source].strip())
                elif source == "line":
                    written.append(str(row.line))
                elif source:
                    written.append(str(row.values[source]))
            return "".join(written)

        return fill

    def value(self, target: Field, spec: Any, where: str) -> Getter:
        spec = {"column": spec} if isinstance(spec, str) else spec
        parse = parser_for(
            target,
            pattern=spec.get("date", "iso"),
            zone=spec.get("time_zone", self.zone),
            number=spec.get("number"),
        )
        if target.name in self.without_case:
            parse_plain = parse
            parse = lambda text: parse_plain(text.casefold())  # noqa: E731
        months, days = spec.get("months_before_as_of"), spec.get("days_before_as_of")
        if months is not None or days is not None:
            parse = self.before_as_of(target, months, days)
        if "constant" in spec or "default" in spec:
            key = "constant" if "constant" in spec else "default"
            fixed = self.fixed(spec[key], parse, f"{where}.{key}")
            if key == "constant":
                return lambda row: fixed
        else:
            fixed = None
        get_text = self.text(spec, where)
        nulls = frozenset(spec.get("null_values", self.nulls)) | {""}
        prefixes, suffixes = spec.get("strip_prefix", []), spec.get("strip_suffix", [])
        table = self.translations(target, spec, parse, where)
        unlisted = spec.get("unlisted", "keep")
        if not (prefixes or suffixes or table):

            def plain(row: Parsed) -> Any:
                text = get_text(row)
                return fixed if text in nulls else parse(text)

            return plain

        def full(row: Parsed) -> Any:
            text = get_text(row)
            if text in nulls:
                return fixed
            stripped = text
            for prefix in prefixes:
                stripped = stripped.removeprefix(prefix)
            for suffix in suffixes:
                stripped = stripped.removesuffix(suffix)
            if stripped != text:
                row.repairs.append((target.name, text, stripped))
                text = stripped.strip()
            if table:
                if text in table:
                    value = table[text]
                    return fixed if value is None else value
                if unlisted == "reject":
                    raise ValueError(f"“{text}” is not in the mapping's table of codes")
                if unlisted == "null":
                    return fixed
            return fixed if text in nulls else parse(text)

        return full

    def before_as_of(self, target: Field, months: Any, days: Any) -> Callable[[str], Any]:
        rule = months if months is not None else days
        options = rule if isinstance(rule, dict) else {}
        least, minus = options.get("minimum", 0), timedelta(days=options.get("minus_days", 0))
        as_of = self.as_of

        def parse(text: str) -> Any:
            if not (text.isascii() and text.isdigit()) or len(text) > 6:
                raise ValueError(
                    f"“{text}” is not a whole number of {'months' if months is not None else 'days'}"
                )
            count = max(int(text), least)
            back = relativedelta(months=count) if months is not None else timedelta(days=count)
            try:
                return self.as_day(target, as_of - back - minus)
            except (ValueError, OverflowError) as error:
                raise ValueError(f"{text} before the as-of date lies before 1900") from error

        return parse

    @staticmethod
    def as_day(target: Field, day: date) -> Any:
        if day.year < 1900:
            raise ValueError("before 1900")
        return start_of_day(day) if target.type == "moment" else day

    def fixed(self, value: Any, parse: Callable[[str], Any], where: str) -> Any:
        if value is None or value == "":
            return None
        text = (
            {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        )
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append((where, f"{error}."))
            return None

    def translations(
        self, target: Field, spec: dict[str, Any], parse: Callable[[str], Any], where: str
    ) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for code, value in spec.get("translate", {}).items():
            if isinstance(value, dict):
                table[code] = self.as_day(target, self.as_of - timedelta(days=value["days_before_as_of"]))
            else:
                table[code] = self.fixed(value, parse, f"{where}.translate.{code}")
        return table


@dataclass(frozen=True)
class AnswerReader:
    kind: str
    question: str
    low: int | None
    high: int | None
    positive_from: int | None
    get_score: Getter | None
    get_text: Getter | None
    target: str


class RowReader:
    """Reads the rows of one file by one mapping."""

    def __init__(self, mapping: Mapping, layout: Layout, as_of: date) -> None:
        self.mapping = mapping
        self.layout = layout
        kind, document = mapping.kind, mapping.document
        binder = _Binder(mapping, layout, as_of)
        by_name = {one.name: one for one in kind.fields}
        self._getters = [
            (name, binder.value(by_name[name], spec, f"fields.{name}"), by_name[name].is_required)
            for name, spec in document["fields"].items()
        ]
        text = Field(name="custom", label="", max_length=1000)
        self._custom = [
            (name, binder.value(text, spec, f"custom.{name}"))
            for name, spec in document.get("custom", {}).items()
        ]
        self._answers = [
            self._answer(binder, answer, f"answers[{at}]")
            for at, answer in enumerate(document.get("answers", []))
        ]
        self._skips = [
            self._skip(binder, condition, at) for at, condition in enumerate(document.get("skip_when", []))
        ]
        self._custom_field = kind.custom_field
        self._width = len(layout.columns)
        self.uses_digest = binder.uses_digest
        self.uses_occurrence = binder.uses_occurrence
        self._occurrences: dict[bytes, int] = {}
        if binder.problems:
            raise MappingError(binder.problems)

    @staticmethod
    def _answer(binder: _Binder, answer: dict[str, Any], where: str) -> AnswerReader:
        usual = {"nps": [0, 10], "ces": [1, 7]}
        scale: Sequence[int] = answer.get("scale") or usual.get(answer["kind"], [])
        low, high = scale or (None, None)
        positive = answer.get("positive_from")
        if positive is None and answer["kind"] == "csat" and low is not None and high is not None:
            # The definitions' defaults: 4-5 of 5, 6-10 of 10, 3 of 3; else the upper two fifths.
            positive = {5: 4, 10: 6, 3: 3}.get(high, high - (high - low) * 2 // 5)
        target = f"{answer['kind']} {answer.get('question', '')}".strip()
        score = Field(name=target, label=target, type="integer")
        comment = Field(name=target, label=target, max_length=20_000)
        return AnswerReader(
            kind=answer["kind"],
            question=answer.get("question", ""),
            low=low,
            high=high,
            positive_from=positive if answer["kind"] == "csat" else None,
            get_score=binder.value(score, answer["score"], f"{where}.score") if "score" in answer else None,
            get_text=binder.value(comment, answer["text"], f"{where}.text") if "text" in answer else None,
            target=target,
        )

    @staticmethod
    def _skip(binder: _Binder, condition: dict[str, Any], at: int) -> Callable[[list[str]], bool]:
        where = f"skip_when[{at}].column"
        place = binder.column(condition["column"], where)
        if "is_blank" in condition:
            wanted = bool(condition["is_blank"])
            return lambda cells: (not cells[place].strip()) == wanted
        key = "equals" if "equals" in condition else "not_equals"
        texts = frozenset([condition[key]] if isinstance(condition[key], str) else condition[key])
        if key == "equals":
            return lambda cells: cells[place].strip() in texts
        return lambda cells: cells[place].strip() not in texts

    def note(self, row: Row) -> tuple[str, int]:
        """Return the row's fingerprint and how often it stood in the file so far, counting it."""
        digest = hashlib.blake2b("\x1f".join(row.fields).encode("utf-8", "replace"), digest_size=12)
        occurrence = 0
        if self.uses_occurrence:
            key = digest.digest()
            occurrence = self._occurrences[key] = self._occurrences.get(key, 0) + 1
        return digest.hexdigest(), occurrence

    def read(self, row: Row) -> Parsed:
        """Return the row's values; a problem says which field breaks which rule."""
        parsed = Parsed(row.line, row.fields)
        if self.uses_digest:
            parsed.values["row_digest"], parsed.values["occurrence"] = self.note(row)
        if row.problem:
            parsed.reject("", row.problem)
            return parsed
        for is_skipped in self._skips:
            if is_skipped(row.fields):
                parsed.is_skipped = True
                return parsed
        values = parsed.values
        for name, get, is_required in self._getters:
            try:
                value = get(parsed)
            except ValueError as error:
                self._add_problem(parsed, name, f"{error}.")
                continue
            if value is None and is_required:
                self._add_problem(parsed, name, "is empty and must not be.")
            values[name] = value
        if self._custom:
            try:
                values[self._custom_field] = {name: get(parsed) or "" for name, get in self._custom}
            except ValueError as error:
                self._add_problem(parsed, self._custom_field, f"{error}.")
        if self._answers:
            answers: list[dict[str, Any]] = []
            values["answers"] = answers
            for reader in self._answers:
                self._read_answer(reader, parsed, answers)
        return parsed

    def _read_answer(self, reader: AnswerReader, parsed: Parsed, answers: list[dict[str, Any]]) -> None:
        try:
            score = reader.get_score(parsed) if reader.get_score else None
            text = reader.get_text(parsed) if reader.get_text else None
        except ValueError as error:
            self._add_problem(parsed, reader.target, f"{error}.")
            return
        if score is None and not text:
            return  # the question was left out
        if score is not None and reader.low is not None and not reader.low <= score <= (reader.high or 0):
            self._add_problem(
                parsed, reader.target, f"{score} is not on the scale {reader.low} to {reader.high}."
            )
            return
        answers.append(
            {
                "kind": reader.kind,
                "question": reader.question,
                "score": score,
                "scale_low": reader.low if score is not None else None,
                "scale_high": reader.high if score is not None else None,
                "positive_from": reader.positive_from,
                "text": text or "",
            }
        )

    @staticmethod
    def _add_problem(parsed: Parsed, name: str, reason: str) -> None:
        if parsed.problem:
            parsed.problem_field = f"{parsed.problem_field}, {name}"
            parsed.problem = f"{parsed.problem} {name}: {reason}"
        else:
            parsed.problem_field, parsed.problem = name, reason


# --- A first guess ----------------------------------------------------------------------


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _guess_date(field_: Field, samples: list[str]) -> str | None:
    """Return the first common format that reads all samples, or None."""
    for pattern in COMMON_FORMATS:
        parse = parser_for(field_, pattern=pattern)
        try:
            for text in samples:
                parse(text)
        except ValueError:
            continue
        return pattern
    return None


def _guess_number(field_: Field, samples: list[str]) -> dict[str, str] | None:
    for layout in ({}, {"thousands": ","}, {"decimal": ","}, {"decimal": ",", "thousands": "."}):
        parse = parser_for(field_, number=layout)
        try:
            for text in samples:
                parse(text)
        except ValueError:
            continue
        return layout
    return None


def propose(kind: Kind, layout: Layout, rows: list[Row]) -> tuple[dict[str, Any], list[str]]:
    """Return a mapping guessed from the header and the first rows, and remarks on the guesses."""
    fields: dict[str, Any] = {}
    remarks: list[str] = []
    taken: set[str] = set()
    plain = {column: _plain(column) for column in layout.columns}
    wanted: list[tuple[Field, list[str]]] = [
        (one, [_plain(word) for word in (one.name, one.label, *one.synonyms)]) for one in kind.fields
    ]

    def take(target: Field, column: str) -> None:
        taken.add(column)
        fields[target.name] = column

    for target, words in wanted:  # exact names first, so that a likeness cannot take them away
        for word in words:
            column = next((c for c, p in plain.items() if p == word and c not in taken), None)
            if column:
                take(target, column)
                break
    for target, words in wanted:
        if target.name in fields:
            continue
        scored = [
            (difflib.SequenceMatcher(None, word, p).ratio(), column)
            for column, p in plain.items()
            if column not in taken
            for word in words
            if len(word) > 3 and p
        ]
        best = max(scored, default=(0.0, ""))
        if best[0] >= 0.86:
            take(target, best[1])
    position = {name: at for at, name in enumerate(layout.columns)}
    by_name = {one.name: one for one in kind.fields}
    for name, column in list(fields.items()):
        target = by_name[name]
        cells = (row.fields[position[column]].strip() for row in rows if not row.problem)
        samples = [text for text in cells if text][:200]
        if not samples:
            continue
        if target.type in ("date", "moment"):
            pattern = _guess_date(target, samples)
            if pattern is None:
                remarks.append(
                    f"{target.label}: the dates in “{column}” look like “{samples[0]}”; "
                    "choose how they are written."
                )
            elif pattern != "iso":
                fields[name] = {"column": column, "date": pattern}
                swapped = pattern.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m")
                if pattern.startswith(("%d/%m", "%m/%d")) and _reads_all(target, samples, swapped):
                    remarks.append(
                        f"{target.label}: “{samples[0]}” may be read with the day or with the month first; "
                        f"“{pattern}” is taken."
                    )
        elif target.type in ("number", "integer"):
            number = _guess_number(target, samples)
            if number is None:
                remarks.append(
                    f"{target.label}: not every value of “{column}” is a number, such as “{samples[0]}”."
                )
            elif number:
                fields[name] = {"column": column, "number": number}
    document: dict[str, Any] = {"kind": kind.slug, "fields": fields}
    if layout.encoding not in {"utf-8", "utf-8-sig"}:
        document["file"] = {"encoding": layout.encoding}
    if left := [column for column in layout.columns if column not in taken]:
        remarks.append(f"Not used: {', '.join(left[:20])}{' …' if len(left) > 20 else ''}.")
    return document, remarks


def _reads_all(target: Field, samples: list[str], pattern: str) -> bool:
    parse = parser_for(target, pattern=pattern)
    try:
        for text in samples:
            parse(text)
    except ValueError:
        return False
    return True


def as_document(value: Dict[str, Any]) -> str:
    """Return a mapping as people read it, for download."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
