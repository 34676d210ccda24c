"""Whether a token is Fiskil's: signature, algorithm and key. What signs here is a key of the rehearsal's own."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from openholder.fiskil.signer import part
from openholder.rehearsal.attacks.target import Attack, Make, Target, no_data, stranger
from openholder.rehearsal.findings import Rule

NOWHERE = "http://192.0.2.1/jwks.json"
"""An address that is kept free for documents (RFC 5737): nobody is there."""
_FORGED = "Anybody can make tokens, and read everybody's data."
_GUIDE = "Fiskil, resource server guide: verify the signature"

SIGNED = Rule(
    "signature", "critical",
    expected="A token whose signature does not fit is refused.",
    why=_FORGED,
    written=f"{_GUIDE}; RFC 7515 section 5.2",
    mend="Verify with the key of the JWKS that kid names; decoding a token does not verify it.",
)  # fmt: skip
PLAIN = Rule(
    "alg-none", "critical",
    expected="A token with alg none, in any letter case, is refused.",
    why=_FORGED,
    written="RFC 8725 sections 2.1 and 3.2",
    mend="Give the library the list of algorithms: PS256 and RS256.",
)  # fmt: skip
CONFUSED = Rule(
    "hmac-with-public-key", "critical",
    expected="A token signed with HS256, and the public key as the secret, is refused.",
    why=f"The public key is known to all. {_FORGED}",
    written="RFC 8725 section 2.1; CVE-2022-29217",
    mend="Give the library the list of algorithms: PS256 and RS256. Never take alg from the token.",
)  # fmt: skip
EMBEDDED = Rule(
    "embedded-key", "critical",
    expected="A key that comes in the token's own header (jwk, jku, x5u) is never used.",
    why=f"{_FORGED} A server that fetches such keys can be sent to addresses inside its network.",
    written="RFC 8725 section 3.10; RFC 7515 section 4.1",
    mend="Take keys from the configured JWKS only.",
)  # fmt: skip


def _unsigned(algorithm: str, keep: bool = False) -> Make:
    def made(target: Target) -> str:
        signature = target.token().rpartition(".")[2] if keep else ""
        return f"{part(target.header(alg=algorithm))}.{part(target.claims())}.{signature}"

    return made


def _hmac(secret: Callable[[Target], bytes]) -> Make:
    def made(target: Target) -> str:
        signed = f"{part(target.header(alg='HS256'))}.{part(target.claims())}"
        return f"{signed}.{part(hmac.digest(secret(target), signed.encode(), hashlib.sha256))}"

    return made


def _forged(**header: Any) -> Make:
    """Signed by somebody else."""
    return lambda target: target.signed(target.header(**header), target.claims(), stranger())


def _mixed(index: int) -> Make:
    """A good token with one part of another good one."""

    def made(target: Target) -> str:
        parts, others = target.token().split("."), target.token({"typ": None}).split(".")
        return ".".join([*parts[:index], others[index], *parts[index + 1 :]])

    return made


def _flipped(target: Target) -> str:
    """A bit in the middle of the signature: the last ones may stand for nothing."""
    token = target.token()
    return f"{token[:-40]}{'A' if token[-40] != 'A' else 'B'}{token[-39:]}"


def _embedded(target: Target) -> str:
    return target.signed(target.header(jwk=stranger().public_jwk(kid=target.signer.kid)), target.claims(), stranger())


ATTACKS = (
    Attack(SIGNED, no_data, {
        "signed by another key under the same kid": _forged(),
        "signed by another key with RS256": lambda target:
            stranger().sign(target.header(alg="RS256"), target.claims(), "RS256"),
        "the header of another token": _mixed(0),
        "the claims of another token": _mixed(1),
        "one character of the signature changed": _flipped,
        "an empty signature": lambda target: f"{target.token().rpartition('.')[0]}.",
        "a signature under the name of the other algorithm": lambda target: target.token({"alg": target.other}),
    }),
    Attack(PLAIN, no_data, {
        "alg none": _unsigned("none"),
        "alg nOnE": _unsigned("nOnE"),
        "alg none, and a signature": _unsigned("none", keep=True),
    }, given=SIGNED),
    Attack(CONFUSED, no_data, {
        "HS256 keyed with the public key as PEM": _hmac(lambda target: target.signer.public_bytes(Encoding.PEM)),
        "HS256 keyed with the PEM without its last line feed":
            _hmac(lambda target: target.signer.public_bytes(Encoding.PEM).strip()),
        "HS256 keyed with the public key as JWK":
            _hmac(lambda target: json.dumps(target.signer.public_jwk()).encode()),
        "HS256 keyed with the JWKS": _hmac(lambda target: target.signer.jwks()),
        "HS256 keyed with nothing": _hmac(lambda target: b""),
    }, given=SIGNED),
    Attack(EMBEDDED, no_data, {
        "signed by a key in the header member jwk": _embedded,
        "signed by another key, and jku": _forged(jku=NOWHERE),
        "signed by another key, and x5u": _forged(x5u=NOWHERE),
    }, given=SIGNED),
)  # fmt: skip
