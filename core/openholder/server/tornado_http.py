"""HTTP on Tornado's own parser, made to refuse and to say what the other transport does.

Tornado has no public place for this: what is overridden here is private to it, so `setup.cfg` allows the releases that
the tests have seen and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import socket
import sys
from functools import partial
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    parse_request_start_line,
)
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError
from tornado.log import gen_log
from tornado.netutil import ssl_wrap_socket

from openholder.edge.headers import AnswerHeaders
from openholder.edge.heads import (
    LINGER,
    MAX_CHUNKING,
    MAX_HEAD,
    BadRequest,
    check_head,
    expects_continue,
    read_request_line,
)
from openholder.edge.server import Server

PIECE = 65_536
"""Bytes that are read at a time."""
MAX_BUFFER = 2 * PIECE
"""Bytes of a connection that wait to be read or written, beyond what an answer holds."""

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
        member = cast(Context, self.context).member
        member.server.idle.pop(member, None)
        member.deadline = math.inf
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
            headers = HTTPHeaders.parse(trailers.decode("latin-1"))
        except HTTPInputError:
            raise BadRequest("malformed") from None
        if "Content-Length" in headers or "Transfer-Encoding" in headers:
            raise BadRequest("malformed")  # RFC 9110 section 6.5.1

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Write the head of the answer. One that says ``close`` closes."""
        self.answered = True
        if isinstance(headers, AnswerHeaders):
            headers = headers.unfold()
        if headers.get("Connection", "").lower() == "close":
            self._disconnect_on_finish = True
        if self._disconnect_on_finish:
            headers["Connection"] = "close"  # Tornado says so in HTTP/1.1 alone
        return super().write_headers(start_line, headers, chunk)


class Context:
    """Whose connection it is, as Tornado's requests want to know it."""

    def __init__(self, member: ServerConnection, remote_ip: str, protocol: str) -> None:
        self.member = member
        self.remote_ip = remote_ip
        self.protocol = protocol


class ServerConnection(HTTP1ServerConnection):
    """The requests of one connection, one after the other."""

    deadline = math.inf

    def __init__(self, server: TornadoServer, stream: IOStream, remote_ip: str) -> None:
        protocol = "https" if isinstance(stream, SSLIOStream) else "http"
        super().__init__(stream, server.parameters, Context(self, remote_ip, protocol))
        self.remote_ip = remote_ip
        self.server = server

    def drop(self) -> None:
        """Close at once."""
        self.stream.close()

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        try:
            while await self._serve_request(delegate):
                self.server.rest(self)
                await asyncio.sleep(0)  # others have their turn
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
            answer = self.server.refuse(refusal, self.remote_ip)
            if not connection.answered:
                await self.stream.write(answer)
            await self._linger()
            return False
        except StreamClosedError as exc:
            if isinstance(exc.real_error, UnsatisfiableReadError):  # Tornado has closed, and cannot answer
                self.server.refuse(BadRequest("head_too_large", 431), self.remote_ip)
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


class TornadoServer(Server, HTTPServerConnectionDelegate):
    """An HTTP server on Tornado's own parser."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        gen_log.addFilter(_is_news)
        self.parameters = HTTP1ConnectionParameters(
            max_header_size=MAX_HEAD,
            max_body_size=sys.maxsize,  # the delegates limit it, and answer
            body_timeout=self.limits.body,
        )

    def take(self, accepted: socket.socket, address: Any) -> ServerConnection:
        """Begin a connection."""
        stream: IOStream
        if self.ssl_options:
            accepted.getpeername()  # raises if it has been reset, where `ssl` would leave its socket open
            secured = ssl_wrap_socket(accepted, self.ssl_options, server_side=True, do_handshake_on_connect=False)
            stream = SSLIOStream(secured, max_buffer_size=MAX_BUFFER)
            stream.wait_for_handshake().add_done_callback(partial(self._note_handshake, str(address[0])))
        else:
            stream = IOStream(accepted, max_buffer_size=MAX_BUFFER)
        connection = ServerConnection(self, stream, str(address[0]))
        connection.start_serving(self)
        return connection

    def _note_handshake(self, ip: str, handshake: asyncio.Future[SSLIOStream]) -> None:
        if handshake.cancelled() or handshake.exception():
            self.report("tls", ip)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return the delegate of a request whose head has not come yet."""
        return self.application.start_request(server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Stop counting a closed connection."""
        self.forget(cast(ServerConnection, server_conn))

    def end_keep_alive(self) -> None:
        """Close each connection after its next answer."""
        super().end_keep_alive()
        self.parameters.no_keep_alive = True


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what any caller can cause by not speaking TLS: it is counted."""
    return not str(record.msg).startswith("SSL Error on")
