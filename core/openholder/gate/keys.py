"""A JWK Set as a table of keys, indexed by (kid, alg) and parsed once.

An unusable member does not spoil the set, and an ambiguous kid matches no key. PyJWT and cryptography parse and verify;
this module adds the checks that they omit (Wycheproof: use, key_ops, repeated kids, ROCA).
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
"""The algorithms that Fiskil's sample accepts. Both use RSA, so a key without ``alg`` serves either."""

MAX_KEYS = 64
MIN_BITS, MAX_BITS = 2048, 8192
MIN_EXPONENT, MAX_EXPONENT = 65_537, 2**32
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class UnusableKeySet(OpenholderError):
    """The document is not a JWK Set, or it has no usable key."""


class UnusableKey(OpenholderError):
    """One member of a set cannot be used. The message says why, without the key."""


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The usable keys of one JWK Set."""

    keys: Mapping[tuple[str, str], RSAPublicKey]
    skipped: int = 0
    kids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kids", frozenset(kid for kid, _ in self.keys))

    def verify(self, kid: str, algorithm: str, signed: bytes, signature: bytes) -> bool | None:
        """Tell whether the signature is valid; return None if there is no key with that id and algorithm."""
        key = self.keys.get((kid, algorithm))
        return None if key is None else ALGORITHMS[algorithm].verify(signed, key, signature)


def parse_key_set(document: bytes) -> KeyTable:
    """Parse a JWK Set (RFC 7517 section 5). Raises `UnusableKeySet` if it has no usable key."""
    try:
        members = parse_json(document)["keys"]
    except (UntrustedJSON, KeyError, TypeError):
        raise UnusableKeySet("not a JWK Set") from None
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise UnusableKeySet(f"its keys are not a list of at most {MAX_KEYS}")
    keys: dict[tuple[str, str], RSAPublicKey] = {}
    ambiguous: set[tuple[str, str]] = set()
    skipped = 0
    for number, member in enumerate(members):
        try:
            kid, algorithms, key = _parse_key(member)
        except UnusableKey as exc:
            skipped += 1
            log.warning("ignoring member %d of the JWK Set: %s", number, exc)
            continue
        for index in ((kid, algorithm) for algorithm in algorithms):
            if keys.setdefault(index, key).public_numbers() != key.public_numbers():
                ambiguous.add(index)
    for index in ambiguous:
        log.error("the JWK Set has different keys with the same kid and algorithm; ignoring all of them")
        del keys[index]
    if not keys:
        raise UnusableKeySet("no usable key in the JWK Set")
    return KeyTable(keys, skipped)


def _parse_key(member: Any) -> tuple[str, tuple[str, ...], RSAPublicKey]:
    if not isinstance(member, dict) or member.get("kty") != "RSA":
        raise UnusableKey("it is not an RSA key")
    if _PRIVATE_MEMBERS & member.keys():
        raise UnusableKey("it contains private members")
    kid = member.get("kid")
    if not isinstance(kid, str) or not kid:
        raise UnusableKey("it has no kid")
    _check_purpose(member)
    return kid, _read_algorithms(member), _read_public_key(member)


def _check_purpose(member: dict[str, Any]) -> None:
    """Refuse a key that is not meant for verifying signatures (RFC 7517 sections 4.2 and 4.3)."""
    if member.get("use", "sig") != "sig":
        raise UnusableKey("its use is not sig")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("its key_ops do not include verify")


def _read_algorithms(member: dict[str, Any]) -> tuple[str, ...]:
    """Return the algorithms that a key may be used with.

    PyJWT assumes RS256 if ``alg`` is absent, and would then refuse PS256.
    """
    if "alg" not in member:
        return tuple(ALGORITHMS)
    if not isinstance(member["alg"], str) or member["alg"] not in ALGORITHMS:
        raise UnusableKey(f"its alg is not one of {', '.join(ALGORITHMS)}")
    return (member["alg"],)


def _read_public_key(member: dict[str, Any]) -> RSAPublicKey:
    try:
        key = RSAAlgorithm.from_jwk({name: member[name] for name in ("kty", "n", "e")})
    except Exception as exc:  # PyJWT and cryptography raise a dozen types for broken numbers
        raise UnusableKey(f"it cannot be read: {type(exc).__name__}") from None
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey("it is not a public key")
    numbers = key.public_numbers()
    if not MIN_BITS <= key.key_size <= MAX_BITS:
        raise UnusableKey(f"it has {key.key_size} bits; allowed are {MIN_BITS} to {MAX_BITS}")
    if not MIN_EXPONENT <= numbers.e < MAX_EXPONENT or numbers.e % 2 == 0:
        raise UnusableKey(f"its exponent is even or not between {MIN_EXPONENT} and {MAX_EXPONENT - 1}")
    if _has_roca_fingerprint(numbers.n):
        raise UnusableKey("it was generated by the library of CVE-2017-15361 (ROCA)")
    return key


_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
"""Small primes modulo which 65537 generates few residues: a random key passes all tests once in 2^27 keys."""


@cache
def _compute_powers_of_65537(prime: int) -> frozenset[int]:
    powers = set()
    power = 1
    while power not in powers:
        powers.add(power)
        power = power * 65_537 % prime
    return frozenset(powers)


def _has_roca_fingerprint(modulus: int) -> bool:
    """Tell whether the modulus is a power of 65537 modulo every small prime (Nemec et al., CCS 2017, section 3)."""
    return all(modulus % prime in _compute_powers_of_65537(prime) for prime in _ROCA_PRIMES)
