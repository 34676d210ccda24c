"""Data from a folder of CSV files: one file for each collection, ``banking.transactions.csv``.

The first line names the members; an empty cell is an absent value. The files, plain or gzip (``.csv.gz``), are loaded
into an SQLite database, one for all workers, when the source opens, and again when one of them changes. Files that
cannot be read, or that a guard keeps back, never replace a version that could.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from openholder import Page, Query, Row, SourceFault, hookimpl
from openholder_csv.files import Stamp, read_stamp
from openholder_csv.guards import Contents, check_change, is_marked, read_contents
from openholder_csv.loading import load
from openholder_csv.settings import CSVSettings
from openholder_sqlite import Database, Watched, WatchedSource

__all__ = ["CSVSettings", "CSVSource"]

log = logging.getLogger("openholder_csv")
MAX_DOCUMENT = 33_554_432
"""The largest document in bytes: 32 MiB."""


class CSVSource(WatchedSource):
    """Serves records from the files of one folder, as of the last time when all of them could be read."""

    Settings = CSVSettings

    def __init__(self, name: str, settings: CSVSettings) -> None:
        self._name = name
        self._settings = settings
        self._stamp: Stamp = ()
        """The last state of the files that an upload left behind; empty before the first one."""
        self._is_waiting = False
        self._contents: Contents | None = None
        super().__init__(Watched(name, self._read_stamp, self._load, settings.reload))

    def _read_stamp(self) -> Stamp:
        """Return the state of the files; during an upload that the marker will end, the state before it."""
        stamp, marker = read_stamp(self._settings), self._settings.marker
        if not marker or stamp == self._stamp or is_marked(self._settings.path, marker, stamp):
            self._stamp, self._is_waiting = stamp, False
        elif not self._stamp:
            raise SourceFault(f"the marker {marker!r} is missing or older than a file: the files may be incomplete")
        elif not self._is_waiting:
            log.info("source %s: files have changed, waiting for the marker %r", self._name, marker)
            self._is_waiting = True
        return self._stamp

    async def _load(self) -> Database:
        """Load all files. Raises `SourceFault` if they are a broken export rather than a new version."""
        database = await load(self._name, self._settings, self._stamp)
        try:
            contents = await read_contents(database)
            if self._contents:
                check_change(self._contents, contents, self._settings.min_rows_ratio)
        except BaseException:
            await database.close()
            raise
        self._contents = contents
        return database

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs, and read the document whose file name a row contains."""
        page = await super().fetch(query)
        if not query.document:
            return page
        return replace(page, records=[await asyncio.to_thread(self._add_document, row) for row in page.records])

    def _add_document(self, row: Row) -> Row:
        name = row.get("document")
        if name is None:
            return row
        path = self._settings.path / name
        # The name is data, so it must not lead out of the folder: ``../keys.pem`` or ``/etc/passwd``.
        if path.parent != self._settings.path or not path.is_file() or path.stat().st_size > MAX_DOCUMENT:
            raise SourceFault(f"member 'document' must name a file in the folder, of at most {MAX_DOCUMENT} bytes")
        return {**row, "document": path.read_bytes()}
