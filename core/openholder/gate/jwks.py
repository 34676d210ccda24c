"""Fiskil's keys: fetched once for all requests, refreshed ahead of need, and kept while their host is unavailable."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from openholder.gate.fetching import DEADLINE, Fetch, FetchFailed, KnownKeys
from openholder.gate.keys import KeyTable, UnusableKeySet, parse_key_set
from openholder.gate.reasons import CannotJudge
from openholder.ratelimit import TokenBucket

log = logging.getLogger(__name__)

LONGEST_BACKOFF = 60.0
"""Seconds between two attempts while the host is unavailable."""
SHORTEST_REFRESH, LONGEST_REFRESH = 60.0, 3600.0
"""Seconds. Bounds for Cache-Control, so that a proxy cannot pin keys for a day or cause constant fetching."""
ALARM = 900.0
"""Seconds without a successful fetch after which a failure is logged as critical."""
GRACE = 1.0
"""Seconds from the start of a fetch in which any number of requests may wait for it: it hardly ever takes longer."""
MAX_WAITING = 12
"""Requests that wait for a fetch that takes longer. Further ones get 503 at once: a flood must not pile up."""
UNKNOWN_KID_RATE, UNKNOWN_KID_BURST = 5 / 60, 2
"""Fetches per second, and at once, that unknown kids may cause. Scheduled refreshes do not count."""


class JWKSCache:
    """The current key table. All times are monotonic seconds.

    A failed fetch, or one without a usable key, never replaces working keys. While the host is unavailable, they stay
    in use for ``max_stale`` seconds; with ``known``, also across a restart. ``on_event`` is called with ``fetched``,
    ``failed`` or ``unknown_kid`` each time.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        refresh: float,
        max_stale: float,
        known: KnownKeys | None = None,
        on_event: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._refresh = refresh
        self._max_stale = max_stale
        self._known = known
        self._on_event = on_event
        self._clock = clock
        self._table: KeyTable | None = None
        self._fetched_at = 0.0
        self._fresh_for = refresh
        self._failures = 0
        self._retry_at = 0.0
        self._due_at = 0.0
        self._pending: asyncio.Task[None] | None = None
        self._patience_ended = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        self.waiting = 0
        """How many requests wait for a fetch."""
        self._background: asyncio.Task[None] | None = None
        self._bucket = TokenBucket(UNKNOWN_KID_RATE, UNKNOWN_KID_BURST, clock)

    async def start(self) -> None:
        """Fetch the keys, and refresh them in the background. An unavailable host is logged, not raised."""
        self._load_known_keys()
        await self._renew()
        self._background = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [task for task in (self._background, self._pending) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def age(self) -> float | None:
        """Seconds since the keys were fetched, or None if no usable keys are available."""
        if self._table is None or self._clock() - self._fetched_at > self._max_stale:
            return None
        return self._clock() - self._fetched_at

    @property
    def kids(self) -> frozenset[str]:
        """The ids of the usable keys."""
        return self._table.kids if self._table else frozenset()

    @property
    def due_in(self) -> float:
        """Seconds until the next fetch in the background."""
        return max(0.0, self._due_at - self._clock())

    def find_table(self, kid: str) -> KeyTable | None:
        """Return the key table if it is in use and has the kid: then nothing needs to be fetched."""
        table = self._table
        return table if table and kid in table.kids and self.age is not None else None

    async def get_table(self, kid: str) -> KeyTable:
        """Return the key table to verify a token signed with ``kid``.

        An unknown kid causes a fetch if the rate limit allows it, because the keys may have been rotated.

        Raises:
            CannotJudge: No keys are available, or the kid is unknown while the key set cannot be fetched.
        """
        if self.age is None:
            # Without keys every request wants a fetch: respect the back-off, but join a fetch that is under way.
            if self._pending is None and self._clock() < self._retry_at:
                raise CannotJudge("no keys yet", retry_after=self._get_retry_after())
            await self._wait_for_fetch()
        table = self._require_table()
        if kid in table.kids:
            return table
        self._on_event("unknown_kid")
        if self._pending is not None or self._bucket.take():
            await self._wait_for_fetch()
            table = self._require_table()
        if kid not in table.kids and self._failures:
            raise CannotJudge("unknown kid while the key set cannot be fetched", retry_after=self._get_retry_after())
        return table

    def _require_table(self) -> KeyTable:
        if self._table is None or self.age is None:
            raise CannotJudge("no keys", retry_after=self._get_retry_after())
        return self._table

    def _get_retry_after(self) -> int:
        return max(1, round(self._retry_at - self._clock()))

    async def _renew(self) -> None:
        """Fetch once for all who wait. One who is cancelled does not cancel the fetch of the others."""
        await asyncio.shield(self._start_fetch())

    async def _wait_for_fetch(self) -> None:
        """Do the same for a request, with a limit on how many of them wait for a fetch that takes long."""
        pending = self._start_fetch()
        self.waiting += 1
        try:
            if self.waiting > MAX_WAITING:
                await self._patience_ended.wait()  # after `GRACE`, or with the fetch
            else:
                await asyncio.shield(pending)
        finally:
            self.waiting -= 1
        if not pending.done():
            raise CannotJudge("the key set is still being fetched", retry_after=1)

    def _start_fetch(self) -> asyncio.Task[None]:
        """Start a fetch, unless one is under way."""
        if self._pending is None:
            self._patience_ended.clear()
            self._pending = asyncio.create_task(self._fetch_table())
            self._pending.add_done_callback(self._clear_pending)
        return self._pending

    def _clear_pending(self, _: asyncio.Task[None]) -> None:
        self._pending = None
        if self._patience:
            self._patience.cancel()
        self._patience_ended.set()

    async def _fetch_table(self) -> None:
        self._patience = asyncio.get_running_loop().call_later(GRACE, self._patience_ended.set)
        try:
            fetched = await asyncio.wait_for(self._fetch(), DEADLINE)
            table = parse_key_set(fetched.body)
        except Exception as exc:
            is_told = isinstance(exc, FetchFailed | UnusableKeySet)
            self._record_failure(str(exc) if is_told else type(exc).__name__)
            return
        self._use(table)
        self._failures = 0
        self._fetched_at = self._clock()
        max_age = self._refresh if fetched.max_age is None else fetched.max_age
        self._fresh_for = min(max(max_age, SHORTEST_REFRESH), LONGEST_REFRESH, self._refresh)
        self._on_event("fetched")
        if self._known:
            self._known.save(fetched.body)

    def _use(self, table: KeyTable) -> None:
        """Replace the keys. What is wrong with the set is logged once, not at every fetch."""
        before, self._table = self._table, table
        if table.ambiguous and (before is None or table.ambiguous != before.ambiguous):
            log.error("keys of the JWK Set are not used: %s", "; ".join(table.ambiguous))
        if table.unusable and (before is None or table.unusable != before.unusable):
            log.warning("keys of the JWK Set are not used: %s", "; ".join(table.unusable))

    def _record_failure(self, cause: str) -> None:
        self._failures += 1
        backoff = min(LONGEST_BACKOFF, 0.5 * 2 ** min(self._failures - 1, 10))
        self._retry_at = self._clock() + backoff * random.uniform(0.8, 1.2)
        self._on_event("failed")
        age = self.age
        level = logging.CRITICAL if age is None or age > ALARM else logging.WARNING
        log.log(level, "key set not refreshed (%s); %d keys in use", cause, len(self.kids) if age else 0)

    def _load_known_keys(self) -> None:
        """Start with the keys of the last run. `age` decides whether they are still fresh enough to use."""
        known = self._known.load() if self._known else None
        if known is None:
            return
        document, age = known
        try:
            self._use(parse_key_set(document))
            self._fetched_at = self._clock() - age
        except UnusableKeySet as exc:
            log.error("ignoring the known keys: %s", exc)

    async def _keep_fresh(self) -> None:
        while True:
            if self._failures:
                delay = max(0.1, self._retry_at - self._clock())
            else:
                delay = self._fresh_for * random.uniform(0.72, 0.88)  # jitter keeps several processes apart
            self._due_at = self._clock() + delay
            await asyncio.sleep(delay)
            await self._renew()
