"""What a fault says of the exception of a library: its text only if that quotes nothing of the data."""

from __future__ import annotations

import pytest

from openholder import SourceFault, describe

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
