"""Index files that processes share: built once, read by all, deleted with the last reader.

Whoever builds or reads a file holds a lock (``flock``) on it, which the kernel releases however the process ends. So a
file that nobody has locked is left over, and may be deleted. The name of a file changes last: one that has its final
name is complete.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openholder import SourceFault

POLL = 0.02
"""Seconds between attempts to lock a file that another process builds."""


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A complete file that this process has locked for reading, by its descriptor."""

    path: Path
    descriptor: int

    def release(self) -> None:
        """Unlock the file, and delete it if nobody else reads it."""
        if _lock(self.path, self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def name_private_folder(parent: Path) -> Path:
    """Return the folder for the files of this user in ``parent``, which other users may write to."""
    return parent / f"openholder-csv-{os.geteuid()}"


def open_private_folder(parent: Path) -> Path:
    """Create the user's folder. Raises `SourceFault` if another user could read its files or choose their content."""
    folder = name_private_folder(parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()  # a symlink would lead to a folder of somebody else's choice
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o077:
        raise SourceFault(f"{folder} must be a folder that only its owner, this user, can open; remove it")
    return folder


def delete_leftovers(folder: Path) -> None:
    """Delete the files that nobody has locked: those of processes that were killed."""
    for path in folder.glob("*"):
        descriptor = _open_locked(path, os.O_RDWR, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def share_file(folder: Path, key: str, build: Callable[[Path], None], pause: Callable[[], None]) -> SharedFile:
    """Return the file of this name, locked for reading. The first process to ask builds it, the others wait.

    Calls ``pause`` often while it waits. A process that fails or ends while it builds makes the next one build.
    """
    path = folder / f"{key}.index"
    with _take_turn(folder / f"{key}.lock", pause):
        descriptor = _open_locked(path, os.O_RDWR, fcntl.LOCK_SH)
        if descriptor is not None:
            return SharedFile(path, descriptor)
        new = folder / f"{key}.new"
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # before it has rows, and its name: it is never there unlocked
            build(new)
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return SharedFile(path, descriptor)


@contextmanager
def _take_turn(path: Path, pause: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a file that exists only while somebody holds it."""
    while (descriptor := _open_locked(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:
        pause()
        time.sleep(POLL)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _open_locked(path: Path, flags: int, operation: int) -> int | None:
    """Open and lock a file. Return its descriptor, or None if it is gone or locked by others."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return None
    if _lock(path, descriptor, operation):
        return descriptor
    os.close(descriptor)
    return None


def _lock(path: Path, descriptor: int, operation: int) -> bool:
    """Lock an open file. Return False if others have locked it, or if another process has deleted it meanwhile."""
    try:
        fcntl.flock(descriptor, operation)
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False
