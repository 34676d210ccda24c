"""Data from a folder of CSV files: one file for each collection, ``banking.transactions.csv``.

The first line names the members; an empty cell is an absent value. The files, plain or gzip (``.csv.gz``), are loaded
into an SQLite database, one for all workers, when the source opens, and again when one of them changes. Files that
cannot be read never replace a version that could.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from openholder import Page, Query, Record, SourceFault, hookimpl
from openholder_csv.files import read_stamp
from openholder_csv.loading import load
from openholder_csv.settings import CSVSettings
from openholder_sqlite import Database, Watched, WatchedSource

__all__ = ["CSVSettings", "CSVSource"]

MAX_DOCUMENT = 33_554_432
"""The largest document in bytes: 32 MiB."""


class CSVSource(WatchedSource):
    """Serves records from the files of one folder, as of the last time when all of them could be read."""

    Settings = CSVSettings

    def __init__(self, name: str, settings: CSVSettings) -> None:
        self._name = name
        self._settings = settings
        self._columns: dict[str, frozenset[str]] = {}
        super().__init__(Watched(name, lambda: read_stamp(settings.path), self._load, settings.reload))

    async def _load(self) -> Database:
        """Load all files. Raises `SourceFault` if a file or column is gone: that is a broken export, not a change."""
        database = await load(self._name, self._settings)
        columns = database.columns()
        for table, known in self._columns.items():
            missing = sorted(known - columns.get(table, frozenset()))
            if missing:
                await database.close()
                raise SourceFault(
                    f"table {table!r}: column {missing[0]!r} is missing from the new files; "
                    "restore the column or the file, or restart to serve without it"
                )
        self._columns = columns
        return database

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch one page with one or two SELECTs, and read the document whose file name a row contains."""
        page = await super().fetch(query)
        if not query.document:
            return page
        return replace(page, records=[await asyncio.to_thread(self._add_document, row) for row in page.records])

    def _add_document(self, row: Record) -> Record:
        name = row.get("document")
        if name is None:
            return row
        path = self._settings.path / name
        # The name is data, so it must not lead out of the folder: ``../keys.pem`` or ``/etc/passwd``.
        if path.parent != self._settings.path or not path.is_file() or path.stat().st_size > MAX_DOCUMENT:
            raise SourceFault(f"member 'document' must name a file in the folder, of at most {MAX_DOCUMENT} bytes")
        return {**row, "document": path.read_bytes()}
