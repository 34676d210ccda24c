"""A circuit breaker: requests to an upstream that keeps failing fail at once for a while, instead of waiting for it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from openholder import SourceUnavailable
from openholder_rest.transport import UpstreamDown

log = logging.getLogger("openholder.rest")


class CircuitBreaker:
    """Opens after ``failures`` failures in a row; after ``seconds`` it lets one query through as a trial."""

    def __init__(self, name: str, failures: int, seconds: float, clock: Callable[[], float]) -> None:
        self._name = name
        self._max_failures = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._is_trial_running = False

    def check(self) -> None:
        """Return if queries reach the upstream. Raises `SourceUnavailable` while they fail at once."""
        left = self._count_seconds_left()
        if left > 0:
            self._refuse(left)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Run one query under the breaker. Raises `SourceUnavailable` at once while it is open.

        `UpstreamDown` and `SourceUnavailable` count as failures. Any other exception came with a response, so the
        upstream is up. A cancelled query counts neither way.
        """
        is_trial = self._admit()
        try:
            yield
        except (UpstreamDown, SourceUnavailable):
            self._count_failure(is_trial)
            raise
        except Exception:
            self._reset()
            raise
        else:
            self._reset()
        finally:
            if is_trial:
                self._is_trial_running = False

    def _admit(self) -> bool:
        """Return whether this query is the trial. Raises `SourceUnavailable` if it must not run."""
        if self._opened_at is None:
            return False
        left = self._count_seconds_left()
        if left > 0 or self._is_trial_running:
            self._refuse(left)
        self._is_trial_running = True
        return True

    def _count_seconds_left(self) -> float:
        return 0.0 if self._opened_at is None else self._opened_at + self._seconds - self._clock()

    def _refuse(self, seconds: float) -> NoReturn:
        raise SourceUnavailable(
            "circuit breaker open after repeated upstream failures", retry_after=max(1, math.ceil(seconds))
        )

    def _count_failure(self, is_trial: bool) -> None:
        self._failures += 1
        if is_trial:
            self._opened_at = self._clock()
        elif self._opened_at is None and self._failures >= self._max_failures:
            self._opened_at = self._clock()
            log.warning(
                "source %s: %d upstream failures in a row, circuit breaker open for %g s",
                self._name,
                self._failures,
                self._seconds,
            )

    def _reset(self) -> None:
        if self._opened_at is not None:
            log.warning("source %s: upstream has recovered, circuit breaker closed", self._name)
        self._failures = 0
        self._opened_at = None
