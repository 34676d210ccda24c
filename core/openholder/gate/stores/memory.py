"""Used tokens in the memory of one process; lost when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from openholder.gate.replay import Reach

SWEEP = 2000
"""The most entries that one call deletes: a million that expire at once must not block the event loop."""
SHARDS = 16
"""A set of a million entries takes tens of milliseconds to grow; sixteen smaller ones grow at different times."""


class MemoryStore:
    """A set of entries, and a timing wheel: for each second the list of entries that expire in it.

    A heap would take twice the memory, and deleting a million entries from it would block for seconds.
    """

    api_version = 1
    reach: ClassVar[Reach] = "process"

    def __init__(self, settings: object = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._used: tuple[set[bytes], ...] = tuple(set() for _ in range(SHARDS))
        self._wheel: dict[int, list[bytes]] = {}
        self._swept = int(clock())

    def __len__(self) -> int:
        """Return the number of entries."""
        return sum(len(shard) for shard in self._used)

    async def count_entries(self) -> float:
        """See `CountsEntries`."""
        return len(self)

    async def open(self) -> float:
        """Return 0.0: tokens used before this process started are unknown, but that is the operator's choice."""
        return 0.0

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`."""
        return self.add_now(entry, expires_at)

    def add_now(self, entry: bytes, expires_at: float) -> bool:
        """See `AnswersAtOnce`. Atomic, as everything happens on the event loop."""
        now = self._clock()
        if self._swept <= now:
            self._delete_expired(now)
        shard = self._used[entry[0] % SHARDS]
        if entry in shard:
            return False
        shard.add(entry)
        second = max(int(expires_at) + 1, self._swept)
        expiring = self._wheel.get(second)
        if expiring is None:
            self._wheel[second] = [entry]
        else:
            expiring.append(entry)
        return True

    def _delete_expired(self, now: float) -> None:
        budget = SWEEP
        while self._swept <= now and budget > 0:
            expired = self._wheel.get(self._swept)
            if not expired:
                self._wheel.pop(self._swept, None)
                self._swept = self._find_next_second(now)
                continue
            for entry in expired[-budget:]:
                self._used[entry[0] % SHARDS].discard(entry)
            left = max(0, len(expired) - budget)
            budget -= len(expired) - left
            del expired[left:]

    def _find_next_second(self, now: float) -> int:
        """Return the next second to delete. If the clock jumped by years, skip the seconds without entries."""
        if now - self._swept < len(self._wheel) + 2:
            return self._swept + 1
        return min(self._wheel, default=int(now) + 1)
