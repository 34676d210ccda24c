"""Those who are told of requests: before an answer leaves, and after it has left."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from openholder.errors import describe
from openholder.ratelimit import TokenBucket
from openholder.sources.hookspecs import FinishedRequest

log = logging.getLogger(__name__)

LOGGED_FAILURES = (1.0, 10)
"""Log lines a second for failures of observers, and the burst. All failures are counted."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """What implements ``record_answer``, and what becomes of an answer that it could not record."""

    name: str
    record: Callable[..., Iterable[Awaitable[None]]]
    timeout: float
    required: bool


@dataclass(frozen=True, slots=True)
class Observer:
    """What implements ``request_finished``."""

    name: str
    notify: Callable[..., object]


class Observers:
    """All observers of one generation of sources.

    ``on_failure`` is called with the name of an observer and of its hook, each time that it fails.
    """

    def __init__(self, recorders: Sequence[Recorder], observers: Sequence[Observer]) -> None:
        self._recorders = recorders
        self._observers = observers
        self._failures = TokenBucket(*LOGGED_FAILURES, time.monotonic)
        self.on_failure: Callable[[str, str], None] = lambda name, hook: None

    @property
    def recorders(self) -> tuple[str, ...]:
        """The names of those who record answers."""
        return tuple(recorder.name for recorder in self._recorders)

    @property
    def record(self) -> Callable[[FinishedRequest], Awaitable[bool]] | None:
        """Has an answer recorded before it leaves. None if nobody wants to."""
        return self._record if self._recorders else None

    @property
    def notify(self) -> Callable[[FinishedRequest], None] | None:
        """Notifies of an answer that has left. None if nobody wants to know."""
        return self._notify if self._observers else None

    async def _record(self, event: FinishedRequest) -> bool:
        """Have each recorder record the answer. Return whether it may leave."""
        may_leave = True
        for recorder in self._recorders:
            try:
                async with asyncio.timeout(recorder.timeout) as deadline:
                    for awaitable in recorder.record(event=event):
                        await awaitable
                if deadline.expired():  # it swallowed its cancellation
                    raise TimeoutError
            except Exception as exc:
                self._report(recorder.name, "record_answer", exc)
                may_leave = may_leave and not recorder.required
        return may_leave

    def _notify(self, event: FinishedRequest) -> None:
        """Notify each observer. A failing one affects nothing else."""
        for observer in self._observers:
            try:
                observer.notify(event=event)
            except Exception as exc:
                self._report(observer.name, "request_finished", exc)

    def _report(self, name: str, hook: str, exc: Exception) -> None:
        self.on_failure(name, hook)
        if self._failures.take():
            log.error("observer %r failed in %s: %s", name, hook, describe(exc))
