"""The gate: which tokens are let in, which are not and how that is answered, and what uses a token up."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from dataclasses import replace
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization

from helpers import shared
from helpers.clocks import Clock
from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import ISSUER, Answer, World, sample_rows, start_with
from helpers.tokens import ABSENT, STRANGER, Mint, decode_base64url, encode_base64url
from openholder.fiskil.signer import Signer
from openholder.gate import CannotJudge, Gate, Reason, Refused, TokenFacts
from openholder.gate.audience import check_audience
from openholder.gate.fetching import FetchedDocument
from openholder.gate.jwks import JWKSCache
from openholder.gate.stores.memory import MemoryStore
from openholder.gate.stores.sqlite import SQLiteSettings, SQLiteStore
from openholder.settings import Fiskil

OTHER_TENANT = "otherbank.cdr.fiskil.com"

CHALLENGE = 'Bearer realm="127.0.0.1"'
INVALID_TOKEN = f'{CHALLENGE}, error="invalid_token"'
INVALID_REQUEST = f'{CHALLENGE}, error="invalid_request"'


module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)
served = pytest.fixture(shared.serve_sample, scope="module")


def mint_of(world: World, path: str = BALANCE) -> Mint:
    return Mint(world.signer, world.url, path)


async def start(world, **more):
    """Serve the sample data; gives the running server."""
    await start_with(world, "sqlite", sample_rows(), **more)
    return world.holder


def refusals(holder) -> Counter[str]:
    """How often each reason was counted: the operator learns it, the caller does not."""
    return Counter(
        {
            sample.labels["reason"]: int(sample.value)
            for metric in holder.state.journal.registry.collect()
            for sample in metric.samples
            if sample.name == "openholder_http_refusals_total"
        }
    )


# -- let in -------------------------------------------------------------------------------------------------------

GOOD = {
    "signed with PS256": lambda mint: mint.token(),
    "signed with RS256": lambda mint: mint.signer.sign_token(ISSUER, mint.uri, algorithm="RS256"),
    "exp 29 seconds ago: clocks may differ by 30": lambda mint: mint.token(exp=time.time() - 29),
    "exp with a fraction": lambda mint: mint.token(exp=mint.now + 300.5),
    "exp with an exponent": lambda mint: mint.sign(
        mint.header(), json.dumps(mint.claims(exp=0)).replace('"exp": 0', f'"exp": {(mint.now + 300) / 1e9:.9f}e9')
    ),
    "nbf and iat 20 seconds ahead": lambda mint: mint.token(nbf=mint.now + 20, iat=mint.now + 20),
    "no iat": lambda mint: mint.token(iat=ABSENT),
    "aud as a list of just the URI": lambda mint: mint.token(aud=[mint.uri]),
    "the longest jti": lambda mint: mint.token(jti="j" * 256),
    "a jti of odd characters": lambda mint: mint.token(jti="\0\n\u00e9 ' --"),
    "a hundred claims nobody knows": lambda mint: mint.token(**{f"claim{number}": [number] for number in range(100)}),
    "no typ": lambda mint: mint.token(header={"typ": ABSENT}),
    "typ at+jwt": lambda mint: mint.token(header={"typ": "at+jwt"}),
    "typ application/JWT": lambda mint: mint.token(header={"typ": "application/JWT"}),
    "header parameters that are not for us": lambda mint: mint.token(
        header={
            "jku": "http://127.0.0.1:9/keys",
            "x5u": "http://127.0.0.1:9/chain",
            "jwk": {"kty": "oct", "k": "AA"},
            "zip": "DEF",
            "x": None,
        }
    ),
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
@pytest.mark.gen_test
async def test_a_good_token_is_let_in(served, make):
    before = refusals(served.holder)
    answer = await served.call(BALANCE, token=make(mint_of(served)))
    assert (answer.status, answer.json["account_id"]) == (200, "acc-2001")
    assert "WWW-Authenticate" not in answer.headers
    assert refusals(served.holder) - before == {}


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer  "])
@pytest.mark.gen_test
async def test_the_scheme_is_case_insensitive(served, scheme):
    """One or more spaces may follow it (RFC 9110, section 11.4)."""
    answer = await served.call(BALANCE, headers={"Authorization": scheme + served.token(BALANCE)})
    assert answer.status == 200


@pytest.mark.gen_test
async def test_the_query_is_no_part_of_the_audience(served):
    answer = await served.call(f"{BALANCE}?page=2&aud=x", token=mint_of(served).token())
    assert answer.status == 200


@pytest.mark.gen_test
async def test_the_audience_is_compared_with_the_raw_path(served):
    """A percent-encoded letter is not the letter."""
    written = BALANCE.replace("cust-1001", "cust%2D1001")
    assert (await served.call(written, token=mint_of(served, BALANCE).token())).status == 401
    assert (await served.call(written, token=mint_of(served, written).token())).status == 200


@pytest.mark.parametrize(
    ("in_key_set", "in_token", "status"),
    [
        ([None], "PS256", 200),
        ([None], "RS256", 200),
        (["PS256"], "PS256", 200),
        (["RS256"], "RS256", 200),
        (["RS256", "PS256"], "PS256", 200),  # one key may stand there twice, once for each algorithm
        (["RS256", "PS256"], "RS256", 200),
        (["RS256"], "PS256", 401),
        (["PS256"], "RS256", 401),
    ],
)
@pytest.mark.gen_test
async def test_a_key_serves_the_algorithm_that_it_names_or_both(world, in_key_set, in_token, status):
    jwks = [world.signer.public_jwk(**({"alg": algorithm} if algorithm else {})) for algorithm in in_key_set]
    world.jwks = json.dumps({"keys": jwks}).encode()
    await start(world)
    answer = await world.call(BALANCE, token=world.token(BALANCE, algorithm=in_token))
    assert answer.status == status


# -- not let in: the token ----------------------------------------------------------------------------------------


def hmac_with_the_public_key(mint: Mint) -> str:
    """The oldest trick: HS256 takes a secret, and a careless library takes the public key for it."""
    pem = mint.signer._key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = mint.token(header={"alg": "HS256"}).rpartition(".")[0]
    return f"{signed}.{encode_base64url(hmac.digest(pem, signed.encode(), 'sha256'))}"


def last_character_raised(token: str) -> str:
    """The same 256 bytes of signature: the last of 342 characters has four bits that no byte uses."""
    changed = token[:-1] + chr(ord(token[-1]) + 1)
    assert decode_base64url(changed.rpartition(".")[2]) == decode_base64url(token.rpartition(".")[2])
    return changed


def tampered(token: str) -> str:
    """Other claims under the signature of these."""
    header, claims, signature = token.split(".")
    return ".".join(
        [header, encode_base64url(decode_base64url(claims).replace(b"examplebank", b"Examplebank")), signature]
    )


def twice(mint: Mint, claim: str, first: object, second: object) -> str:
    """A claim that stands in the token twice: readers that choose silently choose differently."""
    rest = json.dumps(mint.claims(**{claim: ABSENT}))
    return mint.sign(mint.header(), f'{{"{claim}": {json.dumps(first)}, "{claim}": {json.dumps(second)}, {rest[1:]}')


FORM = {
    "one part": (lambda mint: "abc", Reason.NOT_COMPACT_JWS),
    "two parts": (lambda mint: mint.token().rpartition(".")[0], Reason.NOT_COMPACT_JWS),
    "five parts, as encrypted tokens have": (lambda mint: mint.token() + ".AA.AA", Reason.NOT_COMPACT_JWS),
    "padding": (lambda mint: mint.token() + "==", Reason.NOT_COMPACT_JWS),
    "base64 that is not base64url": (lambda mint: mint.token().replace(".", ".+/", 1), Reason.NOT_COMPACT_JWS),
    "base64url that no encoder writes": (
        lambda mint: last_character_raised(mint.token()),
        Reason.NOT_CANONICAL_BASE64URL,
    ),
    "a part of impossible length": (lambda mint: mint.token() + "AAA", Reason.NOT_CANONICAL_BASE64URL),
    "8193 characters": (lambda mint: mint.token().ljust(8193, "A"), Reason.TOKEN_TOO_LONG),
    "header no JSON": (lambda mint: mint.sign("{", mint.claims()), Reason.HEADER_NOT_JSON),
    "header a list": (lambda mint: mint.sign("[]", mint.claims()), Reason.HEADER_NOT_JSON),
    "header in UTF-16": (
        lambda mint: mint.sign(json.dumps(mint.header()).encode("utf-16"), mint.claims()),
        Reason.HEADER_NOT_JSON,
    ),
    "payload no JSON": (lambda mint: mint.sign(mint.header(), "{"), Reason.PAYLOAD_NOT_JSON),
    "payload text": (lambda mint: mint.sign(mint.header(), '"claims"'), Reason.PAYLOAD_NOT_JSON),
    "payload with NaN": (lambda mint: mint.token(x=float("nan")), Reason.PAYLOAD_NOT_JSON),
    "payload deeper than anybody needs": (
        lambda mint: mint.sign(mint.header(), "[" * 2000 + "]" * 2000),
        Reason.PAYLOAD_NOT_JSON,
    ),
    "jti half a character": (lambda mint: mint.token(jti="\ud800"), Reason.PAYLOAD_NOT_JSON),
    "alg twice": (
        lambda mint: mint.sign(f'{{"alg": "none", {json.dumps(mint.header())[1:]}', mint.claims()),
        Reason.HEADER_NOT_JSON,
    ),
    "exp twice, good first": (lambda mint: twice(mint, "exp", mint.now + 9, 1), Reason.PAYLOAD_NOT_JSON),
    "exp twice, good last": (lambda mint: twice(mint, "exp", 1, mint.now + 9), Reason.PAYLOAD_NOT_JSON),
    "aud twice": (lambda mint: twice(mint, "aud", mint.uri, "https://evil.example/"), Reason.PAYLOAD_NOT_JSON),
    "jti twice": (lambda mint: twice(mint, "jti", "a", "b"), Reason.PAYLOAD_NOT_JSON),
}

HEADER = {
    "alg none, signed all the same": (lambda mint: mint.token(header={"alg": "none"}), Reason.ALGORITHM_NOT_ALLOWED),
    "alg none, not signed": (
        lambda mint: mint.token(header={"alg": "none"}).rpartition(".")[0] + ".",
        Reason.NOT_COMPACT_JWS,
    ),
    "alg nOnE": (lambda mint: mint.token(header={"alg": "nOnE"}), Reason.ALGORITHM_NOT_ALLOWED),
    "alg HS256 with the public key as secret": (hmac_with_the_public_key, Reason.ALGORITHM_NOT_ALLOWED),
    "alg ES256": (lambda mint: mint.token(header={"alg": "ES256"}), Reason.ALGORITHM_NOT_ALLOWED),
    "alg PS512": (lambda mint: mint.token(header={"alg": "PS512"}), Reason.ALGORITHM_NOT_ALLOWED),
    "alg in small letters": (lambda mint: mint.token(header={"alg": "ps256"}), Reason.ALGORITHM_NOT_ALLOWED),
    "alg a list": (lambda mint: mint.token(header={"alg": ["PS256"]}), Reason.ALGORITHM_NOT_ALLOWED),
    "no alg": (lambda mint: mint.token(header={"alg": ABSENT}), Reason.ALGORITHM_NOT_ALLOWED),
    "no kid": (lambda mint: mint.token(header={"kid": ABSENT}), Reason.KID_MALFORMED),
    "kid empty": (lambda mint: mint.token(header={"kid": ""}), Reason.KID_MALFORMED),
    "kid a number": (lambda mint: mint.token(header={"kid": 1}), Reason.KID_MALFORMED),
    "kid of 257 characters": (lambda mint: mint.token(header={"kid": "k" * 257}), Reason.KID_MALFORMED),
    "crit": (lambda mint: mint.token(header={"crit": ["x"], "x": 1}), Reason.CRITICAL_EXTENSION),
    "crit empty": (lambda mint: mint.token(header={"crit": []}), Reason.CRITICAL_EXTENSION),
    "crit b64": (lambda mint: mint.token(header={"crit": ["b64"], "b64": True}), Reason.CRITICAL_EXTENSION),
    "typ of another kind of token": (lambda mint: mint.token(header={"typ": "logout+jwt"}), Reason.TYPE_NOT_ALLOWED),
    "typ a number": (lambda mint: mint.token(header={"typ": 7}), Reason.TYPE_NOT_ALLOWED),
    "kid of no key": (lambda mint: mint.token(header={"kid": "k2"}), Reason.KEY_UNKNOWN),
    "another key under this kid": (lambda mint: replace(mint, signer=STRANGER).token(), Reason.SIGNATURE_WRONG),
    "another key that the token itself carries": (
        lambda mint: replace(mint, signer=STRANGER).token(header={"jwk": STRANGER.public_jwk()}),
        Reason.SIGNATURE_WRONG,
    ),
    "a PS256 signature called RS256": (lambda mint: mint.token(header={"alg": "RS256"}), Reason.SIGNATURE_WRONG),
    "claims changed after signing": (lambda mint: tampered(mint.token()), Reason.SIGNATURE_WRONG),
}
CLAIMS = {
    "no exp": (lambda mint: mint.token(exp=ABSENT), Reason.EXPIRY_MALFORMED),
    "exp null": (lambda mint: mint.token(exp=None), Reason.EXPIRY_MALFORMED),
    "exp text": (lambda mint: mint.token(exp=str(int(mint.now) + 300)), Reason.EXPIRY_MALFORMED),
    "exp true": (lambda mint: mint.token(exp=True), Reason.EXPIRY_MALFORMED),
    "exp a list": (lambda mint: mint.token(exp=[mint.now + 300]), Reason.EXPIRY_MALFORMED),
    "expired": (lambda mint: mint.token(exp=mint.now - 30), Reason.EXPIRED),
    "exp too far away": (lambda mint: mint.token(exp=mint.now + 3700), Reason.LIFETIME_TOO_LONG),
    "nbf ahead": (lambda mint: mint.token(nbf=mint.now + 60), Reason.NOT_YET_VALID),
    "nbf text": (lambda mint: mint.token(nbf="0"), Reason.NOT_YET_VALID),
    "nbf null": (lambda mint: mint.token(nbf=None), Reason.NOT_YET_VALID),
    "iat ahead": (lambda mint: mint.token(iat=mint.now + 60), Reason.ISSUED_IN_FUTURE),
    "iat true": (lambda mint: mint.token(iat=True), Reason.ISSUED_IN_FUTURE),
    "no iss": (lambda mint: mint.token(iss=ABSENT), Reason.ISSUER_WRONG),
    "another tenant of the same signer": (
        lambda mint: mint.token(iss=OTHER_TENANT, sub=OTHER_TENANT),
        Reason.ISSUER_WRONG,
    ),
    "iss a list": (lambda mint: mint.token(iss=[ISSUER]), Reason.ISSUER_WRONG),
    "iss with a scheme": (lambda mint: mint.token(iss=f"https://{ISSUER}"), Reason.ISSUER_WRONG),
    "iss in capitals": (lambda mint: mint.token(iss=ISSUER.upper()), Reason.ISSUER_WRONG),
    "iss and more": (lambda mint: mint.token(iss=f"{ISSUER}.evil.example"), Reason.ISSUER_WRONG),
    "iss cut short": (lambda mint: mint.token(iss=ISSUER[:-4]), Reason.ISSUER_WRONG),
    "no sub": (lambda mint: mint.token(sub=ABSENT), Reason.SUBJECT_WRONG),
    "sub of another tenant": (lambda mint: mint.token(sub=OTHER_TENANT), Reason.SUBJECT_WRONG),
    "sub a customer": (lambda mint: mint.token(sub="cust-1001"), Reason.SUBJECT_WRONG),
    "sub a list": (lambda mint: mint.token(sub=[ISSUER]), Reason.SUBJECT_WRONG),
    "no jti": (lambda mint: mint.token(jti=ABSENT), Reason.TOKEN_ID_MALFORMED),
    "jti empty": (lambda mint: mint.token(jti=""), Reason.TOKEN_ID_MALFORMED),
    "jti of 257 characters": (lambda mint: mint.token(jti="j" * 257), Reason.TOKEN_ID_MALFORMED),
    "jti a number": (lambda mint: mint.token(jti=7), Reason.TOKEN_ID_MALFORMED),
}

AUDIENCES = {
    "missing": lambda uri: ABSENT,
    "null": lambda uri: None,
    "empty": lambda uri: "",
    "an empty list": lambda uri: [],
    "a list in a list": lambda uri: [[uri]],
    "an object": lambda uri: {uri: uri},
    "the URI and another": lambda uri: [uri, "https://evil.example/"],
    "the URI twice": lambda uri: [uri, uri],
    "with a slash at the end": lambda uri: f"{uri}/",
    "with a double slash": lambda uri: uri.replace("/accounts/", "//accounts/"),
    "with a dot segment": lambda uri: uri.replace("/accounts/", "/./accounts/"),
    "with a fragment": lambda uri: f"{uri}#x",
    "with a space at the end": lambda uri: f"{uri} ",
    "https, where the public URL is http": lambda uri: uri.replace("http:", "https:"),
    "another host": lambda uri: uri.replace("127.0.0.1", "localhost"),
    "another port": lambda uri: uri.replace("127.0.0.1:", "127.0.0.1:1"),
    "with a user": lambda uri: uri.replace("://", "://me@"),
    "another account": lambda uri: uri.replace("acc-2001", "acc-2002"),
    "with a tab in the host": lambda uri: uri.replace("127.", "127.\t"),
    "no URI at all": lambda uri: "http://[",
    "only the path": lambda uri: BALANCE,
    "only the server": lambda uri: uri.removesuffix(BALANCE),
}

# What is almost right has reasons of its own: during a roll-out they tell how the other side writes its URIs.
NEAR_MISSES = {
    "with a query": (lambda uri: f"{uri}?page=1", Reason.AUDIENCE_WITH_QUERY),
    "with a letter written as %63": (
        lambda uri: uri.replace("/customer/c", "/customer/%63"),
        Reason.AUDIENCE_NOT_EXACT,
    ),
    "with the scheme in capitals": (lambda uri: uri.replace("http:", "HTTP:"), Reason.AUDIENCE_NOT_EXACT),
    "with a slash written as %2F": (lambda uri: uri.replace("/acc-", "%2Facc-"), Reason.AUDIENCE_OTHER_ESCAPES),
}


def for_audience(audience, reason):
    return lambda mint: mint.token(aud=audience(mint.uri)), reason


@pytest.mark.parametrize("character", "@+/:=,")  # what `id_characters` may name, and clients write in two ways
@pytest.mark.parametrize("normalise", [False, True])
def test_another_way_to_escape_an_id_has_a_reason_of_its_own(character, normalise):
    """It is refused: RFC 3986 section 2.2 does not make the two one URI."""
    base = "https://bank.example/auth/v1/customer/kim"
    escaped, raw = f"{base}{quote(character, safe='')}7", f"{base}{character}7"
    for audience, accepted in [(escaped, raw), (raw, escaped)]:
        for more, reason in [("", Reason.AUDIENCE_OTHER_ESCAPES), ("0", Reason.AUDIENCE_WRONG)]:
            with pytest.raises(Refused) as refused:
                check_audience({"aud": audience + more}, [accepted], normalise=normalise)
            assert refused.value.reason == reason


BAD = {
    **{f"form: {name}": case for name, case in FORM.items()},
    **{f"header: {name}": case for name, case in HEADER.items()},
    **{f"claims: {name}": case for name, case in CLAIMS.items()},
    **{f"aud: {name}": for_audience(audience, Reason.AUDIENCE_WRONG) for name, audience in AUDIENCES.items()},
    **{f"aud: {name}": for_audience(*case) for name, case in NEAR_MISSES.items()},
}


@pytest.mark.slow
@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
@pytest.mark.gen_test
async def test_a_token_that_is_wrong_in_one_way_is_refused(served, make, reason):
    before = refusals(served.holder)
    answer = await served.call(BALANCE, token=make(mint_of(served)))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, INVALID_TOKEN)
    assert (answer.code, answer.json["errors"][0]["detail"]) == ("invalid_token", "authentication failed")
    assert "X-Sharing-Refused" not in answer.headers
    assert refusals(served.holder) - before == {reason: 1}


# -- not let in: the request --------------------------------------------------------------------------------------

REQUESTS = {
    "no header": (lambda good: [], 401, CHALLENGE, Reason.NO_TOKEN),
    "another scheme": (lambda good: ["Basic dXNlcjpwYXNz"], 401, CHALLENGE, Reason.NO_TOKEN),
    "a scheme that begins alike": (lambda good: [f"Bearers {good}"], 401, CHALLENGE, Reason.NO_TOKEN),
    "the token without a scheme": (lambda good: [good], 401, CHALLENGE, Reason.NO_TOKEN),
    "no token": (lambda good: ["Bearer "], 400, INVALID_REQUEST, Reason.EMPTY_TOKEN),
    "two tokens": (lambda good: [f"Bearer {good} {good}"], 400, INVALID_REQUEST, Reason.NOT_ONE_TOKEN),
    "two in a list": (lambda good: [f"Bearer {good}, Bearer {good}"], 400, INVALID_REQUEST, Reason.NOT_ONE_TOKEN),
    "two headers, good first": (
        lambda good: [f"Bearer {good}", "Bearer x"],
        400,
        INVALID_REQUEST,
        Reason.NOT_ONE_TOKEN,
    ),
    "two headers, good last": (lambda good: ["Basic x", f"Bearer {good}"], 400, INVALID_REQUEST, Reason.NOT_ONE_TOKEN),
}


async def get_with(world: World, *authorization: str) -> Answer:
    """GET with any number of Authorization headers: a dictionary holds only one."""
    headers = [("Authorization", value) for value in authorization]
    async with world.session.get(world.url + BALANCE, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


@pytest.mark.parametrize(("make", "status", "challenge", "reason"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.gen_test
async def test_a_request_without_exactly_one_token_is_refused(served, make, status, challenge, reason):
    before = refusals(served.holder)
    good = served.token(BALANCE)
    answer = await get_with(served, *make(good))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (status, challenge)
    assert answer.code == {400: "invalid_request", 401: "invalid_token"}[status]
    assert "X-Sharing-Refused" not in answer.headers
    assert refusals(served.holder) - before == {reason: 1}
    assert (await get_with(served, f"Bearer {good}")).status == 200


@pytest.mark.parametrize(
    "spoofed",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"},
        {"Forwarded": "host=evil.example;proto=http"},
    ],
    ids=" and ".join,
)
@pytest.mark.gen_test
async def test_headers_do_not_move_the_server(served, spoofed):
    elsewhere = served.signer.sign_token(ISSUER, f"http://evil.example{BALANCE}")
    assert (await served.call(BALANCE, token=elsewhere, headers=spoofed)).status == 401
    assert (await served.call(BALANCE, headers=spoofed)).status == 200


@pytest.mark.parametrize(
    ("path", "code"), [(BALANCE, "invalid_token"), (SEARCH, "urn:au-cds:error:cds-all:GeneralError/Expected")]
)
@pytest.mark.gen_test
async def test_the_caller_never_learns_why_authentication_failed(served, path, code):
    mint, body = mint_of(served, path), JANE if path == SEARCH else None
    used = mint.token()
    await served.call(path, token=used, body=body)
    tokens = [
        "",
        "abc",
        used,
        mint.token(exp=1),
        mint.token(aud="x"),
        mint.token(sub="x"),
        mint.token(header={"kid": "x"}),
        replace(mint, signer=STRANGER).token(),
    ]
    answers = [await served.call(path, token=token, body=body) for token in tokens]
    assert {answer.status for answer in answers} == {401}
    assert {answer.code for answer in answers} == {code}
    assert len({answer.headers["x-fapi-interaction-id"] for answer in answers}) == len(tokens)
    assert len({answer.text.replace(answer.headers["x-fapi-interaction-id"].encode(), b"") for answer in answers}) == 1
    assert len({tuple(answer.headers) for answer in answers}) == 1


# -- used up, or not ----------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_token_works_once(served):
    before = refusals(served.holder)
    token = served.token(BALANCE)
    answers = [await served.call(BALANCE, token=token) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 401, 401]
    assert answers[1].headers["WWW-Authenticate"] == INVALID_TOKEN
    assert refusals(served.holder) - before == {Reason.REPLAYED: 2}


@pytest.mark.gen_test
async def test_of_fifty_requests_at_once_with_one_token_one_is_let_in(served):
    token = served.token(BALANCE)
    answers = await asyncio.gather(*(served.call(BALANCE, token=token) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [200] + 49 * [401]


@pytest.mark.gen_test
async def test_a_token_is_known_by_issuer_and_jti_alone(served):
    mint = mint_of(served)
    tokens = [
        mint.token(jti="one"),
        mint.token(jti="one", exp=mint.now + 60),
        mint.token(jti="One"),
        mint.token(jti="one\0"),
    ]
    assert [(await served.call(BALANCE, token=token)).status for token in tokens] == [200, 401, 200, 200]


@pytest.mark.gen_test
async def test_a_token_refused_elsewhere_still_works_at_its_own_url(served):
    token = served.token(BALANCE)
    assert (await served.call(BALANCE.replace("acc-2001", "acc-2002"), token=token)).status == 401
    assert (await served.call(BALANCE, token=token)).status == 200


@pytest.mark.gen_test
async def test_a_forgery_does_not_use_up_the_token_whose_id_it_bears(served):
    mint, forger = mint_of(served), Mint(STRANGER, served.url)
    assert (await served.call(BALANCE, token=forger.token(jti="guessed"))).status == 401
    assert (await served.call(BALANCE, token=mint.token(jti="guessed"))).status == 200


@pytest.mark.parametrize(
    ("path", "body", "wrong", "status"),
    [
        (BALANCE, None, {"path": f"{BALANCE}/"}, 404),
        (BALANCE, None, {"method": "PUT"}, 405),
        (BALANCE, None, {"method": "HEAD"}, 405),
        (BALANCE, None, {"headers": {"Accept": "text/html"}}, 406),
        (SEARCH, JANE, {"method": "GET"}, 405),
        (SEARCH, JANE, {"body": b" " * 70_000}, 413),
        (SEARCH, JANE, {"headers": {"Content-Type": "text/plain"}}, 415),
        (SEARCH, JANE, {"headers": {"Content-Encoding": "gzip"}}, 415),
    ],
)
@pytest.mark.gen_test
async def test_what_is_refused_before_the_gate_uses_no_token_up(served, path, body, wrong, status):
    right = {"path": path, "body": body, "token": served.token(path)}
    assert (await served.call(**right | wrong)).status == status
    assert (await served.call(**right)).status == 200
    assert (await served.call(**right)).status == 401


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (BALANCE.replace("acc-2001", "acc-9999"), None, 404),
        (BALANCE.replace("cust-1001", "cust-9999"), None, 404),
        (BALANCE.replace("cust-1001", "%00"), None, 404),
        (SEARCH, b"no JSON", 400),
    ],
)
@pytest.mark.gen_test
async def test_what_goes_wrong_behind_the_gate_has_used_the_token_up(served, path, body, status):
    token = served.token(path)
    answers = [await served.call(path, token=token, body=body) for _ in range(2)]
    assert [answer.status for answer in answers] == [status, 401]


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_the_status_of_a_failed_authentication_may_be_403(world, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_FISKIL__AUTHENTICATION_FAILURE_STATUS", "403")
    await start(world)
    wrong, missing = await world.call(BALANCE, token="abc"), await world.call(BALANCE, token="")
    assert (wrong.status, wrong.headers["WWW-Authenticate"]) == (403, INVALID_TOKEN)
    assert (missing.status, missing.headers["WWW-Authenticate"]) == (403, CHALLENGE)
    assert "X-Sharing-Refused" not in wrong.headers
    assert (await get_with(world, "Bearer a", "Bearer b")).status == 400


@pytest.mark.parametrize(
    ("base", "issuer", "subject", "status"),
    [
        ("https://a.example", "one.example", "one.example", 200),
        ("https://b.example/holder", "one.example", "one.example", 200),
        ("https://b.example/holder", "https://one.example", "https://one.example", 200),
        ("https://b.example", "one.example", "one.example", 401),
        ("https://a.example", "one.example", "https://one.example", 401),  # each is known, but they must be the same
        ("https://a.example", ISSUER, ISSUER, 401),
    ],
)
@pytest.mark.gen_test
async def test_there_may_be_several_public_urls_and_issuers(world, monkeypatch, base, issuer, subject, status):
    monkeypatch.setenv("OPENHOLDER_PUBLIC_URL", "https://a.example,https://b.example/holder")
    monkeypatch.setenv("OPENHOLDER_FISKIL__ISSUER", "one.example, https://one.example")
    await start(world)
    answer = await world.call(BALANCE, token=world.signer.sign_token(issuer, base + BALANCE, sub=subject))
    assert answer.status == status


# -- nobody can tell ----------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_without_keys_the_answer_is_503_and_the_token_stays_good(world):
    world.jwks = b"<html>under maintenance</html>"
    await start(world)
    token = world.token(BALANCE)
    answer = await world.call(BALANCE, token=token)
    assert (answer.status, answer.code) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in answer.headers
    world.jwks = world.signer.jwks()
    while (answer := await world.call(BALANCE, token=token)).status == 503:
        await asyncio.sleep(0.02)  # the server asks for the keys again by itself, half a second after the failure
    assert answer.status == 200


# -- the gate by itself, with a clock that stands still -----------------------------------------------------------

NOW = 1_800_000_000
BASE = "https://api.examplebank.example"


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def mint(signer):
    return Mint(signer, BASE, stopped_at=NOW)


def gate_of(signer: Signer, clock: Clock, store=None, lost_before: float = 0, **settings) -> Gate:
    async def fetch() -> FetchedDocument:
        return FetchedDocument(signer.jwks())

    fiskil = Fiskil(issuer=ISSUER, jwks_url="https://fiskil.example/jwks.json", **settings)
    keys = JWKSCache(fetch, refresh=300, max_stale=86_400)
    return Gate(fiskil, [BASE], keys, store or MemoryStore(clock=clock), clock, lost_before)


async def verdict(gate: Gate, token: str) -> Reason | None:
    """Why the gate refuses the token; None when it lets it in."""
    try:
        await gate.admit([f"Bearer {token}"], BALANCE, TokenFacts())
    except Refused as exc:
        return exc.reason
    return None


@pytest.mark.parametrize(
    ("claim", "seconds", "reason"),
    [
        ("exp", -29.99, None),
        ("exp", -30, Reason.EXPIRED),
        ("exp", 3630, None),
        ("exp", 3630.01, Reason.LIFETIME_TOO_LONG),
        ("nbf", 30, None),
        ("nbf", 30.01, Reason.NOT_YET_VALID),
        ("iat", 30, None),
        ("iat", 30.01, Reason.ISSUED_IN_FUTURE),
    ],
)
@pytest.mark.gen_test
async def test_clocks_may_differ_by_thirty_seconds_and_no_more(signer, clock, mint, claim, seconds, reason):
    assert await verdict(gate_of(signer, clock), mint.token(**{claim: NOW + seconds})) is reason


@pytest.mark.gen_test
async def test_tolerance_and_lifetime_are_settings(signer, clock, mint):
    gate = gate_of(signer, clock, clock_tolerance=0, max_token_lifetime=60)
    seconds = {60: None, 61: Reason.LIFETIME_TOO_LONG, 1: None, 0: Reason.EXPIRED}
    assert {after: await verdict(gate, mint.token(exp=NOW + after)) for after in seconds} == seconds


@pytest.mark.gen_test
async def test_algorithms_may_be_narrowed(signer, clock, mint):
    gate = gate_of(signer, clock, algorithms="PS256")
    assert await verdict(gate, mint.token()) is None
    rs256 = signer.sign_token(ISSUER, BASE + BALANCE, algorithm="RS256", iat=NOW, exp=NOW + 300)
    assert await verdict(gate, rs256) is Reason.ALGORITHM_NOT_ALLOWED
    assert await verdict(gate_of(signer, clock), rs256) is None


@pytest.mark.gen_test
async def test_a_used_token_is_remembered_until_it_expires(signer, clock, mint):
    gate, token = gate_of(signer, clock), mint.token(exp=NOW + 300)
    assert await verdict(gate, token) is None
    for seconds, reason in ((0, Reason.REPLAYED), (329.99, Reason.REPLAYED), (330, Reason.EXPIRED)):
        clock.now = NOW + seconds
        assert await verdict(gate, token) is reason


@pytest.mark.parametrize("seconds", [150, 1])
@pytest.mark.gen_test
async def test_a_clock_that_is_set_back_accepts_no_token_twice(signer, clock, mint, seconds):
    gate, token = gate_of(signer, clock), mint.token(exp=NOW + 300)
    assert await verdict(gate, token) is None
    clock.now = NOW + 400
    assert await verdict(gate, mint.token(exp=NOW + 600)) is None  # by now the first one has been forgotten
    clock.now = NOW + seconds
    assert await verdict(gate, token) is not None


@pytest.mark.gen_test
async def test_tokens_issued_before_the_record_was_lost_are_refused(signer, clock, mint):
    gate = gate_of(signer, clock, lost_before=NOW)
    lost = Reason.ISSUED_BEFORE_RECORD
    for issued, reason in ((NOW - 1, lost), (NOW + 29, lost), (ABSENT, lost), (NOW + 30, None)):
        assert await verdict(gate, mint.token(iat=issued)) is reason
    clock.now = NOW + 40
    longest = NOW + 3600 + 30  # what was accepted before the loss has expired by then
    assert await verdict(gate, mint.token(iat=ABSENT, exp=longest)) is lost
    assert await verdict(gate, mint.token(iat=ABSENT, exp=longest + 1)) is None


@pytest.mark.gen_test
async def test_a_record_that_cannot_be_asked_lets_nobody_in(signer, clock, mint, tmp_path):
    never_opened = SQLiteStore(SQLiteSettings(path=tmp_path / "replay.db"))
    with pytest.raises(CannotJudge) as raised:
        await gate_of(signer, clock, never_opened).admit([f"Bearer {mint.token()}"], BALANCE, TokenFacts())
    assert raised.value.retry_after >= 1


@pytest.mark.gen_test
async def test_the_log_gets_the_facts_of_an_accepted_token(signer, clock, mint):
    """Key id, algorithm and lifetime, and a hash of the token's id."""
    facts = TokenFacts()
    await gate_of(signer, clock).admit([f"Bearer {mint.token(jti='secret')}"], BALANCE, facts)
    hashed = hashlib.sha256(b"secret").hexdigest()[:12]
    assert facts == TokenFacts(kid="k1", alg="PS256", jti=hashed, life=300)


@pytest.mark.gen_test
async def test_the_log_learns_little_of_a_token_that_is_not_proven(signer, clock, mint):
    facts = TokenFacts()
    with pytest.raises(Refused):
        await gate_of(signer, clock).admit(["Bearer " + mint.token(header={"kid": "k" * 200})], BALANCE, facts)
    assert facts == TokenFacts(kid="k" * 32, alg="PS256")
