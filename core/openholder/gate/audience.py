"""The audience: a token is valid for exactly the requested URI."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from openholder.gate.reasons import Reason, Refused

_DEFAULT_PORTS = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]", re.ASCII)


def check_audience(claims: Mapping[str, Any], accepted: Collection[str], *, normalise: bool) -> None:
    """Check that ``aud`` is exactly one of the accepted URIs.

    A token with a second audience could be used elsewhere. Near misses have their own reasons, so that a roll-out shows
    at once how the other side writes its URIs.

    Raises:
        Refused: ``aud`` is absent, has several values or is a different URI.
    """
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        (audience,) = audience
    if not isinstance(audience, str):
        raise Refused(Reason.AUDIENCE_WRONG)
    if audience in accepted:
        return
    normalised = {normalise_uri(uri) for uri in accepted}
    if normalise_uri(audience) in normalised:
        if normalise:
            return
        raise Refused(Reason.AUDIENCE_NOT_EXACT)
    if audience.partition("?")[0] in accepted:
        raise Refused(Reason.AUDIENCE_WITH_QUERY)
    # RFC 3986 section 2.2: `%40` and `@` are not the same URI. But it shows that one side escapes ids in another way.
    if _decode_all(normalise_uri(audience)) in set(map(_decode_all, normalised)):
        raise Refused(Reason.AUDIENCE_OTHER_ESCAPES)
    raise Refused(Reason.AUDIENCE_WRONG)


def normalise_uri(uri: str) -> str:
    """Normalise letter case, unnecessary escapes and the default port (RFC 3986 sections 6.2.2.1, 6.2.2.2, 6.2.3).

    Dot segments and slashes stay: paths are routed unchanged, so different dots and slashes are a different resource.
    """
    if not _PRINTABLE.fullmatch(uri):  # urlsplit silently drops tabs and line feeds
        return uri
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return uri
    if not parts.hostname or parts.username is not None:
        return uri
    host = parts.hostname if port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{parts.hostname}:{port}"
    tail = uri.partition("//")[2].removeprefix(parts.netloc)
    return f"{parts.scheme.lower()}://{host}{_ESCAPE.sub(_decode_unreserved, tail)}"


def _decode_all(uri: str) -> str:
    """Decode every escape, which makes different URIs one: good for nothing but a reason."""
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), uri)


def _decode_unreserved(escape: re.Match[str]) -> str:
    """Decode an escaped unreserved character; any other escape keeps its place with upper-case hex digits."""
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else f"%{escape[1].upper()}"
