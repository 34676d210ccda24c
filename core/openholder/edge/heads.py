"""The heads of requests that are accepted, whichever parser reads them.

Two parsers are lenient in different places. What is checked here is what one of them would let through: a request that
two readers could understand in two ways is refused by both transports alike (RFC 9112 section 11.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders, RequestStartLine

MAX_HEAD = 16_384
"""Bytes of a request's head."""
MAX_LINES = 500
"""Lines of a request's head."""
MAX_CHUNKING = 524_288
"""Bytes of a body in chunks that are not its content: sizes, extensions and trailers."""

LINGER = 2.0
"""Seconds for a caller to read the answer to a request that was not read to its end."""

USUAL_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"})
"""Methods that each parser knows. A line with one of them and a path is left to the parsers to check."""

_VERSIONS = frozenset({"HTTP/1.1", "HTTP/1.0"})
_MANY = 4 * MAX_LINES
"""Bytes without which there are not too many lines: the shortest is ``a:`` and its end."""
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_TARGET = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"([A-Za-z0-9\-._~!$&'()*+;=\[\]:]|%[0-9A-Fa-f]{2})*", re.ASCII)


class BadRequest(Exception):
    """A request that is refused before it reaches a delegate: its framing is broken, or not to be relied on."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def read_request_line(head: bytes) -> RequestStartLine:
    """Read the first line of a head. An absolute target becomes the path in it (RFC 9112 section 3.2.2).

    Raises:
        BadRequest: It is not three words with single spaces between them, or its version or target is not HTTP's.
    """
    words = head[: head.index(b"\r\n")].decode("latin-1").split(" ")
    if len(words) != 3:
        raise BadRequest("request_line")
    method, target, version = words
    if version not in _VERSIONS:
        raise BadRequest("http_version")
    if method not in USUAL_METHODS or target[:1] != "/" or not target.isascii():
        if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
            raise BadRequest("request_line")
        if target[0] != "/" and target != "*" and method != "CONNECT":
            target = _find_path(target)
    return RequestStartLine(method, target, version)


def _find_path(target: str) -> str:
    scheme, separator, rest = target.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if scheme.lower() not in {"http", "https"} or not separator or not authority or not is_host(authority):
        raise BadRequest("request_target")
    path = rest[len(authority) :]
    return path if path.startswith("/") else f"/{path}"


def check_head(head: bytes, version: str, fields: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the connection stays open after the answer (RFC 9112 section 9.3).

    Args:
        head: The head as it came.
        version: The version in its first line.
        fields: Its headers, by names such as ``Content-Length``.

    Raises:
        BadRequest: The headers leave open whom or how much they are about.
    """
    if len(head) > _MANY and head.count(b"\n") > MAX_LINES:
        raise BadRequest("too_many_headers", 431)
    hosts = fields.get("Host", ())
    if not is_host(hosts[0]) if len(hosts) == 1 else hosts or version == "HTTP/1.1":
        raise BadRequest("host")
    if "Transfer-Encoding" in fields or "Content-Length" in fields:
        _check_framing(version, fields.get("Content-Length", ()), fields.get("Transfer-Encoding", ()))
    if "Connection" not in fields and "Proxy-Connection" not in fields:
        return version == "HTTP/1.1"
    options = ",".join([*fields.get("Connection", ()), *fields.get("Proxy-Connection", ())])
    tokens = {token.strip(" \t") for token in options.lower().split(",")}
    return "close" not in tokens and (version == "HTTP/1.1" or "keep-alive" in tokens)


def _check_framing(version: str, lengths: Sequence[str], codings: Sequence[str]) -> None:
    """Let pass one length in digits, or chunks alone: anything else is smuggling (RFC 9112 sections 6.1 and 6.3)."""
    if lengths and (codings or len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdecimal())):
        raise BadRequest("content_length")
    if lengths and len(lengths[0]) > 18:
        raise BadRequest("body_too_large", 413)
    if codings and (len(codings) > 1 or codings[0].lower() != "chunked" or version == "HTTP/1.0"):
        raise BadRequest("transfer_encoding")


def expects_continue(version: str, headers: HTTPHeaders) -> bool:
    """Return whether the sender of a body waits for the word to send it (RFC 9110 section 10.1.1)."""
    return version == "HTTP/1.1" and headers.get("Expect", "").lower() == "100-continue"


@lru_cache(1000)
def is_host(value: str) -> bool:
    """Return whether a Host header, or the authority of a URL, has the form of a host and a port."""
    if not _HOST.fullmatch(value):
        return False
    try:
        _ = urlsplit(f"//{value}").port
    except ValueError:
        return False
    return True
