"""Incoming connections: listening sockets, and a server that counts and limits its connections."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import SSLIOStream
from tornado.netutil import bind_sockets

from openholder.errors import Unreachable
from openholder.setting_types import is_loopback
from openholder.settings import Listen

log = logging.getLogger("openholder")

BACKLOG = 128
"""Connections that may wait in the kernel to be accepted: Tornado's default."""
HANDSHAKE_TIMEOUT = 10.0
"""Seconds within which a TLS handshake must complete."""


def bind(address: str, port: int) -> list[socket.socket]:
    """Open listening sockets. Raises `Unreachable` if the port is in use or not permitted."""
    try:
        return bind_sockets(port, address)
    except OSError as exc:
        raise Unreachable(f"cannot listen on {address}:{port}: {exc.strerror or type(exc).__name__}") from exc


def find_exposures(listen: Listen) -> Iterator[str]:
    """Find listeners that other machines can reach although they speak plain HTTP. Each is described in a sentence."""
    if not listen.tls_certificate and not is_loopback(listen.address):
        where = listen.address or "all addresses"
        yield f"plain HTTP on {where}: put a proxy that terminates TLS in front, or set listen.tls_certificate"
    if not _is_internal(listen.admin_address):
        where = listen.admin_address or "all addresses"
        yield f"the admin listener is on {where}, without TLS or a password: keep its port out of public networks"


def _is_internal(address: str) -> bool:
    """Return whether an address is one of a private network. What a name means is not known: it is not looked up."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address == "localhost"
    return found.is_private and not found.is_unspecified


class CountingServer(HTTPServer):
    """An HTTP server that counts its connections and accepts at most ``max_connections``.

    ``quiet`` is set while it has none.
    """

    def initialize(self, *args: Any, max_connections: int = 1000, **kwargs: Any) -> None:
        """Start without connections. Tornado calls this in place of ``__init__``."""
        super().initialize(*args, **kwargs)
        self._max_connections = max_connections
        self._open = 0
        self._listening: list[socket.socket] = []
        self.quiet = asyncio.Event()
        self.quiet.set()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Listen on the sockets too."""
        self._listening += sockets
        super().add_sockets(self._listening)

    def stop(self) -> None:
        """Stop listening."""
        # Clients in the backlog consider themselves connected: closing the socket would reset them, so serve them too.
        for listening in self._listening:
            with contextlib.suppress(OSError):
                for _ in range(BACKLOG):
                    self._handle_connection(*listening.accept())
        super().stop()

    def handle_stream(self, stream: Any, address: Any) -> None:
        """Count a new connection, or close it at once if there are too many."""
        if self._open >= self._max_connections:
            stream.close()
            return
        self._open += 1
        self.quiet.clear()
        if isinstance(stream, SSLIOStream):
            _limit_handshake(stream)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        """Stop counting a closed connection."""
        super().on_close(server_conn)
        self._open -= 1
        if not self._open:
            self.quiet.set()


def _limit_handshake(stream: SSLIOStream) -> None:
    """Close a connection whose TLS handshake takes too long."""
    deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, stream.close)
    handshake = stream.wait_for_handshake()
    handshake.add_done_callback(lambda _: deadline.cancel())
    handshake.add_done_callback(lambda future: future.cancelled() or future.exception())


def limit_connections(wanted: int) -> int:
    """Return ``wanted``, or half of the available file descriptors if that is less. Raise the soft limit if possible.

    Without a free descriptor, accept() would fail in a busy loop.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * wanted:
        soft = min(hard, 2 * wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if wanted > soft // 2:
        log.warning("accepting only %d connections at a time: the limit of open files is %d", soft // 2, soft)
    return min(wanted, soft // 2)
