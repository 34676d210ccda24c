"""The keys of the other side: fetched once for many, kept while their host is away, fresh before anyone waits."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from openholder.gate.fetching import DEADLINE, Fetch, KnownKeys
from openholder.gate.keys import KeyTable, UnusableKeySet, parse_key_set
from openholder.gate.reasons import CannotJudge
from openholder.ratelimit import TokenBucket

log = logging.getLogger(__name__)

LONGEST_BACKOFF = 60.0
SHORTEST_REFRESH, LONGEST_REFRESH = 60.0, 3600.0
"""Seconds within which Cache-Control is honoured: no proxy may pin keys for a day, or have us fetch without end."""
ALARM = 900.0
"""Seconds without a good fetch after which the log speaks of it as critical."""
UNKNOWN_KID_RATE, UNKNOWN_KID_BURST = 5 / 60, 2
"""Fetches a second that unknown kids may cause, and how many at once. Scheduled refreshes are not charged."""


class JWKSCache:
    """The current key table. All times are monotonic seconds.

    A fetch that fails, or brings no usable key, never replaces keys that worked. Known keys serve on for
    ``max_stale`` seconds while their host does not answer, those in ``known`` also over a restart. ``heard`` is told
    ``fetched``, ``failed`` and ``unknown_kid`` each time.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        refresh: float,
        max_stale: float,
        known: KnownKeys | None = None,
        heard: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._known, self._heard = fetch, known, heard
        self._refresh, self._max_stale, self._clock = refresh, max_stale, clock
        self._table: KeyTable | None = None
        self._fetched_at = 0.0
        self._fresh_for = refresh
        self._failures = 0
        self._retry_at = 0.0
        self._flight: asyncio.Task[None] | None = None
        self._background: asyncio.Task[None] | None = None
        self._bucket = TokenBucket(UNKNOWN_KID_RATE, UNKNOWN_KID_BURST, clock)

    async def start(self) -> None:
        """Fetch the keys, and keep them fresh in the background. A host that is away is logged, not raised."""
        self._recall()
        await self._renew()
        self._background = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [task for task in (self._background, self._flight) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def age(self) -> float | None:
        """Seconds since the keys were fetched; None while there are none that may be used."""
        if self._table is None or self._clock() - self._fetched_at > self._max_stale:
            return None
        return self._clock() - self._fetched_at

    @property
    def kids(self) -> frozenset[str]:
        """The ids of the usable keys."""
        return self._table.kids if self._table else frozenset()

    async def table_for(self, kid: str) -> KeyTable:
        """The keys by which a token signed by ``kid`` is to be judged. Raises `CannotJudge` when there are none.

        A kid that is not in the table causes a fetch, as far as the bucket allows: keys may have been rotated.
        """
        if self.age is None:
            await self._start_cold()
        table = self._usable()
        if kid in table.kids:
            return table
        self._heard("unknown_kid")
        if self._flight is not None or self._bucket.take():
            await self._renew()
            table = self._usable()
        if kid not in table.kids and self._failures:
            raise CannotJudge("unknown kid while the key set cannot be fetched", retry_after=self._retry_after())
        return table

    async def _start_cold(self) -> None:
        if self._flight is None and self._clock() < self._retry_at:
            raise CannotJudge("no keys yet", retry_after=self._retry_after())
        await self._renew()

    def _usable(self) -> KeyTable:
        if self._table is None or self.age is None:
            raise CannotJudge("no keys", retry_after=self._retry_after())
        return self._table

    def _retry_after(self) -> int:
        return max(1, round(self._retry_at - self._clock()))

    async def _renew(self) -> None:
        """Fetch once for everybody who waits; one who gives up does not end it for the others."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
            self._flight.add_done_callback(self._landed)
        await asyncio.shield(self._flight)

    def _landed(self, _: asyncio.Task[None]) -> None:
        self._flight = None

    async def _fly(self) -> None:
        try:
            fetched = await asyncio.wait_for(self._fetch(), DEADLINE)
            self._table = parse_key_set(fetched.body)
        except Exception as exc:
            self._failed(str(exc) if isinstance(exc, UnusableKeySet) else type(exc).__name__)
            return
        self._failures = 0
        self._fetched_at = self._clock()
        asked = self._refresh if fetched.max_age is None else fetched.max_age
        self._fresh_for = min(max(asked, SHORTEST_REFRESH), LONGEST_REFRESH, self._refresh)
        self._heard("fetched")
        if self._known:
            self._known.keep(fetched.body)

    def _failed(self, cause: str) -> None:
        self._failures += 1
        backoff = min(LONGEST_BACKOFF, 0.5 * 2 ** min(self._failures - 1, 10))
        self._retry_at = self._clock() + backoff * random.uniform(0.8, 1.2)
        self._heard("failed")
        age = self.age
        level = logging.CRITICAL if age is None or age > ALARM else logging.WARNING
        log.log(level, "the key set was not fetched (%s); %d keys in use", cause, len(self.kids) if age else 0)

    def _recall(self) -> None:
        """Begin with the keys of the last run, where they are not too old."""
        kept = self._known.recall() if self._known else None
        if kept is None:
            return
        document, age = kept
        try:
            self._table, self._fetched_at = parse_key_set(document), self._clock() - age
        except UnusableKeySet as exc:
            log.error("the known keys are not used: %s", exc)

    async def _keep_fresh(self) -> None:
        while True:
            ahead = self._fresh_for * random.uniform(0.72, 0.88)  # jitter keeps several processes apart
            await asyncio.sleep(max(0.1, self._retry_at - self._clock()) if self._failures else ahead)
            await self._renew()
