"""Limits of pages, and that the same question has the same answer: at once, in parts, and again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.lists import check_list
from openholder.rehearsal.exchange import CallSequence, format_route, read_records
from openholder.rehearsal.probes import compare_records, find_fullest
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule
from openholder.rehearsal.session import LARGE_PAGE, CustomerRun, Session

DEFAULT_SIZE = 25
NOBODY_S = "nobody@no-such-host.invalid"
WHOLE = Rule(
    name="pages-match-list",
    severity="error",
    expected="Small pages one after the other are the same records, in the same order, as one large page.",
    why="What falls between two pages is never seen; what overlaps is seen twice.",
    reference="Consumer Data Standards, pagination; Fiskil, integration requirements: paging of lists",
    how_to_fix="Order the records totally, ties by id, before a page is cut.",
)
STABLE = Rule(
    name="repeatable-answer",
    severity="error",
    expected="The same question, asked again, has the same answer.",
    why="Recipients cannot tell what is new from what was shuffled.",
    reference="RFC 9110 section 9.2.2: idempotent methods; Consumer Data Standards, data quality",
    how_to_fix="Give records a total order and ids that stay. Rehearse on data that nobody changes meanwhile.",
)
DEFAULTS = Rule(
    name="default-page-size",
    severity="error",
    expected=f"Without page-size a page has at most {DEFAULT_SIZE} records.",
    why="Recipients that leave it out get pages of another size than the standard says.",
    reference="Consumer Data Standards, pagination: page-size defaults to 25",
    how_to_fix="Default to 25.",
)
LIMITS = Rule(
    name="page-limits",
    severity="error",
    expected="A page or page-size that there cannot be is refused: 400 below 1, no number, or above 1000;"
    " 422 for a page behind the last.",
    why="Recipients take an empty page for the end, or get more than they can hold.",
    reference="Consumer Data Standards, error codes: Field/Invalid, Field/InvalidPageSize, Field/InvalidPage",
    how_to_fix="Check page and page-size before the records are read, and page against the total after.",
)
CASELESS = Rule(
    name="email-case-insensitive",
    severity="error",
    expected="An e-mail address is found whichever case it is typed in.",
    why="People type addresses as they like; who is not found cannot log in.",
    reference="Fiskil, end-user authentication; RFC 5321 section 2.4 (domains), common practice for the rest",
    how_to_fix="Fold A-Z on both sides of the comparison.",
)
NOBODY = Rule(
    name="unknown-email-empty",
    severity="error",
    expected="An address that nobody has gives an empty list.",
    why="The login page must be able to say that the address is not known.",
    reference="Fiskil, customer search: data is required",
    how_to_fix="Compare the whole address; answer 200 with an empty `data`.",
)


class Refused(NamedTuple):
    """A page that there cannot be."""

    query: str
    statuses: tuple[int, ...]


REFUSED = (
    Refused("page=0", (400,)),
    Refused("page=-1", (400,)),
    Refused("page=two", (400,)),
    Refused("page-size=0", (400,)),
    Refused("page-size=1001", (400,)),
    Refused("page=100000", (422,)),
)


async def probe_repetition(session: Session) -> AsyncIterator[Result]:
    """Ask all lists again: in one large page, without a size, with pages that there cannot be, and as before."""
    for operation in session.served:
        sequence = find_fullest(session, operation)
        if sequence and operation.reply.paging:
            async for result in _whole(session, sequence):
                yield result
        if sequence and operation.reply.paging == "page":
            async for result in _defaulted(session, sequence):
                yield result
            async for result in _limited(session, sequence):
                yield result
    for operation in session.served:
        for sequence in _legs(session.runs, operation):
            yield await _again(session, sequence)
    async for result in _searched(session):
        yield result


def _legs(runs: Sequence[CustomerRun], operation: Operation) -> list[CallSequence]:
    """What is asked again: everything for the first person, and for the others as far as only they have it."""
    answered = (
        [sequence for sequence in run.sequences.get(operation.name, ()) if sequence.is_complete] for run in runs
    )
    return next(filter(None, answered), [])


async def _whole(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    large = await session.call_all_pages(
        sequence.operation, sequence.ids, LARGE_PAGE[sequence.operation.reply.paging], accounts=sequence.account_ids
    )
    yield compare_records(WHOLE, large, sequence.records, "in one large page, against small ones: ")
    for result in check_list(large):
        yield result


async def _again(session: Session, sequence: CallSequence) -> Result:
    again = await session.call_all_pages(
        sequence.operation,
        sequence.ids,
        sequence.first.request.query,
        body=sequence.first.request.body,
        accounts=sequence.account_ids,
    )
    return compare_records(STABLE, again, sequence.records)


async def _defaulted(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    default = await session.call_all_pages(sequence.operation, sequence.ids, "", accounts=sequence.account_ids)
    held, where, first = len(read_records(default.first)), format_route(sequence.operation), default.first
    due = min(len(sequence.records), DEFAULT_SIZE)
    if first.is_ok and held == due:
        yield pass_rule(DEFAULTS, where)
        for result in check_list(default):
            yield result
    else:
        yield fail_rule(DEFAULTS, where, f"{held} records" if first.is_ok else first.status_text, first.request)


async def _limited(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    where = format_route(sequence.operation)
    for query, statuses in REFUSED:
        exchange = await session.call(sequence.operation, sequence.ids, accounts=sequence.account_ids, query=query)
        good = exchange.status in statuses
        yield pass_rule(LIMITS, where) if good else fail_rule(LIMITS, where, exchange.status_text, exchange.request)


async def _searched(session: Session) -> AsyncIterator[Result]:
    """The search by the same address in other letters, and by one that nobody has."""
    run = session.runs[0]
    for sequence in run.sequences.get("searchCustomers", ()):
        where = format_route(sequence.operation)
        other = await session.call_all_pages(sequence.operation, sequence.ids, email=run.email.swapcase())
        yield compare_records(CASELESS, other, sequence.records)
        for email, note in _nobody_s(run.email):
            none = await session.call(sequence.operation, sequence.ids, email=email, note=note)
            empty = none.is_ok and not read_records(none)
            refused = email != NOBODY_S and none.status == 400  # it may not look like an address
            good = empty or refused
            yield (
                pass_rule(NOBODY, where)
                if good
                else fail_rule(NOBODY, where, f"{none.status_text}: {note}", none.request)
            )


def _nobody_s(email: str) -> Iterator[tuple[str, str]]:
    """Addresses that nobody has, three of them close to one that somebody has."""
    yield NOBODY_S, "an address nobody has"
    yield email[:-1], "an address without its last letter"
    yield email[1:], "an address without its first letter"
    yield f"_{email[1:]}", "an address with a wildcard of SQL in it"
