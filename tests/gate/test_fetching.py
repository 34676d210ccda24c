"""Fetching the other side's keys: what is sent, through which proxy, and what is said of an answer that is no good."""

from __future__ import annotations

import asyncio
import gzip
import os
import ssl
import time
from contextlib import asynccontextmanager
from unittest.mock import patch

import pytest
import trustme
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.proxies import ForwardProxy
from helpers.support import ISSUER, print_nothing
from openholder.config import Configuration
from openholder.gate.fetching import MAX_BYTES, FetchedDocument, FetchFailed, make_fetch
from openholder.gate.jwks import JWKSCache
from openholder.inspection.configuration import _inspect_keys
from openholder.outbound import Outbound
from openholder.server.connections import bind

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def serving(*answers, tls=None):
    """A server with one path for each of the functions, named like it; gives its port and the requests."""
    asked = []

    class Handler(RequestHandler):
        async def get(self, name: str) -> None:
            asked.append(self.request)
            await by_name[name](self)

    by_name = {answer.__name__: answer for answer in answers}
    server = HTTPServer(Application([(r"/(\w+)", Handler)], log_function=print_nothing), ssl_options=tls)
    sockets = bind("127.0.0.1", 0)
    server.add_sockets(sockets)
    try:
        yield sockets[0].getsockname()[1], asked
    finally:
        server.stop()
        await server.close_all_connections()


async def keys(handler):
    handler.set_header("Cache-Control", "public, max-age=120")
    handler.write(b'{"keys": []}')


async def largest(handler):
    handler.write(b" " * MAX_BYTES)


@pytest.mark.gen_test
async def test_a_fetch_returns_the_body_and_its_lifetime(io_loop):
    async with serving(keys, largest) as (port, _):
        assert await make_fetch(f"http://127.0.0.1:{port}/keys")() == FetchedDocument(b'{"keys": []}', max_age=120)
        assert await make_fetch(f"http://127.0.0.1:{port}/largest")() == FetchedDocument(b" " * MAX_BYTES, max_age=None)


@pytest.mark.gen_test
async def test_a_request_says_what_it_wants_and_who_asks(io_loop):
    async with serving(keys) as (port, asked):
        await make_fetch(f"http://127.0.0.1:{port}/keys")()
    (request,) = asked
    assert dict(request.headers) == {
        "Host": f"127.0.0.1:{port}",
        "Accept": "application/jwk-set+json, application/json",
        "Accept-Encoding": "identity",
        "User-Agent": Outbound.user_agent,
    }
    assert Outbound.user_agent.startswith("openholder/")


# -- answers that are no good -------------------------------------------------------------------------------------


def build_answer(status=200, body=b"SECRET", **headers):
    async def answer(handler):
        handler.set_status(status)
        for name, value in headers.items():
            handler.set_header(name.replace("_", "-"), value)
        if body:
            handler.write(body)

    return answer


async def huge_in_pieces(handler):
    for _ in range(60):
        handler.write(b" " * 10_000)
        await handler.flush()


async def cut_off(handler):
    stream = handler.detach()
    await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nSECRET")
    stream.close()


BAD_ANSWERS = [
    (build_answer(404), "status 404"),
    (build_answer(403), "status 403"),
    (build_answer(401), "status 401"),
    (build_answer(406), "status 406"),
    (build_answer(500, b'{"keys": []}'), "status 500"),
    (build_answer(204, b""), "status 204"),
    (build_answer(304, b""), "status 304"),
    (
        build_answer(301, Location="https://keys.example.net/SECRET?a=SECRET"),
        "status 301, a redirect to keys.example.net, which is not followed",
    ),
    (
        build_answer(302, Location="/SECRET"),
        "status 302, a redirect to another path of this host, which is not followed",
    ),
    (
        build_answer(307, Location="http://[SECRET"),
        "status 307, a redirect to an invalid URL, which is not followed",
    ),
    (
        build_answer(body=gzip.compress(b"SECRET"), Content_Encoding="gzip"),
        "a response encoded as 'gzip', although Accept-Encoding was identity",
    ),
    (
        build_answer(Content_Encoding="br, gzip"),
        "a response encoded as 'br, gzip', although Accept-Encoding was identity",
    ),
    (
        build_answer(Content_Encoding="a" * 50),
        "a response encoded as something unreadable, although Accept-Encoding was identity",
    ),
    (build_answer(body=b" " * 70_000), "a response of 70000 bytes; at most 65536 are read"),
    (huge_in_pieces, "a response of more than 65536 bytes, which is the limit"),
    (cut_off, "ClientPayloadError"),
]


async def read_failure(url, outbound=None):
    with pytest.raises(FetchFailed) as failure:
        await make_fetch(url, outbound)()
    assert "SECRET" not in str(failure.value)
    return str(failure.value)


@pytest.mark.parametrize(("answer", "told"), BAD_ANSWERS, ids=[told[:40] for _, told in BAD_ANSWERS])
@pytest.mark.gen_test
async def test_a_bad_answer_is_described(io_loop, answer, told):
    answer.__name__ = "bad"
    async with serving(answer, keys) as (port, asked):
        assert await read_failure(f"http://127.0.0.1:{port}/bad") == told
    assert [request.path for request in asked] == ["/bad"]


@pytest.mark.gen_test
async def test_a_host_that_is_not_there_is_described(io_loop):
    async with serving() as (port, _):
        pass
    assert await read_failure(f"http://127.0.0.1:{port}/keys") == "no connection: ConnectionRefusedError"


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_an_answer_that_drips_is_given_up_after_three_seconds(io_loop):
    gone = asyncio.Event()

    async def drip(handler):
        handler.request.connection.stream.set_close_callback(gone.set)
        while not gone.is_set():
            handler.write(b" ")
            await handler.flush()
            await asyncio.sleep(0.05)

    async with serving(drip) as (port, _):
        started = time.monotonic()
        assert await read_failure(f"http://127.0.0.1:{port}/drip") == "no response in time"
        assert 2 <= time.monotonic() - started <= 8
        await gone.wait()  # the connection is not left behind


# -- through a proxy ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority, tmp_path):
    """The key host's TLS, whose authority the system trusts for the duration of the test."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("keys.example").configure_cert(context)
    with patch.dict(os.environ, SSL_CERT_FILE=str(tmp_path / "ca.pem")):
        yield context


@pytest.mark.parametrize("way", ["environment", "settings"])
@pytest.mark.gen_test
async def test_keys_over_https_come_through_a_tunnel(io_loop, monkeypatch, tls, way):
    async with serving(keys, tls=tls) as (port, asked), ForwardProxy({"keys.example": port}) as proxy:
        if way == "environment":
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        outbound = Outbound(proxy=proxy.url) if way == "settings" else None
        document = await make_fetch("https://keys.example/keys", outbound)()
    assert document == FetchedDocument(b'{"keys": []}', max_age=120)
    assert proxy.requests == ["CONNECT keys.example:443"]
    assert [request.headers["Host"] for request in asked] == ["keys.example"]


@pytest.mark.gen_test
async def test_keys_over_http_are_asked_for_by_their_whole_url(io_loop, monkeypatch):
    async with serving(keys) as (port, asked), ForwardProxy({"keys.example": port}, login="us:p@ss") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//us:p%40ss@"))
        document = await make_fetch("http://keys.example:8080/keys")()
    assert document.body == b'{"keys": []}'
    assert proxy.requests == ["GET http://keys.example:8080/keys"]
    assert len(asked) == 1


@pytest.mark.gen_test
async def test_a_name_of_another_host_is_not_trusted_in_a_tunnel(io_loop, tls):
    async with serving(keys, tls=tls) as (port, asked), ForwardProxy({"other.example": port}) as proxy:
        told = await read_failure("https://other.example/keys", Outbound(proxy=proxy.url))
    assert told.startswith("certificate not trusted: Hostname mismatch")
    assert told.endswith(f"(through the proxy {proxy.url.removeprefix('http://')})")
    assert asked == []


@pytest.mark.parametrize(
    ("url", "login", "told"),
    [
        ("https://keys.example/keys", "them:SECRET", "refused by the proxy with status 407"),
        ("https://unknown.example/keys", "", "refused by the proxy with status 403"),
        ("http://keys.example/keys", "them:SECRET", "status 407"),
        ("http://keys.example/missing", "", "status 500"),
    ],
)
@pytest.mark.gen_test
async def test_a_failure_names_the_proxy_without_its_password(io_loop, url, login, told):
    missing = build_answer(500)
    missing.__name__ = "missing"
    async with serving(keys, missing) as (port, _), ForwardProxy({"keys.example": port}, login) as proxy:
        shown = await read_failure(url, Outbound(proxy=proxy.url.replace("//", "//us:SECRET-2@")))
    assert shown == f"{told} (through the proxy {proxy.url.removeprefix('http://')})"


@pytest.mark.gen_test
async def test_a_proxy_that_is_not_there_is_named(io_loop):
    async with ForwardProxy({}) as proxy:
        pass
    told = await read_failure("https://keys.example/keys", Outbound(proxy=proxy.url))
    place = proxy.url.removeprefix("http://")
    assert told == f"proxy not reached: ConnectionRefusedError (through the proxy {place})"


@pytest.mark.gen_test
async def test_a_proxy_of_the_environment_that_is_none_is_named(io_loop, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://SECRET@proxy.example:1080")
    told = await read_failure("https://keys.example/keys")
    assert told.startswith("the environment variable HTTPS_PROXY must be the URL of an HTTP proxy")


@pytest.mark.gen_test
async def test_this_machine_is_reached_without_a_proxy(io_loop, monkeypatch):
    async with serving(keys) as (port, asked), ForwardProxy({}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        for host in ("127.0.0.1", "localhost"):
            await make_fetch(f"http://{host}:{port}/keys", Outbound(proxy=proxy.url, no_proxy=()))()
    assert (len(asked), proxy.requests) == (2, [])


# -- the same in `check` as in `serve` ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (build_answer(403), "status 403"),
        (build_answer(body=b"{}"), "not a JWK Set: 2 bytes of JSON without a member keys"),
        (
            build_answer(body=b'{"keys": [{"kty": "EC"}]}'),
            "no usable key in the JWK Set: member 0: it is not an RSA key",
        ),
    ],
)
@pytest.mark.gen_test
async def test_check_and_serve_say_the_same_of_a_key_host(io_loop, tmp_path, caplog, answer, told):
    answer.__name__ = "bad"
    (tmp_path / "customers.csv").write_text("id,email\n")
    path = tmp_path / "openholder.toml"
    async with serving(answer) as (port, _), ForwardProxy({"keys.example": port}) as proxy:
        url = f"http://127.0.0.1:{port}/bad"
        path.write_text(
            f'public_url = "https://a.example"\n[fiskil]\nissuer = "{ISSUER}"\njwks_url = "{url}"\n'
            f'[outbound]\nproxy = "{proxy.url}"\n[replay]\nstore = "memory"\n'
            f'[sources.a]\nkind = "csv"\npath = "."\n'
        )
        configuration = Configuration.load(path)
        found = await _inspect_keys(configuration.settings)
        cache = JWKSCache(make_fetch(url, configuration.settings.outbound.build()), refresh=300, max_stale=300)
        await cache.start()
        await cache.close()
    assert (found.what, found.detail) == (f"keys at {url}", told)
    assert f"key set not refreshed ({told})" in caplog.text


@pytest.mark.gen_test
async def test_check_and_serve_say_why_a_key_is_not_used(io_loop, tmp_path, caplog, signer):
    reason = "member 1: its alg is not one of PS256, RS256"

    async def some(handler):
        handler.write({"keys": [signer.public_jwk(), signer.public_jwk(kid="k2", alg=None)]})

    async with serving(some) as (port, _):
        fetch = make_fetch(f"http://127.0.0.1:{port}/some")
        cache = JWKSCache(fetch, refresh=300, max_stale=300)
        await cache.start()
        await cache._renew()
        await cache.close()
        path = tmp_path / "openholder.toml"
        path.write_text(
            f'public_url = "https://a.example"\n[fiskil]\nissuer = "{ISSUER}"\n'
            f'jwks_url = "http://127.0.0.1:{port}/some"\n[sources.a]\nkind = "csv"\npath = "."\n'
        )
        (tmp_path / "customers.csv").write_text("id,email\n")
        found = await _inspect_keys(Configuration.load(path).settings)
    assert found.detail == f"1 usable, 1 unusable: {reason}"
    assert caplog.text.count(reason) == 1, "once, although the set was fetched twice"
