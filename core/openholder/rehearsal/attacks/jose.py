"""How strictly a token is read: key id, list of algorithms, extensions, and the JSON of its parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from openholder.rehearsal.attacks.target import Attack, Make, Target, no_data
from openholder.rehearsal.findings import Rule

_GUIDE = "Fiskil, resource server guide: verify the signature"

KID = Rule(
    "kid", "warning",
    expected="A token that names no key of the JWKS is refused, though one of the keys fits.",
    why="A key that was taken out, or is meant for something else, goes on being used.",
    written=f"{_GUIDE}: kid picks the key; RFC 7515 section 4.1.4",
    mend="Look the key up by kid, and refuse where there is none; do not try all keys.",
)  # fmt: skip
ALGORITHMS = Rule(
    "algorithm-list", "warning",
    expected="Algorithms other than PS256 and RS256 are refused, although the signature fits.",
    why="What was never meant to be used was never tested.",
    written="RFC 8725 section 3.1; Fiskil, resource server guide: PS256 and RS256",
    mend="Give the library the list of algorithms; names are compared exactly.",
)  # fmt: skip
CRITICAL = Rule(
    "crit", "warning",
    expected="A token with crit in its header is refused, unless every extension that it names is understood.",
    why="The token means something else than the server reads.",
    written="RFC 7515 section 4.1.11",
    mend="Refuse tokens that have crit; Fiskil sends none.",
)  # fmt: skip
DUPLICATES = Rule(
    "duplicate-members", "warning",
    expected="A token with a claim or header member twice is refused.",
    why="A proxy may check the one and the server believe the other.",
    written="RFC 7519 section 4; RFC 8725 section 3.7",
    mend="Parse the parts once more with a reader that refuses repeated members.",
)  # fmt: skip
READABLE = Rule(
    "token-json", "warning",
    expected="A token whose parts are not JSON objects in UTF-8 is refused.",
    why="Readers differ in what they make of it, or fail.",
    written="RFC 7519 section 7.2; RFC 8725 section 3.7; RFC 8259 section 6",
    mend="Decode as UTF-8, refuse NaN and Infinity, and check that each part is an object.",
)  # fmt: skip


def _said(algorithm: str, **header: Any) -> Make:
    """A good signature, under what the header says."""
    return lambda target: target.signer.sign(target.header(alg=algorithm, **header), target.claims(), algorithm)


def _headed(**header: Any) -> Make:
    return lambda target: target.token(header)


def _repeated(name: str, value: object) -> Make:
    """A claim twice: somebody else's first, or last."""

    def made(target: Target) -> str:
        other, good = f"{json.dumps(name)}: {json.dumps(value)}, ", json.dumps(target.claims())[1:]
        return target.signed(target.header(), f"{{{other}{good}".encode())

    return made


def _repeated_algorithm(target: Target) -> str:
    header = '{"alg": "none", ' + json.dumps(target.header())[1:]
    return target.signed(header.encode(), target.claims())


def _payload(write: Callable[[dict[str, Any]], object]) -> Make:
    """A good signature over claims that are written otherwise."""
    return lambda target: target.signed(target.header(), write(target.claims()))


ATTACKS = (
    Attack(KID, no_data, {
        "a kid that is not in the JWKS": _headed(kid="rehearsal-unknown-kid"),
        "no kid": _headed(kid=None),
        "a number as kid": _headed(kid=7),
        "a path as kid": _headed(kid="../../../../etc/passwd"),
        "a kid of 1000 characters": _headed(kid="k" * 1000),
    }),
    Attack(ALGORITHMS, no_data, {
        "signed with PS384": _said("PS384"),
        "signed with RS512": _said("RS512"),
        "PS256 written as ps256": _headed(alg="ps256"),
        "no alg": _headed(alg=None),
        "a list as alg": _headed(alg=["PS256"]),
    }),
    Attack(CRITICAL, no_data, {
        "crit with an unknown extension": _headed(crit=["rehearsal"], rehearsal=True),
        "crit with b64": _headed(crit=["b64"], b64=True),
        "crit that is no list": _headed(crit="exp"),
    }),
    Attack(DUPLICATES, no_data, {
        "aud twice": _repeated("aud", "https://other.example/"),
        "exp twice": _repeated("exp", 0),
        "sub twice": _repeated("sub", "other.example"),
        "alg twice": _repeated_algorithm,
    }),
    Attack(READABLE, no_data, {
        "a list as claims": _payload(lambda claims: [claims]),
        "claims in UTF-16": _payload(lambda claims: json.dumps(claims).encode("utf-16")),
        "claims with NaN": _payload(lambda claims: claims | {"x": float("nan")}),
        "claims in 900 brackets": _payload(lambda claims: b"[" * 900 + b"]" * 900),
        "a list as header": lambda target: target.signed([target.header()], target.claims()),
    }, (400, 401, 403)),
)  # fmt: skip
