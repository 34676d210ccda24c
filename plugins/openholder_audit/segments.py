"""The files of an audit trail: who writes which, in which order they belong together, and how one is written.

Each process that writes has a number, which it holds by a lock, and a row of files of its own:
``audit-00-000001.jsonl``, ``audit-00-000002.jsonl``. The first line of each names the last hash of the one before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from openholder_audit.chain import FIRST, BrokenLine, Chain, read_line

MAX_WRITERS = 256
"""Processes that may write into one folder at a time."""
TAIL = 1_048_576
"""Bytes at the end of a file in which its last line is: a record has at most 1,000 accounts."""

_NAME = re.compile(r"audit-(\d{2,3})-(\d{6,})\.jsonl")


class SegmentName(NamedTuple):
    """A file by its writer and its number."""

    writer: int
    number: int

    def __str__(self) -> str:
        return f"audit-{self.writer:02d}-{self.number:06d}.jsonl"


def list_segments(folder: Path) -> Iterator[SegmentName]:
    """Yield the files of a folder in order: those of each writer, the oldest first."""
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    yield from sorted(SegmentName(int(name[1]), int(name[2])) for name in found if name)


def format_time(seconds: float) -> str:
    """Format seconds since 1970 as a time in UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class WriterLock:
    """The number of one writer, held until it is released or the process ends, however it does."""

    def __init__(self, folder: Path) -> None:
        """Take the lowest number that is free. Raises `OSError` if all are taken, or the folder cannot be written."""
        for number in range(MAX_WRITERS):
            path = folder / f"audit-{number:02d}.lock"
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._descriptor)
                continue
            self.number = number
            return
        raise OSError(f"all {MAX_WRITERS} writers of the folder are in use")

    def release(self) -> None:
        """Let others have the number."""
        os.close(self._descriptor)


def find_head(paths: Sequence[Path]) -> str:
    """Find the hash of the last whole line in a row of files. The end of one may be torn, after a crash."""
    for path in reversed(paths):
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            lines = file.read().splitlines(keepends=True)
        for line in reversed(lines):
            with contextlib.suppress(BrokenLine):
                return str(read_line(line)["hash"])
    return FIRST


class Segment:
    """One file that is being written.

    Args:
        folder: Where it is.
        writer: The number of the writer.
        chain: Seals the lines.
        about: Members of the first line besides those that name the file.
        last: The file before, if this process has written it: it may have been changed or removed since.
    """

    def __init__(
        self, folder: Path, writer: int, chain: Chain, about: dict[str, Any], last: Segment | None = None
    ) -> None:
        before = [name for name in list_segments(folder) if name.writer == writer]
        numbers = [name.number for name in before] + ([last.name.number] if last else [])
        self.name: SegmentName = SegmentName(writer, max(numbers, default=0) + 1)
        self.path = folder / str(self.name)
        self.head: str = last.head if last else find_head([folder / str(name) for name in before])
        self.began = time.time()
        self.failed = False
        """Whether the disk has failed: nobody knows what of the file is on it."""
        self.records = 0
        self.size = 0
        self.dirty = False
        self._chain = chain
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)
        try:
            self._append({"time": format_time(self.began), "segment": str(self.name), **about})
            _sync_folder(folder)
        except BaseException:
            os.close(self._descriptor)
            self.path.unlink(missing_ok=True)
            raise

    def write(self, members: dict[str, Any]) -> None:
        """Append a record. Raises `OSError` if it cannot be written; nothing of it is left then."""
        self._append(members)
        self.records += 1

    def _append(self, members: dict[str, Any]) -> None:
        line, head = self._chain.seal(members, self.head)
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError(28, "No space left on device")
        except OSError:
            try:
                os.ftruncate(self._descriptor, self.size)
            except OSError:
                self.failed = True  # its end is torn: the next record begins a new file
            raise
        self.head = head
        self.size += len(line)
        self.dirty = True

    def is_in_place(self) -> bool:
        """Return whether the path still leads to this file, and it has kept its length."""
        try:
            found, own = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return found.st_ino == own.st_ino and found.st_size == self.size

    def sync(self) -> None:
        """Force what was written to the disk. It may block. After a failure it fails again, as the data may be lost."""
        if self.failed:
            raise OSError(5, "the disk has failed before")
        self.dirty = False
        try:
            os.fdatasync(self._descriptor)
        except BaseException:
            self.dirty = self.failed = True
            raise

    def close(self) -> None:
        """Force the rest to the disk, and close the file."""
        try:
            if self.dirty and not self.failed:
                self.sync()
        finally:
            os.close(self._descriptor)


def _sync_folder(folder: Path) -> None:
    """Force the name of a new file to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
