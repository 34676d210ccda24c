"""Headers at less cost than Tornado's `HTTPHeaders`, and with its interface: those of a request, those of an answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tornado.httputil import HTTPHeaders, format_timestamp

JSON_UTF8 = "application/json; charset=UTF-8"


class RequestHeaders(HTTPHeaders):
    """The same as `HTTPHeaders.parse` gives, without its two regular expressions a line.

    Args:
        fields: What a parser has checked: the values by name, spelt as by `spell`.
    """

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self.fields = self._as_list = fields
        self._combined_cache = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a header, the values of several lines with commas between them."""
        values = self.fields.get(key) or self.fields.get(_respell(key))
        if not values:
            return default
        return values[0] if len(values) == 1 else ",".join(values)


@lru_cache(1000)
def spell(name: bytes) -> str:
    """Spell a name as `HTTPHeaders` does: ``Content-Type``."""
    return _respell(name.decode("latin-1"))


@lru_cache(1000)
def _respell(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))


class AnswerHeaders(HTTPHeaders):
    """Headers that are lines already: Tornado's `HTTPHeaders` encodes each of each answer anew.

    Args:
        content_type: The media type of the body.
        interaction_id: The ``x-fapi-interaction-id``, a UUID.
        length: The length of the body.
        more: Further headers, with nothing in them that the caller has sent.
        close: Whether the connection is closed after the answer.
    """

    def __init__(
        self,
        content_type: str,
        interaction_id: str,
        length: int,
        more: Mapping[str, str] | None = None,
        *,
        close: bool = False,
    ) -> None:
        self.close = close
        self.lines = (
            f"Content-Type: {content_type}\r\n"
            "Cache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            f"x-fapi-interaction-id: {interaction_id}\r\n"
            f"Date: {_format_date(int(time.time()))}\r\n"
            f"Content-Length: {length}\r\n"
        )
        if more:
            self.lines += "".join(f"{name}: {value}\r\n" for name, value in more.items())

    def unfold(self) -> HTTPHeaders:
        """Return the same headers one by one, for Tornado."""
        headers = HTTPHeaders.parse(self.lines)
        if self.close:
            headers["Connection"] = "close"
        return headers


@lru_cache(2)
def _format_date(seconds: int) -> str:
    return format_timestamp(seconds)
