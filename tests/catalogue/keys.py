"""Group K: the host of the keys, and what it may have in its set."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import math
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm

from catalogue.rows import Row, invalid_token, mint, ok, send, status
from helpers.clocks import Clock
from helpers.people import BALANCE
from helpers.processes import configuration, free_port, openholder
from helpers.support import ISSUER, SQLITE, World, sample_rows, start_with
from helpers.tokens import Mint, encode_base64url
from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.fiskil.signer import Signer
from openholder.gate import Gate, TokenFacts
from openholder.gate import jwks as cache_module
from openholder.gate.fetching import FetchedDocument, make_fetch
from openholder.gate.jwks import JWKSCache
from openholder.gate.stores.memory import MemoryStore
from openholder.settings import Fiskil

OTHER = Signer.generate("k2")
DAY = 86_400
MAX_STALE = 172_800

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

unavailable = status(503, code="Service/Unavailable")
"""Nobody can tell: not the token's fault."""


# -- hosts of keys that behave in any way -------------------------------------------------------------------------


class Host:
    """A host of keys that answers as it is told to. Counts how often it is asked, and what it got to send."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0
        self.sent = 0
        self.asked_again = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            self.asked_again.set()
            await self.answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # whoever asked went away
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def hosted(answer: Answer, *, port: int = 0, context: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    """A host on a free port; every connection that is open at the end of the block is cut."""
    host, tasks = Host(answer), set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(host.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=context)
    host.url = f"http{'s' * bool(context)}://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    try:
        yield host
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(body: bytes, *headers: str, first: str = "200 OK") -> Answer:
    """Answers with this body."""
    head = [f"HTTP/1.1 {first}", f"Content-Length: {len(body)}", "Connection: close", *headers]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        writer.write_eof() if writer.can_write_eof() else None
        await writer.wait_closed()

    return answer


async def flood(host: Host, writer: asyncio.StreamWriter) -> None:
    """20 MB in pieces, without a word of how many there will be."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        writer.write(b"100000\r\n" + b" " * 0x10_0000 + b"\r\n")
        await writer.drain()
        host.sent += 1


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte every 50 ms, for ten minutes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n")
    for _ in range(12_000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def hang(writer: asyncio.StreamWriter) -> None:
    """Nothing, until whoever asked goes away."""
    await writer.wait_closed()


# -- a server whose keys are there --------------------------------------------------------------------------------


async def start(world: World, url: str = "") -> Clock:
    """Start a server that fetches its keys from ``url``, or from the world's own host; gives the clock of its keys."""
    clock = Clock(source=time.monotonic)
    environment = {"OPENHOLDER_FISKIL__JWKS_URL": url} if url else {}
    with patch.dict(os.environ, environment), patch("openholder.server.app.JWKSCache", partial(JWKSCache, clock=clock)):
        await start_with(world, "sqlite", sample_rows())
    return clock


def key_set(*members: Any) -> bytes:
    return json.dumps({"keys": members}).encode()


def by(world: World, signer: Signer, kid: str = "", **claims: Any) -> str:
    """A token that is right in all but, maybe, its key."""
    return Mint(signer, world.url).token(header={"kid": kid or signer.kid}, **claims)


async def serves(world: World) -> None:
    """The key that has been there all along lets tokens in."""
    ok(await send(world, mint(world).token()))


async def told(world: World, path: str = "/ready") -> tuple[int, str]:
    """What the operator's listener says."""
    async with world.session.get(f"http://127.0.0.1:{world.holder.admin_port}{path}") as response:
        return response.status, await response.text()


def fetches(world: World, event: str) -> float:
    value = world.holder.state.journal.registry.get_sample_value("openholder_jwks_events_total", {"event": event})
    return value or 0.0


@contextmanager
def logged(level: int) -> Iterator[list[str]]:
    """The messages of that level or worse, from all of openholder."""
    messages: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler = Listening(level)
    logging.getLogger("openholder").addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger("openholder").removeHandler(handler)


async def keeps_its_keys(world: World, host: Host, clock: Clock, answer: Answer, stranger: str = "k2") -> None:
    """A fetch that brings ``answer`` is made, is taken for a failure, and changes nothing for the known key."""
    clock.ahead += 60  # the bucket of fetches for unknown kids is full again
    host.answer, asked, failed = answer, host.asked, fetches(world, "failed")
    reply = await send(world, by(world, OTHER, stranger))
    unavailable(reply)
    assert int(reply.headers["retry-after"]) >= 1
    assert fetches(world, "failed") > failed
    assert host.asked >= asked
    await serves(world)


# -- the host is not there ----------------------------------------------------------------------------------------


async def down_at_start(world: World) -> None:
    port = free_port()
    clock = await start(world, f"http://127.0.0.1:{port}/jwks.json")
    token = mint(world).token()
    reply = await send(world, token)
    unavailable(reply)
    assert int(reply.headers["retry-after"]) >= 1
    assert "www-authenticate" not in reply.headers
    assert await told(world) == (503, "no keys\n")
    async with hosted(says(world.signer.jwks()), port=port):
        clock.ahead += 60
        ok(await send(world, token))
        assert await told(world) == (200, "ready\n")


async def down_for_a_day(world: World) -> None:
    async with hosted(says(world.signer.jwks())) as host:
        clock = await start(world, host.url)
    clock.ahead = DAY
    await serves(world)
    with logged(logging.CRITICAL) as alarms:
        unavailable(await send(world, by(world, OTHER)))
    assert any("key set not refreshed" in alarm for alarm in alarms)
    await serves(world)
    _, metrics = await told(world, "/metrics")
    (age,) = [line.split()[1] for line in metrics.splitlines() if line.startswith("openholder_jwks_age_seconds ")]
    assert DAY <= float(age) < DAY + 60


async def down_for_too_long(world: World) -> None:
    async with hosted(says(world.signer.jwks())) as host:
        clock = await start(world, host.url)
    clock.ahead = MAX_STALE - 60
    await serves(world)
    clock.ahead = MAX_STALE + 1
    token = mint(world).token()
    reply = await send(world, token)
    unavailable(reply)
    assert int(reply.headers["retry-after"]) >= 1
    assert (await told(world))[0] == 503
    async with hosted(says(world.signer.jwks()), port=int(host.url.split(":")[2].split("/")[0])):
        clock.ahead += 120
        ok(await send(world, token))


# -- the host answers badly ---------------------------------------------------------------------------------------


async def redirects(world: World) -> None:
    async with hosted(says(OTHER.jwks())) as target, hosted(says(world.signer.jwks())) as host:
        clock = await start(world, host.url)
        for first in ("301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect"):
            for to in (target.url, host.url, "/jwks.json", "file:///etc/passwd"):
                asked = host.asked
                await keeps_its_keys(world, host, clock, says(b"", f"Location: {to}", first=first))
                assert host.asked <= asked + 2  # the background may have asked too; nobody went round in circles
        assert target.asked == 0


async def too_much(world: World) -> None:
    keys = [OTHER.public_jwk()] + [world.signer.public_jwk(kid=f"k{number}") for number in range(100, 20_100)]
    with_other = key_set(world.signer.public_jwk(), OTHER.public_jwk())
    bomb = gzip.compress(with_other.ljust(20_000_000))
    assert len(bomb) < 65_536
    async with hosted(says(world.signer.jwks())) as host:
        clock = await start(world, host.url)
        await keeps_its_keys(world, host, clock, says(with_other.ljust(20_000_000)))
        await keeps_its_keys(world, host, clock, says(with_other.ljust(65_537)))
        await keeps_its_keys(world, host, clock, partial(flood, host))
        assert host.sent < 10  # most of it was never taken
        await keeps_its_keys(world, host, clock, says(key_set(*keys)))
        assert len(key_set(*keys[:65])) < 65_536
        await keeps_its_keys(world, host, clock, says(key_set(*keys[:65])))
        await keeps_its_keys(world, host, clock, says(bomb, "Content-Encoding: gzip"))
        await keeps_its_keys(world, host, clock, says(gzip.compress(with_other), "Content-Encoding: gzip"))
        host.answer = says(with_other)
        clock.ahead += 120
        ok(await send(world, by(world, OTHER)))


async def drips(world: World) -> None:
    async with hosted(says(world.signer.jwks())) as host:
        clock = await start(world, host.url)
        began = time.monotonic()
        await keeps_its_keys(world, host, clock, drip)
        assert time.monotonic() - began < 6  # three, and what a busy machine adds


async def hangs(world: World) -> None:
    async with hosted(says(world.signer.jwks())) as host:
        clock = await start(world, host.url)
        clock.ahead += 60
        host.answer = hang
        host.asked_again.clear()
        waiting = asyncio.create_task(send(world, by(world, OTHER)))
        await host.asked_again.wait()
        for _ in range(20):
            await serves(world)
        assert not waiting.done(), "the known key waited for the host"
        unavailable(await waiting)


# -- unknown kids -------------------------------------------------------------------------------------------------


async def flooded(world: World, token: str, times: int = 2000) -> set[int]:
    """Send a token that names an unknown key so many times, twenty at once; gives the statuses."""
    statuses: set[int] = set()

    async def some() -> None:
        for _ in range(times // 20):
            statuses.add((await world.call(BALANCE, token=token)).status)

    await asyncio.gather(*(some() for _ in range(20)))
    return statuses


async def unknown_kids(world: World) -> None:
    """In each minute five fetches and, in the first one, the two that were saved up."""
    async with hosted(says(world.signer.jwks())) as host:
        clock = await start(world, host.url)
        stranger = by(world, OTHER)
        assert await flooded(world, stranger) == {401}
        assert host.asked <= 1 + 2 + 1
        invalid_token(await send(world, stranger))
        asked = host.asked
        for _ in range(30):
            clock.ahead += 2
            assert await flooded(world, stranger, 20) == {401}
        assert host.asked - asked <= 5 + 1
        host.answer, asked = says(b"", first="500 Internal Server Error"), host.asked
        for _ in range(30):
            clock.ahead += 2
            assert await flooded(world, stranger, 20) <= {401, 503}
        assert host.asked - asked <= 5 + 5  # and the background's own, which are not charged
        await serves(world)


async def rotation_in_a_flood(world: World) -> None:
    clock = await start(world)
    stranger, token = by(world, OTHER, "k3"), by(world, OTHER)
    assert await flooded(world, stranger, 200) == {401}
    world.jwks = key_set(world.signer.public_jwk(), OTHER.public_jwk())
    assert await flooded(world, stranger, 20) == {401}
    clock.ahead += 12.1
    assert await flooded(world, stranger, 20) == {401}
    ok(await send(world, token))


# -- what is in the set -------------------------------------------------------------------------------------------


async def one_kid_two_keys(world: World) -> None:
    third = Signer.generate("k3")
    pairs = {"k1": (world.signer, OTHER), "k4": (OTHER, world.signer), "k5": (OTHER, world.signer, OTHER)}
    doubled = [signer.public_jwk(kid=kid) for kid, signers in pairs.items() for signer in signers]
    world.jwks = key_set(*doubled, third.public_jwk())
    with logged(logging.ERROR) as errors:
        await start(world)
    assert any("different keys with the same kid" in error for error in errors)
    for kid, signers in pairs.items():
        for signer in signers:
            for algorithm in ("PS256", "RS256"):
                token = Mint(signer, world.url, algorithm=algorithm).token(header={"kid": kid})
                invalid_token(await send(world, token))
    ok(await send(world, by(world, third)))


async def one_key_two_algorithms(world: World) -> None:
    world.jwks = key_set(*(world.signer.public_jwk(alg=algorithm) for algorithm in ("RS256", "PS256")))
    await start(world)
    for algorithm in ("PS256", "RS256"):
        ok(await send(world, mint(world, algorithm=algorithm).token()))


async def a_shared_secret(world: World) -> None:
    secret = b"s" * 32
    world.jwks = key_set(
        {"kty": "oct", "kid": "s1", "k": encode_base64url(secret), "alg": "HS256"}, world.signer.public_jwk()
    )
    await start(world)
    here = mint(world)
    signed = ".".join(
        encode_base64url(json.dumps(part).encode()) for part in (here.header(alg="HS256", kid="s1"), here.claims())
    )
    mac = HMACAlgorithm(HMACAlgorithm.SHA256).sign(signed.encode(), secret)
    invalid_token(await send(world, f"{signed}.{encode_base64url(mac)}"))
    invalid_token(await send(world, by(world, OTHER, "s1")))
    await serves(world)


def never_lets_in(**members: dict[str, Any]) -> Callable[[World], Awaitable[None]]:
    """The same key under several kids, each time with a member that forbids it here, beside a good one."""

    async def scenario(world: World) -> None:
        bad = [OTHER.public_jwk(kid=kid) | changes for kid, changes in members.items()]
        world.jwks = key_set(*bad, world.signer.public_jwk())
        await start(world)
        for kid in members:
            invalid_token(await send(world, by(world, OTHER, kid)))
        await serves(world)

    return scenario


def spoils_nothing(*members: Any) -> Callable[[World], Awaitable[None]]:
    """Each member before, behind and between good ones: those go on serving."""

    async def scenario(world: World) -> None:
        world.jwks = key_set(*members, world.signer.public_jwk(), *members, OTHER.public_jwk())
        await start(world)
        await serves(world)
        ok(await send(world, by(world, OTHER)))

    return scenario


def weak_key(bits: int = 2048) -> Signer:
    """A key whose primes have the form that the generator of CVE-2017-15361 gave them, so that it can really sign."""
    small = [n for n in range(2, 168) if all(n % divisor for divisor in range(2, math.isqrt(n) + 1))]
    product, chance = math.prod(small), random.Random(15361)

    def prime() -> int:
        while True:
            high = chance.getrandbits(bits // 2) | 3 << (bits // 2 - 2)
            candidate = high - high % product + pow(65_537, chance.randrange(product), product)
            if pow(2, candidate - 1, candidate) == 1 and (candidate - 1) % 65_537:
                return candidate

    p, q = prime(), prime()
    d = pow(65_537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65_537, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    return Signer(numbers.private_key(), "weak")


async def a_weak_key(world: World) -> None:
    weak = weak_key()
    assert weak._key.key_size == 2048
    world.jwks = key_set(weak.public_jwk(), world.signer.public_jwk())
    await start(world)
    for algorithm in ("PS256", "RS256"):
        invalid_token(await send(world, Mint(weak, world.url, algorithm=algorithm).token()))
    await serves(world)


async def other_curves(world: World) -> None:
    curve, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    jwks = [
        ECAlgorithm.to_jwk(curve.public_key(), as_dict=True) | {"kid": "ec"},
        OKPAlgorithm.to_jwk(edwards.public_key(), as_dict=True) | {"kid": "ed"},
    ]
    world.jwks = key_set(*jwks, world.signer.public_jwk())
    await start(world)
    signing = {
        "ec": ("ES256", partial(ECAlgorithm(ECAlgorithm.SHA256).sign, key=curve)),
        "ed": ("EdDSA", partial(OKPAlgorithm().sign, key=edwards)),
    }
    for kid, (own, sign) in signing.items():
        invalid_token(await send(world, by(world, OTHER, kid)))
        for algorithm in ("PS256", "RS256", own):
            here = mint(world)
            parts = (here.header(alg=algorithm, kid=kid), here.claims())
            signed = ".".join(encode_base64url(json.dumps(part).encode()) for part in parts)
            invalid_token(await send(world, f"{signed}.{encode_base64url(sign(signed.encode()))}"))
    await serves(world)


# -- the way to the host ------------------------------------------------------------------------------------------


async def insecure_urls(world: World) -> None:
    folder = world.folder
    (folder / "bank.db").touch()
    path = configuration(folder, more=SQLITE)
    good = path.read_text(encoding="utf-8")
    line = next(line for line in good.splitlines() if line.startswith("jwks_url"))
    urls = ["http://cdr.fiskil.com/jwks", f"file://{folder}/jwks.json", "ftp://127.0.0.1/jwks", "data:,{}", "//host/k"]
    for url in [*urls, "http://localhost.evil.example/jwks", "http://127.0.0.1@evil.example/jwks"]:
        path.write_text(good.replace(line, f'jwks_url = "{url}"'), encoding="utf-8")
        with pytest.raises(ConfigurationError) as raised:
            Configuration.load(path)
        assert [mistake.key for mistake in raised.value.mistakes] == ["fiskil.jwks_url"], url
    ended = await asyncio.to_thread(openholder, "serve", "-c", "openholder.toml", cwd=folder)
    assert (ended.returncode, "fiskil.jwks_url" in ended.stderr) == (3, True)


async def bad_certificates(world: World) -> None:
    """Whoever sits between us and the host has no certificate of an authority that we trust, for that name, in time."""
    trusted, stranger = trustme.CA(), trustme.CA()
    past = datetime.now(UTC) - timedelta(days=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.issue_cert("127.0.0.1").configure_cert(context)
    bad = [
        stranger.issue_cert("127.0.0.1"),
        trusted.issue_cert("evil.example"),
        trusted.issue_cert("127.0.0.1", not_before=past - timedelta(days=1), not_after=past),
    ]
    trusted.cert_pem.write_to_path(world.folder / "ca.pem")
    with patch.dict(os.environ, SSL_CERT_FILE=str(world.folder / "ca.pem")):
        async with hosted(says(world.signer.jwks()), context=context) as host:
            clock = await start(world, host.url)
            assert host.asked == 1
            for certificate in bad:
                certificate.configure_cert(context)
                await keeps_its_keys(world, host, clock, says(OTHER.jwks()))
            assert host.asked == 1, "no request was ever sent to the impostor"
            clock.ahead = MAX_STALE + 1
            unavailable(await send(world, mint(world).token()))
            assert await told(world) == (503, "no keys\n")


async def cold_start(world: World) -> None:
    base = "https://resource.example"
    tokens = [Mint(world.signer, base).token() for _ in range(1000)]
    async with hosted(says(world.signer.jwks())) as host:
        keys = JWKSCache(make_fetch(host.url), refresh=300, max_stale=MAX_STALE)
        fiskil = Fiskil(issuer=ISSUER, jwks_url=host.url)
        gate = Gate(fiskil, [base], keys, MemoryStore())
        await asyncio.gather(*(gate.admit([f"Bearer {token}"], BALANCE, TokenFacts()) for token in tokens))
        assert host.asked == 1
        await keys.close()


async def cached_on_the_way(world: World) -> None:
    """How long the background waits after an answer with these headers; three seconds are for the spread."""
    waits = {
        (): 3600,
        ("Cache-Control: max-age=120",): 120,
        ("Cache-Control: public, max-age=0, must-revalidate",): 60,
        ("Cache-Control: max-age=1",): 60,
        ("Cache-Control: max-age=86400", "Age: 86000"): 3600,
        ("Cache-Control: max-age=999999999999",): 3600,
        ("Cache-Control: max-age=-5",): 3600,
        ("Cache-Control: max-age=NaN", "Expires: 0", 'Warning: 110 - "stale"'): 3600,
        ("Cache-Control: s-maxage=7",): 3600,
        ("Cache-Control: no-store",): 3600,
    }
    for headers, seconds in waits.items():
        async with hosted(says(world.signer.jwks(), *headers)) as host:
            assert await _waited(make_fetch(host.url), 3600) == (seconds, True), headers
    async with hosted(says(world.signer.jwks(), "Cache-Control: max-age=86400")) as host:
        assert await _waited(make_fetch(host.url), 300) == (300, True), "never less often than the settings say"


async def _waited(fetch: Callable[[], Awaitable[FetchedDocument]], refresh: float) -> tuple[float, bool]:
    """For how long the keys count as fresh, and whether the background asks again before they are not."""
    asleep: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def sleep(seconds: float) -> None:
        asleep.set_result(seconds)
        await asyncio.Event().wait()

    keys = JWKSCache(fetch, refresh=refresh, max_stale=MAX_STALE)
    with patch.object(cache_module.asyncio, "sleep", sleep):
        await keys.start()
        seconds = await asleep
    await keys.close()
    return keys._fresh_for, 0.7 * keys._fresh_for < seconds < 0.9 * keys._fresh_for


ROWS = (
    Row("K01", scenario=down_at_start),
    Row("K02", scenario=down_for_a_day),
    Row("K03", scenario=down_for_too_long),
    Row("K05", scenario=redirects),
    Row("K06", scenario=too_much),
    Row("K07", scenario=drips),
    Row("K08", scenario=hangs),
    Row("K10", scenario=unknown_kids),
    Row("K11", scenario=rotation_in_a_flood),
    Row("K12", scenario=one_kid_two_keys),
    Row("K13", scenario=one_key_two_algorithms),
    Row("K15", scenario=a_shared_secret),
    Row(
        "K16",
        scenario=never_lets_in(
            enc={"use": "enc"},
            null={"use": None},
            encrypt={"key_ops": ["encrypt"]},
            sign={"key_ops": ["sign"]},
            none={"key_ops": []},
            text={"key_ops": "verify"},
            table={"key_ops": {"verify": True}},
            both={"use": "enc", "key_ops": ["verify"]},
        ),
    ),
    Row(
        "K17",
        scenario=spoils_nothing(
            *(Signer.public_jwk(OTHER, kid="bad", alg=alg) for alg in ("none", "RSA-OAEP", "HS256", 7, None, [], "x"))
        ),
    ),
    Row(
        "K18",
        scenario=spoils_nothing(
            None,
            "k1",
            7,
            [],
            {},
            True,
            1.5,
            {"kty": "AKP", "kid": "k1", "alg": "ML-DSA-44", "pub": "AA"},
            {"kty": 7, "kid": "k1"},
            {"kty": "EC", "kid": "k1", "crv": "secp999", "x": "AA", "y": "AA"},
            {"kty": "RSA", "kid": "k1"},
            {"kty": "RSA", "kid": "k1", "n": "AQAB"},
            {"kty": "RSA", "kid": "k1", "e": "AQAB"},
            {"kty": "RSA", "kid": "k1", "n": None, "e": "AQAB"},
            {"kty": "RSA", "kid": "k1", "n": "!!", "e": ["AQAB"]},
        ),
    ),
    Row("K20", scenario=a_weak_key),
    Row("K21", scenario=other_curves),
    Row("K22", scenario=insecure_urls),
    Row("K23", scenario=bad_certificates),
    Row("K25", scenario=cold_start),
    Row("K26", scenario=cached_on_the_way),
)
