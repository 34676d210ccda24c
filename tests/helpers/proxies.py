"""A forward proxy, as banks have one between their servers and the internet."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from openholder.server.connections import bind


@dataclass
class ForwardProxy:
    """Tunnels (CONNECT) and forwards (absolute-form) to ports of this machine, whatever the hosts are called."""

    ports: Mapping[str, int]
    """For each host, the port that stands in for it."""
    login: str = ""
    """``user:password`` that a caller must have, if any."""
    requests: list[str] = field(default_factory=list)
    """The request lines, without the version."""
    url: str = ""

    async def __aenter__(self) -> ForwardProxy:
        (socket,) = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, sock=socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, _, headers = head.partition("\r\n")
                method, target, _ = line.split(" ")
                self.requests.append(f"{method} {target}")
                there = await self._connect(method, target, headers, writer)
                if there:
                    writers.append(there[1])
                    await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        finally:
            for open_writer in writers:
                open_writer.close()
                with suppress(OSError):
                    await open_writer.wait_closed()

    async def _connect(
        self, method: str, target: str, headers: str, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Open the way to the host, and tell the caller or pass the request on. None if it was refused."""
        expected = "Proxy-Authorization: Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and expected not in headers:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return None
        host = target.rpartition(":")[0] if method == "CONNECT" else urlsplit(target).hostname
        port = self.ports.get(host or "")
        if port is None:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return None
        there = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            parts = urlsplit(target)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            there[1].write(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}".encode("latin-1"))
        return there


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
