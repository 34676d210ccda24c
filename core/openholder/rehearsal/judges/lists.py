"""Lists and their pages, as they came: sizes, totals, links, order, and whose records they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

from openholder.contract.collections import collection_named
from openholder.errors import SourceFault
from openholder.rehearsal.exchange import Exchange, Leg, at, records, route
from openholder.rehearsal.findings import Outcome, Rule
from openholder.rehearsal.judges import Check, examined
from openholder.rehearsal.scene import next_query

_CDS = "Consumer Data Standards, pagination"

PAGE_SIZE = Rule(
    "page-size", "error",
    expected="A page has no more records than page-size (FDX: limit) asks for, and no fewer unless it is the last.",
    why="Recipients size their memory by it; short pages in the middle look like the end.",
    written=f"{_CDS}: page-size; FDX API v6: limit",
    mend="Cut the page where the records are read, after all filters.",
)  # fmt: skip
UNIQUE = Rule(
    "records-once", "error",
    expected="No record stands on two pages of one list, or twice on one.",
    why="A transaction that comes twice is counted twice.",
    written=f"{_CDS}; Fiskil, integration requirements: paging of lists",
    mend="Order the records totally, ties by id, and cut pages from that one order.",
)  # fmt: skip
TOTAL = Rule(
    "total-true", "error",
    expected="meta.totalRecords (FDX: page.totalElements) is the number of records on all pages, on every page;"
    " totalPages is that by the size of a page.",
    why="Recipients compare it with what they got, and take the list for incomplete.",
    written=f"{_CDS}: meta.totalRecords, meta.totalPages",
    mend="Count with the same filters that the page is selected by.",
)  # fmt: skip
LINKS = Rule(
    "links-lead", "error",
    expected="first and prev on every page but the first, next and last on every page but the last;"
    " each names the page that it is called after, and keeps the page-size.",
    why="Recipients follow links: one that is missing or wrong ends the list early, or never.",
    written=f"{_CDS}: links; Fiskil, examples of lists: query strings",
    mend="Make the links of the page number, the total and the query that was asked.",
)  # fmt: skip
ENDS = Rule(
    "pages-end", "error",
    expected="Following the links comes to an end.",
    why="Recipients read the same pages for ever.",
    written=f"{_CDS}: next is absent on the last page; FDX API v6: nextOffset",
    mend="Leave the next link out on the last page.",
)  # fmt: skip
ORDERED = Rule(
    "newest-first", "error",
    expected="Transactions, plans, invoices, billing and statements come newest first, over all pages.",
    why="Recipients read until they meet what they know; what comes out of order is never read.",
    written="Consumer Data Standards, Get Transactions For Account: newest first; Fiskil, the same",
    mend="Order by posting time, else execution time, else value time, before pages are cut.",
)  # fmt: skip
OWN = Rule(
    "records-of-the-account", "critical",
    expected="Every record belongs to an account that was asked for.",
    why="Somebody's data goes to a recipient who has no consent for it.",
    written="Fiskil, consents: the accounts chosen; Consumer Data Standards, …ForSpecificAccounts",
    mend="Select by the account ids of the path or body, and check the records before they leave.",
)  # fmt: skip


def listed(leg: Leg) -> Iterator[Outcome]:
    """The outcomes of all checks on one list."""
    if leg.operation.reply.many and leg.whole:
        yield from examined(LISTS, leg, route(leg.operation), leg.exchanges[-1].request)


def size_of(exchange: Exchange) -> int:
    """The size of a page that was asked for; 25 where none was (CDS, pagination)."""
    query = parse_qs(exchange.request.query)
    return int((query.get("page-size") or query.get("limit") or ["25"])[0])


def total_of(exchange: Exchange) -> Any:
    """The number of records that an answer claims there are."""
    paging = exchange.request.operation and exchange.request.operation.reply.paging
    return at(exchange.json, *(("meta", "totalRecords") if paging == "page" else ("page", "totalElements")))


def _sizes(leg: Leg) -> Iterator[str]:
    for number, exchange in enumerate(leg.exchanges, 1):
        held, size = len(records(exchange)), size_of(exchange)
        if held > size or (held < size and number < len(leg.exchanges)):
            yield f"page {number} of {len(leg.exchanges)} has {held} records where {size} were asked for"


def _twice(leg: Leg) -> Iterator[str]:
    key = collection_named(leg.operation.collection).key or ""
    counted = Counter(str(record[key]) for record in leg.records if key in record)
    doubled = sum(number - 1 for number in counted.values())
    if doubled:
        yield f"{doubled} of {len(leg.records)} records came before, by their `{key}`"


def _totals(leg: Leg) -> Iterator[str]:
    came = len(leg.records)
    for number, exchange in enumerate(leg.exchanges, 1):
        total = total_of(exchange)
        if total != came:
            yield f"page {number} says {_number(total)} records, {came} came"
        pages = at(exchange.json, "meta", "totalPages")
        if leg.operation.reply.paging == "page" and pages != -(-came // size_of(exchange)):
            yield f"page {number} says {_number(pages)} pages for {came} records, {size_of(exchange)} a page"


def _number(value: object) -> str:
    return str(value) if isinstance(value, int) and abs(value) < 10**9 else "no number of"


def _links(leg: Leg) -> Iterator[str]:
    last = len(leg.exchanges)
    for number, exchange in enumerate(leg.exchanges, 1):
        due = {"first": 1, "prev": number - 1} if number > 1 else {}
        due |= {"next": number + 1, "last": last} if number < last else {}
        given = at(exchange.json, "links")
        for name in ("first", "prev", "next", "last"):
            yield from _link(f"page {number} of {last}", name, at(given, name), due.get(name), size_of(exchange))


def _link(place: str, name: str, link: Any, due: int | None, size: int) -> Iterator[str]:
    if link is None or due is None:
        if (link is None) != (due is None):
            yield f"{place} {'has no' if link is None else 'has a'} link `{name}`"
        return
    query = parse_qs(str(link).rpartition("?")[2])
    if query.get("page") != [str(due)]:
        yield f"{place}: `{name}` does not lead to page {due}"
    if query.get("page-size") != [str(size)]:
        yield f"{place}: `{name}` does not keep the page-size"


def _endless(leg: Leg) -> Iterator[str]:
    if next_query(leg.operation, leg.exchanges[-1], leg.first.request.query):
        yield f"after {len(leg.exchanges)} pages the link leads to one that was read before"


def _order(leg: Leg) -> Iterator[str]:
    newest = collection_named(leg.operation.collection).order[0]
    try:
        keys = [newest.key(record) for record in leg.records]
    except SourceFault:
        return  # a time that is none: the shape has it
    wrong = sum(later > earlier for earlier, later in pairwise(keys))
    if wrong:
        yield f"{wrong} of {len(keys)} records are newer than the one before them"


def _strangers(leg: Leg) -> Iterator[str]:
    asked = set(leg.asked) or {leg.ids["accountId"]}
    strange = sum(account is not None and account not in asked for account in map(account_of, leg.records))
    if strange:
        yield f"{strange} of {len(leg.records)} records name another account"


def account_of(record: dict[str, Any]) -> Any:
    """The account that a record names; None where it names none."""
    return record.get("accountId") or at(record, "from", "accountId")


def _about_accounts(leg: Leg) -> bool:
    return bool(leg.asked) or "accountId" in leg.ids


def _paged(leg: Leg) -> bool:
    return leg.operation.reply.paging is not None


def _numbered(leg: Leg) -> bool:
    return leg.operation.reply.paging == "page"


def _has_order(leg: Leg) -> bool:
    return bool(collection_named(leg.operation.collection).order)


LISTS: Sequence[Check[Leg]] = (
    Check(PAGE_SIZE, _sizes, _paged),
    Check(UNIQUE, _twice),
    Check(TOTAL, _totals, _paged),
    Check(LINKS, _links, _numbered),
    Check(ENDS, _endless, _paged),
    Check(ORDERED, _order, _has_order),
    Check(OWN, _strangers, _about_accounts),
)
