"""Attacks on the signature: another key, no signature, a wrong algorithm. Forgeries use the rehearsal's own key."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from openholder.fiskil.signer import encode_part
from openholder.rehearsal.attacks.target import Attack, Target, get_untrusted_signer, is_rejected
from openholder.rehearsal.results import Rule

_FORGED = "Anyone could issue tokens and read everybody's data."
_GUIDE = "Fiskil, resource server guide: verify the signature"

SIGNED = Rule(
    name="signature",
    severity="critical",
    expected="A token with an invalid signature is refused.",
    why=_FORGED,
    reference=f"{_GUIDE}; RFC 7515 section 5.2",
    how_to_fix="Verify the signature with the key of the JWKS that kid names; decoding a token does not verify it.",
    example="GET /auth/v1/customer/{customerId} (signed by another key under the same kid): 200 with data",
)
PLAIN = Rule(
    name="alg-none",
    severity="critical",
    expected="A token with alg none, in any letter case, is refused.",
    why=_FORGED,
    reference="RFC 8725 sections 2.1 and 3.2",
    how_to_fix="Pass the list of allowed algorithms to the library: PS256 and RS256.",
    example="GET /auth/v1/customer/{customerId} (alg none): 200 with data",
)
CONFUSED = Rule(
    name="hmac-with-public-key",
    severity="critical",
    expected="A token signed with HS256, using the public key as the secret, is refused.",
    why=f"The public key is not a secret. {_FORGED}",
    reference="RFC 8725 section 2.1; CVE-2022-29217",
    how_to_fix="Pass the list of allowed algorithms to the library: PS256 and RS256. Never take alg from the token.",
    example="GET /auth/v1/customer/{customerId} (HS256 with the public key as PEM): 200 with data",
)
EMBEDDED = Rule(
    name="embedded-key",
    severity="critical",
    expected="A key in the token's own header (jwk, jku, x5u) is never used.",
    why=f"{_FORGED} A server that fetches such keys can also be made to call addresses inside its network.",
    reference="RFC 8725 section 3.10; RFC 7515 section 4.1",
    how_to_fix="Use only keys from the configured JWKS.",
    example="GET /auth/v1/customer/{customerId} (signed by a key in the header member jwk): 200 with data",
)


def _build_unsigned(target: Target, algorithm: str, keep_signature: bool = False) -> str:
    signature = target.build_token().rpartition(".")[2] if keep_signature else ""
    return f"{encode_part(target.build_header(alg=algorithm))}.{encode_part(target.build_claims())}.{signature}"


def _sign_with_hmac(get_secret: Callable[[Target], bytes], target: Target) -> str:
    signed = f"{encode_part(target.build_header(alg='HS256'))}.{encode_part(target.build_claims())}"
    return f"{signed}.{encode_part(hmac.digest(get_secret(target), signed.encode(), hashlib.sha256))}"


def forge(target: Target, **header: Any) -> str:
    """Sign with an untrusted key."""
    return target.sign(target.build_header(**header), target.build_claims(), get_untrusted_signer())


def _forge_with_rs256(target: Target) -> str:
    return get_untrusted_signer().sign(target.build_header(alg="RS256"), target.build_claims(), "RS256")


def _forge_with_embedded_key(target: Target) -> str:
    return forge(target, jwk=get_untrusted_signer().public_jwk(kid=target.signer.kid))


def _swap_part(target: Target, index: int) -> str:
    """Replace one part of a valid token with that of another valid token."""
    parts = target.build_token().split(".")
    parts[index] = target.build_token({"typ": None}).split(".")[index]
    return ".".join(parts)


def _drop_signature(target: Target) -> str:
    return f"{target.build_token().rpartition('.')[0]}."


def _flip_signature_bit(target: Target) -> str:
    # In the middle of the signature: the last character may have unused bits.
    token = target.build_token()
    return f"{token[:-40]}{'A' if token[-40] != 'A' else 'B'}{token[-39:]}"


ATTACKS = (
    Attack(
        rule=SIGNED,
        expect=is_rejected,
        attempts={
            "signed by another key under the same kid": forge,
            "signed by another key with RS256": _forge_with_rs256,
            "the header of another token": partial(_swap_part, index=0),
            "the claims of another token": partial(_swap_part, index=1),
            "a changed character in the signature": _flip_signature_bit,
            "an empty signature": _drop_signature,
            "the name of the other algorithm as alg": lambda target: target.build_token(
                {"alg": target.other_algorithm}
            ),
        },
    ),
    Attack(
        rule=PLAIN,
        expect=is_rejected,
        attempts={
            "alg none": partial(_build_unsigned, algorithm="none"),
            "alg nOnE": partial(_build_unsigned, algorithm="nOnE"),
            "alg none with a signature": partial(_build_unsigned, algorithm="none", keep_signature=True),
        },
        implied_by=SIGNED,
    ),
    Attack(
        rule=CONFUSED,
        expect=is_rejected,
        attempts={
            "HS256 with the public key as PEM": partial(
                _sign_with_hmac, lambda target: target.signer.public_bytes(Encoding.PEM)
            ),
            "HS256 with the PEM without its last line feed": partial(
                _sign_with_hmac, lambda target: target.signer.public_bytes(Encoding.PEM).strip()
            ),
            "HS256 with the public key as JWK": partial(
                _sign_with_hmac, lambda target: json.dumps(target.signer.public_jwk()).encode()
            ),
            "HS256 with the JWKS": partial(_sign_with_hmac, lambda target: target.signer.jwks()),
            "HS256 with an empty secret": partial(_sign_with_hmac, lambda target: b""),
        },
        implied_by=SIGNED,
    ),
    Attack(
        rule=EMBEDDED,
        expect=is_rejected,
        attempts={
            "signed by a key in the header member jwk": _forge_with_embedded_key,
        },
        implied_by=SIGNED,
    ),
)
