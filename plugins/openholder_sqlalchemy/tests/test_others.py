"""The source over PostgreSQL and SQLite: names, values, and conditions with their exact meaning."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing

import pytest

import cluster as postgres
from openholder import Query, SourceFault, SourceUnavailable, select
from questions import MIXED, build_queries
from sources import build_query, fetch_records, open_bank


def build_settings(cluster, database="postgres", **more):
    url = f"postgresql+asyncpg://reader@127.0.0.1:{cluster.port}/{database}"
    return {"url": url, "password": postgres.PASSWORD, "tls": "disable"} | more


def test_postgresql_means_what_select_means(cluster):
    cluster.execute(f'CREATE SCHEMA "Mixed"; SET search_path = "Mixed"; {MIXED}')

    async def scenario():
        async with open_bank(build_settings(cluster, schema_name="Mixed")) as source:
            stored = await fetch_records(source, Query(collection="things"))
            assert len(stored) == 5
            for query in build_queries():
                assert await source.fetch(query) == select(stored, query), query
            with pytest.raises(Exception, match="read-only transaction"):
                await source._select("DELETE FROM things", ())

    asyncio.run(scenario())


def test_postgresql_must_be_utf8(cluster):
    cluster.execute("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
    with pytest.raises(SourceFault, match=r"^the database encoding is LATIN1; it must be UTF8$"):
        asyncio.run(open_bank(build_settings(cluster, "latin")).__aenter__())


def test_sqlite_is_read_only_and_a_broken_view_is_named(tmp_path, caplog):
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        connection.executescript(
            "CREATE TABLE customers (id, email TEXT COLLATE NOCASE);"
            "INSERT INTO customers VALUES (12, 'a'), ('12', 'A');"
            "CREATE TABLE gone (id); CREATE VIEW broken AS SELECT id FROM gone; DROP TABLE gone"
        )

    async def scenario():
        async with open_bank({"url": f"sqlite+aiosqlite:///{tmp_path / 'bank.db'}"}) as source:
            assert len(await fetch_records(source, build_query("customers", id="12"))) == 2
            assert await fetch_records(source, build_query("customers", email="A")) == [{"id": "12", "email": "A"}]
            with pytest.raises(Exception, match="readonly"):
                await source._select("DELETE FROM customers", ())

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "table or view 'broken' is not served: the database cannot describe it" in caplog.text


def test_a_locked_sqlite_file_is_unavailable(tmp_path):
    with closing(sqlite3.connect(tmp_path / "bank.db", isolation_level=None)) as writer:
        writer.execute("CREATE TABLE few (id TEXT)")

        async def scenario():
            async with open_bank(
                {"url": f"sqlite+aiosqlite:///{tmp_path / 'bank.db'}", "statement_timeout": 1}
            ) as source:
                writer.execute("BEGIN EXCLUSIVE")
                with pytest.raises(
                    SourceUnavailable, match=r"^table 'few': locked by another transaction \(.*, code 5\)$"
                ):
                    await source.fetch(Query(collection="few"))
                writer.execute("ROLLBACK")
                assert (await source.fetch(Query(collection="few"))).total == 0

        asyncio.run(scenario())
