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
