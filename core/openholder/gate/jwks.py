"""The keys of the other side: fetched once for many, kept while their host is away, fresh before anyone waits."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from openholder.gate.keys import KeyTable, UnusableKeySet, parse_key_set
from openholder.gate.reasons import CannotJudge

log = logging.getLogger(__name__)

Fetch = Callable[[], Awaitable[bytes]]
MAX_BYTES = 65_536
DEADLINE = 3.0
"""Seconds for the whole fetch, however slowly the answer drips."""
LONGEST_BACKOFF = 60.0
UNKNOWN_KID_RATE, UNKNOWN_KID_BURST = 5 / 60, 2
"""Fetches a second that unknown kids may cause, and how many at once. Scheduled refreshes are not charged."""


def fetch_from(url: str) -> Fetch:
    """A fetch of ``url`` with every limit on: time, size, no redirects, no decompression, TLS verified."""

    async def fetch() -> bytes:
        client = AsyncHTTPClient(force_instance=True, max_body_size=MAX_BYTES, max_header_size=16_384)
        request = HTTPRequest(
            url,
            connect_timeout=DEADLINE,
            request_timeout=DEADLINE,
            follow_redirects=False,
            decompress_response=False,
            headers={"Accept": "application/json"},
        )
        try:
            response = await client.fetch(request)
        finally:
            client.close()
        return response.body

    return fetch


class Bucket:
    """A token bucket: ``burst`` at once, ``rate`` a second."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._level, self._at = float(burst), clock()

    def take(self) -> bool:
        """Whether there was one left to take."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


class JWKSCache:
    """The current key table. All times are monotonic seconds.

    A fetch that fails, or brings no usable key, never replaces keys that worked. Known keys serve on for
    ``max_stale`` seconds while their host does not answer.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        refresh: float,
        max_stale: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._refresh, self._max_stale, self._clock = refresh, max_stale, clock
        self._table: KeyTable | None = None
        self._fetched_at = 0.0
        self._failures = 0
        self._retry_at = 0.0
        self._flight: asyncio.Task[None] | None = None
        self._background: asyncio.Task[None] | None = None
        self._bucket = Bucket(UNKNOWN_KID_RATE, UNKNOWN_KID_BURST, clock)

    async def start(self) -> None:
        """Fetch the keys, and keep them fresh in the background. A host that is away is logged, not raised."""
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
            self._table = parse_key_set(await asyncio.wait_for(self._fetch(), DEADLINE))
        except Exception as exc:
            self._failures += 1
            backoff = min(LONGEST_BACKOFF, 0.5 * 2 ** min(self._failures - 1, 10))
            self._retry_at = self._clock() + backoff * random.uniform(0.8, 1.2)
            cause = str(exc) if isinstance(exc, UnusableKeySet) else type(exc).__name__
            log.error(
                "the key set was not fetched (%s); keys in use: %s", cause, len(self._table.keys) if self._table else 0
            )
            return
        self._failures = 0
        self._fetched_at = self._clock()

    async def _keep_fresh(self) -> None:
        while True:
            ahead = self._refresh * random.uniform(0.72, 0.88)  # jitter keeps several processes apart
            await asyncio.sleep(max(0.1, self._retry_at - self._clock()) if self._failures else ahead)
            await self._renew()
