"""How the REST source shows its upstream who it is: fixed headers, OAuth tokens, a certificate of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import pytest
import trustme
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.clocks import Clock
from helpers.support import print_nothing
from openholder import Query, SourceFault, SourceUnavailable
from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.server.connections import bind
from openholder_rest import Pace, RESTSettings, RESTSource

ACCOUNTS = Query(collection="accounts")


class Place:
    """A server on a free port that answers with what ``answer`` does, and keeps what it was asked."""

    def __init__(self, answer, tls=None):
        self.answer = answer
        self.requests = []
        rules = [(".*", _PlaceHandler, {"place": self})]
        self.server = HTTPServer(Application(rules, log_function=print_nothing), ssl_options=tls)
        self.sockets = bind("127.0.0.1", 0)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.sockets[0].getsockname()[1]}/api"

    async def __aenter__(self):
        self.server.add_sockets(self.sockets)
        return self

    async def __aexit__(self, *_):
        self.server.stop()
        await self.server.close_all_connections()

    @property
    def shown(self):
        return [request.headers.get("Authorization") for request in self.requests]


class _PlaceHandler(RequestHandler):
    def initialize(self, place):
        self.place = place

    async def get(self):
        self.place.requests.append(self.request)
        result = self.place.answer(self)
        if result is not None:
            await result

    post = get


def respond(handler, body, status=200, kind="application/json"):
    handler.set_status(status)
    handler.set_header("Content-Type", kind)
    handler.finish(body if isinstance(body, str) else json.dumps(body))


def respond_with_one_account(handler):
    respond(handler, [{"id": "a"}])


def issue_tokens(*tokens, expires_in=3600, **more):
    """An authorization server that hands out these tokens, the last one for ever."""
    remaining = list(tokens)

    def answer(handler):
        token = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        body = {"access_token": token, "token_type": "Bearer", "expires_in": expires_in, **more}
        respond(handler, {name: value for name, value in body.items() if value is not None})

    return answer


def accept_tokens(*tokens):
    """An upstream that only takes these tokens."""

    def answer(handler):
        taken = handler.request.headers.get("Authorization") in {f"Bearer {token}" for token in tokens}
        respond_with_one_account(handler) if taken else respond(handler, {}, 401)

    return answer


def pace_of(clock):
    """Return a pace of the source at which no time passes but the clock's."""
    return Pace(clock=clock, sleep=clock.sleep)


@asynccontextmanager
async def open_source(url, pace=None, **settings):
    source = RESTSource("core", RESTSettings(base_url=url, collections={"accounts": "/accounts"}, **settings), pace)
    try:
        await source.open()
        yield source
    finally:
        await source.close()


@asynccontextmanager
async def open_oauth_source(issue, upstream=respond_with_one_account, clock=None, oauth=None, **settings):
    """An authorization server, an upstream, and a source that has credentials for the first."""
    async with Place(issue) as issuer, Place(upstream) as place:
        given = {"token_url": f"{issuer.url}/token", "client_id": "us", "client_secret": "SECRET-1", **(oauth or {})}
        pace = pace_of(clock or Clock(1000.0))
        async with open_source(place.url, pace, oauth=given, **settings) as source:
            yield issuer, place, source


async def fetch_ids(source):
    return [record["id"] for record in (await source.fetch(ACCOUNTS)).records]


def decode_basic(header):
    scheme, _, value = header.partition(" ")
    return scheme, base64.b64decode(value).decode()


def parse_form(request):
    return {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}


# -- fixed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, None),
        ({"token": "t"}, "Bearer t"),
        ({"basic": {"user": "us", "password": "p:q é"}}, "Basic " + base64.b64encode("us:p:q é".encode()).decode()),
        ({"headers": {"Authorization": "Token t"}}, "Token t"),
    ],
)
@pytest.mark.gen_test
async def test_fixed_credentials_are_sent_with_every_request(settings, header):
    async with Place(respond_with_one_account) as place, open_source(place.url, **settings) as source:
        assert await fetch_ids(source) + await fetch_ids(source) == ["a", "a"]
        assert place.shown == [header, header]


@pytest.mark.gen_test
async def test_refused_fixed_credentials_are_not_tried_again():
    async with (
        Place(lambda handler: respond(handler, {}, 401)) as place,
        open_source(place.url, token="SECRET") as source,
    ):
        with pytest.raises(SourceFault, match="returned status 401"):
            await fetch_ids(source)
        assert len(place.requests) == 1


# -- OAuth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oauth", "header", "sent"),
    [
        ({}, ("Basic", "us:SECRET-1"), {}),
        ({"client_id": "a:b c", "client_secret": "é%"}, ("Basic", "a%3Ab+c:%C3%A9%25"), {}),
        ({"scope": "read write"}, ("Basic", "us:SECRET-1"), {"scope": "read write"}),
        ({"parameters": {"audience": "x", "grant_type": "no"}}, ("Basic", "us:SECRET-1"), {"audience": "x"}),
        ({"style": "body"}, None, {"client_id": "us", "client_secret": "SECRET-1"}),
    ],
)
@pytest.mark.gen_test
async def test_the_token_request_is_a_client_credentials_grant(oauth, header, sent):
    async with open_oauth_source(issue_tokens("t1"), oauth=oauth, headers={"X-API-Key": "k"}) as (
        issuer,
        place,
        source,
    ):
        assert issuer.requests == []
        await fetch_ids(source)
        (request,) = issuer.requests
        assert (request.method, request.uri, request.headers["Content-Type"]) == (
            "POST",
            "/api/token",
            "application/x-www-form-urlencoded",
        )
        authorization = request.headers.get("Authorization")
        assert (authorization and decode_basic(authorization)) == header
        assert parse_form(request) == {"grant_type": "client_credentials", **sent}
        # What is meant for the upstream does not go to the authorization server.
        assert "X-API-Key" not in request.headers
        assert (place.shown, place.requests[0].headers["X-API-Key"]) == (["Bearer t1"], "k")


@pytest.mark.parametrize(
    ("expires_in", "used_for"),
    [(3600, 3570), ("3600", 3570), (100, 90), (1, 0.9), (None, 270)],
)
@pytest.mark.gen_test
async def test_a_token_is_used_until_shortly_before_it_ends(expires_in, used_for):
    clock = Clock(1000.0)
    issue = issue_tokens("t1", "t2", expires_in=expires_in)
    async with open_oauth_source(issue, clock=clock) as (issuer, place, source):
        await fetch_ids(source)
        clock.now += used_for - 0.05
        await fetch_ids(source)
        clock.now += 0.1
        await fetch_ids(source)
        assert place.shown == ["Bearer t1", "Bearer t1", "Bearer t2"]
        assert len(issuer.requests) == 2


class Slow:
    """An authorization server that answers when it is told to."""

    def __init__(self, answer):
        self.asked, self.let_go, self._answer = asyncio.Event(), asyncio.Event(), answer

    async def __call__(self, handler):
        self.asked.set()
        await self.let_go.wait()
        self._answer(handler)


@pytest.mark.gen_test
async def test_concurrent_requests_wait_for_one_token():
    slow = Slow(issue_tokens("t1", "t2"))
    async with open_oauth_source(slow) as (issuer, place, source):
        requests = [asyncio.create_task(fetch_ids(source)) for _ in range(20)]
        await slow.asked.wait()
        slow.let_go.set()
        assert await asyncio.gather(*requests) == [["a"]] * 20
        assert (len(issuer.requests), set(place.shown)) == (1, {"Bearer t1"})


@pytest.mark.gen_test
async def test_concurrent_requests_share_a_failure():
    slow = Slow(lambda handler: respond(handler, {"error": "invalid_client"}, 401))
    async with open_oauth_source(slow) as (issuer, _, source):
        requests = [asyncio.create_task(fetch_ids(source)) for _ in range(20)]
        await slow.asked.wait()
        slow.let_go.set()
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {SourceFault}
        assert len(issuer.requests) == 1


@pytest.mark.gen_test
async def test_a_cancelled_caller_leaves_the_token_to_the_others():
    slow = Slow(issue_tokens("t1", "t2"))
    async with open_oauth_source(slow) as (issuer, _, source):
        first = asyncio.create_task(fetch_ids(source))
        await slow.asked.wait()
        second = asyncio.create_task(fetch_ids(source))
        first.cancel()
        await asyncio.wait([first])
        slow.let_go.set()
        assert await second == ["a"]
        assert (first.cancelled(), len(issuer.requests)) == (True, 1)


@pytest.mark.gen_test
async def test_closing_cancels_a_token_request_in_progress():
    slow = Slow(issue_tokens("t1"))
    async with open_oauth_source(slow) as (_, __, source):
        request = asyncio.create_task(fetch_ids(source))
        await slow.asked.wait()
        await source.close()
        await asyncio.wait([request], timeout=2)
        assert request.done()
        slow.let_go.set()


@pytest.mark.gen_test
async def test_a_token_that_the_upstream_refuses_is_replaced_once():
    async with open_oauth_source(issue_tokens("t1", "t2"), accept_tokens("t2")) as (issuer, place, source):
        assert await fetch_ids(source) + await fetch_ids(source) == ["a", "a"]
        assert place.shown == ["Bearer t1", "Bearer t2", "Bearer t2"]
        assert len(issuer.requests) == 2


@pytest.mark.gen_test
async def test_requests_refused_at_once_get_one_new_token():
    async with open_oauth_source(issue_tokens("t1", "t2", "t3"), accept_tokens("t2")) as (issuer, _, source):
        assert await asyncio.gather(*[fetch_ids(source) for _ in range(10)]) == [["a"]] * 10
        assert len(issuer.requests) == 2


@pytest.mark.parametrize(
    ("tokens", "shown"), [(["t1", "t2", "t3"], ["Bearer t1", "Bearer t2"]), (["t1"], ["Bearer t1"])]
)
@pytest.mark.gen_test
async def test_an_upstream_that_refuses_the_new_token_too_is_a_fault(tokens, shown):
    async with open_oauth_source(issue_tokens(*tokens), accept_tokens()) as (_, place, source):
        with pytest.raises(SourceFault, match="returned status 401"):
            await fetch_ids(source)
        assert place.shown == shown


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            lambda h: respond(h, {"error": "invalid_client", "error_description": "SECRET-2"}, 401),
            "token request: status 401 (invalid_client)",
            id="error",
        ),
        pytest.param(lambda h: respond(h, {"error": "SECRET-2"}, 400), "token request: status 400", id="unknown error"),
        pytest.param(lambda h: respond(h, {"error": ["SECRET-2"]}, 400), "token request: status 400", id="odd error"),
        pytest.param(lambda h: respond(h, "<h1>SECRET-2", 403, "text/html"), "token request: status 403", id="HTML"),
        pytest.param(lambda h: respond(h, {}, 500), "token request: status 500", id="500"),
        pytest.param(lambda h: respond(h, {}, 429), "token request: status 429", id="429"),
        pytest.param(lambda h: respond(h, {}, 302), "token request: status 302", id="302"),
        pytest.param(
            lambda h: (h.set_header("Location", "https://sso.example/SECRET-2"), respond(h, {}, 307))[1],
            "token request: status 307, a redirect to sso.example, which is not followed",
            id="redirect",
        ),
        pytest.param(
            lambda h: (h.set_header("Content-Encoding", "gzip"), respond(h, {}))[1],
            "token request: a response encoded as 'gzip', although Accept-Encoding was identity",
            id="compressed",
        ),
        pytest.param(
            lambda h: respond(h, "SECRET-2"),
            "token response: access_token is missing, or not visible ASCII text",
            id="no JSON",
        ),
        pytest.param(
            lambda h: respond(h, []), "token response: access_token is missing, or not visible ASCII text", id="list"
        ),
        pytest.param(
            issue_tokens(None), "token response: access_token is missing, or not visible ASCII text", id="no token"
        ),
        pytest.param(
            issue_tokens("SECRET-2\r\nX: y"),
            "token response: access_token is missing, or not visible ASCII text",
            id="two lines",
        ),
        pytest.param(
            issue_tokens(7), "token response: access_token is missing, or not visible ASCII text", id="number"
        ),
        pytest.param(
            issue_tokens("SECRET-2", token_type="DPoP"), "token response: token_type must be Bearer", id="DPoP"
        ),
        pytest.param(
            issue_tokens("SECRET-2", token_type=None), "token response: token_type must be Bearer", id="no type"
        ),
        pytest.param(
            issue_tokens("SECRET-2", expires_in=-1), "token response: expires_in must be a number of seconds", id="-1"
        ),
        pytest.param(
            issue_tokens("SECRET-2", expires_in=True),
            "token response: expires_in must be a number of seconds",
            id="true",
        ),
        pytest.param(
            lambda h: respond(h, "x" * 70_000),
            "upstream response has 70000 bytes; at most 65536 are read",
            id="too large",
        ),
    ],
)
@pytest.mark.gen_test
async def test_a_failed_token_request_is_a_fault_without_secrets(answer, message, caplog):
    async with open_oauth_source(answer) as (_, place, source):
        with pytest.raises(SourceFault) as fault:
            await fetch_ids(source)
        assert str(fault.value) == message
        assert "SECRET" not in caplog.text
        assert place.requests == []


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.gen_test
async def test_a_token_request_is_not_redirected_to_another_place(status):
    async with Place(issue_tokens("t1")) as elsewhere:

        def redirect(handler):
            handler.set_header("Location", f"{elsewhere.url}/token")
            respond(handler, {}, status)

        async with open_oauth_source(redirect) as (_, __, source):
            with pytest.raises(SourceFault, match=f"token request: status {status}"):
                await fetch_ids(source)
        assert elsewhere.requests == []


@pytest.mark.gen_test
async def test_a_token_request_on_a_dropped_connection_is_retried():
    answers = [lambda handler: handler.detach().close(), issue_tokens("t1")]
    async with open_oauth_source(lambda handler: answers.pop(0)(handler)) as (issuer, _, source):
        assert await fetch_ids(source) == ["a"]
        assert len(issuer.requests) == 2


@pytest.mark.gen_test
async def test_an_authorization_server_that_is_down_opens_the_circuit():
    async with open_oauth_source(lambda handler: respond(handler, {}, 500)) as (issuer, _, source):
        for _ in range(5):
            with pytest.raises(SourceFault):
                await fetch_ids(source)
        with pytest.raises(SourceUnavailable):
            await fetch_ids(source)
        assert len(issuer.requests) == 5


@pytest.mark.gen_test
async def test_a_token_request_that_gets_503_is_retried():
    answers = [lambda handler: respond(handler, {}, 503), issue_tokens("t1")]
    async with open_oauth_source(lambda handler: answers.pop(0)(handler)) as (issuer, _, source):
        assert await fetch_ids(source) == ["a"]
        assert len(issuer.requests) == 2


@pytest.mark.gen_test
async def test_neither_settings_nor_source_print_a_secret():
    async with open_oauth_source(issue_tokens("SECRET-2")) as (_, __, source):
        await fetch_ids(source)
        assert "SECRET" not in repr(source._settings) + repr(vars(source))


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(tmp_path, authority):
    """The authority, the source's certificate from it, and one that somebody else has made."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, issuer in {"us": authority, "them": trustme.CA()}.items():
        certificate = issuer.issue_cert("client.example")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    return tmp_path


def require_certificates(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def use_certificate(files, name):
    return {"tls_certificate": files / f"{name}.pem", "tls_key": files / f"{name}.key"}


@pytest.mark.gen_test
async def test_the_upstream_sees_the_certificate_of_the_source(files, authority):
    seen = []

    def answer(handler):
        seen.append(handler.request.get_ssl_certificate()["subjectAltName"])
        respond_with_one_account(handler)

    settings = {"tls_ca": files / "ca.pem", **use_certificate(files, "us")}
    async with Place(answer, require_certificates(authority)) as place, open_source(place.url, **settings) as source:
        assert await fetch_ids(source) == ["a"]
    assert seen == [(("DNS", "client.example"),)]


@pytest.mark.parametrize(
    "trouble", ["the authority is not known", "no certificate", "a certificate of somebody else", "another name"]
)
@pytest.mark.gen_test
async def test_without_mutual_trust_no_request_is_sent(files, authority, trouble):
    settings = {"tls_ca": files / "ca.pem", **use_certificate(files, "us")}
    if trouble == "the authority is not known":
        del settings["tls_ca"]
    elif trouble == "no certificate":
        settings = {"tls_ca": files / "ca.pem"}
    elif trouble == "a certificate of somebody else":
        settings |= use_certificate(files, "them")
    async with Place(respond_with_one_account, require_certificates(authority)) as place:
        url = place.url.replace("127.0.0.1", "localhost") if trouble == "another name" else place.url
        async with open_source(url, pace_of(Clock(1000.0)), **settings) as source:
            with pytest.raises(SourceFault, match="unreachable"):
                await fetch_ids(source)
        assert place.requests == []


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"tls_ca": "us.key"}, "tls_ca cannot be used"),
        ({"tls_certificate": "us.pem", "tls_key": "them.key"}, "tls_certificate and tls_key cannot be used"),
        ({"tls_certificate": "us.pem", "tls_key": "locked.key"}, "tls_certificate and tls_key cannot be used"),
    ],
)
@pytest.mark.gen_test
async def test_unusable_tls_files_are_named_when_the_source_opens(files, broken, message):
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key((files / "us.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"SECRET"))
    (files / "locked.key").write_bytes(locked)
    with pytest.raises(SourceFault, match=message):
        async with open_source("https://127.0.0.1:1", **{key: files / name for key, name in broken.items()}):
            pass


# -- settings -----------------------------------------------------------------------------------------------------

OAUTH = 'client_id = "us"\nclient_secret = { env = "SECRET_OF_OURS" }\n'


@pytest.mark.parametrize(
    ("settings", "key", "message"),
    [
        ('token = "a"\n[sources.api.basic]\nuser = "a"\npassword = "b"', "basic", "conflicts with token"),
        (
            f'token = "a"\n[sources.api.oauth]\ntoken_url = "https://a.example/t"\n{OAUTH}',
            "oauth",
            "conflicts with token",
        ),
        (
            f'[sources.api.basic]\nuser = "a"\npassword = "b"\n'
            f'[sources.api.oauth]\ntoken_url = "https://a.example/t"\n{OAUTH}',
            "oauth",
            "conflicts with basic",
        ),
        ('token = "a"\nheaders = { authorization = "b" }', "headers", "Authorization conflicts with token"),
        ('[sources.api.basic]\nuser = "SECRET:a"\npassword = "b"', "basic.user", "colon"),
        ('[sources.api.basic]\nuser = "a"', "basic.password", "is missing"),
        ('[sources.api.basic]\nuser = "a"\npassword = { env = "NOT_SET_ANYWHERE" }', "basic.password", "is not set"),
        (f'[sources.api.oauth]\ntoken_url = "http://a.example/t"\n{OAUTH}', "oauth.token_url", "must be https"),
        (f'[sources.api.oauth]\ntoken_url = "https://u:SECRET@a.example"\n{OAUTH}', "oauth.token_url", "must be a URL"),
        (f'[sources.api.oauth]\ntoken_url = "https://a.example/t"\n{OAUTH}style = "header"', "oauth.style", "'basic'"),
        (f'[sources.api.oauth]\ntoken_url = "https://a.example/t"\n{OAUTH}scopes = "a"', "oauth.scopes", "unknown key"),
        ('tls_ca = "nowhere.pem"', "tls_ca", "file not found"),
        ('tls_certificate = "openholder.toml"', "tls_key", "go together"),
        ('tls_key = "openholder.toml"', "tls_key", "go together"),
        ('base_url = "http://a.example"\ntls_ca = "openholder.toml"', "tls_ca", "requires an https base_url"),
    ],
)
def test_invalid_settings_are_refused_by_key(tmp_path, monkeypatch, settings, key, message):
    monkeypatch.setenv("SECRET_OF_OURS", "SECRET")
    url = "" if "base_url" in settings else 'base_url = "https://a.example"\n'
    path = tmp_path / "openholder.toml"
    path.write_text(
        'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "https://a.example/jwks.json"\n'
        f'[sources.api]\nkind = "rest"\n{url}collections = {{ accounts = "/accounts" }}\n{settings}\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError) as refusal:
        Configuration.load(path)
    (mistake,) = refusal.value.mistakes
    assert (mistake.key, message in mistake.message) == (f"sources.api.{key}", True), mistake.message
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_a_token_url_on_loopback_may_be_http(host):
    oauth = {"token_url": f"http://{host}:8080/token", "client_id": "a", "client_secret": "b"}
    settings = RESTSettings(base_url="https://a.example", collections={"accounts": "/a"}, oauth=oauth)
    assert settings.oauth.token_url == oauth["token_url"]
