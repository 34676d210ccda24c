"""Rotation of keys: a new key is published during the rehearsal, used, and withdrawn.

The key of the rehearsal itself stays in the set. Servers fetch the set again when a token has an unknown kid, but some
libraries only if the last fetch is half a minute ago: that long is waited, where it is needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from openholder.fiskil.signer import Signer
from openholder.rehearsal.attacks.target import Target, find_target, is_json_get
from openholder.rehearsal.exchange import Exchange
from openholder.rehearsal.published_keys import PublishedKeys
from openholder.rehearsal.results import SERVER, Result, Rule, fail_rule, pass_rule, skip_rule
from openholder.rehearsal.session import Session

COOLDOWN = 35.0
"""Seconds: libraries do not fetch a key set twice within 30."""
POLL = 5.0
"""Seconds between two tokens of the new key."""

NEW_KEY = Rule(
    name="new-key-accepted",
    severity="error",
    expected=f"Tokens of a key that was published during the rehearsal are accepted after {COOLDOWN:g} s at most, and"
    " those of the earlier key still are.",
    why="On the day on which Fiskil changes its key, every request is refused until the server is restarted.",
    reference="Fiskil, resource server guide: the key is chosen by kid from the JWKS; RFC 7517 section 4.5",
    how_to_fix="Fetch the key set again when a token has an unknown kid, with a limit on how often, and choose among"
    " all keys of the set by kid.",
    example="GET /auth/v1/customer/{customerId} (a token of a new key): 401 after 35 s; the key set was not fetched"
    " again",
)
WITHDRAWN_KEY = Rule(
    name="withdrawn-key",
    severity="warning",
    expected="Tokens of a key that was withdrawn are refused, some time after. How long is told, and nothing more.",
    why="A key is withdrawn because somebody else may have it.",
    reference="NIST SP 800-57 Part 1, section 5.3.6: revocation of keys",
    how_to_fix="Replace all keys at each fetch, and fetch at least every few minutes.",
    example="skipped: the token of a key that was withdrawn 4 s ago is accepted: it is cached",
)


async def publish_new_key(session: Session) -> AsyncIterator[Result]:
    """Publish a second key, and use it once."""
    keys, target = session.caller.keys, find_target(session, filter(is_json_get, session.served_operations))
    reason = ""
    if keys is None:
        reason = "the rehearsal does not serve the keys"
    elif not keys.fetches:
        reason = "the server did not fetch the keys: restart it to have it fetch them again"
    elif target is None:
        reason = "no GET operation returned data"
    if reason or keys is None or target is None:
        for rule in (NEW_KEY, WITHDRAWN_KEY):
            yield skip_rule(rule, SERVER, reason)
        return
    keys.publish(await asyncio.to_thread(Signer.generate))
    if (await _use_new_key(target, keys)).is_ok:
        yield await _judge_earlier_key(target)
        keys.withdraw()


async def use_new_key(session: Session) -> AsyncIterator[Result]:
    """Use the second key again: until it is accepted, or to see whether it still is after it was withdrawn."""
    keys, target = session.caller.keys, find_target(session, filter(is_json_get, session.served_operations))
    if keys is None or keys.added is None or target is None:
        return
    exchange = await _use_new_key(target, keys)
    seconds = time.monotonic() - keys.changed
    if not keys.is_published:
        if exchange.is_ok:
            reason = f"the token of a key that was withdrawn {seconds:.0f} s ago is accepted: it is cached"
            yield skip_rule(WITHDRAWN_KEY, SERVER, reason)
        else:
            yield pass_rule(WITHDRAWN_KEY, SERVER)
        return
    while not exchange.is_ok and (seconds := time.monotonic() - keys.changed) < COOLDOWN:
        session.on_progress("waiting until the server has the new key")
        await asyncio.sleep(min(POLL, COOLDOWN - seconds))
        exchange = await _use_new_key(target, keys)
    if exchange.is_ok:
        yield await _judge_earlier_key(target)
    else:
        fetched = f"fetched {keys.fetches_since} times" if keys.fetches_since else "not fetched again"
        observed = f"{exchange.status_text} after {seconds:.0f} s; the key set was {fetched}"
        yield fail_rule(NEW_KEY, SERVER, observed, exchange.request)
    yield skip_rule(WITHDRAWN_KEY, SERVER, "the new key was accepted late, or never")


async def _use_new_key(target: Target, keys: PublishedKeys) -> Exchange:
    assert keys.added
    caller = target.session.caller
    token = keys.added.sign_token(caller.issuer, target.uri, algorithm=caller.algorithm)
    return await target.session.send(target.build_request(token=token, note="a token of a new key"))


async def _judge_earlier_key(target: Target) -> Result:
    """Use the first key after the second: a server that keeps one key has forgotten it."""
    token = target.session.caller.sign_token(target.build_request().path)
    exchange = await target.session.send(target.build_request(token=token, note="a token of the earlier key"))
    if exchange.is_ok:
        return pass_rule(NEW_KEY, SERVER)
    return fail_rule(NEW_KEY, SERVER, f"{exchange.status_text} since there is a second key", exchange.request)
