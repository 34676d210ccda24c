"""The stand-in for Fiskil: it signs and forwards to one server, and refuses what other sites make a browser send."""

from __future__ import annotations

import asyncio
import io
import json
import re
import ssl
from base64 import urlsafe_b64decode
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
import trustme
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.support import ISSUER, sample_rows, start_with
from openholder.contract.operations import OPERATIONS
from openholder.fiskil.examples import describe_operations
from openholder.fiskil.stand_in import ASSETS, CLAIMS_HEADER, MAX_BODY, Target, stand_in
from openholder.server.connections import bind

ACCOUNTS = "/auth/v1/customer/cust-1001/accounts"
CURRENT = [operation for operation in OPERATIONS if not operation.deprecated]


class Recorder(RequestHandler):
    """A server that records what it is asked."""

    def initialize(self, requests):
        self.requests = requests

    def prepare(self):
        self.requests.append(self.request)
        self.set_header("Set-Cookie", "a=b")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.finish({"path": self.request.uri})


@asynccontextmanager
async def recording(certificate=None):
    """The sockets of a recorder, and its list of requests."""
    requests, sockets = [], bind("127.0.0.1", 0)
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
    server = HTTPServer(Application([(".*", Recorder, {"requests": requests})]), ssl_options=context)
    server.add_sockets(sockets)
    try:
        yield sockets, requests
    finally:
        server.stop()
        await server.close_all_connections()


@asynccontextmanager
async def standing_in(signer, target):
    """The URL of a stand-in without the slash, and an HTTP client."""
    keys = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{keys[0].getsockname()[1]}/jwks.json"
    async with stand_in(url, signer, target, CURRENT, keys) as page, aiohttp.ClientSession() as http:
        yield page.rstrip("/"), http


def listening_on(sockets, certificate=None):
    port = sockets[0].getsockname()[1]
    return Target.listening_on("127.0.0.1", port, "https://data.example.com", ISSUER, certificate)


async def get(http, url, **headers):
    async with http.get(url, headers=headers) as response:
        return response.status, response.headers, await response.read()


def decode(part):
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.gen_test
async def test_every_operation_is_answered_with_data_of_the_sample(world, signer):
    await start_with(world, "sqlite", sample_rows())
    failed = []
    async with standing_in(signer, Target(world.url, world.url, ISSUER)) as (url, http):
        for sector in describe_operations(CURRENT, "")["sectors"]:
            for operation in sector["operations"]:
                path, body = operation["path"], operation["body"]
                for name, value in sector["ids"].items():
                    path, body = path.replace(f"{{{name}}}", value), body.replace(f"{{{name}}}", value)
                async with http.request(operation["method"], url + path, data=body or None) as response:
                    if response.status != 200:
                        failed.append((operation["name"], response.status))
        assert failed == []


@pytest.mark.gen_test
async def test_each_request_has_a_token_of_its_own(world, signer):
    await start_with(world, "sqlite", sample_rows())
    direct = await world.call(ACCOUNTS)
    async with standing_in(signer, Target(world.url, world.url, ISSUER)) as (url, http):
        answers = [await get(http, url + ACCOUNTS) for _ in range(2)]
    assert [(status, json.loads(content)) for status, _, content in answers] == [(200, direct.json)] * 2
    parts = [headers[CLAIMS_HEADER].split(".") for _, headers, _ in answers]
    tokens = [(decode(header), decode(claims)) for header, claims in parts]
    assert len({claims["jti"] for _, claims in tokens}) == 2
    for header, claims in tokens:
        assert (header["alg"], claims["iss"], claims["aud"]) == ("PS256", ISSUER, world.url + ACCOUNTS)
    assert all(re.fullmatch(r"server;dur=[0-9.]+", headers["Server-Timing"]) for _, headers, _ in answers)


@pytest.mark.gen_test
async def test_the_server_gets_what_fiskil_would_send(io_loop, signer):
    async with recording() as (sockets, requests), standing_in(signer, listening_on(sockets)) as (url, http):
        sent = {"Authorization": "Bearer mine", "Cookie": "c=d", "X-Forwarded-Host": "evil.example"}
        async with http.post(f"{url}/a%2Fb?c=%C3%A9&c=2", data=b'{"email": "x"}', headers=sent) as response:
            assert (await response.json())["path"] == "/a%2Fb?c=%C3%A9&c=2"
            assert {"Set-Cookie", "Access-Control-Allow-Origin"} & set(response.headers) == set()
        (request,) = requests
        assert (request.method, request.body, request.headers["Content-Type"]) == (
            "POST",
            b'{"email": "x"}',
            "application/json",
        )
        assert not {"Cookie", "X-Forwarded-Host"} & set(request.headers)
        claims = decode(request.headers["Authorization"].split(".")[1])
        assert claims["aud"] == "https://data.example.com/a%2Fb"
        assert re.fullmatch(r"[0-9a-f-]{36}", request.headers["x-fapi-interaction-id"])


FOREIGN = (
    {"Host": "evil.example"},
    {"Host": "evil.example:{port}"},
    {"Host": "127.0.0.1"},
    {"Host": "127.0.0.1:1"},
    {"Host": "localhost.evil.example:{port}"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "http://localhost:{port}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "something-new"},
)
OWN = (
    {},
    {"Host": "localhost:{port}"},
    {"Host": "LOCALHOST:{port}", "Origin": "http://localhost:{port}"},
    {"Host": "[::1]:{port}"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
)


@pytest.mark.gen_test
async def test_requests_of_other_sites_are_refused_everywhere(io_loop, signer):
    """DNS rebinding shows in Host; a page elsewhere, and another port of this machine, in what browsers add."""
    async with recording() as (sockets, requests), standing_in(signer, listening_on(sockets)) as (url, http):
        port = url.rpartition(":")[2]
        for path in (*ASSETS, "/operations.json", "/jwks.json", ACCOUNTS):
            for headers, status in [*((each, 403) for each in FOREIGN), *((each, 200) for each in OWN)]:
                given = {name: value.replace("{port}", port) for name, value in headers.items()}
                answered = await get(http, url + path, **given)
                assert (path, headers, answered[0]) == (path, headers, status)
                assert "Access-Control-Allow-Origin" not in answered[1]
                assert "default-src 'none'" in answered[1]["Content-Security-Policy"]
        assert len(requests) == len(OWN)


@pytest.mark.gen_test
async def test_only_get_and_post_of_a_path_are_forwarded(io_loop, signer):
    async with recording() as (sockets, requests), standing_in(signer, listening_on(sockets)) as (url, http):
        for method in ("OPTIONS", "PUT", "DELETE", "PATCH"):
            async with http.request(method, url + ACCOUNTS) as response:
                assert response.status == 405
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        host = url.removeprefix("http://")
        writer.write(f"GET http://evil.example/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b" 400 " in await reader.readline()
        writer.close()
        with pytest.raises(aiohttp.ClientError):
            async with http.post(url + ACCOUNTS, data=io.BytesIO(bytes(MAX_BODY + 1))) as response:
                response.raise_for_status()
        assert requests == []


@pytest.mark.gen_test
async def test_a_server_that_is_gone_is_502_and_its_url_stays_inside(io_loop, signer):
    sockets = bind("127.0.0.1", 0)
    async with standing_in(signer, listening_on(sockets)) as (url, http):
        sockets[0].close()
        status, _, content = await get(http, url + ACCOUNTS)
        assert (status, json.loads(content)) == (502, {"error": "the server does not answer: ClientConnectorError"})


@pytest.mark.gen_test
async def test_of_a_server_with_tls_its_own_certificate_is_trusted(io_loop, signer, tmp_path):
    """Whatever name the certificate has, because the stand-in calls an address; and no other certificate."""
    authority = trustme.CA()
    own, other = (authority.issue_cert("data.example.com") for _ in range(2))
    path = tmp_path / "tls.crt"
    own.cert_chain_pems[0].write_to_path(path)
    async with recording(own) as (sockets, requests), standing_in(signer, listening_on(sockets, path)) as (url, http):
        assert (await get(http, url + ACCOUNTS))[0] == 200
        other.cert_chain_pems[0].write_to_path(path)
    async with recording(own) as (sockets, requests), standing_in(signer, listening_on(sockets, path)) as (url, http):
        assert (await get(http, url + ACCOUNTS))[0] == 502
        assert requests == []


@pytest.mark.gen_test
async def test_it_listens_on_loopback_only(io_loop, signer):
    sockets = bind("0.0.0.0", 0)
    with pytest.raises(ValueError, match="loopback"):
        async with stand_in("http://127.0.0.1/", signer, Target("", "", ""), (), sockets):
            pass
    sockets[0].close()


@pytest.mark.parametrize(
    ("address", "called"),
    [
        ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
    ],
)
def test_the_server_is_called_where_it_listens(address, called):
    assert Target.listening_on(address, 8443, "", "").url == f"http://{called}:8443"


def test_ids_that_the_sample_lacks_are_left_to_be_filled_in():
    """Those of custom endpoints."""
    (operation, *_) = (each for each in OPERATIONS if each.sector == "custom")
    custom = replace(operation, path="/v1/customer/{customerId}/cards/{cardId}")
    (sector,) = describe_operations([custom], "")["sectors"]
    assert sector["ids"] == {"customerId": "cust-1001", "cardId": ""}
