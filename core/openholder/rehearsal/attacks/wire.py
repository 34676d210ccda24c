"""Requests that no client library would write: sent byte by byte, over connections of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from yarl import URL

from openholder.operations.table import JSON
from openholder.rehearsal.attacks import replay
from openholder.rehearsal.attacks.target import Target, named
from openholder.rehearsal.findings import Outcome, Rule, found, passed, skipped

SECONDS = 3.0
"""For one connection: a server may well wait for the rest of a request that is broken."""
MOST = 1_048_576
"""Bytes of answers that are read, and of a body that is too large."""
_CLOSE = "Connection: close"

FRAMING = Rule(
    "request-framing", "error",
    expected="A request whose end can be read in two ways is refused with 400, or answered once; what follows is not.",
    why="A proxy and the server disagree where it ends, and somebody's request is hidden in another's.",
    written="RFC 9112 sections 5.1, 6.1 and 6.3",
    mend="Update the HTTP server or the proxy before it; let neither of them mend what is broken.",
)  # fmt: skip
BOUNDS = Rule(
    "request-bounds", "warning",
    expected="Headers of 100 kB and a body of 1 MiB are refused with 431, 413 or 400, or the connection is closed.",
    why="Few clients that send much fill the server's memory.",
    written="RFC 6585 section 5; RFC 9110 section 15.5.14; OWASP API Security 2023, API4",
    mend="Set limits of 16 kB for headers and 64 kB for bodies: no request of the contract needs more.",
)  # fmt: skip
RULES = (FRAMING, BOUNDS)

Wanted = Callable[[Sequence[int]], bool]


def _once(statuses: Sequence[int]) -> bool:
    return len(statuses) <= 1 and 500 not in statuses


def _never(statuses: Sequence[int]) -> bool:
    return _once(statuses) and not any(200 <= status < 300 for status in statuses)


def _one_is_good(statuses: Sequence[int]) -> bool:
    return sum(200 <= status < 300 for status in statuses) <= 1


def head(target: Target, *lines: str, end: str = "\r\n") -> bytes:
    """The head of a good request, with further lines as they are."""
    request, caller = target.request(), target.scene.caller
    good = (
        f"{request.method} {request.path} HTTP/1.1",
        f"Host: {URL(caller.base_url).authority}",
        f"Authorization: Bearer {target.token()}",
    )
    return (end.join((*good, *lines)) + 2 * end).encode()


def _post(target: Target, *lines: str, body: bytes | None = None) -> bytes:
    """A good request with a body, whose length the lines say."""
    good = target.request().body or b""
    said = (line.replace("{length}", str(len(good))) for line in lines)
    return head(target, f"Content-Type: {JSON}", *said) + (good if body is None else body)


def _smuggled(target: Target) -> bytes:
    """By its length one request; by its chunks it ends at once, and another one follows."""
    body = b"0\r\n\r\n" + head(target, "Content-Length: 0", _CLOSE)
    return _post(target, f"Content-Length: {len(body)}", "Transfer-Encoding: chunked", body=body)


def _twice(target: Target) -> bytes:
    """One request, and just the same behind it on the connection."""
    request = head(target)
    return request + request[:-2] + f"{_CLOSE}\r\n\r\n".encode()


def _spaced(target: Target) -> bytes:
    return head(target, _CLOSE).replace(b"Authorization:", b"Authorization :")


def _large(target: Target) -> bytes:
    body = (target.request().body or b"") + b" " * MOST
    return _post(target, f"Content-Length: {len(body)}", _CLOSE, body=body)


@dataclass(frozen=True, slots=True)
class Row:
    """What is written, and which statuses may come."""

    rule: Rule
    wanted: Wanted
    write: Callable[[Target], bytes]


_WITHOUT_BODY: Mapping[str, Row] = {
    "a header folded into two lines": Row(FRAMING, _once, lambda target: head(target, "X-A: a\r\n b", _CLOSE)),
    "lines that end with a line feed only": Row(FRAMING, _once, lambda target: head(target, _CLOSE, end="\n")),
    "a blank before the colon of Authorization": Row(FRAMING, _never, _spaced),
    "a header of 100 kB": Row(BOUNDS, _never, lambda target: head(target, f"X-A: {'a' * 100_000}", _CLOSE)),
    "a token twice on one connection": Row(replay.RACE, _one_is_good, _twice),
}
_WITH_BODY: Mapping[str, Row] = {
    "Content-Length and Transfer-Encoding": Row(FRAMING, _once, _smuggled),
    "two Content-Lengths that differ": Row(
        FRAMING, _never, lambda target: _post(target, "Content-Length: {length}", "Content-Length: 5", _CLOSE)
    ),
    "a Content-Length with a sign": Row(
        FRAMING, _never, lambda target: _post(target, "Content-Length: +{length}", _CLOSE)
    ),
    "a body of 1 MiB": Row(BOUNDS, _never, _large),
}


async def played(target: Target) -> AsyncIterator[Outcome]:
    """Try all of them, one connection after the other."""
    search = named(target.scene, "search")
    for aimed, rows in ((target, _WITHOUT_BODY), (search, _WITH_BODY)):
        if aimed is None:
            yield skipped(FRAMING, "the search", "not served")
            continue
        for note, row in rows.items():
            yield await _tried(aimed, note, row)


async def _tried(target: Target, note: str, row: Row) -> Outcome:
    target.scene.told(target.request(note=note).told)
    try:
        answers = await _talk(target, row.write(target))
    except (OSError, TimeoutError) as exc:
        return skipped(row.rule, target.subject, f"no connection: {type(exc).__name__}")
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d)\b", answers)]
    if row.wanted(statuses):
        return passed(row.rule, target.subject)
    came = " and ".join(map(str, statuses))
    return found(row.rule, target.subject, came, target.request(note=note))


async def _talk(target: Target, sent: bytes) -> bytes:
    """Write, and give what comes back until the server closes or the time is over."""
    url = URL(target.scene.caller.base_url)
    secure = target.scene.caller.trust if url.scheme == "https" else None
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(url.host, url.port, ssl=secure)
    received = bytearray()
    writer.write(sent)
    # A reset is an answer too: the server did not wait for the rest.
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            await _read(reader, received)
    writer.transport.abort()
    return bytes(received)


async def _read(reader: asyncio.StreamReader, received: bytearray) -> None:
    while len(received) < MOST and (some := await reader.read(65_536)):
        received += some
