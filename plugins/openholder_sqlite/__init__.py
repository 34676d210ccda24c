"""Data from an SQLite file: a table or view for each collection, read and never written.

The collection ``banking.transactions`` is the table or view ``banking_transactions``; its columns have the names of the
members they fill. To map another schema, use ``SELECT`` aliases in a view, or the words of `openholder.mapping`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time

import aiosqlite
from pydantic import Field

from openholder import ExistingFile, Page, Query, SourceFault, hookimpl
from openholder.sql import SQLSettings
from openholder_sqlite.database import Database
from openholder_sqlite.watching import Watched, WatchedSource

__all__ = ["Database", "SQLiteSettings", "SQLiteSource", "Watched", "WatchedSource"]


CHECK_INTERVAL = 0.01
"""Seconds between two looks whether the file is still there: one costs as much as a query by an index."""


class SQLiteSettings(SQLSettings):
    """``[sources.X]`` with ``kind = "sqlite"``."""

    path: ExistingFile
    connections: int = Field(default=4, ge=1, le=32)
    """The number of connections, each with its own thread: the number of queries that run at the same time."""
    reload: float = Field(default=1.0, gt=0, le=3600)
    """Seconds between checks whether the file was replaced."""
    on_loop: bool = True
    """Whether queries of up to 2 ms are answered without handing them to a thread. Not for a slow or remote disk."""


class SQLiteSource(WatchedSource):
    """Serves records from one SQLite file, and from its replacement when another file takes its place."""

    Settings = SQLiteSettings

    def __init__(self, name: str, settings: SQLiteSettings) -> None:
        self._settings = settings
        # The default mode, rwc, would create an empty database if the file is missing.
        self._uri = f"{settings.path.absolute().as_uri()}?mode=ro"
        self._checked_at = 0.0
        super().__init__(Watched(name, self._read_stamp, self._load, settings.reload))

    def _read_stamp(self) -> tuple[int, int]:
        """Return device and inode of the file. Raises `SourceFault` if it is missing.

        Commits to the same file, in WAL mode too, need no reload: every SELECT reads the last committed state. But a
        connection keeps reading the inode that it opened, even after another file has taken its name.
        """
        try:
            state = self._settings.path.stat()
        except OSError as exc:
            raise SourceFault(f"unable to open database file ({exc.strerror})") from exc
        return state.st_dev, state.st_ino

    async def _load(self) -> Database:
        settings = self._settings
        on_loop = self._connect_on_loop if settings.on_loop else None
        database = Database(self._connect, settings, settings.connections, on_loop)
        await database.open()
        return database

    async def _connect(self) -> aiosqlite.Connection:
        # If the file cannot be opened, aiosqlite's thread outlives the error and finds its event loop closed. So try
        # without aiosqlite first.
        await asyncio.to_thread(lambda: sqlite3.connect(self._uri, uri=True).close())
        return await aiosqlite.connect(self._uri, uri=True)

    def _connect_on_loop(self) -> sqlite3.Connection:
        # No timeout: a thread waits for a lock, the event loop must not.
        return sqlite3.connect(self._uri, uri=True, timeout=0, isolation_level=None, cached_statements=512)

    @hookimpl
    def fetch_now(self, query: Query) -> Page | None:
        """Fetch one page on the event loop, if it takes no time. Raises `SourceFault` if the file is missing."""
        self._check_file()
        return super().fetch_now(query)

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs. Raises `SourceFault` if the file is missing."""
        self._check_file()
        return await super().fetch(query)

    def _check_file(self) -> None:
        """Raise `SourceFault` if the file is missing: its open connections would go on serving it, however old."""
        now = time.monotonic()
        if now - self._checked_at > CHECK_INTERVAL:
            self._read_stamp()
            self._checked_at = now

    @hookimpl
    async def health(self) -> None:
        """Read from the file."""
        await self._watched.database.select("SELECT count(*) FROM sqlite_master")
