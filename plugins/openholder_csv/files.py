"""The CSV files of a folder: list them, detect changes, and open their text."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from openholder import SourceFault

Bytes = BinaryIO | gzip.GzipFile
BLOCK = 262_144
"""Bytes to read from a file at a time."""


class FileState(NamedTuple):
    """What tells that a file is another one or has other content: times are in nanoseconds."""

    name: str
    inode: int
    size: int
    modified: int
    changed: int


Stamp = tuple[FileState, ...]


def read_stamp(folder: Path) -> Stamp:
    """Return a value that changes whenever a file of the folder does.

    A file moved into place has another inode even if ``mv`` kept its times. One rewritten in place keeps its inode, and
    with ``cp -p`` or ``rsync --inplace`` perhaps size and time of modification, but not the time of its last change.
    """
    states = [(path.name, path.stat()) for path in _list_paths(folder)]
    return tuple(FileState(name, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns) for name, at in states)


def _list_paths(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])


def get_table(path: Path) -> str:
    """Return the table that a file is loaded into: its name without the suffixes."""
    return name_table(path.name.removesuffix(".gz").removesuffix(".csv"))


def name_table(collection: str) -> str:
    """Return the table of a collection, whose name may be written with dots or underscores."""
    return collection.replace(".", "_")


def list_files(folder: Path) -> list[Path]:
    """Return every CSV file of the folder. Raises `SourceFault` if two of them belong to the same table."""
    files: dict[str, Path] = {}
    for path in _list_paths(folder):
        if not path.is_file():  # reading a named pipe would block for ever
            raise SourceFault(f"{path.name}: not a regular file")
        other = files.setdefault(get_table(path).lower(), path)  # SQLite folds the case of table names
        if other is not path:
            raise SourceFault(f"{other.name} and {path.name}: two files for one collection; remove one of them")
    return list(files.values())


def estimate_text(stamp: Stamp) -> int:
    """Return about how many bytes of text the files have, without reading them: gzip makes a tenth of such text."""
    return sum(state.size * 10 if state.name.endswith(".gz") else state.size for state in stamp)


@contextmanager
def open_bytes(path: Path) -> Iterator[Bytes]:
    """Open a file, decompressed. Turns errors while it is read into `SourceFault` with the file's name."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb", BLOCK) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise SourceFault(f"{path.name}: not a gzip file, or damaged or truncated") from exc
    except OSError as exc:
        raise SourceFault(f"{path.name}: cannot be read ({type(exc).__name__})") from exc


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open the text of a file. Bytes that are not UTF-8 become lone surrogates, which valid UTF-8 never contains.

    This is PEP 383. It lets `CSVRows` report the line and column of such a byte.
    """
    with open_bytes(path) as file, TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="") as text:
        yield text
