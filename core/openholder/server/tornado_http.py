"""HTTP on Tornado's own parser, made to refuse and to say what the other transport does.

Tornado has no public place for this: what is overridden here is private to it, so `setup.cfg` allows the releases that
the tests have seen and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    parse_request_start_line,
)
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError

from openholder.edge.answers import AnswerHeaders
from openholder.edge.heads import (
    LINGER,
    MAX_CHUNKING,
    MAX_HEAD,
    BadRequest,
    check_head,
    expects_continue,
    read_request_line,
)
from openholder.server.connections import BACKLOG

HANDSHAKE_TIMEOUT = 10.0
"""Seconds within which a TLS handshake must complete."""
PIECE = 65_536
"""Bytes that are read at a time."""

_CHUNK = re.compile(rb'([0-9A-Fa-f]{1,16})(;[\x21\x23-\x7e]+(="[\t\x20-\x7e\x80-\xff]*")?)*\r\n')


class Connection(HTTP1Connection):
    """One request and its answer."""

    answered = False
    """Whether the head of the answer has been written."""

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        head = data.removeprefix(b"\r\n")
        if head.count(b"\n") != head.count(b"\r\n"):
            raise BadRequest("malformed")
        line = read_request_line(head)
        try:
            first, headers = super()._parse_headers(head)
            parse_request_start_line(first)
        except HTTPInputError:
            raise BadRequest("malformed") from None
        self._stays_open = check_head(head, line.version, {name: headers.get_list(name) for name in headers})
        if expects_continue(line.version, headers):
            headers["Expect"] = "100-continue"  # Tornado knows this spelling alone
        return " ".join(line), headers

    def _can_keep_alive(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> bool:
        return self._stays_open and not self.params.no_keep_alive

    async def _read_chunked_body(self, delegate: HTTPMessageDelegate) -> None:
        """Read chunks with their extensions, and the trailers, which count for nothing (RFC 9112 section 7.1)."""
        overhead, pending, turns = 0, bytearray(), 0
        size = -1
        while size:
            line = await self.stream.read_until(b"\r\n", max_bytes=MAX_HEAD)
            found = _CHUNK.fullmatch(line)
            if not found:
                raise BadRequest("malformed")
            size = int(found[1], 16)
            overhead += len(line) + 2
            if overhead > MAX_CHUNKING:
                raise BadRequest("chunks_too_large", 413)
            unread = size
            while unread:
                piece = await self.stream.read_bytes(min(unread, PIECE), partial=True)
                unread -= len(piece)
                pending += piece
                if len(pending) >= PIECE:
                    await self._deliver_body(delegate, bytes(pending))
                    pending.clear()
            if size and await self.stream.read_bytes(2) != b"\r\n":
                raise BadRequest("malformed")
            turns += 1
            if turns % 256 == 0:
                await asyncio.sleep(0)  # chunks that have all arrived are read without any wait
        if pending:
            await self._deliver_body(delegate, bytes(pending))
        await self._skip_trailers()

    async def _skip_trailers(self) -> None:
        trailers = b""
        while not trailers.endswith(b"\r\n\r\n") and trailers != b"\r\n":
            trailers += await self.stream.read_until(b"\n", max_bytes=MAX_HEAD)
            if len(trailers) > MAX_HEAD:
                raise BadRequest("chunks_too_large", 413)
        try:
            HTTPHeaders.parse(trailers.decode("latin-1"))
        except HTTPInputError:
            raise BadRequest("malformed") from None

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Write the head of the answer. One that says ``close`` closes."""
        self.answered = True
        if isinstance(headers, AnswerHeaders):
            headers = headers.unfold()
        if headers.get("Connection", "").lower() == "close":
            self._disconnect_on_finish = True
        return super().write_headers(start_line, headers, chunk)


class ServerConnection(HTTP1ServerConnection):
    """The requests of one connection, one after the other."""

    def __init__(self, stream: IOStream, params: Any, context: Any, refuse: Callable[[BadRequest, str], bytes]) -> None:
        super().__init__(stream, params, context)
        self._refuse: Callable[[BadRequest], bytes] = lambda refusal: refuse(refusal, context.remote_ip)

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        try:
            while await self._serve_request(delegate):  # noqa: ASYNC110 - others have their turn
                await asyncio.sleep(0)
        except (StreamClosedError, UnsatisfiableReadError, asyncio.CancelledError):
            return
        finally:
            delegate.on_close(self)

    async def _serve_request(self, delegate: HTTPServerConnectionDelegate) -> bool:
        """Read a request and wait for its answer. Return whether there may be another."""
        connection = Connection(self.stream, False, self.params, self.context)
        try:
            return await connection.read_response(delegate.start_request(self, connection))
        except BadRequest as refusal:
            answer = self._refuse(refusal)
            if not connection.answered:
                await self.stream.write(answer)
            await self._linger()
            return False
        except StreamClosedError as exc:
            if isinstance(exc.real_error, UnsatisfiableReadError):
                self._refuse(BadRequest("head_too_large", 431))
            raise

    async def _linger(self) -> None:
        """Close, but let the caller read the answer first: with bytes unread, closing resets the connection."""
        if not isinstance(self.stream, SSLIOStream):
            with contextlib.suppress(OSError, TimeoutError, StreamClosedError):
                self.stream.socket.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(LINGER):
                    while True:
                        await self.stream.read_bytes(PIECE, partial=True)
        self.stream.close()


class TornadoServer(HTTPServer):
    """An HTTP server that counts its connections and accepts at most ``max_connections``.

    ``quiet`` is set while it has none.
    """

    ssl_options: ssl.SSLContext | None

    def initialize(  # type: ignore[override]
        self, *args: Any, refuse: Callable[[BadRequest, str], bytes], max_connections: int, **kwargs: Any
    ) -> None:
        """Start without connections. Tornado calls this in place of ``__init__``."""
        super().initialize(*args, **kwargs)
        self._refuse = refuse
        self._max_connections = max_connections
        self._listening: list[socket.socket] = []
        self.quiet = asyncio.Event()
        self.quiet.set()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Listen on the sockets too."""
        self._listening += sockets
        super().add_sockets(self._listening)

    def end_keep_alive(self) -> None:
        """Close each connection after its next answer."""
        self.conn_params.no_keep_alive = True

    def stop(self) -> None:
        """Stop listening."""
        # Clients in the backlog consider themselves connected: closing the socket would reset them, so serve them too.
        for listening in self._listening:
            with contextlib.suppress(OSError):
                for _ in range(BACKLOG):
                    self._handle_connection(*listening.accept())
        super().stop()

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        try:
            super()._handle_connection(connection, address)
        except OSError:  # the caller has reset it already, before TLS or after some bytes of it (ssl.SSLError is one)
            connection.close()

    def handle_stream(self, stream: Any, address: Any) -> None:
        """Count a new connection, or close it at once if there are too many."""
        if len(self._connections) >= self._max_connections:
            stream.close()
            return
        self.quiet.clear()
        if isinstance(stream, SSLIOStream):
            _limit_handshake(stream)
        context = _HTTPRequestContext(stream, address, self.protocol)
        connection = ServerConnection(stream, self.conn_params, context, self._refuse)
        self._connections.add(connection)
        connection.start_serving(self)

    def on_close(self, server_conn: object) -> None:
        """Stop counting a closed connection."""
        super().on_close(server_conn)
        if not self._connections:
            self.quiet.set()


def _limit_handshake(stream: SSLIOStream) -> None:
    """Close a connection whose TLS handshake takes too long."""
    deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, stream.close)
    handshake = stream.wait_for_handshake()
    handshake.add_done_callback(lambda _: deadline.cancel())
    handshake.add_done_callback(lambda future: future.cancelled() or future.exception())
