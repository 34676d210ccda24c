"""Admission: a request must carry a token that Fiskil issued for exactly this URL and that has not been used yet.

Checks run in order of cost and side effects: form, key, signature, claims, and finally the replay store. A request
that fails an earlier check leaves its token usable.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openholder.gate import claims, replay
from openholder.gate.audience import check_audience
from openholder.gate.jwks import JWKSCache
from openholder.gate.reasons import CannotJudge, Reason, Refused
from openholder.gate.token import Token, parse_token, read_bearer
from openholder.settings import Fiskil

__all__ = ["CannotJudge", "Gate", "Reason", "Refused", "TokenFacts"]

log = logging.getLogger(__name__)

STORE_DEADLINE = 3.0
"""Seconds that the replay store may take. The SQLite store alone waits up to 2 s for a lock."""


NOBODY = replay.digest("", "readiness")
"""An entry that no token has: the configuration allows no empty issuer."""


@dataclass(slots=True)
class TokenFacts:
    """What the log may contain about a token. Filled in as far as the checks got."""

    kid: str = ""
    alg: str = ""
    jti: str = ""
    """A digest of it."""
    life: int | None = None
    """Seconds until it expires."""


class Gate:
    """Checks tokens against one configuration.

    ``clock`` returns seconds since 1970. Tokens issued before ``lost_before`` are refused, because the replay store may
    have lost the record of their use. A store that has a ``lost_before`` itself is asked for each token.
    """

    def __init__(
        self,
        fiskil: Fiskil,
        base_urls: Sequence[str],
        keys: JWKSCache,
        store: replay.ReplayStore,
        clock: Callable[[], float] = time.time,
        lost_before: float = 0.0,
    ) -> None:
        self._fiskil = fiskil
        self._algorithms = tuple(fiskil.algorithms)
        self._token_types = tuple(fiskil.token_types)
        self._base_urls = base_urls
        self._keys = keys
        self._store = store
        self._add_now: Callable[[bytes, float], bool | None] | None = getattr(store, "add_now", None)
        self._clock = clock
        self._lost_before = 0.0 if hasattr(store, "lost_before") else lost_before
        self._latest = clock()

    def count_waiting(self) -> int:
        """Return how many requests wait for keys. Nothing is known about them yet."""
        return self._keys.waiting

    async def check_store(self) -> None:
        """Add an entry that no token has, as each request does. Raises `CannotJudge` if the replay store is away."""
        await self._is_first_use(NOBODY, self._clock() + 1)

    async def admit(self, authorization: Sequence[str], path: str, facts: TokenFacts) -> None:
        """Admit a request and use up its token.

        Args:
            authorization: Every value of the Authorization header.
            path: The path exactly as in the request line, without the query.
            facts: Receives what the log may contain about the token.

        Raises:
            Refused: The token is missing, invalid or used.
            CannotJudge: The key set or the replay store is unavailable.
        """
        token = parse_token(read_bearer(authorization), self._algorithms, self._token_types)
        facts.kid, facts.alg = token.printable_kid, token.algorithm
        await self._check_signature(token)
        now = self._read_clock()
        lost_before = self.lost_before
        expires_at = self._check_claims(token, path, facts, now, lost_before)
        entry = replay.digest(token.claims["iss"], token.claims["jti"])
        if not await self._is_first_use(entry, expires_at + self._fiskil.clock_tolerance + 1):
            raise Refused(Reason.REPLAYED)
        if self.lost_before > lost_before:
            raise CannotJudge("replay store: it lost tokens meanwhile")

    async def _check_signature(self, token: Token) -> None:
        table = self._keys.find_table(token.kid)
        if table is None:
            await asyncio.sleep(0)  # from here on the request is a task
            table = await self._keys.get_table(token.kid)
        verified = table.verify(token.kid, token.algorithm, token.signed, token.signature)
        if verified is None:
            raise Refused(Reason.KEY_UNKNOWN)
        if not verified:
            raise Refused(Reason.SIGNATURE_WRONG)

    @property
    def lost_before(self) -> float:
        """The time before which used tokens may be missing from the record, in seconds since 1970; 0 if none are."""
        return max(self._lost_before, getattr(self._store, "lost_before", 0.0))

    def _check_claims(self, token: Token, path: str, facts: TokenFacts, now: float, lost_before: float) -> float:
        fiskil = self._fiskil
        claims.check_parties(token.claims, fiskil.issuer)
        # Never derived from Host or X-Forwarded-*: the sender of the request controls those.
        accepted = [base + path for base in self._base_urls]
        check_audience(token.claims, accepted, normalise=fiskil.audience_match == "normalised")
        expires_at = claims.check_times(
            token.claims, now, tolerance=fiskil.clock_tolerance, max_lifetime=fiskil.max_token_lifetime
        )
        if expires_at <= lost_before + fiskil.max_token_lifetime + fiskil.clock_tolerance:  # it was valid by then
            claims.check_recorded(token.claims, lost_before + fiskil.clock_tolerance)
        token_id = claims.read_token_id(token.claims)
        facts.jti = hashlib.sha256(token_id.encode()).hexdigest()[:12]
        facts.life = round(expires_at - now)
        return expires_at

    def _read_clock(self) -> float:
        """Return the latest time seen, so that a small step back does not make expired tokens valid again.

        The store may have dropped the entries of those tokens already. A large step back is believed all the same:
        after running an hour ahead, the server would otherwise refuse every token for an hour. Entries dropped in the
        meantime then count as lost.
        """
        now = self._clock()
        if self._latest - now > replay.CLOCK_STEP:
            log.critical("the clock was set back by %d s", self._latest - now)
            self._latest = self._lost_before = now
        self._latest = max(self._latest, now)
        return self._latest

    async def _is_first_use(self, entry: bytes, expires_at: float) -> bool:
        try:
            if self._add_now and (answer := self._add_now(entry, expires_at)) is not None:
                return answer
            await asyncio.sleep(0)  # from here on the request is a task
            async with asyncio.timeout(STORE_DEADLINE):
                return await self._store.add_if_absent(entry, expires_at)
        except Exception as exc:
            raise CannotJudge(f"replay store: {type(exc).__name__}") from exc
