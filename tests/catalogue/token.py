"""Group T: the form of a token, its header, its signature."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import io
import json
import logging
import os
import re
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jwt
import structlog.testing
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from catalogue.rows import (
    Make,
    Reply,
    Request,
    Row,
    Try,
    any_of,
    burns_nothing,
    counted,
    each,
    invalid_request,
    invalid_token,
    meets,
    mint,
    no_token,
    ok,
    reasons,
    send,
    serve,
    status,
    tries,
)
from helpers.people import BALANCE, SEARCH
from helpers.support import World
from helpers.tokens import ABSENT, STRANGER, Mint, encode_base64url
from openholder.gate import TokenFacts
from openholder.gate.reasons import Reason, Refused
from openholder.gate.token import parse_token
from openholder.server.logs import configure_logging
from openholder.settings import Log


def forged(mint: Mint) -> Mint:
    """The same mint, with the stranger's key in it."""
    return replace(mint, signer=STRANGER)


def headed(values: dict[str, Any], member: str) -> dict[str, Make]:
    """Good tokens but for one member of the header."""
    return {what: lambda mint, value=value: mint.token(header={member: value}) for what, value in values.items()}


def sealed(mint: Mint, head: str, body: str) -> str:
    """Two parts as they are to be sent, with a good signature over just that spelling."""
    signed = f"{head}.{body}"
    return f"{signed}.{encode_base64url(mint.signer._key.sign(signed.encode(), PSS, hashes.SHA256()))}"


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


# -- the Authorization header -------------------------------------------------------------------------------------


def authorized(*values: str) -> Make:
    """A request with these Authorization headers, in which {good} stands for a good token."""

    def make(mint: Mint) -> Request:
        good = mint.token()
        return Request(authorization=[value.replace("{good}", good) for value in values])

    return make


OTHER_SCHEMES = ("Basic dXNlcjpw", "DPoP x", "Bearerx y", "DPoP {good}", "Token {good}", "Bearerx {good}", "{good}")
OTHER_SCHEMES += (
    "Bear er {good}",
    "Bearer\u00a0{good}",
    "Bearer:{good}",
    'Digest token="{good}"',
    "Bearer\t{good}",
    "",
)

TWO_HEADERS = {
    "good, bad": authorized("Bearer {good}", "Bearer x"),
    "bad, good": authorized("Bearer x", "Bearer {good}"),
    "good twice": authorized("Bearer {good}", "Bearer {good}"),
    "another scheme, good": authorized("Basic dXNlcjpw", "Bearer {good}"),
    "good, another scheme": authorized("Bearer {good}", "Basic dXNlcjpw"),
    "good, empty": authorized("Bearer {good}", ""),
    "empty, good": authorized("", "Bearer {good}"),
    "three": authorized("Bearer {good}", "Bearer x", "Bearer {good}"),
}
TWO_TOKENS = ("Bearer a, Bearer {good}", "Bearer {good} {good}", "Bearer {good},Bearer a", "Bearer {good}, a")
MORE_TOKENS = ("Bearer {good} x", "Bearer {good},", "Bearer ,{good}", 'Bearer {good}, Basic realm="x"')


async def token_in_query(world: World) -> None:
    await serve(world)
    good = mint(world).token()
    query = Request(path=f"{BALANCE}?access_token={good}")
    with structlog.testing.capture_logs() as lines:
        no_token(await send(world, query))
        no_token(await send(world, replace(query, path=f"{query.path}&token={good}&authorization=Bearer%20{good}")))
    assert len(lines) == 2
    assert good not in repr(lines)
    assert "access_token" not in repr(lines)
    ok(await send(world, good))
    for what, second in {"another": mint(world).token(), "a bad one": "x"}.items():
        meets(invalid_request, await send(world, replace(query, token=second)), f"{what} in the header as well")
    good = mint(world).token()
    both = Request(good, path=f"{BALANCE}?access_token={good}")
    meets(invalid_request, await send(world, both), "the same in the header as well")
    ok(await send(world, good))


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def in_body(path: str, method: str, body: str, **headers: str) -> Make:
    """A request without Authorization, whose body has a good token in place of {good}."""

    def make(mint: Mint) -> Request:
        good = replace(mint, path=path).token()
        return Request(path=path, method=method, headers=headers, body=body.replace("{good}", good).encode())

    return make


# -- algorithms and signatures ------------------------------------------------------------------------------------

NONES = ("none", "nOnE", "NONE", "None", "none ", " none", "none\0", "")


def unsigned(algorithm: str, signature: str) -> Make:
    def make(mint: Mint) -> str:
        return f"{mint.token(header={'alg': algorithm}).rpartition('.')[0]}.{signature}"

    return make


UNSIGNED = {
    **{f"{name!r}, no signature": unsigned(name, "") for name in NONES},
    **{f"{name!r}, some signature": unsigned(name, "AAAA") for name in NONES},
    **{f"{name!r}, good signature": lambda mint, name=name: mint.token(header={"alg": name}) for name in NONES},
    "'none', without the last dot": lambda mint: mint.token(header={"alg": "none"}).rpartition(".")[0],
    "PS256, no signature": unsigned("PS256", ""),
    "PS256, a signature of zeros": unsigned("PS256", encode_base64url(bytes(256))),
}

_SPKI, _PKCS1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER


def public(mint: Mint) -> rsa.RSAPublicKey:
    return mint.signer._key.public_key()


SECRETS: dict[str, Callable[[Mint], bytes]] = {
    "PEM": lambda mint: public(mint).public_bytes(_PEM, _SPKI),
    "PEM without its last line break": lambda mint: public(mint).public_bytes(_PEM, _SPKI).rstrip(),
    "PEM of PKCS#1": lambda mint: public(mint).public_bytes(_PEM, _PKCS1),
    "DER": lambda mint: public(mint).public_bytes(_DER, _SPKI),
    "DER of PKCS#1": lambda mint: public(mint).public_bytes(_DER, _PKCS1),
    "JWK": lambda mint: json.dumps(mint.signer.public_jwk()).encode(),
    "JWK without spaces": lambda mint: json.dumps(mint.signer.public_jwk(), separators=(",", ":")).encode(),
    "JWKS": lambda mint: mint.signer.jwks(),
    "modulus": lambda mint: decoded(mint.signer.public_jwk()["n"]),
    "modulus as text": lambda mint: mint.signer.public_jwk()["n"].encode(),
    "nothing": lambda mint: b"",
}


def hashed(algorithm: str, secret: Callable[[Mint], bytes]) -> Make:
    def make(mint: Mint) -> str:
        signed = mint.token(header={"alg": algorithm}).rpartition(".")[0]
        return f"{signed}.{encode_base64url(hmac.digest(secret(mint), signed.encode(), f'sha{algorithm[2:]}'))}"

    return make


async def other_algorithms(world: World) -> None:
    rsa_key, curve, edwards = world.signer._key, ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey
    keys: dict[str, Any] = {"ES256": curve, "EdDSA": edwards.generate()}
    keys |= dict.fromkeys(("PS384", "PS512", "RS384", "RS512"), rsa_key)
    written = {"ES256": ECAlgorithm.to_jwk(keys["ES256"].public_key(), as_dict=True)}
    written["EdDSA"] = OKPAlgorithm.to_jwk(keys["EdDSA"].public_key(), as_dict=True)
    jwks = [world.signer.public_jwk()]
    for name in keys:
        jwk = written.get(name) or world.signer.public_jwk()
        jwks += [{**jwk, "kid": f"for-{name}", "alg": name}, {**jwk, "kid": f"plain-{name}"}]
    world.jwks = json.dumps({"keys": jwks}).encode()
    await serve(world)
    for name, key in keys.items():
        for kid in (f"for-{name}", f"plain-{name}", "k1"):
            token = jwt.encode(mint(world).claims(), key, algorithm=name, headers={"kid": kid})
            meets(invalid_token, await send(world, token), f"{name}, kid {kid}")
    assert reasons(world) == {Reason.ALGORITHM_NOT_ALLOWED: 3 * len(keys)}
    for kid in ("for-ES256", "for-EdDSA", "for-PS384", "plain-ES256"):
        meets(invalid_token, await send(world, mint(world).token(header={"kid": kid})), f"PS256, kid {kid}")
    ok(await send(world, mint(world).token()))


STRANGE_ALGORITHMS = {
    "small": "ps256",
    "mixed": "Ps256",
    "a space behind": "PS256 ",
    "a space in front": " PS256",
    "a NUL behind": "PS256\0",
    "its name elsewhere": "RSASSA-PSS",
    "two": "PS256,RS256",
    "of JWE": "RSA-OAEP",
    "missing": ABSENT,
    "null": None,
    "a list": ["PS256"],
    "an object": {},
    "an object of it": {"PS256": True},
    "a number": 256,
    "true": True,
}

PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
SCHEMES = {
    "PSS as RS256": ("RS256", PSS, hashes.SHA256()),
    "PKCS#1 v1.5 as PS256": ("PS256", padding.PKCS1v15(), hashes.SHA256()),
    "no salt": ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 0), hashes.SHA256()),
    "20 bytes of salt": ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256()),
    "31 bytes of salt": ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 31), hashes.SHA256()),
    "33 bytes of salt": ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 33), hashes.SHA256()),
    "all the salt that fits": ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 222), hashes.SHA256()),
    "MGF1 with SHA-1": ("PS256", padding.PSS(padding.MGF1(hashes.SHA1()), 32), hashes.SHA256()),
    "MGF1 with SHA-512": ("PS256", padding.PSS(padding.MGF1(hashes.SHA512()), 32), hashes.SHA256()),
    "PSS over SHA-512": ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA512()),
    "PKCS#1 v1.5 over SHA-512": ("RS256", padding.PKCS1v15(), hashes.SHA512()),
}


def signed_by(algorithm: str, scheme: Any, digest: hashes.HashAlgorithm) -> Make:
    def make(mint: Mint) -> str:
        signed = mint.token(header={"alg": algorithm}).rpartition(".")[0]
        return f"{signed}.{encode_base64url(mint.signer._key.sign(signed.encode(), scheme, digest))}"

    return make


def with_signature(change: Callable[[bytes, int], bytes]) -> Make:
    """A good token whose signature is changed; the change is told the modulus too."""

    def make(mint: Mint) -> str:
        signed, _, signature = mint.token().rpartition(".")
        return f"{signed}.{encode_base64url(change(decoded(signature), public(mint).public_numbers().n))}"

    return make


LENGTHS = {
    "a zero byte in front": with_signature(lambda signature, n: b"\0" + signature),
    "a zero byte behind": with_signature(lambda signature, n: signature + b"\0"),
    "a byte short": with_signature(lambda signature, n: signature[:-1]),
    "zero": with_signature(lambda signature, n: bytes(256)),
    "one": with_signature(lambda signature, n: bytes(255) + b"\1"),
    "the modulus": with_signature(lambda signature, n: n.to_bytes(256)),
    "the modulus less one": with_signature(lambda signature, n: (n - 1).to_bytes(256)),
    "the modulus more": with_signature(lambda signature, n: (int.from_bytes(signature) + n).to_bytes(257)),
}


async def flipped_bits(world: World) -> None:
    """A bit of each part over HTTP, and every single one by the gate itself."""
    await serve(world)
    gate = world.holder.state.service._gate
    good = mint(world).token()
    for number, part in enumerate(("header", "payload", "signature")):
        length = len(decoded(good.split(".")[number]))
        for bit in (0, length * 4, length * 8 - 1):
            meets(invalid_token, await send(world, flipped(good, number, bit)), f"{part}: bit {bit}")
        for bit in range(length * 8):
            with contextlib.suppress(Refused):
                await gate.admit([f"Bearer {flipped(good, number, bit)}"], BALANCE, TokenFacts())
                raise AssertionError(f"{part}: let in with bit {bit} flipped")
    ok(await send(world, good))


def flipped(token: str, number: int, bit: int) -> str:
    pieces = token.split(".")
    changed = bytearray(decoded(pieces[number]))
    changed[bit // 8] ^= 1 << bit % 8
    pieces[number] = encode_base64url(bytes(changed))
    return ".".join(pieces)


# -- kid, and keys that the token brings along --------------------------------------------------------------------

NO_KIDS = {
    "missing": ABSENT,
    "null": None,
    "empty": "",
    "a number": 1,
    "true": True,
    "a list": ["k1"],
    "an object": {"k1": 1},
    "257 characters": "k" * 257,
    "5 kB": "k" * 5_000,
    "10 kB": "k" * 10_000,
}
STRANGE_KIDS = (
    "\0",
    "k1\0",
    "k1\n",
    "\r\nk1",
    "\x1b[2J\x1b[31mk1",
    "\x9b31m",
    '", "status_code": 200, "x": "',
    "' OR '1'='1",
    "k1'; DROP TABLE used; --",
    "../../etc/passwd",
    "/dev/null",
    "file:///etc/passwd",
    "http://127.0.0.1/keys",
    "${jndi:ldap://127.0.0.1/x}",
    "{0.__class__}",
    "%s%s%n",
    "K1",
    " k1",
    "k\u0131",
    "\u202e1k",
    "k" * 256,
)


@contextlib.contextmanager
def log_as(form: str) -> Iterator[io.StringIO]:
    """What the process would write to its log meanwhile."""
    root, access, stream = logging.getLogger(), logging.getLogger("tornado.access"), io.StringIO()
    before = (root.handlers, root.level, access.disabled)
    try:
        configure_logging(Log(format=form), stream)
        yield stream
    finally:
        root.handlers, root.level, access.disabled = before


async def strange_kids(world: World) -> None:
    await serve(world)
    for what, kid in NO_KIDS.items():
        meets(invalid_token, await send(world, mint(world).token(header={"kid": kid})), f"kid {what}")
    assert reasons(world) == {Reason.KID_MALFORMED: len(NO_KIDS) - 1, Reason.TOKEN_TOO_LONG: 1}
    shown = [re.sub("[^ -~]", "?", kid[:32]) for kid in STRANGE_KIDS]
    with structlog.testing.capture_logs() as lines:
        for kid in STRANGE_KIDS:
            meets(invalid_token, await send(world, mint(world).token(header={"kid": kid})), f"kid {kid!r}")
    assert [line["kid"] for line in lines] == shown
    assert reasons(world)[Reason.KEY_UNKNOWN] == len(STRANGE_KIDS)
    for form in ("json", "console"):
        with log_as(form) as stream:
            for kid in STRANGE_KIDS:
                await send(world, mint(world).token(header={"kid": kid}))
        written = stream.getvalue()
        lines = written.removesuffix("\n").split("\n")
        assert len(lines) == len(STRANGE_KIDS)
        controls = {character for line in lines for character in line if not character.isprintable()}
        assert controls == set(), f"control characters in the log as {form}"
        if form == "json":
            assert [json.loads(line)["kid"] for line in lines] == shown
    ok(await send(world, mint(world).token()))


async def unknown_kids(world: World) -> None:
    await serve(world)
    for _ in range(30):
        invalid_token(await send(world, mint(world).token(header={"kid": str(uuid.uuid4())})))
    fetches = counted(world, "openholder_jwks_events_total", "event")
    assert fetches["unknown_kid"] == 30
    assert fetches["fetched"] <= 1 + 2  # one at the start, and as many as unknown kids may cause at once
    ok(await send(world, mint(world).token()))


def bearing(**members: Any) -> Make:
    """Signed by a stranger who sends the key along."""
    return lambda mint: forged(mint).token(header={"jwk": STRANGER.public_jwk(), **members})


EMBEDDED = {
    "kid of ours": bearing(),
    "no kid": bearing(kid=ABSENT),
    "kid of its own": bearing(kid="own", jwk=STRANGER.public_jwk(kid="own")),
    "jwk with the private key": bearing(
        jwk=STRANGER.public_jwk(d=encode_base64url(STRANGER._key.private_numbers().d.to_bytes(256)))
    ),
    "a whole set": bearing(jwk=ABSENT, jwks={"keys": [STRANGER.public_jwk()]}),
    "as RS256": lambda mint: replace(forged(mint), algorithm="RS256").token(header={"jwk": STRANGER.public_jwk()}),
    "in the payload": lambda mint: forged(mint).token(cnf={"jwk": STRANGER.public_jwk()}, jwk=STRANGER.public_jwk()),
}


async def pointers(world: World) -> None:
    """Header members that point somewhere, where somebody counts the visitors."""
    visitors = []

    async def visited(_: Any, writer: Any) -> None:
        visitors.append(1)
        writer.close()

    async with await asyncio.start_server(visited, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        await serve(world)
        for members in (
            {"jku": url},
            {"x5u": url},
            {"x5c": ["AAAA"]},
            {"x5t": "AAAA", "x5t#S256": "AAAA"},
            {"jku": url, "x5u": url, "x5c": [url], "x5t": url, "url": url, "jwk": {"kty": "oct", "k": "AA"}},
            {"jku": None, "x5u": 7, "x5c": {}, "x5t": []},
        ):
            meets(ok, await send(world, mint(world).token(header=members)), f"{sorted(members)}")
            meets(invalid_token, await send(world, forged(mint(world)).token(header=members)), f"forged {members}")
            unknown = mint(world).token(header={**members, "kid": "k2"})
            meets(invalid_token, await send(world, unknown), f"kid unknown, {members}")
        meets(ok, await send(world, mint(world).token(iss_url=url, jku=url)), "in the payload")
        assert visitors == []


CRITICAL = {
    "unknown": {"crit": ["x"], "x": 1},
    "naming what is not there": {"crit": ["x"]},
    "empty": {"crit": []},
    "text": {"crit": "x", "x": 1},
    "an object": {"crit": {"x": 1}, "x": 1},
    "null": {"crit": None},
    "false": {"crit": False},
    "a number in a list": {"crit": [1]},
    "a registered name": {"crit": ["alg"]},
    "the same twice": {"crit": ["x", "x"], "x": 1},
    "a claim": {"crit": ["exp"], "exp": 1},
    "of RFC 8225 and others": {"crit": ["ppt"], "ppt": "shaken"},
}


def deflated(mint: Mint) -> str:
    squeeze = zlib.compressobj(wbits=-15)
    return mint.sign(mint.header(zip="DEF"), squeeze.compress(json.dumps(mint.claims()).encode()) + squeeze.flush())


# -- other kinds of token -----------------------------------------------------------------------------------------


def encrypted(mint: Mint, content: bytes, algorithm: str = "RSA-OAEP", **header: Any) -> str:
    """A JWE to the public key (RFC 7516), as whoever has only that one can make it."""
    digest = hashes.SHA256() if algorithm.endswith("256") else hashes.SHA1()
    head = encode_base64url(json.dumps(mint.header(alg=algorithm, enc="A256GCM", **header)).encode())
    key, nonce = os.urandom(32), os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, content, head.encode())
    wrapped = public(mint).encrypt(key, padding.OAEP(padding.MGF1(digest), digest, None))
    return ".".join([head, *map(encode_base64url, (wrapped, nonce, sealed[:-16], sealed[-16:]))])


NESTED = {
    "JWE of claims": lambda mint: encrypted(mint, json.dumps(mint.claims()).encode()),
    "JWE of claims, RSA-OAEP-256": lambda mint: encrypted(mint, json.dumps(mint.claims()).encode(), "RSA-OAEP-256"),
    "JWE of a good token": lambda mint: encrypted(mint, mint.token().encode(), cty="JWT"),
    "JWE that calls itself PS256": lambda mint: encrypted(mint, mint.token().encode(), "PS256", cty="JWT"),
    "JWT in a JWT": lambda mint: mint.sign(mint.header(cty="JWT"), mint.token()),
    "JWT as text in a JWT": lambda mint: mint.sign(mint.header(cty="JWT"), json.dumps(mint.token())),
    "JWE in a JWT": lambda mint: mint.sign(mint.header(cty="JWT"), encrypted(mint, b"{}")),
    "four parts": lambda mint: f"{mint.token()}.AAAA",
    "five parts": lambda mint: f"{mint.token()}.AAAA.AAAA",
    "six parts": lambda mint: f"{mint.token()}.{mint.token()}",
}


def as_json(mint: Mint, *, flat: bool, compact: bool = False) -> str:
    protected, payload, signature = mint.token().split(".")
    one = {"protected": protected, "signature": signature}
    whole = {"payload": payload, **(one if flat else {"signatures": [one]})}
    return json.dumps(whole, separators=(",", ":") if compact else None)


JSON_SERIALISED = {
    "flattened": lambda mint: as_json(mint, flat=True),
    "general": lambda mint: as_json(mint, flat=False),
    "flattened, no spaces": lambda mint: as_json(mint, flat=True, compact=True),
    "general, no spaces": lambda mint: as_json(mint, flat=False, compact=True),
    "flattened, as base64url": lambda mint: encode_base64url(as_json(mint, flat=True).encode()),
}

# -- spelling -----------------------------------------------------------------------------------------------------


def padded(number: int, *, signed: bool) -> Make:
    """A part with the = that base64 would put there, with a signature over it or put there afterwards."""

    def make(mint: Mint) -> str:
        token = next(
            token
            for filler in range(3)
            if len((token := mint.token(header={"x": "x" * filler}, x="x" * filler)).split(".")[number]) % 4
        )
        pieces = token.split(".")
        pieces[number] += "=" * (-len(pieces[number]) % 4)
        return sealed(mint, *pieces[:2]) if signed else ".".join(pieces)

    return make


PADDED = {
    "header": padded(0, signed=False),
    "header, signed so": padded(0, signed=True),
    "payload": padded(1, signed=False),
    "payload, signed so": padded(1, signed=True),
    "signature": padded(2, signed=False),
    "more than needed": lambda mint: f"{mint.token()}====",
    "escaped": lambda mint: f"{mint.token()}%3D%3D",
}


def standard_alphabet(mint: Mint) -> str:
    """Both characters that differ are in the payload; the signature is over what is sent."""
    claims = mint.claims(x="???>>>???>>>")
    body = base64.b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    assert "/" in body
    return sealed(mint, encode_base64url(json.dumps(mint.header()).encode()), body)


def in_the_middle(text: str, number: int = 1) -> Make:
    """Put into a part of a good token."""

    def make(mint: Mint) -> str:
        pieces = mint.token().split(".")
        half = len(pieces[number]) // 2
        pieces[number] = pieces[number][:half] + text + pieces[number][half:]
        return ".".join(pieces)

    return make


REFUSED_SOMEHOW = any_of(invalid_token, invalid_request, status(400))
"""By the gate, or already by Tornado, whose 400 is bare."""
FOREIGN = {
    "the standard alphabet, signed so": standard_alphabet,
    **{
        f"{text!r} in part {number}": in_the_middle(text, number)
        for text in ("+", "/", " ", "\t", "\n", "\r\n ", "\r\n\t", "\n ", "\r", "%20", "*", "~", ":", "\\n")
        for number in range(3)
    },
    "dots as %2e": lambda mint: mint.token().replace(".", "%2e"),
    "dots as %2E": lambda mint: mint.token().replace(".", "%2E"),
    "a letter as %xx": lambda mint: mint.token().replace("e", "%65", 1),
    "quotes around": lambda mint: f'"{mint.token()}"',
    "angle brackets around": lambda mint: f"<{mint.token()}>",
    "a dot in front": lambda mint: f".{mint.token()}",
    "a dot behind": lambda mint: f"{mint.token()}.",
}
BEYOND_ASCII = {
    f"{text!a} in part {number}": in_the_middle(text, number)
    for text in (
        "\u00e9",
        "e\u0301",
        "\udcff",
        "\udcc0\udcaf",
        "\0",
        "\x01",
        "\x7f",
        "\u2028",
        "\uff41",
        "\u0660",
        "\U0001f511",
    )
    for number in range(3)
} | {
    "NUL in front": lambda mint: f"\0{mint.token()}",
    "NUL behind": lambda mint: f"{mint.token()}\0",
    "\\xff behind": lambda mint: f"{mint.token()}\udcff",
}


def uncanonical(number: int) -> Make:
    """A part with bits set that no byte uses, signed so where it is part of what is signed."""

    def make(mint: Mint) -> str:
        token = next(
            token
            for filler in range(3)
            if len((token := mint.token(header={"x": "x" * filler}, x="x" * filler)).split(".")[number]) % 4
        )
        pieces = token.split(".")
        part = pieces[number]
        pieces[number] = part[:-1] + ALPHABET[ALPHABET.index(part[-1]) + 1]
        assert decoded(pieces[number]) == decoded(part)
        return sealed(mint, *pieces[:2]) if number < 2 else ".".join(pieces)

    return make


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UNCANONICAL = {name: uncanonical(number) for number, name in enumerate(("header", "payload", "signature"))}

ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig", "cp037")
BROKEN = {"lone byte": b"\xff", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80", "cut": b"\xe2\x82", "NUL": b"\0"}


def written(mint: Mint, where: str, change: Callable[[bytes], bytes]) -> str:
    """A token whose header or payload has been changed as bytes before it was signed."""
    both = {"header": json.dumps(mint.header(x="~")).encode(), "payload": json.dumps(mint.claims(x="~")).encode()}
    both[where] = change(both[where])
    return mint.sign(both["header"], both["payload"])


ENCODED = {
    f"{where} in {encoding}": lambda mint, where=where, encoding=encoding: written(
        mint, where, lambda part: part.decode().encode(encoding)
    )
    for where in ("header", "payload")
    for encoding in ENCODINGS
} | {
    f"{where}: {what}": lambda mint, where=where, text=text: written(mint, where, lambda part: part.replace(b"~", text))
    for where in ("header", "payload")
    for what, text in BROKEN.items()
}

# -- JSON ---------------------------------------------------------------------------------------------------------


def members(pairs: list[tuple[str, Any]]) -> str:
    """An object with its members in this order, repeated or not, their names as they stand."""
    return f"{{{', '.join(f'{chr(34)}{name}{chr(34)}: {json.dumps(value)}' for name, value in pairs)}}}"


def repeated(where: str, name: str, other: Any, order: str) -> Make:
    """A header or payload in which a member stands twice."""

    def make(mint: Mint) -> str:
        both = {"header": mint.header(), "payload": mint.claims()}
        good = both[where].pop(name)
        escaped = f"\\u{ord(name[0]):04x}{name[1:]}"
        twice = {
            "good first": [(name, good), (name, other)],
            "good last": [(name, other), (name, good)],
            "the same": [(name, good), (name, good)],
            "one name escaped": [(name, other), (escaped, good)],
        }[order]
        texts = {part: json.dumps(both[part]) for part in both}
        texts[where] = members([*twice, *both[where].items()])
        return mint.sign(texts["header"], texts["payload"])

    return make


ORDERS = ("good first", "good last", "the same", "one name escaped")
OTHER_HEADER = {"alg": "none", "kid": "k2", "typ": "logout+jwt"}
OTHER_CLAIMS = {
    "exp": 1,
    "aud": "https://evil.example/",
    "iss": "other.example",
    "sub": "other.example",
    "jti": "other",
}
OTHER_CLAIMS |= {"iat": 1}

LEVELS = 1_600


def deep(where: str, text: str) -> Make:
    def make(mint: Mint) -> str:
        both = {"header": json.dumps(mint.header()), "payload": json.dumps(mint.claims())}
        both[where] = f'{both[where][:-1]}, "x": {text}}}'
        return mint.sign(both["header"], both["payload"])

    return make


DEEP = {
    f"{where}: {what}": deep(where, text)
    for where in ("header", "payload")
    for what, text in {
        "lists": "[" * LEVELS + "]" * LEVELS,
        "lists that never end": "[" * LEVELS,
        "objects that never end": '{"":' * (LEVELS * 3 // 5),
        "lists in objects": '[{"":' * 800 + "1" + "}]" * 800,
    }.items()
} | {"nothing but lists": lambda mint: mint.sign(mint.header(), "[" * LEVELS + "]" * LEVELS)}


async def deep_json(world: World) -> None:
    await serve(world)
    for what, make in DEEP.items():
        token = make(mint(world))
        meets(invalid_token, await send(world, token), what)
        meets(ok, await send(world, mint(world).token()), f"after {what}")
        assert min(_seconds_to_refuse(token) for _ in range(10)) < 0.005, what
    assert set(reasons(world)) <= {Reason.HEADER_NOT_JSON, Reason.PAYLOAD_NOT_JSON, Reason.TOKEN_TOO_LONG}
    assert reasons(world)[Reason.HEADER_NOT_JSON] >= 2
    assert reasons(world)[Reason.PAYLOAD_NOT_JSON] >= 3


def _seconds_to_refuse(token: str) -> float:
    started = time.perf_counter()
    with contextlib.suppress(Refused):
        parse_token(token, ("PS256",), ("JWT",))
        raise AssertionError("not refused")
    return time.perf_counter() - started


TYPES = ("JWT", "jwt", "Jwt", "application/jwt", "APPLICATION/JWT", "at+jwt", "AT+JWT", "application/at+jwt")
OTHER_TYPES = {
    **{
        kind: kind
        for kind in ("dpop+jwt", "logout+jwt", "application/dpop+jwt", "id_token", "JOSE", "text/jwt", "JWT ", "jwt\0")
    },
    "application twice": "application/application/jwt",
    "empty": "",
    "a number": 7,
    "null": None,
    "a list": [],
    "a list of it": ["JWT"],
    "an object": {},
    "true": True,
}


async def token_types(world: World) -> None:
    narrow = await serve(world, "narrow", FISKIL__TOKEN_TYPES="dpop+jwt")
    await serve(world)
    for kind in (ABSENT, *TYPES):
        meets(ok, await send(world, mint(world).token(header={"typ": kind})), f"typ {kind}")
    for what, kind in OTHER_TYPES.items():
        meets(invalid_token, await send(world, mint(world).token(header={"typ": kind})), f"typ {what}")
    assert reasons(world) == {Reason.TYPE_NOT_ALLOWED: len(OTHER_TYPES)}
    for kind, expect in (("dpop+jwt", ok), ("application/DPoP+JWT", ok), ("JWT", invalid_token), (ABSENT, ok)):
        meets(expect, await send(narrow, mint(narrow).token(header={"typ": kind})), f"typ {kind}, where set otherwise")


NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1E+400", "1.5e999999999", "9" * 5_000, "-" + "9" * 5_000)
NUMBERS += ("0." + "3" * 5_000, "1e" + "9" * 5_000)


def numbered(place: str, number: str) -> Make:
    """A payload with this number in the place of 0 in a piece of JSON, as its last member."""

    def make(mint: Mint) -> str:
        name = json.loads(f"{{{place}}}").popitem()[0]
        rest = json.dumps(mint.claims(**{name: ABSENT}))
        return mint.sign(mint.header(), f"{rest[:-1]}, {place.replace('0', number)}}}")

    return make


PLACES = {
    "a claim": '"x": 0',
    "a list": '"x": [1, [0]]',
    "an object": '"x": {"y": 0}',
    "exp": '"exp": 0',
    "nbf": '"nbf": 0',
}
ODD_NUMBERS = {
    f"{number if len(number) < 20 else f'{number[:3]}... of {len(number)} characters'} in {where}": numbered(
        place, number
    )
    for number in NUMBERS
    for where, place in PLACES.items()
}

# -- what the caller learns ---------------------------------------------------------------------------------------


async def nothing_to_tell_apart(world: World) -> None:
    correlated = {"x-fapi-interaction-id": "0b5d6c1e-7f0c-4e0e-9d1b-2f8f6f9d1c11"}
    for failure_status in (401, 403):
        server = await serve(world, str(failure_status), FISKIL__AUTHENTICATION_FAILURE_STATUS=str(failure_status))
        good = mint(server)
        used = good.token()
        ok(await send(server, used))
        tokens = {
            "another key": forged(good).token(),
            "a flipped bit": flipped(good.token(), 2, 100),
            "alg none": UNSIGNED["'none', no signature"](good),
            "no signature": UNSIGNED["PS256, no signature"](good),
            "unknown kid": good.token(header={"kid": "k2"}),
            "bad iss": good.token(iss="other.example"),
            "bad sub": good.token(sub="other.example"),
            "bad aud": good.token(aud="https://evil.example/"),
            "expired": good.token(exp=1),
            "no jti": good.token(jti=ABSENT),
            "used": used,
            "no token at all": "abc",
        }
        replies = {}
        for what, token in tokens.items():
            reply = await send(server, Request(token, headers=correlated))
            headers = {name: value for name, value in reply.headers.items() if name != "date"}
            replies[what] = Reply(reply.status, headers, reply.body)
        first = replies["another key"]
        assert first.status == failure_status
        assert first.headers["www-authenticate"].endswith(', error="invalid_token"')
        assert first.error["detail"] == "authentication failed"
        assert "x-sharing-refused" not in first.headers
        assert {what: reply for what, reply in replies.items() if reply != first} == {}
        assert reasons(server) == {
            Reason.SIGNATURE_WRONG: 2,
            Reason.NOT_COMPACT_JWS: 3,
            **dict.fromkeys((Reason.KEY_UNKNOWN, Reason.ISSUER_WRONG, Reason.SUBJECT_WRONG, Reason.AUDIENCE_WRONG), 1),
            **dict.fromkeys((Reason.EXPIRED, Reason.TOKEN_ID_MALFORMED, Reason.REPLAYED), 1),
        }, "the log knows which check it was"


ROWS = (
    Row(
        "T01",
        (Try("none", lambda mint: Request(), no_token),),
    ),
    Row(
        "T02",
        tries(
            invalid_request,
            {repr(value): authorized(value) for value in ("Bearer ", "Bearer", "bearer", "Bearer    ", "BEARER \t")},
        ),
    ),
    Row(
        "T03",
        scenario=burns_nothing(no_token, {value: authorized(value) for value in OTHER_SCHEMES}),
    ),
    Row("T05", scenario=burns_nothing(invalid_request, TWO_HEADERS)),
    Row(
        "T06",
        tries(invalid_request, {value: authorized(value) for value in TWO_TOKENS + MORE_TOKENS}),
    ),
    Row("T07", scenario=token_in_query),
    Row(
        "T08",
        (
            *tries(
                no_token,
                {
                    "form, GET": in_body(BALANCE, "GET", "access_token={good}", **FORM),
                    "JSON, GET": in_body(BALANCE, "GET", '{"access_token": "{good}"}'),
                    "JSON, POST": in_body(SEARCH, "POST", '{"access_token": "{good}", "email": "a@b.example"}'),
                },
            ),
            # Where a body is read, H08 asks for 415, and the media type is judged before the token.
            Try("form, POST", in_body(SEARCH, "POST", "access_token={good}", **FORM), status(415)),
        ),
    ),
    Row("T10", scenario=burns_nothing(invalid_token, UNSIGNED)),
    Row(
        "T11",
        tries(
            invalid_token,
            {
                f"{algorithm} over {what}": hashed(algorithm, secret)
                for algorithm in ("HS256", "HS512")
                for what, secret in SECRETS.items()
            },
        ),
    ),
    Row("T12", scenario=other_algorithms),
    Row("T13", tries(invalid_token, headed(STRANGE_ALGORITHMS, "alg"))),
    Row(
        "T15",
        (
            Try("PS256", lambda mint: mint.token(), ok),
            Try("RS256", lambda mint: replace(mint, algorithm="RS256").token(), ok),
        ),
    ),
    Row(
        "T16",
        scenario=burns_nothing(
            invalid_token,
            {
                "PS256": lambda mint: forged(mint).token(),
                "RS256": lambda mint: replace(forged(mint), algorithm="RS256").token(),
            },
        ),
    ),
    Row("T17", scenario=flipped_bits),
    Row(
        "T18",
        tries(invalid_token, {what: signed_by(*scheme) for what, scheme in SCHEMES.items()} | LENGTHS),
    ),
    Row("T20", scenario=strange_kids),
    Row("T21", scenario=unknown_kids),
    Row("T22", tries(invalid_token, EMBEDDED)),
    Row("T23", scenario=pointers),
    Row(
        "T24",
        tries(
            invalid_token,
            {what: lambda mint, header=header: mint.token(header=header) for what, header in CRITICAL.items()},
        ),
    ),
    Row(
        "T26",
        (
            Try("zip=DEF", lambda mint: mint.token(header={"zip": "DEF"}), ok),
            Try("zip=DEF, and the payload is deflated", deflated, invalid_token),
        ),
    ),
    Row(
        "T25",
        tuple(
            Try(f"b64 {value}", lambda mint, v=value: mint.token(header={"crit": ["b64"], "b64": v}), invalid_token)
            for value in (True, False)
        ),
    ),
    Row("T27", tries(invalid_token, NESTED)),
    Row("T28", tries(any_of(invalid_request, invalid_token), JSON_SERIALISED)),
    Row("T30", tries(invalid_token, PADDED)),
    Row("T31", scenario=each(REFUSED_SOMEHOW, FOREIGN)),
    Row("T32", tries(invalid_token, UNCANONICAL)),
    Row("T33", scenario=each(REFUSED_SOMEHOW, BEYOND_ASCII)),
    Row("T35", tries(invalid_token, ENCODED)),
    Row(
        "T36",
        tries(
            invalid_token,
            {
                f"{name}: {order}": repeated("header", name, other, order)
                for name, other in OTHER_HEADER.items()
                for order in ORDERS
            },
        ),
    ),
    Row(
        "T37",
        tries(
            invalid_token,
            {
                f"{name}: {order}": repeated("payload", name, other, order)
                for name, other in OTHER_CLAIMS.items()
                for order in ORDERS
            },
        ),
    ),
    Row("T38", scenario=deep_json),
    Row("T40", scenario=token_types),
    Row("T41", tries(invalid_token, ODD_NUMBERS)),
    Row("T42", scenario=nothing_to_tell_apart),
)
