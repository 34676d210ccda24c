"""What errors of SQLite mean for the host: an answer that can be had later, or a fault that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from openholder import SourceFault, SourceUnavailable, describe

FUNCTION_FAILED = "user-defined function raised exception"
SAFE_TEXTS = (
    r"no such (table|column|function|module|collation sequence): \S+",
    r"database is locked",
    r"database (table|schema) is locked(: \S+)?",
    r"database disk image is malformed",
    r"database or disk is full",
    r"disk I/O error",
    r"file is not a database",
    r"unable to open database file",
    r"too many (SQL variables|columns on \S+)",
    r"view \S+ is circularly defined",
    r"integer overflow",
    r"interrupted",
    r"malformed JSON",
    r"out of memory",
    FUNCTION_FAILED,
)
"""Messages of SQLite that name tables and columns at most. Others quote a value: ``JSON path error near '…'``."""

LOCKED_TEXT = "the file is locked by another process"
LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
RETRY_AFTER = 2
"""Seconds after which to try again if the file is locked: writers hold locks for milliseconds, jobs for minutes."""

_NO_SHARED_MEMORY = (
    "the file is in WAL mode and cannot be read without -wal and -shm beside it: allow the server to write to the "
    "folder and to both, or let the writer run PRAGMA journal_mode=DELETE before it hands the file over"
)
STATES: Mapping[str, str] = {
    "SQLITE_READONLY_ROLLBACK": (
        "a writer has crashed and its -journal beside the file must be rolled back: open the file once for writing, "
        "such as with `sqlite3 FILE .tables`; but if a new file has taken the place of the one that the journal "
        "belongs to, delete the journal"
    ),
    "SQLITE_READONLY_DIRECTORY": _NO_SHARED_MEMORY,
    "SQLITE_READONLY_CANTINIT": _NO_SHARED_MEMORY,
    "SQLITE_READONLY_RECOVERY": _NO_SHARED_MEMORY,
    "SQLITE_CANTOPEN": (
        "unable to open database file: it must be readable, and in WAL mode its -wal and -shm writable too"
    ),
}
"""States of a file in which it cannot be read until somebody acts, by the name of SQLite's error."""


def is_locked(exc: Exception) -> bool:
    """Tell whether a query failed because another process has locked the file.

    The module's own errors have no code: that of text which is not UTF-8, for example.
    """
    code = getattr(exc, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in LOCKED


def translate(exc: Exception, what: str) -> SourceFault | SourceUnavailable:
    """Return the exception for an error of SQLite.

    Args:
        exc: The error.
        what: What could not be read, such as the table.
    """
    if is_locked(exc):
        return SourceUnavailable(f"{what}: {LOCKED_TEXT}", retry_after=RETRY_AFTER)
    state = STATES.get(str(getattr(exc, "sqlite_errorname", "")))
    return SourceFault(f"{what}: {state or describe(exc, SAFE_TEXTS)}")
