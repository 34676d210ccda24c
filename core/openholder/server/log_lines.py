"""Where the lines of the log go: in order, whole, in batches, and without waiting for whoever reads them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

BATCH = 0.05
"""Seconds after which a line is written at the latest, unless its reader is slow."""
PAUSE = 0.005
"""Seconds that a reader gets to empty a full pipe."""
PATIENCE = 5.0
"""Seconds to wait for a slow reader where nothing else is to be done: at the start and at the end."""
MAX_WAITING = 4_194_304
"""Bytes of lines that wait for a slow reader. Further lines are lost, and counted."""


class LineWriter:
    """Writes lines to a stream, at once or, within `batch`, a few at a time.

    A batch costs one call of the system instead of one for each line. Lines that wait are lost only if the process is
    killed; so those that report trouble are written with `write_now`, after all that wait before them.

    A reader that has stopped reading would hold up the whole process with its first full pipe. So nothing is written
    before the system says that it takes it, and at most `PIPE_BUF` bytes at a time: these it takes without waiting, and
    does not mix with the lines of other workers.

    Args:
        stream: Where the lines go; None if the process was started without.
        report_lost: Called with a number of lines that were lost, when lines can be written again.
    """

    def __init__(self, stream: TextIO | None, report_lost: Callable[[int], None] = lambda _: None) -> None:
        self.lost = 0
        """Lines that were lost since the start, because too many waited."""
        self._stream = stream
        self._report_lost = report_lost
        self._unreported = 0
        self._descriptor: int | None = None
        self._poll = select.poll()
        with contextlib.suppress(io.UnsupportedOperation):  # a stream in memory
            self._descriptor = stream.fileno() if stream else None
        if self._descriptor is not None:
            self._poll.register(self._descriptor, select.POLLOUT)
        self.forget()

    def forget(self) -> None:
        """Forget waiting lines, locks and loop: in a forked process they are those of its parent."""
        # Logging may be called while lines are written, by a finalizer or by `report_lost`.
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._is_writing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_scheduled = False

    def write(self, line: bytes) -> None:
        """Write a line, which ends with a line feed, now or with the batch."""
        with self._lock:
            self._append(line)
            if self._loop is None:
                self._flush(PATIENCE)
            elif not self._is_scheduled:
                self._schedule(self._loop)

    def write_now(self, line: bytes) -> None:
        """Write a line at once, after all that wait."""
        with self._lock:
            self._append(line)
            self._flush(PATIENCE if self._loop is None else 0)
            if self._loop and self._waiting and not self._is_scheduled:
                self._schedule(self._loop)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Write lines in batches for the duration of the block, by a timer of the running loop."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        try:
            yield
        finally:
            with self._lock:
                self._loop = None
                self._is_scheduled = False
                self._flush(PATIENCE)

    def _append(self, line: bytes) -> None:
        if self._size + len(line) > MAX_WAITING:
            self.lost += 1
            self._unreported += 1
            return
        self._waiting.append(line)
        self._size += len(line)

    def _schedule(self, loop: asyncio.AbstractEventLoop, delay: float = BATCH) -> None:
        self._is_scheduled = True
        if threading.get_ident() == self._thread:
            loop.call_later(delay, self._write_batch)
        else:
            loop.call_soon_threadsafe(loop.call_later, delay, self._write_batch)

    def _write_batch(self) -> None:
        with self._lock:
            self._is_scheduled = False
            before = self._size
            self._flush(0)
            if self._loop and self._waiting:
                self._schedule(self._loop, PAUSE if self._size < before else BATCH)

    def _flush(self, patience: float) -> None:
        """Write what waits, as far as the reader takes it, each part within ``patience`` seconds."""
        if self._is_writing:  # what is logged meanwhile follows in the loop below
            return
        self._is_writing = True
        try:
            while self._waiting and self._write_part(patience):
                if self._unreported and not self._waiting:
                    count, self._unreported = self._unreported, 0
                    self._report_lost(count)
        finally:
            self._is_writing = False

    def _write_part(self, patience: float) -> bool:
        """Write some whole lines. Return False if the reader does not take them."""
        part = bytearray(self._waiting.popleft())
        while self._waiting and len(part) + len(self._waiting[0]) <= select.PIPE_BUF:
            part += self._waiting.popleft()
        written = self._write(part, patience)
        self._size -= written
        if written < len(part):
            self._waiting.appendleft(bytes(part[written:]))
        return written > 0

    def _write(self, part: bytearray, patience: float) -> int:
        """Write the beginning of ``part``. Return how many bytes of it were written."""
        if self._descriptor is None:
            if self._stream is not None:
                self._stream.write(part.decode())
                self._stream.flush()
            return len(part)
        try:
            if self._poll.poll(patience * 1000):
                return os.write(self._descriptor, part[: select.PIPE_BUF])
        except OSError:  # the reader is gone, or the disk is full: that may change, and what waits is limited
            pass
        return 0
