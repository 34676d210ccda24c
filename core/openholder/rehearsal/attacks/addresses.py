"""Attacks with the address of a key in the header of a token: it is served here, and no server may call it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from tornado.netutil import bind_sockets

from openholder.fiskil.jwks_host import jwks_host
from openholder.rehearsal.attacks.signature import EMBEDDED, forge
from openholder.rehearsal.attacks.target import (
    Target,
    get_untrusted_signer,
    is_rejected,
    judge_attempt,
    send_attempt,
)
from openholder.rehearsal.results import Result, judge_rule

RULES = (EMBEDDED,)


async def run(target: Target) -> AsyncIterator[Result]:
    """Send tokens whose header has the address of a key, which a server must not call, and serve that key."""
    jwk = get_untrusted_signer().public_jwk(kid=target.signer.kid)
    calls: list[None] = []

    def serve_keys() -> bytes:
        calls.append(None)
        return json.dumps({"keys": [jwk]}).encode()

    sockets = bind_sockets(0, "127.0.0.1")
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/jwks.json"
    async with jwks_host(url, serve_keys, sockets):
        for name in ("jku", "x5u"):
            exchange = await send_attempt(target, f"signed by another key, with {name}", forge(target, **{name: url}))
            yield judge_attempt(EMBEDDED, target, exchange, is_rejected(exchange))
            yield judge_rule(EMBEDDED, target.subject, not calls, f"the address in {name} was called", exchange.request)
            calls.clear()
