"""Attacks with bytes that no HTTP library would send, each on a connection of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from openholder.contract.operation import JSON
from openholder.rehearsal.attacks import replayed_tokens
from openholder.rehearsal.attacks.target import Target, find_target_for
from openholder.rehearsal.raw import build_head, connect
from openholder.rehearsal.results import Result, Rule, judge_rule, skip_rule
from openholder.rehearsal.side_by_side import do_side_by_side

SECONDS = 3.0
"""Time limit of one response: a server may wait for the rest of a malformed request."""
MOST = 1_048_576
"""Bytes: the size of a body that is too large, and the most that is read of the answers."""
_CLOSE = "Connection: close"

FRAMING = Rule(
    name="request-framing",
    severity="error",
    expected="A request with an ambiguous end is refused with 400 or answered once; the rest is not a second request.",
    why="If a proxy and the server disagree where a request ends, an attacker can hide a request in another.",
    reference="RFC 9112 sections 5.1, 6.1 and 6.3",
    how_to_fix="Update the HTTP server, or the proxy in front of it; let neither of them repair malformed requests.",
    example="POST /auth/v1/customer/search (Content-Length and Transfer-Encoding): 200 and 200",
)
BOUNDS = Rule(
    name="request-bounds",
    severity="warning",
    expected="Headers of 100 kB and a body of 1 MiB are refused with 431, 413 or 400, or the connection is closed.",
    why="A few clients with large requests can exhaust the server's memory.",
    reference="RFC 6585 section 5; RFC 9110 section 15.5.14; OWASP API Security 2023, API4",
    how_to_fix="Limit headers to 16 kB and bodies to 64 kB: no request of the contract needs more.",
    example="GET /auth/v1/customer/{customerId} (a header of 100 kB): 200",
)
RULES = (FRAMING, BOUNDS)


def _is_answered_once(statuses: Sequence[int]) -> bool:
    return len(statuses) <= 1 and 500 not in statuses


def _is_never_accepted(statuses: Sequence[int]) -> bool:
    return _is_answered_once(statuses) and not any(200 <= status < 300 for status in statuses)


def _is_accepted_once(statuses: Sequence[int]) -> bool:
    return sum(200 <= status < 300 for status in statuses) <= 1


def _build_head(target: Target, *lines: str, end: str = "\r\n") -> bytes:
    return build_head(target.session.caller, target.build_request(), *lines, end=end)


def _build_post(target: Target, *lines: str, body: bytes | None = None) -> bytes:
    """Build a request with a body; ``{length}`` in a line becomes the length of the valid body."""
    valid = target.build_request().body or b""
    filled = (line.replace("{length}", str(len(valid))) for line in lines)
    return _build_head(target, f"Content-Type: {JSON}", *filled) + (valid if body is None else body)


def _smuggle_request(target: Target) -> bytes:
    """Build one request by its length; by its chunks it ends at once, and another one follows."""
    body = b"0\r\n\r\n" + _build_head(target, "Content-Length: 0", _CLOSE)
    return _build_post(target, f"Content-Length: {len(body)}", "Transfer-Encoding: chunked", body=body)


def _repeat_request(target: Target) -> bytes:
    """Build a request, and the same one again behind it on the connection."""
    request = _build_head(target)
    return request + request[:-2] + f"{_CLOSE}\r\n\r\n".encode()


def _add_space_before_colon(target: Target) -> bytes:
    return _build_head(target, _CLOSE).replace(b"Authorization:", b"Authorization :")


def _build_large_body(target: Target) -> bytes:
    body = (target.build_request().body or b"") + b" " * MOST
    return _build_post(target, f"Content-Length: {len(body)}", _CLOSE, body=body)


@dataclass(frozen=True, slots=True)
class RawAttack:
    """A rule, the bytes to send, and the statuses that keep the rule."""

    rule: Rule
    expect: Callable[[Sequence[int]], bool]
    build: Callable[[Target], bytes]


WITHOUT_BODY: Mapping[str, RawAttack] = {
    "a header folded into two lines": RawAttack(
        FRAMING, _is_answered_once, lambda target: _build_head(target, "X-A: a\r\n b", _CLOSE)
    ),
    "lines that end with a line feed only": RawAttack(
        FRAMING, _is_answered_once, lambda target: _build_head(target, _CLOSE, end="\n")
    ),
    "a space before the colon of Authorization": RawAttack(FRAMING, _is_never_accepted, _add_space_before_colon),
    "a header of 100 kB": RawAttack(
        BOUNDS, _is_never_accepted, lambda target: _build_head(target, f"X-A: {'a' * 100_000}", _CLOSE)
    ),
    "one token twice on one connection": RawAttack(replayed_tokens.RACE, _is_accepted_once, _repeat_request),
}
WITH_BODY: Mapping[str, RawAttack] = {
    "Content-Length and Transfer-Encoding": RawAttack(FRAMING, _is_answered_once, _smuggle_request),
    "two different Content-Lengths": RawAttack(
        FRAMING,
        _is_never_accepted,
        lambda target: _build_post(target, "Content-Length: {length}", "Content-Length: 5", _CLOSE),
    ),
    "a Content-Length with a sign": RawAttack(
        FRAMING, _is_never_accepted, lambda target: _build_post(target, "Content-Length: +{length}", _CLOSE)
    ),
    "a body of 1 MiB": RawAttack(BOUNDS, _is_never_accepted, _build_large_body),
}


async def run(target: Target) -> AsyncIterator[Result]:
    """Send the bytes, each on its own connection."""
    search = find_target_for(target.session, "search")
    tries = [_try_raw_attack(target, note, attack) for note, attack in WITHOUT_BODY.items()]
    if search is None:
        yield skip_rule(FRAMING, "the search", "not served")
    else:
        tries += [_try_raw_attack(search, note, attack) for note, attack in WITH_BODY.items()]
    for result in await do_side_by_side(tries):
        yield result


async def _try_raw_attack(target: Target, note: str, attack: RawAttack) -> Result:
    request = target.build_request(note=note)
    target.session.on_progress(request.redacted_text)
    try:
        async with target.session.slots:
            answers = await target.session.until_stopped(_exchange_bytes(target, attack.build(target)))
    except (OSError, TimeoutError) as exc:
        return skip_rule(attack.rule, target.subject, f"no connection: {type(exc).__name__}")
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d)\b", answers)]
    observed = " and ".join(map(str, statuses))
    return judge_rule(attack.rule, target.subject, attack.expect(statuses), observed, request)


async def _exchange_bytes(target: Target, sent: bytes) -> bytes:
    """Send bytes, and return what is received until the server closes the connection or the time is over."""
    received = bytearray()
    async with connect(target.session.caller) as (reader, writer):
        writer.write(sent)
        # A reset is an answer too: the server did not wait for the rest.
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                while len(received) < MOST and (some := await reader.read(65_536)):
                    received += some
    return bytes(received)
