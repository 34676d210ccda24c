"""The gate by itself, with a clock that stands still."""

from __future__ import annotations

import hashlib

import pytest

from helpers.clocks import Clock
from helpers.people import BALANCE
from helpers.support import ISSUER
from helpers.tokens import ABSENT, Mint
from openholder.fiskil.signer import Signer
from openholder.gate import CannotJudge, Gate, Reason, Refused, TokenFacts
from openholder.gate.fetching import FetchedDocument
from openholder.gate.jwks import JWKSCache
from openholder.gate.stores.memory import MemoryStore
from openholder.gate.stores.sqlite import SQLiteSettings, SQLiteStore
from openholder.settings import Fiskil

NOW = 1_800_000_000
BASE = "https://api.examplebank.example"


@pytest.fixture
def mint(signer):
    return Mint(signer, BASE, stopped_at=NOW)


@pytest.fixture
def clock():
    return Clock(NOW)


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
