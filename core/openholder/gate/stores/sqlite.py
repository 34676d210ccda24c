"""Used tokens in an SQLite file: for all processes of one machine. On a local disk, never on a network share.

A token is written on the event loop, which costs less than the way to a thread and back, and touches no disk: in WAL
mode with ``synchronous = NORMAL``, SQLite appends it to memory of the operating system. Whatever may have to wait goes
to the file's own thread: the disk, a lock that somebody else holds, and opening.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ClassVar, ParamSpec, TypeVar

from pydantic import BaseModel, Field

from openholder.gate.replay import Reach
from openholder.gate.stores.batches import Batches, Entry
from openholder.gate.stores.lock_file import declare_lost
from openholder.gate.stores.replay_file import DAMAGED, GIVEN_UP, ReplayFile, is_broken, name_lock, open_file
from openholder.setting_types import NewFile, place_state_file

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

TICK = 1.0
"""Seconds between two looks at the file, and between two writes to the disk."""
INTERVAL = 10.0
"""Seconds between deletions of expired entries."""
FRESH = 0.1
"""Seconds. A token is added only if the file was looked at since then."""
SLOW, REST = 0.05, 1.0
"""If adding a token takes longer than `SLOW`, the thread does it for the next `REST` seconds: the disk is busy."""
QUEUE_TIMEOUT = 0.9
"""Seconds that an entry may wait in the queue. With the lock's 2 s this stays below the time limit of the gate."""
REOPEN_PAUSE = 1.0
"""Seconds between two attempts to open a lost file anew."""


class SQLiteSettings(BaseModel):
    """``[replay]`` with ``store = "sqlite"``."""

    path: NewFile = Field(default_factory=partial(place_state_file, "replay.db"), validate_default=True)
    """The SQLite file, which is created if it does not exist."""


class SQLiteStore:
    """One row for each used token. If the file is lost while it is in use, every token is refused with 503."""

    reach: ClassVar[Reach] = "machine"
    api_version = 1
    Settings = SQLiteSettings

    def __init__(self, settings: SQLiteSettings, clock: Callable[[], float] = time.time) -> None:
        self._path = settings.path
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._file: ReplayFile | None = None
        self._lost_before = 0.0
        self._is_closed = False
        self._looked_at = self._slow_until = 0.0
        self._batches = Batches(self._write, QUEUE_TIMEOUT)
        self._upkeep: asyncio.Task[None] | None = None
        self._reopening: asyncio.Task[None] | None = None

    @property
    def lost_before(self) -> float:
        """See `NoticesLosses`."""
        return self._file.lost_before if self._file else self._lost_before

    async def open(self) -> float:
        """Open or create the file. If it is damaged, missing or exchanged since the last time, that is recorded."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="openholder-replay")
        try:
            self._file = await self._run(open_file, self._path, self._clock)
        except BaseException:
            self._thread.shutdown()
            raise
        self._upkeep = asyncio.create_task(self._keep_up())
        return self._file.lost_before

    async def close(self) -> None:
        """Write what still waits, and close the file."""
        self._is_closed = True
        if self._upkeep:
            self._upkeep.cancel()
        await asyncio.gather(*filter(None, (self._upkeep, self._reopening)), return_exceptions=True)
        await self._batches.drain()
        if self._file:
            file, self._file = self._file, None
            await self._run(file.close)
        if self._thread:
            self._thread.shutdown()

    def add_now(self, entry: bytes, expires_at: float) -> bool | None:
        """See `AnswersAtOnce`. One statement, which SQLite's lock makes atomic across processes."""
        file = self._require_file()
        started = time.monotonic()
        if started - self._looked_at > FRESH:
            self._look(file, started)
            file = self._require_file()
        if started < self._slow_until:
            return None
        try:
            answer = file.add_now(entry, expires_at)
        except sqlite3.DatabaseError as exc:
            self._judge_error(file, exc)
            raise
        if time.monotonic() - started > SLOW:
            self._slow_until = started + REST
        return answer

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`."""
        answer = self.add_now(entry, expires_at)
        return await self._batches.add(entry, expires_at) if answer is None else answer

    async def count_entries(self) -> float:
        """See `CountsEntries`."""
        return await self._run(self._require_file().count_entries)

    def _require_file(self) -> ReplayFile:
        if self._file:
            return self._file
        if self._is_closed:
            raise ValueError("the replay store is closed")
        raise RuntimeError("the replay store was lost" if self._upkeep else "add_if_absent() was called before open()")

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the file's thread, one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    async def _write(self, entries: Sequence[Entry]) -> list[bool]:
        file = self._require_file()
        try:
            return await self._run(file.add_all, entries)
        except sqlite3.DatabaseError as exc:
            self._judge_error(file, exc)
            raise

    async def _keep_up(self) -> None:
        """Look at the file, write it to the disk, and delete expired entries, each from time to time."""
        deleted_at = time.monotonic()
        while True:
            await asyncio.sleep(min(TICK, INTERVAL))
            if self._file:
                self._look(self._file, time.monotonic())
            file = self._file
            if file is None:
                continue
            try:
                await self._run(file.sync)
                if time.monotonic() - deleted_at >= INTERVAL:
                    deleted_at = time.monotonic()
                    await self._run(file.delete_expired)
            except Exception as exc:
                log.error("the upkeep of the replay store failed: %s", type(exc).__name__)
                self._judge_error(file, exc)

    def _look(self, file: ReplayFile, now: float) -> None:
        """Look whether the file is still the one that everybody uses. If it is not, give it up."""
        self._looked_at = now
        if change := file.find_change():
            self._give_up(file, change)

    def _judge_error(self, file: ReplayFile, exc: Exception) -> None:
        if isinstance(exc, sqlite3.Error) and is_broken(exc):
            self._give_up(file, DAMAGED)

    def _give_up(self, file: ReplayFile, change: str) -> None:
        """Refuse all tokens until the file is open again. Its loss is known to all who use it before it is closed."""
        if self._file is not file:
            return
        log.critical("the replay store %s: refusing all requests until it is open again", change)
        self._lost_before = file.lost_before
        self._file = None
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(file, change))

    async def _reopen(self, file: ReplayFile, change: str) -> None:
        steps = deque[Callable[[], None]]()
        if change != GIVEN_UP:
            steps.append(partial(declare_lost, name_lock(self._path)))
        steps += [file.give_up, self._open_anew]
        while steps:
            try:
                await self._run(steps[0])
                steps.popleft()
            except Exception as exc:
                if self._is_closed:
                    return
                log.error("opening the replay store anew failed: %s", type(exc).__name__)
                await asyncio.sleep(REOPEN_PAUSE)

    def _open_anew(self) -> None:
        self._file = open_file(self._path, self._clock, REOPEN_PAUSE)
        log.critical("the replay store is open again")
