"""Pseudonyms of ids: the same for the same key, and not to be read back without it."""

from __future__ import annotations

import hmac


def make_pseudonym(key: bytes, value: str) -> str:
    """Make the pseudonym of an id.

    Args:
        key: The secret. Whoever has it can find out whose pseudonym it is, by trying ids.
        value: The id.

    Returns:
        16 hexadecimal digits: the first 64 bits of its HMAC-SHA256.
    """
    return hmac.digest(key, value.encode(), "sha256").hex()[:16]
