"""What a long load does now and then: tell how far it is, and see whether it is still wanted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from openholder import SourceFault

log = logging.getLogger("openholder.progress")
FIRST, NEXT = 1.0, 2.0
"""Seconds after which a load first tells how far it is, and then again."""


class Heartbeat:
    """Belongs to one load. The loading thread calls `beat` or `pause` often; any thread may call `stop`."""

    STEPS = 100_000
    """Instructions of SQLite between two beats: some milliseconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()
        self._next = self._began + FIRST
        self._stopped = threading.Event()
        self.doing: Callable[[], str] = lambda: "measuring the packed files"

    def beat(self) -> bool:
        """Log a line where it is time for one. True, which has SQLite end its work, when nobody wants it any more."""
        now = time.monotonic()
        if now >= self._next:
            log.info("source %s: %s", self._name, self.doing())
            self._next = now + NEXT
        return self._stopped.is_set()

    def pause(self) -> None:
        """Beat where SQLite is not at work."""
        if self.beat():
            raise SourceFault("the load was given up")

    def stop(self) -> None:
        """Have the load end soon."""
        self._stopped.set()

    def end(self, size: int) -> None:
        """Log what it came to, if it took so long that lines were logged."""
        seconds = time.monotonic() - self._began
        if seconds >= FIRST:
            log.info("source %s: %.0f MiB of text read in %.1f s", self._name, size / 2**20, seconds)
