"""Attacks with known outcomes: about 275 requests plus six for each operation.

They are sent at once, except for those for which it matters what the server was asked before. Each module has tables of
attempts, and the rules that an attempt can show to be broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from openholder.rehearsal.attacks import (
    addresses,
    bodies,
    everywhere,
    headers,
    methods,
    precedence,
    refusals,
    replayed_tokens,
    wire,
)
from openholder.rehearsal.attacks.target import Target, find_target, get_untrusted_signer, is_json_get
from openholder.rehearsal.results import SERVER, Result, Rule, skip_rule
from openholder.rehearsal.session import Session
from openholder.rehearsal.side_by_side import run_side_by_side


class AttackGroup(NamedTuple):
    """Attacks of one module."""

    name: str
    rules: Sequence[Rule]
    run: Callable[[Target], AsyncIterator[Result]]
    is_alone: bool = False
    """Whether no other request may be sent meanwhile: a server that remembers few tokens would forget its own."""


GROUPS: tuple[AttackGroup, ...] = (
    AttackGroup("tokens", refusals.RULES, refusals.run),
    AttackGroup("addresses of keys", addresses.RULES, addresses.run),
    AttackGroup("tokens for each operation", everywhere.RULES, everywhere.run),
    AttackGroup("what is judged first", precedence.RULES, precedence.run),
    AttackGroup("replayed tokens", replayed_tokens.RULES, replayed_tokens.run, is_alone=True),
    AttackGroup("methods and paths", methods.RULES, methods.run),
    AttackGroup("bodies", bodies.RULES, bodies.run),
    AttackGroup("headers and ids", headers.RULES, headers.run),
    AttackGroup("bytes", wire.RULES, wire.run),
)


async def run_attacks(session: Session) -> AsyncIterator[Result]:
    """Attack the operations that returned data, if the plan includes attacks."""
    target = find_target(session, filter(is_json_get, session.served_operations))
    reason = await _find_obstacle(session, target)
    if target is None or reason:
        for rule in (rule for group in GROUPS for rule in group.rules):
            yield skip_rule(rule, SERVER, reason)
        return
    async for result in run_side_by_side([group.run(target) for group in GROUPS if not group.is_alone]):
        yield result
    for group in (group for group in GROUPS if group.is_alone):
        async for result in group.run(target):
            yield result


async def _find_obstacle(session: Session, target: Target | None) -> str:
    """Return why attacks are impossible or would prove nothing; empty if there is no obstacle."""
    if not session.plan.attacks:
        return "attacks are disabled"
    if target is None:
        return "no GET operation returned data"
    # Generating a key takes a while, and the server may share the event loop, as in the demo.
    await asyncio.to_thread(get_untrusted_signer)
    exchange = await session.send(target.build_request(note="a valid token, before the attacks"))
    return "" if exchange.is_ok else f"a valid token was answered with {exchange.status_text}"
