"""Reads JSON from outside, and refuses what is ambiguous.

Everything from outside is read here: token parts, request bodies, key sets, upstream responses, JSON columns. RFC 8259
does not define the meaning of repeated member names (section 4) or the range of numbers (section 6). If two systems
choose differently, they see two different messages.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from openholder.errors import UntrustedJSON

MAX_EXPONENT = 308
"""The largest power of ten of an IEEE 754 double, which every JSON reader supports (RFC 8259 section 6)."""

MAX_DEPTH = 64
"""Levels of nested arrays and objects: several times what any record has. Interpreters have different limits."""


def parse_json(document: bytes | str) -> Any:
    """Read one JSON document, without rounding or guessing.

    Args:
        document: The document, as UTF-8 bytes or as text.

    Returns:
        Objects as `dict`, arrays as `list`. Numbers with a fraction or exponent as `decimal.Decimal`, exactly as
        written; others as `int`.

    Raises:
        UntrustedJSON: The document is malformed or not UTF-8; or it has repeated member names, NaN, Infinity, numbers
            beyond the range of a double, lone surrogates, or more than 64 levels of nesting. The message quotes no
            value.
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
    except UnicodeError:
        raise UntrustedJSON("not UTF-8, or not Unicode") from None
    except (ValueError, ArithmeticError, RecursionError) as exc:
        raise UntrustedJSON("not well-formed JSON") from exc
    return value


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UntrustedJSON("a member name is repeated")
    return members


def _parse_integer(text: str) -> int:
    if len(text) > MAX_EXPONENT:
        raise UntrustedJSON("a number is out of range")
    return int(text)


def _parse_decimal(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_EXPONENT or len(text) > MAX_EXPONENT:
        raise UntrustedJSON("a number is out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise UntrustedJSON(f"{name} is not JSON")


def _refuse_deep(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for container in level for inner in _list_containers(container)]
        if not level:
            return
    raise UntrustedJSON(f"nested deeper than {MAX_DEPTH} levels")


def _list_containers(container: Any) -> list[Any]:
    """Return the arrays and objects directly inside an array or object; none for any other value."""
    if isinstance(container, dict):
        values = list(container.values())
    elif isinstance(container, list):
        values = container
    else:
        values = []
    return [value for value in values if isinstance(value, list | dict)]


def _refuse_lone_surrogates(value: Any) -> None:
    """Raise for text such as ``"\\ud800"``: legal JSON, but not Unicode, so it cannot be encoded, stored or logged."""
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
    object_pairs_hook=_build_object,
    parse_int=_parse_integer,
    parse_float=_parse_decimal,
    parse_constant=_refuse_constant,
)
