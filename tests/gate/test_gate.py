"""The gate: which requests are let in, how the others are answered, and what uses a token up."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

from helpers import shared
from helpers.gate import CHALLENGE, INVALID_TOKEN, mint_of
from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import ISSUER, Answer, World, sample_rows, start_with
from helpers.tokens import ABSENT, STRANGER, Mint
from openholder.gate import Reason

INVALID_REQUEST = f'{CHALLENGE}, error="invalid_request"'

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)
served = pytest.fixture(shared.serve_sample, scope="module")


async def start(world, **more):
    """Serve the sample data; gives the running server."""
    await start_with(world, "sqlite", sample_rows(), **more)
    return world.holder


# -- let in ------------------------------------------------------------------------------------------------------------

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
    before = shared.count_refusals(served)
    answer = await served.call(BALANCE, token=make(mint_of(served)))
    assert (answer.status, answer.json["account_id"]) == (200, "acc-2001")
    assert "WWW-Authenticate" not in answer.headers
    assert shared.count_refusals(served) - before == {}


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


# -- not let in: the request -------------------------------------------------------------------------------------------

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
    before = shared.count_refusals(served)
    good = served.token(BALANCE)
    answer = await get_with(served, *make(good))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (status, challenge)
    assert answer.code == {400: "invalid_request", 401: "invalid_token"}[status]
    assert "X-Sharing-Refused" not in answer.headers
    assert shared.count_refusals(served) - before == {reason: 1}
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


# -- used up, or not ---------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_token_works_once(served):
    before = shared.count_refusals(served)
    token = served.token(BALANCE)
    answers = [await served.call(BALANCE, token=token) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 401, 401]
    assert answers[1].headers["WWW-Authenticate"] == INVALID_TOKEN
    assert shared.count_refusals(served) - before == {Reason.REPLAYED: 2}


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


# -- settings ----------------------------------------------------------------------------------------------------------


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


# -- nobody can tell ---------------------------------------------------------------------------------------------------


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
