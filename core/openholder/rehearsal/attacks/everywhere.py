"""Whether every operation looks at the token: one that was forgotten is open to everybody."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from operator import is_

from openholder.rehearsal.attacks.target import Make, Target, first, no_data, sent, stranger, verdict
from openholder.rehearsal.findings import Outcome, Rule

EVERYWHERE = Rule(
    "gate-everywhere", "critical",
    expected="Each operation refuses a missing token, a forged one, one for another URI, an old one and a used one.",
    why="Behind an operation that was forgotten are everybody's data of that kind.",
    written="Fiskil, resource server guide: every request has its token; OWASP API Security Top 10, API5:2023",
    mend="Check the token in one place, before a request comes to its handler.",
)  # fmt: skip
RULES = (EVERYWHERE,)

_BAD: Mapping[str, Make] = {
    "no token": lambda target: target.request(token=""),
    "a forged token": lambda target: target.signed(target.header(), target.claims(), stranger()),
    "a token for another URI": lambda target: target.token(None, aud=f"{target.uri}/x"),
    "a token that is an hour too old": lambda target: target.token(None, exp=int(time.time()) - 3600),
}


async def played(target: Target) -> AsyncIterator[Outcome]:
    """Try a few bad tokens on every operation that has answered with data."""
    for one in filter(None, (first(target.scene, partial(is_, row)) for row in target.scene.served)):
        for note, make in _BAD.items():
            exchange = await sent(one, note, make(one))
            yield verdict(EVERYWHERE, one, exchange, no_data(exchange))
        yield await _used(one)


async def _used(target: Target) -> Outcome:
    token = target.token()
    await sent(target, "a token for the first time", token)
    exchange = await sent(target, "a token for the second time", token)
    return verdict(EVERYWHERE, target, exchange, no_data(exchange))
