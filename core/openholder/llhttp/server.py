"""The listening side: connections taken, counted, given up and drained."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable

from tornado.httputil import HTTPServerConnectionDelegate

from openholder.edge.heads import BadRequest
from openholder.llhttp.connection import Connection, Shared

BACKLOG = 128
"""Connections that may wait in the kernel to be accepted."""
HANDSHAKE_TIMEOUT = 10.0
"""Seconds within which a TLS handshake must complete."""
RECOVERY = 1.0
"""Seconds for descriptors to become free before connections are accepted again."""
SWEEP = 0.25
"""Seconds between two looks at the deadlines of all connections."""


class LLHTTPServer:
    """An HTTP server for the delegates of an application.

    Args:
        application: Makes a delegate for each request. Delegates that return futures for flow control are not served.
        refuse: Makes the answer to what is no request, and records it; it gets the reason and the caller's address.
        max_connections: Further connections are closed at once.
        idle_timeout: Seconds for a head to arrive, since the connection was made or the last request answered.
        body_timeout: Seconds for a body to arrive.
    """

    def __init__(
        self,
        application: HTTPServerConnectionDelegate,
        refuse: Callable[[BadRequest, str], bytes],
        *,
        max_connections: int,
        idle_timeout: float,
        body_timeout: float,
    ) -> None:
        self.ssl_options: ssl.SSLContext | None = None
        """The TLS of connections to come."""
        self.quiet = asyncio.Event()
        """Set while there are no connections."""
        self.quiet.set()
        self._loop = asyncio.get_running_loop()
        done, gone = self._loop.create_future(), self._loop.create_future()
        done.set_result(None)
        gone.set_exception(ConnectionResetError())
        gone.exception()
        self._shared = Shared(application, refuse, idle_timeout, body_timeout, self._forget, done, gone)
        self._max_connections = max_connections
        self._connections: set[Connection] = set()
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Listen on the sockets too."""
        self._sockets += sockets
        for listening in self._sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening, self._accept, listening)
        self._loop.call_later(SWEEP, self._sweep)

    def _accept(self, listening: socket.socket) -> None:
        """Take the connections that wait, and close those that are too many."""
        for _ in range(BACKLOG):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is free, which would be told again at once
                self._loop.remove_reader(listening)
                self._loop.call_later(RECOVERY, self.add_sockets, ())
                raise
            if len(self._connections) >= self._max_connections:
                accepted.close()
                continue
            accepted.setblocking(False)
            connection = Connection(self._shared, self._loop, str(address[0]), "https" if self.ssl_options else "http")
            self._connections.add(connection)
            self.quiet.clear()
            task = self._loop.create_task(self._adopt(connection, accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _adopt(self, connection: Connection, accepted: socket.socket) -> None:
        limit = HANDSHAKE_TIMEOUT if self.ssl_options else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self.ssl_options,
                ssl_handshake_timeout=limit,
                ssl_shutdown_timeout=limit,
            )
        except (OSError, asyncio.CancelledError):  # the caller has gone, or speaks no TLS (ssl.SSLError is an OSError)
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        """Stop counting a closed connection."""
        self._connections.discard(connection)
        if not self._connections:
            self.quiet.set()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [each for each in self._connections if each.deadline < now]:
            connection.transport.abort()
        if self._connections or not self._shared.draining:
            self._loop.call_later(SWEEP, self._sweep)

    def end_keep_alive(self) -> None:
        """Close each connection after its next answer."""
        self._shared.draining = True

    def stop(self) -> None:
        """Stop listening."""
        while self._sockets:
            # Who waits in the backlog takes himself for connected, and would be reset.
            listening = self._sockets.pop()
            self._loop.remove_reader(listening)
            with contextlib.suppress(OSError):
                self._accept(listening)
            listening.close()

    async def close_all_connections(self) -> None:
        """Close all connections, and wait until their delegates know."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._connections:
            connection.transport.abort()
        await self.quiet.wait()
