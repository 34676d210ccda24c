"""How bytes become requests, wherever they are cut in two."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref

import pytest
from tornado.httputil import HTTPHeaders, ResponseStartLine

from helpers.http import LIMITS, Mirror, Mirrors, reflecting
from openholder.edge.heads import MAX_HEAD
from openholder.llhttp.connection import MAX_WAITING, Connection
from openholder.llhttp.server import LLHTTPServer

HOST = b"Host: bank.example\r\n"
STREAM = (
    b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n"
    b"\r\nPOST /2 HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\n\r\n\r\nab"
    b"POST /3 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"4;a=b\r\n\r\n\r\n\r\n2\r\ncd\r\n0\r\nX-A: b\r\n\r\n"
    b"POST /4 HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nef"
    b"GET /5 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n"
)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def connect():
    application = Mirrors()
    server = LLHTTPServer(application, application.refuse, application.report, LIMITS)
    connection = Connection(server, asyncio.get_running_loop(), "127.0.0.1", "http")
    connection.connection_made(Wire())
    return connection


def answers(connection):
    """The targets and bodies of the requests that were answered."""
    return re.findall(rb'"line": \["\w+", "(/\w+)".*?"body": "(.*?)"', connection.transport.written)


@pytest.mark.gen_test
async def test_requests_are_the_same_wherever_they_are_cut():
    expected = [(b"/1", b""), (b"/2", rb"\r\n\r\nab"), (b"/3", rb"\r\n\r\ncd"), (b"/4", b"ef"), (b"/5", b"")]
    for cut in range(len(STREAM)):
        connection = await connect()
        for piece in filter(None, (STREAM[:cut], STREAM[cut:])):
            connection.data_received(piece)
            for _ in range(6):
                await asyncio.sleep(0)  # requests that have come together are read in turns
        assert answers(connection) == expected, cut
        assert connection.transport.closed


@pytest.mark.gen_test
async def test_a_head_arrives_byte_by_byte():
    connection = await connect()
    for byte in STREAM[: STREAM.index(b"GET /5")]:
        connection.data_received(bytes([byte]))
        await asyncio.sleep(0)
    assert len(answers(connection)) == 4
    assert not connection.transport.closed


@pytest.mark.gen_test
async def test_requests_behind_one_another_have_turns():
    """So a caller who sends thousands at once does not hold the loop; and what waits is bounded."""
    connection = await connect()
    one = STREAM[: STREAM.index(b"\r\nPOST /2")]
    connection.data_received(one * 5000)
    assert len(answers(connection)) == 1
    assert not connection.transport.reading
    await asyncio.sleep(0)
    assert len(answers(connection)) == 2
    while len(connection._waiting) > MAX_WAITING:
        await asyncio.sleep(0)
    while connection._waiting:
        await asyncio.sleep(0)
    assert connection.transport.reading
    assert len(answers(connection)) == 5000


@pytest.mark.gen_test
async def test_a_head_without_end_is_refused_in_time():
    connection = await connect()
    connection.data_received(b"GET / HTTP/1.1\r\nX-A: ")
    for _ in range(MAX_HEAD // 1024 + 1):
        connection.data_received(b"a" * 1024)
    assert connection.transport.written.startswith(b"HTTP/1.1 431 ")
    assert connection.transport.closed


@pytest.mark.gen_test
async def test_a_line_end_in_an_answer_is_an_error_of_ours(caplog):
    connection = await connect()
    connection._server.application.start_request = Splitting
    connection.data_received(STREAM[: STREAM.index(b"\r\nPOST /2")])
    assert connection.transport.written == b""
    assert connection.transport.closed
    assert "uncaught exception in a delegate" in caplog.text


class Splitting:
    """A delegate that lets the caller write a header."""

    def __init__(self, _, connection) -> None:
        self.connection = connection

    def headers_received(self, start_line, headers) -> None:
        bad = HTTPHeaders({"Content-Length": "0"})
        bad._as_list["X-A"] = ["b\r\nX-Injected: 1"]
        self.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), bad)


@pytest.mark.gen_test
async def test_a_closed_connection_is_freed_at_once():
    connection = await connect()
    connection.data_received(STREAM[: STREAM.index(b"\r\nPOST /2")])
    freed = weakref.ref(connection)
    gc.disable()
    try:
        connection.connection_lost(None)
        del connection
        assert freed() is None
    finally:
        gc.enable()


class Slow(Mirror):
    """A mirror that answers in the next turn of the loop, and wants to know if its caller goes away meanwhile."""

    def finish(self) -> None:
        self.connection.set_close_callback(self.on_connection_close)
        asyncio.get_running_loop().call_soon(super().finish)


@pytest.mark.parametrize("kind", [Mirror, Slow])
@pytest.mark.gen_test
async def test_an_answered_request_is_freed_at_once(io_loop, kind):
    made = []

    def start(context, exchange):
        delegate = kind(exchange)
        made.extend(map(weakref.ref, (delegate, exchange, context)))
        return delegate

    async with reflecting("llhttp") as server:
        server.application.start_request = start
        gc.disable()
        try:
            received = await server.talk(STREAM)
            assert received.count(b"HTTP/1.1 200 OK") == 5
            async with asyncio.timeout(10):
                while any(one() for one in made):
                    await asyncio.sleep(0)
        finally:
            gc.enable()
