"""Answer short queries on the event loop: what an index answers takes less time than handing it to a thread.

A query may take two milliseconds. What needs more, meets a lock or fails in any way is left to the threads, which
answer it from the beginning.
"""

from __future__ import annotations

import sqlite3
import time

from openholder import Page, Query
from openholder.sql import Schema
from openholder_sqlite.sql_functions import make_functions

BUDGET = 0.002
"""Seconds that one query may take on the loop."""
STEPS = 1000
"""Steps of SQLite's virtual machine between two looks at the clock: 10 to 50 microseconds."""
PAUSE = 1.0
"""Seconds for which a table whose query ran out of its budget is left to the threads."""
SLOW_DISK = 0.010
"""Seconds after which a query must have been given up. One that took longer waited for the disk."""
LONG_PAUSE = 10.0
"""Seconds for which all tables are left to the threads after that."""


class OnLoop:
    """One connection that belongs to the event loop's own thread, and that never waits for locks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        for name, arguments, function in make_functions([]):
            self._connection.create_function(name, arguments, function, deterministic=True)
        self._connection.set_progress_handler(self._is_over_budget, STEPS)
        self._deadline = 0.0
        self._paused: dict[str, float] = {}
        """For each collection, and "" for all, the time until which it is left to the threads."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def fetch(self, schema: Schema, query: Query) -> Page | None:
        """Answer a query, or return None to leave it to the threads."""
        started = time.perf_counter()
        if started < self._paused.get(query.collection, 0.0) or started < self._paused.get("", 0.0):
            return None
        self._deadline = started + BUDGET
        steps = schema.steps(query)
        try:
            statement = next(steps)
            while True:
                statement = steps.send(self._connection.execute(*statement).fetchall())
        except StopIteration as end:
            page: Page = end.value
            return page
        except sqlite3.Error as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                self._pause(query.collection, started)
            return None

    def _is_over_budget(self) -> bool:
        return time.perf_counter() > self._deadline

    def _pause(self, collection: str, started: float) -> None:
        now = time.perf_counter()
        self._paused[collection] = now + PAUSE
        if now - started > SLOW_DISK:
            self._paused[""] = now + LONG_PAUSE
