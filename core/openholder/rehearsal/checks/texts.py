"""What texts and numbers tell of the way they came: signs read in the wrong encoding, padding, binary fractions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any

from openholder.rehearsal.results import Rule

FLOAT_DIGITS = 16
"""From so many digits on, a double shows what it is."""

EXACT = Rule(
    name="exact-numbers",
    severity="error",
    expected="Numbers are exact decimals, without the traces of binary floating point.",
    why="0.30000000000000004 is not what stands on the account.",
    reference="Consumer Data Standards 1.36.0, common field types; FDX API v6",
    how_to_fix="Keep money in decimals from the database to the answer.",
)
ENCODING = Rule(
    name="text-encoding",
    severity="error",
    expected="Texts have the signs that they were written with: é, not the two that its bytes are in Latin-1.",
    why="Customers see their own names garbled, and recipients match them with nothing.",
    reference="RFC 8259 section 8.1: JSON is UTF-8",
    how_to_fix="Read files and tables in the encoding that they have, and write UTF-8 once.",
)
CLEAN = Rule(
    name="clean-text",
    severity="warning",
    expected="Texts have no blanks at their ends, no control characters and no HTML entities, and are not empty.",
    why="What fills a column of fixed width, stands for nothing, or was written for a web page is not what the customer"
    " calls it.",
    reference="Consumer Data Standards, data quality (Privacy Safeguard 11)",
    how_to_fix="Trim the values of CHAR columns; decode HTML entities; leave out empty values; use UTF-8 throughout.",
)
_UNCLEAN = (
    ("empty", re.compile(r"\s*")),
    ("blanks at an end", re.compile(r"\s.*|.*\s", re.DOTALL)),
    ("control characters", re.compile(r".*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f].*", re.DOTALL)),
    ("a word of a programming language for nothing", re.compile(r"null|NULL|None|undefined|NaN|\[object \w+\]")),
    ("a question mark within a word", re.compile(r"[^/]*[^\W\d_]\?[^\W\d_][^/]*")),
    ("an HTML entity", re.compile(r".*&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,5}|#x[0-9a-f]{1,5});.*", re.DOTALL)),
)


def check_texts(content: Any) -> Iterator[tuple[Rule, str]]:
    """The rule that a value breaks, and where, for each of the values of an answer."""
    for place, value in _values(content, "$"):
        if isinstance(value, str):
            yield from ((rule, f"{place}: {came}") for rule, came in _in_text(value))
        elif _binary(value):
            yield EXACT, f"{place}: a number with {len(value.as_tuple().digits)} digits"


def _values(content: Any, place: str) -> Iterator[tuple[str, str | Decimal]]:
    """Every text and every number with a fraction, and where it stands."""
    if isinstance(content, str | Decimal):
        yield place, content
    elif isinstance(content, dict):
        for name, value in content.items():
            yield from _values(value, f"{place}.{name}")
    elif isinstance(content, list):
        for value in content:
            yield from _values(value, f"{place}[]")


def _in_text(text: str) -> Iterator[tuple[Rule, str]]:
    if not text.isascii() and _garbled(text):
        yield ENCODING, "text that was read in another encoding than it was written in"
    came = next((name for name, form in _UNCLEAN if form.fullmatch(text)), "")
    if came:
        yield CLEAN, came


def _garbled(text: str) -> bool:
    """Whether signs were lost, or the bytes of UTF-8 taken for Latin-1 or Windows-1252: they are UTF-8 still."""
    return "\ufffd" in text or any(_is_utf8(text, encoding) for encoding in ("latin-1", "cp1252"))


def _is_utf8(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding).decode("utf-8")
    except UnicodeError:
        return False
    return True


def _binary(number: Decimal) -> bool:
    """Whether binary floating point made it of a shorter one: 0.30000000000000004, 1200.4999999999998."""
    if len(number.as_tuple().digits) < FLOAT_DIGITS:
        return False
    shorter = Context(prec=FLOAT_DIGITS - 3).plus(number).normalize()
    return len(shorter.as_tuple().digits) < FLOAT_DIGITS - 5
