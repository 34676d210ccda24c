"""What a source does besides answering: how long it blocks the event loop, what it leaves behind, where it waits."""

from __future__ import annotations

import asyncio
import selectors
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEDULED = Path("/proc/thread-self/schedstat")
_DESCRIPTORS = Path("/dev/fd")
_TURNSTILES = frozenset(
    function.__code__ for function in (asyncio.Lock.acquire, asyncio.Semaphore.acquire, asyncio.Queue.get)
)
"""Where a coroutine waits for its turn. `asyncio.Event` is not among them: all who wait for one go on together."""
BETWEEN = 0.001
"""Seconds between two readings that were made without an interruption."""
EXECUTOR_THREADS = "asyncio_"
"""How the names of threads of `asyncio.to_thread` begin. They belong to the event loop."""


def _read_waiting_time() -> float:
    """Return for how many seconds this thread was ready but another one had the processor; 0.0 if unknown."""
    try:
        return int(_SCHEDULED.read_text("ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _read_running_time() -> float:
    """Return the time on a clock that stands still while this thread is ready but another one has the processor.

    Where that happens between the two readings, they do not fit together, and are made again.
    """
    for _ in range(10):
        before, waited = time.perf_counter(), _read_waiting_time()
        after = time.perf_counter()
        if after - before < BETWEEN:
            break
    return after - waited


class LoopWatch(selectors.DefaultSelector):
    """The selector of an event loop: knows how long the loop was busy between two looks for events.

    The time for which another process had the processor does not count: a loaded machine blocks no loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self._began: float | None = None
        self._longest = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, as every selector. Note the time since the last ones."""
        if self._began is not None:
            self._longest = max(self._longest, _read_running_time() - self._began)
        try:
            return super().select(timeout)
        finally:
            self._began = _read_running_time()

    async def measure(self, work: Callable[[], Awaitable[object]]) -> float:
        """Do some work, and return for how many seconds at most it blocked the loop at a time."""
        await asyncio.sleep(0)
        self._longest = 0.0
        await work()
        await asyncio.sleep(0)
        return self._longest


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a process has at one moment: tasks, threads, files, and the number of open descriptors."""

    tasks: frozenset[asyncio.Task[Any]]
    threads: frozenset[threading.Thread]
    files: frozenset[Path]
    descriptors: int

    @classmethod
    def take_stock(cls, *folders: Path) -> Belongings:
        """Look at the process and the files below some folders."""
        own = [thread for thread in threading.enumerate() if not thread.name.startswith(EXECUTOR_THREADS)]
        files = frozenset(path for folder in folders for path in folder.rglob("*") if not path.is_dir())
        descriptors = sum(1 for _ in _DESCRIPTORS.iterdir()) if _DESCRIPTORS.exists() else 0
        return cls(frozenset(asyncio.all_tasks()), frozenset(own), files, descriptors)

    def describe_excess(self, before: Belongings) -> str:
        """Say what is there that was not *before*; empty if nothing is."""
        kinds = {
            "tasks": [task.get_name() for task in self.tasks - before.tasks],
            "threads": [thread.name for thread in self.threads - before.threads],
            "files": [path.name for path in self.files - before.files],
        }
        parts = [f"{kind}: {sorted(names)[:3]!r}" for kind, names in kinds.items() if names]
        if self.descriptors > before.descriptors:
            parts.append(f"{self.descriptors - before.descriptors} more open descriptors")
        return "; ".join(parts)


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Let `tempfile` make its files in a folder for the duration of the block."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def count_waiting_for_a_turn() -> int:
    """Count the tasks that wait for a lock, a place of a semaphore, or an entry of a queue."""
    return sum(_find_innermost_code(task.get_coro()) in _TURNSTILES for task in asyncio.all_tasks())


def _find_innermost_code(coroutine: Any) -> object:
    """Return the code in which a suspended coroutine waits."""
    while (inner := getattr(coroutine, "cr_await", None)) is not None and hasattr(inner, "cr_code"):
        coroutine = inner
    return getattr(coroutine, "cr_code", None)
