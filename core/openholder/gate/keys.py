"""A JWK Set as a table of keys, indexed by (kid, alg) and parsed once.

One bad member never spoils the set; a kid that means two keys means none. Parsing and verifying are PyJWT's and
cryptography's; what is added here is what they let pass (Wycheproof: use, key_ops, repeated kids, ROCA).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, RSAAlgorithm, RSAPSSAlgorithm

from openholder.errors import OpenholderError, UntrustedJSON
from openholder.strict_json import parse_json

log = logging.getLogger(__name__)

ALGORITHMS: Mapping[str, Algorithm] = {
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
}
"""What Fiskil's sample accepts. Both take RSA keys: a key that names no algorithm serves either."""

MAX_KEYS = 64
MIN_BITS, MAX_BITS = 2048, 8192
MIN_EXPONENT, MAX_EXPONENT = 65_537, 2**32
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class UnusableKeySet(OpenholderError):
    """What should be a JWK Set with at least one usable key is not."""


class UnusableKey(OpenholderError):
    """One member of a set that does not serve. The message says why, without the key."""


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The usable keys of one JWK Set."""

    keys: Mapping[tuple[str, str], RSAPublicKey]
    skipped: int = 0
    kids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kids", frozenset(kid for kid, _ in self.keys))

    def verify(self, kid: str, algorithm: str, signed: bytes, signature: bytes) -> bool | None:
        """Whether the signature is right; None when there is no key of that id for that algorithm."""
        key = self.keys.get((kid, algorithm))
        return None if key is None else ALGORITHMS[algorithm].verify(signed, key, signature)


def parse_key_set(document: bytes) -> KeyTable:
    """Read a JWK Set (RFC 7517 section 5). Raises `UnusableKeySet` when no key in it is usable."""
    try:
        members = parse_json(document)["keys"]
    except (UntrustedJSON, KeyError, TypeError):
        raise UnusableKeySet("not a JWK Set") from None
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise UnusableKeySet(f"not a list of at most {MAX_KEYS} keys")
    keys: dict[tuple[str, str], RSAPublicKey] = {}
    ambiguous: set[tuple[str, str]] = set()
    skipped = 0
    for number, member in enumerate(members):
        try:
            kid, algorithms, key = _usable(member)
        except UnusableKey as exc:
            skipped += 1
            log.warning("member %d of the JWK Set is not used: %s", number, exc)
            continue
        for index in ((kid, algorithm) for algorithm in algorithms):
            if keys.setdefault(index, key).public_numbers() != key.public_numbers():
                ambiguous.add(index)
    for index in ambiguous:
        log.error("the JWK Set has different keys for one kid and algorithm; none of them is used")
        del keys[index]
    if not keys:
        raise UnusableKeySet("no usable key in the JWK Set")
    return KeyTable(keys, skipped)


def _usable(member: Any) -> tuple[str, tuple[str, ...], RSAPublicKey]:
    if not isinstance(member, dict) or member.get("kty") != "RSA":
        raise UnusableKey("not an RSA key")
    if _PRIVATE_MEMBERS & member.keys():
        raise UnusableKey("a private key in public")
    kid = member.get("kid")
    if not isinstance(kid, str) or not kid:
        raise UnusableKey("no kid")
    _check_purpose(member)
    return kid, _algorithms(member), _public_key(member)


def _check_purpose(member: dict[str, Any]) -> None:
    """RFC 7517 sections 4.2 and 4.3: a key for something else must not verify signatures."""
    if member.get("use", "sig") != "sig":
        raise UnusableKey("its use is not sig")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("its key_ops do not include verify")


def _algorithms(member: dict[str, Any]) -> tuple[str, ...]:
    """PyJWT takes RS256 for granted where `alg` is absent, and would then refuse PS256."""
    if "alg" not in member:
        return tuple(ALGORITHMS)
    if not isinstance(member["alg"], str) or member["alg"] not in ALGORITHMS:
        raise UnusableKey("its alg is not used here")
    return (member["alg"],)


def _public_key(member: dict[str, Any]) -> RSAPublicKey:
    try:
        key = RSAAlgorithm.from_jwk({name: member[name] for name in ("kty", "n", "e")})
    except Exception as exc:  # PyJWT and cryptography raise a dozen types for broken numbers
        raise UnusableKey(f"not readable: {type(exc).__name__}") from None
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey("not a public key")
    numbers = key.public_numbers()
    if not MIN_BITS <= key.key_size <= MAX_BITS:
        raise UnusableKey(f"{key.key_size} bits")
    if not MIN_EXPONENT <= numbers.e < MAX_EXPONENT or numbers.e % 2 == 0:
        raise UnusableKey("its exponent is out of range")
    if _has_roca_fingerprint(numbers.n):
        raise UnusableKey("made by the generator of CVE-2017-15361 (ROCA)")
    return key


_ROCA_PRIMES = (
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
)  # fmt: skip
"""Small primes modulo which 65537 generates few of the residues: chance passes all of them once in 2^27 keys."""


@cache
def _powers_of_65537(prime: int) -> frozenset[int]:
    powers, power = set(), 1
    while power not in powers:
        powers.add(power)
        power = power * 65_537 % prime
    return frozenset(powers)


def _has_roca_fingerprint(modulus: int) -> bool:
    """Such moduli are powers of 65537 modulo every small prime (Nemec et al., CCS 2017, section 3)."""
    return all(modulus % prime in _powers_of_65537(prime) for prime in _ROCA_PRIMES)
