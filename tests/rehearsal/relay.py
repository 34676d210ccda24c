"""A relay before a server, which is careless about packets and about connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from yarl import URL

_LENGTH = re.compile(rb"(?i)content-length: *([0-9]+)")


@dataclass
class Relay:
    """Passes requests on, each to its end, unless it is told otherwise."""

    packets: int | None = None
    """How many packets of a body it reads; None for all of them. One that comes with the header counts."""
    only_with_header: bool = False
    """Whether it waits for ever for a body that does not come with the header."""
    idle: float = 60
    """Seconds after which it closes a connection without requests."""
    is_polite: bool = False
    """Whether it says before that it closes the connection after the response."""
    forgets: float = 60
    """Seconds after which it has forgotten a connection, and reads without a response."""
    upstream: str = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        url = URL(self.upstream)
        there = await asyncio.open_connection(url.host, url.port)
        try:
            with suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
                while await self.pass_on(reader, writer, *there) and not self.is_polite:
                    pass
        finally:
            for each in (writer, there[1]):
                each.close()

    async def pass_on(self, reader, writer, up_reader, up_writer) -> bool:
        begun = asyncio.get_running_loop().time()
        async with asyncio.timeout(self.idle):
            packet = await reader.read(65_536)
        if not packet:
            return False
        if asyncio.get_running_loop().time() - begun > self.forgets:
            await reader.read(65_536)
        head, _, body = packet.partition(b"\r\n\r\n")
        up_writer.write(await self.read_request(reader, head, body))
        head = await up_reader.readuntil(b"\r\n\r\n")
        content = await up_reader.readexactly(int(_LENGTH.search(head)[1]))
        if self.is_polite:
            head = head[:-2] + b"Connection: close\r\n\r\n"
        writer.write(head + content)
        await writer.drain()
        return True

    async def read_request(self, reader: asyncio.StreamReader, head: bytes, body: bytes) -> bytes:
        found = _LENGTH.search(head)
        length, packets = int(found[1]) if found else 0, int(bool(body))
        while len(body) < length and (self.packets is None or packets < self.packets):
            if self.only_with_header:
                await reader.read(65_536)
                await asyncio.Event().wait()
            body += await reader.read(65_536)
            packets += 1
        return _LENGTH.sub(b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body


@asynccontextmanager
async def relaying(relay: Relay, upstream: str) -> AsyncIterator[str]:
    """The address of a relay before ``upstream``."""
    relay.upstream = upstream
    tasks: set[asyncio.Task[None]] = set()

    def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(relay.talk(reader, writer)))

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
