"""The SQLite file of used tokens: how it is opened, how its loss is noticed and recorded, and its connections.

Everything here may block, except `ReplayFile.add_now` and `ReplayFile.find_change`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from openholder.gate.replay import CLOCK_STEP, LONGER
from openholder.gate.stores.batches import Entry
from openholder.gate.stores.lock_file import LOST, LockFile, Note, declare_lost, read_boot_id

log = logging.getLogger(__name__)

BUSY_TIMEOUT = 2.0
"""Seconds to wait for the lock of another process."""
OPEN_TIMEOUT = 15.0
"""Seconds to wait until the users of a lost file have noticed, or another process has created a new one."""
OPEN_PAUSE = 0.02
"""Seconds between two attempts to open."""
CHECKPOINT = 3000
"""Entries after which the WAL is copied into the file: about 7 MB."""
SLICES = 256
"""Parts of the entries, by their first byte. Expired entries are deleted from one part after the other."""
SLICES_A_SECOND = 4
SLICES_AT_ONCE = 16
"""Parts for one transaction, so that others need not wait long."""
SAMPLED = 1000
"""Entries of a sixteenth, above which the rest is not counted."""

DAMAGED = "is damaged"
GIVEN_UP = "was given up by another process"
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS used (entry BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS meta"
    " (id INTEGER PRIMARY KEY CHECK (id = 1), stamp TEXT NOT NULL, latest REAL NOT NULL, lost_before REAL NOT NULL)",
    "INSERT INTO meta VALUES (1, '', 0, 0) ON CONFLICT DO NOTHING",
    # Version 0.1 had an index. It cost more at each token than looking through all entries now and then.
    "DROP INDEX IF EXISTS used_expires",
)
_ADD = "INSERT INTO used VALUES (?, ?) ON CONFLICT DO NOTHING"
_ADD_IF_CURRENT = "INSERT INTO used SELECT ?, ? FROM meta WHERE lost_before = ? AND latest <= ? ON CONFLICT DO NOTHING"
_DELETE = "DELETE FROM used WHERE entry >= ? AND entry < ? AND expires < ?"


class LossNoticed(Exception):
    """Another process has recorded a loss: the token must be judged anew."""


def is_broken(exc: sqlite3.Error) -> bool:
    """Return whether an error says that the content of the file is damaged."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def is_busy(exc: sqlite3.Error) -> bool:
    """Return whether an error says that others have locked the file."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def name_lock(path: Path) -> Path:
    """Return the path of the lock file that belongs to an SQLite file."""
    return path.with_name(f"{path.name}.lock")


def open_file(path: Path, clock: Callable[[], float], timeout: float = OPEN_TIMEOUT) -> ReplayFile:
    """Open or create the file. If entries were lost, record that in it.

    Raises:
        sqlite3.Error: It cannot be opened.
        TimeoutError: Others hold it.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            if file := _try_to_open(path, clock):
                return file
        except sqlite3.OperationalError as exc:
            if not is_busy(exc) or time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise TimeoutError("others use a replay store that was lost")
        time.sleep(OPEN_PAUSE)


def _try_to_open(path: Path, clock: Callable[[], float]) -> ReplayFile | None:
    """Open the file: alone, if nobody else uses it, or else together with the others. Return None to try again."""
    with ExitStack() as stack:
        lock = LockFile(name_lock(path))
        stack.callback(lock.close)
        if lock.try_lock(exclusive=True):
            file = _open_alone(path, lock, clock)
            lock.share()
        elif lock.try_lock(exclusive=False):
            if not _is_in_use(path, lock):
                return None
            file = ReplayFile(path, lock, clock)
        else:
            return None
        stack.pop_all()
        return file


def _open_alone(path: Path, lock: LockFile, clock: Callable[[], float]) -> ReplayFile:
    """Open the file under the exclusive lock. Rename a damaged one; record a loss in the file that is used from now."""
    boot = read_boot_id()
    loss = _find_loss(path, lock.read(), boot)
    if loss:
        lock.write(Note(LOST))  # known to the next start, if this one gets no further
    if loss == DAMAGED:
        renamed = _rename_file(path, clock())
        log.critical("the replay store was corrupt: renamed to %s and created anew", renamed)
    file = ReplayFile(path, lock, clock)
    try:
        stamp = uuid.uuid4().hex
        file.start(stamp, loss)
        lock.write(Note(stamp, boot))
    except BaseException:
        file.close_connections()
        raise
    return file


def _is_in_use(path: Path, lock: LockFile) -> bool:
    """Return whether the file is the one that others use. If not, make them give theirs up."""
    note = lock.read()
    if note.is_lost:
        return False
    loss = _find_loss(path, note, note.boot) if note.stamp else "has no stamp"
    if loss:
        log.critical("the replay store %s: all processes that use it must open it anew", loss)
        declare_lost(lock.path)
    return not loss


def _find_loss(path: Path, note: Note, boot: str) -> str:
    """Return what is wrong with the file if entries may be missing from it, or else ""."""
    if not path.exists():
        return "is missing" if note.stamp else ""
    if note.boot and not path.with_name(f"{path.name}-wal").exists():
        return "lacks its WAL"
    try:
        with closing(_connect(path, BUSY_TIMEOUT)) as connection:
            if connection.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                return DAMAGED
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "used" not in tables:
                return "is empty"
            connection.execute("SELECT entry, expires FROM used LIMIT 0")
            stamps = connection.execute("SELECT stamp FROM meta").fetchall() if "meta" in tables else []
    except sqlite3.DatabaseError as exc:
        if not is_broken(exc) and exc.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return DAMAGED
    if note.is_lost:
        return "was moved, exchanged or damaged while it was used"
    if note.stamp and stamps != [(note.stamp,)]:
        return "is not the one that was used last"
    return "may lack its last entries, as the machine stopped without closing it" if note.boot not in {"", boot} else ""


def _rename_file(path: Path, now: float) -> Path:
    """Rename the file and those of its WAL to a new name, so that a new file can be created."""
    number, renamed = 1, path.with_name(f"{path.name}.broken-{now:.0f}")
    while os.path.lexists(renamed):
        number += 1
        renamed = path.with_name(f"{path.name}.broken-{now:.0f}-{number}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(renamed.with_name(renamed.name + suffix))
    return renamed


def _connect(path: Path, timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        # A checkpoint waits for the disk: it belongs to the file's thread, never to the event loop.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def _create_privately(path: Path) -> None:
    """Create the file before SQLite does, who would let others read it: a reader can hold locks that stop writers."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        log.warning("the replay store %s has mode %o: others could lock it; run chmod 600", path, mode)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[Callable[..., sqlite3.Cursor]]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class ReplayFile:
    """The open file, with one connection for the event loop and two for the file's own thread.

    The event loop's connection appends to the WAL, which is a write to memory of the operating system. It waits neither
    for a lock nor for the disk. The other connections do whatever may have to wait.
    """

    def __init__(self, path: Path, lock: LockFile, clock: Callable[[], float]) -> None:
        self.path = path
        self._lock = lock
        self._clock = clock
        _create_privately(path)
        with ExitStack() as stack:
            self._patient = stack.enter_context(closing(_connect(path, BUSY_TIMEOUT)))
            self._patient.execute("PRAGMA page_size = 2048")  # each entry is written with its page
            self._patient.execute("PRAGMA journal_mode = WAL")
            with _transaction(self._patient) as execute:
                for statement in _SCHEMA:
                    execute(statement)
            self._impatient = stack.enter_context(closing(_connect(path, 0)))
            self._checkpointing = stack.enter_context(closing(_connect(path, 0)))
            self._wal = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, self._wal)
            # Closed on its own: a cursor that keeps a statement would keep its connection open.
            cursor = stack.enter_context(closing(self._impatient.cursor()))
            self._execute = cursor.execute
            ((lost_before,),) = self._execute("SELECT lost_before FROM meta").fetchall()
            self.lost_before: float = lost_before
            self._files = [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
            self._identities = [file.stat().st_ino for file in self._files]
            self._connections = stack.pop_all()
        self._size = 0
        self._added_now = self._added_otherwise = 0  # each is counted in one thread
        self._synced = self._checkpointed = 0

    def start(self, stamp: str, loss: str) -> None:
        """Mark the file as the one that is used from now on, and record a loss. Needs the exclusive lock."""
        now = self._clock()
        with _transaction(self._patient) as execute:
            ((latest, lost_before),) = execute("SELECT latest, lost_before FROM meta").fetchall()
            if max(latest, lost_before) > now + CLOCK_STEP:
                latest, loss = 0.0, loss or "was used while the clock was ahead"
            if loss:
                lost_before = max(latest, now)
                log.critical("the replay store %s: refusing tokens issued before now", loss)
            execute("UPDATE meta SET stamp = ?, lost_before = ?, latest = ?", (stamp, lost_before, max(latest, now)))
        self.lost_before = lost_before
        os.fsync(self._wal)

    def close(self) -> None:
        """Close the file. Whoever is the last to close it notes that it is complete."""
        self.close_connections()
        note = self._lock.read()
        if note.stamp and not note.is_lost and self._lock.try_lock(exclusive=True):
            self._lock.write(note._replace(boot=""))
        self._lock.close()

    def give_up(self) -> None:
        """Close a file that was lost."""
        self.close_connections()
        self._lock.close()

    def close_connections(self) -> None:
        """Close all connections, and keep the lock."""
        self._connections.close()

    def find_change(self) -> str:
        """Return what has happened to the file if it is no longer the one that was opened, or else ""."""
        try:
            found = [file.stat() for file in self._files]
        except OSError:
            return "was moved or removed"
        if [one.st_ino for one in found] != self._identities or not self._lock.is_in_place():
            return "was exchanged"
        size = found[0].st_size
        if size < self._size:
            return "was truncated"
        self._size = size
        return GIVEN_UP if self._lock.read().is_lost else ""

    def add_now(self, entry: bytes, expires_at: float) -> bool | None:
        """Add an entry on the event loop. Return whether it was absent, or None if that takes more than this."""
        limit = self._clock() + CLOCK_STEP
        try:
            if self._execute(_ADD_IF_CURRENT, (entry, expires_at, self.lost_before, limit)).rowcount:
                self._added_now += 1
                return True
            return False if self._execute("SELECT 1 FROM used WHERE entry = ?", (entry,)).fetchall() else None
        except sqlite3.OperationalError as exc:
            if not is_busy(exc):
                raise
            return None

    def add_all(self, entries: Sequence[Entry]) -> list[bool]:
        """Add entries in one transaction. Return for each of them whether it was absent.

        Raises:
            LossNoticed: The gate does not know yet which tokens it must refuse. No entry was added.
        """
        now = self._clock()
        with _transaction(self._patient) as execute:
            is_current = self._is_current(now, execute)
            absent = [execute(_ADD, entry).rowcount == 1 for entry in entries] if is_current else []
        if not is_current:
            raise LossNoticed
        self._added_otherwise += len(absent)
        return absent

    def count_entries(self) -> int:
        """Count the entries; a large number is estimated from a sixteenth of them. Digests are evenly spread."""
        ((sample,),) = self._patient.execute("SELECT count(*) FROM used WHERE entry < x'10'").fetchall()
        if sample > SAMPLED:
            return int(sample) * 16
        ((count,),) = self._patient.execute("SELECT count(*) FROM used").fetchall()
        return int(count)

    def _is_current(self, now: float, execute: Callable[..., sqlite3.Cursor]) -> bool:
        """Return whether the gate knows of all losses. A clock that was set back is one: entries may be deleted."""
        ((latest, lost_before),) = execute("SELECT latest, lost_before FROM meta").fetchall()
        if latest > now + CLOCK_STEP:
            log.critical("the clock was set back by %d s: refusing tokens issued before now", latest - now)
            lost_before = now
            execute("UPDATE meta SET latest = ?, lost_before = ?", (now, lost_before))
        is_known = lost_before == self.lost_before
        self.lost_before = lost_before
        return bool(is_known)

    def sync(self) -> None:
        """Make what was added so far outlive a power cut. Now and then, copy the WAL into the file."""
        written = self._added_now + self._added_otherwise
        if written != self._synced:
            os.fdatasync(self._wal)
            self._synced = written
        if written - self._checkpointed >= CHECKPOINT:
            self._checkpoint()
            self._checkpointed = written

    def _checkpoint(self) -> None:
        """Copy the WAL into the file, and start it anew.

        Whoever writes first after a complete checkpoint starts the WAL anew, and waits for the disk. That must not be
        the event loop. So the last part is copied, and the WAL started, while nobody else can write.
        """
        self._checkpointing.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        with _transaction(self._patient) as execute:
            self._checkpointing.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            execute("PRAGMA user_version = 1")  # any write will do

    def delete_expired(self) -> None:
        """Delete expired entries: from a few slices for each second since the last time.

        The time up to which entries were deleted is kept in the file. So the processes share the work, and whoever adds
        an entry notices if the clock is set back behind that time.
        """
        now = self._clock()
        while self._delete_some(now):
            pass

    def _delete_some(self, now: float) -> bool:
        """Delete from up to `SLICES_AT_ONCE` slices. Return whether there are more."""
        latest: float
        with _transaction(self._patient) as execute:
            ((latest,),) = execute("SELECT latest FROM meta").fetchall()
            first = max(latest, now - SLICES / SLICES_A_SECOND)
            last = min(now, first + SLICES_AT_ONCE / SLICES_A_SECOND)
            if last <= latest:
                return False
            execute("UPDATE meta SET latest = ?", (last,))
            for number in range(int(first * SLICES_A_SECOND), int(last * SLICES_A_SECOND)):
                start = number % SLICES
                end = bytes([start + 1]) if start + 1 < SLICES else b"\xff" * 20
                execute(_DELETE, (bytes([start]), end, last - LONGER))
        self._added_otherwise += 1
        return last < now
