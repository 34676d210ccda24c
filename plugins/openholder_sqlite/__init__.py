"""Data from an SQLite file: a table or view for each collection, read and never written.

The collection ``banking.transactions`` is the table or view ``banking_transactions``; its columns have the names of the
members they fill. To map another schema, use ``SELECT`` aliases in a view, or the words of `openholder.mapping`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable

from pydantic import Field

from openholder import ExistingFile, Page, Query, SourceFault, SourceUnavailable, hookimpl, list_members
from openholder.sql import SQLSettings
from openholder_sqlite.database import Database
from openholder_sqlite.file_database import FileDatabase, Overwritten, find_ignored_log
from openholder_sqlite.file_state import Watch, look_once
from openholder_sqlite.watching import Watched, WatchedSource

__all__ = ["Database", "SQLiteSettings", "SQLiteSource", "Watched", "WatchedSource"]

log = logging.getLogger(__name__)

CHECK_INTERVAL = 0.01
"""Seconds between two looks whether the file is still there: one costs as much as a query by an index."""


MAX_PATIENCE = 2.0
"""Seconds that a query waits for a writer's lock, at most: beyond them the client should try again."""


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
        self._name = name
        self._settings = settings
        self._checked_at = 0.0
        self._current: FileDatabase | None = None
        self._refusal = ""
        # So that a lock is told before the time of the source is over; half a second is long for a transaction.
        self._patience = min(getattr(settings, "timeout", 5.0) / 4, MAX_PATIENCE)
        super().__init__(Watched(name, self._read_stamp, self._load, settings.reload))

    def _read_stamp(self) -> Hashable:
        """Return the state of the file and its log. Raises `SourceFault` if the file is missing.

        A connection keeps reading the file that it opened, even after another has taken its name. And it keeps pages
        of a file that was overwritten, until a counter in its header changes.
        """
        current = self._current
        state = current.watch.look() if current else look_once(self._settings.path)
        return state.stamp, state.log, current.ignored if current else None

    async def _load(self) -> Database:
        """Open the file, unless the current version knows of all that has changed. Raises `SourceFault`."""
        current, settings = self._current, self._settings
        watch = Watch(settings.path)
        try:
            state = watch.look()
            if current and await current.knows(state):
                current.state = state
                self._refusal = ""
                return current
            ignored = current.find_foreign_log(state) if current else find_ignored_log(state)
        except SourceFault as exc:
            self._refusal = str(exc) if isinstance(exc, Overwritten) else ""
            raise
        finally:
            watch.close()
        database = FileDatabase(settings, self._patience, ignored)
        await database.open()
        try:
            if not database.state.identity == database.watch.look().identity == state.identity:
                raise SourceUnavailable("another file took its place while it was being opened")
            lost = current.usable & database.unusable.keys() if current else ()
            for name in lost:
                if list_members(name.replace("_", ".", 1)):
                    raise SourceFault(f"{database.unusable[name]}, and it could be in the current version")
        except BaseException:
            await database.close()
            raise
        for reason in database.unusable.values():
            log.warning("source %s: %s; its queries fail", self._name, reason)
        if ignored and ignored.size:
            text = "source %s: %s-wal belongs to another file and is not read: let no writer use it, and delete it"
            log.warning(text, self._name, settings.path.name)
        self._current, self._refusal = database, ""
        return database

    @hookimpl
    def fetch_now(self, query: Query) -> Page | None:
        """Fetch one page on the event loop, if it takes no time. Raises `SourceFault` if the file is missing."""
        if time.monotonic() - self._checked_at > CHECK_INTERVAL:
            self._check_file()
        return None if query.document else self._watched.database.fetch_now(query)

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs. Raises `SourceFault` if the file is missing."""
        if time.monotonic() - self._checked_at > CHECK_INTERVAL:
            self._check_file()
        return await super().fetch(query)

    def _check_file(self) -> None:
        """Raise an exception if the file is missing or overwritten: its open connections would go on serving it."""
        if self._refusal:
            raise SourceFault(self._refusal)
        if self._current and not self._current.is_as_read():
            raise SourceUnavailable("the file has been overwritten and is read anew", retry_after=1)
        self._checked_at = time.monotonic()

    @hookimpl
    async def close(self) -> None:
        """Close all connections, and forget what the file was like."""
        await super().close()
        self._current, self._refusal = None, ""

    @hookimpl
    async def health(self) -> None:
        """Read from the file. Raises `SourceFault` if it is missing, as its queries do."""
        self._check_file()
        await super().health()
