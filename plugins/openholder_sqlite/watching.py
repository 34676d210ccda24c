"""Data that changes while it is served: a new version is loaded beside the old one, then replaces it as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

from openholder import Page, Query, SourceFault, SourceUnavailable, hookimpl
from openholder_sqlite.database import Database

log = logging.getLogger("openholder_sqlite")


class Watched:
    """The current version of some data, checked for changes every ``interval`` seconds.

    ``read_stamp`` returns a value that changes when the data does; ``load`` reads all of it into an open database, or
    returns the current one if that knows of the change. A version that fails to load never replaces a good one.
    """

    def __init__(
        self,
        name: str,
        read_stamp: Callable[[], Hashable],
        load: Callable[[], Awaitable[Database]],
        interval: float,
    ) -> None:
        self._name = name
        self._read_stamp = read_stamp
        self._load = load
        self._interval = interval
        self._loaded_stamp: Hashable = None
        self._database: Database | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._failure = ""

    @property
    def database(self) -> Database:
        """The last version that loaded well."""
        if self._database is None:
            raise SourceFault("the data has not been loaded yet")
        return self._database

    async def open(self) -> None:
        """Load the first version, and start watching. Raises `SourceFault` if it fails to load."""
        await self._replace()
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop watching, and close the database."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._closing:
            await self._closing
        if self._database:
            await self._database.close()

    async def _replace(self) -> bool:
        """Load a version; return whether it is a new one."""
        self._loaded_stamp = self._read_stamp()
        try:
            fresh = await self._load()
        except SourceUnavailable:
            self._loaded_stamp = None  # so that the next check loads again
            raise
        old = self._database
        if fresh is old:
            return False
        self._database = fresh
        if old:
            await self._close_to_the_end(old)  # waits for the queries that still use it
        return True

    async def _close_to_the_end(self, database: Database) -> None:
        """Close a version that is not served. If the watching ends meanwhile, `close` waits for it."""
        self._closing = asyncio.create_task(database.close())
        await asyncio.shield(self._closing)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                if self._read_stamp() != self._loaded_stamp:
                    if await self._replace():
                        log.info("source %s: reloaded, serving the new version", self._name)
                    self._failure = ""
            except Exception as exc:  # an error of any kind must not end the task: later versions would be missed
                reason = str(exc) if isinstance(exc, SourceFault | SourceUnavailable) else type(exc).__name__
                if self._loaded_stamp is not None or reason != self._failure:  # not for each attempt at the same thing
                    log.error("source %s: reload failed, keeping the current version: %s", self._name, reason)
                self._failure = reason


class WatchedSource:
    """A source that serves the current version of watched data."""

    api_version = 1

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    @hookimpl
    async def open(self) -> None:
        """Load the data, and start watching it."""
        await self._watched.open()

    @hookimpl
    async def close(self) -> None:
        """Close all connections; an aiosqlite connection left open keeps the process from ending."""
        await self._watched.close()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """Return the collections that have a table or view."""
        return self._watched.database.collections()

    @hookimpl
    def fetch_now(self, query: Query) -> Page | None:
        """Fetch one page on the event loop, if it takes no time and needs no document."""
        return None if query.document else self._watched.database.fetch_now(query)

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs."""
        return await self._watched.database.fetch(query)

    @hookimpl
    async def health(self) -> None:
        """Read from the database."""
        await self._watched.database.select("SELECT count(*) FROM sqlite_master")

    @hookimpl
    async def advice(self, query: Query) -> Sequence[str]:
        """Return the statement that creates the index which the query lacks, if it lacks one."""
        return await self._watched.database.advice(query)
