"""Responses of an upstream: their JSON, and which of them mean that there is nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openholder import SourceFault, UntrustedJSON, parse_json

NULL, ABSENT = "null", "absent"
"""Words of `nothing`: null in place of the records, and no member in which they should be."""
OUTAGES = frozenset({401, 408, 429})
"""Statuses below 500 that say something about the caller or the upstream, never about a record."""
_CHARSET = re.compile(r"[A-Za-z0-9._:+-]{1,40}")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A body of JSON, or a document, and the headers that say something about a list."""

    body: bytes
    charset: str = ""
    """That of the Content-Type, which does not change how JSON is read (RFC 8259 section 11)."""
    link: str = ""
    content_range: str = ""
    total: str = ""
    """``X-Total-Count``."""


def parse_body(response: UpstreamResponse) -> Any:
    """Parse the JSON of a response. A `SourceFault` says what is wrong with it, or with its encoding."""
    try:
        return parse_json(response.body)
    except UntrustedJSON as exc:
        encoding = _find_encoding(response)
        raise SourceFault(f"upstream response {encoding}" if encoding else f"upstream response: {exc}") from exc


def _find_encoding(response: UpstreamResponse) -> str:
    """Say in which encoding a body probably is, if not in UTF-8 without a byte order mark (RFC 8259 section 8.1)."""
    body = response.body
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            return f"begins with the byte order mark of {encoding}; have it sent as UTF-8 without one"
    if b"\x00" in body[:4]:
        return "looks like UTF-16; have it sent as UTF-8"
    try:
        body.decode()
    except UnicodeDecodeError:
        is_named = _CHARSET.fullmatch(response.charset)
        declared = f", as its charset {response.charset} says" if is_named else "; is it Latin-1?"
        return f"is not UTF-8{declared}; have it sent as UTF-8"
    return ""


def find_value(parsed: Any, pointer: str) -> Any:
    """Return the value at a dotted pointer, such as ``data.items``. Raises `LookupError` if there is none."""
    for name in filter(None, pointer.split(".")):
        if not isinstance(parsed, dict):
            raise LookupError
        parsed = parsed[name]
    return parsed


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A member whose text, together with a status, means that there is nothing: ``{"code": "CUST-404"}``."""

    member: str
    value: str

    def is_in(self, parsed: Any) -> bool:
        """Tell whether a response has exactly this text, or a whole number that is written like it."""
        try:
            found = find_value(parsed, self.member)
        except LookupError:
            return False
        return isinstance(found, str | int) and not isinstance(found, bool) and str(found) == self.value


@dataclass(frozen=True, slots=True)
class Nothing:
    """Which responses mean that the upstream has no such record, or no records."""

    statuses: frozenset[int] = frozenset({404})
    words: frozenset[str] = frozenset()
    codes: Mapping[int, tuple[ErrorCode, ...]] = field(default_factory=dict)
    """For a status, the codes of which one must be in the response."""

    def has_code(self, status: int, parsed: Any) -> bool:
        """Tell whether a response with that status has one of its codes."""
        return any(code.is_in(parsed) for code in self.codes.get(status, ()))


_FORM = f'must be a list of statuses such as 404, of "{NULL}" and "{ABSENT}", and of {{ status, member, value }}'


def parse_nothing(value: Any) -> Any:
    """Parse the setting ``nothing``. Raises `ValueError`."""
    if isinstance(value, Nothing):
        return value
    if not isinstance(value, list):
        raise ValueError(_FORM)
    statuses, words, codes = set(), set(), dict[int, tuple[ErrorCode, ...]]()
    for entry in value:
        match entry:
            case "null" | "absent":
                words.add(entry)
            case int() if not isinstance(entry, bool):
                if entry != 204 and (not 400 <= entry < 500 or entry in OUTAGES):
                    raise ValueError(
                        f"{entry} alone cannot mean nothing; allowed are 204 and 400 to 499 except "
                        f"{', '.join(map(str, sorted(OUTAGES)))}; other statuses need a member and value"
                    )
                statuses.add(entry)
            case {"status": int(status), "member": str(member), "value": str(text), **more} if not more and member:
                if status != 200 and (not 400 <= status < 600 or status in {*OUTAGES, 503}):
                    raise ValueError(f"{status} with a member cannot mean nothing; allowed are 200 and 400 to 599")
                codes[status] = (*codes.get(status, ()), ErrorCode(member, text))
            case _:
                raise ValueError(_FORM)
    return Nothing(frozenset(statuses), frozenset(words), codes)
