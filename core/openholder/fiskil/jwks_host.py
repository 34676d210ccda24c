"""A loopback host for the signer's keys, in place of the platform's JWKS URL."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from openholder.server.connections import bind


class _Keys(RequestHandler):
    def initialize(self, jwks: Callable[[], bytes]) -> None:
        self._jwks = jwks

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(self._jwks())


@asynccontextmanager
async def jwks_host(
    url: str, jwks: Callable[[], bytes], sockets: list[socket.socket] | None = None
) -> AsyncIterator[None]:
    """Serve ``jwks`` at ``url`` for the duration of the block. Raises `Unreachable` if its port is unavailable."""
    parts = urlsplit(url)
    server = HTTPServer(Application([(parts.path or "/", _Keys, {"jwks": jwks})], log_function=lambda _: None))
    server.add_sockets(sockets or bind(parts.hostname or "127.0.0.1", parts.port or 80))
    try:
        yield
    finally:
        server.stop()
        await server.close_all_connections()
