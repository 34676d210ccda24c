"""Lists that an upstream returns in pages: all pages are fetched, or the list is a fault; never a part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator
from yarl import URL

from openholder import SourceFault, name_found
from openholder_rest.paths import has_dot_segment
from openholder_rest.responses import ABSENT, NULL, Nothing, UpstreamResponse, find_value, parse_body
from openholder_rest.signs import LINK, find_more, find_next_link, find_total

STYLES = {
    "page": frozenset({"parameter", "size_parameter", "size", "first"}),
    "offset": frozenset({"parameter", "size_parameter", "size"}),
    "next": frozenset({"parameter", "size_parameter", "size", "pointer"}),
}
"""The keys of each style, besides the common ones."""
COMMON = frozenset({"style", "collections", "max_pages", "max_records"})
_VISIBLE = re.compile(r"[!-~]+")


class PagingSettings(BaseModel):
    """``[sources.X.paging]``: how the upstream divides its lists into pages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    style: Literal["page", "offset", "next"]
    parameter: str = ""
    """The query parameter with the page number, offset or cursor: ``page`` or ``offset`` by default.

    For ``next`` without it, the value at ``pointer`` is the URL of the next page.
    """
    size_parameter: str = ""
    size: int | None = Field(default=None, ge=1, le=100_000)
    """Records of a full page. A page with fewer is the last one; without this setting, an empty page is the last."""
    first: int = Field(default=1, ge=0, le=1)
    pointer: str = ""
    """Where a response names the next page: ``links.next``, or ``Link`` for the header of that name (RFC 8288)."""
    collections: tuple[str, ...] = ()
    """The collections that are paged; empty if all are."""
    max_pages: int = Field(default=100, ge=1, le=10_000)
    max_records: int = Field(default=100_000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _check_style(self) -> Self:
        foreign = self.model_fields_set - STYLES[self.style] - COMMON
        if foreign:
            allowed = ", ".join(sorted(STYLES[self.style]))
            raise ValueError(f"{min(foreign)} does not apply to style {self.style!r}, which has {allowed}")
        if self.style == "next" and not self.pointer:
            raise ValueError("style 'next' requires pointer: where a response names the next page")
        if self.pointer == LINK and self.parameter:
            raise ValueError(f"remove parameter: the {LINK} header contains complete URLs")
        if self.size_parameter and not self.size:
            raise ValueError("size_parameter requires size")
        return self


class ListMoved(Exception):
    """The pages of one walk do not fit together, because the list changed meanwhile. Another walk may succeed."""


@dataclass(frozen=True, slots=True)
class ListShape:
    """How an upstream returns a list: where the records are, on which pages, and what means that there are none."""

    base_url: str
    pointer: str
    """Where the records are in a response; empty for the response itself."""
    paging: PagingSettings | None
    """None if the list is not paged."""
    nothing: Nothing
    ignored_signs: frozenset[str]
    """Members and headers that look like a total or a next page, and are none."""


@dataclass(slots=True)
class Walk:
    """One walk over the pages of a list: which URL to request next, and the records collected so far."""

    shape: ListShape
    list_url: str
    pages: list[list[dict[str, Any]]] = field(default_factory=list)
    is_single: bool = False
    """True if the response was one record, not a list."""
    _requested: set[str] = field(default_factory=set)
    _totals: list[tuple[int, int]] = field(default_factory=list)
    """For each page with a total: the total, and the records of the page."""
    _obstacle: str = ""
    """Why the end is not the end, if the last response says so."""

    @property
    def count(self) -> int:
        """The records collected so far."""
        return sum(map(len, self.pages))

    def start(self) -> str:
        """Return the URL of the first page."""
        paging = self.shape.paging
        if not paging:
            return self.list_url
        if paging.size_parameter:
            self.list_url = _add_parameter(self.list_url, paging.size_parameter, paging.size)
        if paging.style == "next":
            return self._note_request(self.list_url)
        first = paging.first if paging.style == "page" else 0
        return self._note_request(self._build_numbered_url(paging, first))

    def add(self, response: UpstreamResponse | None) -> str | None:
        """Collect the records of a page. Return the URL of the next page, or None after the last one.

        Args:
            response: The response; None if it means that there is nothing.

        Raises:
            SourceFault: The list cannot be followed to its end.
            ListMoved: The list changed while its pages were requested.
        """
        paging = self.shape.paging
        parsed = None if response is None else parse_body(response)
        if response is None or self.shape.nothing.has_code(200, parsed):
            # This is how some upstreams answer a page number beyond the end. But a page that the upstream itself has
            # named must exist.
            if paging and paging.style == "next" and len(self._requested) > 1:
                raise SourceFault("upstream returned nothing for a next page that it had named")
            self._check_end()
            return None
        page = self._read_page(response, parsed)
        if self.is_single:
            self.pages.append(page)
            return None
        more = self._read_signs(response, parsed, page)
        is_repeated = bool(page) and page in self.pages[-1:]
        self.pages.append(page)
        if paging is None:
            self._check_end()
            return None
        if self.count > paging.max_records:
            raise SourceFault(f"upstream returned more than {paging.max_records} records (max_records)")
        if paging.style == "next":
            next_url = self._find_named_url(paging, parsed, response)
        else:
            next_url = self._find_numbered_url(paging, page, more)
        if next_url is None:
            self._check_end()
            return None
        if is_repeated and paging.style != "next":
            name = paging.parameter or paging.style
            raise ListMoved(f"the same page came twice: the upstream ignores the parameter {name!r}")
        return self._note_request(next_url)

    def _read_page(self, response: UpstreamResponse, parsed: Any) -> list[dict[str, Any]]:
        """Return the records of a response: those of a list, or a single one."""
        pointer, words = self.shape.pointer, self.shape.nothing.words
        if parsed is None and NULL in words:
            return []
        try:
            found = find_value(parsed, pointer)
        except LookupError:
            if ABSENT in words and isinstance(parsed, dict):
                return []
            # Some serialisers leave out what is null or empty. Beside a total of 0 it is no error.
            total = find_total(response, parsed, pointer, self.shape.ignored_signs)
            if NULL in words and total and total[1] == 0:
                return []
            raise SourceFault(f"upstream response has no value at {pointer!r}; check the setting records") from None
        if found is None and NULL in words:
            return []
        self.is_single = not isinstance(found, list)
        page = [found] if self.is_single else found
        for record in page:
            if not isinstance(record, dict):
                raise SourceFault(f"upstream response: each record must be a JSON object, found {name_found(record)}")
        return page

    def _read_signs(self, response: UpstreamResponse, parsed: Any, page: list[dict[str, Any]]) -> bool:
        """Note what the response says about the whole list. Return whether it says that there is more."""
        pointer, ignored = self.shape.pointer, self.shape.ignored_signs
        count = self.count + len(page)
        sign = find_more(response, parsed, pointer, ignored)
        self._obstacle = f"{sign!r} says that there is more" if sign else ""
        total = find_total(response, parsed, pointer, ignored)
        if total:
            self._totals.append((total[1], len(page)))
            if total[1] > count:
                self._obstacle = f"{total[0]!r} says that there are {total[1]} records, and {count} came"
        return bool(self._obstacle)

    def _check_end(self) -> None:
        """Check that the end of the walk is the end of the list."""
        paging = self.shape.paging
        if self._obstacle and paging is None:
            raise SourceFault(f"upstream returned a part of a list: {self._obstacle}; see paging and ignored_signs")
        if self._obstacle:
            raise ListMoved(f"{self._obstacle}; see paging and ignored_signs")
        totals = {total for total, _ in self._totals}
        # A number that is that of its page on every page counts pages, not the list.
        if len(totals) > 1 and any(total != size for total, size in self._totals):
            raise ListMoved("its total changed from page to page; see ignored_signs")

    def _find_numbered_url(self, paging: PagingSettings, page: list[dict[str, Any]], more: bool) -> str | None:
        # Without a known size only an empty page is the last one: any other may be full. A short one may be too, if
        # the upstream caps the size below the one asked for; then it may say that there is more.
        if not page or (len(page) < (paging.size or 1) and not more):
            return None
        # An offset counts the records received, not pages times size: an upstream may cap the size below the one
        # asked for. Of the pages requested, the first has the number ``first``, so the next has ``first`` plus count.
        number = self.count if paging.style == "offset" else paging.first + len(self._requested)
        return self._build_numbered_url(paging, number)

    def _build_numbered_url(self, paging: PagingSettings, number: int) -> str:
        return _add_parameter(self.list_url, paging.parameter or paging.style, number)

    def _find_named_url(self, paging: PagingSettings, parsed: Any, response: UpstreamResponse) -> str | None:
        """Return the URL of the next page as the response names it: by a URL, or by a cursor for ``parameter``."""
        named = find_next_link(response.link) if paging.pointer == LINK else _get_cursor(parsed, paging.pointer)
        if named is None:
            return None
        if paging.parameter:
            return _add_parameter(self.list_url, paging.parameter, named)
        return self._resolve_url(named)

    def _resolve_url(self, address: str) -> str:
        """Return the absolute URL of an address that the upstream chose.

        The next request carries this source's credentials, so the address must not lead outside ``base_url``.
        """
        try:
            url = URL(self.list_url, encoded=True).join(URL(address, encoded=True))
            is_allowed = (
                _VISIBLE.fullmatch(address)
                and "\\" not in address  # some clients read it as /
                and is_below(URL(self.shape.base_url, encoded=True), url)
            )
        except ValueError:
            is_allowed = False
        if not is_allowed:
            raise SourceFault("upstream named a next page that is not below base_url")
        return str(url.with_fragment(None))

    def _note_request(self, url: str) -> str:
        """Return ``url``. Raises `SourceFault` if it would start a loop, or exceed ``max_pages``."""
        limit = self.shape.paging.max_pages if self.shape.paging else 1
        if url in self._requested:
            raise SourceFault("upstream named the same next page twice")
        if len(self._requested) >= limit:
            raise SourceFault(f"upstream returned more than {limit} pages (max_pages)")
        self._requested.add(url)
        return url


def is_below(base: URL, url: URL) -> bool:
    """Return whether ``url`` has the scheme, host and port of ``base``, and a path below that of ``base``.

    The path has no dot segment in any spelling: servers differ in how they read it.
    """
    if has_dot_segment(url.raw_path):
        return False
    prefix = base.raw_path.rstrip("/") + "/"
    is_same_host = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
    has_user = (url.user, url.password) != (None, None)
    return is_same_host and not has_user and (url.raw_path + "/").startswith(prefix)


def _add_parameter(url: str, name: str, value: object) -> str:
    return f"{url}{'&' if '?' in url else '?'}{quote(name, safe='')}={quote(str(value), safe='')}"


def _get_cursor(parsed: Any, pointer: str) -> str | None:
    """Return the value that names the next page. Missing, null, false and empty text mean: this is the last page."""
    if not isinstance(parsed, dict):
        raise SourceFault(f"upstream response is not a JSON object, so it has no value at {pointer!r}")
    for name in pointer.split("."):
        parsed = parsed.get(name) if isinstance(parsed, dict) else None
    if parsed is None or parsed is False or parsed == "":
        return None
    if isinstance(parsed, bool) or not isinstance(parsed, str | int):
        raise SourceFault(
            f"upstream response: the value at {pointer!r} must be text or a whole number, found {name_found(parsed)}"
        )
    return str(parsed)
