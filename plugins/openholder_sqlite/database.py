"""An SQLite database as a set of collections: connections, schema, and questions answered by SELECT."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import aiosqlite

from openholder import Page, Query, SourceFault
from openholder_sqlite.statements import Table, count, quoted, select

Connect = Callable[[], Awaitable[aiosqlite.Connection]]


class Database:
    """A few connections to one database, and what its tables are called.

    ``columns`` maps, for a collection, members to the columns that hold them under another name.
    """

    def __init__(self, connect: Connect, columns: Mapping[str, Mapping[str, str]], connections: int = 1) -> None:
        self._connect = connect
        self._columns = columns
        self._size = connections
        self._idle: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._exits = AsyncExitStack()
        self._tables: dict[str, Table] = {}
        self._asking = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def open(self) -> None:
        """Connect and read the schema. Raises `SourceFault` when it is not a database, or lacks a mapped column."""
        try:
            for _ in range(self._size):
                connection = await self._connect()
                self._exits.push_async_callback(connection.close)
                self._idle.put_nowait(connection)
            self._tables = {name: await self._table(name) for name in await self._names()}
            self._check_columns()
        except sqlite3.Error as exc:
            await self.close()
            raise SourceFault(f"not a readable SQLite database ({exc})") from exc
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let running questions end, then close every connection."""
        await self._quiet.wait()
        await self._exits.aclose()

    def collections(self) -> Iterable[str]:
        """Each table's name, and what it is called as a collection of a sector."""
        for name in self._tables:
            yield name
            yield name.replace("_", ".", 1)

    def columns(self) -> dict[str, frozenset[str]]:
        """The columns of each table."""
        return {name: frozenset(table.types) for name, table in self._tables.items()}

    async def fetch(self, query: Query) -> Page:
        """Answer one question. The total costs a second SELECT only where the page may not be all there is."""
        table = self._tables.get(query.collection) or self._tables.get(query.collection.replace(".", "_"))
        if table is None:
            raise SourceFault(f"there is no table or view for {query.collection!r}")
        with self._busy():
            rows = await self.rows(*select(table, query))
            records = [dict(zip(table.members, row, strict=True)) for row in rows]
            if query.offset == 0 and (query.limit is None or len(records) < query.limit):
                return Page(records=records, total=len(records))
            ((total,),) = await self.rows(*count(table, query))
            return Page(records=records, total=total)

    async def rows(self, statement: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """Run one SELECT. When the caller gives up, so does SQLite."""
        with self._busy():
            connection = await self._idle.get()
            try:
                return list(await connection.execute_fetchall(statement, parameters))
            except asyncio.CancelledError:
                await connection.interrupt()
                raise
            finally:
                self._idle.put_nowait(connection)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """While this lasts, `close` waits."""
        self._asking += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._quiet.set()

    def _check_columns(self) -> None:
        known = set(self.collections())
        for collection in self._columns:
            if collection not in known:
                raise SourceFault(f"`columns` names {collection!r}, for which there is no table or view")

    async def _names(self) -> list[str]:
        rows = await self.rows(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        )
        return [name for (name,) in rows]

    async def _table(self, name: str) -> Table:
        rows = await self.rows(f"PRAGMA table_xinfo({quoted(name)})")
        types = {column: declared or "" for _, column, declared, *_ in rows}
        renamed = self._columns.get(name) or self._columns.get(name.replace("_", ".", 1)) or {}
        missing = [column for column in renamed.values() if column not in types]
        if missing:
            raise SourceFault(f"table {name!r} has no column {missing[0]!r}, which `columns` names")
        taken = set(renamed.values())
        members = {column: column for column in types if column not in taken} | dict(renamed)
        return Table(name, members, types)
