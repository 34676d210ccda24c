"""From the rows that a request may see to the answer that leaves: one class for each style of paging."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from openholder.contract.collections import find_collection
from openholder.contract.conditions import compile_checker
from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import MAX_SIZE
from openholder.contract.operation import CURSOR, PDF
from openholder.contract.operations import Operation
from openholder.contract.parameters import find_name
from openholder.contract.rows import read_records
from openholder.errors import SourceFault
from openholder.query import Filter, Page, Row, moment, text
from openholder.serving.access import Found
from openholder.serving.conditions import COUNT_NOTHING, ConditionPolicy
from openholder.serving.cursors import Cursor, Cursors
from openholder.serving.paging import PageRequest, read_limit, read_page
from openholder.sources.registry import SourceRegistry

MAX_DOCUMENT = 33_554_432
"""Bytes of a document: 32 MiB."""


@dataclass(frozen=True, slots=True)
class Context:
    """What answers are made with."""

    sources: SourceRegistry
    cursors: Cursors
    link_base: str = ""
    """The beginning of links that are full URIs; empty if links are query strings."""
    conditions: ConditionPolicy = COUNT_NOTHING
    """What becomes of records that break a condition of the CDS."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What makes one list different from the next: operation, path, and what the query and the body say."""

    operation: Operation
    path: str
    filters: Mapping[str, str]
    """The filters as the query gives them."""
    named: tuple[str, ...] = ()

    @property
    def scope(self) -> tuple[object, ...]:
        """What a cursor is bound to: reusing it with other filters would skip or repeat records."""
        return self.path, dict(self.filters), self.named


@dataclass(frozen=True, slots=True)
class Single:
    """A record, a document, or a list without pages."""

    context: Context
    listing: Listing

    async def render(self, found: Found) -> tuple[Any, Sequence[Row]]:
        """Return what leaves, and its rows: `bytes` are a document, everything else is written as JSON.

        Raises:
            RequestError: There is no such record.
            SourceFault: There are several of one id.
        """
        operation = self.listing.operation
        rows = await found.rows()
        if operation.reply.many:
            return self.wrap(self.to_records(rows)), rows
        if not rows or (operation.needs and not any(has_needed(operation, row) for row in rows)):
            raise RequestError(ErrorKind.RECORD_UNKNOWN, "record_unknown")
        if len(rows) > 1:
            raise SourceFault(f"collection {operation.collection!r}: more than one record for one id")
        if operation.reply.media == PDF:
            document = rows[0].get("document")
            if not isinstance(document, bytes) or not document.startswith(b"%PDF-") or len(document) > MAX_DOCUMENT:
                raise SourceFault(
                    f"collection {operation.collection!r}: member 'document' is not a PDF of at most 32 MiB"
                )
            return document, rows
        return self.wrap(self.to_records(rows)[0]), rows

    def to_records(self, rows: Sequence[Row]) -> list[Any]:
        """Convert rows to the operation's records."""
        operation = self.listing.operation
        hidden = find_collection(operation.collection).hidden
        records = read_records(operation.collection, rows, operation.record, hidden)
        checker = compile_checker(operation.record)  # compiled at the start
        if checker is not None and (found := checker.find(records)):
            self.context.conditions.apply(operation.collection, rows, found)
        return records

    def wrap(self, content: Any) -> Any:
        """Put the operation's envelope around the content."""
        for name in reversed(self.listing.operation.reply.envelope):
            content = {name: content}
        return content


@dataclass(frozen=True, slots=True)
class PagedList(Single):
    """A page of a list of the CDR, with links and meta."""

    page: PageRequest

    async def render(self, found: Found) -> tuple[Any, Sequence[Row]]:
        """Return the requested page and its rows. Raises `RequestError` if there is no page of that number."""
        page = await found.page(self.page.offset, self.page.size)
        self.page.check(page.total)
        base = self.context.link_base and self.context.link_base + self.listing.path
        content: dict[str, Any] = self.wrap(self.to_records(page.records))
        return content | self.page.members(page.total, self.listing.filters, base), page.records


@dataclass(frozen=True, slots=True)
class CursorList(Single):
    """A part of an FDX list, with a cursor for the next one."""

    limit: int
    cursor: Cursor

    async def render(self, found: Found) -> tuple[Any, Sequence[Row]]:
        """Return the records after the cursor, with a cursor for those that follow them, and their rows."""
        if self.cursor.moment is not None and found.order:
            # Records that arrive in front do not move the rest: what is newer than the last record is left out.
            order = found.order[0]
            bound = moment(self.cursor.moment)
            found = found.with_filter(Filter(order.member, "le", bound, otherwise=order.otherwise))
        skipped, page = await self._fetch_part(found)
        total = self.cursor.total or page.total
        content: dict[str, Any] = {"page": {"totalElements": total}} | self.wrap(self.to_records(page.records))
        if page.records and skipped + len(page.records) < page.total:
            following = self._build_following(skipped, page.records, total)
            sealed = self.context.cursors.seal(following, self.listing.scope)
            content["page"] |= dict.fromkeys(("nextOffset", "nextPageKey"), sealed)  # of FDX up to 6.2, and of 6.3
        return content, page.records

    async def _fetch_part(self, found: Found) -> tuple[int, Page]:
        """Fetch the records after the cursor, and return how many stand before them.

        The record before the part is fetched with it. If that is the cursor's, one query is enough, however many
        records have its time; otherwise some of them came or went, and the place is searched.
        """
        if not self.cursor.position:
            return 0, await found.page(0, self.limit)
        place = self.cursor.place if found.order else self.cursor.position
        if place:
            page = await found.page(place - 1, self.limit + 1)
            if page.records and self._is_last(page.records[0]):
                return place, replace(page, records=page.records[1:])
        place = await (self._search_place(found) if found.order else self._find_position(found))
        return place, await found.page(place, self.limit)

    async def _search_place(self, found: Found) -> int:
        """Count the records up to the cursor's own, which are at the beginning of the sorted list.

        A window of `MAX_SIZE` records shows where they end, or which half to look at next.
        """
        low, high = 0, sys.maxsize
        start = max(0, self.cursor.place - MAX_SIZE // 2)
        while low < high:
            page = await found.page(start, MAX_SIZE)
            high = min(high, page.total)
            returned = sum(map(self._was_returned, page.records))
            if not returned:
                high = start
            elif returned < len(page.records):
                return start + returned
            else:
                low = start + returned
            start = max(low, (low + high - MAX_SIZE) // 2)
        return low

    async def _find_position(self, found: Found) -> int:
        """Return where the part begins in a list that has no order of its own and is short.

        After the last record if it is still there; otherwise after as many records as were returned before.
        """
        if not find_collection(self.listing.operation.collection).key:
            return self.cursor.position
        keys = [self._key(row) for row in (await found.page(0, MAX_SIZE)).records]
        return keys.index(self.cursor.last) + 1 if self.cursor.last in keys else self.cursor.position

    def _build_following(self, skipped: int, records: Sequence[Row], total: int) -> Cursor:
        """Build the cursor that names the last of these records, of which ``skipped`` stand before the first."""
        last = records[-1]
        time = self._moment(last)
        place = sum(1 for _ in takewhile(lambda row: self._moment(row) == time, reversed(records)))
        if place == len(records) and time == self.cursor.moment:
            place += skipped
        return Cursor(self.cursor.position + len(records), self._key(last), time, total, place)

    def _is_last(self, row: Row) -> bool:
        return self._key(row) == self.cursor.last and self._moment(row) == self.cursor.moment

    def _was_returned(self, row: Row) -> bool:
        return self._moment(row) == self.cursor.moment and self._key(row) <= self.cursor.last

    def _moment(self, row: Row) -> int | None:
        """Return the time by which the list is sorted, in microseconds since 1970; ``None`` if it has none."""
        order = find_collection(self.listing.operation.collection).order
        absent, found = order[0].key(row) if order else (True, 0)
        return None if absent else int(found)

    def _key(self, row: Row) -> str:
        key = find_collection(self.listing.operation.collection).key
        return text(row.get(key, "")) if key else ""


def read_style(context: Context, listing: Listing, fields: Mapping[str, str]) -> tuple[Single, list[RequestError]]:
    """Read which page the query asks for, and return what renders it together with everything wrong with that."""
    match listing.operation.reply.paging:
        case None:
            return Single(context, listing), []
        case "page":
            page, errors = read_page(fields)
            return PagedList(context, listing, page), errors
        case "offset":
            limit, errors = read_limit(fields)
            cursor = Cursor()
            try:
                name = find_name(CURSOR, fields)
                if name:
                    cursor = context.cursors.open(fields[name], listing.scope, name)
            except ValueError as exc:
                errors.append(RequestError(ErrorKind.FIELD_INVALID, "parameter_invalid", detail=exc.args[0]))
            except RequestError as error:
                errors.append(error)
            return CursorList(context, listing, limit, cursor), errors


def has_needed(operation: Operation, row: Row) -> bool:
    """Tell whether a row has the member that the operation cannot do without, or a part of it."""
    needed = operation.needs
    return not needed or any(
        value is not None and (column == needed or column.startswith(f"{needed}.")) for column, value in row.items()
    )
