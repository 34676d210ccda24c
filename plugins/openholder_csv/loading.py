"""CSV files into a database. What cannot be read without guessing is refused, with file and line.

The csv module by itself takes repeated headers, short rows, NUL and an unclosed quote in silence.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiosqlite

from openholder import SourceFault
from openholder_sqlite import Database
from openholder_sqlite.statements import quoted

Stamp = tuple[tuple[str, int, int, int], ...]
Lines = Iterator[tuple[int, list[str]]]
MAX_COLUMNS = 500
_SEARCHED = ("id", "email")


def stamp(folder: Path) -> Stamp:
    """What changes when a file of the folder does: name, inode, size and time of each."""
    states = [(path.name, path.stat()) for path in _files(folder)]
    return tuple((name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.csv"))


async def load(folder: Path, columns: Mapping[str, Mapping[str, str]]) -> Database:
    """Read every file of ``folder`` into a new in-memory database. Raises `SourceFault` with file and line."""
    connection = await aiosqlite.connect(":memory:", isolation_level=None)
    try:
        for path in _files(folder):
            await _load_file(connection, path, columns.get(path.stem, {}))
    except BaseException:
        await connection.close()
        raise

    async def connect() -> aiosqlite.Connection:
        return connection

    database = Database(connect, columns)
    await database.open()
    return database


async def _load_file(connection: aiosqlite.Connection, path: Path, renamed: Mapping[str, str]) -> None:
    table = path.stem.replace(".", "_")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = _lines(path, csv.reader(file, strict=True))
            headers = _headers(path, lines)
            await connection.execute(_create(table, headers))
            await connection.execute("BEGIN")
            marks = ", ".join("?" * len(headers))
            rows = _rows(path, lines, len(headers))
            await connection.executemany(f"INSERT INTO {quoted(table)} VALUES ({marks})", rows)
            await connection.execute("COMMIT")
    except (OSError, sqlite3.Error) as exc:
        raise SourceFault(f"{path.name}: {exc if isinstance(exc, sqlite3.Error) else type(exc).__name__}") from exc
    for statement in _indexes(table, headers, renamed):
        await connection.execute(statement)


def _lines(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Every line with its number."""
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as exc:
        raise SourceFault(f"{path.name}: line {reader.line_num}: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise SourceFault(f"{path.name}: after line {reader.line_num}: not UTF-8") from exc


def _headers(path: Path, lines: Lines) -> list[str]:
    _, headers = next(lines, (1, []))
    if not headers:
        raise SourceFault(f"{path.name}: line 1: there are no headers")
    if headers[0].startswith("\ufeff"):
        raise SourceFault(f"{path.name}: line 1: begins with a byte order mark; save it as UTF-8 without one")
    if len(headers) > MAX_COLUMNS:
        raise SourceFault(f"{path.name}: line 1: more than {MAX_COLUMNS} columns")
    seen: set[str] = set()
    for number, header in enumerate(headers, 1):
        folded = header.strip().casefold()  # SQLite takes column names that differ only in case for the same
        if not folded or folded in seen or "\0" in header:
            raise SourceFault(f"{path.name}: line 1, column {number}: an empty, repeated or broken header")
        seen.add(folded)
    return headers


def _rows(path: Path, lines: Lines, width: int) -> Iterator[list[str | None]]:
    for line, row in lines:
        if len(row) != width:
            raise SourceFault(f"{path.name}: line {line}: {len(row)} cells where {width} are expected")
        for number, cell in enumerate(row, 1):
            if "\0" in cell:
                raise SourceFault(f"{path.name}: line {line}, column {number}: a NUL character")
        yield [cell or None for cell in row]


def _create(table: str, headers: list[str]) -> str:
    return f"CREATE TABLE {quoted(table)} ({', '.join(f'{quoted(header)} TEXT' for header in headers)})"


def _indexes(table: str, headers: list[str], renamed: Mapping[str, str]) -> Iterator[str]:
    """An index for each column that records are looked up by: the ids, and e-mail addresses in any case."""
    members = {column: member for member, column in renamed.items()}
    for header in headers:
        member = members.get(header, header)
        if member in _SEARCHED or member.endswith("Id"):
            collation = " COLLATE NOCASE" if member == "email" else ""
            yield f"CREATE INDEX {quoted(f'{table} {header}')} ON {quoted(table)} ({quoted(header)}{collation})"
