"""The form of a token, checked before any cryptography: RFC 7515 compact serialisation, read strictly.

PyJWT accepts padding, repeated members and non-canonical base64url. Each of them allows several spellings of one token.
"""

from __future__ import annotations

import re
import string
from binascii import a2b_base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from openholder.errors import UntrustedJSON
from openholder.gate.reasons import Reason, Refused
from openholder.strict_json import parse_json

MAX_TOKEN = 8192
"""Characters: several times what Fiskil sends, and less than a header line may have."""
MAX_KID = 256
"""Characters of a key id."""

_ALPHABET = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_").encode()
_LAST_CHARACTERS = (_ALPHABET, _ALPHABET[::4], _ALPHABET[::16])
"""What may come last, by the number of padding characters: the last two bits, or four, have to be zero."""
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)


@dataclass(slots=True)
class Token:
    """A well-formed token whose signature and claims have not been checked yet."""

    algorithm: str
    kid: str
    printable_kid: str
    """The beginning of the kid for logs: callers choose it, and it could contain line breaks or terminal escapes."""
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def read_bearer(headers: Sequence[str]) -> str:
    """Read the token from the Authorization headers, of which there must be exactly one (RFC 6750 section 2.1).

    Tornado joins repeated headers with a comma if they are read as one value, so this takes the list of all values.
    """
    if len(headers) > 1:
        raise Refused(Reason.NOT_ONE_TOKEN)
    scheme, _, token = (headers[0] if headers else "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(Reason.NO_TOKEN)
    token = token.lstrip(" ")
    if not token:
        raise Refused(Reason.EMPTY_TOKEN)
    if " " in token or "," in token:
        raise Refused(Reason.NOT_ONE_TOKEN)
    return token


def parse_token(text: str, algorithms: Collection[str], types: Collection[str]) -> Token:
    """Parse a signed JWT without verifying it. Raises `Refused` if it is not well-formed."""
    if len(text) > MAX_TOKEN:
        raise Refused(Reason.TOKEN_TOO_LONG)
    parts = _COMPACT.fullmatch(text)
    if parts is None:
        raise Refused(Reason.NOT_COMPACT_JWS)
    header, payload, signature = parts[1], parts[2].encode("ascii"), parts[3].encode("ascii")
    algorithm, kid, printable_kid = _read_header(header, tuple(algorithms), tuple(types))
    claims = _parse_object(_decode_base64url(payload), Reason.PAYLOAD_NOT_JSON)
    signed = text[: -len(signature) - 1].encode("ascii")
    return Token(algorithm, kid, printable_kid, claims, signed, _decode_base64url(signature))


def _decode_base64url(part: bytes) -> bytes:
    """Decode base64url; refuse spellings that no encoder produces (RFC 4648 section 3.5).

    ``part`` has characters of the alphabet only. So it is canonical if its last character has no bits that are unused.
    """
    padding = -len(part) % 4
    if padding == 3 or part[-1] not in _LAST_CHARACTERS[padding]:
        raise Refused(Reason.NOT_CANONICAL_BASE64URL)
    try:
        return a2b_base64(part.translate(_TO_BASE64) + b"=" * padding, strict_mode=True)
    except ValueError:
        raise Refused(Reason.NOT_CANONICAL_BASE64URL) from None


def _parse_object(document: bytes, reason: Reason) -> dict[str, Any]:
    try:
        value = parse_json(document)
    except UntrustedJSON:
        raise Refused(reason) from None
    if not isinstance(value, dict):
        raise Refused(reason)
    return value


@lru_cache(maxsize=64)
def _read_header(part: str, algorithms: tuple[str, ...], types: tuple[str, ...]) -> tuple[str, str, str]:
    """Read the algorithm and key id of a JOSE header, and the key id for logs.

    Unknown members are ignored (RFC 7515 section 4). Cached, because the headers of all tokens that one key signs are
    the same bytes. Refusals are not.
    """
    header = _parse_object(_decode_base64url(part.encode("ascii")), Reason.HEADER_NOT_JSON)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise Refused(Reason.ALGORITHM_NOT_ALLOWED)
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        raise Refused(Reason.KID_MALFORMED)
    if "crit" in header:
        # No extension is supported here, so RFC 7515 section 4.1.11 requires rejection.
        raise Refused(Reason.CRITICAL_EXTENSION)
    # Case is ignored, and the prefix application/ is optional (RFC 7515 section 4.1.9).
    if "typ" in header:
        kind, allowed = header["typ"], {name.lower() for name in types}
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in allowed:
            raise Refused(Reason.TYPE_NOT_ALLOWED)
    return algorithm, kid, re.sub(r"[^ -~]", "?", kid[:32])
