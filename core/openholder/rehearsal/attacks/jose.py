"""Attacks on how strictly a token is parsed: key id, algorithms, extensions, and the JSON of its parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from openholder.rehearsal.attacks.target import Attack, Target, is_rejected
from openholder.rehearsal.results import Rule

_GUIDE = "Fiskil, resource server guide: verify the signature"

KID = Rule(
    name="kid",
    severity="warning",
    expected="A token whose kid is not in the JWKS is refused, even if one of the keys verifies it.",
    why="Otherwise a key that was removed, or is meant for another purpose, stays in use.",
    reference=f"{_GUIDE}: kid picks the key; RFC 7515 section 4.1.4",
    how_to_fix="Look up the key by kid, and refuse the token if there is none; never try all keys.",
    example="GET /auth/v1/customer/{customerId} (a kid that is not in the JWKS): 200 with data",
)
ALGORITHMS = Rule(
    name="algorithm-list",
    severity="warning",
    expected="Algorithms other than PS256 and RS256 are refused, even if the signature is valid.",
    why="Nobody has tested algorithms that were not meant to be used.",
    reference="RFC 8725 section 3.1; Fiskil, resource server guide: PS256 and RS256",
    how_to_fix="Pass the list of allowed algorithms to the library, and compare names exactly.",
    example="GET /auth/v1/customer/{customerId} (signed with PS384): 200 with data",
)
CRITICAL = Rule(
    name="crit",
    severity="warning",
    expected="A token with crit in its header is refused, unless the server understands every extension listed.",
    why="An extension may change the meaning of the token.",
    reference="RFC 7515 section 4.1.11",
    how_to_fix="Refuse tokens with crit; Fiskil sends none.",
    example="GET /auth/v1/customer/{customerId} (crit with b64): 200 with data",
)
DUPLICATES = Rule(
    name="duplicate-members",
    severity="warning",
    expected="A token with a repeated claim or header member is refused.",
    why="A proxy may check one value and the server use the other.",
    reference="RFC 7519 section 4; RFC 8725 section 3.7",
    how_to_fix="Parse both parts again with a parser that rejects repeated members.",
    example="GET /auth/v1/customer/{customerId} (aud twice): 200 with data",
)
READABLE = Rule(
    name="token-json",
    severity="warning",
    expected="A token whose parts are not JSON objects in UTF-8 is refused.",
    why="Parsers interpret such parts differently, or crash.",
    reference="RFC 7519 section 7.2; RFC 8725 section 3.7; RFC 8259 section 6",
    how_to_fix="Decode as UTF-8, reject NaN and Infinity, and check that each part is an object.",
    example="GET /auth/v1/customer/{customerId} (claims in UTF-16): 200 with data",
)


def _sign_with_algorithm(algorithm: str, target: Target) -> str:
    return target.signer.sign(target.build_header(alg=algorithm), target.build_claims(), algorithm)


def _change_header(target: Target, **header: Any) -> str:
    return target.build_token(header)


def _repeat_claim(name: str, value: object, target: Target) -> str:
    """Put a claim with a wrong value before the valid one of the same name."""
    wrong, valid = f"{json.dumps(name)}: {json.dumps(value)}, ", json.dumps(target.build_claims())[1:]
    return target.sign(target.build_header(), f"{{{wrong}{valid}".encode())


def _repeat_algorithm(target: Target) -> str:
    header = '{"alg": "none", ' + json.dumps(target.build_header())[1:]
    return target.sign(header.encode(), target.build_claims())


def _rewrite_claims(rewrite: Callable[[dict[str, Any]], object], target: Target) -> str:
    return target.sign(target.build_header(), rewrite(target.build_claims()))


ATTACKS = (
    Attack(
        rule=KID,
        expect=is_rejected,
        attempts={
            "a kid that is not in the JWKS": partial(_change_header, kid="rehearsal-unknown-kid"),
            "no kid": partial(_change_header, kid=None),
            "a number as kid": partial(_change_header, kid=7),
            "a path as kid": partial(_change_header, kid="../../../../etc/passwd"),
            "a kid of 1000 characters": partial(_change_header, kid="k" * 1000),
        },
    ),
    Attack(
        rule=ALGORITHMS,
        expect=is_rejected,
        attempts={
            "signed with PS384": partial(_sign_with_algorithm, "PS384"),
            "signed with RS512": partial(_sign_with_algorithm, "RS512"),
            "PS256 in lower case": partial(_change_header, alg="ps256"),
            "no alg": partial(_change_header, alg=None),
            "a list as alg": partial(_change_header, alg=["PS256"]),
        },
    ),
    Attack(
        rule=CRITICAL,
        expect=is_rejected,
        attempts={
            "crit with an unknown extension": partial(_change_header, crit=["rehearsal"], rehearsal=True),
            "crit with b64": partial(_change_header, crit=["b64"], b64=True),
            "crit that is not a list": partial(_change_header, crit="exp"),
        },
    ),
    Attack(
        rule=DUPLICATES,
        expect=is_rejected,
        attempts={
            "aud twice": partial(_repeat_claim, "aud", "https://other.example/"),
            "exp twice": partial(_repeat_claim, "exp", 0),
            "sub twice": partial(_repeat_claim, "sub", "other.example"),
            "alg twice": _repeat_algorithm,
        },
    ),
    Attack(
        rule=READABLE,
        expect=is_rejected,
        attempts={
            "a list as claims": partial(_rewrite_claims, lambda claims: [claims]),
            "claims in UTF-16": partial(_rewrite_claims, lambda claims: json.dumps(claims).encode("utf-16")),
            "claims with NaN": partial(_rewrite_claims, lambda claims: claims | {"x": float("nan")}),
            "900 nested lists as claims": partial(_rewrite_claims, lambda claims: b"[" * 900 + b"]" * 900),
            "a list as header": lambda target: target.sign([target.build_header()], target.build_claims()),
        },
        refusals=(400, 401, 403),
    ),
)
