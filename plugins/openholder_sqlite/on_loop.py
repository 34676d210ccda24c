"""Answer short queries on the event loop: what an index answers takes less time than handing it to a thread.

A query may take two milliseconds. What needs more, meets a lock or fails in any way is left to the threads, which
answer it from the beginning.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import datetime

from openholder import Page, Query
from openholder.sql import Schema
from openholder_sqlite.plain_times import MakeSchema, PlainTimes
from openholder_sqlite.sql_functions import make_functions

BUDGET = 0.002
"""Seconds of the processor's time that one query may take on the loop."""
LIMIT = 0.010
"""Seconds after which it is given up in any case: it waits for the disk, or the machine is busy with something else."""
STEPS = 1000
"""Steps of SQLite's virtual machine between two looks at the clocks: 10 to 50 microseconds."""
PAUSE = 1.0
"""Seconds for which a table is left to the threads after a query that did too much; all tables, if the limit passed."""


class OnLoop:
    """One connection that belongs to the event loop's own thread, and that never waits for locks.

    ``connect`` opens it; ``make_schema`` makes the schema of its tables for given plain times.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], make_schema: MakeSchema) -> None:
        self._connection = connect()
        for name, arguments, function in make_functions([]):
            self._connection.create_function(name, arguments, function, deterministic=True)
        self._connection.set_progress_handler(self._is_over_budget, STEPS)
        self._schema = make_schema({}, True)
        self._plain_times = PlainTimes(connect, self._connection, make_schema)
        self._deadline = 0.0
        self._cpu_deadline = 0.0
        self._paused: dict[str, float] = {}
        """For each collection, and "" for all, the time until which it is left to the threads."""

    async def close(self) -> None:
        """Close the connection."""
        await self._plain_times.close()
        self._connection.close()

    def fetch(self, query: Query) -> Page | None:
        """Answer a query, or return None to leave it to the threads."""
        started = time.perf_counter()
        if self._paused and started < max(self._paused.get(query.collection, 0.0), self._paused.get("", 0.0)):
            return None
        self._deadline, self._cpu_deadline = started + LIMIT, time.thread_time() + BUDGET
        try:
            if not _reads_times(query):
                return self._run(self._schema, query)
            self._connection.execute("BEGIN")
            try:
                return self._fetch_by_time(query)
            finally:
                self._connection.rollback()
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            # The module's own errors have no code: text that is not UTF-8, for example.
            if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                now = time.perf_counter()
                self._paused["" if now > self._deadline else query.collection] = now + PAUSE
            return None

    def _fetch_by_time(self, query: Query) -> Page:
        self._plain_times.refresh(query)
        member = self._plain_times.find_time(query)
        if (
            member
            and query.limit is not None
            and time.perf_counter() >= self._paused.get(f"{query.collection} ties", 0)
        ):
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
            page = self._run(self._plain_times.streaming, wider)
            times = [row[member] for row in page.records]
            if len(set(times)) == len(times):
                return Page(records=page.records[before : before + query.limit], total=page.total)
            self._paused[f"{query.collection} ties"] = time.perf_counter() + PAUSE
        return self._run(self._plain_times.schema, query)

    def _run(self, schema: Schema, query: Query) -> Page:
        steps = schema.steps(query)
        try:
            statement = next(steps)
            while True:
                statement = steps.send(self._connection.execute(*statement).fetchall())
        except StopIteration as end:
            page: Page = end.value
            return page

    def _is_over_budget(self) -> bool:
        return time.thread_time() > self._cpu_deadline or time.perf_counter() > self._deadline


def _reads_times(query: Query) -> bool:
    return any(order.reads == "instant" for order in query.order) or any(
        isinstance(condition.value, datetime) for condition in query.filters
    )
