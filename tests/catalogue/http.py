"""Group H: the protocol itself, and everything that can be wrong with a request before its token matters."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

import openholder.server.app
from catalogue.rows import Expectation, Reply, Request, Row, Try, any_of, exchange, mint, no_token, ok, send, status
from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import World, sample_rows, start_with
from helpers.tokens import Mint
from openholder.serving import delegate
from openholder.sources.registry import SourceRegistry

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


# -- requests -----------------------------------------------------------------------------------------------------


def get(mint: Mint, path: str, **more: Any) -> Request:
    """GET with a token for just this path."""
    return Request(mint.token(aud=mint.base_url + path.partition("?")[0]), path, **more)


def post(mint: Mint, body: Any, token: str = "", **headers: str) -> Request:
    """A search with this body, given as bytes or as what JSON shall say, and a token for it."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(token or mint.token(aud=mint.base_url + SEARCH), SEARCH, "POST", headers=named, body=written)


def head(mint: Mint, *lines: str, path: str = BALANCE, method: str = "GET") -> bytes:
    """The head of a request on a connection that stays open, with further lines written as they are."""
    token = mint.token(aud=mint.base_url + path)
    first = [f"{method} {path} HTTP/1.1", "Host: resource.example", f"Authorization: Bearer {token}"]
    return "\r\n".join([*first, *lines]).encode("latin-1") + b"\r\n\r\n"


async def talk(world: World, sent: bytes, *, timeout: float = 10) -> bytes:
    """Send bytes and give all that comes back until the server closes, be it with a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
    received = b""
    try:
        writer.write(sent)
        async with asyncio.timeout(timeout):
            while chunk := await reader.read(65_536):
                received += chunk
    except ConnectionError:
        pass  # the server did not wait for the rest
    finally:
        writer.transport.abort()
    return received


async def closed_by_server(reader: asyncio.StreamReader) -> bytes:
    """What still came, once the server has ended the connection."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


# -- expectations -------------------------------------------------------------------------------------------------


def field(code: str, detail: str) -> Expectation:
    """400 for a field, which is named; nothing of what it held comes back."""
    about = status(400, code=f"Field/{code}")

    def expect(reply: Reply) -> None:
        about(reply)
        assert reply.error["detail"] == detail
        assert not {"aaaa", "example", "NaN", "999"} & set(re.split(r"\W", reply.body.decode()))

    return expect


def found(*ids: str) -> Expectation:
    """200 with just these customers."""

    def expect(reply: Reply) -> None:
        ok(reply)
        assert [match["id"] for match in json.loads(reply.body)["data"]] == list(ids)

    return expect


def interaction(wanted: str | None, expectation: Expectation) -> Expectation:
    """The interaction id as sent, or (None) a new one."""

    def expect(reply: Reply) -> None:
        expectation(reply)
        received = reply.headers["x-fapi-interaction-id"]
        assert received == wanted if wanted else UUID.fullmatch(received), reply
        if reply.status != 200:
            assert reply.error["meta"]["correlationId"] == received
        assert "x-injected" not in reply.headers

    return expect


invalid_body = field("Invalid", "body")
invalid_email = field("Invalid", "email")
unknown_path = status(404, code="Resource/NotFound", content_type="application/json; charset=UTF-8")


def bare_refusal(answer: bytes) -> None:
    """At most one answer, which is 400 or 431; the server itself has closed."""
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert answer == b"" or re.match(rb"HTTP/1\.1 4(00|31) ", answer), answer


# -- scenarios ----------------------------------------------------------------------------------------------------


async def other_methods(world: World) -> None:
    """H02."""
    await start_with(world, "sqlite", sample_rows())
    token = mint(world).token()
    for method in ("PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
        status(405, allow="GET")(await send(world, Request(token, method=method)))
    ok(await send(world, token))
    token = mint(world, SEARCH).token()
    for method in ("GET", "PUT", "DELETE"):
        status(405, allow="POST")(await send(world, Request(token, SEARCH, method)))
    ok(await send(world, post(mint(world), JANE, token)))


async def head_of_a_get(world: World) -> None:
    """H03."""
    await start_with(world, "sqlite", sample_rows())
    for token in (None, mint(world).token()):
        reply = await send(world, Request(token, method="HEAD"))
        status(405, allow="GET")(reply)
        assert reply.body == b""
    ok(await send(world, token))


async def other_media_types(world: World) -> None:
    """H08. The body is no JSON, and nobody notices: it is not read."""
    await start_with(world, "sqlite", sample_rows())
    token = mint(world, SEARCH).token()
    for kind in (
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json, text/plain",
    ):
        sent = post(mint(world), b"{email", token, Content_Type=kind or "gone").wire()
        sent = sent if kind else sent.replace(b"Content-Type: gone\r\n", b"")
        status(415)(await exchange(world, sent))
    found("cust-1001", "cust-1002")(await send(world, post(mint(world), JANE, token)))


async def bodies_too_large(world: World) -> None:
    """H17. What is announced is refused before it comes, what is not announced once it is too much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openholder.server.app, "BODY_TIMEOUT", 1.0)  # for as long its sender may still send, and read 413
        await start_with(world, "sqlite", sample_rows())
    token = mint(world, SEARCH).token()
    status(413)(await send(world, post(mint(world), b" " * 65_537, token)))
    for length in (65_537, 200_000_000, 10**30):
        sent = post(mint(world), b"", token, Connection="keep-alive").wire()
        answer = await talk(world, sent.replace(b"Content-Length: 0", b"Content-Length: %d" % length), timeout=20)
        assert answer.startswith(b"HTTP/1.1 413 ") and b"\r\nConnection: close" in answer
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    sent = post(mint(world), b"", token).wire().replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert (await talk(world, sent + 5 * chunk + b"0\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
    assert b" 200 " not in await talk(world, sent + 500 * chunk + b"0\r\n\r\n")
    found("cust-1001", "cust-1002")(await send(world, post(mint(world), JANE, token)))


async def smuggled(world: World, *lines: str, body: bytes = b"") -> None:
    """Send a head that two readers could understand in two ways, with a good request hidden behind it."""
    token = mint(world).token()
    behind = Request(token).wire()
    bare_refusal(await talk(world, head(mint(world), *lines, path=SEARCH, method="POST") + body + behind))
    reply = await send(world, token)
    assert reply.status == 200, f"the hidden request was run behind {lines}"


async def length_and_chunks(world: World) -> None:
    """H20."""
    await start_with(world, "sqlite", sample_rows())
    for lines in (
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
    ):
        await smuggled(world, *lines, body=b"0\r\n\r\n")
    for chunk in (b"-1\r\n", b"0x1\r\na\r\n", b"1_0\r\n" + b"a" * 16 + b"\r\n", b"1\r\nabc\r\n", b"zz\r\n"):
        await smuggled(world, "Transfer-Encoding: chunked", body=chunk + b"0\r\n\r\n")


async def odd_lengths(world: World) -> None:
    """H21."""
    await start_with(world, "sqlite", sample_rows())
    await smuggled(world, "Content-Length: 2", "Content-Length: 3", body=b"{}")
    for length in ("+2", "-1", "0x2", "2, 3", "2 2", "2.0", "\xb2", "1_0", ""):
        await smuggled(world, f"Content-Length: {length}", body=b"{}")


async def equal_lengths(world: World) -> None:
    """H21: the same length twice. RFC 9112 section 6.3 lets it be taken as one, or refused; no third way."""
    for lines in (["Content-Length: 2, 2"], ["Content-Length: 2", "Content-Length: 2"]):
        first = head(mint(world), "Content-Type: application/json", *lines, path=SEARCH, method="POST") + b"{}"
        answers = await talk(world, first + head(mint(world), "Connection: close"))
        assert re.findall(rb"HTTP/1\.1 (\d+)", answers) in ([b"400", b"200"], [b"400"])


async def all_lengths(world: World) -> None:
    await odd_lengths(world)
    await equal_lengths(world)


async def odd_lines(world: World) -> None:
    """H22. RFC 9112 section 2.2 would let line ends of LF alone be taken; two readers may differ on them."""
    await start_with(world, "sqlite", sample_rows())
    for line in ("X-A: b\r\n folded", "X-A : b", "X-A: a\0b", "X-A: a\rb", "X-A", ": a", "X A: b", "X-\xe9: a"):
        answer = await talk(world, head(mint(world), "Connection: close", line))
        bare_refusal(answer)
        assert answer or "\r\n" not in line
    answer = await talk(world, head(mint(world), "Connection: close").replace(b"\r\n", b"\n"))
    assert answer.startswith(b"HTTP/1.1 400 ")


async def heads_too_large(world: World) -> None:
    """H23. And while they arrive, everybody else is answered as quickly as ever."""
    await start_with(world, "sqlite", sample_rows())
    hostile = [
        head(mint(world), "X-Long: " + "y" * 100_000),
        head(mint(world), *(f"X-{number}: 1" for number in range(2000))),
        head(mint(world), *["X-Same: 1"] * 3000),
        head(mint(world), *["X-Same: 1"] * 300, "Connection: close"),
        b"GET /" + b"x" * 20_000,
    ]
    attacks = [asyncio.create_task(talk(world, sent)) for sent in hostile * 5]
    times = []
    for _ in range(20):
        started = time.monotonic()
        ok(await send(world, mint(world).token()))
        times.append(time.monotonic() - started)
    assert sorted(times)[18] < 0.5
    answers = await asyncio.gather(*attacks)
    for number, answer in enumerate(answers):
        if number % 5 == 3:
            assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 401 "))  # its token was used
        else:
            bare_refusal(answer)


async def drip_heads(world: World) -> None:
    """H25. A byte now and then does not keep a connection open: the whole head has to be there in time."""
    with pytest.MonkeyPatch.context() as patch:
        assert openholder.server.app.IDLE_TIMEOUT <= 75
        patch.setattr(openholder.server.app, "IDLE_TIMEOUT", 1.0)
        await start_with(world, "sqlite", sample_rows())
    sent = head(mint(world), "X-Long: " + "y" * 1000)
    pairs = [await asyncio.open_connection("127.0.0.1", world.holder.port) for _ in range(100)]
    ends = [asyncio.create_task(closed_by_server(reader)) for reader, _ in pairs]
    started, position = time.monotonic(), 0
    while not all(end.done() for end in ends):
        assert time.monotonic() - started < 10
        for _, writer in pairs:
            if not writer.is_closing():
                writer.write(sent[position : position + 1])
        position += 1
        if position % 3 == 0:
            ok(await send(world, mint(world).token()))
        await asyncio.wait(ends, timeout=0.1)  # the pace of the drip
    assert {end.result() for end in ends} == {b""}
    assert time.monotonic() - started >= 0.9
    for _, writer in pairs:
        writer.transport.abort()


async def drip_bodies(world: World) -> None:
    """H26."""
    with pytest.MonkeyPatch.context() as patch:
        assert openholder.server.app.BODY_TIMEOUT <= 5
        patch.setattr(openholder.server.app, "BODY_TIMEOUT", 0.5)
        await start_with(world, "sqlite", sample_rows())
    token = mint(world, SEARCH).token()
    sent = post(mint(world), b"{}", token).wire()
    started = time.monotonic()
    assert await talk(world, sent.replace(b"Content-Length: 2", b"Content-Length: 10")[:-1]) == b""
    chunked = sent.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2]
    assert await talk(world, chunked + b"1\r\n{\r\n") == b""
    assert 0.9 <= time.monotonic() - started < 5
    found("cust-1001", "cust-1002")(await send(world, post(mint(world), JANE, token)))


async def never_reads(world: World) -> None:
    """H27. Ten megabytes for a caller who takes none of them."""
    rows = sample_rows()
    rows["accounts"] = [
        {"customerId": "cust-1001", "id": f"acc-{number}", "name": "x" * 10_000} for number in range(1000)
    ]
    await start_with(world, "sqlite", rows)
    loop, server = asyncio.get_running_loop(), world.holder.server
    with pytest.MonkeyPatch.context() as patch, socket.socket() as caller:
        patch.setattr(delegate, "WRITE_TIMEOUT", 0.5)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.setblocking(False)
        await loop.sock_connect(caller, ("127.0.0.1", world.holder.port))
        await loop.sock_sendall(caller, head(mint(world), path="/auth/v1/customer/cust-1001/accounts"))
        started = time.monotonic()
        async with asyncio.timeout(10):
            while server.quiet.is_set():
                await asyncio.sleep(0)  # until the connection is taken
            await server.quiet.wait()
        assert time.monotonic() - started >= 0.4
    assert not world.holder.state.running
    reply = await send(world, get(mint(world), "/auth/v1/customer/cust-1001/accounts"))
    assert len(reply.body) > 10_000_000


async def whose_address(world: World) -> None:
    """H32. Any value will do, and none is kept."""
    await start_with(world, "sqlite", sample_rows())
    for address in ("203.0.113.77", "2001:db8::77", "203.0.113.77, 198.51.100.7", "garbage-77", "", "[::1]:80"):
        with capture_logs() as logs:
            ok(await send(world, Request(mint(world).token(), headers={"x-fapi-customer-ip-address": address})))
        assert len(logs) == 1
        assert not address or address not in str(logs)


async def expect_first(world: World) -> None:
    """H35."""
    await start_with(world, "sqlite", sample_rows())
    sent = post(mint(world), JANE, Expect="100-continue").wire()
    answer = await talk(world, sent)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"100", b"200"]
    for word in ("x", "100-continue, x", "200-ok"):
        answer = await talk(world, post(mint(world), JANE, Expect=word).wire())
        assert re.match(rb"HTTP/1\.1 (200|417) ", answer)
        assert answer.count(b"HTTP/1.1 ") == 1


async def upgrades(world: World) -> None:
    """H36. No answer is 101. On a path that is there, the wish is ignored (RFC 9110 section 7.8)."""
    await start_with(world, "sqlite", sample_rows())
    socketry = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    cleartext = ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]
    for lines in (socketry, cleartext):
        for path in (BALANCE, "/socket"):
            sent = head(mint(world), *lines, "Connection: Upgrade", path=path)
            answer = await talk(world, sent + head(mint(world), "Connection: close"))
            statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
            assert statuses[0] in ({b"404"} if path == "/socket" else {b"200", b"400", b"426"})
            assert b"upgrade" not in answer.lower()
            assert statuses[1:] == [b"200"], "the connection goes on as before"
    answer = await talk(world, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    ok(await send(world, mint(world).token()))


async def fault_within(world: World) -> None:
    """H38."""
    await start_with(world, "sqlite", sample_rows())

    async def broken(*_: object) -> None:
        raise RuntimeError("secret of the inside")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceRegistry, "fetch", broken)
        for path in (BALANCE, "/auth/v1/customer/cust-1001"):
            with capture_logs() as logs:
                reply = await send(world, get(mint(world), path))
            status(500, code="GeneralError/Unexpected", content_type="application/json; charset=UTF-8")(reply)
            assert "server" not in reply.headers
            for text in (reply.body.decode(), str(logs)):
                assert not re.search("secret of the inside|Traceback", text)
            assert not re.search("RuntimeError|openholder|tornado|python", reply.body.decode(), re.IGNORECASE)
            assert "RuntimeError" in logs[0]["fault"]
    ok(await send(world, mint(world).token()))


# -- rows ---------------------------------------------------------------------------------------------------------

ECHOED = "7E4F0E0A-98c6-4e5b-9C4B-0B0B0B0B0B0B"
NOT_IDS = {
    "a word": "not-a-uuid",
    "10 kB": "x" * 10_000,
    "a UUID and more": ECHOED + "0",
    "braces": "{" + ECHOED + "}",
    "a UUID without dashes": ECHOED.replace("-", ""),
    "CRLF percent-encoded": ECHOED + "%0d%0aX-Injected: 1",
}

ROWS = (
    Row(
        "H01",
        (
            Try("/x without a token", lambda mint: Request(path="/x"), unknown_path),
            Try("/x with a token for it", lambda mint: get(mint, "/x"), unknown_path),
            Try("POST", lambda mint: Request(path="/x", method="POST", body=b"{"), unknown_path),
            Try("the root", lambda mint: Request(path="/"), unknown_path),
            Try("*", lambda mint: Request(path="*", method="OPTIONS"), unknown_path),
        ),
    ),
    Row("H02", scenario=other_methods),
    Row("H03", scenario=head_of_a_get),
    Row(
        "H05",
        (
            *(
                Try(method, lambda mint, m=method: Request(mint.token(), method=m), status(405, 400, allow="GET"))
                for method in ("TRACE", "CONNECT", "FOO", "get", "Get", "X" * 500)
            ),
            Try("a proxy's CONNECT", lambda mint: Request(path="a.example:443", method="CONNECT"), status(404, 405)),
        ),
    ),
    Row(
        "H06",
        (
            *(
                Try(name, lambda mint, n=name: Request(mint.token(), headers={n: "DELETE"}), ok)
                for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
            ),
            Try("?_method=", lambda mint: get(mint, f"{BALANCE}?_method=DELETE"), ok),
            Try(
                "GET for a search",
                lambda mint: get(mint, SEARCH, headers={"X-HTTP-Method-Override": "POST"}),
                status(405, allow="POST"),
            ),
        ),
    ),
    Row(
        "H07",
        shown_by="test_http.py::test_pipelined_requests_are_answered_in_order",
    ),
    Row("H08", scenario=other_media_types),
    Row(
        "H10",
        (
            Try("nothing", lambda mint: post(mint, b""), field("Missing", "body")),
            Try("no e-mail address in it", lambda mint: post(mint, {}), field("Missing", "email")),
            *(
                Try(repr(body), lambda mint, b=body: post(mint, b), invalid_body)
                for body in (
                    b"{",
                    b"[]",
                    b'["aaaa"]',
                    b'"aaaa"',
                    b"null",
                    b"7",
                    b"true",
                    b" ",
                    b'{"email": "aaaa"}}',
                    b'{"email": "aaaa"} x',
                    b"{'email': 'aaaa'}",
                    b'{"email": "aaaa",}',
                    b'\xef\xbb\xbf{"email": "aaaa"}',
                    b'{"email": "\xff"}',
                    b'{"email": "aaaa"}\0',
                )
            ),
        ),
    ),
    Row(
        "H11",
        tuple(
            Try(what, lambda mint, b=body: post(mint, b), invalid_body)
            for what, body in {
                "as it is": b'{"email": "aaaa@example.com", "email": "jane.citizen@example.com"}',
                "escaped": b'{"email": "aaaa@example.com", "\\u0065mail": "jane.citizen@example.com"}',
                "deeper": b'{"email": "jane.citizen@example.com", "x": {"y": 1, "y": 1}}',
            }.items()
        ),
    ),
    Row(
        "H12",
        tuple(
            Try(
                number[:12], lambda mint, n=number: post(mint, b'{"email": "a@example.com", "n": %s}' % n), invalid_body
            )
            for number in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5000, b"1." + b"9" * 5000)
        ),
    ),
    Row(
        "H13",
        (
            Try("as deep as fits, lists", lambda mint: post(mint, b"[" * 65_000), invalid_body),
            Try("as deep as fits, closed", lambda mint: post(mint, b"[" * 32_000 + b"]" * 32_000), invalid_body),
            Try("objects", lambda mint: post(mint, b'{"a":' * 13_000), invalid_body),
            Try("100 000, which is too large as well", lambda mint: post(mint, b"[" * 100_000), status(413)),
        ),
    ),
    Row(
        "H15",
        (
            Try("missing", lambda mint: post(mint, {"mail": "aaaa"}), field("Missing", "email")),
            Try("null", lambda mint: post(mint, {"email": None}), field("Missing", "email")),
            *(
                Try(what, lambda mint, v=value: post(mint, {"email": v}), invalid_email)
                for what, value in {
                    "a number": 7,
                    "true": True,
                    "a list": ["aaaa@example.com"],
                    "an object": {"$ne": "aaaa"},
                    "empty": "",
                    "blank": "  ",
                    "10 kB": "aaaa" * 2500 + "@example.com",
                    "321 characters": "a" * 309 + "@example.com",
                    "NUL": "aaaa\0@example.com",
                    "CRLF": "aaaa@example.com\r\nBcc: b@example.com",
                    "ESC": "\x1b[31maaaa@example.com",
                    "DEL": "aaaa\x7f@example.com",
                    "a C1 control": "aaaa\x85@example.com",
                }.items()
            ),
            Try("a lone surrogate", lambda mint: post(mint, b'{"email": "\\ud800@example.com"}'), invalid_body),
        ),
    ),
    Row(
        "H16",
        tuple(
            Try(str(more), lambda mint, m=more: post(mint, {**JANE, **m}), found("cust-1001", "cust-1002"))
            for more in (
                {"limit": 1},
                {"id": "cust-1003", "isAdmin": True},
                {"deep": {"er": [1, 2.5, None]}},
                {"__proto__": {"email": "robin.citizen@example.com"}, "Email": "robin.citizen@example.com"},
            )
        ),
    ),
    Row("H17", scenario=bodies_too_large),
    Row(
        "H18",
        tuple(
            Try(
                coding,
                lambda mint, c=coding: post(mint, gzip.compress(json.dumps(JANE).encode()), Content_Encoding=c),
                status(415),
            )
            for coding in ("gzip", "br", "deflate", "GZIP", "identity, gzip", "x")
        ),
    ),
    Row("H20", scenario=length_and_chunks),
    Row("H21", scenario=all_lengths),
    Row("H22", scenario=odd_lines),
    Row("H23", scenario=heads_too_large),
    Row("H25", scenario=drip_heads),
    Row("H26", scenario=drip_bodies),
    Row("H27", scenario=never_reads),
    Row(
        "H28",
        shown_by="test_http.py::test_pipelined_requests_are_answered_in_order",
    ),
    Row(
        "H30",
        tuple(
            Try(path, lambda mint, p=path: get(mint, p), interaction(None, status(404)))
            for path in (
                "/customer/cust-1001%0d%0aX-Injected:1/accounts/acc-2001/balances",
                "/customer/cust-1001/accounts/acc-2001%0d%0aX-Injected:%201/balances",
                "/auth/v1/customer/cust-1001%0D%0AX-Injected:1",
                "/auth/v1/customer/cust-1001%0a",
            )
        ),
    ),
    Row(
        "H31",
        (
            Try(
                "a UUID",
                lambda mint: Request(mint.token(), headers={"x-fapi-interaction-id": ECHOED}),
                interaction(ECHOED, ok),
            ),
            Try(
                "a UUID, and no token",
                lambda mint: Request(headers={"x-fapi-interaction-id": ECHOED}),
                interaction(ECHOED, no_token),
            ),
            Try(
                "a UUID, and no such path",
                lambda mint: Request(path="/x", headers={"x-fapi-interaction-id": ECHOED}),
                interaction(ECHOED, unknown_path),
            ),
            Try(
                "a UUID, and CRLF behind it",
                lambda mint: Request(mint.token(), headers={"x-fapi-interaction-id": f"{ECHOED}\r\nX-Injected: 1"}),
                interaction(ECHOED, ok),
            ),
            Try("none", lambda mint: mint.token(), interaction(None, ok)),
            *(
                Try(
                    what,
                    lambda mint, v=value: Request(mint.token(), headers={"x-fapi-interaction-id": v}),
                    interaction(None, ok),
                )
                for what, value in NOT_IDS.items()
            ),
        ),
    ),
    Row("H32", scenario=whose_address),
    Row(
        "H33",
        tuple(
            Try(
                accept or "nothing said",
                lambda mint, a=accept: Request(mint.token(), headers={"Accept": a} if a else {}),
                any_of(expected),
            )
            for accept, expected in {
                "": ok,
                "*/*": ok,
                "application/json": ok,
                "application/*;q=0.2, text/html": ok,
                "text/html": status(406),
                "application/json;q=0": status(406),
                "application/json;q=0, */*": status(406),
                "application/xml": status(406),
                "application/json;q=" + "9" * 900: ok,
            }.items()
        ),
    ),
    Row("H35", scenario=expect_first),
    Row("H36", scenario=upgrades),
    Row(
        "H37",
        shown_by="test_tls.py::test_with_a_certificate_only_tls_1_2_and_newer_are_served "
        "test_edge.py::test_tls_refuses_weak_ciphers_and_plain_http "
        "test_edge.py::test_a_stalled_handshake_is_cancelled_within_ten_seconds",
    ),
    Row("H38", scenario=fault_within),
)
