"""From a question that may be put to the answer that leaves: one class for each style of paging.

Each is made from what the query says, notes in ``problems`` what is wrong with that, and then turns what was found
into the content of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from openholder.contract.collections import collection_named
from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import MAX_SIZE
from openholder.contract.operation import PDF
from openholder.contract.operations import Operation
from openholder.contract.rows import record_from
from openholder.errors import SourceFault
from openholder.query import Filter, Order, Page, Query, Row, moment
from openholder.serving.cursors import Cursor, Cursors
from openholder.serving.lookup import Found, everything
from openholder.serving.paging import read_limit, read_page
from openholder.sources.registry import SourceRegistry

MAX_DOCUMENT = 33_554_432
"""Bytes of a document: 32 MiB."""


@dataclass(frozen=True, slots=True)
class Context:
    """What answers are made with."""

    sources: SourceRegistry
    cursors: Cursors
    link_base: str = ""
    """Where links that are full URIs begin; empty: links are query strings."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What makes one list another than the next: operation, path, and what the query and the body say."""

    operation: Operation
    path: str
    filters: Mapping[str, str]
    """The filters as the query gives them."""
    wanted: tuple[str, ...] = ()

    @property
    def scope(self) -> tuple[object, ...]:
        """What a cursor of this list is good for: a change on the way would skip and repeat records."""
        return self.path, dict(self.filters), self.wanted


class Single:
    """A record, a document, or a list without pages."""

    def __init__(self, context: Context, listing: Listing, fields: Mapping[str, str]) -> None:
        self._context = context
        self._listing = listing
        self._operation = listing.operation
        self.problems: list[RequestError] = []
        self._read(fields)

    def _read(self, fields: Mapping[str, str]) -> None:
        """Take from the query what says which page is wanted."""

    async def content(self, found: Found) -> Any:
        """What leaves: `bytes` are a document, everything else is written as JSON."""
        rows = await everything(self._context.sources, found) if isinstance(found, Query) else found
        if self._operation.reply.many:
            return self._wrapped(self._records(rows))
        if not any(has_needed(self._operation, row) for row in rows):
            raise RequestError(ErrorKind.RECORD_UNKNOWN, "record_unknown")
        if len(rows) > 1:
            raise SourceFault(f"collection {self._operation.collection!r}: more than one record for one id")
        if self._operation.reply.media == PDF:
            return _document(self._operation, rows[0])
        (record,) = self._records(rows)
        return self._wrapped(record)

    async def _page(self, found: Found, offset: int, limit: int) -> Page:
        """Some of what was found, and how much there is."""
        if isinstance(found, Query):
            return await self._context.sources.fetch(replace(found, offset=offset, limit=limit))
        return Page(records=found[offset : offset + limit], total=len(found))

    def _records(self, rows: Any) -> list[Any]:
        operation = self._operation
        hidden = collection_named(operation.collection).hidden
        return [record_from(operation.collection, row, operation.record, hidden) for row in rows]

    def _wrapped(self, content: Any) -> Any:
        for name in reversed(self._operation.reply.envelope):
            content = {name: content}
        return content


class PagedList(Single):
    """A page of a list of the CDR, with links and meta."""

    def _read(self, fields: Mapping[str, str]) -> None:
        self._asked, self.problems = read_page(fields)

    async def content(self, found: Found) -> Any:
        """The page that was asked for. Raises `RequestError` where there is none of that number."""
        page = await self._page(found, self._asked.offset, self._asked.size)
        self._asked.check(page.total)
        base = self._context.link_base and self._context.link_base + self._listing.path
        return self._wrapped(self._records(page.records)) | self._asked.members(page.total, self._listing.filters, base)


class CursorList(Single):
    """A part of an FDX list, with a cursor for the next one."""

    def _read(self, fields: Mapping[str, str]) -> None:
        self._limit, self.problems = read_limit(fields)
        self._cursor = Cursor()
        self._collection = collection_named(self._operation.collection)
        try:
            if "offset" in fields:
                self._cursor = self._context.cursors.open(fields["offset"], self._listing.scope)
        except RequestError as problem:
            self.problems.append(problem)

    async def content(self, found: Found) -> Any:
        """The records behind the cursor, and one for those that follow them."""
        found, skipped = await self._start(found)
        page = await self._page(found, skipped, self._limit)
        total = self._cursor.total or page.total
        content = {"page": {"totalElements": total}} | self._wrapped(self._records(page.records))
        if page.records and skipped + len(page.records) < page.total:
            cursor = self._behind(page.records[-1], self._cursor.position + len(page.records), total)
            content["page"]["nextOffset"] = self._context.cursors.seal(cursor, self._listing.scope)
        return content

    async def _start(self, found: Found) -> tuple[Found, int]:
        """What remains of the list, and how many records of that have been handed over already."""
        if not self._cursor.position:
            return found, 0
        if isinstance(found, Query) and found.order:
            found = self._not_newer(found, found.order[0])
            return found, await self._handed_over(found)
        return found, await self._position(found)

    def _not_newer(self, query: Query, order: Order) -> Query:
        """The records that are not newer than the last one of the part before."""
        if self._cursor.moment is None:
            return query
        bound = moment(self._cursor.moment)
        condition = Filter(order.member, "le", bound, otherwise=order.otherwise)
        return replace(query, filters=(*query.filters, condition))

    async def _handed_over(self, found: Found) -> int:
        """How many records at the beginning are of the very time of the last one, with an id up to its own."""
        count = 0
        while True:
            page = await self._page(found, count, self._limit)
            here = sum(takewhile(bool, (self._was_handed_over(record) for record in page.records)))
            count += here
            if here < len(page.records) or not here:
                return count

    def _was_handed_over(self, record: Row) -> bool:
        return self._moment(record) == self._cursor.moment and self._key(record) <= self._cursor.last

    async def _position(self, found: Found) -> int:
        """Where the part behind the last record begins, in a list that has no order of its own and is short."""
        if not self._collection.key:
            return self._cursor.position
        keys = [self._key(record) for record in (await self._page(found, 0, MAX_SIZE)).records]
        return keys.index(self._cursor.last) + 1 if self._cursor.last in keys else self._cursor.position

    def _behind(self, record: Row, position: int, total: int) -> Cursor:
        return Cursor(position, self._key(record), self._moment(record), total)

    def _moment(self, record: Row) -> int | None:
        """The time by which the list is ordered, where it is ordered by one."""
        order = self._collection.order
        absent, found = order[0].key(record) if order else (True, 0)
        return None if absent else int(found)

    def _key(self, record: Row) -> str:
        return str(record.get(self._collection.key, "")) if self._collection.key else ""


STYLES: Mapping[str | None, type[Single]] = {None: Single, "page": PagedList, "offset": CursorList}
"""What `Reply.paging` names."""


def has_needed(operation: Operation, row: Row) -> bool:
    """Whether a row has the member without which there is nothing to answer with, or a part of it."""
    needed = operation.needs
    return not needed or any(
        value is not None and (column == needed or column.startswith(f"{needed}.")) for column, value in row.items()
    )


def _document(operation: Operation, row: Row) -> bytes:
    document = row.get("document")
    if not isinstance(document, bytes) or not document.startswith(b"%PDF-") or len(document) > MAX_DOCUMENT:
        raise SourceFault(f"collection {operation.collection!r}: member 'document' is no PDF of at most 32 MiB")
    return document
