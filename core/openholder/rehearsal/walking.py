"""Follow the pages of a list: to the last if it is short, otherwise to some of its pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from openholder.contract.operations import Operation
from openholder.rehearsal.exchange import CallSequence, Exchange, get_member, read_page_size, read_records
from openholder.rehearsal.side_by_side import do_side_by_side

MAX_PAGES = 24
"""The largest number of pages that are all read."""
MAX_RECORDS = 3000
"""The largest number of records that are all read."""


async def walk_pages(
    send: Callable[[str], Coroutine[Any, Any, Exchange]],
    operation: Operation,
    ids: Mapping[str, str],
    query: str,
    account_ids: Sequence[str] = (),
) -> CallSequence:
    """Read a list as Fiskil does, by its links. Of a long list, read the first, second, middle and last page.

    Args:
        send: Sends the request with this query.
        operation: The operation that returns the list.
        ids: The path parameters.
        query: The query of the first page.
        account_ids: The account ids in the request body.

    Returns:
        The pages. If a limit of the rehearsal kept some from being read, `CallSequence.unread` says so.
    """
    queries, exchanges = [query], [await send(query)]
    most = max(2, min(MAX_PAGES, MAX_RECORDS // read_page_size(exchanges[0].request)))
    page_count = _count_pages(operation, exchanges[0])
    followed = 2 if page_count > most else most
    following = read_next_query(operation, exchanges[0], query)
    guessed = _guess_queries(exchanges[0], following, page_count) if page_count <= most else []
    ahead = dict(zip(guessed, await do_side_by_side(map(send, guessed)), strict=True))
    while following and following not in queries and len(queries) < followed:
        queries.append(following)
        exchanges.append(ahead[following] if following in ahead else await send(following))
        # A server that ignores the page would otherwise be followed to the limit.
        if read_records(exchanges[-1]) == read_records(exchanges[0]):
            following = ""
        else:
            following = read_next_query(operation, exchanges[-1], query)
    if len(queries) < followed or not following or following in queries:
        return CallSequence(operation, ids, exchanges, account_ids)
    pages = [*range(1, len(queries) + 1)]
    for number in sorted({(page_count + 1) // 2, page_count}) if page_count > most else ():
        pages.append(number)
        exchanges.append(await send(_set_page(query, number)))
    known = f"{page_count} pages" if page_count > most else f"more than {len(pages)} pages"
    unread = f"not looked at further: a list has {known}, of which {len(pages)} were read"
    return CallSequence(operation, ids, exchanges, account_ids, pages, page_count if page_count > most else 0, unread)


def read_next_query(operation: Operation, exchange: Exchange, first_query: str) -> str:
    """Return the query of the next page as Fiskil derives it from the response; empty after the last page."""
    return find_next_query(operation.reply.paging, exchange.json, first_query)


def find_next_query(paging: str | None, content: Any, first_query: str) -> str:
    """Return the query of the next page from the content of a page; empty after the last one.

    Args:
        paging: The style of paging, as in `Reply`.
        content: The decoded content.
        first_query: The query of the first page.
    """
    if paging == "offset":
        # Up to FDX 6.2 it is an offset, from 6.3 on a page key. A server of both versions has both.
        for member, parameter in (("nextOffset", "offset"), ("nextPageKey", "pageKey")):
            if cursor := get_member(content, "page", member):
                return f"{first_query}&{parameter}={quote(str(cursor), safe='')}"
        return ""
    link = get_member(content, "links", "next") if paging else None
    return link.rpartition("?")[2] if isinstance(link, str) else ""


def _guess_queries(first: Exchange, following: str, page_count: int) -> list[str]:
    """Return what the links of the next pages are likely to be, so that these need not be read in turn.

    Links decide all the same: a page whose link is another is not used. A count of pages that does not fit the count of
    records is no reason to ask for them.
    """
    total = get_member(first.json, "meta", "totalRecords")
    size = read_page_size(first.request)
    if (
        not isinstance(total, int)
        or page_count != -(-total // size)
        or not re.search(r"(?:^|&)page=2(?:&|$)", following)
    ):
        return []
    return [re.sub(r"(^|&)page=2(?=&|$)", rf"\g<1>page={number}", following) for number in range(2, page_count + 1)]


def _count_pages(operation: Operation, exchange: Exchange) -> int:
    """Return the number of pages according to the first one; 0 if the list has no page numbers."""
    count: Any = get_member(exchange.json, "meta", "totalPages") if operation.reply.paging == "page" else 0
    return count if isinstance(count, int) else 0


def _set_page(query: str, number: int) -> str:
    """Return a query with another page number."""
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "page"]
    return urlencode([("page", str(number)), *pairs])
