"""One connection: bytes to requests, answers to bytes.

The parser is fed one message at a time: a head as a whole, then its body up to its end. What arrives behind that waits
until the answer is written, so that a connection has one request at a time, as in Tornado.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from openholder.edge.headers import AnswerHeaders, RequestHeaders, spell
from openholder.edge.heads import (
    LINGER,
    MAX_CHUNKING,
    MAX_HEAD,
    USUAL_METHODS,
    BadRequest,
    check_head,
    expects_continue,
    read_request_line,
)
from openholder.edge.server import Server

log = logging.getLogger(__name__)

MAX_WAITING = 65_536
"""Bytes that wait behind a request. With more, the connection is not read until the request is answered."""
WRITE_TIMEOUT = 30.0
"""Seconds within which a caller must have received the last bytes before its connection is closed."""

_END = b"\r\n\r\n"
"""The end of each head, and of each body that comes in chunks."""
_SLASH = ord("/")


class Exchange(HTTPConnection):
    """What a delegate writes its answer to. An answer without Content-Length ends with its connection."""

    answered = False
    """Whether the head of the answer has been written."""
    on_close: Callable[[], None] | None = None

    def __init__(self, connection: Connection, version: str, keep_alive: bool) -> None:
        self.context = connection
        self.keep_alive = keep_alive
        self._version = version

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Set what is called when the caller goes away before the answer is complete."""
        self.on_close = callback

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Write the head of the answer and the first part of its body, in one piece."""
        _, code, reason = cast(ResponseStartLine, start_line)
        if isinstance(headers, AnswerHeaders):
            lines = headers.lines
            self.keep_alive = self.keep_alive and not headers.close
        else:
            lines = self._encode(headers)
        if not self.keep_alive:
            lines += "Connection: close\r\n"
        elif self._version == "HTTP/1.0":
            lines += "Connection: keep-alive\r\n"
        self.answered = True
        head = f"HTTP/1.1 {code} {reason}\r\n{lines}\r\n".encode("latin-1")
        return self.context.write(self, head + chunk if chunk else head)

    def _encode(self, headers: HTTPHeaders) -> str:
        if "Content-Length" not in headers or headers.get("Connection", "").lower() == "close":
            self.keep_alive = False
        lines = [f"{name}: {value}\r\n" for name, value in headers.get_all() if name != "Connection"]
        text = "".join(lines)
        if not text.count("\n") == text.count("\r") == len(lines):
            raise ValueError("line end in a header of the answer")
        return text

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """Write a part of the body."""
        return self.context.write(self, chunk)

    def finish(self) -> None:
        """End the answer; the connection goes on with the next request, or is closed."""
        self.context.end(self)

    def close(self) -> None:
        """Disconnect the caller."""
        self.context.transport.abort()


class Connection(asyncio.Protocol):
    """A connection of one caller. For Tornado it is also the context of its requests."""

    adoption: asyncio.Task[Any]
    """Makes the transport, and with TLS shakes hands first."""
    transport: asyncio.Transport = cast(asyncio.Transport, None)
    deadline = math.inf
    """When the connection is closed, by the loop's clock, unless something happens."""
    _delegate: HTTPMessageDelegate
    _exchange: Exchange | None = None
    _complete = False
    """Whether the parser has seen the end of the message."""
    _closing = False
    """Whether what still arrives is dropped."""
    _waiting = b""
    """What came before its turn: a part of a head, or whatever is behind the request that is being answered."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, remote_ip: str, protocol: str) -> None:
        self.remote_ip = remote_ip
        self.protocol = protocol
        self._server = server
        self._loop = loop
        self._parser = HttpRequestParser(self)
        self._fields: dict[str, list[str]] = {}
        self._body: list[bytes] = []
        self._flushed = server.done

    def end_adoption(self, accepted: socket.socket, adoption: asyncio.Task[Any]) -> None:
        """Give up where no connection came of a socket: the caller has gone, or speaks no TLS."""
        del self.adoption  # its result refers to this connection
        if adoption.cancelled() or adoption.exception():
            self._server.report("tls", self.remote_ip)
            self._server.forget(self)
            accepted.close()

    def drop(self) -> None:
        """Close at once."""
        if self.transport:
            self.transport.abort()
        else:
            self.adoption.cancel()

    # -- what the event loop calls ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Go on with what has arrived."""
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
        if self._exchange is None or not self._complete:
            self._read(data)
        else:
            self._keep(data)

    def pause_writing(self) -> None:
        """Let what is written count as under way: the caller is slow to read."""
        self._flushed = self._loop.create_future()

    def resume_writing(self) -> None:
        """Tell that what was written has left."""
        self._flushed.set_result(None)
        self._flushed = self._server.done

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the delegate that its caller has gone."""
        self._server.forget(self)
        del self._parser  # it refers to this connection
        if not self._flushed.done():
            self._flushed.set_exception(ConnectionResetError())
            self._flushed.exception()  # nobody may be waiting for it
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if not self._complete:
            self._delegate.on_connection_close()
        elif exchange.on_close:
            exchange.on_close()

    # -- what the parser calls ----------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a line of the head, or one behind a body in chunks, which counts for nothing."""
        known = spell(name)
        text = value.decode("latin-1").rstrip(" \t")  # llhttp leaves the white space behind a value
        if known in self._fields:
            self._fields[known].append(text)
        else:
            self._fields[known] = [text]

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Note the end of the message."""
        self._complete = True

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """Read one message, or as much of it as there is, and hand it to a delegate."""
        if self._closing:
            return
        try:
            if self._exchange is None:
                data = self._read_head(data)
            while data and self._exchange is not None and not self._complete:
                data = self._read_body(data, self._exchange)
        except BadRequest as exc:
            self._refuse(exc)
        except HTTPInputError:
            self._refuse(BadRequest("malformed"))
        except Exception:
            log.error("uncaught exception in a delegate", exc_info=True)
            self.transport.abort()
        else:
            if data:
                self._keep(data)
                if self._exchange is None:
                    self._loop.call_soon(self._go_on)

    def _read_head(self, data: bytes) -> bytes:
        """Begin a request once its head is there. Return what is behind the head."""
        data = data.removeprefix(b"\r\n")  # RFC 9112 section 2.2
        end = data.find(_END) + len(_END)
        if end > MAX_HEAD or (end < len(_END) and len(data) > MAX_HEAD):
            raise BadRequest("head_too_large", 431)
        if end < len(_END):
            if data.count(b"\n") != data.count(b"\r\n"):
                raise BadRequest("malformed")  # its end would not be found
            self._waiting = data
            return b""
        head, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        start_line = read_request_line(head)
        method, _, version = start_line
        self._complete = False
        upgrade = self._feed_head(head, method)
        headers, self._fields = RequestHeaders(self._fields), {}
        keep_alive = check_head(head, version, headers.fields) and not self._server.draining
        if upgrade:
            self._stay_with_http(headers)
        self._server.idle.pop(self, None)
        self._exchange = exchange = Exchange(self, version, keep_alive)
        self._delegate = delegate = self._server.application.start_request(self, exchange)
        delegate.headers_received(start_line, headers)
        if self._exchange is exchange:
            if self._complete:
                self.deadline = math.inf
                delegate.finish()
            else:
                self._expect_body(exchange, version, headers)
        return rest

    def _feed_head(self, head: bytes, method: str) -> bool:
        """Give a head to the parser. Return whether it takes what follows for another protocol than HTTP."""
        if method not in USUAL_METHODS or head[len(method) + 1] != _SLASH:
            # The first line has been checked, and llhttp has other ideas of methods and targets.
            head = b"POST / HTTP/1.1" + head[head.index(b"\r\n") :]
        try:
            self._parser.feed_data(head)
        except HttpParserUpgrade:
            return True
        except HttpParserError as exc:
            self._fields = {}
            too_large = str(exc) == "Content-Length overflow"
            raise BadRequest("body_too_large", 413) if too_large else BadRequest("malformed") from None
        return False

    def _stay_with_http(self, headers: RequestHeaders) -> None:
        """Ignore the wish for another protocol (RFC 9110 section 7.8): a new parser reads the body as it was framed."""
        framing = [f"{name}: {headers[name]}" for name in ("Content-Length", "Transfer-Encoding") if name in headers]
        self._parser = HttpRequestParser(self)
        self._complete = False
        self._parser.feed_data("\r\n".join(["POST / HTTP/1.1", *framing, "", ""]).encode())

    def _expect_body(self, exchange: Exchange, version: str, headers: RequestHeaders) -> None:
        self._unread = int(headers["Content-Length"]) if "Content-Length" in headers else math.inf
        self._overhead = 0
        self._last = b""
        self.deadline = self._loop.time() + self._server.limits.body
        if expects_continue(version, headers) and not exchange.answered:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_body(self, data: bytes, exchange: Exchange) -> bytes:
        """Read the body, at most to its end. Return what is behind it."""
        if self._unread == math.inf:
            # A body in chunks ends where an empty line ends, so no piece holds the beginning of another message. The
            # empty line may have begun with the last three bytes before.
            found = (self._last + data).find(_END)
            end = len(data) if found < 0 else found + len(_END) - len(self._last)
            self._last = (self._last + data[:end])[-3:]
        else:
            end = min(len(data), int(self._unread))
        piece, rest = data[:end], data[end:]
        try:
            self._parser.feed_data(piece)
        except HttpParserError:
            raise BadRequest("malformed") from None
        content = b"".join(self._body)
        self._body.clear()
        self._unread -= end
        self._overhead += end - len(content)
        if self._overhead > MAX_CHUNKING:
            raise BadRequest("chunks_too_large", 413)
        if content:
            self._delegate.data_received(content)
        if self._complete and self._exchange is exchange:
            self._fields = {}
            self.deadline = math.inf
            self._delegate.finish()
        return rest

    def _keep(self, data: bytes) -> None:
        self._waiting = data
        if len(data) > MAX_WAITING:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """Read the next request, which has come already."""
        if self._exchange is None and self._waiting:
            data, self._waiting = self._waiting, b""
            self.transport.resume_reading()
            self._read(data)

    # -- writing and closing ------------------------------------------------------------------------------------------

    def write(self, exchange: Exchange, data: bytes) -> asyncio.Future[None]:
        """Write a part of an answer. The future is done when the caller has received enough of what was written."""
        if self._exchange is not exchange:
            return self._server.gone
        self.transport.write(data)
        return self._flushed

    def end(self, exchange: Exchange) -> None:
        """End an answer: the next request may come, or the connection is closed."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        # Both refer to the connection. Without these circles, all of a request is freed at once, not by the collector.
        del self._delegate
        exchange.on_close = None
        if not self._complete:
            self._linger()
        elif not exchange.keep_alive or self._server.draining:
            self._close(WRITE_TIMEOUT)
            self.transport.close()
        else:
            self._server.rest(self)
            if self._waiting:
                self._loop.call_soon(self._go_on)

    def _close(self, limit: float) -> None:
        self._closing = True
        self.deadline = self._loop.time() + limit

    def _refuse(self, refusal: BadRequest) -> None:
        """Answer what is no request, unless a delegate has answered it, and close."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._delegate.on_connection_close()
        answer = self._server.refuse(refusal, self.remote_ip)
        if exchange is None or not exchange.answered:
            self.transport.write(answer)
        self._linger()

    def _linger(self) -> None:
        """Close, but let the caller read the answer first: with bytes unread, closing resets the connection."""
        self._close(LINGER)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
