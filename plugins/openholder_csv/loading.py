"""CSV files into an SQLite database, in a thread beside the event loop: in memory, or on disk where they are large."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosqlite

from openholder import SourceFault
from openholder_csv.files import files, table_called, table_of, text_bytes, text_of
from openholder_csv.heartbeat import Heartbeat
from openholder_csv.reading import Rows
from openholder_csv.settings import CSVSettings
from openholder_sqlite import Database
from openholder_sqlite.statements import quoted

Connections = list[sqlite3.Connection]
ON_DISK = 4
"""Connections to an index on disk: as many questions are answered at the same time. One in memory has but one."""
_SEARCHED = ("id", "email")


async def load(name: str, settings: CSVSettings) -> Database:
    """Read every file of the folder into a new database. Raises `SourceFault` with file, line and column."""
    heartbeat = Heartbeat(name)
    connections = await _indexed(settings, heartbeat)
    database = Database(lambda: _handed_over(connections), settings.columns, len(connections))
    try:
        await database.open()
    finally:
        _close(connections)  # those that opening did not come to
    return database


async def _handed_over(connections: Connections) -> aiosqlite.Connection:
    return await aiosqlite.Connection(connections.pop, iter_chunk_size=64)


async def _indexed(settings: CSVSettings, heartbeat: Heartbeat) -> Connections:
    """Let a thread work; SQLite runs without the interpreter's lock. When the caller gives up, the thread does too."""
    work = asyncio.create_task(asyncio.to_thread(index, settings, heartbeat))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        heartbeat.stop()
        await asyncio.wait([work])
        if not work.exception():
            _close(work.result())
        raise


def index(settings: CSVSettings, heartbeat: Heartbeat) -> Connections:
    """Read every file of the folder, in the thread that calls. The connections lead to one and the same index."""
    found = files(settings.path)
    renamed = {table_called(collection): headers for collection, headers in settings.columns.items()}
    size = sum(text_bytes(path, settings.max_bytes, heartbeat.pause) for path in found)
    connections = [_connect(":memory:")] if size <= settings.memory_bytes else _connect_disk(settings.index_folder)
    try:
        for path in found:
            _add_file(connections[0], path, renamed.get(table_of(path), {}), heartbeat)
    except BaseException:
        _close(connections)
        raise
    connections[0].set_progress_handler(None, 0)
    heartbeat.end(size)
    return connections


def _connect_disk(folder: Path | None) -> Connections:
    """Connections to a file that loses its name before a row is in it: however the process ends, nothing is left."""
    connections: Connections = []
    try:
        with TemporaryDirectory(prefix="openholder-", dir=folder) as private:
            connections.extend(_connect(str(Path(private) / "index")) for _ in range(ON_DISK))
        return connections
    except (OSError, sqlite3.Error) as exc:
        _close(connections)
        raise SourceFault(f"no index can be made on disk ({type(exc).__name__})") from exc


def _connect(place: str) -> sqlite3.Connection:
    # Without a journal: what fails half-way is thrown away as a whole.
    connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
    return connection


def _close(connections: Connections) -> None:
    while connections:
        connections.pop().close()


def _add_file(connection: sqlite3.Connection, path: Path, renamed: Mapping[str, str], heartbeat: Heartbeat) -> None:
    table = table_of(path)
    connection.set_progress_handler(heartbeat.beat, heartbeat.STEPS)
    try:
        with text_of(path) as text:
            rows = Rows(path, text)
            heartbeat.doing = lambda: f"{path.name}: {rows.line:,} lines read"
            _insert(connection, table, rows)
        heartbeat.doing = lambda: f"{path.name}: all {rows.line:,} lines read, indexing"
        for statement in _indexes(table, rows.headers, renamed):  # far cheaper than to keep them up row by row
            connection.execute(statement)
    except sqlite3.Error as exc:
        raise SourceFault(f"{path.name}: {exc}") from exc


def _insert(connection: sqlite3.Connection, table: str, rows: Rows) -> None:
    columns = ", ".join(f"{quoted(header)} TEXT" for header in rows.headers)
    marks = ", ".join("?" * len(rows.headers))
    connection.execute(f"CREATE TABLE {quoted(table)} ({columns})")
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO {quoted(table)} VALUES ({marks})", rows)
    connection.execute("COMMIT")


def _indexes(table: str, headers: list[str], renamed: Mapping[str, str]) -> Iterator[str]:
    """An index for each column that records are looked up by: the ids, and e-mail addresses in any case."""
    members = {column: member for member, column in renamed.items()}
    for header in headers:
        member = members.get(header, header)
        if member in _SEARCHED or member.endswith("Id"):
            collation = " COLLATE NOCASE" if member == "email" else ""
            yield f"CREATE INDEX {quoted(f'{table} {header}')} ON {quoted(table)} ({quoted(header)}{collation})"
