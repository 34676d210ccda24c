"""The headers of a request, as Tornado's `HTTPHeaders`, made from what the parser has already checked."""

from __future__ import annotations

from functools import lru_cache

from tornado.httputil import HTTPHeaders


class RequestHeaders(HTTPHeaders):
    """The same as `HTTPHeaders.parse` gives, without its two regular expressions a line.

    Args:
        fields: The values by name, spelt as by `spell`.
    """

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self.fields = self._as_list = fields
        self._combined_cache = {}


@lru_cache(1000)
def spell(name: bytes) -> str:
    """Spell a name as `HTTPHeaders` does: ``Content-Type``."""
    return "-".join(word.capitalize() for word in name.decode("latin-1").split("-"))
