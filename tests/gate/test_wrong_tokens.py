"""Tokens that are wrong in one way: each is refused for its own reason, and all are answered alike."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization

from helpers import shared
from helpers.gate import INVALID_TOKEN, mint_of
from helpers.people import BALANCE
from helpers.support import ISSUER
from helpers.tokens import ABSENT, STRANGER, Mint, decode_base64url, encode_base64url
from openholder.gate import Reason, Refused
from openholder.gate.audience import check_audience

OTHER_TENANT = "otherbank.cdr.fiskil.com"

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)
served = pytest.fixture(shared.serve_sample, scope="module")


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
    before = shared.count_refusals(served)
    answer = await served.call(BALANCE, token=make(mint_of(served)))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, INVALID_TOKEN)
    assert (answer.code, answer.json["errors"][0]["detail"]) == ("invalid_token", "authentication failed")
    assert "X-Sharing-Refused" not in answer.headers
    assert shared.count_refusals(served) - before == {reason: 1}
