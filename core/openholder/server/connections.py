"""Where connections come in: the sockets, and a server that knows how many connections it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import SSLIOStream
from tornado.netutil import bind_sockets

from openholder.errors import Unreachable

log = logging.getLogger("openholder")

BACKLOG = 128
"""Connections that wait in the kernel to be taken: Tornado's default."""
HANDSHAKE_TIMEOUT = 10.0
"""Seconds in which a TLS handshake must come to an end."""


def bind(address: str, port: int) -> list[socket.socket]:
    """Sockets listening there. Raises `Unreachable` when the port is taken or not allowed."""
    try:
        return bind_sockets(port, address)
    except OSError as exc:
        raise Unreachable(f"cannot listen on {address}:{port}: {exc.strerror or type(exc).__name__}") from exc


class CountingServer(HTTPServer):
    """An HTTP server that knows whether it has connections, and takes no more than ``most``."""

    def initialize(self, *args: Any, most: int = 1000, **kwargs: Any) -> None:
        """Begin without any. Tornado calls this in place of ``__init__``."""
        super().initialize(*args, **kwargs)
        self._most = most
        self._open = 0
        self._listening: list[socket.socket] = []
        self.quiet = asyncio.Event()
        self.quiet.set()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Listen there."""
        self._listening += sockets
        super().add_sockets(self._listening)

    def stop(self) -> None:
        """Listen no longer. Connections that the kernel has taken already are served: closing would reset them."""
        for listening in self._listening:
            with contextlib.suppress(OSError):
                for _ in range(BACKLOG):
                    self._handle_connection(*listening.accept())
        super().stop()

    def handle_stream(self, stream: Any, address: Any) -> None:
        """Count a connection in, or close it at once where there are too many."""
        if self._open >= self._most:
            stream.close()
            return
        self._open += 1
        self.quiet.clear()
        if isinstance(stream, SSLIOStream):
            _limit_handshake(stream)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        """Count a connection out."""
        super().on_close(server_conn)
        self._open -= 1
        if not self._open:
            self.quiet.set()


def _limit_handshake(stream: SSLIOStream) -> None:
    """Close a connection whose TLS handshake does not come to an end."""
    deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, stream.close)
    handshake = stream.wait_for_handshake()
    handshake.add_done_callback(lambda _: deadline.cancel())
    handshake.add_done_callback(lambda future: future.cancelled() or future.exception())


def connections_allowed(wanted: int) -> int:
    """``wanted``, or as many as half of the process's file descriptors: an accept that fails for want of one spins."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * wanted:
        soft = min(hard, 2 * wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if wanted > soft // 2:
        log.warning("only %d connections at once: the limit of open files is %d", soft // 2, soft)
    return min(wanted, soft // 2)
