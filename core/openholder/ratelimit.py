"""A token bucket: so many at once, so many a second."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """Holds ``burst`` at most and gains ``rate`` a second. ``clock`` gives monotonic seconds."""

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
