"""Short queries are answered on the event loop; whatever takes long is left to the threads."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime

import pytest

from openholder import Filter, Query, SourceFault
from openholder.sql import Schema, Table
from openholder_sqlite import SQLiteSettings, SQLiteSource
from openholder_sqlite.dialect import SQLiteDialect
from openholder_sqlite.on_loop import OnLoop

TABLES = """
CREATE TABLE accounts (id TEXT PRIMARY KEY, customerId TEXT, openedAt TEXT);
INSERT INTO accounts VALUES ('a1', 'c1', '2026-01-01T00:00:00Z'), ('a2', 'c1', 'yesterday');
CREATE VIEW forever AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n LIMIT 300000) SELECT id FROM n;
"""
ACCOUNT = Query(collection="accounts", filters=(Filter("id", "eq", "a1"),))
FOREVER = Query(collection="forever", filters=(Filter("id", "eq", "300000"),))


@pytest.fixture
def path(tmp_path):
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        connection.executescript(TABLES)
    return tmp_path / "bank.db"


def make_schema():
    accounts = Table("accounts", {"id": "TEXT", "customerId": "TEXT", "openedAt": "TEXT"}, ("rowid",))
    return Schema(SQLiteDialect(), [accounts, Table("forever", {"id": ""}, is_view=True)], {})


@pytest.fixture
def on_loop(io_loop, path, monkeypatch):
    monkeypatch.setattr(
        "openholder_sqlite.on_loop.LIMIT", 60.0
    )  # so that a busy machine does not look like a slow disk
    connection = OnLoop(lambda: sqlite3.connect(path, timeout=0, isolation_level=None), make_schema())
    yield connection
    io_loop.run_sync(connection.close)


def read_ids(page):
    return [row["id"] for row in page.records]


def test_a_short_query_is_answered(on_loop):
    assert read_ids(on_loop.fetch(ACCOUNT)) == ["a1"]


def test_a_query_over_its_budget_is_given_up(on_loop):
    assert on_loop.fetch(FOREVER) is None
    assert on_loop.fetch(ACCOUNT) is not None


def test_a_table_that_took_long_is_left_to_the_threads(on_loop, monkeypatch):
    on_loop.fetch(FOREVER)
    with monkeypatch.context() as patch:
        patch.setattr(on_loop, "_connection", None)  # so that asking it would raise
        assert on_loop.fetch(FOREVER) is None


def test_a_lock_is_not_waited_for(on_loop, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert on_loop.fetch(ACCOUNT) is None
        writer.execute("ROLLBACK")
    assert on_loop.fetch(ACCOUNT) is not None


@pytest.mark.parametrize("on_loop", [True, False])
@pytest.mark.gen_test
async def test_answers_are_the_same_on_the_loop_and_off_it(io_loop, path, on_loop):
    source = SQLiteSource("bank", SQLiteSettings(path=path, on_loop=on_loop))
    await source.open()
    try:
        assert (source.fetch_now(ACCOUNT) is not None) == on_loop
        assert read_ids(await source.fetch(ACCOUNT)) == ["a1"]
        assert read_ids(await source.fetch(FOREVER)) == [300_000]
        query = Query(collection="accounts", filters=(Filter("openedAt", "ge", datetime(2026, 1, 1, tzinfo=UTC)),))
        with pytest.raises(SourceFault, match="member 'openedAt': a value is neither a date-time"):
            await source.fetch(query)
    finally:
        await source.close()


@pytest.mark.gen_test
async def test_only_the_threads_run_without_it(io_loop, path, monkeypatch):
    threads = []
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: threads.append(threading.current_thread()) or connect(*a, **k)
    )
    source = SQLiteSource("bank", SQLiteSettings(path=path, on_loop=False))
    await source.open()
    await source.close()
    assert threading.main_thread() not in threads
