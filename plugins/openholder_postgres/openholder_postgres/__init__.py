"""Data from a PostgreSQL database: a table or view for each collection, read and never written.

The collection ``banking.transactions`` is the table or view ``banking_transactions``; its columns are named by the
members they fill. ``SELECT`` aliases in a view, or ``columns`` in the settings, map a schema of one's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import asyncpg

from openholder import Page, Query, SourceFault, hookimpl
from openholder.sql import Schema
from openholder_postgres.catalogue import tables
from openholder_postgres.dialect import Postgres
from openholder_postgres.faults import GONE, told
from openholder_postgres.settings import PostgresSettings

__all__ = ["PostgresSettings", "PostgresSource"]

LARGE = 500_000
"""Bytes of a table from which on an index is advised: some thousand rows."""


class PostgresSource:
    """Answers from the tables and views of one schema, over a pool of connections."""

    api_version = 1
    Settings = PostgresSettings

    def __init__(self, name: str, settings: PostgresSettings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._schema = Schema(Postgres(), (), {})

    @hookimpl
    async def open(self) -> None:
        """Connect, and read the catalogue. Raises `SourceFault` where there is nothing that may be read."""
        self._pool = await asyncpg.create_pool(**self._settings.arguments(), init=_check, reset=_leave)
        await self.health()

    @hookimpl
    async def close(self) -> None:
        """Close all connections; by force where one still waits for a server that does not answer."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), self._settings.connect_timeout)
        except TimeoutError:
            pool.terminate()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """The collections for which there is a table or view."""
        return self._schema.collections()

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Answer one question with one or two SELECTs."""
        with told(f"table {self._schema.table(query.collection).name!r}"):
            try:
                return await self._schema.fetch(query, self._rows)
            except asyncpg.SyntaxOrAccessError:  # SQLSTATE class 42: a column that went, or has another type by now
                await self.health()
                return await self._schema.fetch(query, self._rows)

    @hookimpl
    async def health(self) -> None:
        """Read the catalogue again: what has changed in it is served from now on."""
        with told("the catalogue"):
            found = await tables(self._rows, self._settings.schema_name, self._settings.columns)
        if not found:
            raise SourceFault(f"schema {self._settings.schema_name!r} has no table or view that the user may read")
        self._schema = Schema(Postgres(), found, self._settings.columns)

    @hookimpl
    async def advice(self, query: Query) -> Sequence[str]:
        """The statement that makes the index which a question lacks, if it lacks one."""
        statement, parameters = self._schema.page(query)
        with told("EXPLAIN"):
            ((plan,),) = await self._rows(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            scanned = list(_scanned(json.loads(plan)))
            large = "SELECT 1 FROM pg_class WHERE relname = ANY($1::text[]) AND pg_relation_size(oid) >= $2"
            lacking = query.filters and await self._rows(large, (scanned, LARGE))
        return [self._schema.index(query)] if lacking else []

    async def _rows(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run one SELECT, once more where the connection turns out to be dead: reading twice harms nothing."""
        try:
            return await self._asked(statement, parameters)
        except GONE:
            if self._pool is None:
                raise
            await self._pool.expire_connections()  # the others died with it
            return await self._asked(statement, parameters)

    async def _asked(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        if self._pool is None:
            raise SourceFault("is not open")
        # The time is for a free connection, and again for one whose question was given up to be usable.
        async with self._pool.acquire(timeout=self._settings.connect_timeout) as connection:
            return await connection.fetch(statement, *parameters)


def _scanned(plan: Any) -> Iterator[str]:
    """The tables that a plan reads from the first to the last row."""
    if isinstance(plan, list):
        for part in plan:
            yield from _scanned(part)
    elif isinstance(plan, dict):
        if plan.get("Node Type") == "Seq Scan":
            yield str(plan["Relation Name"])
        yield from _scanned([part for part in plan.values() if isinstance(part, dict | list)])


async def _check(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """In another encoding the order of bytes is not that of code points, by which texts are sorted."""
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise SourceFault(f"the database is encoded in {encoding}, where UTF8 is needed")


async def _leave(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """What is done to a connection before the next question: nothing, since none changes its session."""
