"""Connections without an HTTP library between: what is sent in one packet, and when the server closes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from yarl import URL

from openholder.rehearsal.caller import Caller
from openholder.rehearsal.exchange import Request

SECONDS = 3.0
"""Time limit for connecting."""
RESPONSE_SECONDS = 10.0
"""Time limit for one response."""


class Answer(NamedTuple):
    """The beginning of a response."""

    status: int
    is_last: bool
    """Whether the server says that it closes the connection."""


class NoAnswer(Exception):
    """The connection ended, or had something else, where a response was due."""


@asynccontextmanager
async def connect(caller: Caller) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection to the server for the duration of the block.

    Raises:
        OSError: There is no connection.
        TimeoutError: There is none in time.
    """
    url = URL(caller.base_url)
    secure = caller.trust if url.scheme == "https" else None
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(url.host, url.port, ssl=secure)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def build_head(caller: Caller, request: Request, *lines: str, end: str = "\r\n") -> bytes:
    """Build the head of a valid request, with further lines."""
    target = request.path + (request.query and f"?{request.query}")
    valid = (
        f"{request.method} {target} HTTP/1.1",
        f"Host: {URL(caller.base_url).authority}",
        f"Authorization: Bearer {caller.sign_token(request.path)}",
    )
    return (end.join((*valid, *lines)) + 2 * end).encode()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one response to its end.

    Raises:
        NoAnswer: There is none.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.lower().split("\r\n")
        version, status = first.split()[:2]
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        is_last = version != "http/1.1" or "close" in headers.get("connection", "")
        if "chunked" in headers.get("transfer-encoding", ""):
            while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                await reader.readexactly(size + 2)
            while await reader.readuntil(b"\r\n") != b"\r\n":  # trailers
                pass
        elif "content-length" in headers:
            await reader.readexactly(int(headers["content-length"]))
        else:
            is_last = True
        return Answer(int(status), is_last)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError) as exc:
        raise NoAnswer(type(exc).__name__) from None


@dataclass
class IdleConnection:
    """A connection without requests, until `use` is set."""

    use: asyncio.Event
    opened: float = 0.0
    """When the first response was read, in seconds of the monotonic clock."""
    idle: float = 0.0
    """Seconds without requests, to the end of the connection or to the second request."""
    is_closed: bool = False
    """Whether the server ended the connection, without saying so before."""
    is_lost: bool = False
    """Whether the second request got no response."""
    obstacle: str = ""
    """Why nothing can be said about the connection."""

    async def run(self, caller: Caller, request: Request) -> None:
        """Send a request, be idle, and send another one."""
        try:
            async with connect(caller) as (reader, writer):
                writer.write(build_head(caller, request))
                async with asyncio.timeout(RESPONSE_SECONDS):
                    first = await read_answer(reader)
                self.opened = time.monotonic()
                if first.status != 200 or first.is_last:
                    self.obstacle = "the server closes connections after a response, and says so"
                    return
                ended, used = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(self.use.wait())
                try:
                    await asyncio.wait((ended, used), return_when=asyncio.FIRST_COMPLETED)
                    self.idle = time.monotonic() - self.opened
                    self.is_closed = ended.done()
                finally:
                    for each in (ended, used):
                        each.cancel()
                    await asyncio.gather(ended, used, return_exceptions=True)
                if not self.is_closed:
                    self.is_lost = not await _is_answered(reader, writer, build_head(caller, request))
        except (OSError, TimeoutError, NoAnswer) as exc:
            self.obstacle = f"no response on a connection of its own: {type(exc).__name__}"


async def _is_answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bool:
    try:
        writer.write(sent)
        async with asyncio.timeout(RESPONSE_SECONDS):
            await read_answer(reader)
    except (OSError, TimeoutError, NoAnswer):
        return False
    return True
