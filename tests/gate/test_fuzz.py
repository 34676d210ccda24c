"""Whatever arrives, the gate answers yes or no, the server stays up, and yes is said to good tokens only.

The examples are the same in every run; ``bench/fuzz_gate.py`` looks for new ones, led by coverage.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalogue.rows import Request
from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import ISSUER, sample_rows, start_with
from helpers.tokens import Mint
from openholder.fiskil.signer import Signer
from openholder.gate import CannotJudge, Gate, Refused, TokenFacts
from openholder.gate.fetching import FetchedDocument
from openholder.gate.jwks import JWKSCache
from openholder.gate.keys import KeyTable, UnusableKeySet, parse_key_set
from openholder.gate.stores.memory import MemoryStore
from openholder.settings import Fiskil

pytestmark = pytest.mark.slow

BASE = "https://api.examplebank.example"
FUZZ_GATE = Path(__file__).parents[2] / "bench" / "fuzz_gate.py"


def examples(most: int) -> settings:
    return settings(max_examples=most, derandomize=True, database=None)


class Door:
    """A gate with a key, a clock that stands still and no record of used tokens, and an opinion of its own."""

    def __init__(self) -> None:
        self.signer = Signer.generate("k1")
        self.mint = Mint(self.signer, BASE)
        self.now = self.mint.now
        self.good = self.mint.token(jti="the good one")
        self.fiskil = Fiskil(issuer=ISSUER, jwks_url="https://fiskil.example/jwks.json")
        self.keys = JWKSCache(self.fetch, refresh=300, max_stale=86_400)
        self.runner = asyncio.Runner()

    async def fetch(self) -> FetchedDocument:
        return FetchedDocument(self.signer.jwks())

    def admits(self, token: str) -> bool:
        """What the gate says; whatever it raises beside its two exceptions comes through."""
        gate = Gate(self.fiskil, [BASE], self.keys, MemoryStore(clock=lambda: self.now), lambda: self.now)
        try:
            self.runner.run(gate.admit([f"Bearer {token}"], BALANCE, TokenFacts()))
        except (Refused, CannotJudge):
            return False
        return True

    def judge(self, token: str) -> bool:
        """Ask the gate, and check a yes; gives its answer."""
        admitted = self.admits(token)
        if admitted:
            self.check(token)
        return admitted

    def check(self, token: str) -> None:
        """Everything that must be true of a token that was let in, found out without the gate's own code."""
        parts = token.split(".")
        header, payload, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
        members, claims = json.loads(header), json.loads(payload)
        assert members["alg"] in {"PS256", "RS256"}
        assert members["kid"] == self.signer.kid
        assert "crit" not in members
        schemes = {"PS256": padding.PSS(padding.MGF1(SHA256()), 32), "RS256": padding.PKCS1v15()}
        signed = ".".join(parts[:2]).encode()
        try:
            self.signer._key.public_key().verify(signature, signed, schemes[members["alg"]], SHA256())
        except InvalidSignature:
            pytest.fail(f"let in without a signature: {token}")
        assert claims["iss"] == claims["sub"] == ISSUER
        assert claims["aud"] in (BASE + BALANCE, [BASE + BALANCE])
        times = [claims["exp"], claims.get("nbf", 0), claims.get("iat", 0)]
        assert all(type(number) in {int, float} for number in times)
        assert self.now - 30 < times[0] <= self.now + 3630
        assert max(times[1:]) <= self.now + 30
        assert isinstance(claims["jti"], str)
        assert 0 < len(claims["jti"]) <= 256


@pytest.fixture(scope="module")
def door():
    made = Door()
    yield made
    made.runner.close()


# -- what is generated --------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CHARACTERS = st.sampled_from("AQgw4-_.=+/ ,~\0\r\né") | st.characters()
PIECES = st.sampled_from(
    [b"\r\n", b" ", b":", b"%00", b"%2F", b"..", b"\0", b"\xff", b"\r\n\r\n", b"HTTP/1.1", b"chunked"]
)


@st.composite
def mutated(draw, text, pieces):
    """``text`` (or bytes) with one to six pieces put in, taken out, replaced or doubled."""
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 1, 2, 40])))
        kind = draw(st.sampled_from(["put in", "take out", "double"]))
        new = draw(pieces) if kind == "put in" else text[start:end] * 2 if kind == "double" else text[:0]
        text = text[:start] + new + text[end:]
    return text


@st.composite
def changed(draw, members):
    """An object with some members taken out and others put in, of the names it has and of others."""
    names = st.sampled_from([*members, "crit", "b64", "jwk", "jku", "x5c", "nbf", "zip"]) | st.text(max_size=8)
    gone = draw(st.sets(st.sampled_from(list(members)), max_size=2))
    kept = {name: value for name, value in members.items() if name not in gone}
    return kept | draw(st.dictionaries(names, json_values | st.sampled_from(list(members.values())), max_size=3))


# -- the gate -----------------------------------------------------------------------------------------------------


def test_the_door_lets_the_good_token_in_and_knows_a_wrong_yes(door):
    assert door.judge(door.good)
    with pytest.raises(AssertionError):
        door.check(door.mint.token(aud=BASE))
    with pytest.raises(pytest.fail.Exception):
        door.check(door.good[:-8] + "AAAAAAAA")


def test_a_token_with_any_character_changed_is_not_let_in(door):
    @examples(300)
    @given(mutated(door.good, CHARACTERS))
    def judged(token):
        assert not door.judge(token) or token.strip(" ") == door.good

    judged()


def test_recombined_segments_of_good_tokens_are_refused(door):
    others = [
        door.good,
        door.mint.token(),
        door.mint.token(header={"alg": "RS256"}),
        door.mint.token(exp=0),
        "..",
        "e30",
    ]
    segments = [segment for token in others for segment in token.split(".")]

    @examples(200)
    @given(st.lists(st.sampled_from(segments), min_size=1, max_size=6))
    def judged(chosen):
        token = ".".join(chosen)
        assert not door.judge(token) or token in others

    judged()


def test_signed_tokens_are_accepted_only_if_valid(door):
    """The signature is good; header and claims are anything."""
    answers = []

    @examples(200)
    @given(changed(door.mint.header()) | st.just(door.mint.header()), changed(door.mint.claims()))
    @example(door.mint.header(), door.mint.claims(jti="\ud800"))
    @example(door.mint.header(), door.mint.claims(exp=10**400))
    @example(door.mint.header(), door.mint.claims(iat=float("nan")))
    @example(door.mint.header(kid="\ud800"), door.mint.claims())
    def judged(header, claims):
        answers.append(door.judge(door.mint.sign(header, claims)))

    judged()
    assert set(answers) == {True, False}, "the examples show one side only"


def test_signed_bytes_that_are_no_json_are_refused_and_no_error(door):
    header, claims = json.dumps(door.mint.header()).encode(), json.dumps(door.mint.claims()).encode()
    noise = st.binary(max_size=5) | PIECES | st.sampled_from([b'"', b"{", b"[" * 2000, b"1e999", b"-0", b"\\ud800"])

    @examples(200)
    @given(mutated(header, noise) | st.just(header), mutated(claims, noise) | st.binary(max_size=60))
    def judged(header, claims):
        door.judge(door.mint.sign(header, claims))

    judged()


# -- key sets -----------------------------------------------------------------------------------------------------


def read(document: bytes) -> None:
    try:
        table = parse_key_set(document)
    except UnusableKeySet:
        return
    assert isinstance(table, KeyTable)
    assert table.kids
    for key in table.keys.values():
        assert 2048 <= key.key_size <= 8192
        assert key.public_numbers().e >= 65_537


@examples(200)
@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_bytes_are_a_key_set_or_they_are_not(document):
    read(document)


@pytest.mark.filterwarnings("ignore:The RSA key is .* bits long")  # PyJWT warns of keys that are then refused
def test_a_key_set_with_anything_changed_is_read_or_refused(door):
    jwk = door.signer.public_jwk(alg="PS256", key_ops=["verify"])
    members = changed(jwk) | json_values
    sets = st.lists(members, max_size=4).map(lambda keys: json.dumps({"keys": keys}).encode())

    @examples(200)
    @given(sets | mutated(json.dumps({"keys": [jwk, jwk]}).encode(), PIECES | st.binary(max_size=4)))
    def judged(document):
        read(document)

    judged()


# -- the server ---------------------------------------------------------------------------------------------------

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


async def answers(world, sent: bytes) -> list[int]:
    """The status of every answer to these bytes; none where the server just closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
    received = b""
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            while block := await reader.read(65_536):
                received += block
    except ConnectionError:
        pass  # it was closed while there was more to read
    writer.close()
    return [int(status) for status in STATUS.findall(received)]


@pytest.mark.usefixtures("transport")
def test_no_request_breaks_the_server_or_bypasses_the_gate(world, io_loop, monkeypatch):
    monkeypatch.setattr("openholder.server.app.IDLE_TIMEOUT", 0.3)  # half a request is given up soon
    monkeypatch.setattr("openholder.server.app.BODY_TIMEOUT", 0.3)
    io_loop.run_sync(lambda: start_with(world, "sqlite", sample_rows()))
    token = Mint(world.signer, world.url).token(jti="the only good one")
    bad = Mint(world.signer, world.url, path="/customer").token()
    search = json.dumps(JANE).encode()
    wires = [
        Request(t, path, *more).wire() for t in (token, bad) for path, *more in ((BALANCE,), ("/",), ("*", "OPTIONS"))
    ]
    wires += [Request(bad, SEARCH, "POST", body=search).wire(), Request(None, BALANCE, "HEAD").wire()]
    requests = st.sampled_from(wires).flatmap(lambda wire: mutated(wire, PIECES | st.binary(max_size=6)))
    seen = set()

    async def all_at_once(batch):
        return await asyncio.gather(*(answers(world, sent) for sent in batch))

    @examples(10)
    @given(st.lists(requests | st.binary(max_size=300), min_size=10, max_size=24))
    def sent_to_the_server(batch):
        for sent, statuses in zip(batch, io_loop.run_sync(lambda: all_at_once(batch)), strict=True):
            assert all(status < 500 for status in statuses), sent
            assert 200 not in statuses or token.encode() in sent, sent
            seen.update(statuses)
        assert io_loop.run_sync(lambda: world.call(BALANCE)).status == 200

    sent_to_the_server()
    assert seen >= {400, 401, 404}, "the requests did not come far"


def test_any_text_as_an_id_or_email_gets_an_expected_status(world, io_loop):
    io_loop.run_sync(lambda: start_with(world, "sqlite", sample_rows()))
    known = st.sampled_from(["cust-1001", "acc-2001"])
    ids = st.text(max_size=80) | st.sampled_from(["..", ".", "%", "\0", "'", "a/b", "K"]) | known
    paths = ["/customer/{0}", "/customer/{0}/accounts", "/customer/{0}/accounts/{1}/balances"]
    seen = set()

    @examples(200)
    @given(st.sampled_from(paths), ids, ids)
    def asked_for(path, first, second):
        filled = path.format(quote(first, safe=""), quote(second, safe=""))
        seen.add(status := io_loop.run_sync(lambda: world.call(filled)).status)
        assert status in {200, 400, 404}, filled

    @examples(200)
    @given(st.text(st.characters(), max_size=300) | st.sampled_from([*JANE.values(), JANE["email"].upper()]))
    def searched_for(email):
        seen.add(status := io_loop.run_sync(lambda: world.call(SEARCH, body={"email": email})).status)
        assert status in {200, 400, 404}, email

    asked_for()
    searched_for()
    assert 200 in seen


# -- led by coverage ----------------------------------------------------------------------------------------------


@pytest.mark.subprocess
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_the_coverage_guided_fuzzer_finds_nothing(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(FUZZ_GATE), "-runs=20000", "-max_total_time=4", "-seed=1"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs, done.stderr[-2000:]
    assert int(runs[1]) > 100
