"""Checks of lists and their pages: sizes, totals, links, order, and the accounts that records belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

from openholder.contract.collections import find_collection
from openholder.contract.limits import MAX_SIZE
from openholder.errors import SourceFault
from openholder.rehearsal.checks import Check, run_checks
from openholder.rehearsal.exchange import CallSequence, Exchange, get_member, read_page_size, read_records
from openholder.rehearsal.results import Result, Rule
from openholder.rehearsal.walking import read_next_query

_CDS = "Consumer Data Standards, pagination"

PAGE_SIZE = Rule(
    name="page-size",
    severity="error",
    expected="A page has at most page-size (FDX: limit) records, and fewer only if it is the last page.",
    why="Recipients allocate memory by the page size, and take a short page for the end of the list.",
    reference=f"{_CDS}: page-size; FDX API v6: limit",
    how_to_fix="Cut the page when reading the records, after all filters.",
    example="GET …/accounts/{accountId}/transactions: page 2 of 7 has 7 records; 8 were requested",
)
UNIQUE = Rule(
    name="records-once",
    severity="error",
    expected="Each record appears once in a list, across all its pages.",
    why="A repeated transaction is counted twice.",
    reference=f"{_CDS}; Fiskil, integration requirements: paging of lists",
    how_to_fix="Order the records totally, ties by id, and cut all pages from that order.",
    example="GET …/accounts/{accountId}/transactions: 6 of 49 records repeat the `transactionId` of an earlier one",
)
TOTAL = Rule(
    name="total-records",
    severity="error",
    expected="On every page, meta.totalRecords (FDX: page.totalElements) is the number of records on all pages, and"
    " totalPages is the number of pages of that size.",
    why="Recipients compare the total with the records received, and treat the list as incomplete.",
    reference=f"{_CDS}: meta.totalRecords, meta.totalPages",
    how_to_fix="Count with the same filters as those of the page.",
    example="GET …/accounts/{accountId}/transactions: page 1 claims 49 records; 48 were received",
)
LINKS = Rule(
    name="page-links",
    severity="error",
    expected="Every page except the first has the links first and prev; every page except the last has next and last."
    " Each link names its page and keeps the page-size.",
    why="Recipients follow the links: a missing or wrong one ends the list early, or never.",
    reference=f"{_CDS}: links; Fiskil, examples of lists: query strings",
    how_to_fix="Build the links from the page number, the total and the query of the request.",
    example="GET …/accounts/{accountId}/transactions: page 1 of 7: `last` does not lead to page 7",
)
ENDS = Rule(
    name="pages-end",
    severity="error",
    expected="Following the links reaches the last page.",
    why="Recipients read the same pages forever.",
    reference=f"{_CDS}: next is absent on the last page; FDX API v6: nextOffset",
    how_to_fix="Omit the next link on the last page.",
    example="GET …/accounts/{accountId}/transactions: after 7 pages the link leads to a page that was read before",
)
ORDERED = Rule(
    name="newest-first",
    severity="error",
    expected="Transactions, plans, invoices, billing and statements are ordered newest first, across all pages.",
    why="Recipients stop reading at the first record that they know: records out of order are never read.",
    reference="Consumer Data Standards, Get Transactions For Account: newest first; Fiskil, the same",
    how_to_fix="Order by posting time, else execution time, else value time, before cutting pages.",
    example="GET …/accounts/{accountId}/transactions: 5 of 95 records are newer than the one before them",
)
OWN_ACCOUNT = Rule(
    name="records-of-the-account",
    severity="critical",
    expected="Every record belongs to a requested account.",
    why="A recipient receives data that the customer did not consent to share.",
    reference="Fiskil, consents: the accounts chosen; Consumer Data Standards, …ForSpecificAccounts",
    how_to_fix="Select by the account ids of the path or body, and verify the records before sending them.",
    example="GET …/accounts/{accountId}/transactions: 7 of 49 records belong to another account",
)


def check_list(sequence: CallSequence) -> Iterator[Result]:
    """Run all checks of a list, if each of its pages that was requested was received."""
    if sequence.operation.reply.many and sequence.is_complete:
        yield from run_checks(LIST_CHECKS, sequence, sequence.route, sequence.exchanges[-1].request)


def get_total(exchange: Exchange) -> Any:
    """Return the total number of records according to the response."""
    paging = exchange.request.operation and exchange.request.operation.reply.paging
    return get_member(exchange.json, *(("meta", "totalRecords") if paging == "page" else ("page", "totalElements")))


def get_account_id(record: dict[str, Any]) -> Any:
    """Return the account that a record belongs to; None if it names no account."""
    return record.get("accountId") or get_member(record, "from", "accountId")


def _count_pages(sequence: CallSequence) -> int:
    """Return the number of pages of a list; 0 if the last one was not read."""
    return sequence.page_count if sequence.unread else len(sequence.exchanges)


def _find_wrong_sizes(sequence: CallSequence) -> Iterator[str]:
    last = _count_pages(sequence)
    # A holder may have a smaller limit for the pages of FDX: then all but the last are of that size.
    capped = len(read_records(sequence.first)) if sequence.operation.reply.paging == "offset" else MAX_SIZE
    for number, exchange in sequence.numbered:
        count, size = len(read_records(exchange)), read_page_size(exchange.request)
        if count > size or (count < min(size, capped) and number != last):
            yield f"page {number} of {last or 'many'} has {count} records; {size} were requested"


def _find_duplicates(sequence: CallSequence) -> Iterator[str]:
    key = find_collection(sequence.operation.collection).key or ""
    counts = Counter(str(record[key]) for record in sequence.records if key in record)
    duplicates = sum(count - 1 for count in counts.values())
    if duplicates:
        yield f"{duplicates} of {len(sequence.records)} records repeat the `{key}` of an earlier one"


def _find_wrong_totals(sequence: CallSequence) -> Iterator[str]:
    count = len(sequence.records) if sequence.is_whole else _deduce_total(sequence)
    for number, exchange in sequence.numbered:
        total = get_total(exchange)
        if total is None and sequence.operation.reply.paging == "offset":
            continue  # FDX API v6: totalElements is optional
        if total != count:
            yield f"page {number} claims {_format_count(total)} records; {count} were received"
        pages, size = get_member(exchange.json, "meta", "totalPages"), read_page_size(exchange.request)
        if sequence.operation.reply.paging == "page" and pages != -(-count // size):
            yield f"page {number} claims {_format_count(pages)} pages for {count} records of page size {size}"


def _deduce_total(sequence: CallSequence) -> int:
    """Return the number of records that a list has if its last page is the last one, and all others are full."""
    last = sequence.exchanges[-1]
    return (sequence.page_count - 1) * read_page_size(last.request) + len(read_records(last))


def _format_count(value: object) -> str:
    return str(value) if isinstance(value, int) and abs(value) < 10**9 else "no number of"


def _find_wrong_links(sequence: CallSequence) -> Iterator[str]:
    last = _count_pages(sequence)
    for number, exchange in sequence.numbered:
        expected = {"first": 1, "prev": number - 1} if number > 1 else {}
        expected |= {"next": number + 1, "last": last} if number < last else {}
        # The CDS let the first page have a link to itself as the first one, and the last page one as the last.
        allowed = {"first": 1, "last": max(last, 1), **expected}
        place, links = f"page {number} of {last}", get_member(exchange.json, "links")
        for name in ("first", "prev", "next", "last"):
            link = get_member(links, name)
            if link is None and name in expected:
                yield f"{place} has no link `{name}`"
            elif link is not None and name not in allowed:
                yield f"{place} has a link `{name}`"
            elif link is not None:
                query = parse_qs(str(link).rpartition("?")[2])
                if query.get("page") != [str(allowed[name])]:
                    yield f"{place}: `{name}` does not lead to page {allowed[name]}"
                if query.get("page-size") != [str(read_page_size(exchange.request))]:
                    yield f"{place}: `{name}` does not keep the page-size"


def _find_endless_paging(sequence: CallSequence) -> Iterator[str]:
    if read_next_query(sequence.operation, sequence.exchanges[-1], sequence.first.request.query):
        yield f"after {len(sequence.exchanges)} pages the link leads to a page that was read before"


def _find_wrong_order(sequence: CallSequence) -> Iterator[str]:
    newest = find_collection(sequence.operation.collection).order[0]
    try:
        keys = [newest.key(record) for record in sequence.records]
    except SourceFault:
        return  # an unreadable time: the schema checks report it
    wrong = sum(later > earlier for earlier, later in pairwise(keys))
    if wrong:
        yield f"{wrong} of {len(keys)} records are newer than the one before them"


def _find_other_accounts(sequence: CallSequence) -> Iterator[str]:
    requested = set(sequence.account_ids) or {sequence.ids["accountId"]}
    accounts = [get_account_id(record) for record in sequence.records]
    other = sum(account is not None and account not in requested for account in accounts)
    if other:
        yield f"{other} of {len(accounts)} records belong to another account"


def _is_about_accounts(sequence: CallSequence) -> bool:
    return bool(sequence.account_ids) or "accountId" in sequence.ids


def _has_pages(sequence: CallSequence) -> bool:
    return sequence.operation.reply.paging is not None


def _is_read_to_its_end(sequence: CallSequence) -> bool:
    return _has_pages(sequence) and _count_pages(sequence) > 0


def _has_page_numbers(sequence: CallSequence) -> bool:
    return sequence.operation.reply.paging == "page" and _count_pages(sequence) > 0


def _has_order(sequence: CallSequence) -> bool:
    return bool(find_collection(sequence.operation.collection).order)


LIST_CHECKS: Sequence[Check[CallSequence]] = (
    Check(PAGE_SIZE, _find_wrong_sizes, _has_pages),
    Check(UNIQUE, _find_duplicates),
    Check(TOTAL, _find_wrong_totals, _is_read_to_its_end),
    Check(LINKS, _find_wrong_links, _has_page_numbers),
    Check(ENDS, _find_endless_paging, _is_read_to_its_end),
    Check(ORDERED, _find_wrong_order, _has_order),
    Check(OWN_ACCOUNT, _find_other_accounts, _is_about_accounts),
)
