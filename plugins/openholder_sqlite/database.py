"""An SQLite database as a set of collections: connections, schema, and questions answered by SELECT."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import aiosqlite

from openholder import Page, Query, SourceFault
from openholder.sql import Schema, Table
from openholder_sqlite.functions import add_functions
from openholder_sqlite.statements import SQLite, quoted

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
        self._schema = Schema(SQLite(), (), {})
        self._faults: list[str] = []
        self._asking = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def open(self) -> None:
        """Connect and read the schema. Raises `SourceFault` when it is not a database, or lacks a mapped column."""
        try:
            for _ in range(self._size):
                connection = await self._connect()
                self._exits.push_async_callback(connection.close)
                await add_functions(connection, self._faults)
                self._idle.put_nowait(connection)
            tables = [await self._table(name, kind) for name, kind in await self._names()]
            self._schema = Schema(SQLite(), tables, self._columns)
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
        return self._schema.collections()

    def columns(self) -> dict[str, frozenset[str]]:
        """The columns of each table."""
        return self._schema.columns()

    async def fetch(self, query: Query) -> Page:
        """Answer one question with one or two SELECTs."""
        table = self._schema.table(query.collection)
        try:
            with self._busy():
                return await self._schema.fetch(query, self.rows)
        except sqlite3.OperationalError as exc:  # its texts name functions and tables, never a row
            raise SourceFault(f"table {table.name!r}: {self._faults.pop() if self._faults else exc}") from exc

    async def advice(self, query: Query) -> list[str]:
        """The statement that makes the index which a question lacks, if it lacks one."""
        statement, parameters = self._schema.page(query)
        plan = await self.rows(f"EXPLAIN QUERY PLAN {statement}", parameters)
        scanned = any(str(detail).startswith("SCAN") for *_, detail in plan)
        return [self._schema.index(query)] if scanned and query.filters else []

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

    async def _names(self) -> list[tuple[str, str]]:
        return await self.rows(
            "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        )

    async def _table(self, name: str, kind: str) -> Table:
        rows = await self.rows(f"PRAGMA table_xinfo({quoted(name)})")
        types = {column: declared or "" for _, column, declared, *_ in rows}
        is_view = kind == "view"
        return Table(name, types, () if is_view else await self._own_order(name, types), is_view)

    async def _own_order(self, name: str, columns: Iterable[str]) -> tuple[str, ...]:
        """The row id, under whichever of its names no column has; the primary key where there is no row id."""
        taken = {column.lower() for column in columns}
        rowid = next((alias for alias in ("rowid", "oid", "_rowid_") if alias not in taken), "rowid")
        try:
            await self.rows(f"SELECT {rowid} FROM {quoted(name)} LIMIT 0")
        except sqlite3.OperationalError:  # a table WITHOUT ROWID
            keys = await self.rows(f"SELECT name FROM pragma_table_info({quoted(name)}) WHERE pk ORDER BY pk")
            return tuple(quoted(key) for (key,) in keys)
        return (rowid,)
