"""Several requests at the same time: each must get its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import zip_longest

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.consistency import encode_canonical
from openholder.rehearsal.exchange import Exchange, read_records
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule, skip_rule
from openholder.rehearsal.session import CustomerRun, Session

AT_ONCE = 12
"""Requests at the same time. The CDS want hundreds a second answered."""
BUSY = (429, 503)
"""A server may say that this is too much for it."""
OWN_ANSWER = Rule(
    name="concurrent-requests",
    severity="critical",
    expected="A request gets the same answer, whether it is alone or one of many at the same time.",
    why="What two requests share in the server's memory shows one customer the data of another.",
    reference="Consumer Data Standards, Privacy Safeguard 11; non-functional requirements: concurrent sessions",
    how_to_fix="Look for state that outlives a request: globals, singletons, a cache with an incomplete key, a"
    " connection shared by two requests.",
)


async def probe_concurrency(session: Session) -> AsyncIterator[Result]:
    """Ask again what has been answered, many requests at once, people and accounts next to each other."""
    alone = [exchange for operation in session.served for exchange in _side_by_side(session.runs, operation)]
    for start in range(0, len(alone), AT_ONCE):
        before = alone[start : start + AT_ONCE]
        together = await asyncio.gather(*(session.send(exchange.request) for exchange in before))
        for one, other in zip(before, together, strict=True):
            yield await _judged(session, one, other)


def _side_by_side(runs: Sequence[CustomerRun], operation: Operation) -> Iterator[Exchange]:
    """The first answers to everybody, each twice: one person's next to another's."""
    answered = (
        [sequence.first for sequence in run.sequences.get(operation.name, ()) if sequence.first.is_ok] for run in runs
    )
    for row in zip_longest(*answered):
        yield from [exchange for exchange in row if exchange] * 2


async def _judged(session: Session, alone: Exchange, together: Exchange) -> Result:
    where = together.request.route
    if together.status in BUSY:
        return skip_rule(OWN_ANSWER, where, "the server has enough to do")
    if together.is_ok and _content(alone) == _content(together):
        return pass_rule(OWN_ANSWER, where)
    if _content(await session.send(alone.request)) != _content(alone):
        return skip_rule(OWN_ANSWER, where, "the answer is another one each time, also alone")
    came = "other data than to the same request alone" if together.is_ok else together.status_text
    return fail_rule(OWN_ANSWER, where, came, together.request)


def _content(exchange: Exchange) -> list[bytes]:
    return [encode_canonical(record) for record in read_records(exchange)]
