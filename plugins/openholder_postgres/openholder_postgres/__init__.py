"""Data from a PostgreSQL database: a table or view for each collection, read and never written.

The collection ``banking.transactions`` is the table or view ``banking_transactions``; its columns have the names of the
members they fill. To map another schema, use ``SELECT`` aliases in a view, or the words of `openholder.mapping`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import asyncpg

from openholder import Page, Query, SourceFault, hookimpl, is_loopback
from openholder.sql import Schema
from openholder_postgres.catalogue import read_tables
from openholder_postgres.dialect import PostgresDialect
from openholder_postgres.error_translation import CONNECTION_LOST, INTERRUPTED, translate_errors
from openholder_postgres.settings import PostgresSettings

__all__ = ["PostgresSettings", "PostgresSource"]

log = logging.getLogger(__name__)

PAUSE = 0.1
"""Seconds before a query that another transaction interrupted is tried once more: a standby goes on replaying."""
LARGE = 500_000
"""Bytes of a table from which on an index is advised: some thousand rows."""


class PostgresSource:
    """Serves records from the tables and views of one schema, over a pool of connections."""

    api_version = 1
    Settings = PostgresSettings

    def __init__(self, name: str, settings: PostgresSettings) -> None:
        self._name = name
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._schema = Schema(PostgresDialect(), (), {})

    @hookimpl
    async def open(self) -> None:
        """Connect, and read the catalogue. Raises `SourceFault` if the user may read nothing."""
        is_remote = any(not host.startswith("/") and not is_loopback(host) for host in self._settings.host)
        if self._settings.tls == "disable" and is_remote:
            log.warning(
                "source %r: tls is disabled to another machine: password and data are not encrypted", self._name
            )
        self._pool = await asyncpg.create_pool(
            **self._settings.build_pool_arguments(),
            init=_check_encoding,
            reset=_skip_reset,
        )
        await self.health()

    @hookimpl
    async def close(self) -> None:
        """Close all connections; by force if one still waits for a server that does not respond."""
        pool = self._pool
        self._pool = None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), self._settings.connect_timeout)
        except TimeoutError:
            pool.terminate()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """Return the collections that have a table or view."""
        return self._schema.collections()

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs."""
        with translate_errors(f"table {self._schema.table(query.collection).name!r}"):
            try:
                return await self._schema.fetch(query, self._select)
            except asyncpg.SyntaxOrAccessError:  # SQLSTATE class 42: a column was dropped, or has another type now
                await self.health()
                return await self._schema.fetch(query, self._select)

    @hookimpl
    async def health(self) -> None:
        """Read the catalogue again, and serve what has changed in it."""
        with translate_errors("the catalogue"):
            tables = await read_tables(self._select, self._settings)
        if not tables:
            raise SourceFault(
                f"schema {self._settings.schema_name!r} has no table or view that the user may read; "
                "grant USAGE on the schema and SELECT on its tables"
            )
        self._schema = Schema(PostgresDialect(self._settings.time_zone), tables, self._settings)

    @hookimpl
    async def advice(self, query: Query) -> Sequence[str]:
        """Return the statement that creates the index which the query lacks, if a large table lacks one."""
        statement, parameters = self._schema.page(query)
        with translate_errors("EXPLAIN"):
            ((plan,),) = await self._select(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            scanned = list(_find_scanned_tables(json.loads(plan)))
            large = "SELECT 1 FROM pg_class WHERE relname = ANY($1::text[]) AND pg_relation_size(oid) >= $2"
            lacks_index = query.filters and await self._select(large, (scanned, LARGE))
        lacking = [self._schema.index(query)] if lacks_index else []
        return [*lacking, *self._schema.describe_order(query)]

    async def _select(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run one SELECT, and once more if that may help: reading twice is safe."""
        try:
            return await self._select_once(statement, parameters)
        except INTERRUPTED:
            await asyncio.sleep(PAUSE)
        except CONNECTION_LOST:
            if self._pool is None:
                raise
            await self._pool.expire_connections()  # after a restart of the server all others are dead too
        return await self._select_once(statement, parameters)

    async def _select_once(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        if self._pool is None:
            raise SourceFault("the source is not open")
        # The timeout covers the wait for a free connection, and for one whose query was cancelled to be usable again.
        async with self._pool.acquire(timeout=self._settings.connect_timeout) as connection:
            return await connection.fetch(statement, *parameters)


def _find_scanned_tables(plan: Any) -> Iterator[str]:
    """Yield the tables that a plan reads from the first row to the last."""
    if isinstance(plan, list):
        for part in plan:
            yield from _find_scanned_tables(part)
    elif isinstance(plan, dict):
        if plan.get("Node Type") == "Seq Scan":
            yield str(plan["Relation Name"])
        yield from _find_scanned_tables([part for part in plan.values() if isinstance(part, dict | list)])


async def _check_encoding(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Raise `SourceFault` unless the encoding is UTF8.

    Texts are sorted by code point; COLLATE "C" sorts by byte, which is the same order in UTF8 only.
    """
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise SourceFault(f"the database encoding is {encoding}; it must be UTF8")


async def _skip_reset(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Do nothing before a connection is used again: no query changes its session, and a reset costs a round trip."""
