"""Consistent sample data: fictional people and businesses; joint, closed and blocked accounts; three sectors.

The files beside this module have the data as of `WRITTEN`. The functions shift its dates to another day and write it
as CSV files or as an SQLite database.
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
from typing import NamedTuple

EMAIL = "jane.citizen@example.com"
"""Somebody who has a personal customer record and one for a business."""

PEOPLE = (EMAIL, "robin.citizen@example.com", "asha.sundaravel@example.com", "dana.holbrook@example.com")
"""People whose data covers every operation; the first two share an account."""


class Persona(NamedTuple):
    """Somebody in the sample data who stands for a case that a holder has to serve."""

    case: str
    customer: str
    email: str
    accounts: str
    """What shows the case."""


PERSONAS = (
    Persona("single", "cust-1010", "sulastri@example.net", "acc-2020"),
    Persona("joint", "cust-1007", "xiaohe.ouyang@example.net", "acc-2014, with cust-1006"),
    Persona("nominated representative", "cust-1002", "head.baker@example.net", "acc-2006 of a business"),
    Persona("secondary user", "cust-1034", "wren.fernhollow@example.net", "acc-2052 of cust-1034"),
    Persona("loans only", "cust-1033", "mira.tolsenbrook@example.com", "acc-2050, acc-2051"),
    Persona("lease", "cust-1033", "mira.tolsenbrook@example.com", "acc-2051"),
    Persona("overdraft", "cust-1034", "otis.fernhollow@example.net", "acc-2052"),
    Persona("card", "cust-1004", "niamh.o'brien-d'arcy@example.com", "acc-2010"),
    Persona("buy now, pay later", "cust-1003", "robin.citizen@example.com", "acc-2049"),
    Persona("closed account", "cust-1019", "pru.holloworth@example.net", "acc-2034"),
    Persona("blocked account", "cust-1001", EMAIL, "acc-2004"),
    Persona("little data", "cust-1026", "newcomer@example.org", "no account"),
    Persona("energy", "cust-3001", "asha.sundaravel@example.com", "acc-3001, acc-3002"),
    Persona("US bank", "cust-5001", "dana.holbrook@example.com", "acc-5001 to acc-5005"),
)
"""The cases, with whom to log in for each."""

WRITTEN = date(2026, 11, 22)
"""The day on which the data is current."""

_DATE = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}(?=[T\",\n]|$)", re.MULTILINE)
_INDEXED = {"id": "", "customerId": "", "accountId": "", "email": " COLLATE NOCASE"}
"""Columns that queries select by, each with the collation of its index: e-mail addresses ignore case."""


def read_collections(today: date = WRITTEN) -> dict[str, str]:
    """Read each sample collection as CSV text, with its dates shifted to the day ``today``."""
    entries = (entry for entry in files(__name__).iterdir() if entry.name.endswith(".csv"))
    return {entry.name.removesuffix(".csv"): _shift_dates(entry.read_text("utf-8"), today) for entry in entries}


def read_documents() -> dict[str, bytes]:
    """Read each document that a row names."""
    return {entry.name: entry.read_bytes() for entry in files(__name__).iterdir() if entry.name.endswith(".pdf")}


def _shift_dates(text: str, today: date) -> str:
    def shift(match: re.Match[str]) -> str:
        return (date.fromisoformat(match[0]) + (today - WRITTEN)).isoformat()

    return text if today == WRITTEN else _DATE.sub(shift, text)


def write_csv(folder: Path, today: date = WRITTEN) -> None:
    """Write one CSV file per collection, and the documents, into ``folder``, which is created if necessary."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in read_collections(today).items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    for name, content in read_documents().items():
        (folder / name).write_bytes(content)


def write_sqlite(path: Path, today: date = WRITTEN) -> None:
    """Write one indexed table per collection into a new SQLite file. Amounts are text, which is exact."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, text in read_collections(today).items():
            _write_table(connection, name.replace(".", "_"), text)


def _write_table(connection: sqlite3.Connection, table: str, text: str) -> None:
    headers, *rows = csv.reader(io.StringIO(text, newline=""))
    columns = ", ".join(f'"{header}" {"BLOB" if header == "document" else "TEXT"}' for header in headers)
    marks = ", ".join("?" * len(headers))
    connection.execute(f'CREATE TABLE "{table}" ({columns})')
    connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', map(partial(_convert_row, headers), rows))
    for header in headers:
        if header in _INDEXED:
            connection.execute(f'CREATE INDEX "{table}_{header}" ON "{table}" ("{header}"{_INDEXED[header]})')


def _convert_row(headers: list[str], row: list[str]) -> list[str | bytes | None]:
    """Convert an empty cell to None, and the name of a document to its content."""
    return [
        read_documents()[cell] if header == "document" and cell else cell or None
        for header, cell in zip(headers, row, strict=True)
    ]
