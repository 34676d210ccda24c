"""Attacks, polite and bounded: about 240 requests and six for each operation, one after the other but for
one race, all with known answers.

Each module has a table of rows under the rules that they may show broken: what is tried, and what must come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from openholder.operations.table import JSON
from openholder.rehearsal.attacks import bodies, everywhere, headers, methods, refusals, replay, wire
from openholder.rehearsal.attacks.target import Target, first, stranger
from openholder.rehearsal.findings import SERVER, Outcome, Rule, skipped
from openholder.rehearsal.scene import Scene


class Kind(NamedTuple):
    """Attacks that belong together."""

    name: str
    rules: Sequence[Rule]
    play: Callable[[Target], AsyncIterator[Outcome]]


KINDS: tuple[Kind, ...] = (
    Kind("tokens", refusals.RULES, refusals.played),
    Kind("tokens for each operation", everywhere.RULES, everywhere.played),
    Kind("tokens that are used again", replay.RULES, replay.played),
    Kind("methods and paths", methods.RULES, methods.played),
    Kind("bodies", bodies.RULES, bodies.played),
    Kind("headers and ids", headers.RULES, headers.played),
    Kind("bytes", wire.RULES, wire.played),
)


async def attacked(scene: Scene) -> AsyncIterator[Outcome]:
    """Attack the operations that answered with data, if that is planned."""
    target = first(scene, lambda operation: operation.method == "GET" and operation.reply.media == JSON)
    reason = await _reason(scene, target)
    for kind in KINDS:
        if target is None or reason:
            for rule in kind.rules:
                yield skipped(rule, SERVER, reason)
        else:
            async for outcome in kind.play(target):
                yield outcome


async def _reason(scene: Scene, target: Target | None) -> str:
    """Why nothing can be learnt from attacks."""
    if not scene.plan.attacks:
        return "left out as asked"
    if target is None:
        return "no operation with GET has answered with data"
    await asyncio.to_thread(stranger)  # it takes a while, and the server may share the event loop, as the demo does
    exchange = await scene.send(target.request(note="a good token, before the attacks"))
    return "" if exchange.good else f"a good token came to {exchange.came}"
