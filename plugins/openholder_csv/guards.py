"""What keeps a new version of the files back: an upload that has not ended, and contents that cannot be meant."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from openholder import SourceFault
from openholder_csv.files import Stamp
from openholder_sqlite import Database
from openholder_sqlite.dialect import quote_identifier


class Contents(NamedTuple):
    """What a version has, by table: the headers and the number of rows."""

    columns: Mapping[str, frozenset[str]]
    rows: Mapping[str, int]


async def read_contents(database: Database) -> Contents:
    """Read the headers and count the rows of each table."""
    columns = database.columns()
    counts = [await database.select(f"SELECT count(*) FROM {quote_identifier(table)}") for table in columns]
    return Contents(columns, {table: rows for table, ((rows,),) in zip(columns, counts, strict=True)})


def check_change(old: Contents, new: Contents, min_rows_ratio: Decimal) -> None:
    """Compare a new version with the one that is served. Raises `SourceFault` if something is lost in it."""
    for table, columns in old.columns.items():
        missing = sorted(columns - new.columns.get(table, frozenset()))
        if missing:
            raise SourceFault(
                f"table {table!r}: column {missing[0]!r} is missing from the new files; "
                "restore the column or the file, or restart to serve without it"
            )
        before, now = old.rows[table], new.rows[table]
        if table == "customers" and before and not now:
            raise SourceFault("table 'customers' has no rows in the new files; restart to serve no customers")
        if now < before * min_rows_ratio:
            raise SourceFault(
                f"table {table!r} has {now} rows in the new files and {before} in the current version; "
                f"`min_rows_ratio` allows a ratio of {min_rows_ratio}; restore the file, or restart to serve it"
            )


def is_marked(folder: Path, marker: str, stamp: Stamp) -> bool:
    """Return whether the marker file is there, and no older than any of the files."""
    try:
        marked = (folder / marker).stat().st_mtime_ns
    except FileNotFoundError:
        return False
    return all(file.modified <= marked for file in stamp)
