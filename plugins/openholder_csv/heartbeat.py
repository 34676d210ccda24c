"""Regular pauses in a long load: log its progress, and stop it if it was cancelled."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from openholder import SourceFault

log = logging.getLogger("openholder.progress")
FIRST = 1.0
"""Seconds until a load logs its progress for the first time."""
NEXT = 2.0
"""Seconds between further progress lines."""


class Heartbeat:
    """Belongs to one load. The loading thread calls `beat` or `pause` often; any thread may call `stop`."""

    STEPS = 100_000
    """SQLite instructions between two beats: some milliseconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = time.monotonic()
        self._next = self._started + FIRST
        self._stopped = threading.Event()
        self.describe: Callable[[], str] = lambda: "waiting for another process that reads the same files"

    def beat(self) -> bool:
        """Log progress if a line is due. Return True, which makes SQLite interrupt its work, once stopped."""
        now = time.monotonic()
        if now >= self._next:
            log.info("source %s: %s", self._name, self.describe())
            self._next = now + NEXT
        return self._stopped.is_set()

    def pause(self) -> None:
        """Beat outside SQLite. Raises `SourceFault` once stopped."""
        if self.beat():
            raise SourceFault("loading was cancelled")

    def stop(self) -> None:
        """Make the load end soon."""
        self._stopped.set()

    def finish(self, size: int) -> None:
        """Log size and duration of the load, if it was long enough to log progress."""
        seconds = time.monotonic() - self._started
        if seconds >= FIRST:
            log.info("source %s: %.0f MiB of text read in %.1f s", self._name, size / 2**20, seconds)
