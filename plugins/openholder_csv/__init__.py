"""Data from a folder of CSV files: one file for each collection, ``banking.transactions.csv``.

The first line names the members; an empty cell is an absent value. The files are read into an in-memory database when
the source opens, and again when one of them changes. A folder that does not read well never replaces one that did.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from openholder import ExistingFolder, SourceFault
from openholder_csv.loading import load, stamp
from openholder_sqlite import Database, Watched, WatchedSource

__all__ = ["CSVSettings", "CSVSource"]


class CSVSettings(BaseModel):
    """``[sources.X]`` with ``kind = "csv"``."""

    path: ExistingFolder
    columns: dict[str, dict[str, str]] = {}
    """For a collection, the headers of members that have another name in the file: ``accountId = "Account No"``."""
    reload: float = Field(default=5.0, gt=0, le=3600)
    """Seconds between two looks at whether a file has changed."""


class CSVSource(WatchedSource):
    """Answers from the files of one folder, as they were when they were last read as a whole."""

    Settings = CSVSettings

    def __init__(self, name: str, settings: CSVSettings) -> None:
        self._settings = settings
        self._columns: dict[str, frozenset[str]] = {}
        super().__init__(Watched(name, lambda: stamp(settings.path), self._load, settings.reload))

    async def _load(self) -> Database:
        """Read all files. One that has lost a column, or a file that is gone, is a broken export and not news."""
        database = await load(self._settings.path, self._settings.columns)
        columns = database.columns()
        for table, known in self._columns.items():
            lost = sorted(known - columns.get(table, frozenset()))
            if lost:
                await database.close()
                raise SourceFault(f"the file of {table!r} has lost the column {lost[0]!r}, or is gone")
        self._columns = columns
        return database
