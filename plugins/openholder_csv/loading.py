"""Load CSV files into an SQLite database, in a thread beside the event loop.

The database is a file that all workers share, in memory (``/dev/shm``) or on disk if it is large.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import aiosqlite

from openholder import SourceFault, describe, find_collection
from openholder_csv.csv_rows import CSVRows
from openholder_csv.files import Stamp, estimate_text, list_files, open_text, read_stamp
from openholder_csv.heartbeat import Heartbeat
from openholder_csv.settings import CSVSettings
from openholder_csv.sharing import SharedFile, delete_leftovers, name_private_folder, open_private_folder, share_file
from openholder_sqlite import Database
from openholder_sqlite.dialect import quote_identifier
from openholder_sqlite.error_translation import SAFE_TEXTS

FORMAT = 2
"""Counts the forms of an index: versions of this program that write another one do not share it."""
UNRELATED = {"path", "reload", "memory_bytes", "index_folder", "min_rows_ratio", "marker"}
"""Settings that change nothing in an index."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where Linux has one; the files are in a private folder
CONNECTIONS = 4
"""The number of queries that run at the same time."""
PARAMETERS = 8000
"""Values of one INSERT, of at most 32,766: one by one, the rows take half as long again."""


class SharedDatabase(Database):
    """A database whose file other processes read too."""

    _place = "'record ' || {0} || ' of its file'"

    def __init__(self, index: SharedFile, settings: CSVSettings) -> None:
        self._index: SharedFile | None = index
        # A complete index never changes, so SQLite needs neither locks nor a look whether it did.
        uri = f"{index.path.absolute().as_uri()}?mode=ro&immutable=1"
        # Cells have been tidied when they were read.
        tidied = settings.model_copy(update={"strip": False, "absent": ()})
        super().__init__(partial(_connect, uri), tidied, CONNECTIONS, partial(sqlite3.connect, uri, uri=True))

    async def close(self) -> None:
        """Wait for running queries to end, close every connection, and delete the file after its last reader."""
        try:
            await super().close()
        finally:
            index, self._index = self._index, None  # closing twice is allowed, and releases once
            if index:
                await asyncio.to_thread(index.release)


async def _connect(uri: str) -> aiosqlite.Connection:
    return await aiosqlite.connect(uri, uri=True)


async def load(name: str, settings: CSVSettings, stamp: Stamp) -> Database:
    """Load every file of the folder into a new database. Raises `SourceFault` with file, line and column."""
    database = SharedDatabase(await _share_index_in_thread(settings, stamp, Heartbeat(name)), settings)
    await database.open()
    return database


async def _share_index_in_thread(settings: CSVSettings, stamp: Stamp, heartbeat: Heartbeat) -> SharedFile:
    """Build the index in a thread; SQLite releases the GIL. If the caller is cancelled, stop the thread too.

    The shield keeps the cancellation from the thread's future: the thread would go on unseen, and its file would never
    be released.
    """
    work = asyncio.create_task(asyncio.to_thread(share_index, settings, stamp, heartbeat))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        heartbeat.stop()
        await asyncio.wait([work])
        if not work.exception():
            work.result().release()
        raise


def share_index(settings: CSVSettings, stamp: Stamp, heartbeat: Heartbeat) -> SharedFile:
    """Return the index of the files in this state: the one that other processes read, or else a new one."""

    def build(path: Path) -> None:
        build_index(path, settings, heartbeat)
        if read_stamp(settings) != stamp:
            raise SourceFault("the data changed while it was being read")
        heartbeat.finish(estimate_text(stamp))

    disk = settings.index_folder or Path(tempfile.gettempdir())
    try:
        for parent in (MEMORY, disk):
            delete_leftovers(name_private_folder(parent))
        folder = open_private_folder(MEMORY if _fits_memory(settings, stamp) else disk)
        return share_file(folder, _name_index(settings, stamp), build, heartbeat.pause)
    except OSError as exc:
        raise SourceFault(
            f"cannot create the index ({type(exc).__name__}); check `index_folder` and its free space"
        ) from exc


def _fits_memory(settings: CSVSettings, stamp: Stamp) -> bool:
    """Return whether the index belongs in memory, where two versions of it take up to four times the text.

    It depends on nothing that differs between the workers: they must look for the index in the same place.
    """
    size = estimate_text(stamp)
    return size <= settings.memory_bytes and os.access(MEMORY, os.W_OK) and size * 4 <= shutil.disk_usage(MEMORY).total


def _name_index(settings: CSVSettings, stamp: Stamp) -> str:
    """Return a name that no other index has: of other files, of other versions of them, or read in another way."""
    facts = (FORMAT, str(settings.path.resolve()), stamp, settings.model_dump(exclude=UNRELATED))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def build_index(path: Path, settings: CSVSettings, heartbeat: Heartbeat) -> None:
    """Load every file of the folder into an empty file, in the calling thread."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=2)
    try:
        # No journal and no fsync: an index that is not completed, or has lost its readers, is never read again.
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE")
        connection.set_progress_handler(heartbeat.beat, heartbeat.STEPS)
        for table, file in list_files(settings).items():
            _load_file(connection, table, file, settings, heartbeat)
    finally:
        connection.close()


def _load_file(
    connection: sqlite3.Connection, table: str, path: Path, settings: CSVSettings, heartbeat: Heartbeat
) -> None:
    """Load a file into a table, then index it, which is far cheaper than to update the indexes row by row."""
    try:
        with open_text(path, settings.encoding) as text:
            rows = CSVRows(path, text, settings)
            heartbeat.describe = lambda: f"{path.name}: {rows.line:,} lines read"
            _insert_rows(connection, table, rows)
        heartbeat.describe = lambda: f"{path.name}: all {rows.line:,} lines read, indexing"
        _create_indexes(connection, table, rows.headers, settings)
    except sqlite3.Error as exc:
        raise SourceFault(f"{path.name}: {describe(exc, SAFE_TEXTS)}") from None


def _insert_rows(connection: sqlite3.Connection, table: str, rows: CSVRows) -> None:
    """Create the table and insert the rows, many with one statement, while a thread parses the next ones."""
    width = len(rows.headers)
    definitions = ", ".join(f"{quote_identifier(header)} TEXT" for header in rows.headers)
    connection.execute(f"CREATE TABLE {quote_identifier(table)} ({definitions})")
    marks = f"({', '.join('?' * width)})"
    batches = rows.read_batches(PARAMETERS // width)
    connection.execute("BEGIN")
    with ThreadPoolExecutor(1) as parser:
        upcoming: Future[list[str | None]] = parser.submit(next, batches, [])
        while cells := upcoming.result():
            upcoming = parser.submit(next, batches, [])
            values = ", ".join([marks] * (len(cells) // width))
            connection.execute(f"INSERT INTO {quote_identifier(table)} VALUES {values}", cells)
    connection.execute("COMMIT")


def _create_indexes(connection: sqlite3.Connection, table: str, headers: list[str], settings: CSVSettings) -> None:
    """Index each column that records are found by: the ids, and e-mail addresses regardless of case.

    The index of an owner's id also has the time by which the owner's records are sorted: a page then reads its own rows
    only.
    """
    mapped = {member: rule.column for member, rule in settings.list_rules(table).items() if rule.column in headers}
    headers_of = {header: header for header in headers if header not in mapped.values()} | mapped
    spec = find_collection(table.replace("_", ".", 1))
    times = [headers_of[order.member] for order in spec.order[:1] if order.member in headers_of]
    for member, header in headers_of.items():
        if member in {"id", "email"} or member.endswith("Id"):
            found_by = quote_identifier(header) + (" COLLATE NOCASE" if member == "email" else "")
            sorted_by = map(quote_identifier, times if member in spec.owners.values() else ())
            columns = ", ".join([found_by, *sorted_by])
            index = quote_identifier(f"{table} {member}")
            connection.execute(f"CREATE INDEX {index} ON {quote_identifier(table)} ({columns})")
