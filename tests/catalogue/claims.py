"""Group C: what a token with a good signature says of its issuer, its times and its id."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import unicodedata
from collections.abc import Awaitable, Callable, Mapping

import structlog.testing

from catalogue.rows import (
    Expectation,
    Row,
    claiming,
    invalid_token,
    meets,
    mint,
    ok,
    reasons,
    send,
    serve,
    status,
    tries,
)
from helpers.support import ISSUER, World
from helpers.tokens import ABSENT, Mint
from openholder.gate.reasons import Reason
from openholder.gate.replay import digest

OTHER = "otherbank.cdr.fiskil.com"


def standing_clock(claim: str, cases: Mapping[float, Expectation]) -> Callable[[World], Awaitable[None]]:
    """A scenario: tokens with a claim so many seconds from now, where now does not move between minting and judging."""

    async def scenario(world: World) -> None:
        await serve(world)
        gate = world.holder.state.service._gate
        now = int(time.time())
        gate._clock, gate._latest = lambda: now, now
        for seconds, expect in cases.items():
            token = mint(world).token(**{"iat": now, "exp": now + 300, claim: now + seconds})
            meets(expect, await send(world, token), f"{claim} {seconds:+}")

    return scenario


def not_numbers(seconds: int) -> dict[str, Callable[[Mint], object]]:
    """What is no JSON number, though somebody may read one in it."""
    return {
        "text": lambda mint: str(mint.now + seconds),
        "text with a fraction": lambda mint: f"{mint.now + seconds}.0",
        "text with underscores": lambda mint: f"{mint.now + seconds:_}",
        "text in Arabic digits": lambda mint: "".join(chr(0x660 + int(digit)) for digit in str(mint.now + seconds)),
        "a date": lambda mint: "2099-01-01T00:00:00Z",
        "empty text": lambda mint: "",
        "a list": lambda mint: [mint.now + seconds],
        "an object": lambda mint: {"value": mint.now + seconds},
        "true": lambda mint: True,
    }


def exp_written(mint: Mint, text: str) -> str:
    """A token whose exp is spelt like this."""
    claims = json.dumps(mint.claims(exp=ABSENT))
    return mint.sign(mint.header(), f'{claims[:-1]}, "exp": {text}}}')


# -- times --------------------------------------------------------------------------------------------------------


async def not_before(world: World) -> None:
    await standing_clock("nbf", {0: ok, 29: ok, 31: invalid_token, 86_400: invalid_token})(world)
    for what, make in (not_numbers(0) | {"null": lambda mint: None}).items():
        meets(invalid_token, await send(world, mint(world).token(nbf=make(mint(world)))), f"nbf {what}")
    assert set(reasons(world)) == {Reason.NOT_YET_VALID}


async def issued_at(world: World) -> None:
    await standing_clock("iat", {0: ok, 10: ok, 29: ok, 31: invalid_token, 61: invalid_token})(world)
    for what, make in (not_numbers(0) | {"null": lambda mint: None}).items():
        meets(invalid_token, await send(world, mint(world).token(iat=make(mint(world)))), f"iat {what}")
    assert set(reasons(world)) == {Reason.ISSUED_IN_FUTURE}


# -- parties ------------------------------------------------------------------------------------------------------

ISSUERS = {
    "another": OTHER,
    "empty": "",
    "cut short": ISSUER[:-4],
    "without its beginning": ISSUER.partition(".")[2],
    "with more behind": f"{ISSUER}.evil.example",
    "with more in front": f"evil-{ISSUER}",
    "a domain below": f"evil.{ISSUER}",
    "in capitals": ISSUER.upper(),
    "with one capital": ISSUER.capitalize(),
    "https:// in front": f"https://{ISSUER}",
    "a dot behind": f"{ISSUER}.",
    "a slash behind": f"{ISSUER}/",
    "a space behind": f"{ISSUER} ",
    "a line break behind": f"{ISSUER}\n",
    "a NUL behind": f"{ISSUER}\0",
    "a letter that only looks alike": ISSUER.replace("a", "\u0430"),
    "wide letters that normalise to it": "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in ISSUER),
    "a list of it": [ISSUER],
    "an object": {"name": ISSUER},
    "a number": 7,
    "true": True,
    "null": None,
    "missing": ABSENT,
}
SUBJECTS = {
    "missing": ABSENT,
    "null": None,
    "empty": "",
    "a number": 7,
    "true": True,
    "a list": [ISSUER],
    "an object": {ISSUER: ISSUER},
    "a customer": "cust-1001",
    "with a slash": f"{ISSUER}/",
    "in capitals": ISSUER.upper(),
}


# -- the id -------------------------------------------------------------------------------------------------------


async def long_ids(world: World) -> None:
    await serve(world)
    good = mint(world)
    for length in (257, 5_000, 10_000):
        meets(invalid_token, await send(world, good.token(jti="j" * length)), f"{length} characters")
    assert reasons(world) == {Reason.TOKEN_ID_MALFORMED: 2, Reason.TOKEN_TOO_LONG: 1}
    # A megabyte is more than a header may have: Tornado hangs up before there is a token to be judged.
    with contextlib.suppress(ConnectionError):
        status(0, 400, 431)(await send(world, good.token(jti="j" * 1_000_000)))
    longest = "j" * 256
    assert [(await send(world, good.token(jti=longest))).status for _ in range(2)] == [200, 401]
    assert len(digest(ISSUER, longest)) == len(digest(ISSUER, "j")) == 16


async def odd_ids(world: World) -> None:
    await serve(world)
    good = mint(world)
    ids = ["\0", "one\0", "one\0a", "one\0b", "one", "one\n", 'one\n{"status_code": 200}', "\r\n", "\x1b[2J", "\u202e"]
    with structlog.testing.capture_logs() as lines:
        for jti in ids:
            meets(ok, await send(world, good.token(jti=jti)), f"{jti!r} is an id of its own")
    assert [line["jti"] for line in lines] == [hashlib.sha256(jti.encode()).hexdigest()[:12] for jti in ids]
    for jti in ids:
        meets(invalid_token, await send(world, good.token(jti=jti)), f"{jti!r} again")
    for jti in ("\ud800", "one\udfff", "\udc00\ud800"):
        meets(invalid_token, await send(world, good.token(jti=jti)), f"half a character: {jti!r}")


async def similar_ids(world: World) -> None:
    await serve(world)
    ids = ["a", "A", "\u00e9", "e\u0301", "\u00df", "ss", "\uff41", "\ufb01", "fi", " a", "a ", "7", "07"]
    assert unicodedata.normalize("NFC", ids[3]) == ids[2]
    for expect in (ok, invalid_token):
        for jti in ids:
            meets(expect, await send(world, mint(world).token(jti=jti)), repr(jti))


UNKNOWN = {
    "a hundred": lambda mint: mint.token(**{f"claim{number}": number for number in range(100)}),
    "a hundred of every type": lambda mint: mint.token(
        **{f"claim{number}": [None, True, -1.5, "x", [], {}][number % 6] for number in range(100)}
    ),
    "names that mean something elsewhere": lambda mint: mint.token(
        **{
            name: {"x": [1]}
            for name in ("__proto__", "constructor", "__class__", "$ref", "", "\0", "alg", "kid", "EXP")
        }
    ),
    "registered names of other specifications": lambda mint: mint.token(
        scope="openid", cnf={"jkt": "x"}, azp=OTHER, nonce="n", act={"sub": OTHER}, client_id=7
    ),
}

ROWS = (
    Row("C01", claiming(invalid_token, "exp", {"missing": ABSENT, "null": None})),
    Row("C02", claiming(invalid_token, "exp", not_numbers(300))),
    Row(
        "C03",
        tries(
            ok,
            {
                "half a second": lambda mint: mint.token(exp=mint.now + 300.5),
                ".0": lambda mint: exp_written(mint, f"{mint.now + 300}.0"),
                "twenty places": lambda mint: exp_written(mint, f"{mint.now + 300}.{'5' * 20}"),
            },
        ),
    ),
    Row(
        "C05",
        scenario=standing_clock(
            "exp", {-29: ok, -29.99: ok, -30: invalid_token, -31: invalid_token, -1_000_000: invalid_token}
        ),
    ),
    Row(
        "C06",
        scenario=standing_clock(
            "exp", {3600: ok, 3629: ok, 3631: invalid_token, 86_400: invalid_token, 10**18: invalid_token}
        ),
    ),
    Row("C07", scenario=not_before),
    Row("C08", scenario=issued_at),
    Row(
        "C10",
        tries(
            invalid_token,
            {
                f"{what}{also}": lambda mint, value=value, also=also: mint.token(
                    iss=value, **({"sub": value} if also else {})
                )
                for what, value in ISSUERS.items()
                for also in ("", ", and sub")
            },
        ),
    ),
    Row("C11", claiming(invalid_token, "sub", SUBJECTS)),
    Row(
        "C12",
        tries(
            invalid_token,
            {
                "our iss, their sub": lambda mint: mint.token(sub=OTHER),
                "their iss, our sub": lambda mint: mint.token(iss=OTHER),
            },
        ),
    ),
    Row(
        "C13",
        tries(
            invalid_token,
            {
                "for our URI": lambda mint: mint.token(iss=OTHER, sub=OTHER),
                "for theirs": lambda mint: mint.token(iss=OTHER, sub=OTHER, aud=f"https://{OTHER}{mint.path}"),
            },
        ),
    ),
    Row("C15", scenario=long_ids),
    Row("C16", scenario=odd_ids),
    Row("C17", scenario=similar_ids),
    Row("C18", tries(ok, UNKNOWN)),
)
