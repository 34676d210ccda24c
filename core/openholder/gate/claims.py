"""The claims of a token with a valid signature: issuer, subject, times and id (RFC 7519 section 4.1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from openholder.gate.reasons import Reason, Refused

MAX_TOKEN_ID = 256
"""Characters of a ``jti``."""


def check_parties(claims: Mapping[str, Any], issuers: Collection[str]) -> None:
    """Check that ``iss`` and ``sub`` are the same known issuer."""
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or issuer not in issuers:
        raise Refused(Reason.ISSUER_WRONG)
    if claims.get("sub") != issuer:
        raise Refused(Reason.SUBJECT_WRONG)


def check_times(claims: Mapping[str, Any], now: float, *, tolerance: int, max_lifetime: int) -> float:
    """Check that a token is valid now, and return its ``exp``. All values are in seconds.

    ``tolerance`` is the largest accepted difference between Fiskil's clock and ours.
    """
    expiry = _read_numeric_date(claims.get("exp"), Reason.EXPIRY_MALFORMED)
    if now >= expiry + tolerance:
        raise Refused(Reason.EXPIRED)
    if expiry > now + max_lifetime + tolerance:
        raise Refused(Reason.LIFETIME_TOO_LONG)
    for claim, reason in (("nbf", Reason.NOT_YET_VALID), ("iat", Reason.ISSUED_IN_FUTURE)):
        if _read_numeric_date(claims.get(claim, 0), reason) > now + tolerance:
            raise Refused(reason)
    return float(expiry)


def check_recorded(claims: Mapping[str, Any], issued_from: float) -> None:
    """Refuse a token that may have been used before the replay store lost its entries.

    ``issued_from`` is the time of the loss and the tolerance together: Fiskil's clock may be ahead of ours.
    """
    if claims.get("iat", 0) < issued_from:
        raise Refused(Reason.ISSUED_BEFORE_RECORD)


def read_token_id(claims: Mapping[str, Any]) -> str:
    """Read the ``jti``: non-empty text of at most `MAX_TOKEN_ID` characters, never case-folded or normalised."""
    value = claims.get("jti")
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_ID:
        raise Refused(Reason.TOKEN_ID_MALFORMED)
    return value


def _read_numeric_date(value: object, reason: Reason) -> int | Decimal:
    """Read a NumericDate (RFC 7519 section 2): a JSON number, not text that looks like one."""
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise Refused(reason)
    return value
