"""Data that is replaced while it is served: the new version is made beside the old one, and takes its place whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

from openholder import Page, Query, SourceFault, hookimpl
from openholder_sqlite.database import Database

log = logging.getLogger("openholder_sqlite")


class Watched:
    """The current version of some data, looked after every ``interval`` seconds.

    ``stamp`` gives what changes when the data does; ``load`` reads it all into an open database. What does not read
    well never replaces what did.
    """

    def __init__(
        self, name: str, stamp: Callable[[], Hashable], load: Callable[[], Awaitable[Database]], interval: float
    ) -> None:
        self._name, self._stamp, self._load, self._interval = name, stamp, load, interval
        self._seen: Hashable = None
        self._database: Database | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def database(self) -> Database:
        """The last good version."""
        if self._database is None:
            raise SourceFault("nothing has been read yet")
        return self._database

    async def open(self) -> None:
        """Read the first version, and watch from now on. Raises `SourceFault` when it does not read well."""
        await self._replace()
        self._watch = asyncio.create_task(self._keep_current())

    async def close(self) -> None:
        """Stop watching, and let the data go."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._database:
            await self._database.close()

    async def _replace(self) -> None:
        self._seen = self._stamp()
        fresh = await self._load()
        if self._stamp() != self._seen:
            await fresh.close()
            self._seen = None
            raise SourceFault("the data changed while it was read")
        old, self._database = self._database, fresh
        if old:
            await old.close()

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                if self._stamp() != self._seen:
                    await self._replace()
                    log.info("source %s: a new version is served", self._name)
            except Exception as exc:  # whatever it is, the watch goes on
                reason = str(exc) if isinstance(exc, SourceFault) else type(exc).__name__
                log.error("source %s: the last good version stays in use: %s", self._name, reason)


class WatchedSource:
    """A source that answers from the current version of watched data."""

    api_version = 1

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    @hookimpl
    async def open(self) -> None:
        """Read the data, and look after it from now on."""
        await self._watched.open()

    @hookimpl
    async def close(self) -> None:
        """Close all connections; an aiosqlite connection left open keeps the process from ending."""
        await self._watched.close()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """The collections for which there is a table or view."""
        return self._watched.database.collections()

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Answer one question with one or two SELECTs."""
        return await self._watched.database.fetch(query)

    @hookimpl
    async def advice(self, query: Query) -> Sequence[str]:
        """The index that a question lacks."""
        return await self._watched.database.advice(query)
