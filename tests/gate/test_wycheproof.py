"""Google's Wycheproof vectors against the gate: each is let in or refused as it says, but for what is listed here.

Hardly any of their payloads is a JSON object, so every token would be refused for that alone. Each is therefore judged
twice: as it stands, and as if its payload had been an object, with the signature over what is really there.
"""

from __future__ import annotations

import json
import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm, RSAPSSAlgorithm
from jwt.utils import to_base64url_uint

from helpers.wycheproof import VECTORS, needs_vectors
from openholder.gate import Refused
from openholder.gate.keys import ALGORITHMS, KeyTable, UnusableKeySet, parse_key_set
from openholder.gate.token import _decode_base64url, parse_token
from openholder.settings import Fiskil

pytestmark = needs_vectors

TYPES = Fiskil.model_fields["token_types"].default

NOT_OURS = "only PS256 and RS256 are accepted"
SEVERAL_FAULTS = "wrong itself: the header's algorithm is not the key's (and not ours)"
STRAY_CHARACTER = "wrong itself: a question mark within the base64url, which RFC 7515 section 2 does not allow"
NO_PAYLOAD = "an empty payload is no JWT"
PADDING_LOST = "wrong itself: the padding was lost, and the text is that of the valid 357; refused as HS256 anyway"

LISTED: dict[str, dict[str, set[int]]] = {
    "json_web_signature": {
        NOT_OURS: {1, 18, *range(264, 272), *range(320, 324), *range(325, 329), 348, 352, *range(357, 360), 376, 377}
        | {378},
        SEVERAL_FAULTS: {346, 347, 350, 351},
        STRAY_CHARACTER: {372, 373},
        NO_PAYLOAD: {259, 272},
    },
    "json_web_key": {NOT_OURS: {2, 13, 14, 15}},
    "json_web_crypto": {NOT_OURS: {1, 18, 48}},
}
"""Vectors marked valid that are refused, by file and reason. None that is marked invalid is accepted."""

FAULTY_BUT_AS_MARKED = {"json_web_signature": {PADDING_LOST: {367, 370}}}

COUNTS = {"json_web_signature": 401, "json_web_key": 26, "json_web_crypto": 49, "json_web_encryption": 139}


def groups(name: str) -> list[dict]:
    return json.loads((VECTORS / f"{name}_test.json").read_text(encoding="utf-8"))["testGroups"]


def vectors(name: str, member: str = "jws") -> list[tuple[dict, dict]]:
    """Every test with its group."""
    return [(group, test) for group in groups(name) for test in group["tests"] if member in test]


def table_of(group: dict) -> KeyTable | None:
    """The group's keys as we would have fetched them; None where none of them is usable."""
    key = group.get("public") or group["private"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyJWT warns of short keys, which are refused
        try:
            return parse_key_set(json.dumps(key if "keys" in key else {"keys": [key]}).encode())
        except UnusableKeySet:
            return None


def as_text(token: str | dict) -> str:
    return token if isinstance(token, str) else json.dumps(token)


def accepted(token: str, table: KeyTable | None) -> bool:
    try:
        parsed = parse_token(token, tuple(ALGORITHMS), TYPES)
    except Refused:
        return False
    return bool(table and table.verify(parsed.kid, parsed.algorithm, parsed.signed, parsed.signature))


def accepted_but_for_the_payload(token: str, table: KeyTable | None) -> bool:
    """Whether it would be accepted if its payload were an object: ``{}`` is put there for the judgement of the form."""
    parts = token.split(".")
    if len(parts) != 3 or not parts[1]:
        return False
    header, payload, signature = parts
    try:
        _decode_base64url(payload.encode())
        parsed = parse_token(f"{header}.e30.{signature}", tuple(ALGORITHMS), TYPES)
    except Refused:
        return False
    signed = f"{header}.{payload}".encode()
    return bool(table and table.verify(parsed.kid, parsed.algorithm, signed, parsed.signature))


def names(name: str, tests: list[dict]) -> list[str]:
    return [f"{name} {test['tcId']} ({test['comment']})" for test in tests]


@pytest.mark.parametrize("name", LISTED)
def test_vectors_are_judged_as_marked(name):
    """The vectors listed in this module are the exceptions."""
    listed = set().union(*LISTED[name].values())
    tests = vectors(name)
    assert len(tests) == COUNTS[name]
    judged = [(test, accepted_but_for_the_payload(as_text(test["jws"]), table_of(group))) for group, test in tests]
    assert names(name, [test for test, good in judged if good and test["result"] != "valid"]) == []
    refused = [test for test, good in judged if not good and test["result"] == "valid"]
    assert names(name, [test for test in refused if test["tcId"] not in listed]) == []
    assert listed - {test["tcId"] for test in refused} == set(), "listed, but judged as marked"


@pytest.mark.parametrize("name", FAULTY_BUT_AS_MARKED)
def test_faulty_vectors_without_an_exception_are_unchanged(name):
    tests = {test["tcId"]: test for _, test in vectors(name)}
    (lost,) = FAULTY_BUT_AS_MARKED[name].values()
    assert {(tests[number]["jws"], tests[number]["result"]) for number in lost} == {(tests[357]["jws"], "invalid")}


@pytest.mark.parametrize("name", LISTED)
def test_a_signed_payload_that_is_not_an_object_is_refused(name):
    tests = vectors(name)
    assert names(name, [test for group, test in tests if accepted(as_text(test["jws"]), table_of(group))]) == []


@pytest.mark.parametrize("name", ["json_web_encryption", "json_web_crypto"])
def test_every_encrypted_token_is_refused_by_its_form(name):
    tests = [test for _, test in vectors(name, "jwe")]
    assert len(tests) == COUNTS[name] if name == "json_web_encryption" else tests
    for test in tests:
        with pytest.raises(Refused):
            parse_token(as_text(test["jwe"] or ""), tuple(ALGORITHMS), TYPES)
            pytest.fail(f"{name} {test['tcId']} is not refused")


def test_a_key_with_the_roca_weakness_is_not_used():
    (roca,) = [group["public"] for group in groups("json_web_key") for test in group["tests"] if test["tcId"] == 7]
    with pytest.raises(UnusableKeySet, match="ROCA"):
        parse_key_set(json.dumps(roca).encode())


# -- the signatures below the tokens ------------------------------------------------------------------------------

NOT_OUR_PARAMETERS = "PS256 is SHA-256 for hash and mask, and a salt of 32 bytes"
SMALL_EXPONENT = "an exponent of at least 65537"

MARKED = {  # file, algorithm, and how many of its vectors verify
    ("rsa_pss_2048_sha256_mgf1_32", "PS256"): 63,
    ("rsa_pss_2048_sha256_mgf1_0", "PS256"): 0,
    ("rsa_pss_2048_sha256_mgf1sha1_20", "PS256"): 0,
    ("rsa_pss_misc", "PS256"): 1,
    ("rsa_signature_2048_sha256", "RS256"): 7,
}


def key_of(group: dict):
    """The group's key as `parse_key_set` reads it; None where it is none that we use."""
    numbers = group["publicKey"]
    jwk = {
        name: to_base64url_uint(int(numbers[long], 16)) for name, long in (("n", "modulus"), ("e", "publicExponent"))
    }
    member = {"kty": "RSA", "kid": "k", **{name: value.decode() for name, value in jwk.items()}}
    table = table_of({"public": member})
    return table and next(iter(table.keys.values()))


def policy(group: dict) -> str:
    """Why even the valid signatures of a group are not for us; empty where they are."""
    if group["type"] == "RsassaPssVerify" and (group["sha"], group["mgfSha"], group["sLen"]) != (
        "SHA-256",
        "SHA-256",
        32,
    ):
        return NOT_OUR_PARAMETERS
    return SMALL_EXPONENT if int(group["publicKey"]["publicExponent"], 16) < 65_537 else ""


def test_our_algorithms_are_the_ones_meant():
    """What they accept is what PyJWT accepts by the same names."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    for name, algorithm in {"PS256": RSAPSSAlgorithm, "RS256": RSAAlgorithm}.items():
        table = KeyTable({("k", each): key.public_key() for each in ALGORITHMS})
        signature = algorithm(algorithm.SHA256).sign(b"message", key)
        assert [each for each in ALGORITHMS if table.verify("k", each, b"message", signature)] == [name]
        assert not table.verify("k", name, b"another message", signature)


@pytest.mark.parametrize(("name", "algorithm"), MARKED, ids=lambda value: value)
def test_raw_signatures_verify_as_marked(name, algorithm):
    """Only vectors with the parameters of PS256 or RS256."""
    wrong, verified = [], 0
    for group in groups(name):
        key, reason = key_of(group), policy(group)
        assert (key is None) == (reason == SMALL_EXPONENT), group["publicKey"]
        for test in group["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            good = key is not None and KeyTable({("k", algorithm): key}).verify("k", algorithm, message, signature)
            if test["result"] == "invalid" and reason == NOT_OUR_PARAMETERS:
                continue  # some of them are good signatures with our parameters
            wanted = test["result"] == "valid" and not reason
            wrong += [test] if good is not wanted else []
            verified += good
    assert names(name, wrong) == []
    assert verified == MARKED[name, algorithm]
