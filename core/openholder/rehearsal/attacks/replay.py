"""Whether a token works once: used again, used by many at once, used up by a forgery."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

from openholder.rehearsal.attacks.target import Target, first, no_data, sent, stranger, verdict
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.findings import SERVER, Outcome, Rule, found, passed, skipped
from openholder.rehearsal.scene import MADE_UP, Scene, asking

NOT_FOUND = 404
TIMES = 20
"""Requests at once with one token."""
_GUIDE = "Fiskil, resource server guide: a jti that was seen before is refused"

REPLAY = Rule(
    "replay", "critical",
    expected="A token is accepted once; a second request with its jti is refused.",
    why="Whoever sees a token in a log or on the way can use it too.",
    written=f"{_GUIDE}; RFC 7519 section 4.1.7",
    mend="Remember each jti until the token's exp and the tolerance are over; refuse what is remembered.",
)  # fmt: skip
RACE = Rule(
    "replay-at-once", "critical",
    expected=f"Of {TIMES} requests at once with one token, a single one is answered with data.",
    why="The record is looked at first and written later, or each process has its own: a copied token works too.",
    written=_GUIDE,
    mend="Record in one step (insert if absent, SET NX) in a store that all processes and machines share.",
)  # fmt: skip
BURNED = Rule(
    "jti-kept-for-owner", "error",
    expected="A token is accepted although forged and misdirected ones with its jti were refused before.",
    why="Somebody who cannot read data can still keep Fiskil's requests from being answered.",
    written="RFC 7515 section 5.2: nothing in a token counts before its signature is verified",
    mend="Record the jti last, after the signature and all other claims.",
)  # fmt: skip
RULES = (REPLAY, RACE, BURNED)
LATER = Rule(
    "replay-later", "critical",
    expected="The token of the first answer is refused at the end, however many tokens came between.",
    why="A copied token works once enough others, or enough seconds, have pushed it out of the record.",
    written=f"{_GUIDE}; RFC 7519 section 4.1.7",
    mend="Keep each jti until its token's own exp and the tolerance are over: no fixed time, no fixed number.",
)  # fmt: skip


async def played(target: Target) -> AsyncIterator[Outcome]:
    """Use one token again, one many times at once, and one that others have tried to use up."""
    again = [outcome async for outcome in _again(target)]
    for outcome in again:
        yield outcome
    if all(outcome.verdict == "passed" for outcome in again):
        yield await _at_once(target)
    else:
        yield skipped(RACE, target.subject, "a token is accepted again even without haste")
    yield await _after_forgeries(target)


async def used_later(scene: Scene) -> AsyncIterator[Outcome]:
    """Use the first token that brought data once more, if attacks are planned and it has not expired."""
    kept = scene.caller.first
    if not scene.plan.attacks or kept is None:
        yield skipped(LATER, SERVER, "no token was answered with data" if scene.plan.attacks else "left out as asked")
    elif time.time() > kept.expires:
        yield skipped(LATER, SERVER, "the rehearsal took longer than a token lives")
    else:
        exchange = await scene.send(replace(kept.request, note="the first token of all, again"))
        where = exchange.request.route
        yield passed(LATER, where) if no_data(exchange) else found(LATER, where, exchange.came, exchange.request)


async def _again(target: Target) -> AsyncIterator[Outcome]:
    jti = str(uuid.uuid4())
    token = target.token(None, jti=jti)
    once = await sent(target, "a token for the first time", token)
    if not once.good:
        yield skipped(REPLAY, target.subject, f"a good token came to {once.came}")
        return
    elsewhere = first(target.scene, lambda row: row is not target.operation and row.method == "GET") or target
    made: dict[str, Request | str] = {
        "the same token again": token,
        "another token with the same jti": target.token(None, jti=jti, exp=target.claims()["exp"] + 1),
        "the same jti for another URI": elsewhere.request(token=elsewhere.token(None, jti=jti)),
    }
    for note, request in made.items():
        exchange = await sent(target, note, request)
        yield verdict(REPLAY, target, exchange, no_data(exchange))
    yield await _after_nothing(target)


async def _after_nothing(target: Target) -> Outcome:
    """A token is used up also where it led to nothing."""
    request = asking(target.operation, dict.fromkeys(target.leg.ids, MADE_UP))
    token = target.token(None, aud=target.scene.caller.audience + request.path)
    once = await sent(target, "an unknown id", replace(request, token=token))
    again = await sent(
        target, "the token of a request that was answered with 404, again", replace(request, token=token)
    )
    if once.status != NOT_FOUND:
        return skipped(REPLAY, target.subject, f"an unknown id came to {once.came}")
    return verdict(REPLAY, target, again, again.status in (401, 403))


async def _at_once(target: Target) -> Outcome:
    token = target.token()
    note = f"one token, {TIMES} times at once"
    exchanges = await asyncio.gather(*(sent(target, note, token) for _ in range(TIMES)))
    good = sum(exchange.good for exchange in exchanges)
    if good == 0:
        return skipped(RACE, target.subject, f"none was answered with data, the first with {exchanges[0].came}")
    if good > 1:
        return found(RACE, target.subject, f"{good} of {TIMES} answered with data", exchanges[0].request)
    return passed(RACE, target.subject)


async def _after_forgeries(target: Target) -> Outcome:
    claims = target.claims()
    forged = (
        ("signed by another key", target.signed(target.header(), claims, stranger())),
        ("for another URI", target.token(None, **claims | {"aud": f"{target.uri}/x"})),
        ("an hour too old", target.token(None, **claims | {"exp": claims["exp"] - 4000})),
    )
    for note, token in forged:
        await sent(target, note, token)
    exchange = await sent(target, "a good token after forgeries with its jti", target.signed(target.header(), claims))
    return verdict(BURNED, target, exchange, exchange.good)
