"""Pages of a list: which one the query requests, and the links to the others."""

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
    """A page of a CDR list, by its number."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """The number of records on the pages before."""
        # No more than a 64-bit database integer can hold, whatever page number the caller made up.
        return min((self.number - 1) * self.size, 2**62)

    def check(self, total: int) -> None:
        """Raise `RequestError` if there is no such page. The first one always exists, even if it is empty."""
        pages = self._count_pages(total)
        if self.number > max(pages, 1):
            raise RequestError(ErrorKind.PAGE_INVALID, "page_out_of_range", detail=str(pages))

    def members(self, total: int, filters: Mapping[str, str], base: str | None) -> dict[str, Any]:
        """Return ``links`` and ``meta``. Links are full URIs if there is a ``base``, otherwise query strings.

        CDS 1.36.0, pagination: first and prev are absent on the first page, next and last on the last one.
        """
        pages = self._count_pages(total)
        numbers = {"self": self.number} if base else {}
        if self.number > 1:
            numbers |= {"first": 1, "prev": self.number - 1}
        if self.number < pages:
            numbers |= {"next": self.number + 1, "last": pages}
        prefix = f"{base}?page=" if base else "page="
        suffix = f"&page-size={self.size}"
        if filters:
            suffix += "&" + urlencode(filters, quote_via=quote, safe="")
        links = {name: f"{prefix}{number}{suffix}" for name, number in numbers.items()}
        return {"links": links, "meta": {"totalRecords": total, "totalPages": pages}}

    def _count_pages(self, total: int) -> int:
        return -(-total // self.size)  # rounded up


def read_page(fields: Mapping[str, str]) -> tuple[PageRequest, list[RequestError]]:
    """Return the page that the query requests, and what is wrong with the request."""
    errors = []
    number = _read_positive(fields.get("page", "1"))
    size = _read_positive(fields.get("page-size", str(DEFAULT_SIZE)))
    if not number:
        errors.append(RequestError(ErrorKind.FIELD_INVALID, "page_invalid", detail="page"))
    if not size:
        errors.append(RequestError(ErrorKind.FIELD_INVALID, "page_size_invalid", detail="page-size"))
    elif size > MAX_SIZE:
        errors.append(RequestError(ErrorKind.PAGE_SIZE_INVALID, "page_size_too_large", detail="page-size"))
    return PageRequest(number or 1, size or 1), errors


def read_limit(fields: Mapping[str, str]) -> tuple[int, list[RequestError]]:
    """Return the number of elements that an FDX query requests, at most `MAX_SIZE`, and what is wrong with it."""
    limit = _read_positive(fields.get("limit", str(DEFAULT_SIZE)))
    if not limit:
        return DEFAULT_SIZE, [RequestError(ErrorKind.FIELD_INVALID, "limit_invalid", detail="limit")]
    return min(limit, MAX_SIZE), []


def _read_positive(text: str) -> int:
    """Read a whole number from 1 up; return 0 for anything else."""
    return int(text) if _WHOLE.fullmatch(text) else 0
