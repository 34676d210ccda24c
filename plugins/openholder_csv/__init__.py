"""Data from a folder of CSV files: one file for each collection, ``banking.transactions.csv``.

The first line names the members; an empty cell is an absent value. The files, which may be packed (``.csv.gz``), are
read into an SQLite database when the source opens, and again when one of them changes: in memory, or on disk where they
are large. A folder that does not read well never replaces one that did.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from openholder import Page, Query, Record, SourceFault, hookimpl
from openholder_csv.files import stamp
from openholder_csv.loading import load
from openholder_csv.settings import CSVSettings
from openholder_sqlite import Database, Watched, WatchedSource

__all__ = ["CSVSettings", "CSVSource"]

MAX_DOCUMENT = 33_554_432
"""Bytes of a file that is handed over: 32 MiB."""


class CSVSource(WatchedSource):
    """Answers from the files of one folder, as they were when they were last read as a whole."""

    Settings = CSVSettings

    def __init__(self, name: str, settings: CSVSettings) -> None:
        self._name, self._settings = name, settings
        self._columns: dict[str, frozenset[str]] = {}
        super().__init__(Watched(name, lambda: stamp(settings.path), self._load, settings.reload))

    async def _load(self) -> Database:
        """Read all files. One that has lost a column, or a file that is gone, is a broken export and not news."""
        database = await load(self._name, self._settings)
        columns = database.columns()
        for table, known in self._columns.items():
            lost = sorted(known - columns.get(table, frozenset()))
            if lost:
                await database.close()
                raise SourceFault(f"the file of {table!r} has lost the column {lost[0]!r}, or is gone")
        self._columns = columns
        return database

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Answer one question with one or two SELECTs, and read the document whose file name the row holds."""
        page = await super().fetch(query)
        if not query.document:
            return page
        return replace(page, records=[await asyncio.to_thread(self._with_document, row) for row in page.records])

    def _with_document(self, row: Record) -> Record:
        name = row.get("document")
        if name is None:
            return row
        path = self._settings.path / name
        if path.parent != self._settings.path or not path.is_file() or path.stat().st_size > MAX_DOCUMENT:
            raise SourceFault("member 'document' names no file of the folder, or one that is too large")
        return {**row, "document": path.read_bytes()}
