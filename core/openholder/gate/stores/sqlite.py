"""Used tokens in an SQLite file: for all processes of one machine. On a local disk, never on a network share.

``synchronous = NORMAL`` in WAL mode loses the last moments in a power cut only; their tokens expire by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import aiosqlite
from pydantic import BaseModel, Field

from openholder.gate.replay import Reach
from openholder.setting_types import NewFile

log = logging.getLogger(__name__)

SWEEP = 2000
"""Entries that one statement forgets at most, so that no other has to wait for long."""
INTERVAL = 10.0
BUSY_TIMEOUT = 2.0
"""Seconds to wait for a lock that another process holds."""
QUEUE_TIMEOUT = 0.9
"""Seconds to wait for one's turn. Together with the lock's it stays below what the gate waits for an answer."""
AT_ONCE = 500
"""Entries that one statement remembers at most."""
OPEN_TRIES = 100
INSERT = "INSERT INTO used (entry, expires) VALUES {} ON CONFLICT DO NOTHING RETURNING entry"

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "CREATE TABLE IF NOT EXISTS used (entry BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS used_expires ON used (expires)",
    "PRAGMA quick_check",
)


class SQLiteSettings(BaseModel):
    """``[replay]`` with ``store = "sqlite"``."""

    path: NewFile = Field(default=Path("replay.db"), validate_default=True)


class Waiting(NamedTuple):
    """An entry that is to be remembered, and who waits to hear whether it is new."""

    entry: bytes
    expires_at: float
    since: float
    answer: asyncio.Future[bool]


def _answer(batch: Iterable[Waiting], outcome: Callable[[Waiting], bool | Exception]) -> None:
    """Tell those who still wait what came of it."""
    for waiting in batch:
        result = outcome(waiting)
        if waiting.answer.done():
            continue
        if isinstance(result, Exception):
            waiting.answer.set_exception(result)
        else:
            waiting.answer.set_result(result)


def _failed(exc: Exception, waiting: Waiting) -> Exception:
    return exc


def _take(added: set[bytes], waiting: Waiting) -> bool:
    """Whether this is the first of a batch with an entry that was added."""
    if waiting.entry not in added:
        return False
    added.remove(waiting.entry)
    return True


class SQLiteStore:
    """One row for each used token. Runs in a thread of its own, since a checkpoint may take long."""

    reach: ClassVar[Reach] = "machine"
    api_version = 1
    Settings = SQLiteSettings

    def __init__(self, settings: SQLiteSettings, clock: Callable[[], float] = time.time) -> None:
        self._path = settings.path
        self._clock = clock
        self._connection: aiosqlite.Connection | None = None
        self._purge: asyncio.Task[None] | None = None
        self._waiting: deque[Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> float:
        """Open or create the file. A broken one is moved aside, and what was in it counts as lost."""
        lost_before = 0.0
        try:
            self._connection = await self._connect()
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorcode & 0xFF not in _BROKEN:
                raise
            lost_before = self._clock()
            aside = self._move_aside(lost_before)
            log.critical("the replay record is broken; it was moved to %s, and a new one is begun", aside)
            self._connection = await self._connect()
        self._purge = asyncio.create_task(self._keep_small(self._connection))
        return lost_before

    async def close(self) -> None:
        """Stop purging and close the file."""
        if self._purge:
            self._purge.cancel()
            await asyncio.gather(self._purge, return_exceptions=True)
        if self._writer:
            await self._writer
        if self._connection:
            await self._connection.close()

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. One statement, so SQLite's own lock makes it atomic over processes."""
        if self._connection is None:
            raise RuntimeError("open() comes before add_if_absent()")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(Waiting(entry, expires_at, loop.time(), answer))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(self._connection))
        return await answer

    async def _write(self, connection: aiosqlite.Connection) -> None:
        """Remember whatever waits, all of it in one statement: the way to the thread and back costs more than a row.

        One statement at a time: what is queued in the thread would still run after its caller has given up, and use up
        a token whose request was answered with 503.
        """
        while batch := self._batch():
            values = [value for waiting in batch for value in (waiting.entry, waiting.expires_at)]
            statement = INSERT.format(", ".join(["(?, ?)"] * len(batch)))
            try:
                added = {entry for (entry,) in await connection.execute_fetchall(statement, values)}
            except Exception as exc:
                _answer(batch, partial(_failed, exc))
            else:
                _answer(batch, partial(_take, added))

    def _batch(self) -> list[Waiting]:
        """The next entries whose callers still wait, and have not waited for too long."""
        latest = asyncio.get_running_loop().time() - QUEUE_TIMEOUT
        batch: list[Waiting] = []
        while self._waiting and len(batch) < AT_ONCE:
            waiting = self._waiting.popleft()
            if waiting.since < latest:
                _answer([waiting], partial(_failed, TimeoutError()))
            elif not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _connect(self) -> aiosqlite.Connection:
        # Where it cannot be opened, aiosqlite's thread outlives the error and finds its event loop closed.
        await asyncio.to_thread(lambda: sqlite3.connect(self._path).close())
        connection = await aiosqlite.connect(self._path, isolation_level=None)
        try:
            for _ in range(OPEN_TRIES):
                if await self._prepared(connection):
                    return connection
                await asyncio.sleep(BUSY_TIMEOUT / OPEN_TRIES)
            raise sqlite3.OperationalError("database is locked")
        except BaseException:
            await connection.close()
            raise

    async def _prepared(self, connection: aiosqlite.Connection) -> bool:
        """Whether the file is ready. Switching to WAL does not wait for a lock by itself, as other statements do."""
        try:
            for statement in _SCHEMA:
                rows = await connection.execute_fetchall(statement)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        if [tuple(row) for row in rows] != [("ok",)]:
            broken = sqlite3.DatabaseError("the record does not pass its check")
            broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise broken
        return True

    def _move_aside(self, now: float) -> Path:
        aside = self._path.with_name(f"{self._path.name}.broken-{now:.0f}")
        for suffix in ("", "-wal", "-shm"):
            file = self._path.with_name(self._path.name + suffix)
            if file.exists():
                file.rename(aside.with_name(aside.name + suffix))
        return aside

    async def _keep_small(self, connection: aiosqlite.Connection) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                while await self._forget(connection) == SWEEP:
                    pass
            except sqlite3.Error as exc:
                log.error("expired entries of the replay record were not forgotten: %s", type(exc).__name__)

    async def _forget(self, connection: aiosqlite.Connection) -> int:
        rows = await connection.execute_fetchall(
            "DELETE FROM used WHERE entry IN (SELECT entry FROM used WHERE expires < ? LIMIT ?) RETURNING 1",
            (self._clock(), SWEEP),
        )
        return len(list(rows))
