"""An SQLite database as a set of collections: its connections, its schema, and queries run as SELECTs."""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import aiosqlite

from openholder import Page, Query, Row, SourceFault, SourceUnavailable
from openholder.mapping import MappingSettings
from openholder.sql import Schema, Table
from openholder_sqlite.dialect import SQLiteDialect, compares_text, quote_identifier
from openholder_sqlite.error_translation import FUNCTION_FAILED, LOCKED_TEXT, RETRY_AFTER, is_locked, translate
from openholder_sqlite.index_advice import find_indexes
from openholder_sqlite.on_loop import OnLoop
from openholder_sqlite.sql_functions import make_functions

Connect = Callable[[], Awaitable[aiosqlite.Connection]]

MAX_SEARCHED = 10_000
"""Rows among which the one is searched that has text which is not UTF-8."""
_SURROGATE = re.compile("[\udc80-\udcff]")


ROW_IDS = (("rowid",), ("oid",), ("_rowid_",))
"""The names of a row id, as orders. A column may have taken one of them."""


class Database:
    """A pool of connections to one database, and the tables found in it.

    ``settings`` map tables and columns to collections and members. ``connect_on_loop`` opens a further connection, for
    queries that are short enough for the event loop. ``patience`` is how many seconds a connection waits for a lock.
    """

    _place = "'rowid ' || {0}"
    """Says where a row stands, from its row id."""

    def __init__(
        self,
        connect: Connect,
        settings: MappingSettings,
        connections: int = 1,
        connect_on_loop: Callable[[], sqlite3.Connection] | None = None,
        patience: float = 1.0,
    ) -> None:
        self._patience = patience
        self._locked_at = -math.inf
        self._connect = connect
        self._connect_on_loop = connect_on_loop
        self._on_loop: OnLoop | None = None
        self._settings = settings
        self._size = connections
        self._idle: list[aiosqlite.Connection] = []
        # A semaphore is fair, a queue is not: whoever puts a connection back could take it again before those who wait.
        self._free = asyncio.Semaphore(connections)
        self._exits = AsyncExitStack()
        self._schema = Schema(SQLiteDialect(), (), {})
        self._faults: list[str] = []
        self._running = 0
        self._unused = asyncio.Event()
        self._unused.set()

    async def open(self) -> None:
        """Connect and read the schema. Raises `SourceFault` if it is not a database, or lacks a mapped column."""
        try:
            for _ in range(self._size):
                connection = await self._connect()
                self._exits.push_async_callback(connection.close)
                for function in make_functions(self._faults):
                    await connection.create_function(*function, deterministic=True)
                self._idle.append(connection)
            found = await self.select(
                "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
            )
            tables, unusable = [], {}
            for name, kind in found:
                try:
                    tables.append(await self._read_table(name, is_view=kind == "view"))
                except sqlite3.Error as exc:
                    # Only its queries need it: a view of a table that is gone, or a function of another program.
                    fault = translate(exc, f"{kind} {name!r} cannot be read")
                    if isinstance(fault, SourceUnavailable):
                        raise
                    unusable[name] = str(fault)
            self._schema = Schema(SQLiteDialect(), tables, self._settings, unusable=unusable)
            if self._connect_on_loop:
                self._on_loop = OnLoop(self._connect_on_loop, self._schema)
                self._exits.push_async_callback(self._on_loop.close)
        except sqlite3.Error as exc:
            await self.close()
            raise translate(exc, "not a readable SQLite database") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Wait for running queries to end, then close every connection."""
        await self._unused.wait()
        await self._exits.aclose()

    def collections(self) -> Iterable[str]:
        """Return the name of each table, and of the collection that it holds."""
        return self._schema.collections()

    @property
    def unusable(self) -> Mapping[str, str]:
        """The tables and views that cannot be read, and why."""
        return self._schema.unusable

    def columns(self) -> dict[str, frozenset[str]]:
        """Return the columns of each table."""
        return self._schema.columns()

    def fetch_now(self, query: Query) -> Page | None:
        """Fetch one page on the event loop, if it takes no time; return None to leave it to the threads."""
        return self._on_loop.fetch(query) if self._on_loop else None

    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs."""
        try:
            with self._keep_open():
                return await self._schema.fetch(query, self._run)
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            raise await self._explain(exc, query) from None

    async def advice(self, query: Query) -> list[str]:
        """Return the statement that creates the index which the query lacks, if it lacks one."""
        statement, parameters = self._schema.page(query)
        plan = await self.select(f"EXPLAIN QUERY PLAN {statement}", parameters)
        is_scan = any(str(detail).startswith("SCAN") for *_, detail in plan)
        table = self._schema.table(query.collection)
        if not is_scan or not query.filters:
            lacking = []
        elif table.is_view:
            objects = await self.select("SELECT type, name, sql FROM sqlite_master")
            column = table.members.get(query.filters[0].member, "")
            found = await asyncio.to_thread(find_indexes, objects, statement, parameters, table.name, column)
            none = f"each query reads all of view {table.name!r}, and no index changes that: let a job fill a table"
            lacking = [none] if found is None else found
        else:
            lacking = [self._schema.index(query)]
        return [*lacking, *self._schema.describe_order(query)]

    async def select(self, statement: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """Run one SELECT. If the caller is cancelled, interrupt it in SQLite too."""
        with self._keep_open():
            return await self._run(statement, parameters)

    async def _run(
        self, statement: str, parameters: Iterable[Any], read_text: Callable[[bytes], str] | type[str] = str
    ) -> list[Any]:
        await self._take_turn()
        connection = self._idle.pop()
        try:
            connection.text_factory = read_text
            return list(await connection.execute_fetchall(statement, parameters))
        except asyncio.CancelledError:
            await connection.interrupt()
            raise
        except sqlite3.OperationalError as exc:
            if is_locked(exc):
                self._locked_at = time.monotonic()
            raise
        finally:
            self._idle.append(connection)
            self._free.release()

    async def _take_turn(self) -> None:
        """Wait for a free connection. If all wait for a lock, do not wait for longer than they do."""
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._patience * 1.5):
                await self._free.acquire()
        except TimeoutError:
            if time.monotonic() - self._locked_at < self._patience:
                raise SourceUnavailable(LOCKED_TEXT, retry_after=RETRY_AFTER) from None
            await self._free.acquire()

    async def _explain(self, exc: Exception, query: Query) -> SourceFault | SourceUnavailable:
        """Return the fault for a query that failed: it names the table, and the column if a value is to blame."""
        table = self._schema.table(query.collection)
        if str(exc) == FUNCTION_FAILED and self._faults:
            reason = self._faults.pop()
            return await self._find_misread(query) or SourceFault(f"table {table.name!r}: {reason}")
        # Nothing but the text of the first, which quotes the value, tells these errors from others.
        if isinstance(exc, UnicodeDecodeError) or str(exc).startswith((FUNCTION_FAILED, "Could not decode to UTF-8")):
            row, member = await self._find_undecodable(query)
            column = f"column {table.members.get(member, member)!r}" if member else "a column"
            return SourceFault(f"table {table.name!r}: {column} has text that is not UTF-8; convert it", row=row)
        return translate(exc, f"table {table.name!r}")

    async def _find_undecodable(self, query: Query) -> tuple[Row | None, str]:
        """Find the first row of the owner, and its member, with text that is not UTF-8."""
        for row in await self._list_owned(query):
            for member, value in row.items():
                if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
                    return row, member
        return None, ""

    async def _find_misread(self, query: Query) -> SourceFault | None:
        """Return the fault of the first row of the owner that a filter or an order of the query cannot read."""
        name = self._schema.table(query.collection).name
        for number, row in enumerate(await self._list_owned(query), 1):
            try:
                for condition in query.filters:
                    condition.admits(row)
                for order in query.order:
                    order.key(row)
            except SourceFault as exc:
                return SourceFault(f"table {name!r}: record {number} of its owner: {exc}", row=row)
        return None

    async def _list_owned(self, query: Query) -> Sequence[Row]:
        """List the first rows of the owner, whatever text they have; none if even these cannot be read."""
        owned = replace(
            query, filters=tuple(filter(compares_text, query.filters)), order=(), offset=0, limit=MAX_SEARCHED
        )
        with suppress(sqlite3.Error, SourceFault, SourceUnavailable), self._keep_open():
            return (await self._schema.fetch(owned, partial(self._run, read_text=_read_any_text))).records
        return ()

    @contextmanager
    def _keep_open(self) -> Iterator[None]:
        """Make `close` wait until the block ends.

        A query that needs two SELECTs holds it across both, so that a reload cannot close the database in between.
        """
        self._running += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._unused.set()

    async def _read_table(self, name: str, is_view: bool) -> Table:
        rows = await self.select(f"PRAGMA table_xinfo({quote_identifier(name)})")  # xinfo lists generated columns too
        types = {column: declared or "" for _, column, declared, *_ in rows}
        if is_view:
            return Table(name, types, is_view=True)
        order = await self._find_row_order(name, types)
        place = self._place.format(order[0]) if order in ROW_IDS else ""
        return Table(name, types, order, place=place)

    async def _find_row_order(self, name: str, columns: Iterable[str]) -> tuple[str, ...]:
        """Return the row id, under a name that no column has; the primary key if the table has no row id."""
        taken = {column.lower() for column in columns}
        rowid = next((alias for (alias,) in ROW_IDS if alias not in taken), "rowid")
        try:
            await self.select(f"SELECT {rowid} FROM {quote_identifier(name)} LIMIT 0")
        except sqlite3.OperationalError:  # a table WITHOUT ROWID
            keys = await self.select(
                f"SELECT name FROM pragma_table_info({quote_identifier(name)}) WHERE pk ORDER BY pk"
            )
            return tuple(quote_identifier(key) for (key,) in keys)
        return (rowid,)


def _read_any_text(data: bytes) -> str:
    """Decode text. Bytes that are not UTF-8 become lone surrogates (PEP 383), which UTF-8 never contains."""
    return data.decode("utf-8", "surrogateescape")
