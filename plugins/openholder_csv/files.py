"""The files of a folder: which there are, what changes when they do, and how their text is opened."""

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
Unpacked = BufferedReader | gzip.GzipFile
BLOCK = 1_048_576
"""Bytes that are unpacked at a time while the text of a ``.csv.gz`` is measured."""


def stamp(folder: Path) -> Stamp:
    """What changes when a file of the folder does: name, inode, size and time of each."""
    states = [(path.name, path.stat()) for path in _paths(folder)]
    return tuple((name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states)


def _paths(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])


def table_of(path: Path) -> str:
    """The table that a file becomes: by its name without the endings."""
    return table_called(path.name.removesuffix(".gz").removesuffix(".csv"))


def table_called(collection: str) -> str:
    """The table of a collection, whether its name is written with dots or underscores."""
    return collection.replace(".", "_")


def files(folder: Path) -> list[Path]:
    """Every file of the folder. Raises `SourceFault` where two would be the same table."""
    found: dict[str, Path] = {}
    for path in _paths(folder):
        if not path.is_file():  # a named pipe would be waited for without end
            raise SourceFault(f"{path.name}: is no file")
        other = found.setdefault(table_of(path).lower(), path)  # SQLite's names of tables fold case
        if other is not path:
            raise SourceFault(f"{other.name} and {path.name}: two files for one collection")
    return list(found.values())


def text_bytes(path: Path, most: int, pause: Callable[[], None]) -> int:
    """How many bytes of text a file has; at most ``most``, or it is refused. ``pause`` is called now and then."""
    with opened(path) as file:
        size = _unpacked(file, most, pause) if _packed(path) else path.stat().st_size
    if size > most:
        raise SourceFault(f"{path.name}: has more than the {most} bytes of text that `max_bytes` allows")
    return size


def _unpacked(file: Unpacked, most: int, pause: Callable[[], None]) -> int:
    """Count what comes out: the size that a gzip file states may be a lie (RFC 1952, 2.3.1: modulo 2^32)."""
    size = 0
    while size <= most and (block := file.read(BLOCK)):
        size += len(block)
        pause()
    return size


@contextmanager
def opened(path: Path) -> Iterator[Unpacked]:
    """The bytes of a file, unpacked. What goes wrong while they are read is a `SourceFault` with the file's name."""
    try:
        with gzip.open(path) if _packed(path) else path.open("rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise SourceFault(f"{path.name}: is no gzip file, or is damaged or cut off") from exc
    except OSError as exc:
        raise SourceFault(f"{path.name}: {type(exc).__name__}") from exc


@contextmanager
def text_of(path: Path) -> Iterator[TextIO]:
    """The text of a file. A byte that is not UTF-8 comes as a lone surrogate, which no UTF-8 text has (PEP 383)."""
    with opened(path) as file, TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="") as text:
        yield text


def _packed(path: Path) -> bool:
    return path.suffix == ".gz"
