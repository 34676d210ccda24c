"""Several requests at the same time: each must get its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import zip_longest

from openholder.contract.operations import Operation
from openholder.rehearsal.exchange import Exchange, records
from openholder.rehearsal.findings import Outcome, Rule, found, passed, skipped
from openholder.rehearsal.judges.agreement import canonical
from openholder.rehearsal.scene import Scene, Visit

AT_ONCE = 12
"""Requests at the same time. The CDS want hundreds a second answered."""
BUSY = (429, 503)
"""A server may say that this is too much for it."""
OWN_ANSWER = Rule(
    "own-answer", "critical",
    expected="A request gets the same answer, whether it is alone or one of many at the same time.",
    why="What two requests share in the server's memory shows one customer the data of another.",
    written="Consumer Data Standards, Privacy Safeguard 11; non-functional requirements: concurrent sessions",
    mend="Look for what outlives a request: globals, singletons, a cache with too short a key, a connection that two"
    " requests use at once.",
)  # fmt: skip


async def asked_together(scene: Scene) -> AsyncIterator[Outcome]:
    """Ask again what has been answered, many requests at once, people and accounts next to each other."""
    alone = [exchange for operation in scene.served for exchange in _side_by_side(scene.visits, operation)]
    for start in range(0, len(alone), AT_ONCE):
        before = alone[start : start + AT_ONCE]
        together = await asyncio.gather(*(scene.send(exchange.request) for exchange in before))
        for one, other in zip(before, together, strict=True):
            yield await _judged(scene, one, other)


def _side_by_side(visits: Sequence[Visit], operation: Operation) -> Iterator[Exchange]:
    """The first answers to everybody, each twice: one person's next to another's."""
    answered = ([leg.first for leg in visit.legs.get(operation.name, ()) if leg.first.good] for visit in visits)
    for row in zip_longest(*answered):
        yield from [exchange for exchange in row if exchange] * 2


async def _judged(scene: Scene, alone: Exchange, together: Exchange) -> Outcome:
    where = together.request.route
    if together.status in BUSY:
        return skipped(OWN_ANSWER, where, "the server has enough to do")
    if together.good and _content(alone) == _content(together):
        return passed(OWN_ANSWER, where)
    if _content(await scene.send(alone.request)) != _content(alone):
        return skipped(OWN_ANSWER, where, "the answer is another one each time, also alone")
    came = "other data than to the same request alone" if together.good else together.came
    return found(OWN_ANSWER, where, came, together.request)


def _content(exchange: Exchange) -> list[bytes]:
    return [canonical(record) for record in records(exchange)]
