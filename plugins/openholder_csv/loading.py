"""Load CSV files into an SQLite database, in a thread beside the event loop: in memory, or on disk if large."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosqlite

from openholder import SourceFault
from openholder_csv.csv_rows import CSVRows
from openholder_csv.files import get_table, list_files, measure_text, name_table, open_text
from openholder_csv.heartbeat import Heartbeat
from openholder_csv.settings import CSVSettings
from openholder_sqlite import Database
from openholder_sqlite.dialect import quote_identifier

Connections = list[sqlite3.Connection]
ON_DISK = 4
"""Connections to a database on disk: the number of queries that run at the same time. One in memory has only one."""


async def load(name: str, settings: CSVSettings) -> Database:
    """Load every file of the folder into a new database. Raises `SourceFault` with file, line and column."""
    connections = await _build_in_thread(settings, Heartbeat(name))

    async def connect() -> aiosqlite.Connection:
        return await aiosqlite.Connection(connections.pop, iter_chunk_size=64)

    database = Database(connect, settings.columns, len(connections))
    try:
        await database.open()
    finally:
        _close(connections)  # those that a failed open() did not take
    return database


async def _build_in_thread(settings: CSVSettings, heartbeat: Heartbeat) -> Connections:
    """Build the database in a thread; SQLite releases the GIL. If the caller is cancelled, stop the thread too.

    The shield keeps the cancellation from the thread's future: the thread would go on unseen, and its connections
    would never be closed.
    """
    work = asyncio.create_task(asyncio.to_thread(build_database, settings, heartbeat))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        heartbeat.stop()
        await asyncio.wait([work])
        if not work.exception():
            _close(work.result())
        raise


def build_database(settings: CSVSettings, heartbeat: Heartbeat) -> Connections:
    """Load every file of the folder, in the calling thread. Return connections to the one database."""
    files = list_files(settings.path)
    columns_of = {name_table(collection): columns for collection, columns in settings.columns.items()}
    size = sum(measure_text(path, settings.max_bytes, heartbeat.pause) for path in files)
    connections = [_connect(":memory:")] if size <= settings.memory_bytes else _connect_disk(settings.index_folder)
    try:
        for path in files:
            _load_file(connections[0], path, columns_of.get(get_table(path), {}), heartbeat)
    except BaseException:
        _close(connections)
        raise
    connections[0].set_progress_handler(None, 0)
    heartbeat.finish(size)
    return connections


def _connect_disk(folder: Path | None) -> Connections:
    """Open an empty database file several times, then delete its name before a row is in it.

    POSIX keeps an unlinked file until its last descriptor is closed. So customers' data can never be found by path,
    and none of it stays on disk however the process ends.
    """
    connections: Connections = []
    try:
        with TemporaryDirectory(prefix="openholder-", dir=folder) as private:
            connections.extend(_connect(str(Path(private) / "index")) for _ in range(ON_DISK))
        return connections
    except (OSError, sqlite3.Error) as exc:
        _close(connections)
        raise SourceFault(
            f"cannot create the index on disk ({type(exc).__name__}); check `index_folder` and its free space"
        ) from exc


def _connect(place: str) -> sqlite3.Connection:
    # No journal and no fsync: a load that fails half-way is thrown away as a whole. On disk a journal could not even
    # be created, since its folder is gone by then.
    connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
    return connection


def _close(connections: Connections) -> None:
    while connections:
        connections.pop().close()


def _load_file(connection: sqlite3.Connection, path: Path, columns: Mapping[str, str], heartbeat: Heartbeat) -> None:
    table = get_table(path)
    connection.set_progress_handler(heartbeat.beat, heartbeat.STEPS)
    try:
        with open_text(path) as text:
            rows = CSVRows(path, text)
            heartbeat.describe = lambda: f"{path.name}: {rows.line:,} lines read"
            _insert_rows(connection, table, rows)
        heartbeat.describe = lambda: f"{path.name}: all {rows.line:,} lines read, indexing"
        _create_indexes(connection, table, rows.headers, columns)  # far cheaper than to update them row by row
    except sqlite3.Error as exc:
        raise SourceFault(f"{path.name}: {exc}") from exc


def _insert_rows(connection: sqlite3.Connection, table: str, rows: CSVRows) -> None:
    definitions = ", ".join(f"{quote_identifier(header)} TEXT" for header in rows.headers)
    marks = ", ".join("?" * len(rows.headers))
    connection.execute(f"CREATE TABLE {quote_identifier(table)} ({definitions})")
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO {quote_identifier(table)} VALUES ({marks})", rows)
    connection.execute("COMMIT")


def _create_indexes(connection: sqlite3.Connection, table: str, headers: list[str], columns: Mapping[str, str]) -> None:
    """Index each column that records are found by: the ids, and e-mail addresses regardless of case."""
    members = {header: member for member, header in columns.items()}
    for header in headers:
        member = members.get(header, header)
        if member in {"id", "email"} or member.endswith("Id"):
            collation = " COLLATE NOCASE" if member == "email" else ""
            index, column = quote_identifier(f"{table} {header}"), quote_identifier(header)
            connection.execute(f"CREATE INDEX {index} ON {quote_identifier(table)} ({column}{collation})")
