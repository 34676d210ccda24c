"""Sample data that joins up: fictional people, businesses, joint, closed and blocked accounts.

The CSV files beside this module are the data; here they are written to where a source can serve them from.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

EMAIL = "jane.citizen@example.com"
"""The address of somebody who has a customer record of her own and one of her business."""


def collections() -> dict[str, str]:
    """The name of each sample collection, and its rows as CSV text."""
    found = (entry for entry in files(__name__).iterdir() if entry.name.endswith(".csv"))
    return {entry.name.removesuffix(".csv"): entry.read_text(encoding="utf-8") for entry in found}


def write_csv(folder: Path) -> None:
    """Write one CSV file for each collection into ``folder``, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in collections().items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")


def write_sqlite(path: Path) -> None:
    """Write one table for each collection into a new SQLite file. Amounts stay text: they are exact that way."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, text in collections().items():
            headers, *rows = csv.reader(io.StringIO(text, newline=""))
            columns = ", ".join(f'"{header}" TEXT' for header in headers)
            connection.execute(f'CREATE TABLE "{name}" ({columns})')
            marks = ", ".join("?" * len(headers))
            connection.executemany(
                f'INSERT INTO "{name}" VALUES ({marks})', ([cell or None for cell in row] for row in rows)
            )
            for header in headers:
                if header in {"id", "customerId", "accountId"}:
                    connection.execute(f'CREATE INDEX "{name}_{header}" ON "{name}" ("{header}")')
