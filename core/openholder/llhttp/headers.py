"""The headers of a request, as Tornado's `HTTPHeaders`, made from what the parser has already checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from tornado.httputil import HTTPHeaders


class RequestHeaders(HTTPHeaders):
    """The same as `HTTPHeaders.parse` gives, without its two regular expressions a line."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        fields: dict[str, list[str]] = {}
        self._as_list = fields
        self._combined_cache = {}
        for name, value in pairs:
            # llhttp leaves the white space behind a value.
            text = value.decode("latin-1").rstrip(" \t")
            known = spell(name)
            if known in fields:
                fields[known].append(text)
            else:
                fields[known] = [text]


@lru_cache(1000)
def spell(name: bytes) -> str:
    """Spell a name as `HTTPHeaders` does: ``Content-Type``."""
    return "-".join(word.capitalize() for word in name.decode("latin-1").split("-"))
