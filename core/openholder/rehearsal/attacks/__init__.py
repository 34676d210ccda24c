"""Attacks with known outcomes: about 240 requests plus six for each operation.

They are sent one after the other, except for one race. Each module has tables of attempts, and the rules that an
attempt can show to be broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from openholder.rehearsal.attacks import bodies, everywhere, headers, methods, refusals, replay, wire
from openholder.rehearsal.attacks.target import Target, find_target, get_untrusted_signer, is_json_get
from openholder.rehearsal.findings import SERVER, Outcome, Rule, skipped
from openholder.rehearsal.scene import Scene


class AttackGroup(NamedTuple):
    """Attacks of one module."""

    name: str
    rules: Sequence[Rule]
    run: Callable[[Target], AsyncIterator[Outcome]]


GROUPS: tuple[AttackGroup, ...] = (
    AttackGroup("tokens", refusals.RULES, refusals.run),
    AttackGroup("tokens for each operation", everywhere.RULES, everywhere.run),
    AttackGroup("replayed tokens", replay.RULES, replay.run),
    AttackGroup("methods and paths", methods.RULES, methods.run),
    AttackGroup("bodies", bodies.RULES, bodies.run),
    AttackGroup("headers and ids", headers.RULES, headers.run),
    AttackGroup("bytes", wire.RULES, wire.run),
)


async def run_attacks(scene: Scene) -> AsyncIterator[Outcome]:
    """Attack the operations that returned data, if the plan includes attacks."""
    target = find_target(scene, filter(is_json_get, scene.served))
    reason = await _find_obstacle(scene, target)
    for group in GROUPS:
        if target is None or reason:
            for rule in group.rules:
                yield skipped(rule, SERVER, reason)
        else:
            async for outcome in group.run(target):
                yield outcome


async def _find_obstacle(scene: Scene, target: Target | None) -> str:
    """Return why attacks are impossible or would prove nothing; empty if there is no obstacle."""
    if not scene.plan.attacks:
        return "attacks are disabled"
    if target is None:
        return "no GET operation returned data"
    # Generating a key takes a while, and the server may share the event loop, as in the demo.
    await asyncio.to_thread(get_untrusted_signer)
    exchange = await scene.send(target.build_request(note="a valid token, before the attacks"))
    return "" if exchange.good else f"a valid token was answered with {exchange.came}"
