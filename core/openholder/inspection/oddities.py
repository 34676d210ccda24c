"""What is odd about a single value, whatever its member: rates above 100 %, days that stand for none, card numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from openholder.contract.conditions.kinds import CARD_NUMBER, is_card_number
from openholder.inspection.findings import Severity
from openholder.inspection.profile import find_sign

PAST = frozenset(
    {
        "creationDate",
        "executionDateTime",
        "issueDate",
        "lastDebitDateTime",
        "lodgementDate",
        "originalStartDate",
        "postingDateTime",
    }
)
"""Members with a time that has passed."""

_PLACEHOLDERS = ("0001-01-01", "1900-01-01", "1969-12-31", "1970-01-01", "9999-12-31")
_NOTHING = frozenset({"null", "none", "n/a", "nan", "nil", "undefined", "#n/a", "unknown", "tbd", "-"})
_NAMES = ("ame", "ames[]")
"""How members with names end. People are called Null."""
_MIS_DECODED = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\ufffd|\u00ef\u00bf\u00bd")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]+);")
_OWN_NUMBERS = ("accountNumber", "Id", "Ids[]", "crn")
"""How members with numbers and ids end, in which digits are what is wanted; the conditions ask `crn`."""


def judge_value(kind: str, path: str, value: Any, now: datetime) -> str:
    """Return what is odd about a single value, whatever its member; empty if nothing is."""
    match kind:
        case "rate":
            return "above-one" if abs(Decimal(value)) > 1 else ""
        case "amount":
            return "negative-zero" if value.startswith("-") and find_sign(value) == "zero" else ""
        case "day" | "time":
            if value.startswith(_PLACEHOLDERS):
                return "placeholder-date"
            is_past = path.rpartition(".")[2] in PAST
            return "in-future" if is_past and value[:10] > (now + timedelta(days=2)).date().isoformat() else ""
        case "text":
            return _judge_text(path, value)
    return ""


def _judge_text(path: str, value: str) -> str:
    if value != value.strip():
        return "padded"
    if value.lower() in _NOTHING and not path.endswith(_NAMES):
        return "placeholder"
    if _MIS_DECODED.search(value):
        return "mis-decoded"
    if _ENTITY.search(value):
        return "html"
    if not path.endswith(_OWN_NUMBERS) and any(is_card_number(found[0]) for found in CARD_NUMBER.finditer(value)):
        return "in-clear"
    return ""


class Oddity(NamedTuple):
    """What is said of an odd value."""

    severity: Severity
    wanted: str


ODDITIES: Mapping[str, Oddity] = {
    "above-one": Oddity("warning", "a rate of which 1 is 100 %: 4.5 % is 0.045"),
    "negative-zero": Oddity("note", "0.00 without a sign"),
    "placeholder-date": Oddity("warning", "no value, as NULL, where the day is not known"),
    "in-future": Oddity("warning", "a time that has passed: look at the order of day and month, and at the offset"),
    "padded": Oddity("note", "the text without blanks around it, as trim() makes it"),
    "placeholder": Oddity("warning", "no value, as NULL, instead of a word for it"),
    "mis-decoded": Oddity("warning", "the text as it was entered: UTF-8 was read as another encoding"),
    "html": Oddity("note", "plain text: & and not &amp;"),
    "in-clear": Oddity("warning", "the number masked, as xxxx xxxx xxxx 1234: this is a card number"),
}
