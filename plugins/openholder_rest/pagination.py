"""Lists that an upstream returns in pages: all pages are fetched, or the list is a fault; never a part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator
from yarl import URL

from openholder import SourceFault, UntrustedJSON, parse_json
from openholder_rest.paths import has_dot_segment

STYLES = {
    "page": frozenset({"parameter", "size_parameter", "size", "first"}),
    "offset": frozenset({"parameter", "size_parameter", "size"}),
    "next": frozenset({"parameter", "size_parameter", "size", "pointer"}),
}
"""The keys of each style, besides the common ones."""
COMMON = frozenset({"style", "collections", "max_pages", "max_records"})
LINK = "Link"
_VISIBLE = re.compile(r"[!-~]+")
_LINK_VALUE = re.compile(r'<([^<>]*)>((?:[^,"]|"[^"]*")*)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


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


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """Body and ``Link`` header of a response."""

    body: bytes
    link: str = ""


@dataclass(slots=True)
class Pagination:
    """The pages of one list: which URL to request next, and the records collected so far."""

    base_url: str
    list_url: str
    pointer: str
    """Where the records are in a response; empty for the response itself."""
    paging: PagingSettings | None = None
    """None if the list is not paged."""
    records: list[dict[str, Any]] = field(default_factory=list)
    is_single: bool = False
    """True if the response was one record, not a list."""
    _requested: set[str] = field(default_factory=set)
    _last_page: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> str:
        """Return the URL of the first page."""
        if not self.paging:
            return self.list_url
        if self.paging.size_parameter:
            self.list_url = _add_parameter(self.list_url, self.paging.size_parameter, self.paging.size)
        if self.paging.style == "next":
            return self._note_request(self.list_url)
        first = self.paging.first if self.paging.style == "page" else 0
        return self._note_request(self._build_numbered_url(self.paging, first))

    def add(self, response: UpstreamResponse | None) -> str | None:
        """Collect the records of a page. Return the URL of the next page, or None after the last one.

        Raises `SourceFault` if the list cannot be followed to its end.
        """
        if response is None:
            # 404 is how some upstreams answer a page number beyond the end. But a page that the upstream itself has
            # named must exist.
            if self.paging and self.paging.style == "next" and len(self._requested) > 1:
                raise SourceFault("upstream returned 404 for a next page that it had named")
            return None
        parsed = _parse_body(response.body)
        found = _require_value(parsed, self.pointer)
        self.is_single = not isinstance(found, list)
        page = [found] if self.is_single else found
        for record in page:
            if not isinstance(record, dict):
                raise SourceFault(
                    f"upstream response: each record must be a JSON object, found {type(record).__name__}"
                )
        self.records += page
        if not self.paging or self.is_single:
            return None
        if len(self.records) > self.paging.max_records:
            raise SourceFault(f"upstream returned more than {self.paging.max_records} records (max_records)")
        if self.paging.style == "next":
            next_url = self._find_named_url(self.paging, parsed, response)
        else:
            next_url = self._find_numbered_url(self.paging, page)
        return next_url and self._note_request(next_url)

    def _find_numbered_url(self, paging: PagingSettings, page: list[dict[str, Any]]) -> str | None:
        # Without a known size only an empty page is the last one: any other may be full.
        if not page or len(page) < (paging.size or 1):
            return None
        if page == self._last_page:
            name = paging.parameter or paging.style
            raise SourceFault(f"upstream returned the same page twice: it ignores the parameter {name!r}")
        self._last_page = page
        # An offset counts the records received, not pages times size: an upstream may cap the size below the one
        # asked for. Of the pages requested, the first has the number ``first``, so the next has ``first`` plus count.
        number = len(self.records) if paging.style == "offset" else paging.first + len(self._requested)
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
                and is_below(URL(self.base_url, encoded=True), url)
            )
        except ValueError:
            is_allowed = False
        if not is_allowed:
            raise SourceFault("upstream named a next page that is not below base_url")
        return str(url.with_fragment(None))

    def _note_request(self, url: str) -> str:
        """Return ``url``. Raises `SourceFault` if it would start a loop, or exceed ``max_pages``."""
        limit = self.paging.max_pages if self.paging else 1
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


def find_next_link(header: str) -> str | None:
    """Return the first target of relation ``next`` in a ``Link`` header (RFC 8288 section 3)."""
    for target, parameters in _LINK_VALUE.findall(header):
        relation = _RELATION.search(parameters)
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            return str(target)
    return None


def _add_parameter(url: str, name: str, value: object) -> str:
    return f"{url}{'&' if '?' in url else '?'}{quote(name, safe='')}={quote(str(value), safe='')}"


def _parse_body(body: bytes) -> Any:
    try:
        return parse_json(body)
    except UntrustedJSON as exc:
        raise SourceFault(f"upstream response: {exc}") from exc


def _require_value(parsed: Any, pointer: str) -> Any:
    """Return the value at ``pointer``. Raises `SourceFault` if there is none."""
    for name in filter(None, pointer.split(".")):
        if not isinstance(parsed, dict) or name not in parsed:
            raise SourceFault(f"upstream response has no value at {pointer!r}; check the setting records")
        parsed = parsed[name]
    return parsed


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
            f"upstream response: the value at {pointer!r} must be text or an integer, found {type(parsed).__name__}"
        )
    return str(parsed)
