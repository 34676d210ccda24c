"""Rate limiting with a token bucket."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """Allows ``burst`` actions at once and ``rate`` per second on average. ``clock`` returns monotonic seconds."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._level = float(burst)
        self._updated_at = clock()

    def take(self) -> bool:
        """Take one token. Return False if there is none."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._updated_at) * self._rate)
        self._updated_at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
