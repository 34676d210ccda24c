"""What recipients ask of a server, in the order in which they ask it.

A recipient reads everything once when a customer has consented, with two years of transactions, bills and statements.
Then it comes again and again for what is new: the accounts, the balances and the last 14 days. Every list is read to
its last page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from openholder.contract.operations import Operation
from openholder.contract.parameters import Window
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.session import LARGE_PAGE, Session

TWO_YEARS, LAST_DAYS = "two years", "14 days"
PERIODS: Mapping[str, int] = {TWO_YEARS: 730, LAST_DAYS: 14}
"""Days that each kind of read goes back."""
RETURNS = 19
"""Visits for new records after each first one: of 20 visits to a busy holder, one follows a new consent."""
ASKED_AGAIN = ("accounts", "balances")
"""Collections that are read in each visit, whatever their sector, beside all records of a period."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A list or record that a recipient reads for a customer."""

    request: Request
    """The request for its first page."""
    customer: int
    """The number of the customer, from 0."""
    period: str = ""
    """One of `PERIODS`, or empty if the operation has no time in its query."""


@dataclass
class Customer:
    """What recipients read for one customer."""

    first: list[Reading] = field(default_factory=list)
    """After the consent."""
    again: list[Reading] = field(default_factory=list)
    """In each later visit."""

    def visit_for_ever(self) -> Iterator[Reading]:
        """Yield the readings of all visits; there must be at least one reading."""
        while True:
            yield from self.first
            for _ in range(RETURNS):
                yield from self.again


def find_window(operation: Operation) -> Window | None:
    """Return the parameters that limit the time of an operation's records, if it has any."""
    return next((each for each in operation.parameters if isinstance(each, Window)), None)


async def try_periods(session: Session) -> dict[tuple[str, str], str]:
    """Ask for each period once, before the load, and return the accepted queries by operation and period.

    Two years are asked for in pages as large as the standard allows, or of the server's own size if it refuses that. A
    period that the server does not answer is no part of its load: other rules judge that.
    """
    accepted: dict[tuple[str, str], str] = {}
    for request in _find_examples(session):
        assert request.operation
        window = find_window(request.operation)
        for period in PERIODS if window else ():
            for query in _build_queries(request.operation, period):
                exchange = await session.send(replace(request, query=query, note=period))
                if exchange.is_ok:
                    accepted[request.operation.name, period] = query
                    break
    return accepted


def _find_examples(session: Session) -> list[Request]:
    """Return one request of each operation that was answered with data."""
    found: dict[str, Request] = {}
    for _, request in _find_answered(session):
        assert request.operation
        found.setdefault(request.operation.name, request)
    return list(found.values())


def _find_answered(session: Session) -> Iterator[tuple[int, Request]]:
    """Yield the requests that were answered with data, each with the number of the customer, without their queries."""
    for number, run in enumerate(session.runs):
        for sequence in chain.from_iterable(run.sequences.values()):
            if sequence.first.is_ok and not sequence.operation.deprecated:
                yield number, replace(sequence.first.request, query="", token=None, note="")


def _build_queries(operation: Operation, period: str) -> list[str]:
    """Return the queries for a period: the preferred one first."""
    window = find_window(operation)
    assert window
    day = (datetime.now(UTC) - timedelta(days=PERIODS[period])).date().isoformat()
    query = f"{window.oldest}={day}" + ("T00:00:00Z" if window.reads == "date-time" else "")
    large = LARGE_PAGE[operation.reply.paging] if period == TWO_YEARS else ""
    return [f"{query}&{large}", query] if large else [query]


def plan_customers(session: Session, accepted: Mapping[tuple[str, str], str]) -> list[Customer]:
    """Return what is read for each customer, from what was answered with data before the load.

    Args:
        session: The rehearsal so far.
        accepted: The queries for periods, of `try_periods`.
    """
    customers = [Customer() for _ in session.runs]
    for number, request in _find_answered(session):
        operation = request.operation
        assert operation
        customer = customers[number]
        if find_window(operation):
            for period, readings in ((TWO_YEARS, customer.first), (LAST_DAYS, customer.again)):
                if query := accepted.get((operation.name, period)):
                    readings.append(Reading(replace(request, query=query, note=period), number, period))
        else:
            reading = Reading(request, number)
            customer.first.append(reading)
            if operation.sector != "auth" and operation.collection.rpartition(".")[2] in ASKED_AGAIN:
                customer.again.append(reading)
    return [customer for customer in customers if customer.first or customer.again]


def write_script(customers: Sequence[Customer], count: int) -> list[Reading]:
    """Return the first ``count`` readings. The customers take turns, so that each has an equal share of any second."""
    turns = zip(*(customer.visit_for_ever() for customer in customers), strict=False)
    return list(islice(chain.from_iterable(turns), count))
