"""Repeated requests: with other page sizes, with invalid pages, and unchanged; and searches with similar addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from openholder.contract.limits import DEFAULT_SIZE
from openholder.contract.operations import Operation
from openholder.rehearsal.checks.consistency import encode_canonical
from openholder.rehearsal.checks.lists import check_list
from openholder.rehearsal.exchange import CallSequence, format_route, get_member, read_page_size, read_records
from openholder.rehearsal.probes import compare_records, find_fullest
from openholder.rehearsal.results import Result, Rule, fail_rule, judge_rule
from openholder.rehearsal.session import LARGE_PAGE, PAGE_SIZE, CustomerRun, Session
from openholder.rehearsal.side_by_side import do_side_by_side, run_side_by_side

UNKNOWN_EMAIL = "nobody@no-such-host.invalid"
PAGES_MATCH_LIST = Rule(
    name="pages-match-list",
    severity="error",
    expected="Consecutive small pages contain the same records, in the same order, as one large page.",
    why="Records that fall between two pages are never seen; records on both are counted twice.",
    reference="Consumer Data Standards, pagination; Fiskil, integration requirements: paging of lists",
    how_to_fix="Order the records totally, ties by id, before cutting pages.",
    example="GET …/accounts/{accountId}/transactions: one large page, compared with small ones: 94 records, expected"
    " 95: 0 too many, 1 missing",
)
REPEATABLE = Rule(
    name="repeatable-response",
    severity="error",
    expected="The same request, repeated, gets the same response.",
    why="Recipients cannot tell new records from reordered ones.",
    reference="RFC 9110 section 9.2.2: idempotent methods; Consumer Data Standards, data quality",
    how_to_fix="Give records a total order and permanent ids. Rehearse with data that does not change meanwhile.",
    example="GET …/accounts/{accountId}/transactions: the expected records in another order, or repeated",
)
DEFAULT_PAGE_SIZE = Rule(
    name="default-page-size",
    severity="error",
    expected=f"Without page-size, a page has at most {DEFAULT_SIZE} records.",
    why="Recipients that omit the parameter get pages of another size than the standard defines.",
    reference=f"Consumer Data Standards, pagination: page-size defaults to {DEFAULT_SIZE}",
    how_to_fix=f"Use a default of {DEFAULT_SIZE}.",
    example="GET …/accounts/{accountId}/transactions: 10 records",
)
PAGE_LIMITS = Rule(
    name="page-limits",
    severity="error",
    expected="An invalid page or page-size is refused: 400 if it is below 1, above 1000 or not a number; 422 for a page"
    " after the last.",
    why="Recipients take an empty page for the end, or get more than they can hold.",
    reference="Consumer Data Standards, error codes: Field/Invalid, Field/InvalidPageSize, Field/InvalidPage",
    how_to_fix="Validate page and page-size before reading the records, and page against the total afterwards.",
    example="GET …/accounts/{accountId}/transactions?page=0: 200 with data",
)
CASE_INSENSITIVE = Rule(
    name="email-case-insensitive",
    severity="error",
    expected="An e-mail address is found in upper and lower case.",
    why="People type addresses in any case; whoever is not found cannot log in.",
    reference="Fiskil, end-user authentication; RFC 5321 section 2.4 (domains), common practice for the rest",
    how_to_fix="Convert A-Z to lower case on both sides of the comparison.",
    example="POST /auth/v1/customer/search: 0 records, expected 2: 0 too many, 2 missing",
)
SIMILAR_EMAIL = Rule(
    name="similar-email",
    severity="error",
    expected="A search does not find the customer of an address that has other dots, or a suffix behind a plus sign.",
    why="These are addresses of other people at most mail hosts: they would log in as this customer.",
    reference="RFC 5321 section 2.3.11: only the host of an address may interpret the part before the @",
    how_to_fix="Compare the whole address, and change nothing but the letter case.",
    example="POST /auth/v1/customer/search (an address with a dot more): 200 with data",
)
ONE_PERSON = Rule(
    name="search-one-person",
    severity="warning",
    expected="A search finds no other person than the one who has the address, beside organisations.",
    why="Whoever types the address is offered to log in as somebody else.",
    reference="Fiskil, end-user authentication: the search returns the customers whom the person owns or is a contact"
    " of",
    how_to_fix="Select customers by the address of the person or of a contact, with an exact comparison; look for a"
    " join that multiplies rows.",
    example="GET /auth/v1/customer/{customerId} (another customer that the search found): a person with another"
    " address",
)
UNKNOWN_EMAIL_EMPTY = Rule(
    name="unknown-email-empty",
    severity="error",
    expected="A search for an unknown address returns an empty list.",
    why="The login page cannot tell the person that the address is unknown.",
    reference="Fiskil, customer search: data is required",
    how_to_fix="Compare the whole address; answer 200 with an empty `data`.",
    example="POST /auth/v1/customer/search (an unknown address): 404",
)
MAX_FOUND = 3
"""The number of other customers of a search whose details are requested."""
INVALID_PAGES = {
    "page=0": 400,
    "page=-1": 400,
    "page=two": 400,
    "page-size=0": 400,
    "page-size=1001": 400,
    "page=100000": 422,
}
"""Invalid queries, and the status to refuse each with."""


async def probe_repetition(session: Session) -> AsyncIterator[Result]:
    """Repeat all lists with other pages, all requests unchanged, and the search with similar addresses."""
    served = session.served_operations
    probes = [_probe_pages(session, operation) for operation in served]
    probes += [_repeat_operation(session, operation) for operation in served]
    async for result in run_side_by_side([*probes, _probe_search(session)]):
        yield result
    for run in session.runs:
        async for result in _probe_found_customers(session, run):
            yield result


async def _probe_pages(session: Session, operation: Operation) -> AsyncIterator[Result]:
    sequence = find_fullest(session, operation)
    probes = []
    if sequence and operation.reply.paging:
        probes.append(_probe_large_page(session, sequence))
    if sequence and operation.reply.paging == "page":
        probes += [_probe_default_size(session, sequence), _probe_invalid_pages(session, sequence)]
    async for result in run_side_by_side(probes):
        yield result


async def _repeat_operation(session: Session, operation: Operation) -> AsyncIterator[Result]:
    """Repeat all requests of the first customer who has data of this kind."""
    for run in session.runs:
        complete = [sequence for sequence in run.sequences.get(operation.name, ()) if sequence.is_complete]
        requests = [sequence.first.request for sequence in complete]
        again = await do_side_by_side(
            session.repeat(sequence, request.query, body=request.body)
            for sequence, request in zip(complete, requests, strict=True)
        )
        for sequence, repeated in zip(complete, again, strict=True):
            yield compare_records(REPEATABLE, replace(repeated, unread=""), sequence.records)
        if complete:
            break


async def _probe_large_page(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    large = await session.repeat(sequence, LARGE_PAGE[sequence.operation.reply.paging])
    if sequence.unread or large.unread:
        yield _compare_pages(sequence, large)
    else:
        yield compare_records(PAGES_MATCH_LIST, large, sequence.records, "one large page, compared with small ones: ")
    for result in check_list(large):
        yield result


def _compare_pages(small: CallSequence, large: CallSequence) -> Result:
    """Compare the records of a long list that were read in both page sizes."""
    request = large.first.request
    if not large.is_complete:
        return fail_rule(PAGES_MATCH_LIST, large.route, large.exchanges[-1].status_text, request)
    places = [
        {
            (number - 1) * read_page_size(exchange.request) + place: encode_canonical(record)
            for number, exchange in sequence.numbered
            for place, record in enumerate(read_records(exchange))
        }
        for sequence in (small, large)
    ]
    different = sum(places[0][place] != places[1][place] for place in places[0].keys() & places[1].keys())
    observed = f"one large page, compared with small ones: {different} records differ, of those at the same places"
    return judge_rule(PAGES_MATCH_LIST, large.route, not different, observed, request)


async def _probe_default_size(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    repeated = await session.repeat(sequence, "")
    first, count = repeated.first, len(read_records(repeated.first))
    is_kept = first.is_ok and count == min(len(sequence.records), DEFAULT_SIZE)
    observed = f"{count} records" if first.is_ok else first.status_text
    yield judge_rule(DEFAULT_PAGE_SIZE, sequence.route, is_kept, observed, first.request)
    if is_kept:
        for result in check_list(repeated):
            yield result


async def _probe_invalid_pages(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    after_last = {} if sequence.unread else {f"page={len(sequence.exchanges) + 1}&page-size={PAGE_SIZE}": 422}
    invalid = {**INVALID_PAGES, **after_last}
    exchanges = await do_side_by_side(session.repeat_once(sequence, query) for query in invalid)
    for status, exchange in zip(invalid.values(), exchanges, strict=True):
        is_kept = exchange.status == status
        yield judge_rule(PAGE_LIMITS, sequence.route, is_kept, exchange.status_text, exchange.request)


async def _probe_search(session: Session) -> AsyncIterator[Result]:
    """Search for the same address in other letter case, and for unknown ones that resemble it."""
    run = session.runs[0]
    unknown = {
        "an unknown address": UNKNOWN_EMAIL,
        "an address without its last letter": run.email[:-1],
        "an address without its first letter": run.email[1:],
        "an address with an SQL wildcard": f"_{run.email[1:]}",
        "an address with an apostrophe": f"o'{UNKNOWN_EMAIL}",
    }
    for sequence in run.sequences.get("searchCustomers", ()):
        other_case = await session.call_all_pages(sequence.operation, sequence.ids, email=run.email.swapcase())
        yield compare_records(CASE_INSENSITIVE, other_case, sequence.records)
        async for result in _probe_similar_addresses(session, run, sequence):
            yield result
        for note, email in unknown.items():
            exchange = await session.call(sequence.operation, sequence.ids, email=email, note=note)
            is_empty = exchange.is_ok and not read_records(exchange)
            # A cut address may be invalid, and refused as such.
            is_refused = email != UNKNOWN_EMAIL and exchange.status == 400
            observed = f"{exchange.status_text}: {note}"
            yield judge_rule(UNKNOWN_EMAIL_EMPTY, sequence.route, is_empty or is_refused, observed, exchange.request)


async def _probe_found_customers(session: Session, run: CustomerRun) -> AsyncIterator[Result]:
    """Request the details of the other customers that a search found: none is a person with another address."""
    details = next((each for each in session.served_operations if each.name == "getCustomerDetails"), None)
    found = [str(record.get("id")) for sequence in run.sequences["searchCustomers"] for record in sequence.records]
    for customer in [each for each in dict.fromkeys(found) if each != run.customer_id][:MAX_FOUND] if details else ():
        assert details
        note = "another customer that the search found"
        exchange = await session.call(details, {"customerId": customer}, note=note)
        email, family_name = (get_member(exchange.json, name) for name in ("email", "familyName"))
        is_other = isinstance(email, str) and email.lower() != run.email.lower() and bool(family_name)
        observed = "a person with another address"
        yield judge_rule(ONE_PERSON, format_route(details), not is_other, observed, exchange.request)


async def _probe_similar_addresses(session: Session, run: CustomerRun, sequence: CallSequence) -> AsyncIterator[Result]:
    """Search for addresses that some mail hosts, and careless servers, take for the same."""
    name, _, host = run.email.rpartition("@")
    similar = {
        "an address with a dot more": f"{name[:1]}.{name[1:]}@{host}",
        "an address without its dots": f"{name.replace('.', '')}@{host}",
        "an address with a suffix": f"{name}+rehearsal@{host}",
        "an address with a list of two": f"{UNKNOWN_EMAIL},{run.email}",
    }
    found = {str(record.get("id")) for record in sequence.records}
    for note, email in similar.items():
        if email != run.email and name:
            exchange = await session.call(sequence.operation, sequence.ids, email=email, note=note)
            # Somebody else may have that very address.
            is_kept = not found & {str(record.get("id")) for record in read_records(exchange)}
            yield judge_rule(SIMILAR_EMAIL, sequence.route, is_kept, exchange.status_text, exchange.request)
