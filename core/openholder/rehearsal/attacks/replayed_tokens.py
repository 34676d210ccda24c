"""Attacks that use a token again: later, concurrently, and after forgeries with the same jti."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from openholder.rehearsal.attacks.target import (
    Target,
    find_target,
    get_untrusted_signer,
    is_rejected,
    judge_attempt,
    send_attempt,
)
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.results import SERVER, Result, Rule, judge_rule, skip_rule
from openholder.rehearsal.session import UNKNOWN_ID, Session, build_request
from openholder.rehearsal.side_by_side import do_side_by_side

NOT_FOUND = 404
TIMES = 20
"""Concurrent requests with one token."""
_GUIDE = "Fiskil, resource server guide: a jti that was seen before is refused"

REPLAY = Rule(
    name="replay",
    severity="critical",
    expected="A token is accepted once; a second request with its jti is refused.",
    why="Otherwise anyone who sees a token in a log or in transit can use it.",
    reference=f"{_GUIDE}; RFC 7519 section 4.1.7",
    how_to_fix="Store each jti until the token's exp plus the tolerance, and refuse any jti that is stored.",
    example="GET /auth/v1/customer/{customerId} (the same jti for another URI): 200 with data",
)
RACE = Rule(
    name="replay-at-once",
    severity="critical",
    expected=f"Of {TIMES} concurrent requests with one token, only one is answered with data.",
    why="If the server first reads the store and writes later, or has a store for each process, a copied token works.",
    reference=_GUIDE,
    how_to_fix="Record the jti in one step (insert if absent, SET NX), in a store shared by all processes and hosts.",
    example="GET /auth/v1/customer/{customerId} (one token, 20 concurrent requests): 20 of 20 answered with data",
)
BURNED = Rule(
    name="jti-kept-for-owner",
    severity="error",
    expected="A token is accepted even after forged or misdirected tokens with its jti were refused.",
    why="Otherwise an attacker who cannot read data can still block Fiskil's requests.",
    reference="RFC 7515 section 5.2: nothing in a token counts before its signature is verified",
    how_to_fix="Record the jti last, after the signature and all other claims are verified.",
    example="GET /auth/v1/customer/{customerId} (a valid token after forgeries with its jti): 401",
)
IN_TOLERANCE = Rule(
    name="replay-in-tolerance",
    severity="critical",
    expected="A token that is accepted a few seconds after its exp is accepted once only.",
    why="A store that forgets a jti at exp lets a copied token in for as long as the tolerance lasts.",
    reference=_GUIDE,
    how_to_fix="Store each jti until the token's exp plus the tolerance.",
    example="GET /auth/v1/customer/{customerId} (a token that expired 10 seconds ago, again): 200 with data",
)
DISTINCT = Rule(
    name="jti-whole",
    severity="error",
    expected="Two tokens are both accepted, however little their jti differ: in letter case, or in the last character.",
    why="Otherwise valid requests are refused now and then, and nobody can tell why.",
    reference="RFC 7519 section 4.1.7: jti is a case-sensitive string",
    how_to_fix="Store the whole jti, or a cryptographic hash of it, and compare it byte by byte.",
    example="GET /auth/v1/customer/{customerId} (a jti that differs in letter case): 401",
)
SIMILAR: Mapping[str, Callable[[str], str]] = {
    "in letter case": str.upper,
    "in its 37th character": lambda jti: f"{jti[:36]}y",
    "in its 65th character": lambda jti: f"{jti[:64]}y",
    "in its 129th character": lambda jti: f"{jti[:128]}y",
    "in its last character, the 200th": lambda jti: f"{jti[:199]}y",
    "by a blank at its end": lambda jti: f"{jti} ",
}
"""Changes of a jti of 200 characters that a store may fail to notice."""
RULES = (REPLAY, RACE, BURNED, IN_TOLERANCE, DISTINCT)
LATER = Rule(
    name="replay-later",
    severity="critical",
    expected="The first accepted token is still refused at the end, however many tokens were used in between.",
    why="Otherwise a copied token works again once other tokens, or time, have evicted it from the store.",
    reference=f"{_GUIDE}; RFC 7519 section 4.1.7",
    how_to_fix="Keep each jti until the exp of its token plus the tolerance, not for a fixed time or number of tokens.",
    example="POST /auth/v1/customer/search (the first token again): 200 with data",
)


async def run(target: Target) -> AsyncIterator[Result]:
    """Replay one token, race another, and use one after forgeries with its jti."""
    async with target.session.caller.new_connections():
        async for result in _try_all(target):
            yield result


async def _try_all(target: Target) -> AsyncIterator[Result]:
    replays = [result async for result in _try_replays(target)]
    for result in replays:
        yield result
    if all(result.verdict == "passed" for result in replays):
        race = await _try_race(target)
        replays.append(race)
        yield race
    else:
        yield skip_rule(RACE, target.subject, f"implied by the result for {REPLAY.name}")
    yield await _try_after_forgeries(target)
    if all(result.verdict == "passed" for result in replays):
        yield await _try_in_tolerance(target)
    else:
        yield skip_rule(IN_TOLERANCE, target.subject, f"implied by the result for {REPLAY.name}")
    async for result in _try_similar_jtis(target):
        yield result


async def replay_first_token(session: Session) -> AsyncIterator[Result]:
    """Replay the first accepted token, if attacks are planned and it has not expired."""
    first = session.caller.first_accepted
    if not session.plan.attacks:
        yield skip_rule(LATER, SERVER, "attacks are disabled")
    elif first is None:
        yield skip_rule(LATER, SERVER, "no request returned data")
    elif time.time() > first.expires:
        yield skip_rule(LATER, SERVER, "the first token has expired")
    else:
        exchange = await session.send(replace(first.request, note="the first token again"))
        route = exchange.request.route
        yield judge_rule(LATER, route, is_rejected(exchange), exchange.status_text, exchange.request)


async def _try_replays(target: Target) -> AsyncIterator[Result]:
    jti = str(uuid.uuid4())
    token = target.build_token(jti=jti)
    once = await send_attempt(target, "a token for the first time", token)
    if not once.is_ok:
        yield skip_rule(REPLAY, target.subject, f"a valid token was answered with {once.status_text}")
        return
    attempts: dict[str, Request | str] = {
        "the same token again": token,
        "another token with the same jti": target.build_token(jti=jti, exp=target.build_claims()["exp"] + 1),
    }
    others = [each for each in target.session.served_operations if each is not target.operation]
    for method in ("GET", "POST"):
        if elsewhere := find_target(target.session, [each for each in others if each.method == method]):
            note = f"the same jti for another URI, by {method}"
            attempts[note] = elsewhere.build_request(token=elsewhere.build_token(jti=jti))
    for note, built in attempts.items():
        exchange = await send_attempt(target, note, built)
        yield judge_attempt(REPLAY, target, exchange, is_rejected(exchange))
    yield await _try_after_not_found(target)


async def _try_after_not_found(target: Target) -> Result:
    """Replay a token whose first use was answered with 404: that use counts as well."""
    request = build_request(target.operation, dict.fromkeys(target.sequence.ids, UNKNOWN_ID))
    token = target.build_token(aud=target.session.caller.audience + request.path)
    once = await send_attempt(target, "an unknown id", replace(request, token=token))
    again = await send_attempt(target, "the token of a request answered with 404, again", replace(request, token=token))
    if once.status != NOT_FOUND:
        return skip_rule(REPLAY, target.subject, f"an unknown id was answered with {once.status_text}")
    if again.status == NOT_FOUND:
        bare = await send_attempt(target, "an unknown id, without a token", replace(request, token=""))
        if bare.status == NOT_FOUND:
            return skip_rule(REPLAY, target.subject, "an unknown id is looked up before the token")
    return judge_attempt(REPLAY, target, again, again.status in (401, 403))


async def _try_race(target: Target) -> Result:
    token = target.build_token()
    note = f"one token, {TIMES} concurrent requests"
    request = target.build_request(token=token, note=note)
    exchanges = await target.session.send_at_once([request] * TIMES)
    good = sum(exchange.is_ok for exchange in exchanges)
    if good == 0:
        return skip_rule(
            RACE, target.subject, f"no request returned data; the first returned {exchanges[0].status_text}"
        )
    observed = f"{good} of {TIMES} answered with data"
    return judge_rule(RACE, target.subject, good == 1, observed, exchanges[0].request)


async def _try_after_forgeries(target: Target) -> Result:
    claims = target.build_claims()
    forgeries = (
        ("signed by another key", target.sign(target.build_header(), claims, get_untrusted_signer())),
        ("for another URI", target.build_token(**claims | {"aud": f"{target.uri}/x"})),
        ("expired an hour ago", target.build_token(**claims | {"exp": claims["exp"] - 4000})),
    )
    for note, token in forgeries:
        await send_attempt(target, note, token)
    token = target.sign(target.build_header(), claims)
    exchange = await send_attempt(target, "a valid token after forgeries with its jti", token)
    return judge_attempt(BURNED, target, exchange, exchange.is_ok)


async def _try_in_tolerance(target: Target) -> Result:
    """Use a token twice whose exp has gone by, but not for longer than the tolerance of the guide."""
    token = target.build_token(exp=int(time.time()) - 10)
    once = await send_attempt(target, "a token that expired 10 seconds ago", token)
    if not once.is_ok:
        return skip_rule(IN_TOLERANCE, target.subject, "the server has no tolerance")
    again = await send_attempt(target, "a token that expired 10 seconds ago, again", token)
    return judge_attempt(IN_TOLERANCE, target, again, is_rejected(again))


async def _try_similar_jtis(target: Target) -> AsyncIterator[Result]:
    """Use a token, and then others whose jti differs from that of the first in one place."""
    jti = uuid.uuid4().hex.ljust(200, "x")
    first = await send_attempt(target, "a jti, to compare others with", target.build_token(jti=jti))
    if not first.is_ok:
        yield skip_rule(DISTINCT, target.subject, "a jti of 200 characters is refused")
        return
    exchanges = await do_side_by_side(
        send_attempt(target, f"a jti that differs {difference}", target.build_token(jti=change(jti)))
        for difference, change in SIMILAR.items()
    )
    for exchange in exchanges:
        yield judge_attempt(DISTINCT, target, exchange, exchange.is_ok)
