"""The load driver: sends requests that were made before, over connections that stay open, as fast as they are answered.

Only bytes are compared here, so that the driver costs less than any server that it measures.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Iterable

TIMEOUT = 60.0
"""Seconds within which all requests must have been answered."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Caller(asyncio.Protocol):
    """One connection: sends the next waiting request when the answer to the last one is complete."""

    def __init__(self, waiting: deque[bytes], statuses: Counter[str], ended: asyncio.Future[None]) -> None:
        self._waiting = waiting
        self._statuses = statuses
        self._ended = ended
        self._received = b""
        self._expected = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send_next()

    def _send_next(self) -> None:
        if self._waiting:
            self._transport.write(self._waiting.popleft())
            return
        self._transport.close()
        if not self._ended.done():
            self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._expected:
            head, end, _ = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            length = _LENGTH.search(head)
            self._expected = len(head) + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= self._expected:
            self._statuses[self._received[9:12].decode("ascii", "replace")] += 1
            self._received, self._expected = b"", 0
            self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("the server closed a connection"))


async def _drive(port: int, requests: Iterable[bytes], connections: int) -> Counter[str]:
    loop, waiting, statuses = asyncio.get_running_loop(), deque(requests), Counter[str]()
    ends = [loop.create_future() for _ in range(connections)]
    async with asyncio.timeout(TIMEOUT):
        for ended in ends:
            await loop.create_connection(lambda ended=ended: Caller(waiting, statuses, ended), "127.0.0.1", port)
        await asyncio.gather(*ends)
    return statuses


def drive(port: int, requests: Iterable[bytes], connections: int) -> Counter[str]:
    """Send all requests and count the statuses of the answers."""
    return asyncio.run(_drive(port, requests, connections))
