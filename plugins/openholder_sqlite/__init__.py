"""Data from an SQLite file: a table or view for each collection, read and never written.

The collection ``banking.transactions`` is the table or view ``banking_transactions``; its columns are named by the
members they fill. ``SELECT`` aliases in a view, or ``columns`` in the settings, map a schema of one's own.
"""

from __future__ import annotations

import asyncio
import sqlite3

import aiosqlite
from pydantic import BaseModel, Field

from openholder import ExistingFile, Page, Query, SourceFault, hookimpl
from openholder_sqlite.database import Database
from openholder_sqlite.watching import Watched, WatchedSource

__all__ = ["Database", "SQLiteSettings", "SQLiteSource", "Watched", "WatchedSource"]


class SQLiteSettings(BaseModel):
    """``[sources.X]`` with ``kind = "sqlite"``."""

    path: ExistingFile
    columns: dict[str, dict[str, str]] = {}
    """For a collection, the columns of members that cannot be renamed in a view: ``accountId = "acct_no"``."""
    connections: int = Field(default=4, ge=1, le=32)
    """Connections, each with a thread of its own: as many questions are answered at the same time."""
    reload: float = Field(default=1.0, gt=0, le=3600)
    """Seconds between two looks at whether the file was replaced by another."""


class SQLiteSource(WatchedSource):
    """Answers from one SQLite file, and from the next one when that takes its place."""

    Settings = SQLiteSettings

    def __init__(self, name: str, settings: SQLiteSettings) -> None:
        self._settings = settings
        super().__init__(Watched(name, self._stamp, self._load, settings.reload))

    def _stamp(self) -> tuple[int, int]:
        """Which file stands there. An open connection would read one that was replaced for ever."""
        try:
            state = self._settings.path.stat()
        except OSError as exc:
            raise SourceFault(f"unable to open database file ({exc.strerror})") from exc
        return state.st_dev, state.st_ino

    async def _load(self) -> Database:
        database = Database(self._connect, self._settings.columns, self._settings.connections)
        await database.open()
        return database

    async def _connect(self) -> aiosqlite.Connection:
        # mode=ro: the default mode would create an empty database where the file is missing.
        uri = f"{self._settings.path.absolute().as_uri()}?mode=ro"
        # Where it cannot be opened, aiosqlite's thread outlives the error and finds its event loop closed.
        await asyncio.to_thread(lambda: sqlite3.connect(uri, uri=True).close())
        return await aiosqlite.connect(uri, uri=True)

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Answer one question with one or two SELECTs."""
        self._stamp()  # a file that is gone is a fault, not data of which nobody knows how old they are
        return await super().fetch(query)

    @hookimpl
    async def health(self) -> None:
        """Read a byte of the file."""
        await self._watched.database.rows("SELECT count(*) FROM sqlite_master")
