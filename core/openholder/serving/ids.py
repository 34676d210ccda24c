"""Ids in a path, checked against an allow-list before anything is done with them.

Nothing else ever becomes part of a query, an upstream URL or a log line, so no source has to defend itself against
``..``, ``%``, NUL or a right-to-left override.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import MAX_ID


def compile_id_pattern(more: str = "") -> re.Pattern[str]:
    """Compile what an id may be: the unreserved characters of RFC 3986 (letters, digits, ``._~-``), and ``more``."""
    return re.compile(rf"[A-Za-z0-9._~\-{re.escape(more)}]{{1,{MAX_ID}}}")


def find_id_mistake(text: str, pattern: re.Pattern[str]) -> str:
    """Say why no request can have an id; return an empty text if one can."""
    if len(text) > MAX_ID:
        return f"an id has {len(text)} characters; at most {MAX_ID} are allowed"
    if text in {".", ".."}:
        return "an id is . or .., which clients remove from a path"
    return (
        "" if pattern.fullmatch(text) else "an id has a character that `id_characters` does not allow, or none at all"
    )


def read_ids(raw: Mapping[str, bytes], pattern: re.Pattern[str]) -> dict[str, str]:
    """Read the ids in the path, which were percent-decoded once.

    Raises:
        RequestError: An id that no data holder can have: 404, as for one that does not exist.
    """
    ids = {}
    for name, value in raw.items():
        kind = ErrorKind.ACCOUNT_UNKNOWN if name == "accountId" else ErrorKind.RECORD_UNKNOWN
        try:
            ids[name] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise RequestError(kind, "id_malformed") from None
        if not pattern.fullmatch(ids[name]) or ids[name] in {".", ".."}:
            raise RequestError(kind, "id_malformed")
    return ids
