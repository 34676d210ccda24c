"""Who may come in: whether a request carries a token that Fiskil made for exactly this URL and nobody has used yet.

The order is that of cost and of side effects: form, key, signature, claims, and last of all the replay record. A
request that fails anywhere before leaves its token usable.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence

from openholder.gate import claims, replay
from openholder.gate.audience import check_audience
from openholder.gate.jwks import JWKSCache
from openholder.gate.reasons import CannotJudge, Reason, Refused
from openholder.gate.token import Token, parse_token, read_bearer
from openholder.settings import Fiskil

__all__ = ["CannotJudge", "Gate", "Reason", "Refused"]

log = logging.getLogger(__name__)

STORE_DEADLINE = 3.0
"""Seconds that the replay record may take; it waits up to 2 s for a lock by itself."""
CLOCK_STEP = 300.0
"""Seconds by which a clock may be set back before its new time is believed."""


class Gate:
    """Checks tokens against one configuration.

    ``clock`` gives seconds since 1970. Tokens issued before ``lost_before`` may be used ones that the record has lost.
    """

    def __init__(
        self,
        fiskil: Fiskil,
        base_urls: Sequence[str],
        keys: JWKSCache,
        used: replay.ReplayStore,
        clock: Callable[[], float] = time.time,
        lost_before: float = 0.0,
    ) -> None:
        self._fiskil = fiskil
        self._base_urls = base_urls
        self._keys = keys
        self._used = used
        self._clock = clock
        self._lost_before = lost_before
        self._latest = clock()

    async def admit(self, authorization: Sequence[str], path: str, facts: dict[str, object]) -> None:
        """Let the request in, or raise `Refused` or `CannotJudge`. Uses its token up.

        ``authorization`` is every value of that header, ``path`` the path of the request line as it came, without the
        query. ``facts`` is told what the log may know of the token.
        """
        token = parse_token(read_bearer(authorization), self._fiskil.algorithms, self._fiskil.token_types)
        facts |= {"kid": _shown(token.kid), "alg": token.algorithm}
        await self._check_signature(token)
        expires_at = self._check_claims(token, path, facts)
        entry = replay.digest(token.claims["iss"], token.claims["jti"])
        if not await self._first_use(entry, expires_at + self._fiskil.clock_tolerance + 1):
            raise Refused(Reason.REPLAYED)

    async def _check_signature(self, token: Token) -> None:
        table = await self._keys.table_for(token.kid)
        verified = table.verify(token.kid, token.algorithm, token.signed, token.signature)
        if verified is None:
            raise Refused(Reason.KEY_UNKNOWN)
        if not verified:
            raise Refused(Reason.SIGNATURE_WRONG)

    def _check_claims(self, token: Token, path: str, facts: dict[str, object]) -> float:
        fiskil, now = self._fiskil, self._now()
        claims.check_parties(token.claims, fiskil.issuer)
        # Never from Host or X-Forwarded-*: whoever sends the request writes those.
        accepted = [base + path for base in self._base_urls]
        check_audience(token.claims, accepted, normalise=fiskil.audience_match == "normalised")
        expires_at = claims.check_times(
            token.claims, now, tolerance=fiskil.clock_tolerance, max_lifetime=fiskil.max_token_lifetime
        )
        if now < self._lost_before + fiskil.max_token_lifetime + fiskil.clock_tolerance:
            claims.check_recorded(token.claims, self._lost_before)
        token_id = claims.token_id(token.claims)
        facts |= {"jti": hashlib.sha256(token_id.encode()).hexdigest()[:12], "token_life": round(expires_at - now)}
        return expires_at

    def _now(self) -> float:
        """The latest time seen: after a small step back, what the record has forgotten stays expired.

        A clock that was an hour ahead would keep everybody out for an hour, so a large step back is believed; what was
        forgotten meanwhile counts as lost.
        """
        now = self._clock()
        if self._latest - now > CLOCK_STEP:
            log.critical("the clock was set back by %d s", self._latest - now)
            self._latest = self._lost_before = now
        self._latest = max(self._latest, now)
        return self._latest

    async def _first_use(self, entry: bytes, expires_at: float) -> bool:
        try:
            async with asyncio.timeout(STORE_DEADLINE):
                return await self._used.add_if_absent(entry, expires_at)
        except Exception as exc:
            raise CannotJudge(f"replay record: {type(exc).__name__}") from exc


def _shown(kid: str) -> str:
    """A kid as the log may have it: anybody may write one, terminals obey escapes, and lines have an end."""
    return "".join(character if " " <= character <= "~" else "?" for character in kid[:32])
