"""The file ``replay.db.lock``: who uses the SQLite file beside it, and which one that was.

Whoever uses the SQLite file holds a shared lock on this file, and whoever creates or exchanges it an exclusive one. So
there are never two SQLite files in use at once: nobody creates a new one while others still add to the old one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import NamedTuple

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_NOTE = 200


class Note(NamedTuple):
    """The content of the lock file. All empty: there has been no SQLite file."""

    stamp: str = ""
    """What the SQLite file that was opened last has as its stamp, or `LOST`."""
    boot: str = ""
    """The start of the machine during which it was opened; empty once the last user has closed it."""

    @property
    def is_lost(self) -> bool:
        """True if somebody has declared that entries were lost."""
        return self.stamp == LOST


LOST = "lost"


def read_boot_id() -> str:
    """Return what names the current start of the machine, or "-" where there is no such name (outside Linux)."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "-"


def declare_lost(path: Path) -> None:
    """Tell all users, and every later start, that entries were lost. It holds until somebody has recorded it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, LOST.encode())
    finally:
        os.close(descriptor)


class LockFile:
    """An open lock file. `flock` locks belong to the descriptor: they end with it, also if the process is killed."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Only its owner can open it, as any reader could hold a lock on it."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._identity = os.fstat(self._descriptor).st_ino

    def close(self) -> None:
        """Give up the lock."""
        os.close(self._descriptor)

    def try_lock(self, *, exclusive: bool) -> bool:
        """Lock the file without waiting. Return False if others hold it, or if it has been exchanged."""
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return self.is_in_place()

    def share(self) -> None:
        """Turn the exclusive lock into a shared one."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def is_in_place(self) -> bool:
        """Return whether the path still leads to this file."""
        with contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_ino == self._identity
        return False

    def read(self) -> Note:
        """Return the content."""
        words = os.pread(self._descriptor, _MAX_NOTE, 0).decode("ascii", "replace").split()
        return Note(*words[:2])

    def write(self, note: Note) -> None:
        """Replace the content, and wait until it is on the disk. Needs the exclusive lock."""
        content = " ".join(note).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)
        os.fsync(self._descriptor)
