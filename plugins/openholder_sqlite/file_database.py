"""One version of an SQLite file: its connections, and what was on disk when they were opened."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiosqlite

from openholder import SourceFault
from openholder_sqlite.database import Database
from openholder_sqlite.error_translation import translate
from openholder_sqlite.file_state import FileState, Log, Watch

if TYPE_CHECKING:
    from openholder_sqlite import SQLiteSettings

_SCHEMA = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master ORDER BY rowid"

NO_LOG = Log((0, 0), 0, 0)


class Overwritten(SourceFault):
    """The file that is open has been changed in a way in which it cannot be read any more, neither old nor new."""


class FileDatabase(Database):
    """The database in a file. If a log beside it belongs to another file, ``ignored`` is that log."""

    def __init__(self, settings: SQLiteSettings, patience: float, ignored: Log | None) -> None:
        self.watch = Watch(settings.path)
        self.ignored = ignored
        self.usable: frozenset[str] = frozenset()
        self._schema_rows: list[Any] = []
        self._patience = patience
        # The default mode, rwc, would create an empty database if the file is missing. An immutable file is read
        # without its log and without locks.
        mode = "ro&immutable=1" if ignored else "ro"
        self._uri = f"{settings.path.absolute().as_uri()}?mode={mode}"
        on_loop = self._connect_on_loop if settings.on_loop else None
        super().__init__(self._connect_in_thread, settings, settings.connections, on_loop, patience)

    async def open(self) -> None:
        """Connect and read the schema. Raises `SourceFault` if it is not a database, or lacks a mapped column."""
        try:
            before = self.watch.look()
        except SourceFault:
            self.watch.close()
            raise
        await super().open()
        try:
            self._schema_rows = await self.select(_SCHEMA)
            # The first reader creates the log and its index. If somebody wrote meanwhile, what they were is unknown.
            after = self.watch.look()
        except sqlite3.Error as exc:
            await self.close()
            raise translate(exc, "the schema") from None
        except BaseException:
            await self.close()
            raise
        self.state = after if after.is_unchanged_since(before) else replace(before, index=b"")
        self.usable = frozenset(self.collections()) - self.unusable.keys()

    async def close(self) -> None:
        """Wait for running queries to end, then close every connection, and the file."""
        await super().close()
        self.watch.close()

    def is_as_read(self) -> bool:
        """Tell whether the file is as SQLite knows it, as far as can be seen without a query.

        Another file in its place is no reason: the connections read the one that they have opened. Raises `SourceFault`
        if it is missing.
        """
        try:
            found = self.watch.path.stat()
        except OSError as exc:
            raise SourceFault(f"unable to open database file ({exc.strerror})") from exc
        is_other = (found.st_dev, found.st_ino) != self.state.identity
        if is_other or (found.st_size, found.st_mtime_ns) == (self.state.size, self.state.written):
            return True
        state = self.watch.look()
        return state.identity != self.state.identity or (not self.ignored and state.may_follow(self.state))

    async def knows(self, state: FileState) -> bool:
        """Tell whether SQLite has noticed all that has changed. Raises `SourceUnavailable` if the file is locked."""
        if self.ignored:
            return state.is_unchanged_since(self.state) and state.log == self.ignored and bool(self.ignored.size)
        if not state.may_follow(self.state) or find_ignored_log(state):
            return False
        if state.is_unchanged_since(self.state) and state.log == self.state.log:
            return True
        return await asyncio.to_thread(self._read_schema) == self._schema_rows

    def find_foreign_log(self, state: FileState) -> Log | None:
        """Return the log that must not be read with the file as it is now, if there is one.

        `NO_LOG` means that there is none, but SQLite would go by the index of the former one, which the connections of
        this version have open. The file is then opened without a log until they are closed.

        Raises:
            SourceFault: It cannot be told to which file the log belongs.
        """
        log, before, name = state.log, self.ignored or self.state.log, self.watch.path.name
        has_former_index = state.index_identity is not None and state.index_identity == self.state.index_identity
        if not state.is_wal:
            return find_ignored_log(state)
        if not log or not log.size:
            return NO_LOG if has_former_index and self.ignored is not NO_LOG else None
        is_former = before is not None and log.identity == before.identity
        if state.identity != self.state.identity:
            if has_former_index and not is_former:
                raise SourceFault(f"{name}-shm belongs to another {name}-wal: stop the writers, and delete {name}-shm")
            return log if is_former else None
        if self.ignored and is_former and log != self.ignored:
            raise Overwritten(
                f"{name}-wal was there before {name}, and is written to: stop the writers, delete {name}-wal and "
                f"{name}-shm, and put the file there again"
            )
        if self.ignored or state.may_follow(self.state):
            return log if is_former and self.ignored else None
        raise Overwritten(
            f"{name} has been overwritten, but {name}-wal has pages of the former content: stop the writers, delete "
            f"{name}-wal, and do not overwrite a file but write a new one beside it and rename it"
        )

    def _read_schema(self) -> list[Any]:
        connection = sqlite3.connect(self._uri, uri=True, timeout=self._patience)
        try:
            return list(connection.execute(_SCHEMA))
        except sqlite3.Error as exc:
            raise translate(exc, "the schema") from None
        finally:
            connection.close()

    async def _connect_in_thread(self) -> aiosqlite.Connection:
        # If the file cannot be opened, aiosqlite's thread outlives the error and finds its event loop closed. So try
        # without aiosqlite first.
        await asyncio.to_thread(lambda: sqlite3.connect(self._uri, uri=True).close())
        return await aiosqlite.connect(self._uri, uri=True, timeout=self._patience)

    def _connect_on_loop(self) -> sqlite3.Connection:
        # No timeout: a thread waits for a lock, the event loop must not.
        return sqlite3.connect(self._uri, uri=True, timeout=0, isolation_level=None, cached_statements=512)


def find_ignored_log(state: FileState) -> Log | None:
    """Return the log of a file that is not in WAL mode. It belongs to a file that was there before."""
    return state.log if state.log and state.log.size and not state.is_wal else None
