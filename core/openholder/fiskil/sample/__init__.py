"""Sample data that joins up: fictional people and businesses; joint, closed and blocked accounts; three sectors.

The files beside this module are the data, as they would be on `WRITTEN`; here they are moved to another day and
written to where a source can serve them from.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from contextlib import closing
from datetime import date
from functools import partial
from importlib.resources import files
from pathlib import Path

EMAIL = "jane.citizen@example.com"
"""The address of somebody who has a customer record of her own and one of her business."""

PEOPLE = (EMAIL, "robin.citizen@example.com", "asha.sundaravel@example.com", "dana.holbrook@example.com")
"""People of whose data every operation has something to answer with; the first two share an account."""

WRITTEN = date(2026, 11, 22)
"""The day on which the data is new."""

_DATE = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}(?=[T\",\n]|$)", re.MULTILINE)
_INDEXED = ("id", "customerId", "accountId")


def collections(today: date = WRITTEN) -> dict[str, str]:
    """The name of each sample collection, and its rows as CSV text, as they would be on the day ``today``."""
    found = (entry for entry in files(__name__).iterdir() if entry.name.endswith(".csv"))
    return {entry.name.removesuffix(".csv"): _moved(entry.read_text(encoding="utf-8"), today) for entry in found}


def documents() -> dict[str, bytes]:
    """The name and content of each document that a row names."""
    return {entry.name: entry.read_bytes() for entry in files(__name__).iterdir() if entry.name.endswith(".pdf")}


def _moved(text: str, today: date) -> str:
    def moved(found: re.Match[str]) -> str:
        return (date.fromisoformat(found[0]) + (today - WRITTEN)).isoformat()

    return text if today == WRITTEN else _DATE.sub(moved, text)


def write_csv(folder: Path, today: date = WRITTEN) -> None:
    """Write one CSV file for each collection into ``folder``, which is made if need be, and the documents."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in collections(today).items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    for name, content in documents().items():
        (folder / name).write_bytes(content)


def write_sqlite(path: Path, today: date = WRITTEN) -> None:
    """Write one table for each collection into a new SQLite file. Amounts stay text: they are exact that way."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, text in collections(today).items():
            _write_table(connection, name.replace(".", "_"), text)


def _write_table(connection: sqlite3.Connection, table: str, text: str) -> None:
    headers, *rows = csv.reader(io.StringIO(text, newline=""))
    columns = ", ".join(f'"{header}" {"BLOB" if header == "document" else "TEXT"}' for header in headers)
    marks = ", ".join("?" * len(headers))
    connection.execute(f'CREATE TABLE "{table}" ({columns})')
    connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', map(partial(_values, headers), rows))
    for header in filter(_INDEXED.__contains__, headers):
        connection.execute(f'CREATE INDEX "{table}_{header}" ON "{table}" ("{header}")')


def _values(headers: list[str], row: list[str]) -> list[str | bytes | None]:
    """An empty cell is no value; the name of a document stands for its content."""
    return [
        documents()[cell] if header == "document" and cell else cell or None
        for header, cell in zip(headers, row, strict=True)
    ]
