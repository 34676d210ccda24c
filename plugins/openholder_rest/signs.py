"""What a response says about the length of its list: a total, or that there is more.

Upstreams cap their lists, and say so only beside them. A list that the upstream itself calls incomplete is not served.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from openholder_rest.responses import UpstreamResponse

TOTALS = frozenset({"count", "odatacount", "total", "totalcount", "totalelements", "totalfilteredrecords"})
TOTALS |= {"totalitems", "totalrecords", "totalresults", "totalsize"}
NEXT = frozenset({"next", "nextcursor", "nexthref", "nextlink", "nextpage", "nextpagetoken", "nexttoken", "nexturl"})
NEXT |= {"odatanextlink"}
MORE = frozenset({"hasmore", "hasnext", "hasnextpage", "more"})
LAST = frozenset({"islast", "last"})
"""Names of members, in lower case and without punctuation. `LAST` is a sign only if it is false."""
PARTS = frozenset({"links", "meta", "metadata", "page", "paging", "pagination"})
"""Objects in which some of them are: ``meta.totalRecords``, ``_links.next``."""
LINK, CONTENT_RANGE, TOTAL_COUNT = "Link", "Content-Range", "X-Total-Count"

_PUNCTUATION = re.compile(r"[^a-z0-9]")
_RANGE = re.compile(r"(?:[A-Za-z]+ )?(?:[0-9]{1,9}-[0-9]{1,9}|\*)/([0-9]{1,9})")
_LINK_VALUE = re.compile(r'<([^<>]*)>((?:[^,"]|"[^"]*")*)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def find_total(response: UpstreamResponse, parsed: Any, pointer: str, ignored: Set[str]) -> tuple[str, int] | None:
    """Return the number of records that the whole list has, and where the response says it. None if it does not."""
    if CONTENT_RANGE not in ignored and (found := _RANGE.fullmatch(response.content_range)):
        return CONTENT_RANGE, int(found[1])
    if TOTAL_COUNT not in ignored and (total := _read_count(response.total)) is not None:
        return TOTAL_COUNT, total
    for name, value in _walk_beside(parsed, pointer):
        if name not in ignored and _simplify(name) in TOTALS and (total := _read_count(value)) is not None:
            return name, total
    return None


def find_more(response: UpstreamResponse, parsed: Any, pointer: str, ignored: Set[str]) -> str:
    """Return where the response says that another page follows; empty if it does not."""
    if LINK not in ignored and find_next_link(response.link) is not None:
        return LINK
    for name, value in _walk_beside(parsed, pointer):
        if name not in ignored:
            simple = _simplify(name)
            if (simple in NEXT and _is_address(value)) or (simple in MORE and value is True):
                return name
            if simple in LAST and value is False:
                return name
    return ""


def find_next_link(header: str) -> str | None:
    """Return the first target of relation ``next`` in a ``Link`` header (RFC 8288 section 3)."""
    for target, parameters in _LINK_VALUE.findall(header):
        relation = _RELATION.search(parameters)
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            return str(target)
    return None


def _walk_beside(parsed: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of the objects around a list, and those of their parts. The list itself is not looked into."""
    for name in [*filter(None, pointer.split(".")), None]:
        if not isinstance(parsed, dict):
            return
        for member, value in parsed.items():
            if isinstance(value, dict) and member != name and _simplify(member) in PARTS:
                yield from value.items()
            else:
                yield member, value
        parsed = parsed.get(name)


def _simplify(name: str) -> str:
    return _PUNCTUATION.sub("", name.lower())


def _read_count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_address(value: Any) -> bool:
    """Tell whether a value names another page: a URL, a cursor, a number, or an object with a URL (HAL)."""
    if isinstance(value, dict):
        value = value.get("href")
    return isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", 0)
