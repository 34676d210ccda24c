"""Lists and their pages, as they came: sizes, totals, links, order, and whose records they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

from openholder.contract.collections import collection_named
from openholder.errors import SourceFault
from openholder.rehearsal.checks import Check, run_checks
from openholder.rehearsal.exchange import CallSequence, Exchange, format_route, get_member, read_records
from openholder.rehearsal.results import Result, Rule
from openholder.rehearsal.session import read_next_query

_CDS = "Consumer Data Standards, pagination"

PAGE_SIZE = Rule(
    name="page-size",
    severity="error",
    expected="A page has no more records than page-size (FDX: limit) asks for, and no fewer unless it is the last.",
    why="Recipients size their memory by it; short pages in the middle look like the end.",
    reference=f"{_CDS}: page-size; FDX API v6: limit",
    how_to_fix="Cut the page where the records are read, after all filters.",
)
UNIQUE = Rule(
    name="records-once",
    severity="error",
    expected="No record stands on two pages of one list, or twice on one.",
    why="A transaction that comes twice is counted twice.",
    reference=f"{_CDS}; Fiskil, integration requirements: paging of lists",
    how_to_fix="Order the records totally, ties by id, and cut pages from that one order.",
)
TOTAL = Rule(
    name="total-records",
    severity="error",
    expected="meta.totalRecords (FDX: page.totalElements) is the number of records on all pages, on every page;"
    " totalPages is that by the size of a page.",
    why="Recipients compare it with what they got, and take the list for incomplete.",
    reference=f"{_CDS}: meta.totalRecords, meta.totalPages",
    how_to_fix="Count with the same filters that the page is selected by.",
)
LINKS = Rule(
    name="page-links",
    severity="error",
    expected="first and prev on every page but the first, next and last on every page but the last;"
    " each names the page that it is called after, and keeps the page-size.",
    why="Recipients follow links: one that is missing or wrong ends the list early, or never.",
    reference=f"{_CDS}: links; Fiskil, examples of lists: query strings",
    how_to_fix="Make the links of the page number, the total and the query that was asked.",
)
ENDS = Rule(
    name="pages-end",
    severity="error",
    expected="Following the links comes to an end.",
    why="Recipients read the same pages for ever.",
    reference=f"{_CDS}: next is absent on the last page; FDX API v6: nextOffset",
    how_to_fix="Leave the next link out on the last page.",
)
ORDERED = Rule(
    name="newest-first",
    severity="error",
    expected="Transactions, plans, invoices, billing and statements come newest first, over all pages.",
    why="Recipients read until they meet what they know; what comes out of order is never read.",
    reference="Consumer Data Standards, Get Transactions For Account: newest first; Fiskil, the same",
    how_to_fix="Order by posting time, else execution time, else value time, before pages are cut.",
)
OWN = Rule(
    name="records-of-the-account",
    severity="critical",
    expected="Every record belongs to an account that was asked for.",
    why="Somebody's data goes to a recipient who has no consent for it.",
    reference="Fiskil, consents: the accounts chosen; Consumer Data Standards, …ForSpecificAccounts",
    how_to_fix="Select by the account ids of the path or body, and check the records before they leave.",
)


def check_list(sequence: CallSequence) -> Iterator[Result]:
    """The outcomes of all checks on one list."""
    if sequence.operation.reply.many and sequence.is_complete:
        yield from run_checks(LISTS, sequence, format_route(sequence.operation), sequence.exchanges[-1].request)


def get_page_size(exchange: Exchange) -> int:
    """The size of a page that was asked for; 25 where none was (CDS, pagination)."""
    query = parse_qs(exchange.request.query)
    return int((query.get("page-size") or query.get("limit") or ["25"])[0])


def get_total(exchange: Exchange) -> Any:
    """The number of records that an answer claims there are."""
    paging = exchange.request.operation and exchange.request.operation.reply.paging
    return get_member(exchange.json, *(("meta", "totalRecords") if paging == "page" else ("page", "totalElements")))


def _sizes(sequence: CallSequence) -> Iterator[str]:
    for number, exchange in enumerate(sequence.exchanges, 1):
        held, size = len(read_records(exchange)), get_page_size(exchange)
        if held > size or (held < size and number < len(sequence.exchanges)):
            yield f"page {number} of {len(sequence.exchanges)} has {held} records where {size} were asked for"


def _twice(sequence: CallSequence) -> Iterator[str]:
    key = collection_named(sequence.operation.collection).key or ""
    counted = Counter(str(record[key]) for record in sequence.records if key in record)
    doubled = sum(number - 1 for number in counted.values())
    if doubled:
        yield f"{doubled} of {len(sequence.records)} records came before, by their `{key}`"


def _totals(sequence: CallSequence) -> Iterator[str]:
    came = len(sequence.records)
    for number, exchange in enumerate(sequence.exchanges, 1):
        total = get_total(exchange)
        if total != came:
            yield f"page {number} says {_number(total)} records, {came} came"
        pages = get_member(exchange.json, "meta", "totalPages")
        if sequence.operation.reply.paging == "page" and pages != -(-came // get_page_size(exchange)):
            yield f"page {number} says {_number(pages)} pages for {came} records, {get_page_size(exchange)} a page"


def _number(value: object) -> str:
    return str(value) if isinstance(value, int) and abs(value) < 10**9 else "no number of"


def _links(sequence: CallSequence) -> Iterator[str]:
    last = len(sequence.exchanges)
    for number, exchange in enumerate(sequence.exchanges, 1):
        due = {"first": 1, "prev": number - 1} if number > 1 else {}
        due |= {"next": number + 1, "last": last} if number < last else {}
        given = get_member(exchange.json, "links")
        for name in ("first", "prev", "next", "last"):
            yield from _link(
                f"page {number} of {last}", name, get_member(given, name), due.get(name), get_page_size(exchange)
            )


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


def _endless(sequence: CallSequence) -> Iterator[str]:
    if read_next_query(sequence.operation, sequence.exchanges[-1], sequence.first.request.query):
        yield f"after {len(sequence.exchanges)} pages the link leads to one that was read before"


def _order(sequence: CallSequence) -> Iterator[str]:
    newest = collection_named(sequence.operation.collection).order[0]
    try:
        keys = [newest.key(record) for record in sequence.records]
    except SourceFault:
        return  # a time that is none: the shape has it
    wrong = sum(later > earlier for earlier, later in pairwise(keys))
    if wrong:
        yield f"{wrong} of {len(keys)} records are newer than the one before them"


def _strangers(sequence: CallSequence) -> Iterator[str]:
    asked = set(sequence.account_ids) or {sequence.ids["accountId"]}
    strange = sum(account is not None and account not in asked for account in map(get_account_id, sequence.records))
    if strange:
        yield f"{strange} of {len(sequence.records)} records name another account"


def get_account_id(record: dict[str, Any]) -> Any:
    """The account that a record names; None where it names none."""
    return record.get("accountId") or get_member(record, "from", "accountId")


def _about_accounts(sequence: CallSequence) -> bool:
    return bool(sequence.account_ids) or "accountId" in sequence.ids


def _paged(sequence: CallSequence) -> bool:
    return sequence.operation.reply.paging is not None


def _numbered(sequence: CallSequence) -> bool:
    return sequence.operation.reply.paging == "page"


def _has_order(sequence: CallSequence) -> bool:
    return bool(collection_named(sequence.operation.collection).order)


LISTS: Sequence[Check[CallSequence]] = (
    Check(PAGE_SIZE, _sizes, _paged),
    Check(UNIQUE, _twice),
    Check(TOTAL, _totals, _paged),
    Check(LINKS, _links, _numbered),
    Check(ENDS, _endless, _paged),
    Check(ORDERED, _order, _has_order),
    Check(OWN, _strangers, _about_accounts),
)
