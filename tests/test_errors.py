"""What a fault says of a value, and of the exception of a library: nothing that quotes the data."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest

from openholder import SourceFault, describe, name_found

SAFE = (r"no such (table|column): \S+", "interrupted")


def caught(exc: Exception) -> Exception:
    try:
        raise exc
    except Exception as raised:
        return raised


@pytest.mark.parametrize("text", ["no such table: customers", "no such column: x", "interrupted"])
def test_a_text_of_a_safe_form_is_repeated(text):
    assert describe(caught(ValueError(text)), SAFE) == text


@pytest.mark.parametrize(
    "text",
    [
        "JSON path error near 'SECRET'",
        "no such table: a SECRET",
        "interrupted SECRET",
        "SECRET interrupted",
        "interrupted\nSECRET",
        "no such table: x\n",
        "",
    ],
)
def test_any_other_text_is_replaced_by_the_type_and_the_place(text):
    assert describe(caught(ValueError(text)), SAFE).startswith("ValueError at test_errors.py:")


def test_without_safe_forms_no_text_is_repeated():
    assert describe(caught(ValueError("interrupted"))).startswith("ValueError at test_errors.py:")


def test_the_message_of_a_fault_has_nothing_of_its_row():
    fault = SourceFault("a value is not UTF-8", row={"id": "SECRET"})
    assert (str(fault), fault.record) == ("a value is not UTF-8", "")
    assert "SECRET" not in repr(fault)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "no value"),
        ("", "an empty text"),
        (" \t", "a text of blanks"),
        ("2026-10-01", "a day without a time"),
        ("2026-10-01 09:30", "a time without an offset"),
        ("2026-10-01T09:30:00Z", "text"),
        ("SECRET", "text"),
        (True, "true or false"),
        (12, "a whole number"),
        (0.5, "a floating-point number"),
        (Decimal("0.5"), "a decimal number"),
        (datetime(2026, 10, 1, tzinfo=UTC), "a date-time"),
        (date(2026, 10, 1), "a date"),
        (time(9, 30), "a time of day"),
        (b"SECRET", "bytes"),
        (memoryview(b"SECRET"), "bytes"),
        ({"SECRET": 1}, "an object"),
        (["SECRET"], "a list"),
        (("SECRET",), "a list"),
        (UUID(int=7), "a value of the type UUID"),
    ],
)
def test_a_value_is_named_in_words_and_never_repeated(value, name):
    assert name_found(value) == name
