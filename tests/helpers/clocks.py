"""The clock that tests set."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """A clock that stands still at a time, or runs with ``source`` and is ``ahead`` of it by some seconds."""

    def __init__(self, now: float = 0.0, *, source: Callable[[], float] = float) -> None:
        self.source = source
        self.ahead = now - source() if now else 0.0
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now

    @property
    def now(self) -> float:
        return self.source() + self.ahead

    @now.setter
    def now(self, now: float) -> None:
        self.ahead = now - self.source()

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.ahead += seconds
