"""Answer short queries on the event loop: what an index answers takes less time than handing it to a thread.

A query may take two milliseconds. What needs more, meets a lock or fails in any way is left to the threads, which
answer it from the beginning.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from openholder import Page, Query
from openholder.sql import Schema
from openholder_sqlite.plain_times import PlainTimes
from openholder_sqlite.sql_functions import make_functions

BUDGET = 0.002
"""Seconds of the processor's time that one query may take on the loop."""
LIMIT = 0.020
"""Seconds after which it is given up in any case: it waits for the disk, or the machine is busy with something else."""
STRIKES = 3
"""Queries over the limit within a pause after which the disk counts as slow."""
STEPS = 1000
"""Steps of SQLite's virtual machine between two looks at the clocks: 10 to 50 microseconds."""
PAUSE = 1.0
"""Seconds for which a table is left to the threads after a query that did too much; all tables, if the disk is slow."""


class OnLoop:
    """One connection that belongs to the event loop's own thread, and that never waits for locks.

    ``connect`` opens it; ``schema`` has its tables.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], schema: Schema) -> None:
        self._connection = connect()
        for name, arguments, function in make_functions([]):
            self._connection.create_function(name, arguments, function, deterministic=True)
        self._connection.set_progress_handler(self._is_over_budget, STEPS)
        self._schema = schema
        self._plain_times = PlainTimes(connect, self._connection, schema)
        self._started = 0.0
        self._deadline = 0.0
        self._cpu_deadline = 0.0
        self._strikes: list[float] = []
        self._paused: dict[str, float] = {}
        """For each collection, and "" for all, the time until which it is left to the threads."""

    async def close(self) -> None:
        """Close the connection."""
        await self._plain_times.close()
        self._connection.close()

    def fetch(self, query: Query) -> Page | None:
        """Answer a query, or return None to leave it to the threads."""
        if self._paused and self._is_paused(query.collection, ""):
            return None
        self._deadline = 0.0
        try:
            if not _reads_times(query):
                return self._schema.fetch_now(query, self._select)
            self._connection.execute("BEGIN")
            try:
                return self._fetch_by_time(query)
            finally:
                self._connection.rollback()
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            # The module's own errors have no code: text that is not UTF-8, for example.
            if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                self._note_interrupt(query.collection)
            return None

    def _select(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        return self._connection.execute(statement, parameters).fetchall()

    def _is_paused(self, *names: str) -> bool:
        """Tell whether one of these is left to the threads. Forget what was, and is not any more."""
        now = time.perf_counter()
        for name in names:
            if now < self._paused.get(name, now):
                return True
            self._paused.pop(name, None)
        return False

    def _fetch_by_time(self, query: Query) -> Page | None:
        self._plain_times.refresh(query)
        member = self._plain_times.find_time(query)
        if member and query.limit is not None and not self._is_paused(f"{query.collection} ties"):
            # An index has the order of the times, but the ids that break ties need a sort of all rows before the page.
            # If no two times on the page and beside it are the same, the index was right.
            before = 1 if query.offset else 0
            wider = Query(
                collection=query.collection,
                filters=query.filters,
                order=query.order[:1],
                offset=query.offset - before,
                limit=query.limit + before + 1,
            )
            page = self._plain_times.streaming.fetch_now(wider, self._select)
            if page is None:
                return None
            times = [row[member] for row in page.records]
            if len(set(times)) == len(times):
                return Page(records=page.records[before : before + query.limit], total=page.total)
            self._paused[f"{query.collection} ties"] = time.perf_counter() + PAUSE
        return self._plain_times.schema.fetch_now(query, self._select)

    def _note_interrupt(self, collection: str) -> None:
        now = time.perf_counter()
        if now <= self._deadline:
            self._paused[collection] = now + PAUSE
            return
        self._strikes = [earlier for earlier in self._strikes if now - earlier < PAUSE] + [now]
        if len(self._strikes) >= STRIKES:
            self._paused[""] = now + PAUSE

    def _is_over_budget(self) -> bool:
        now = time.perf_counter()
        if not self._deadline:  # the first look of a query: most are done before it
            self._started, self._deadline = now, now + LIMIT
            self._cpu_deadline = time.thread_time() + BUDGET
            return False
        # Reading the thread's clock is a system call, and it shows no more than the other one.
        return now - self._started > BUDGET and (now > self._deadline or time.thread_time() > self._cpu_deadline)


def _reads_times(query: Query) -> bool:
    # Two loops rather than any(): nearly all queries end here without any filter on a time.
    for order in query.order:
        if order.reads == "instant":
            return True
    for condition in query.filters:  # noqa: SIM110
        if isinstance(condition.value, datetime):
            return True
    return False
