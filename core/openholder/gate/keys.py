"""A JWK Set as a table of keys, indexed by (kid, alg) and parsed once.

An unusable member does not spoil the set, and an ambiguous kid matches no key. cryptography verifies; this module adds
the checks that it omits (Wycheproof: use, key_ops, repeated kids, ROCA).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from openholder.errors import OpenholderError, UntrustedJSON, name_found
from openholder.strict_json import parse_json

_SHA256 = hashes.SHA256()
ALGORITHMS: Mapping[str, padding.AsymmetricPadding] = {
    "PS256": padding.PSS(padding.MGF1(_SHA256), salt_length=_SHA256.digest_size),
    "RS256": padding.PKCS1v15(),
}
"""The algorithms that Fiskil's sample accepts, and their paddings (RFC 7518 sections 3.3 and 3.5).

Both use RSA with SHA-256, so a key without ``alg`` serves either.
"""

MAX_KEYS = 64
MAX_TOLD = 8
"""Reasons that one message repeats."""
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
    unusable: tuple[str, ...] = ()
    """Members of the set that cannot be used, by number, each with the reason."""
    ambiguous: tuple[str, ...] = ()
    """Members that are not used because others have the same kid, by number."""
    kids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kids", frozenset(kid for kid, _ in self.keys))

    def describe_obstacles(self) -> str:
        """Join the first reasons why keys are not used, for the end of a message; empty if there are none."""
        reasons = [*self.ambiguous, *self.unusable]
        more = f"; and {len(reasons) - MAX_TOLD} more" if len(reasons) > MAX_TOLD else ""
        return f": {'; '.join(reasons[:MAX_TOLD])}{more}" if reasons else ""

    def verify(self, kid: str, algorithm: str, signed: bytes, signature: bytes) -> bool | None:
        """Tell whether the signature is valid; return None if there is no key with that id and algorithm."""
        key = self.keys.get((kid, algorithm))
        if key is None:
            return None
        try:
            key.verify(signature, signed, ALGORITHMS[algorithm], _SHA256)
        except InvalidSignature:
            return False
        return True


def parse_key_set(document: bytes) -> KeyTable:
    """Parse a JWK Set (RFC 7517 section 5). Raises `UnusableKeySet` if it has no usable key."""
    try:
        members = parse_json(document)["keys"]
    except UntrustedJSON:
        raise UnusableKeySet(f"not a JWK Set: {len(document)} bytes that are not JSON") from None
    except (KeyError, TypeError):
        raise UnusableKeySet(f"not a JWK Set: {len(document)} bytes of JSON without a member keys") from None
    if not isinstance(members, list):
        raise UnusableKeySet(f"not a JWK Set: its keys are no list (found {name_found(members)})")
    if len(members) > MAX_KEYS:
        raise UnusableKeySet(f"a JWK Set of {len(members)} keys; at most {MAX_KEYS} are read")
    keys: dict[tuple[str, str], RSAPublicKey] = {}
    numbers: dict[tuple[str, str], list[int]] = {}
    ambiguous: set[tuple[str, str]] = set()
    unusable: list[str] = []
    for number, member in enumerate(members):
        try:
            kid, algorithms, key = _parse_key(member)
        except UnusableKey as exc:
            unusable.append(f"member {number}: {exc}")
            continue
        for index in ((kid, algorithm) for algorithm in algorithms):
            numbers.setdefault(index, []).append(number)
            if keys.setdefault(index, key).public_numbers() != key.public_numbers():
                ambiguous.add(index)
    for index in ambiguous:
        del keys[index]
    doubled = {
        f"members {', '.join(map(str, numbers[index]))}: different keys with the same kid" for index in ambiguous
    }
    table = KeyTable(keys, tuple(unusable), tuple(sorted(doubled)))
    if not keys:
        raise UnusableKeySet(f"no usable key in the JWK Set{table.describe_obstacles() or ': it is empty'}")
    return table


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
    """Return the algorithms that a key may be used with: both if ``alg`` is absent."""
    if "alg" not in member:
        return tuple(ALGORITHMS)
    if not isinstance(member["alg"], str) or member["alg"] not in ALGORITHMS:
        raise UnusableKey(f"its alg is not one of {', '.join(ALGORITHMS)}")
    return (member["alg"],)


def _read_public_key(member: dict[str, Any]) -> RSAPublicKey:
    try:
        numbers = RSAPublicNumbers(_read_number(member["e"]), _read_number(member["n"]))
        key = numbers.public_key()
    except Exception as exc:  # cryptography raises several types for broken numbers
        raise UnusableKey(f"it cannot be read: {type(exc).__name__}") from None
    if not MIN_BITS <= key.key_size <= MAX_BITS:
        raise UnusableKey(f"it has {key.key_size} bits; allowed are {MIN_BITS} to {MAX_BITS}")
    if not MIN_EXPONENT <= numbers.e < MAX_EXPONENT or numbers.e % 2 == 0:
        raise UnusableKey(f"its exponent is even or not between {MIN_EXPONENT} and {MAX_EXPONENT - 1}")
    if _has_roca_fingerprint(numbers.n):
        raise UnusableKey("it was generated by the library of CVE-2017-15361 (ROCA)")
    return key


def _read_number(text: str) -> int:
    """Read a Base64urlUInt (RFC 7518 section 2), whose padding is left out."""
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


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
