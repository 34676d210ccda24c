"""Concurrent requests: each must get its own response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import zip_longest

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.consistency import encode_canonical
from openholder.rehearsal.exchange import Exchange, read_records
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule, skip_rule
from openholder.rehearsal.session import CustomerRun, Session

CONCURRENT = 12
"""The number of concurrent requests. The CDS require holders to answer hundreds per second."""
BUSY = (429, 503)
"""Statuses with which a server may refuse because of load."""
OWN_RESPONSE = Rule(
    name="concurrent-requests",
    severity="critical",
    expected="A request gets the same response, whether it is sent alone or together with others.",
    why="State that two requests share in the server's memory shows one customer the data of another.",
    reference="Consumer Data Standards, Privacy Safeguard 11; non-functional requirements: concurrent sessions",
    how_to_fix="Look for state that outlives a request: globals, singletons, a cache with an incomplete key, a"
    " connection shared by two requests.",
    example="GET /auth/v1/customer/{customerId}: other data than in the response to the same request alone",
)


async def probe_concurrency(session: Session) -> AsyncIterator[Result]:
    """Repeat answered requests in groups, with the customers and accounts mixed."""
    earlier = [exchange for operation in session.served_operations for exchange in _interleave(session.runs, operation)]
    for start in range(0, len(earlier), CONCURRENT):
        group = earlier[start : start + CONCURRENT]
        repeated = await session.send_at_once(exchange.request for exchange in group)
        for alone, together in zip(group, repeated, strict=True):
            yield await _compare_responses(session, alone, together)


def _interleave(runs: Sequence[CustomerRun], operation: Operation) -> Iterator[Exchange]:
    """Yield the first responses to all customers, each twice, one customer's next to another's."""
    answered = [
        [sequence.first for sequence in run.sequences.get(operation.name, ()) if sequence.first.is_ok] for run in runs
    ]
    for row in zip_longest(*answered):
        exchanges = [exchange for exchange in row if exchange]
        yield from exchanges
        yield from exchanges


async def _compare_responses(session: Session, alone: Exchange, together: Exchange) -> Result:
    route = together.request.route
    if together.status in BUSY:
        return skip_rule(OWN_RESPONSE, route, "the server is already under load")
    if together.is_ok and _encode_records(alone) == _encode_records(together):
        return pass_rule(OWN_RESPONSE, route)
    again = [_encode_records(await session.send(alone.request)) for _ in range(2)]
    if again[0] != again[1]:
        return skip_rule(OWN_RESPONSE, route, "the response changes each time, even without concurrency")
    if together.is_ok and again[0] == _encode_records(together):
        return pass_rule(OWN_RESPONSE, route)
    observed = "other data than in the response to the same request alone" if together.is_ok else together.status_text
    return fail_rule(OWN_RESPONSE, route, observed, together.request)


def _encode_records(exchange: Exchange) -> list[bytes]:
    return [encode_canonical(record) for record in read_records(exchange)]
