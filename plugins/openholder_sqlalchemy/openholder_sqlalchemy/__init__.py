"""Data from MariaDB, MySQL and other SQL databases: a table or view for each collection, read and never written.

The collection ``banking.transactions`` is the table or view ``banking_transactions``; its columns have the names of the
members they fill. To map another schema, use ``SELECT`` aliases in a view, or the words of `openholder.mapping`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from openholder import Page, Query, SourceFault, hookimpl, is_loopback
from openholder.sql import Schema, Table
from openholder_sqlalchemy.backends import BACKENDS
from openholder_sqlalchemy.catalogue import read_mysql_tables, read_tables
from openholder_sqlalchemy.dialect import AlchemyDialect, get_kind
from openholder_sqlalchemy.error_translation import get_meaning, is_worth_repeating, translate_errors
from openholder_sqlalchemy.settings import ENCRYPTED, AlchemySettings

__all__ = ["AlchemySettings", "AlchemySource"]

log = logging.getLogger(__name__)

CATALOGUE_AGE = 60.0
"""Seconds after which the catalogue is read again to look for new tables and columns."""
UTC = ("UTC", "Etc/UTC")
LARGE = 10_000
"""Rows that a query reads from which on an index is advised."""


class AlchemySource:
    """Serves records from the tables and views of one database, over a pool of connections."""

    api_version = 1
    Settings = AlchemySettings

    def __init__(self, name: str, settings: AlchemySettings) -> None:
        self._name = name
        self._settings = settings
        self._engine: AsyncEngine | None = None
        self._dialect = AlchemyDialect(settings.build_url().get_dialect()())
        self._database = settings.build_url().get_dialect().name
        self._schema = Schema(self._dialect, (), {})
        self._read_at = 0.0
        self._running: set[asyncio.Future[Any]] = set()
        self._zone = ZoneInfo(settings.time_zone) if settings.time_zone not in (None, *UTC) else None

    @hookimpl
    async def open(self) -> None:
        """Connect, and read the catalogue. Raises `SourceFault` if the user may read nothing."""
        settings, url = self._settings, self._settings.build_url()
        is_local = url.host is None or url.host.startswith("/") or is_loopback(url.host)
        if settings.tls == "disable" and self._database in ENCRYPTED and not is_local:
            log.warning(
                "source %r: tls is disabled to another machine: password and data are not encrypted", self._name
            )
        logging.getLogger("asyncmy").setLevel(logging.CRITICAL)  # it logs warnings of the server, which quote values
        try:
            self._engine = create_async_engine(
                url,
                connect_args=settings.build_connect_arguments(),
                hide_parameters=True,
                isolation_level="AUTOCOMMIT",  # each SELECT is a transaction of its own, and read-only
                max_overflow=0,
                pool_pre_ping=True,
                pool_reset_on_return=None,
                pool_size=settings.connections,
                pool_timeout=settings.connect_timeout,
                poolclass=AsyncAdaptedQueuePool,
                skip_autocommit_rollback=True,
            )
        except ModuleNotFoundError as exc:
            raise SourceFault(f"the driver {exc.name!r} is not installed: pip install {exc.name}") from exc
        event.listen(self._engine.sync_engine, "connect", self._prepare_connection)
        await self._read_catalogue()

    def _prepare_connection(self, connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for statement in self._settings.list_statements():
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    @hookimpl
    async def close(self) -> None:
        """Close all connections."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        if self._running:
            await asyncio.wait(self._running)
        try:
            await asyncio.wait_for(engine.dispose(), self._settings.connect_timeout)
        except TimeoutError:
            log.warning("source %r: a connection to a server that does not respond was left behind", self._name)

    @hookimpl
    def collections(self) -> Iterable[str]:
        """Return the collections that have a table or view."""
        return self._schema.collections()

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs."""
        with translate_errors(f"table {self._schema.table(query.collection).name!r}", self._database):
            try:
                page = await self._schema.fetch(query, self._select)
            except DBAPIError as exc:
                if get_meaning(exc, self._database) != "changed":
                    raise
                await self._read_catalogue()
                page = await self._schema.fetch(query, self._select)
        return self._place_times(page, self._schema.table(query.collection)) if self._zone else page

    @hookimpl
    async def health(self) -> None:
        """Reach the database, and look for new tables and columns from time to time."""
        if time.monotonic() - self._read_at > CATALOGUE_AGE:
            await self._read_catalogue()
        with translate_errors("the database", self._database):
            async with self._get_engine().connect() as connection:
                await connection.execute(text(self._dialect.backend.probe))

    @hookimpl
    async def advice(self, query: Query) -> Sequence[str]:
        """Return the statement that creates the index which the query lacks, if MariaDB would read a large table."""
        costs = self._schema.describe_order(query)
        table = self._schema.table(query.collection)
        is_mysql = self._dialect.backend is BACKENDS["mysql"]
        if not (is_mysql and query.filters and self._dialect.can_use_index(table, query.filters[0])):
            return costs
        statement, parameters = self._schema.page(query)
        try:
            plan = await self._select(f"EXPLAIN {statement}", parameters)
        except DBAPIError as exc:
            log.info("source %r: EXPLAIN %s: %s", self._name, table.name, type(exc.orig).__name__)
            return costs  # for a view, MariaDB wants the right to read the tables behind it
        is_scan = any(row.type in ("ALL", "index") and int(row.rows or 0) >= LARGE for row in plan)
        return [self._schema.index(query), *costs] if is_scan else costs

    async def _read_catalogue(self) -> None:
        settings = self._settings
        with translate_errors("the catalogue", self._database):
            if self._dialect.backend is BACKENDS["mysql"]:
                # With a zone of UTC, a DATETIME is a moment: the database itself can compare and sort it.
                tables = await read_mysql_tables(self._select, self._dialect, is_utc=settings.time_zone in UTC)
            else:
                await self._check_encoding()
                async with self._get_engine().connect() as connection:
                    tables = await connection.run_sync(read_tables, settings.schema_name)
        if not tables:
            raise SourceFault("the database has no table or view that the user may read; grant SELECT on them")
        self._schema = Schema(self._dialect, tables, settings)
        self._read_at = time.monotonic()

    async def _check_encoding(self) -> None:
        """Raise `SourceFault` unless PostgreSQL sorts bytes in the order of code points, as it does in UTF8."""
        if self._database == "postgresql":
            ((encoding,),) = await self._select("SHOW server_encoding", ())
            if encoding != "UTF8":
                raise SourceFault(f"the database encoding is {encoding}; it must be UTF8")

    async def _select(self, statement: str, parameters: tuple[Any, ...]) -> Sequence[Any]:
        """Run one SELECT, and once more if that may help: reading twice is safe."""
        try:
            return await self._select_once(statement, parameters)
        except (DBAPIError, ConnectionError) as exc:
            if not is_worth_repeating(exc, self._database):
                raise
            return await self._select_once(statement, parameters)

    async def _select_once(self, statement: str, parameters: tuple[Any, ...]) -> Sequence[Any]:
        if self._database != "sqlite":
            return await self._run(statement, parameters)
        # A thread cannot be cancelled: it returns its connection once it is done.
        running = asyncio.ensure_future(self._run(statement, parameters))
        self._running.add(running)
        running.add_done_callback(self._forget)
        return await asyncio.shield(running)

    def _forget(self, running: asyncio.Future[Any]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # nobody may be left to be told

    async def _run(self, statement: str, parameters: tuple[Any, ...]) -> Sequence[Any]:
        async with self._get_engine().connect() as connection:
            return (await connection.exec_driver_sql(statement, self._dialect.pack(parameters))).fetchall()

    def _get_engine(self) -> AsyncEngine:
        if self._engine is None:
            raise SourceFault("the source is not open")
        return self._engine

    def _place_times(self, page: Page, table: Table) -> Page:
        """Write moments in the zone of the source. What is no valid time stays as it is, and is refused later."""
        moments = [member for member, column in table.members.items() if get_kind(table, column) == "moment"]
        records = [dict(record) for record in page.records]
        for record in records:
            for member in moments:
                with suppress(TypeError, ValueError):
                    record[member] = datetime.fromisoformat(record[member]).astimezone(self._zone).isoformat()
        return replace(page, records=records)
