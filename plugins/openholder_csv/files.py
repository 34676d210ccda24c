"""The CSV files of a folder: list them, detect changes, and open their text."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from openholder import SourceFault
from openholder.mapping import name_table
from openholder_csv.settings import CSVSettings

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


def read_stamp(settings: CSVSettings) -> Stamp:
    """Return a value that changes whenever a file of the folder does.

    A file moved into place has another inode even if ``mv`` kept its times. One rewritten in place keeps its inode, and
    with ``cp -p`` or ``rsync --inplace`` perhaps size and time of modification, but not the time of its last change.
    """
    states = []
    for path in sorted({*settings.tables.values(), *_list_names(settings)}):
        with suppress(FileNotFoundError):
            at = (settings.path / path).stat()
            states.append(FileState(path, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns))
    return tuple(states)


def _list_names(settings: CSVSettings) -> list[str]:
    """Return the names of the files that are named after their collection."""
    names = {path.name for pattern in ("*.csv", "*.csv.gz") for path in settings.path.glob(pattern)}
    return sorted(names - {*settings.tables.values(), settings.marker})


def list_files(settings: CSVSettings) -> dict[str, Path]:
    """Return the file of each table. Raises `SourceFault` if there are two for one."""
    own = [(name.removesuffix(".gz").removesuffix(".csv"), name) for name in _list_names(settings)]
    files: dict[str, Path] = {}
    for collection, name in [*settings.tables.items(), *own]:
        path, table = settings.path / name, name_table(collection)
        if path.exists() and not path.is_file():  # reading a named pipe would block for ever
            raise SourceFault(f"{name}: not a regular file")
        other = next((known for known in files if known.lower() == table.lower()), None)  # as SQLite compares names
        if other is not None:
            raise SourceFault(f"{files[other].name} and {name}: two files for one collection; remove one of them")
        files[table] = path
    return files


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
def open_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open the text of a file. Bytes that are not of the encoding become lone surrogates, which no valid text contains.

    This is PEP 383. It lets `CSVRows` report the line and column of such a byte.
    """
    with open_bytes(path) as file, TextIOWrapper(file, encoding, errors="surrogateescape", newline="") as text:
        try:
            yield text
        except UnicodeError:  # UTF-16 has faults that are no byte, such as half a character at the end
            raise SourceFault(f"{path.name}: not {encoding}") from None
