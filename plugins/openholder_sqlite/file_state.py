"""What is on disk: the file, and the log beside it.

SQLite reads ``FILE-wal`` whatever file it was written for, and keeps its pages until the counter in the header changes.
So what replaces or overwrites a file must be recognised here.

The header is read without SQLite, and closing a file ends all locks that this process has on it (POSIX, `fcntl`). So
descriptors are shared by the whole process, and closed when nobody in it reads the file any more.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from openholder import SourceFault

Identity = tuple[int, int]
"""Device and inode of a file."""

_HEADER = 100
_COUNTER = slice(24, 28)
_READ_VERSION = 19
"""Where the header has the counter of changes, and 2 for a file in WAL mode (SQLite, file format 1.3)."""
_INDEX = 136
_SALTS = slice(32, 40)
_BACKFILLED = slice(96, 100)
_ATTEMPTED = slice(128, 132)
"""Where -shm says which log it indexes, and how much of it has been copied into the file (WAL-index format 2)."""
_LOOKS = 5


@dataclass(slots=True)
class Descriptor:
    """An open file that everybody in this process shares."""

    identity: Identity
    numbers: list[int]
    users: int = 0

    def read(self, size: int) -> bytes:
        """Return the first bytes."""
        return os.pread(self.numbers[0], size, 0)


_descriptors: dict[Identity, Descriptor] = {}
_lock = threading.Lock()


def hold(path: Path) -> Descriptor:
    """Open a file, unless this process has it open already. Raises `OSError`."""
    with _lock:
        state = path.stat()
        found = _descriptors.get((state.st_dev, state.st_ino))
        if found is None:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            state = os.fstat(number)
            identity = (state.st_dev, state.st_ino)
            found = _descriptors.setdefault(identity, Descriptor(identity, []))
            found.numbers.append(number)  # another file may have taken the name meanwhile, one that is open already
        found.users += 1
        return found


def release(descriptor: Descriptor) -> None:
    """Close a file that nobody in this process uses any more."""
    with _lock:
        descriptor.users -= 1
        if not descriptor.users:
            del _descriptors[descriptor.identity]
            for number in descriptor.numbers:
                os.close(number)


@dataclass(frozen=True, slots=True)
class Log:
    """The log that stands beside a file."""

    identity: Identity
    size: int
    written: int


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of a file and its log at one moment."""

    identity: Identity
    size: int
    written: int
    changed: int
    is_wal: bool
    counter: int
    log: Log | None
    index_identity: Identity | None
    """The file -shm, which all connections share that have the log open."""
    index: bytes
    """Which log SQLite has indexed, and how much of it the file has; empty if that is not known."""
    is_copying: bool
    """Whether somebody is copying the log into the file, or crashed on the way."""

    def may_follow(self, earlier: Self) -> bool:
        """Tell whether commits through SQLite can have led here, of which its connections know.

        A writer in WAL mode writes to the file only what it copies from the log. Any other increases the counter.
        """
        if (self.identity, self.is_wal) != (earlier.identity, earlier.is_wal):
            return False
        if self.is_wal:
            is_same = (self.size, self.written) == (earlier.size, earlier.written)
            is_known = bool(self.index and earlier.index)
            return is_same or not is_known or self.is_copying or self.index != earlier.index
        return self.is_unchanged_since(earlier) or 0 < (self.counter - earlier.counter) % 2**32 < 2**31

    def is_unchanged_since(self, earlier: Self) -> bool:
        """Tell whether nobody has written to the file itself, or put another in its place."""
        return self.stamp == earlier.stamp

    @property
    def stamp(self) -> tuple[Identity, int, int, int]:
        """What changes when somebody writes to the file itself, or puts another in its place."""
        return self.identity, self.size, self.written, self.changed


@dataclass(slots=True)
class Watch:
    """Looks at a file again and again. What it has opened stays open until `close`."""

    path: Path
    _held: dict[Identity, Descriptor] = field(default_factory=dict)

    def look(self) -> FileState:
        """Return the state of the file. Raises `SourceFault` if it is missing or cannot be read."""
        try:
            for _ in range(_LOOKS):
                before = self._read_index()
                state = self.path.stat()
                header = self._read(self.path, _HEADER)
                after = self._read_index()
                if before == after:
                    break
            else:
                after = b""
        except OSError as exc:
            raise SourceFault(f"unable to open database file ({exc.strerror})") from exc
        return FileState(
            identity=(state.st_dev, state.st_ino),
            size=state.st_size,
            written=state.st_mtime_ns,
            changed=state.st_ctime_ns,
            is_wal=header[_READ_VERSION : _READ_VERSION + 1] == b"\2",
            counter=int.from_bytes(header[_COUNTER], "big"),
            log=self._look_at_log(),
            index_identity=self._identify("-shm"),
            index=after[_SALTS] + after[_BACKFILLED],
            is_copying=after[_BACKFILLED] != after[_ATTEMPTED],
        )

    def close(self) -> None:
        """Release the files. Call it when no connection of the watcher has them open."""
        while self._held:
            release(self._held.popitem()[1])

    def _look_at_log(self) -> Log | None:
        try:
            state = self._beside("-wal").stat()
        except FileNotFoundError:
            return None
        return Log((state.st_dev, state.st_ino), state.st_size, state.st_mtime_ns)

    def _identify(self, suffix: str) -> Identity | None:
        try:
            state = self._beside(suffix).stat()
        except FileNotFoundError:
            return None
        return state.st_dev, state.st_ino

    def _read_index(self) -> bytes:
        try:
            return self._read(self._beside("-shm"), _INDEX)
        except (FileNotFoundError, PermissionError):
            return b""

    def _read(self, path: Path, size: int) -> bytes:
        descriptor = hold(path)
        if descriptor.identity in self._held:
            release(descriptor)
        else:
            self._held[descriptor.identity] = descriptor
        return descriptor.read(size)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def look_once(path: Path) -> FileState:
    """Return the state of a file that this process need not keep open. Raises `SourceFault` as `Watch.look` does."""
    watch = Watch(path)
    try:
        return watch.look()
    finally:
        watch.close()
