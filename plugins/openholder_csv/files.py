"""The CSV files of a folder: list them, detect changes, and open their text."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import TextIO

from openholder import SourceFault

Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and modification time (nanoseconds) of each file."""
Bytes = BufferedReader | gzip.GzipFile
BLOCK = 1_048_576
"""Bytes to decompress at a time while the text of a ``.csv.gz`` is measured."""


def read_stamp(folder: Path) -> Stamp:
    """Return a value that changes whenever a file of the folder does.

    All three are needed: a file moved into place has another inode even if ``mv`` or ``cp -p`` kept its time, and a
    file rewritten in place keeps its inode but not its time, or at least not its size.
    """
    states = [(path.name, path.stat()) for path in _list_paths(folder)]
    return tuple((name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states)


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


def measure_text(path: Path, most: int, pause: Callable[[], None]) -> int:
    """Return the uncompressed size of a file in bytes.

    Raises `SourceFault` if it is larger than ``most``. Calls ``pause`` after every block.
    """
    with open_bytes(path) as file:
        if _is_gzip(path):
            # Count the bytes: the size that a gzip file states may be wrong (RFC 1952, 2.3.1: modulo 2^32).
            size = 0
            while size <= most and (block := file.read(BLOCK)):
                size += len(block)
                pause()
        else:
            size = path.stat().st_size
    if size > most:
        raise SourceFault(f"{path.name}: larger than `max_bytes` allows ({most} bytes of uncompressed text)")
    return size


@contextmanager
def open_bytes(path: Path) -> Iterator[Bytes]:
    """Open a file, decompressed. Turns errors while it is read into `SourceFault` with the file's name."""
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:
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


def _is_gzip(path: Path) -> bool:
    return path.suffix == ".gz"
