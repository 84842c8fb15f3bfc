"""The one gate for JSON: what is malformed or hostile stops here with a sentence, never as a 500."""

from __future__ import annotations

import json
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_DEPTH = 64
MAX_DIGITS = 400


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ParseError(f"“{key}” stands twice in one object.")
        found[key] = value
    return found


def _no_constant(word: str) -> None:
    raise ParseError(f"{word} is not a number in JSON.")


def _number(text: str) -> str:
    # Kept as text: a float would already have lost digits of an amount of money.
    if len(text) > MAX_DIGITS:
        raise ParseError(f"A number has more than {MAX_DIGITS} characters.")
    return Number(text)


class Number(str):
    """A JSON number, with all the digits it was written with."""


def _check(value: Any, path: str = "", depth: int = 0) -> None:
    """Refuse NUL and lone surrogates, which databases choke on, and nesting nobody means."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ParseError(f"{path or 'The body'} holds a NUL character.")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ParseError(f"{path or 'The body'} holds half of a surrogate pair.")
    elif isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            raise ParseError(f"The body is nested more than {MAX_DEPTH} levels deep.")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            if isinstance(key, str):
                _check(key, path)
            _check(inner, f"{path}.{key}".strip("."), depth + 1)


class StrictJSONParser(JSONParser):
    """Reads JSON as RFC 8259 has it, with limits; numbers stay text with all their digits."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        request = (parser_context or {}).get("request")
        raw = request.body if request is not None else stream.read()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error
        try:
            value = json.loads(
                text,
                object_pairs_hook=_unique_keys,
                parse_constant=_no_constant,
                parse_int=_number,
                parse_float=_number,
            )
        except RecursionError as error:
            raise ParseError(f"The body is nested more than {MAX_DEPTH} levels deep.") from error
        except json.JSONDecodeError as error:
            raise ParseError(
                f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
            ) from error
        _check(value)
        return value
