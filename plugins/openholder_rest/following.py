"""Lists that an upstream hands over in pages: all of them are followed, or the answer is a fault, never a part."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, model_validator
from yarl import URL

from openholder import SourceFault, UntrustedJSON, parse_json

STYLES = {
    "page": frozenset({"parameter", "size_parameter", "size", "first"}),
    "offset": frozenset({"parameter", "size_parameter", "size"}),
    "next": frozenset({"parameter", "size_parameter", "size", "pointer"}),
}
"""For each style the keys that it has besides those of all."""
OF_ALL = frozenset({"style", "collections", "max_pages", "max_records"})
LINK = "Link"
_ADDRESS = re.compile(r"[!-~]+")
_LINKED = re.compile(r'<([^<>]*)>((?:[^,"]|"[^"]*")*)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


class Paging(BaseModel):
    """``[sources.X.paging]``: how the upstream cuts its lists."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    style: Literal["page", "offset", "next"]
    parameter: str = ""
    """The query parameter with the number of the page, the offset or the cursor: ``page`` and ``offset`` by default.

    For ``next`` without it, what stands at ``pointer`` is the URL of the next page.
    """
    size_parameter: str = ""
    size: int | None = Field(default=None, ge=1, le=100_000)
    """Records of a full page. A page with fewer is the last one; where this is not known, an empty one is."""
    first: int = Field(default=1, ge=0, le=1)
    pointer: str = ""
    """Where an answer names the next page: ``links.next``, or ``Link`` for the header of that name (RFC 8288)."""
    collections: tuple[str, ...] = ()
    """Those that come in pages, where not all do."""
    max_pages: int = Field(default=100, ge=1, le=10_000)
    max_records: int = Field(default=100_000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        foreign = self.model_fields_set - STYLES[self.style] - OF_ALL
        if foreign:
            raise ValueError(f"{min(foreign)} does not go with the style {self.style}")
        if self.style == "next" and not self.pointer:
            raise ValueError("the style next needs a pointer to where an answer names the next page")
        if self.pointer == LINK and self.parameter:
            raise ValueError(f"the header {LINK} has URLs: leave out the parameter")
        if self.size_parameter and not self.size:
            raise ValueError("size_parameter needs a size")
        return self

    @property
    def position(self) -> str:
        """The query parameter that says where a page begins."""
        return self.parameter or self.style


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream sent."""

    body: bytes
    link: str = ""
    """Its ``Link`` header."""


@dataclass(slots=True)
class Walk:
    """The way through one list: `url` is what to ask next, and `records` what has been found so far."""

    base: str
    list_url: str
    pointer: str
    paging: Paging | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    is_single: bool = False
    """Whether the answer was one record, not a list."""
    _page: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> str:
        """The URL of the first page."""
        if not self.paging:
            return self.list_url
        if self.paging.size_parameter:
            self.list_url = _with(self.list_url, self.paging.size_parameter, self.paging.size)
        first = {"page": self.paging.first, "offset": 0}.get(self.paging.style)
        return self._asking(self.list_url if first is None else _with(self.list_url, self.paging.position, first))

    def take(self, answer: Answer | None) -> str | None:
        """Keep the records of a page, and give the URL of the next one. ``None``: that was the last."""
        if answer is None:
            self._refuse_missing_page()
            return None
        parsed = _parsed(answer.body)
        found = _at(parsed, self.pointer)
        page = _records(found)
        self.records += page
        self.is_single = not isinstance(found, list)
        if not self.paging or not isinstance(found, list):
            return None
        following = self._following(self.paging, page, parsed, answer)
        return following and self._asking(following)

    def _refuse_missing_page(self) -> None:
        if self.paging and self.paging.style == "next" and len(self.asked) > 1:
            raise SourceFault("upstream names a next page that is not there")

    def _following(self, paging: Paging, page: list[dict[str, Any]], parsed: Any, answer: Answer) -> str | None:
        if len(self.records) > paging.max_records:
            raise SourceFault(f"upstream has more than {paging.max_records} records")
        if paging.style == "next":
            return self._named(paging, parsed, answer)
        if not page or len(page) < (paging.size or 1):
            return None
        if page == self._page:
            raise SourceFault(f"upstream sends the same page again: it does not heed {paging.position!r}")
        self._page = page
        number = len(self.records) if paging.style == "offset" else paging.first + len(self.asked)
        return _with(self.list_url, paging.position, number)

    def _named(self, paging: Paging, parsed: Any, answer: Answer) -> str | None:
        """The next page as the answer names it."""
        named = linked(answer.link) if paging.pointer == LINK else _cursor(parsed, paging.pointer)
        if named is None:
            return None
        return _with(self.list_url, paging.parameter, named) if paging.parameter else self._below_base(named)

    def _below_base(self, address: str) -> str:
        """An absolute URL of the upstream's own choice, which must not lead anywhere but below ``base_url``."""
        try:
            joined = URL(self.list_url, encoded=True).join(URL(address, encoded=True))
            good = (
                _ADDRESS.fullmatch(address) and "\\" not in address and is_below(URL(self.base, encoded=True), joined)
            )
        except ValueError:
            good = False
        if not good:
            raise SourceFault("upstream names a next page that is not below base_url")
        return str(joined.with_fragment(None))

    def _asking(self, url: str) -> str:
        limit = self.paging.max_pages if self.paging else 1
        if url in self.asked:
            raise SourceFault("upstream names a next page that it has named before")
        if len(self.asked) >= limit:
            raise SourceFault(f"upstream has more than {limit} pages")
        self.asked.add(url)
        return url


def is_below(base: URL, url: URL) -> bool:
    """Whether ``url`` has the scheme, host and port of ``base``, and a path below its path however it is read."""
    path = unquote(url.raw_path)
    if any(segment in {".", ".."} for segment in path.replace("\\", "/").split("/")):
        return False
    prefix = base.raw_path.rstrip("/") + "/"
    same = (url.scheme, url.host, url.port, url.user, url.password) == (base.scheme, base.host, base.port, None, None)
    return same and (url.raw_path + "/").startswith(prefix)


def linked(header: str) -> str | None:
    """The first target of the relation ``next`` in a ``Link`` header (RFC 8288 section 3)."""
    for target, parameters in _LINKED.findall(header):
        relation = _RELATION.search(parameters)
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            return str(target)
    return None


def _with(url: str, parameter: str, value: object) -> str:
    return f"{url}{'&' if '?' in url else '?'}{quote(parameter, safe='')}={quote(str(value), safe='')}"


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body)
    except UntrustedJSON as exc:
        raise SourceFault(f"upstream answer: {exc}") from exc


def _at(parsed: Any, pointer: str) -> Any:
    for name in filter(None, pointer.split(".")):
        if not isinstance(parsed, dict) or name not in parsed:
            raise SourceFault(f"upstream answer has nothing at {pointer!r}")
        parsed = parsed[name]
    return parsed


def _records(found: Any) -> list[dict[str, Any]]:
    """A list of records as it is, or a single one."""
    records = found if isinstance(found, list) else [found]
    if not all(isinstance(record, dict) for record in records):
        raise SourceFault("upstream answer holds something that is no record")
    return records


def _cursor(parsed: Any, pointer: str) -> str | None:
    """What names the next page. Nothing, null, false and empty text mean that there is none."""
    if not isinstance(parsed, dict):
        raise SourceFault(f"upstream answer is no object, and can have nothing at {pointer!r}")
    for name in pointer.split("."):
        parsed = parsed.get(name) if isinstance(parsed, dict) else None
    if parsed is None or parsed is False or parsed == "":
        return None
    if isinstance(parsed, bool) or not isinstance(parsed, str | int):
        raise SourceFault(f"upstream answer has no text at {pointer!r}")
    return str(parsed)
