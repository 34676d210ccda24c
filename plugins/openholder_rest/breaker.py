"""A circuit breaker: an upstream that keeps failing is left alone for a while, and callers are not kept waiting."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from openholder import SourceUnavailable
from openholder_rest.transport import Down

log = logging.getLogger("openholder.rest")


class Breaker:
    """Opens after so many failures in a row; when its time is over one question is let through as a trial."""

    def __init__(self, name: str, failures: int, seconds: float, clock: Callable[[], float]) -> None:
        self._name = name
        self._allowed = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._trial = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Put one question under watch. Raises `SourceUnavailable` at once while open.

        `Down` and `SourceUnavailable` count. Any other exception came with an answer: the upstream is up. One that was
        cancelled says nothing.
        """
        trial = self._admit()
        try:
            yield
        except (Down, SourceUnavailable):
            self._failed(trial)
            raise
        except Exception:
            self._answered()
            raise
        else:
            self._answered()
        finally:
            self._trial = self._trial and not trial

    def _admit(self) -> bool:
        """Whether this is the trial."""
        if self._opened is None:
            return False
        left = self._opened + self._seconds - self._clock()
        if left > 0 or self._trial:
            raise SourceUnavailable(
                "upstream is left alone after repeated failures", retry_after=max(1, math.ceil(left))
            )
        self._trial = True
        return True

    def _failed(self, trial: bool) -> None:
        self._failures += 1
        if trial:
            self._opened = self._clock()
        elif self._opened is None and self._failures >= self._allowed:
            self._opened = self._clock()
            log.warning(
                "source %s failed %d times in a row: asked again in %g s", self._name, self._failures, self._seconds
            )

    def _answered(self) -> None:
        if self._opened is not None:
            log.warning("source %s answers again", self._name)
        self._failures = 0
        self._opened = None
