"""The other side's keys: which of a key set are used, when they are fetched, and what happens while they are not."""

from __future__ import annotations

import asyncio
import json
import math
import random
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from jwt.algorithms import RSAAlgorithm

from helpers.clocks import Clock
from openholder.fiskil.signer import Signer
from openholder.gate import jwks
from openholder.gate.fetching import FetchedDocument, FetchFailed
from openholder.gate.jwks import UNKNOWN_KID_BURST, UNKNOWN_KID_RATE, JWKSCache
from openholder.gate.keys import MAX_KEYS, UnusableKeySet, parse_key_set
from openholder.gate.reasons import CannotJudge
from openholder.ratelimit import TokenBucket

OTHER = Signer.generate("k2")
ABSENT = object()


def key_set(*members: object) -> bytes:
    return json.dumps({"keys": members}).encode()


def changed(jwk: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in (jwk | changes).items() if value is not ABSENT}


def rsa_members(bits: int = 2048, exponent: int = 65_537) -> dict[str, str]:
    """The numbers of an RSA key of that form. Nobody has its private half: reading it needs none."""
    modulus = random.Random(bits).getrandbits(bits) | 1 << (bits - 1) | 1
    jwk = RSAAlgorithm.to_jwk(RSAPublicNumbers(exponent, modulus).public_key(), as_dict=True)
    return {"n": jwk["n"], "e": jwk["e"]}


# -- reading a key set --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use": ABSENT},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"alg": "PS256"},
        {"alg": "RS256"},
        {"x5t": "AA", "iat": 1, "anything": None},
        rsa_members(3072),
        rsa_members(8192),
    ],
    ids=lambda changes: ", ".join(changes) or "as it is",
)
def test_a_key_for_signatures_is_used(signer, changes):
    table = parse_key_set(key_set(changed(signer.public_jwk(), changes)))
    assert (table.kids, table.unusable) == ({"k1"}, ())


UNUSABLE = {
    "for encryption": {"use": "enc"},
    "use null": {"use": None},
    "key_ops for encryption": {"key_ops": ["encrypt"]},
    "key_ops empty": {"key_ops": []},
    "key_ops no list": {"key_ops": "verify"},
    "alg none": {"alg": "none"},
    "alg HS256": {"alg": "HS256"},
    "alg of an encryption key": {"alg": "RSA-OAEP"},
    "alg PS512": {"alg": "PS512"},
    "alg a number": {"alg": 7},
    "alg null": {"alg": None},
    "alg a list": {"alg": ["PS256"]},
    "private exponent": {"d": "AQAB"},
    "private prime": {"p": "AQAB"},
    "private null": {"d": None},
    "a shared secret": {"kty": "oct", "k": "c2VjcmV0", "n": ABSENT, "e": ABSENT},
    "a shared secret in an RSA key": {"k": "c2VjcmV0"},
    "an elliptic curve": {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "n": ABSENT, "e": ABSENT},
    "a curve of Edwards": {"kty": "OKP", "crv": "Ed25519", "x": "AQ", "n": ABSENT, "e": ABSENT},
    "kty unknown": {"kty": "rsa"},
    "kty missing": {"kty": ABSENT},
    "kid missing": {"kid": ABSENT},
    "kid empty": {"kid": ""},
    "kid a number": {"kid": 7},
    "n missing": {"n": ABSENT},
    "n null": {"n": None},
    "n a number": {"n": 65_537},
    "n a list": {"n": ["AQAB"]},
    "n empty": {"n": ""},
    "n zero": {"n": "AA"},
    "e missing": {"e": ABSENT},
    "e a number": {"e": 65_537},
    "1024 bits": rsa_members(1024),
    "2047 bits": rsa_members(2047),
    "8193 bits": rsa_members(8193),
    "exponent 3": rsa_members(exponent=3),
    "exponent 1": {"e": "AQ"},
    "exponent even": {"e": "AQAC"},
    "exponent longer than 32 bits": rsa_members(exponent=2**32 + 1),
}


@pytest.mark.parametrize("changes", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_key_is_skipped_and_affects_no_other(signer, changes):
    bad = changed(OTHER.public_jwk(), changes)
    table = parse_key_set(key_set(bad, signer.public_jwk(), bad))
    assert (table.kids, len(table.unusable)) == ({"k1"}, 2)
    with pytest.raises(UnusableKeySet, match="no usable key in the JWK Set: member 0: it"):
        parse_key_set(key_set(bad))


@pytest.mark.parametrize("member", [None, 7, "key", [], {}, True])
def test_a_member_that_is_no_key_at_all_is_skipped(signer, member):
    table = parse_key_set(key_set(member, signer.public_jwk()))
    assert (table.kids, len(table.unusable)) == ({"k1"}, 1)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"<html>", "not a JWK Set: 6 bytes that are not JSON"),
        (b'{"message": "error"}', "not a JWK Set: 20 bytes of JSON without a member keys"),
        (b"[]", "not a JWK Set: 2 bytes of JSON without a member keys"),
        (b'{"keys": {}}', "not a JWK Set: its keys are no list (found an object)"),
        (b'{"keys": []}', "no usable key in the JWK Set: it is empty"),
        (key_set(*[7] * 65), "a JWK Set of 65 keys; at most 64 are read"),
        (
            key_set({"kty": "EC"}, {"kty": "RSA", "d": "SECRET"}, {"kty": "RSA", "kid": "k", "alg": None}),
            "no usable key in the JWK Set: member 0: it is not an RSA key; member 1: it contains private members;"
            " member 2: its alg is not one of PS256, RS256",
        ),
    ],
)
def test_the_reason_names_what_was_found(document, reason):
    with pytest.raises(UnusableKeySet) as refusal:
        parse_key_set(document)
    assert str(refusal.value) == reason


def test_a_message_repeats_few_of_many_reasons():
    with pytest.raises(UnusableKeySet, match=r"member 7: it is not an RSA key; and 56 more$"):
        parse_key_set(key_set(*[7] * 64))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"null",
        b"7",
        b'"keys"',
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": "k"}',
        b'{"keys": []}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [NaN]}',
        b"\xff\xfe",
        b"[" * 60_000,
    ],
    ids=lambda document: document[:30].decode("latin-1"),
)
def test_what_is_no_key_set_is_refused_as_a_whole(document):
    with pytest.raises(UnusableKeySet):
        parse_key_set(document)


def test_a_key_set_has_at_most_64_members(signer):
    many = [signer.public_jwk(kid=f"k{number}") for number in range(MAX_KEYS + 1)]
    assert len(parse_key_set(key_set(*many[:-1])).kids) == 64
    with pytest.raises(UnusableKeySet):
        parse_key_set(key_set(*many))


def test_a_key_without_alg_verifies_both_algorithms(signer):
    """A key with ``alg`` verifies that one alone."""
    assert set(parse_key_set(signer.jwks()).keys) == {("k1", "PS256"), ("k1", "RS256")}
    assert set(parse_key_set(key_set(signer.public_jwk(alg="RS256"))).keys) == {("k1", "RS256")}


def test_the_same_key_may_stand_there_twice(signer):
    twice = key_set(signer.public_jwk(), signer.public_jwk(alg="PS256"))
    assert set(parse_key_set(twice).keys) == {("k1", "PS256"), ("k1", "RS256")}


def test_a_kid_may_have_one_key_for_each_algorithm(signer):
    table = parse_key_set(key_set(signer.public_jwk(alg="PS256"), OTHER.public_jwk(alg="RS256", kid="k1")))
    assert table.keys["k1", "PS256"].public_numbers() == signer._key.public_key().public_numbers()
    assert table.keys["k1", "RS256"].public_numbers() == OTHER._key.public_key().public_numbers()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_kid_that_means_two_keys_means_none(signer, times):
    third = Signer.generate("k3").public_jwk()
    ambiguous = [signer.public_jwk(), OTHER.public_jwk(kid="k1")] * times
    assert parse_key_set(key_set(*ambiguous, third)).kids == {"k3"}
    with pytest.raises(UnusableKeySet, match=r"members 0, 1.*: different keys with the same kid"):
        parse_key_set(key_set(*ambiguous))


def test_a_signature_is_right_or_wrong_or_there_is_no_key_for_it(signer):
    table = parse_key_set(key_set(signer.public_jwk(alg="RS256")))
    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(b"text", signer._key)
    assert table.verify("k1", "RS256", b"text", signature) is True
    for text, wrong in ((b"Text", signature), (b"text", signature[:-1]), (b"text", b""), (b"text", bytes(256))):
        assert table.verify("k1", "RS256", text, wrong) is False
    assert table.verify("k1", "PS256", b"text", signature) is None
    assert table.verify("k2", "RS256", b"text", signature) is None


def test_a_key_with_the_roca_weakness_is_not_used():
    """The modulus has the form of CVE-2017-15361: a power of 65537 for each small prime. Nobody has its factors."""
    product = math.prod(n for n in range(2, 168) if all(n % divisor for divisor in range(2, n)))
    high = random.Random(15361).getrandbits(2048) | 1 << 2047
    modulus = high - high % product + pow(65_537, 15_361, product)
    jwk = RSAAlgorithm.to_jwk(RSAPublicNumbers(65_537, modulus).public_key(), as_dict=True)
    with pytest.raises(UnusableKeySet, match=r"member 0: it was generated by the library of .*ROCA"):
        parse_key_set(key_set(jwk | {"kid": "weak"}))
    assert parse_key_set(key_set(jwk | {"kid": "good"} | rsa_members())).kids == {"good"}


# -- keeping keys -------------------------------------------------------------------------------------------------


class Host:
    """Whoever has the keys: answers with ``document``, or fails with it, once ``open`` is set. Counts the fetches."""

    def __init__(self, document: bytes | Exception) -> None:
        self.document = document
        self.fetches = 0
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def __call__(self) -> FetchedDocument:
        self.fetches += 1
        self.asked.set()
        await self.open.wait()
        if isinstance(self.document, Exception):
            raise self.document
        return FetchedDocument(self.document)


AWAY = ConnectionRefusedError("nobody there")
MAX_STALE = 3600


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def host(signer):
    return Host(signer.jwks())


@pytest.fixture
def cache(host, clock):
    """A cache that nobody has started: it fetches when it is asked."""
    return JWKSCache(host, refresh=300, max_stale=MAX_STALE, clock=clock)


@pytest.mark.gen_test
async def test_a_thousand_first_look_ups_at_once_cause_one_fetch(io_loop, cache, host):
    tables = await asyncio.gather(*(cache.get_table("k1") for _ in range(1000)))
    assert host.fetches == 1
    assert all(table is tables[0] for table in tables)


@pytest.mark.gen_test
async def test_one_who_gives_up_waiting_does_not_end_it_for_the_others(io_loop, cache, host):
    host.open.clear()
    impatient, patient = (asyncio.create_task(cache.get_table("k1")) for _ in range(2))
    await host.asked.wait()
    impatient.cancel()
    await asyncio.wait([impatient])
    assert impatient.cancelled()
    host.open.set()
    assert (await patient).kids == {"k1"}
    assert host.fetches == 1


@pytest.mark.gen_test
async def test_known_keys_cause_no_fetch(io_loop, cache, host, clock):
    for _ in range(100):
        await cache.get_table("k1")
        clock.now += 30  # how old keys may grow is for the background to see to
    assert host.fetches == 1


@pytest.mark.gen_test
async def test_an_unknown_kid_finds_a_key_that_was_published_just_now(io_loop, cache, host, signer):
    await cache.get_table("k1")
    host.document = key_set(signer.public_jwk(), OTHER.public_jwk())
    assert (await cache.get_table("k2")).kids == {"k1", "k2"}
    assert host.fetches == 2


@pytest.mark.gen_test
async def test_a_key_that_was_withdrawn_is_not_used_any_more(io_loop, cache, host):
    await cache.get_table("k1")
    host.document = OTHER.jwks()
    assert (await cache.get_table("k2")).kids == cache.kids == {"k2"}


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.gen_test
async def test_two_thousand_unknown_kids_cause_two_fetches_at_most(io_loop, cache, host, clock, at_once):
    await cache.get_table("k1")
    kids = [f"unknown{number}" for number in range(2000)]
    if at_once:
        await asyncio.gather(*map(cache.get_table, kids))
    else:
        for kid in kids:
            assert kid not in (await cache.get_table(kid)).kids
    assert 2 <= host.fetches <= 3
    clock.now += 12
    host.document = OTHER.jwks()
    assert (await cache.get_table("k2")).kids == {"k2"}  # a flood delays a new key by twelve seconds, no longer


BAD_ANSWERS = {
    "no answer": AWAY,
    "status 500": FetchFailed("status 500"),
    "HTML": b"<html>",
    "an empty set": key_set(),
    "no usable key": key_set({"kty": "oct", "kid": "k1", "k": "AA"}),
    "far too many keys": key_set(*[OTHER.public_jwk(kid=f"k{number}") for number in range(1000)]),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@pytest.mark.gen_test
async def test_a_bad_answer_never_replaces_keys_that_worked(io_loop, cache, host, clock, answer):
    table = await cache.get_table("k1")
    host.document = answer
    clock.now += 60
    with pytest.raises(CannotJudge) as raised:
        await cache.get_table("k2")
    assert raised.value.retry_after >= 1
    assert host.fetches == 2
    assert await cache.get_table("k1") is table
    assert cache.age == 60


@pytest.mark.gen_test
async def test_an_unknown_kid_is_wrong_only_after_a_successful_fetch(io_loop, cache, host, clock):
    await cache.get_table("k1")
    assert "k2" not in (await cache.get_table("k2")).kids
    host.document = AWAY
    with pytest.raises(CannotJudge):
        await cache.get_table("k2")
    with pytest.raises(CannotJudge):
        await cache.get_table("k2")  # the bucket is empty by now, and still nobody can tell
    assert host.fetches == 3
    host.document = OTHER.jwks()
    clock.now += 60
    assert "k2" in (await cache.get_table("k2")).kids
    for _ in range(3):
        assert "k3" not in (await cache.get_table("k3")).kids  # the failure is forgotten


@pytest.mark.gen_test
async def test_a_dozen_wait_for_a_fetch_that_hangs(io_loop, cache, host, monkeypatch):
    """Any number may wait at first; the rest is told to come back, and so is whoever comes later."""
    monkeypatch.setattr(jwks, "GRACE", 0.05)
    await cache.get_table("k1")
    host.open.clear()
    asking = [asyncio.create_task(cache.get_table(f"unknown{number}")) for number in range(100)]
    await asyncio.sleep(0)
    assert cache.waiting == 100
    gone = asyncio.gather(*asking[12:], return_exceptions=True)
    assert {type(answer) for answer in await gone} == {CannotJudge}
    assert not any(waiting.done() for waiting in asking[:12])
    assert cache.waiting == 12
    with pytest.raises(CannotJudge) as raised:
        await cache.get_table("late")
    assert raised.value.retry_after == 1
    assert (await cache.get_table("k1")).kids == {"k1"}
    host.open.set()
    assert {frozenset(table.kids) for table in await asyncio.gather(*asking[:12])} == {frozenset({"k1"})}
    assert (cache.waiting, host.fetches) == (0, 2)


@pytest.mark.gen_test
async def test_known_keys_serve_while_a_fetch_hangs(io_loop, cache, host):
    await cache.get_table("k1")
    host.open.clear()
    waiting = asyncio.create_task(cache.get_table("k2"))
    await asyncio.wait_for(host.asked.wait(), 1)
    assert (await asyncio.wait_for(cache.get_table("k1"), 1)).kids == {"k1"}
    assert not waiting.done()
    host.open.set()
    await waiting


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.gen_test
async def test_a_cold_start_without_the_host_asks_once_and_then_waits(io_loop, cache, host, clock, at_once, signer):
    host.document = AWAY
    if at_once:
        results = await asyncio.gather(*(cache.get_table("k1") for _ in range(50)), return_exceptions=True)
    else:
        results = [await asyncio.gather(cache.get_table("k1"), return_exceptions=True) for _ in range(50)]
        results = [result for (result,) in results]
    assert {type(result) for result in results} == {CannotJudge}
    assert min(result.retry_after for result in results) >= 1
    assert (host.fetches, cache.age, cache.kids) == (1, None, set())
    host.document = signer.jwks()
    clock.now += results[0].retry_after
    assert (await cache.get_table("k1")).kids == {"k1"}


@pytest.mark.gen_test
async def test_a_host_that_stays_away_is_asked_less_and_less_often(io_loop, cache, host, clock):
    host.document = AWAY
    asked = []
    for _ in range(3600):
        before = host.fetches
        with pytest.raises(CannotJudge):
            await cache.get_table("k1")
        asked += [clock.now] * (host.fetches - before)
        clock.now += 1
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[0] <= 2
    assert 48 <= max(pauses) <= 73  # a minute, give or take a fifth
    assert 3600 / 73 <= len(asked) <= 3600 / 48 + 10


@pytest.mark.gen_test
async def test_known_keys_serve_until_they_are_too_old_and_no_longer(io_loop, cache, host, clock, signer):
    await cache.get_table("k1")
    host.document = AWAY
    clock.now += MAX_STALE
    assert (await cache.get_table("k1")).kids == {"k1"}
    clock.now += 0.1
    with pytest.raises(CannotJudge) as raised:
        await cache.get_table("k1")
    assert (raised.value.retry_after, cache.age) == (1, None)
    host.document = signer.jwks()
    clock.now += raised.value.retry_after
    assert (await cache.get_table("k1")).kids == {"k1"}


@pytest.mark.gen_test
async def test_the_age_is_that_of_the_last_good_fetch(io_loop, cache, host, clock):
    assert cache.age is None
    await cache.get_table("k1")
    assert cache.age == 0
    clock.now += 10
    assert cache.age == 10
    host.document = AWAY
    with pytest.raises(CannotJudge):
        await cache.get_table("k2")
    assert cache.age == 10


async def fetched(host: Host, times: int) -> None:
    """Wait until the host has been asked that often."""
    while host.fetches < times:
        host.asked.clear()
        await host.asked.wait()


@pytest.mark.gen_test
async def test_background_refreshes_leave_the_budget_of_unknown_kids(io_loop, host, clock):
    cache = JWKSCache(host, refresh=0.01, max_stale=MAX_STALE, clock=clock)
    await cache.start()
    await fetched(host, 20)
    await cache.close()
    before = host.fetches
    for number in range(20):
        await cache.get_table(f"unknown{number}")
    assert host.fetches == before + UNKNOWN_KID_BURST


@pytest.mark.gen_test
async def test_a_server_without_the_host_fetches_its_keys_later(io_loop, host, signer):
    host.document = AWAY
    cache = JWKSCache(host, refresh=300, max_stale=MAX_STALE)
    await cache.start()
    assert cache.age is None
    host.document = signer.jwks()
    await fetched(host, 2)
    assert (await cache.get_table("k1")).kids == {"k1"}
    await cache.close()


@pytest.mark.gen_test
async def test_closing_ends_a_fetch_that_hangs(io_loop, cache, host):
    host.open.clear()
    waiting = asyncio.create_task(cache.get_table("k1"))
    await host.asked.wait()
    await asyncio.wait_for(cache.close(), 1)
    ended, _ = await asyncio.wait([waiting], timeout=1)
    assert ended == {waiting}


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate(clock):
    bucket = TokenBucket(UNKNOWN_KID_RATE, UNKNOWN_KID_BURST, clock)
    assert [bucket.take() for _ in range(4)] == [True, True, False, False]
    clock.now += 11.9
    assert not bucket.take()
    clock.now += 0.2
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 86_400
    assert [bucket.take() for _ in range(4)] == [True, True, False, False]
