"""Attacks on every operation with a few bad tokens: one operation without the check is open to everybody."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping

from openholder.rehearsal.attacks.target import (
    RequestBuilder,
    Target,
    find_target,
    get_untrusted_signer,
    is_rejected,
    judge_attempt,
    send_attempt,
)
from openholder.rehearsal.results import Result, Rule
from openholder.rehearsal.side_by_side import run_side_by_side

EVERYWHERE = Rule(
    name="gate-everywhere",
    severity="critical",
    expected="Each operation refuses a missing token, a forged one, one for another URI, an old one and a used one.",
    why="An operation without the check exposes everybody's data of its kind.",
    reference="Fiskil, resource server guide: every request has its token; OWASP API Security Top 10, API5:2023",
    how_to_fix="Check the token in one place, before a request reaches its handler.",
    example="GET /customer/{customerId}/accounts/{accountId}/balances (no token): 200 with data",
)
RULES = (EVERYWHERE,)

_BAD: Mapping[str, RequestBuilder] = {
    "no token": lambda target: target.build_request(token=""),
    "a forged token": lambda target: target.sign(target.build_header(), target.build_claims(), get_untrusted_signer()),
    "a token for another URI": lambda target: target.build_token(aud=f"{target.uri}/x"),
    "a token that expired an hour ago": lambda target: target.build_token(exp=int(time.time()) - 3600),
}


async def run(target: Target) -> AsyncIterator[Result]:
    """Try a few bad tokens on every operation that returned data."""
    session = target.session
    targets = [one for operation in session.served_operations if (one := find_target(session, [operation]))]
    async for result in run_side_by_side(map(_try_bad_tokens, targets)):
        yield result


async def _try_bad_tokens(one: Target) -> AsyncIterator[Result]:
    for note, build in _BAD.items():
        exchange = await send_attempt(one, note, build(one))
        yield judge_attempt(EVERYWHERE, one, exchange, is_rejected(exchange))
    token = one.build_token()
    await send_attempt(one, "a token for the first time", token)
    exchange = await send_attempt(one, "a token for the second time", token)
    yield judge_attempt(EVERYWHERE, one, exchange, is_rejected(exchange))
