"""What is checked before the token: the media types that are sent and accepted, and the size of the body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tornado.httputil import HTTPHeaders

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.operations import Operation

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = rf'({_WORD})=({_WORD}|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*+")'
_JSON_BODY = re.compile(rf"application/json(?:[ \t]*+;[ \t]*+(?:{_PARAMETER})?+)*+[ \t]*+", re.IGNORECASE)
"""RFC 9110 sections 5.6.6 and 8.3.1: parameters of any name, of which some may be empty."""
_PARAMETERS = re.compile(rf";[ \t]*+{_PARAMETER}", re.IGNORECASE)
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
"""JSON is UTF-8 whatever its parameters say (RFC 8259 section 11). One that contradicts that is refused."""
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)

MAX_FIELD = 1000
"""Characters of ``Accept`` and ``Content-Type`` that are read. Browsers send a few hundred."""


def check_preconditions(operation: Operation, headers: HTTPHeaders) -> None:
    """Raise `RequestError` for an answer that the caller does not accept, or a body that the server does not."""
    media = operation.reply.media
    if not _accepts(media, headers.get("Accept", "")):
        raise RequestError(ErrorKind.NOT_ACCEPTABLE, "not_acceptable", detail=f"answers are {media}")
    if operation.method != "POST":
        return
    encoding = headers.get("Content-Encoding", "identity").lower()
    if not _is_json(headers.get("Content-Type", "")) or encoding != "identity":
        raise RequestError(ErrorKind.BODY_NOT_JSON, "body_not_json")


def announces_too_much(headers: HTTPHeaders, most: int) -> bool:
    """Tell whether Content-Length is more than allowed. Tornado itself refuses what is not a number."""
    length = headers.get("Content-Length", "")
    return length.isascii() and length.isdecimal() and (len(length) > 9 or int(length) > most)


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    """Tell whether a body of that type is JSON in UTF-8."""
    if len(content_type) > MAX_FIELD or not _JSON_BODY.fullmatch(content_type):
        return False
    charsets = {
        value.strip('"').lower() for name, value in _PARAMETERS.findall(content_type) if name.lower() == "charset"
    }
    return charsets <= _CHARSETS


@lru_cache(maxsize=256)  # one caller always sends the same
def _accepts(media: str, accept: str) -> bool:
    """Apply RFC 9110 section 12.5.1: no Accept means anything; the most specific range that matches decides."""
    if len(accept) > MAX_FIELD:  # the header may be disregarded, and reading thousands of ranges takes milliseconds
        return True
    weights = dict(_parse_ranges(accept))
    for wanted in (media, media.partition("/")[0] + "/*", "*/*"):
        if wanted in weights:
            return weights[wanted] > 0
    return not weights


def _parse_ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield each range with its weight. A weight that cannot be read says nothing: it does not exclude the range."""
    for part in filter(None, (part.strip() for part in accept.lower().split(","))):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        # Java before version 19 sends "*" for everything if nothing else is set (JDK-8163921).
        yield "*/*" if media == "*" else media, float(weight) if _WEIGHT.fullmatch(weight) else 1.0
