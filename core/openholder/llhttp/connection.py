"""One connection: bytes to requests, answers to bytes.

The parser is fed one message at a time: a head as a whole, then its body up to its end. What arrives behind that waits
until the answer is written, so that a connection has one request at a time, as in Tornado.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from openholder.edge.heads import (
    LINGER,
    MAX_CHUNKING,
    MAX_HEAD,
    USUAL_METHODS,
    BadRequest,
    check_head,
    expects_continue,
    read_request_line,
    stays_open,
)
from openholder.llhttp.headers import RequestHeaders

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

    def __init__(self, connection: Connection, start_line: RequestStartLine, keep_alive: bool) -> None:
        self.context = connection
        self.keep_alive = keep_alive
        self.answered = False
        """Whether the head of the answer has been written."""
        self.on_close: Callable[[], None] | None = None
        self._start_line = start_line

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Set what is called when the caller goes away before the answer is complete."""
        self.on_close = callback

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Write the head of the answer and the first part of its body, in one piece."""
        assert isinstance(start_line, ResponseStartLine)
        if "Content-Length" not in headers and start_line.code not in (204, 304):
            self.keep_alive = False
        lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}"]
        for name, value in headers.get_all():
            if name == "Connection":
                self.keep_alive = self.keep_alive and value.lower() != "close"
            else:
                lines.append(f"{name}: {value}")
        if not self.keep_alive:
            lines.append("Connection: close")
        elif self._start_line.version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if not head.count(b"\n") == head.count(b"\r") == len(lines) + 1:
            raise ValueError("line end in a header of the answer")
        self.answered = True
        return self.write(head + chunk if chunk else head)

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """Write a part of the body."""
        return self.context.write(self, chunk)

    def finish(self) -> None:
        """End the answer; the connection goes on with the next request, or is closed."""
        self.context.end(self)

    def close(self) -> None:
        """Disconnect the caller."""
        self.context.transport.abort()


@dataclass(slots=True)
class Shared:
    """What all connections of a server share."""

    application: HTTPServerConnectionDelegate
    refuse: Callable[[BadRequest, str], bytes]
    """Makes the answer to what is no request, and records it; it gets the reason and the caller's address."""
    idle_timeout: float
    """Seconds for a head to arrive, since the connection was made or the last request answered."""
    body_timeout: float
    """Seconds for a body to arrive."""
    forget: Callable[[Connection], None]
    """Is told of each connection that is closed."""
    done: asyncio.Future[None]
    gone: asyncio.Future[None]
    """What writing returns where nothing is to be waited for, or nobody is there any more."""
    draining: bool = False
    """Whether each answer closes its connection."""


class Connection(asyncio.Protocol):
    """A connection of one caller. For Tornado it is also the context of its requests."""

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop, remote_ip: str, protocol: str) -> None:
        self.shared = shared
        self.transport: asyncio.Transport
        self.remote_ip = remote_ip
        self.protocol = protocol
        self.deadline = math.inf
        """When the connection is closed, by the loop's clock, unless something happens."""
        self._loop = loop
        self._parser = HttpRequestParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._complete = False
        """Whether the parser has seen the end of the message."""
        self._unread: int | None = None
        """Bytes of the body that have not come yet; None for chunks."""
        self._overhead = 0
        """Bytes of a body in chunks that are not its content."""
        self._last = b""
        """The end of what was read of a body in chunks: its own end may be cut in two."""
        self._waiting = b""
        self._lingers = False
        """Whether the connection is about to be closed, and what still arrives is dropped."""
        self._exchange: Exchange | None = None
        self._delegate: HTTPMessageDelegate
        self._flushed: asyncio.Future[None] = shared.done

    @property
    def idle(self) -> bool:
        """Whether no request has begun."""
        return self._exchange is None and not self._waiting

    # -- what the event loop calls ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.deadline = self._loop.time() + self.shared.idle_timeout

    def data_received(self, data: bytes) -> None:
        """Go on with what has arrived."""
        if self._waiting:
            data = self._waiting + data
        if self._exchange is None or not self._complete:
            self._waiting = b""
            self._read(data)
        else:
            self._wait_with(data)

    def pause_writing(self) -> None:
        """Let what is written count as under way: the caller is slow to read."""
        self._flushed = self._loop.create_future()

    def resume_writing(self) -> None:
        """Tell that what was written has left."""
        self._flushed.set_result(None)
        self._flushed = self.shared.done

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the delegate that its caller has gone."""
        self.shared.forget(self)
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
        self._fields.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Note the end of the message."""
        self._complete = True

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """Read one message, or as much of it as there is, and hand it to a delegate."""
        if self._lingers or self.transport.is_closing():
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
                self._wait_with(data)
                if self._exchange is None:
                    self._loop.call_soon(self._go_on)

    def _read_head(self, data: bytes) -> bytes:
        """Begin a request once its head is there. Return what is behind the head."""
        data = data.removeprefix(b"\r\n")  # RFC 9112 section 2.2
        end = data.find(_END) + len(_END)
        if end < len(_END):
            if len(data) > MAX_HEAD:
                raise BadRequest("head_too_large", 431)
            if data.count(b"\n") != data.count(b"\r\n"):
                raise BadRequest("malformed")  # its end would not be found
            self._waiting = data
            return b""
        if end > MAX_HEAD:
            raise BadRequest("head_too_large", 431)
        head, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        start_line = read_request_line(head)
        self._fields = []
        self._complete = False
        if start_line.method not in USUAL_METHODS or head[len(start_line.method) + 1] != _SLASH:
            # The first line has been checked, and llhttp has other ideas of methods and targets.
            head = b"POST / HTTP/1.1" + head[head.index(b"\r\n") :]
        upgrade = self._feed(head)
        headers = RequestHeaders(self._fields)
        check_head(head, start_line.version, headers)
        if upgrade:
            self._stay_with_http(headers)
        keep_alive = stays_open(start_line.version, headers) and not self.shared.draining
        self._exchange = exchange = Exchange(self, start_line, keep_alive)
        self._delegate = self.shared.application.start_request(self, exchange)
        self._delegate.headers_received(start_line, headers)
        if self._exchange is not exchange:
            return rest
        if self._complete:
            self._finish_request()
        else:
            self._expect_body(exchange, start_line, headers)
        return rest

    def _feed(self, data: bytes) -> bool:
        """Give bytes to the parser. Return whether it takes what follows for another protocol than HTTP."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            return True
        except HttpParserError as exc:
            if str(exc) == "Content-Length overflow":
                raise BadRequest("body_too_large", 413) from None
            raise BadRequest("malformed") from None
        return False

    def _stay_with_http(self, headers: RequestHeaders) -> None:
        """Ignore the wish for another protocol (RFC 9110 section 7.8): a new parser reads the body as it was framed."""
        framing = [f"{name}: {headers[name]}" for name in ("Content-Length", "Transfer-Encoding") if name in headers]
        self._parser = HttpRequestParser(self)
        self._complete = False
        self._feed("\r\n".join(["POST / HTTP/1.1", *framing, "", ""]).encode())

    def _expect_body(self, exchange: Exchange, start_line: RequestStartLine, headers: RequestHeaders) -> None:
        length = headers.get("Content-Length")
        self._unread = int(length) if length else None
        self._overhead = 0
        self._last = b""
        self.deadline = self._loop.time() + self.shared.body_timeout
        if expects_continue(start_line.version, headers) and not exchange.answered:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_body(self, data: bytes, exchange: Exchange) -> bytes:
        """Read the body, at most to its end. Return what is behind it."""
        end = self._unread
        if end is None:
            # A body in chunks ends where an empty line ends, so no piece holds the beginning of another message.
            found = (self._last + data).find(_END)
            end = len(data) if found < 0 else found + len(_END) - len(self._last)
            self._last = (self._last + data[:end])[-3:]
        piece, rest = data[:end], data[end:]
        self._feed(piece)
        content = b"".join(self._body)
        self._body.clear()
        if self._unread is None:
            self._overhead += len(piece) - len(content)
        else:
            self._unread -= len(piece)
        if self._overhead > MAX_CHUNKING:
            raise BadRequest("chunks_too_large", 413)
        if content:
            self._delegate.data_received(content)
        if self._complete and self._exchange is exchange:
            self._finish_request()
        return rest

    def _finish_request(self) -> None:
        self.deadline = math.inf
        self._delegate.finish()

    def _wait_with(self, data: bytes) -> None:
        self._waiting = data
        if len(data) > MAX_WAITING:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """Read the next request, which has come already."""
        if self._exchange is None:
            data, self._waiting = self._waiting, b""
            self.transport.resume_reading()
            if data:
                self._read(data)

    # -- writing and closing ------------------------------------------------------------------------------------------

    def write(self, exchange: Exchange, data: bytes) -> asyncio.Future[None]:
        """Write a part of an answer. The future is done when the caller has received enough of what was written."""
        if self._exchange is not exchange or self.transport.is_closing():
            return self.shared.gone
        self.transport.write(data)
        return self._flushed

    def end(self, exchange: Exchange) -> None:
        """End an answer: the next request may come, or the connection is closed."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        if not self._complete:
            self._linger()
        elif not exchange.keep_alive or self.shared.draining:
            self.transport.close()
            self.deadline = self._loop.time() + WRITE_TIMEOUT
        else:
            self.deadline = self._loop.time() + self.shared.idle_timeout
            if self._waiting:
                self._loop.call_soon(self._go_on)

    def _refuse(self, refusal: BadRequest) -> None:
        """Answer what is no request, unless a delegate has answered it, and close."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._delegate.on_connection_close()
        if exchange is None or not exchange.answered:
            self.transport.write(self.shared.refuse(refusal, self.remote_ip))
        self._linger()

    def _linger(self) -> None:
        """Close, but let the caller read the answer first: with bytes unread, closing resets the connection."""
        self._lingers = True
        self.deadline = self._loop.time() + LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
