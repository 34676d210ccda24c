"""The REST source behind a forward proxy, and what it says of itself and of answers that it cannot use."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager

import pytest
import trustme

from helpers.proxies import ForwardProxy
from helpers.support import ISSUER, Upstream
from openholder import Query, SourceFault
from openholder.config import Configuration
from openholder.host_settings import HostSettings, provide_host_settings
from openholder.outbound import Outbound
from openholder_rest import RESTSettings, RESTSource

ACCOUNTS = Query(collection="accounts")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def respond(handler):
    handler.set_header("Content-Type", "application/json")
    if "token" in handler.request.uri:
        handler.finish({"access_token": "abc", "token_type": "Bearer"})
    else:
        handler.finish('[{"id": "a"}]')


@asynccontextmanager
async def open_behind(proxy, base_url, **settings):
    with provide_host_settings(HostSettings(outbound=Outbound(proxy=proxy))):
        own = RESTSettings(base_url=base_url, collections={"accounts": "/accounts"}, retries=0, **settings)
    source = RESTSource("core", own)
    await source.open()
    try:
        yield source
    finally:
        await source.close()


def read_port(upstream):
    return upstream.sockets[0].getsockname()[1]


@pytest.mark.gen_test
async def test_an_http_upstream_is_asked_by_its_whole_url():
    async with Upstream({}) as upstream, ForwardProxy({"core.example": read_port(upstream)}) as proxy:
        upstream.break_with = respond
        async with open_behind(proxy.url, "http://core.example:8080/api") as source:
            assert (await source.fetch(ACCOUNTS)).records == [{"id": "a"}]
    assert proxy.requests == ["GET http://core.example:8080/api/accounts"]
    (request,) = upstream.requests
    assert request.headers["User-Agent"] == Outbound.user_agent
    assert request.headers["Host"] == "core.example:8080"


@pytest.mark.gen_test
async def test_an_https_upstream_is_reached_through_a_tunnel(tmp_path, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("core.example").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    upstream = Upstream({}, tls=context)
    async with upstream, ForwardProxy({"core.example": read_port(upstream)}, login="us:secret") as proxy:
        upstream.break_with = respond
        address = proxy.url.replace("//", "//us:secret@")
        async with open_behind(address, "https://core.example/api", tls_ca=tmp_path / "ca.pem") as source:
            assert (await source.fetch(ACCOUNTS)).records == [{"id": "a"}]
    assert proxy.requests == ["CONNECT core.example:443"]
    assert "Proxy-Authorization" not in upstream.requests[0].headers


@pytest.mark.gen_test
async def test_tokens_come_through_the_proxy_too(tmp_path, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("core.example", "login.example").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    oauth = {"token_url": "https://login.example/api/token", "client_id": "a", "client_secret": "b"}
    upstream = Upstream({}, tls=context)
    ports = dict.fromkeys(("core.example", "login.example"), read_port(upstream))
    async with upstream, ForwardProxy(ports) as proxy:
        upstream.break_with = respond
        settings = {"oauth": oauth, "tls_ca": tmp_path / "ca.pem"}
        async with open_behind(proxy.url, "https://core.example/api", **settings) as source:
            assert (await source.fetch(ACCOUNTS)).records == [{"id": "a"}]
    assert proxy.requests == ["CONNECT login.example:443", "CONNECT core.example:443"]
    token, data = upstream.requests
    assert (token.method, token.headers["User-Agent"]) == ("POST", Outbound.user_agent)
    assert data.headers["Authorization"] == "Bearer abc"


@pytest.mark.gen_test
async def test_an_upstream_on_this_machine_needs_no_proxy():
    async with Upstream({}) as upstream, ForwardProxy({}) as proxy, open_behind(proxy.url, upstream.url) as source:
        upstream.break_with = respond
        assert (await source.fetch(ACCOUNTS)).records == [{"id": "a"}]
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://unknown.example/api", "upstream unreachable: refused by the proxy with status 403"),
        ("http://unknown.example/api", "upstream returned status 403"),
    ],
)
@pytest.mark.gen_test
async def test_a_proxy_that_refuses_is_told_without_its_password(url, told):
    async with ForwardProxy({}) as proxy, open_behind(proxy.url.replace("//", "//us:SECRET@"), url) as source:
        with pytest.raises(SourceFault, match=told) as fault:
            await source.fetch(ACCOUNTS)
    assert "SECRET" not in str(fault.value)
    assert ("through the proxy" in str(fault.value)) == url.startswith("https")


@pytest.mark.gen_test
async def test_a_proxy_of_the_environment_that_is_none_ends_the_start(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://SECRET@proxy.example")
    own = RESTSettings(base_url="https://core.example", collections={"accounts": "/accounts"})
    with pytest.raises(SourceFault, match="HTTPS_PROXY must be the URL of an HTTP proxy") as fault:
        await RESTSource("core", own).open()
    assert "SECRET" not in str(fault.value)


def test_the_settings_of_the_whole_reach_each_source(tmp_path, monkeypatch):
    monkeypatch.setenv("PROXY", "http://us:SECRET@proxy.example:3128")
    path = tmp_path / "openholder.toml"
    path.write_text(
        'public_url = "https://a.example"\nid_characters = "/"\n'
        f'[fiskil]\nissuer = "{ISSUER}"\njwks_url = "https://keys.example/jwks.json"\n'
        '[outbound]\nproxy = { env = "PROXY" }\nno_proxy = ["internal.example"]\n'
        '[sources.a]\nkind = "rest"\nbase_url = "https://core.example"\ncollections = { accounts = "/a" }\n'
    )
    loaded = Configuration.load(path)
    host = loaded.sources["a"].host
    assert (host.id_characters, host.outbound) == ("/", loaded.settings.outbound.build())
    assert host.outbound.find_proxy("https://core.example") == "http://us:SECRET@proxy.example:3128"
    assert host.outbound.find_proxy("https://core.internal.example") is None
    assert "SECRET" not in repr(loaded)


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (302, {"Location": "https://login.example/SECRET"}, "status 302, a redirect to login.example, which is not"),
        (200, {"Content-Encoding": "gzip"}, "a response encoded as 'gzip', although Accept-Encoding was identity"),
        (200, {"Content-Encoding": "UTF-8"}, "a response encoded as 'UTF-8'"),
        (200, {"Content-Encoding": ""}, "a response encoded as ''"),
        (418, {}, "status 418"),
    ],
)
@pytest.mark.gen_test
async def test_an_answer_that_cannot_be_used_is_described(status, headers, told):
    def answer(handler):
        handler.set_status(status)
        for name, value in headers.items():
            handler.set_header(name, value)
        respond(handler)

    async with Upstream({}) as upstream, open_behind(None, upstream.url) as source:
        upstream.break_with = answer
        with pytest.raises(SourceFault, match=f"upstream returned {told}") as fault:
            await source.fetch(ACCOUNTS)
    assert "SECRET" not in str(fault.value)
