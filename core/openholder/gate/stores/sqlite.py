"""Used tokens in an SQLite file: for all processes of one machine. On a local disk, never on a network share.

In WAL mode, ``synchronous = NORMAL`` loses only the last moments before a power cut; their tokens expire soon.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

import aiosqlite
from pydantic import BaseModel, Field

from openholder.gate.replay import Reach
from openholder.setting_types import NewFile

log = logging.getLogger(__name__)

SWEEP = 2000
"""The most entries that one statement deletes, so that others need not wait long."""
INTERVAL = 10.0
"""Seconds between deletions of expired entries."""
BUSY_TIMEOUT = 2.0
"""Seconds to wait for the lock of another process."""
QUEUE_TIMEOUT = 0.9
"""Seconds that an entry may wait in the queue. With `BUSY_TIMEOUT` this stays below the time limit of the gate."""
AT_ONCE = 500
"""The most entries that one statement inserts."""
OPEN_TRIES = 100
"""Attempts to open a file that another process is creating."""
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
    """The SQLite file, which is created if it does not exist."""


class Waiting(NamedTuple):
    """An entry to insert, and the caller that waits for the result."""

    entry: bytes
    expires_at: float
    since: float
    answer: asyncio.Future[bool]


def _resolve(waiting: Waiting, result: bool | Exception) -> None:
    """Give a caller its result, unless it no longer waits."""
    if waiting.answer.done():
        return
    if isinstance(result, Exception):
        waiting.answer.set_exception(result)
    else:
        waiting.answer.set_result(result)


class SQLiteStore:
    """One row for each used token. SQLite runs in a separate thread: a checkpoint may take long."""

    reach: ClassVar[Reach] = "machine"
    api_version = 1
    Settings = SQLiteSettings

    def __init__(self, settings: SQLiteSettings, clock: Callable[[], float] = time.time) -> None:
        self._path = settings.path
        self._clock = clock
        self._connection: aiosqlite.Connection | None = None
        self._purging: asyncio.Task[None] | None = None
        self._waiting: deque[Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> float:
        """Open or create the file. A corrupt file is renamed, and its entries count as lost."""
        lost_before = 0.0
        try:
            self._connection = await self._connect()
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorcode & 0xFF not in _BROKEN:
                raise
            lost_before = self._clock()
            renamed = self._rename_file(lost_before)
            log.critical("the replay store was corrupt: renamed to %s and created anew; refusing older tokens", renamed)
            self._connection = await self._connect()
        self._purging = asyncio.create_task(self._delete_regularly(self._connection))
        return lost_before

    async def close(self) -> None:
        """Stop deleting expired entries, and close the file."""
        if self._purging:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        if self._writer:
            await self._writer
        if self._connection:
            await self._connection.close()

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. One statement, which SQLite's lock makes atomic across processes."""
        if self._connection is None:
            raise RuntimeError("add_if_absent() was called before open()")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(Waiting(entry, expires_at, loop.time(), answer))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(self._connection))
        return await answer

    async def _write(self, connection: aiosqlite.Connection) -> None:
        """Insert all waiting entries, in batches: the way to the thread and back costs more than a row.

        One statement at a time: a statement queued in the thread would still run after its caller has given up, and
        use up a token whose request was answered with 503.
        """
        while batch := self._take_batch():
            values = [value for waiting in batch for value in (waiting.entry, waiting.expires_at)]
            statement = INSERT.format(", ".join(["(?, ?)"] * len(batch)))
            try:
                added = {entry for (entry,) in await connection.execute_fetchall(statement, values)}
            except Exception as exc:
                for waiting in batch:
                    _resolve(waiting, exc)
                continue
            for waiting in batch:
                _resolve(waiting, waiting.entry in added)
                added.discard(waiting.entry)  # of equal entries in one batch only one is the first use

    def _take_batch(self) -> list[Waiting]:
        """Take the next entries whose callers still wait, and fail those that have waited too long."""
        latest = asyncio.get_running_loop().time() - QUEUE_TIMEOUT
        batch: list[Waiting] = []
        while self._waiting and len(batch) < AT_ONCE:
            waiting = self._waiting.popleft()
            if waiting.since < latest:
                _resolve(waiting, TimeoutError())
            elif not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _connect(self) -> aiosqlite.Connection:
        # Open it once without aiosqlite: if opening fails, its thread survives and finds the event loop closed.
        await asyncio.to_thread(lambda: sqlite3.connect(self._path).close())
        connection = await aiosqlite.connect(self._path, isolation_level=None)
        try:
            for _ in range(OPEN_TRIES):
                if await self._prepare(connection):
                    return connection
                await asyncio.sleep(BUSY_TIMEOUT / OPEN_TRIES)
            raise sqlite3.OperationalError("database is locked")
        except BaseException:
            await connection.close()
            raise

    async def _prepare(self, connection: aiosqlite.Connection) -> bool:
        """Create the table and check the file; return False if it is locked, as the switch to WAL does not wait."""
        try:
            for statement in _SCHEMA:
                rows = await connection.execute_fetchall(statement)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        if [tuple(row) for row in rows] != [("ok",)]:
            corrupt = sqlite3.DatabaseError("PRAGMA quick_check found errors")
            corrupt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise corrupt
        return True

    def _rename_file(self, now: float) -> Path:
        """Rename the file and those of its WAL, so that a new one can be created."""
        renamed = self._path.with_name(f"{self._path.name}.broken-{now:.0f}")
        for suffix in ("", "-wal", "-shm"):
            file = self._path.with_name(self._path.name + suffix)
            if file.exists():
                file.rename(renamed.with_name(renamed.name + suffix))
        return renamed

    async def _delete_regularly(self, connection: aiosqlite.Connection) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                while await self._delete_expired(connection) == SWEEP:
                    pass
            except sqlite3.Error as exc:
                log.error("deleting expired entries from the replay store failed: %s", type(exc).__name__)

    async def _delete_expired(self, connection: aiosqlite.Connection) -> int:
        rows = await connection.execute_fetchall(
            "DELETE FROM used WHERE entry IN (SELECT entry FROM used WHERE expires < ? LIMIT ?) RETURNING 1",
            (self._clock(), SWEEP),
        )
        return len(list(rows))
