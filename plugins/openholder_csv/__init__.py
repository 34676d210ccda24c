"""Data from a folder of CSV files: one file for each collection, ``banking.transactions.csv``.

The first line names the members; an empty cell is an absent value. The files are read into an in-memory database when
the source opens, and again when one of them changes. A folder that does not read well never replaces one that did.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from pydantic import BaseModel, Field

from openholder import ExistingFolder, Page, Query, SourceFault, hookimpl
from openholder_csv.loading import Stamp, load, stamp
from openholder_sqlite import Database

__all__ = ["CSVSettings", "CSVSource"]

log = logging.getLogger("openholder_csv")


class CSVSettings(BaseModel):
    """``[sources.X]`` with ``kind = "csv"``."""

    path: ExistingFolder
    columns: dict[str, dict[str, str]] = {}
    """For a collection, the headers of members that have another name in the file: ``accountId = "Account No"``."""
    reload: float = Field(default=5.0, gt=0, le=3600)
    """Seconds between two looks at whether a file has changed."""


class CSVSource:
    """Answers from the files of one folder, as they were when they were last read as a whole."""

    Settings = CSVSettings

    def __init__(self, name: str, settings: CSVSettings) -> None:
        self._name = name
        self._settings = settings
        self._database: Database | None = None
        self._stamp: Stamp = ()
        self._watch: asyncio.Task[None] | None = None

    @hookimpl
    async def open(self) -> None:
        """Read the folder, and watch it from now on."""
        await self._load()
        self._watch = asyncio.create_task(self._watch_folder())

    @hookimpl
    async def close(self) -> None:
        """Stop watching, and let the database go."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._database:
            await self._database.close()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """The collections for which there is a file."""
        return self._loaded.collections()

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Answer one question from the last good version."""
        return await self._loaded.fetch(query)

    @property
    def _loaded(self) -> Database:
        if self._database is None:
            raise SourceFault("the folder has not been read")
        return self._database

    async def _load(self) -> None:
        """Read all files into a new database and put it in place of the old one."""
        before = stamp(self._settings.path)
        self._stamp = before
        fresh = await load(self._settings.path, self._settings.columns)
        if stamp(self._settings.path) != before:
            await fresh.close()
            self._stamp = ()
            raise SourceFault("the files changed while they were read")
        old, self._database = self._database, fresh
        if old:
            await old.close()

    async def _watch_folder(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload)
            try:
                if stamp(self._settings.path) != self._stamp:
                    await self._load()
                    log.info("source %s: files read again", self._name)
            except Exception as exc:  # whatever it is, the watch goes on
                reason = str(exc) if isinstance(exc, SourceFault) else type(exc).__name__
                log.error("source %s: the last good files stay in use: %s", self._name, reason)
