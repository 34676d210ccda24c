"""Checks of texts and numbers for traces of faulty processing: wrong encodings, padding, binary fractions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any

from openholder.rehearsal.results import Rule

FLOAT_DIGITS = 16
"""The number of significant digits from which on a decimal may be a printed double."""

EXACT = Rule(
    name="exact-numbers",
    severity="error",
    expected="Numbers are exact decimals, without rounding errors of binary floating point.",
    why="The customer sees 0.30000000000000004 instead of the amount on the account.",
    reference="Consumer Data Standards 1.36.0, common field types; FDX API v6",
    how_to_fix="Keep amounts as decimals from the database to the response.",
    example="GET …/balances: $.available: a number with 17 digits",
)
ENCODING = Rule(
    name="text-encoding",
    severity="error",
    expected="Texts have the characters that they were written with: é, not its two bytes read as Latin-1.",
    why="Customers see garbled names, and recipients cannot match them.",
    reference="RFC 8259 section 8.1: JSON is UTF-8",
    how_to_fix="Read files and tables in their own encoding, and encode to UTF-8 once.",
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[].description: text that was decoded with the"
    " wrong encoding",
)
CLEAN = Rule(
    name="clean-text",
    severity="warning",
    expected="Texts are not empty and have no blanks at either end, no control characters and no HTML entities.",
    why="Padding, placeholders and markup for web pages are not part of the value.",
    reference="Consumer Data Standards, data quality (Privacy Safeguard 11)",
    how_to_fix="Trim the values of CHAR columns; decode HTML entities; omit empty values; use UTF-8 throughout.",
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[].description: an HTML entity",
)
_PERHAPS_EMPTY = ("reference", "payerReference")
"""Members for which the CDS want an empty string if the holder has nothing."""
_UNCLEAN = (
    ("an empty text", re.compile(r"\s*")),
    ("blanks at an end", re.compile(r"\s.*|.*\s", re.DOTALL)),
    ("control characters", re.compile(r".*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f].*", re.DOTALL)),
    ("a programming language's word for no value", re.compile(r"null|NULL|None|undefined|NaN|\[object \w+\]")),
    ("a question mark within a word", re.compile(r"[^/]*[^\W\d_]\?[^\W\d_][^/]*")),
    ("an HTML entity", re.compile(r".*&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,5}|#x[0-9a-f]{1,5});.*", re.DOTALL)),
)


def find_spoilt_values(content: Any) -> Iterator[tuple[Rule, str]]:
    """Yield the rule that a value breaks, and a text with its place, for every such value of a response."""
    for place, value in _walk_values(content, "$"):
        if place.startswith("$.links."):
            continue  # judged by the rules on pages
        if isinstance(value, str):
            if not value.isascii() and _is_garbled(value):
                yield ENCODING, f"{place}: text that was decoded with the wrong encoding"
            unclean = next((name for name, form in _UNCLEAN if form.fullmatch(value)), "")
            if not value and place.rpartition(".")[2] in _PERHAPS_EMPTY:
                continue
            if unclean:
                yield CLEAN, f"{place}: {unclean}"
        elif _is_printed_double(value):
            yield EXACT, f"{place}: a number with {len(value.as_tuple().digits)} digits"


def _walk_values(content: Any, place: str) -> Iterator[tuple[str, str | Decimal]]:
    """Yield the place and value of every text and every number with a fraction."""
    if isinstance(content, str | Decimal):
        yield place, content
    elif isinstance(content, dict):
        for name, value in content.items():
            yield from _walk_values(value, f"{place}.{name}")
    elif isinstance(content, list):
        for value in content:
            yield from _walk_values(value, f"{place}[]")


def _is_garbled(text: str) -> bool:
    """Return whether characters were lost, or UTF-8 was decoded as Latin-1 or Windows-1252.

    In the second case, encoding the text with the wrong encoding gives valid UTF-8 again.
    """
    return "\ufffd" in text or any(_is_utf8(text, encoding) for encoding in ("latin-1", "cp1252"))


def _is_utf8(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding).decode("utf-8")
    except UnicodeError:
        return False
    return True


def _is_printed_double(number: Decimal) -> bool:
    """Return whether a number is a shorter decimal with a binary rounding error, such as 1200.4999999999998."""
    if len(number.as_tuple().digits) < FLOAT_DIGITS:
        return False
    # Rounded to a few digits less, a decimal that was meant to be short becomes short again.
    shorter = Context(prec=FLOAT_DIGITS - 3).plus(number).normalize()
    return len(shorter.as_tuple().digits) < FLOAT_DIGITS - 5
