"""Which tokens have been used. One method, atomic: add if absent.

An entry is 16 bytes of BLAKE2b over issuer and jti, whatever the jti's length: no personal data, nothing to log. It
stays until no clock could accept its token again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import aiosqlite

PURGE_BATCH = 2000
PURGE_INTERVAL = 10.0


def digest(issuer: str, token_id: str) -> bytes:
    """The 16 bytes under which a token is remembered."""
    return blake2b(f"{issuer}\0{token_id}".encode(), digest_size=16).digest()


class ReplayStore(Protocol):
    """Where used tokens are remembered."""

    async def open(self) -> None:
        """Make ready; called once, in the process that will use it."""

    async def close(self) -> None:
        """Give everything back."""

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """Remember ``entry`` until ``expires_at`` (seconds since 1970). True for its first use, False ever after.

        Atomic over everybody who shares the store. Any exception means that nobody can tell: never an acceptance.
        """
        ...


class MemoryStore:
    """For one process: a set, and a wheel of one-second lists that says what may be forgotten.

    A heap would do too, but frees a million entries in one pause of seconds; here each call forgets a few.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._used: set[bytes] = set()
        self._wheel: dict[int, list[bytes]] = {}
        self._swept = int(clock())

    async def open(self) -> None:
        """Nothing to make ready."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. There is no await inside, so nothing comes between looking and adding."""
        self._forget()
        if entry in self._used:
            return False
        self._used.add(entry)
        self._wheel.setdefault(max(int(expires_at) + 1, self._swept), []).append(entry)
        return True

    def _forget(self) -> None:
        now, budget = self._clock(), PURGE_BATCH
        while self._swept <= now and budget > 0:
            expired = self._wheel.get(self._swept)
            if not expired:
                self._wheel.pop(self._swept, None)
                self._swept += 1
                continue
            self._used.difference_update(expired[-budget:])
            count = len(expired)
            del expired[-budget:]
            budget -= count - len(expired)


class SQLiteStore:
    """For all processes of one machine: a file on a local disk, never on a network share.

    ``synchronous = NORMAL`` in WAL mode loses the last moments in a power cut only; their tokens expire by themselves.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._connection: aiosqlite.Connection | None = None
        self._purge: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open or create the file. Raises `sqlite3.Error` when it is not usable."""
        self._connection = await aiosqlite.connect(self._path, isolation_level=None)
        try:
            for statement in (
                "PRAGMA busy_timeout = 2000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
                "CREATE TABLE IF NOT EXISTS used (entry BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID",
                "CREATE INDEX IF NOT EXISTS used_expires ON used (expires)",
            ):
                await self._connection.execute_fetchall(statement)
        except BaseException:
            await self._connection.close()
            raise
        self._purge = asyncio.create_task(self._keep_small(self._connection))

    async def close(self) -> None:
        """Stop purging and close the file."""
        if self._purge:
            self._purge.cancel()
            await asyncio.gather(self._purge, return_exceptions=True)
        if self._connection:
            await self._connection.close()

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. One statement, so SQLite's own lock makes it atomic over processes."""
        if self._connection is None:
            raise RuntimeError("open() comes before add_if_absent()")
        added = await self._connection.execute_fetchall(
            "INSERT INTO used (entry, expires) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1", (entry, expires_at)
        )
        return bool(added)

    async def _keep_small(self, connection: aiosqlite.Connection) -> None:
        while True:
            await asyncio.sleep(PURGE_INTERVAL)
            purged = PURGE_BATCH
            while purged == PURGE_BATCH:
                rows = await connection.execute_fetchall(
                    "DELETE FROM used WHERE entry IN (SELECT entry FROM used WHERE expires < ? LIMIT ?) RETURNING 1",
                    (self._clock(), PURGE_BATCH),
                )
                purged = len(list(rows))
