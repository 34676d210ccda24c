"""JSON from outside, read without guessing.

Every boundary uses this one reader: token parts, request bodies, key sets, upstream answers, JSON columns.
RFC 8259 section 4 leaves repeated member names open and section 6 the range of numbers; readers that choose
silently are how two systems come to see two different messages.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from openholder.errors import UntrustedJSON

MAX_EXPONENT = 308
"""The largest power of ten of an IEEE 754 double: what every JSON reader can hold (RFC 8259 section 6)."""


MAX_DEPTH = 64
"""Arrays and objects within each other: several times what any record has. Interpreters differ in what they bear."""


def parse_json(document: bytes | str) -> Any:
    """Read one JSON document. Numbers with a fraction or exponent become `decimal.Decimal`, exactly as written.

    Refused with `UntrustedJSON`: anything but UTF-8, repeated member names, NaN and Infinity, numbers beyond the range
    of a double, lone surrogates, nesting deeper than `MAX_DEPTH`.
    """
    try:
        text = document.encode("utf-8").decode("utf-8") if isinstance(document, str) else document.decode("utf-8")
        value = _DECODER.decode(text)
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _refuse_deep(value)
        if "\\u" in text:
            _refuse_lone_surrogates(value)
    except UntrustedJSON:
        raise
    except (ValueError, ArithmeticError, RecursionError) as exc:
        raise UntrustedJSON("not well-formed JSON") from exc
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UntrustedJSON("a member name is repeated")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_EXPONENT:
        raise UntrustedJSON("a number is out of range")
    return int(text)


def _fraction(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_EXPONENT or len(text) > MAX_EXPONENT:
        raise UntrustedJSON("a number is out of range")
    return number


def _no_constant(name: str) -> NoReturn:
    raise UntrustedJSON(f"{name} is not JSON")


def _refuse_deep(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [member for container in level for member in _members_of(container)]
        if not level:
            return
    raise UntrustedJSON("nested too deep")


def _members_of(container: Any) -> list[Any]:
    """The arrays and objects that stand directly in an array or object."""
    values = container.values() if isinstance(container, dict) else container if isinstance(container, list) else ()
    return [value for value in values if isinstance(value, list | dict)]


def _refuse_lone_surrogates(value: Any) -> None:
    """``"\\ud800"`` is legal JSON and no Unicode text: it cannot be encoded, stored or logged."""
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, dict):
        for name, member in value.items():
            name.encode("utf-8")
            _refuse_lone_surrogates(member)
    elif isinstance(value, list):
        for item in value:
            _refuse_lone_surrogates(item)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_fraction, parse_constant=_no_constant
)
