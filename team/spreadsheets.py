"""Cells that a spreadsheet shows as they are, without running anything in them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

# What a spreadsheet may take for a formula: also as full-width forms, which some unify, and the
# control characters that split a cell in two.
DANGEROUS_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def is_plain_number(text: str) -> bool:
    """Return whether a text is a number and nothing else, such as -12.5: no formula, so it stays.

    >>> [is_plain_number(text) for text in ("-12.5", "+49", "-2+3", "=1", "-inf", "1_0")]
    [True, True, False, False, False, False]
    """
    digits = text[1:] if text[:1] in "+-" else text
    return digits.isascii() and digits.replace(".", "", 1).isdigit()


def safe_cell(value: Any) -> str:
    """Return a value as a cell: numbers as numbers, texts that could start a formula behind an apostrophe.

    >>> safe_cell("=HYPERLINK(0)"), safe_cell(Decimal("-3.50")), safe_cell(None), safe_cell(" =1")
    ("'=HYPERLINK(0)", '-3.50', '', "' =1")
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case datetime() | date():
            return value.isoformat()
    text = str(value)
    if text.lstrip(" \u00a0\u3000").startswith(DANGEROUS_STARTS) and not is_plain_number(text):
        return f"'{text}"
    return text
