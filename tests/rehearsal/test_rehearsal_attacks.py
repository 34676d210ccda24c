"""The attacks of a rehearsal: a server in order stands them all, and each check that is missing is named."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import json
import re
import time
import uuid
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from posixpath import normpath
from urllib.parse import quote, unquote

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import RSAAlgorithm
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler

from helpers.support import ISSUER, print_nothing, sample_rows, start_with
from openholder.contract.operations import OPERATIONS
from openholder.errors import UntrustedJSON
from openholder.rehearsal.attacks import (
    GROUPS,
    addresses,
    bearer,
    bodies,
    everywhere,
    headers,
    jose,
    methods,
    precedence,
    refusals,
    replayed_tokens,
    run_attacks,
    signature,
    wire,
    wrong_audience,
    wrong_claims,
)
from openholder.rehearsal.attacks.target import find_target
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.conversation import run_conversation
from openholder.rehearsal.exchange import CallSequence, Exchange
from openholder.rehearsal.phases import Phase
from openholder.rehearsal.probes import refusal_times
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import CustomerRun, Plan, Session, build_request
from openholder.server.app import bind
from openholder.strict_json import parse_json

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EMAIL = "jane.citizen@example.com"
NAMES = (
    "searchCustomers",
    "getCustomerDetails",
    "listConsentAccounts",
    "getStarterBalance",
    "listBankingAccountsSpecific",
)
PLAN = Plan(tuple(operation for operation in OPERATIONS if operation.name in NAMES), (EMAIL,))
ALL = Phase("all attacks", run_attacks)
RULES = {rule.name for group in GROUPS for rule in group.rules}

CUSTOMER = {"id": "c-1", "name": "Jane Citizen"}
ACCOUNT = {"id": "a-1", "name": "Everyday", "type": "savings", "displayName": "Everyday xxxx 1234"}
BALANCE = {"account_id": "a-1", "available": 1200.5, "current": 1250.5, "currency": "AUD"}
BANKING = {
    "accountId": "a-1",
    "displayName": "Everyday xxxx 1234",
    "accountOwnership": "ONE_PARTY",
    "maskedNumber": "xxxx xxxx xxxx 1234",
    "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS",
    "productName": "Everyday",
}
CHECKED = ("exp", "nbf", "iat", "iss", "sub", "aud", "jti")
REPLACED = ("aud with the path decoded", "aud with plus signs for blanks", "aud with some characters decoded")
"""Faults for which only the other spelling of the URI is accepted."""
ALGORITHMS = {"more algorithms": ["PS256", "RS256", "PS384"], "PS256 only": ["PS256"]}
ONE_PAGE = {"links": {}, "meta": {"totalRecords": 1, "totalPages": 1}}


class Standin(RequestHandler):
    """A data holder written in an hour, with a common JWT library: in order, but for the fault that it is given."""

    def has(self, fault):
        return fault == self.application.fault

    # -- what every answer has

    def set_default_headers(self):
        self.clear_header("Server")
        sent = self.request.headers.get("x-fapi-interaction-id", "")
        if self.has("pages may read it"):
            self.set_header("Access-Control-Allow-Origin", self.request.headers.get("Origin", "*"))
        if self.has("ids in headers") and "X-Injected" in self.request.path:
            self.set_header("X-Injected", "1")
        as_sent = UUID.fullmatch(sent) or self.has("echoes interaction ids")
        self.set_header("x-fapi-interaction-id", sent if as_sent else str(uuid.uuid4()))

    async def prepare(self):
        forged = len(self.request.headers.get("Authorization", "")) < 20 or self.has("looks up forged ids, slowly")
        if (self.has("looks up ids first, slowly") or self.has("looks up forged ids, slowly")) and forged:
            is_known = "no-such-id" not in self.request.path
            await asyncio.sleep(0.06 if is_known and self.request.method == "GET" else 0)
        if self.has("looks up addresses first, slowly") and EMAIL.encode() in self.request.body:
            await asyncio.sleep(0.06)
        if self.has("follows jku") and self.request.headers["Authorization"].count(".") == 2:
            header = jwt.get_unverified_header(self.request.headers["Authorization"].partition(" ")[2])
            if "jku" in header:
                answer = await AsyncHTTPClient().fetch(header["jku"])
                self.application.public_key = RSAAlgorithm.from_jwk(json.loads(answer.body)["keys"][0])
        if self.has("no patience with addresses") and "999" in self.request.headers.get(
            "x-fapi-customer-ip-address", ""
        ):
            raise HTTPError(403)
        if self.has("looks up ids first") and "no-such-id" in self.request.path:
            raise HTTPError(404)
        if self.has("reads bodies first") and self.request.body == b"{email":
            raise HTTPError(400)
        if not (self.has("an open route") and self.request.path.endswith("/balances")):
            self.check_token()
        if self.has("reads X-HTTP-Method-Override"):
            self.request.method = self.request.headers.get("X-HTTP-Method-Override", self.request.method)

    def write_error(self, status_code, **_):
        if status_code == 405 and not self.has("no Allow"):
            self.set_header("Allow", "GET, POST")
        if status_code == 401 and not self.has("no challenge"):
            self.set_header("WWW-Authenticate", "Bearer")
        if status_code == 401 and self.has("counts refusals of tokens"):
            self.set_header("X-Sharing-Refused", "true")
        if self.has("HTML errors"):
            self.finish(f"<h1>{status_code}</h1>")
            return
        self.set_header("Content-Type", "application/json")
        detail = getattr(self, "reason", "x") if self.has("tells the reason") else "x"
        self.finish(json.dumps({"errors": [{"code": "x", "title": "x", "detail": detail}]}))

    def log_exception(self, *_):
        """Nothing: faults are meant."""

    def finish(self, chunk=None):
        if self.has("always compresses") and chunk is None and self._write_buffer:
            content, self._write_buffer = b"".join(self._write_buffer), []
            self.set_header("Content-Encoding", "gzip")
            chunk = gzip.compress(content)
        return super().finish(chunk)

    # -- the token

    def check_token(self):
        values = self.request.headers.get_list("Authorization")
        if self.has("lets in without a token") and not values:
            return
        if self.has("reads the query") and not values:
            values = [f"Bearer {self.get_query_argument('access_token', '')}"]
        if len(values) != 1 and not self.has("takes the first token"):
            self.refuse()
        scheme, _, token = (values or [""])[0].partition(" ")
        if not self.has("any scheme") and (scheme if self.has("Bearer only") else scheme.lower().title()) != "Bearer":
            self.refuse()
        try:
            claims = self.decoded(".".join(token.split(".")[:3]) if self.has("takes three parts") else token)
        except (jwt.InvalidTokenError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            self.reason = type(exc).__name__
            if self.has("500 on bad tokens"):
                raise
            self.refuse()
        if not (isinstance(claims.get("jti"), str) and claims["jti"]) and not self.has("no jti"):
            self.refuse()
        if self.has("known claims only") and set(claims) - set(CHECKED):
            self.refuse()
        if isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1 and not self.has("aud among others"):
            self.refuse()
        if self.has("UUIDs only") and not UUID.fullmatch(claims["jti"]):
            self.refuse()
        if self.has("no old tokens") and claims.get("iat", time.time()) < time.time() - 600:
            self.refuse()
        if self.has("aud is a text") and not isinstance(claims["aud"], str):
            self.refuse()
        if not self.has("replay") and not self.has("jti first"):
            expiry = claims.get("exp")
            self.expired = isinstance(expiry, int) and expiry < time.time()
            self.use_up(claims.get("jti"))

    def refuse(self):
        raise HTTPError(404 if self.has("404 for bad tokens") else 401)

    def use_up(self, token_id):
        if self.has("a jti counts where data came") and "no-such-id" in self.request.path:
            return
        process = self.request.connection.stream if self.has("a record for each process") else None
        used = self.application.used[self.request.path if self.has("a jti counts for its path only") else process]
        if self.has("a jti in any case"):
            token_id = token_id.lower()
        if self.has("a jti is cut"):
            token_id = token_id[:64]
        if self.has("forgets at exp") and self.expired:
            return
        if token_id in used:
            self.refuse()
        used[token_id] = None
        if self.has("remembers ten tokens") and len(used) > 10:
            used.pop(next(iter(used)))

    def decoded(self, token):
        header = jwt.get_unverified_header(token)
        if header.get("kid") != self.application.kid and not self.has("any kid"):
            self.refuse()
        if self.has("jti first"):
            self.use_up(jwt.decode(token, options={"verify_signature": False})["jti"])
        claims = jwt.decode(token, options={"verify_signature": False})
        ignored = {name for name in ("nbf", "iat") if self.has("takes milliseconds") and claims.get(name, 0) > 10**12}
        return jwt.decode(
            token,
            self.key(header),
            algorithms=ALGORITHMS.get(self.application.fault, ["PS256", "RS256"]),
            issuer=ISSUER,
            subject=ISSUER,
            audience=self.audience(token),
            leeway={"no tolerance": 0, "much tolerance": 300}.get(self.application.fault, 30),
            options={f"verify_{name}": name not in ignored and not self.has(f"no {name}") for name in CHECKED}
            | {"require": [name for name in ("exp", "iss", "sub", "aud") if not self.has(f"no {name}")]}
            | {"verify_signature": not self.unsigned(token, header)},
        )

    def key(self, header):
        if self.has("embedded key") and "jwk" in header:
            return RSAAlgorithm.from_jwk(header["jwk"])
        return self.application.public_key

    def unsigned(self, token, header):
        """Whether the fault lets the signature pass."""
        signed, _, signature = token.rpartition(".")
        mac = jwt.utils.base64url_encode(hmac.digest(self.application.pem, signed.encode(), "sha256")).decode()
        return (
            self.has("no signature")
            or (self.has("alg none") and header["alg"].lower() == "none")
            or (self.has("hmac") and header["alg"] == "HS256" and signature == mac)
        )

    def audience(self, token):
        good = f"{self.application.url}{self.request.path}"
        claimed = jwt.decode(token, options={"verify_signature": False}).get("aud")
        as_asked = {
            "aud from Host": f"http://{self.request.host}{self.request.path}",
            "aud from X-Forwarded-Host": f"https://{self.request.headers.get('X-Forwarded-Host')}{self.request.path}",
            "aud with the path decoded": f"{self.application.url}{unquote(self.request.path)}",
            "aud with plus signs for blanks": f"{self.application.url}{self.request.path.replace('%20', '+')}",
            "aud with some characters decoded": self.application.url + quote(unquote(self.request.path), safe="/:@"),
            "aud with the query": f"{self.application.url}{self.request.uri}",
        }
        accepted = [good, *(uri for fault, uri in as_asked.items() if self.has(fault))]
        if self.application.fault in REPLACED:
            accepted = accepted[1:]
        near = {
            "aud by its beginning": lambda: claimed.startswith(good),
            "aud of the server": lambda: good.startswith(claimed),
            "aud in any case": lambda: claimed.lower() == good.lower(),
            "aud without slashes behind": lambda: claimed.rstrip("/") == good,
            "aud decoded": lambda: unquote(claimed) == good,
            "aud decoded twice": lambda: unquote(unquote(claimed)) == good,
            "aud without dots": lambda: normpath(unquote(claimed).partition("//")[2]) == good.partition("//")[2],
            "aud of any account": lambda: re.sub("accounts/[^/]+", "", claimed) == re.sub("accounts/[^/]+", "", good),
        }
        return [
            *accepted,
            *(claimed for fault, fits in near.items() if self.has(fault) and isinstance(claimed, str) and fits()),
        ]

    # -- the data

    def get(self, *ids):
        if self.has("answers unknown paths") and not ids and not self.request.path.endswith("search"):
            self.write({})
        elif not self.known(*ids):
            raise HTTPError(404)
        elif len(ids) == 3:
            self.write(BALANCE)
        else:
            self.write({"accounts": [ACCOUNT]} if ids[1:] else CUSTOMER)

    def known(self, *ids):
        """Below ids are `accounts` and the like, which the routes have matched."""
        wanted = ("c-1", "accounts", "a-1")
        loose = self.has("ids by pattern")
        return bool(ids) and all(
            one == good or (loose and one in ("*", "%")) for one, good in zip(ids, wanted, strict=False)
        )

    def put(self, *_):
        if not self.has("PUT is answered"):
            raise HTTPError(405)
        self.write({})

    def head(self, *_):
        raise HTTPError(500 if self.has("HEAD fails") else 405)

    def post(self, *ids):
        if "application/json" not in self.request.headers["Content-Type"] and not self.has("any content type"):
            raise HTTPError(415)
        self.write(self.searched(self.body()) if self.request.path.endswith("search") else self.chosen(self.body()))

    def body(self):
        if self.has("500 on bad JSON"):
            return parse_json(self.request.body)
        try:
            content = (json.loads if self.has("last member wins") else parse_json)(self.request.body)
        except (UntrustedJSON, ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            return content
        if self.has("bad JSON is nothing"):
            return {"email": "nobody"}
        raise HTTPError(400)

    def searched(self, body):
        email = body.get("email") if isinstance(body, dict) else None
        if not isinstance(email, str) and not self.has("types of members"):
            raise HTTPError(400)
        matching = email == EMAIL or (self.has("search by pattern") and email == "%")
        return {"data": [CUSTOMER] if matching else []}

    def chosen(self, body):
        data = body.get("data") if isinstance(body, dict) else None
        if self.has("data alone") and set(body) != {"data"}:
            raise HTTPError(400)
        ids = data.get("accountIds") if isinstance(data, dict) else None
        if self.has("ids may be numbers") and isinstance(ids, list):
            ids = ["a-1" if isinstance(one, int) else one for one in ids]
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise HTTPError(400)
        if self.has("a hundred ids") and len(ids) > 100:
            raise HTTPError(413)
        if set(ids) != {"a-1"}:
            raise HTTPError(422)
        return {"data": {"accounts": [BANKING]}, **ONE_PAGE}


@asynccontextmanager
async def standin(signer, fault=""):
    """The URL of the stand-in, with one fault."""
    paths = (
        "/auth/v1/customer/search",
        "/auth/v1/customer/([^/]+)",
        "/auth/v1/customer/([^/]+)/(accounts)",
        "/customer/([^/]+)/(accounts)/([^/]+)/balances",
        "/v1/banking/customer/([^/]+)/accounts",
        "/.*",
    )
    application = Application([(path, Standin) for path in paths], log_function=print_nothing)
    application.fault, application.used = fault, defaultdict(dict)
    application.public_key, application.kid = signer._key.public_key(), signer.kid
    application.pem = signer.public_bytes(Encoding.PEM)
    header, body = (200_000, 10_000_000) if fault == "no limits" else (16_384, 65_536)
    server = HTTPServer(application, max_header_size=header, max_body_size=body)
    sockets = bind("127.0.0.1", 0)
    application.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    server.add_sockets(sockets)
    try:
        yield application.url
    finally:
        server.stop()
        await server.close_all_connections()


async def report_on(url, signer, phase=ALL, plan=PLAN, told=print_nothing):
    async with open_caller(url, url, ISSUER, signer, seconds=10) as caller:
        return await run_rehearsal(caller, plan, told, phases=(Phase("walk", run_conversation), phase))


def findings(report):
    return {result.rule.name for result in report.failed_results}


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_openholder_stands_all_attacks(world):
    await start_with(world, "sqlite", sample_rows())
    told = []
    report = await report_on(world.url, world.signer, told=told.append)
    assert [(found.rule.name, found.failures) for found in report.failed_results] == []
    assert {result.rule.name for result in report.results if result.verdict == "passed"} >= RULES
    (agreed,) = [result.skipped for result in report.results if result.rule.name == "refusal-status-agreed"]
    assert agreed.startswith("ask Fiskil: the server answers 401; RFC 6750")
    rows = [note for attack in refusals.ATTACKS for note in attack.attempts]
    assert len(set(rows)) == len(rows) > 100
    assert [note for note in rows if sum(line.endswith(f" ({note})") for line in told) != 1] == []
    assert report.requests < 280 + 6 * len(PLAN.operations)


@pytest.mark.gen_test(timeout=30)
async def test_attacks_that_are_not_planned_send_nothing(world):
    await start_with(world, "sqlite", sample_rows())
    plan = Plan(PLAN.operations, PLAN.emails, attacks=False)
    report = await report_on(world.url, world.signer, plan=plan)
    assert report.requests < 10
    skipped = {result.rule.name: result.skipped for result in report.results if result.rule.name in RULES}
    assert skipped == dict.fromkeys(RULES, "attacks are disabled")


@pytest.mark.gen_test(timeout=30)
async def test_where_nothing_is_served_attacks_say_so(signer):
    async with open_caller("http://127.0.0.1:9", "http://127.0.0.1:9", ISSUER, signer, seconds=1) as caller:
        results = [result async for result in run_attacks(Session(caller, PLAN))]
    assert {result.skipped for result in results} == {"no GET operation returned data"}


LENIENT = {"crit", "duplicate-members", "lifetime", "one-spelling", "time-types", "token-json"}
"""What a common library leaves to whoever uses it: warnings all."""


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_a_plain_server_with_a_common_library_has_warnings_only(signer):
    async with standin(signer) as url:
        report = await report_on(url, signer)
    assert findings(report) == LENIENT
    assert report.is_ready


TOKENS = (refusals, bearer, signature, jose, wrong_claims, wrong_audience)
"""Modules with tables of tokens; the first has all of them."""
FAULTS = (
    (refusals, "lets in without a token", {"token-needed"}),
    (bearer, "any scheme", {"token-scheme"}),
    (bearer, "Bearer only", {"scheme-any-case"}),
    (bearer, "reads the query", {"token-in-header-only"}),
    (bearer, "takes the first token", {"one-token"}),
    (bearer, "takes three parts", {"compact-form"}),
    (bearer, "404 for bad tokens", {"refusal-status"}),
    (bearer, "no challenge", {"www-authenticate"}),
    (bearer, "counts refusals of tokens", {"refusal-not-counted", "sharing-refused-header"}),
    (bearer, "500 on bad tokens", {"no-server-fault"}),
    (bearer, "HTML errors", {"error-form", "media-type"}),
    (signature, "no signature", {"signature"}),
    (signature, "alg none", {"alg-none"}),
    (signature, "hmac", {"hmac-with-public-key"}),
    (signature, "embedded key", {"embedded-key"}),
    (addresses, "follows jku", {"embedded-key"}),
    (jose, "any kid", {"kid"}),
    (jose, "more algorithms", {"algorithm-list"}),
    (wrong_claims, "no exp", {"exp"}),
    (wrong_claims, "much tolerance", {"exp-tolerance"}),
    (wrong_claims, "no tolerance", {"clock-tolerance"}),
    (wrong_claims, "no nbf", {"nbf"}),
    (wrong_claims, "no iat", {"iat"}),
    (wrong_claims, "no iss", {"iss"}),
    (wrong_claims, "no sub", {"sub"}),
    (wrong_claims, "no jti", {"jti"}),
    (wrong_claims, "known claims only", {"good-token"}),
    (wrong_claims, "tells the reason", {"refusal-reason"}),
    (wrong_audience, "no aud", {"aud"}),
    (wrong_audience, "aud by its beginning", {"aud"}),
    (wrong_audience, "aud of the server", {"aud"}),
    (wrong_audience, "aud of any account", {"aud"}),
    (wrong_audience, "aud among others", {"aud-exact"}),
    (wrong_audience, "aud without slashes behind", {"aud-exact"}),
    (wrong_audience, "aud with the query", {"aud-exact"}),
    (wrong_audience, "aud is a text", {"aud-list"}),
    (wrong_audience, "aud decoded", {"aud-exact"}),
    (wrong_audience, "aud decoded twice", {"aud-exact"}),
    (wrong_audience, "aud without dots", {"aud-exact"}),
    (wrong_audience, "aud with the path decoded", {"aud-escaped"}),
    (wrong_audience, "aud with plus signs for blanks", {"aud-escaped"}),
    (wrong_audience, "aud with some characters decoded", {"aud-escaped"}),
    (wrong_audience, "aud from Host", {"host-header"}),
    (wrong_audience, "aud from X-Forwarded-Host", {"host-header"}),
    (wrong_audience, "aud in any case", {"aud-exact"}),
    (wrong_claims, "takes milliseconds", {"nbf", "iat"}),
    (wrong_claims, "no old tokens", {"good-token"}),
    (wrong_claims, "UUIDs only", {"jti-any-form"}),
    (precedence, "looks up ids first", {"token-before-data"}),
    (refusal_times, "looks up ids first, slowly", {"refusal-times"}),
    (refusal_times, "looks up forged ids, slowly", {"refusal-times"}),
    (refusal_times, "looks up addresses first, slowly", {"refusal-times"}),
    (precedence, "reads bodies first", {"token-before-body"}),
    (replayed_tokens, "a jti in any case", {"jti-whole"}),
    (replayed_tokens, "a jti is cut", {"jti-whole"}),
    (replayed_tokens, "forgets at exp", {"replay-in-tolerance"}),
    (everywhere, "an open route", {"gate-everywhere"}),
    (replayed_tokens, "replay", {"replay"}),
    (replayed_tokens, "a jti counts for its path only", {"replay"}),
    (replayed_tokens, "a jti counts where data came", {"replay"}),
    (replayed_tokens, "a record for each process", {"replay-at-once"}),
    (replayed_tokens, "jti first", {"jti-kept-for-owner"}),
    (methods, "PUT is answered", {"other-methods"}),
    (methods, "no Allow", {"allow-header"}),
    (methods, "HEAD fails", {"head", "no-server-fault"}),
    (methods, "reads X-HTTP-Method-Override", {"method-override"}),
    (methods, "answers unknown paths", {"unknown-path"}),
    (bodies, "500 on bad JSON", {"no-server-fault"}),
    (bodies, "bad JSON is nothing", {"broken-body", "strict-body"}),
    (bodies, "types of members", {"body-types"}),
    (bodies, "last member wins", {"strict-body"}),
    (bodies, "ids may be numbers", {"body-types"}),
    (bodies, "a hundred ids", {"body-as-agreed"}),
    (bodies, "any content type", {"content-type"}),
    (bodies, "search by pattern", {"search-injection"}),
    (bodies, "data alone", {"body-as-agreed"}),
    (headers, "ids by pattern", {"id-injection"}),
    (headers, "ids in headers", {"id-injection"}),
    (headers, "no patience with addresses", {"odd-headers"}),
    (headers, "pages may read it", {"no-cors"}),
    (headers, "always compresses", {"unasked-compression"}),
    (headers, "echoes interaction ids", {"interaction-id"}),
    (wire, "no limits", {"request-bounds"}),
)
"""The part of the attacks, what the stand-in does wrong, and the rules that are broken beside those of `LENIENT`."""


def find_get_target(session):
    return find_target(session, [operation for operation in session.served_operations if operation.method == "GET"])


def only(module):
    """The attacks of one module as an act."""

    async def phase(session):
        target = find_get_target(session)
        if module is refusal_times:
            async for result in refusal_times.probe_refusal_times(session):
                yield result
            return
        results = refusals.run(target, module.ATTACKS) if module in TOKENS else module.run(target)
        async for result in results:
            yield result

    return Phase("some attacks", phase)


@pytest.mark.slow
@pytest.mark.parametrize(("module", "fault", "expected"), FAULTS, ids=[fault for _, fault, _ in FAULTS])
@pytest.mark.gen_test(timeout=30)
async def test_a_fault_is_found_by_the_rule_that_names_it(signer, module, fault, expected, find_causes):
    async with standin(signer, fault) as url:
        report = await report_on(url, signer, only(module))
    assert findings(report) - LENIENT == expected
    causes = find_causes(report, *expected, known=LENIENT - expected)
    # HEAD is no operation of the contract, so that a server fault does not belong to the same route.
    assert len(causes) == (2 if fault == "HEAD fails" else 1)
    assert set(causes) <= expected


def test_every_rule_has_a_fault_that_breaks_it():
    broken = LENIENT.union(*(expected for _, _, expected in FAULTS))
    assert (RULES | {"refusal-times"}) - broken == {"request-framing", "rs256"}  # see the tests of these


@pytest.mark.parametrize(("fault", "expected"), [("", set()), ("remembers ten tokens", {"replay-later"})])
@pytest.mark.gen_test(timeout=30)
async def test_a_token_evicted_from_the_record_is_found_at_the_end(signer, fault, expected):
    async def many(session):
        target = find_get_target(session)
        for _ in range(10):
            await session.send(target.build_request())
        async for result in replayed_tokens.replay_first_token(session):
            yield result

    async with standin(signer, fault) as url:
        assert findings(await report_on(url, signer, Phase("many", many))) == expected


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_a_server_may_take_ps256_only(signer):
    async with standin(signer, "PS256 only") as url:
        report = await report_on(url, signer, only(refusals))
    assert findings(report) == LENIENT
    assert [result.verdict for result in report.results if result.rule.name == "rs256"] == ["skipped"]


@asynccontextmanager
async def naive():
    """The URL of a server that takes every head it sees for a request, and answers it."""

    async def talk(reader, writer):
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.slow
@pytest.mark.gen_test(timeout=60)
async def test_a_server_that_loses_count_of_requests_is_found(signer, monkeypatch):
    monkeypatch.setattr(wire, "SECONDS", 0.3)  # it never closes a connection
    ids = {"customerId": "c-1"}
    run = CustomerRun(EMAIL, "c-1", ("a-1",), ("a-1",))
    for operation in PLAN.operations[:2]:
        run.sequences[operation.name].append(
            CallSequence(operation, ids, [Exchange(request=build_request(operation, ids), status=200)])
        )
    async with naive() as url, open_caller(url, url, ISSUER, signer, seconds=5) as caller:
        session = Session(caller, PLAN, runs=[run])
        target = find_get_target(session)
        found = {result.rule.name async for result in wire.run(target) if result.failures}
    assert found == {"request-framing", "request-bounds", "replay-at-once"}
