"""Pages of a list have each record once, also if nothing in the source says in which order equal records are.

Each case is one list. Each source returns equal records in another order for each query, as databases and APIs may.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from itertools import cycle

import pytest

from helpers.support import Upstream
from openholder import PLACE, Filter
from openholder.serving.access import build_owner_query
from openholder.sql import Dialect, Schema, Table
from openholder_csv import CSVSettings, CSVSource
from openholder_rest import RESTSettings, RESTSource
from openholder_sqlite import SQLiteSettings, SQLiteSource

NOON = "2026-06-15T12:00:00Z"
SIZE = 4
SINCE = Filter("executionDateTime", "ge", datetime(2026, 1, 1, tzinfo=UTC))


def make_rows(count, **members):
    return [{"accountId": "a1", **{name: value(n) for name, value in members.items()}} for n in range(count)]


def cycling(*values):
    return lambda number: values[number % len(values)]


CASES = {
    "no id, one time": ("energy.billing", make_rows(15, executionDateTime=lambda n: NOON, transactionUType=str), ()),
    "no id, one time, a window": (
        "energy.billing",
        make_rows(15, executionDateTime=lambda n: NOON, transactionUType=str),
        (SINCE,),
    ),
    "no time": ("energy.billing", make_rows(15, executionDateTime=lambda n: None, transactionUType=str), ()),
    "some times": ("energy.billing", make_rows(15, executionDateTime=cycling(NOON, None), transactionUType=str), ()),
    "ids are NULL": ("banking.transactions", make_rows(15, transactionId=lambda n: None, description=str), ()),
    "ids that repeat": ("banking.transactions", make_rows(15, transactionId=cycling("1", "2"), description=str), ()),
    "no order": ("banking.direct_debits", make_rows(15, lastDebitAmount=str), ()),
    "equal but for case": ("banking.direct_debits", make_rows(12, lastDebitDateTime=cycling("ab", "AB", "Ab")), ()),
    "records that are equal": ("banking.direct_debits", make_rows(15, lastDebitAmount=cycling("1", "2", "1")), ()),
}


@asynccontextmanager
async def open_view(folder, collection, rows, *, on_loop=True):
    name = write_tables(folder / "bank.db", collection, rows)
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.executescript(
            f'ALTER TABLE "{name}" RENAME TO base; CREATE INDEX own ON base (accountId);'
            f'CREATE VIEW "{name}" AS SELECT * FROM base; PRAGMA synchronous = OFF'
        )
    source = SQLiteSource("bank", SQLiteSettings(path=folder / "bank.db", connections=1, on_loop=on_loop))
    await source.open()
    database = source._watched.database
    reverse = cycle([True, False, False])

    async def fetch(query):
        statement = f"PRAGMA reverse_unordered_selects = {next(reverse)}"
        await database._idle[0].execute(statement)
        if database._on_loop:
            database._on_loop._connection.execute(statement)
        return source.fetch_now(query) or await source.fetch(query)

    try:
        yield fetch, source
    finally:
        await source.close()


def write_tables(path, collection, rows):
    name, columns = collection.replace(".", "_"), list(rows[0])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f'CREATE TABLE "{name}" ({", ".join(f"{column} TEXT COLLATE NOCASE" for column in columns)})'
        )
        marks = ", ".join("?" * len(columns))
        connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', [tuple(row.values()) for row in rows])
    return name


def open_view_in_threads(folder, collection, rows):
    return open_view(folder, collection, rows, on_loop=False)


@asynccontextmanager
async def open_dialect(folder, collection, rows):
    """A source of somebody's own, which knows no order of its tables."""
    name = write_tables(folder / "bank.db", collection, rows)
    schema = Schema(Dialect(), [Table(name, dict.fromkeys(rows[0], "TEXT"))], {})
    reverse = cycle([True, False, False])
    with closing(sqlite3.connect(folder / "bank.db")) as connection:

        async def run(statement, parameters):
            connection.execute(f"PRAGMA reverse_unordered_selects = {next(reverse)}")
            return connection.execute(statement, parameters).fetchall()

        async def fetch(query):
            return await schema.fetch(query, run)

        yield fetch, None


@asynccontextmanager
async def open_rest(folder, collection, rows):
    async with Upstream({}) as upstream:
        orders = cycle([rows, rows[::-1], rows[7:] + rows[:7]])

        def respond(handler):
            handler.set_header("Content-Type", "application/json")
            handler.finish(json.dumps(next(orders)))

        upstream.break_with = respond
        settings = RESTSettings(base_url=upstream.url, collections={collection: "/records"})
        source = RESTSource("bank", settings)
        await source.open()
        try:
            yield source.fetch, source
        finally:
            await source.close()


@asynccontextmanager
async def open_csv(folder, collection, rows):
    with (folder / f"{collection}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    source = CSVSource("bank", CSVSettings(path=folder))
    await source.open()
    try:
        yield source.fetch, source
    finally:
        await source.close()


SOURCES = {
    "sqlite": open_view,
    "sqlite, in threads": open_view_in_threads,
    "openholder.sql": open_dialect,
    "rest": open_rest,
    "csv": open_csv,
}


def identify(record):
    found = {name: value for name, value in record.items() if value is not None and name != PLACE}
    return json.dumps(found, sort_keys=True)


@pytest.mark.slow
@pytest.mark.parametrize("open_source", SOURCES.values(), ids=SOURCES)
@pytest.mark.gen_test
async def test_each_record_is_on_one_page(io_loop, tmp_path, open_source):
    for number, (name, (collection, rows, filters)) in enumerate(CASES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with open_source(folder, collection, rows) as (fetch, _):
            query = build_owner_query(collection, {"customerId": "c1", "accountId": "a1"}, filters)
            for _ in range(2):
                pages = [await fetch(query.cut(offset, SIZE)) for offset in range(0, len(rows), SIZE)]
                records = [identify(record) for page in pages for record in page.records]
                assert (name, Counter(records)) == (name, Counter(map(identify, rows)))
                assert {page.total for page in pages} == {len(rows)}


@pytest.mark.parametrize(
    ("open_source", "said"),
    [
        (
            open_view,
            "view 'energy_billing' has no order of its own, so each page of 'energy.billing' sorts all records",
        ),
        (open_rest, "'energy.billing' is not sorted by an id, so on several pages, records that are equal in"),
    ],
)
@pytest.mark.gen_test
async def test_check_says_which_collection_and_what_it_costs(io_loop, tmp_path, open_source, said):
    collection, rows, _ = CASES["no id, one time"]
    query = build_owner_query(collection, {"customerId": "c1", "accountId": "a1"})
    async with open_source(tmp_path, collection, rows) as (_, source):
        assert await source.advice(query) == []
        (text,) = await source.advice(query.cut(0, 25))
    assert text.startswith(said)
