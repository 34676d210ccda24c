"""What is checked before the token: the media types that are sent and accepted, and the size of the body."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tornado.httputil import HTTPHeaders

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import MAX_BODY
from openholder.contract.operations import Operation

_JSON_BODY = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE | re.ASCII)

MAX_ACCEPT = 1000
"""Characters of an ``Accept`` header that is read. Those of browsers have a few hundred."""


def check_preconditions(operation: Operation, headers: HTTPHeaders) -> None:
    """Raise `RequestError` for an answer that the caller does not accept, or a body that the server does not."""
    media = operation.reply.media
    if not _accepts(media, headers):
        raise RequestError(ErrorKind.NOT_ACCEPTABLE, "not_acceptable", detail=f"answers are {media}")
    if operation.method != "POST":
        return
    kind = headers.get("Content-Type", "")
    encoding = headers.get("Content-Encoding", "identity").lower()
    if not _JSON_BODY.fullmatch(kind) or encoding != "identity":
        raise RequestError(ErrorKind.BODY_NOT_JSON, "body_not_json")


def announces_too_much(headers: HTTPHeaders) -> bool:
    """Tell whether Content-Length is more than `MAX_BODY`. Tornado itself refuses what is not a number."""
    length = headers.get("Content-Length", "")
    return length.isascii() and length.isdecimal() and (len(length) > 9 or int(length) > MAX_BODY)


def _accepts(media: str, headers: HTTPHeaders) -> bool:
    """Apply RFC 9110 section 12.5.1: no Accept means anything; the most specific range that matches decides."""
    accept = headers.get("Accept", "")
    if len(accept) > MAX_ACCEPT:  # the header may be disregarded, and reading thousands of ranges takes milliseconds
        return True
    weights = dict(_parse_ranges(accept))
    for wanted in (media, media.partition("/")[0] + "/*", "*/*"):
        if wanted in weights:
            return weights[wanted] > 0
    return not weights


def _parse_ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in filter(None, (part.strip() for part in accept.lower().split(","))):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        yield media, float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight, re.ASCII) else 0.0
