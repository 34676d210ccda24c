"""Pages of a list: what the query asks for, and what the answer says of the others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import DEFAULT_SIZE, MAX_SIZE

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of a list of the CDR, by its number."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """Records on the pages before; no more than a database can count."""
        return min((self.number - 1) * self.size, 2**62)

    def check(self, total: int) -> None:
        """Raise `RequestError` where there is no such page. The first one always is there, if only empty."""
        pages = self._pages(total)
        if self.number > max(pages, 1):
            raise RequestError(ErrorKind.PAGE_INVALID, "page_out_of_range", detail=str(pages))

    def members(self, total: int, filters: Mapping[str, str], base: str | None) -> dict[str, Any]:
        """``links`` and ``meta``. Links are full URIs with a ``base``, otherwise query strings that Fiskil completes.

        CDS 1.36.0, pagination: first and prev are absent on the first page, next and last on the last one.
        """
        pages = self._pages(total)
        numbers = {"self": self.number} if base else {}
        if self.number > 1:
            numbers |= {"first": 1, "prev": self.number - 1}
        if self.number < pages:
            numbers |= {"next": self.number + 1, "last": pages}
        links = {name: self._link(number, filters, base) for name, number in numbers.items()}
        return {"links": links, "meta": {"totalRecords": total, "totalPages": pages}}

    def _pages(self, total: int) -> int:
        return -(-total // self.size)

    def _link(self, number: int, filters: Mapping[str, str], base: str | None) -> str:
        query = urlencode({"page": number, "page-size": self.size, **filters}, quote_via=quote, safe="")
        return f"{base}?{query}" if base else query


def read_page(fields: Mapping[str, str]) -> tuple[PageRequest, list[RequestError]]:
    """The page that the query asks for, and what is wrong with it."""
    problems = []
    number, size = _whole(fields.get("page", "1")), _whole(fields.get("page-size", str(DEFAULT_SIZE)))
    if not number:
        problems.append(RequestError(ErrorKind.FIELD_INVALID, "page_invalid", detail="page"))
    if not size:
        problems.append(RequestError(ErrorKind.FIELD_INVALID, "page_size_invalid", detail="page-size"))
    elif size > MAX_SIZE:
        problems.append(RequestError(ErrorKind.PAGE_SIZE_INVALID, "page_size_too_large", detail="page-size"))
    return PageRequest(number or 1, size or 1), problems


def read_limit(fields: Mapping[str, str]) -> tuple[int, list[RequestError]]:
    """The number of elements that an FDX query asks for; one above `MAX_SIZE` is read as that."""
    limit = _whole(fields.get("limit", str(DEFAULT_SIZE)))
    if not limit:
        return DEFAULT_SIZE, [RequestError(ErrorKind.FIELD_INVALID, "limit_invalid", detail="limit")]
    return min(limit, MAX_SIZE), []


def _whole(text: str) -> int:
    """A whole number from 1; 0 for anything else."""
    return int(text) if _WHOLE.fullmatch(text) else 0
