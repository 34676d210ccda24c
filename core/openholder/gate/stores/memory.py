"""Used tokens in the memory of one process; forgotten at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from openholder.gate.replay import Reach

SWEEP = 2000
"""Entries that one call forgets at most: a million that expire at once must not stop the loop."""
SHARDS = 16
"""A set of a million entries takes tens of milliseconds to grow; sixteen small ones take turns."""


class MemoryStore:
    """A set, and a wheel of one-second lists that says what may be forgotten.

    A heap would do too, but costs twice the memory and frees a million entries in one pause of seconds.
    """

    api_version = 1
    reach: ClassVar[Reach] = "process"

    def __init__(self, settings: object = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._used: tuple[set[bytes], ...] = tuple(set() for _ in range(SHARDS))
        self._wheel: dict[int, list[bytes]] = {}
        self._swept = int(clock())

    def __len__(self) -> int:
        """How many entries are remembered."""
        return sum(len(shard) for shard in self._used)

    async def open(self) -> float:
        """Nothing to make ready. What was used before this process began is not known, and not looked for."""
        return 0.0

    async def close(self) -> None:
        """Nothing to give back."""

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. There is no await inside, so nothing comes between looking and adding."""
        self._forget()
        shard = self._used[entry[0] % SHARDS]
        if entry in shard:
            return False
        shard.add(entry)
        self._wheel.setdefault(max(int(expires_at) + 1, self._swept), []).append(entry)
        return True

    def _forget(self) -> None:
        now, budget = self._clock(), SWEEP
        while self._swept <= now and budget > 0:
            expired = self._wheel.get(self._swept)
            if not expired:
                self._wheel.pop(self._swept, None)
                self._swept = self._next(now)
                continue
            for entry in expired[-budget:]:
                self._used[entry[0] % SHARDS].discard(entry)
            left = max(0, len(expired) - budget)
            budget -= len(expired) - left
            del expired[left:]

    def _next(self, now: float) -> int:
        """The second to look at next. A clock that was put right by years is not walked through."""
        if now - self._swept < len(self._wheel) + 2:
            return self._swept + 1
        return min(self._wheel, default=int(now) + 1)
