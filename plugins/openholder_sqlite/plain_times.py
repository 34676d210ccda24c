"""Find out which times of a table are all written like ``2026-01-31T23:59:59Z``: their text sorts as the moments do.

SQLite then filters and sorts by the text itself, through an index if there is one, instead of calling Python for each
row. All rows are looked at, in C and in a thread of its own. One value that differs is enough to leave it as it is.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime

from openholder import Query
from openholder.sql import Schema, Table
from openholder_sqlite.dialect import PlainColumns, SQLiteDialect, Times, quote_identifier

INTERVAL = 10.0
"""Seconds between two looks at one table. Data that is written to all the time is not looked at all the time."""
SHARE = 0.05
"""The largest part of a thread's time that looking may take."""

# The pattern and the ranges accept days up to the 28th, which nearly all are, at half the cost of strftime. That
# repeats exactly the texts that name an existing second; without a modifier it would repeat 30 February too. The year
# 0000 exists in SQLite only.
_LOOK = """
SELECT NOT EXISTS (
         SELECT 1 FROM {table} WHERE {time} IS NOT NULL AND NOT (
           typeof({time}) = 'text' AND {time} >= '0001'
           AND {time} GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-2][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z'
           AND substr({time}, 6, 2) BETWEEN '01' AND '12'
           AND substr({time}, 9, 2) BETWEEN '01' AND '28'
           AND substr({time}, 12, 2) <= '23'
         ) AND NOT coalesce(
           typeof({time}) = 'text' AND {time} >= '0001'
           AND strftime('%Y-%m-%dT%H:%M:%SZ', {time}, '+0 seconds') = {time} COLLATE BINARY, 0)),
       NOT EXISTS (SELECT 1 FROM {table} WHERE {first} IS NULL)
"""


class PlainTimes:
    """What is known of the times of a database's tables, and the schema that makes use of it.

    ``connect`` opens a connection for the thread that looks; ``connection`` is that of the event loop, and ``schema``
    the one that assumes nothing.
    """

    schema: Schema
    """The schema that compares as text whatever can be."""
    streaming: Schema
    """The same, with nothing added to the order of a query: the database may return rows as an index has them."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        connection: sqlite3.Connection,
        schema: Schema,
    ) -> None:
        self._connect = connect
        self._connection = connection
        self._cautious = schema
        self._version = 0
        self._learn({})
        self._next: dict[Times, float] = {}
        self._looks: dict[Times, asyncio.Task[None]] = {}
        self._looking: set[sqlite3.Connection] = set()

    async def close(self) -> None:
        """Stop looking."""
        for connection in self._looking:
            connection.interrupt()
        await asyncio.gather(*self._looks.values(), return_exceptions=True)

    def refresh(self, query: Query) -> None:
        """Forget what other data has shown, and look at what is not known yet of the times in a query.

        Call it in the transaction in which the query is answered.
        """
        version = self._read_version()
        if version != self._version:
            self._version = version
            if self._known:
                self._learn({})
        table = self.schema.table(query.collection)
        for times in list_times(table, query):
            if times not in self._known and times not in self._looks and time.monotonic() >= self._next.get(times, 0.0):
                self._looks[times] = asyncio.create_task(self._look(table, times, version))

    def find_time(self, query: Query) -> str | None:
        """Return the one member by which a query sorts first, if it is plain and every row has it."""
        if not query.order or query.order[0].reads != "instant":
            return None
        members = query.order[0].members
        table = self.schema.table(query.collection)
        is_complete = self._known.get((table.collection, members))
        return next(member for member in members if member in table.members) if is_complete else None

    def _learn(self, known: PlainColumns) -> None:
        self._known = known
        self.schema = self.streaming = self._cautious
        if known:
            dialect = SQLiteDialect(known)
            self.schema = self._cautious.with_dialect(dialect)
            self.streaming = self._cautious.with_dialect(dialect, keeps_order=False)

    def _read_version(self) -> int:
        """Return a number that changes when anybody has changed the data."""
        ((version,),) = self._connection.execute("PRAGMA data_version")
        return int(version)

    async def _look(self, table: Table, times: Times, version: int) -> None:
        started = time.monotonic()
        try:
            is_plain, is_complete = await asyncio.to_thread(self._look_in_thread, table, times)
            # What was seen holds for this version only if nobody changed the data meanwhile.
            if self._read_version() == version == self._version and is_plain:
                self._learn({**self._known, times: is_complete})
        except sqlite3.Error:
            pass  # a query of the table says what is wrong with it
        finally:
            now = time.monotonic()
            self._next[times] = now + max(INTERVAL, (now - started) / SHARE)
            del self._looks[times]

    def _look_in_thread(self, table: Table, times: Times) -> tuple[bool, bool]:
        connection = self._connect()
        self._looking.add(connection)
        try:
            columns = [quote_identifier(column) for column in table.columns(times[1])]
            value = f"coalesce({', '.join(columns)})" if len(columns) > 1 else columns[0]
            statement = _LOOK.format(table=quote_identifier(table.name), time=value, first=columns[0])
            ((is_plain, is_complete),) = connection.execute(statement)
            return bool(is_plain), bool(is_complete)
        finally:
            self._looking.remove(connection)
            connection.close()


def list_times(table: Table, query: Query) -> set[Times]:
    """List the times by which a query filters or sorts, as far as the table has any."""
    compared = [condition.members for condition in query.filters if isinstance(condition.value, datetime)]
    sorted_by = [order.members for order in query.order if order.reads == "instant"]
    changed = table.converted | table.tidied
    return {
        (table.collection, members)
        for members in (*compared, *sorted_by)
        if table.columns(members) and changed.isdisjoint(members)
    }
