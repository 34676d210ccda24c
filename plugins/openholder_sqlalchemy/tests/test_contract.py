"""The source passes the contract kit: MariaDB and PostgreSQL with text columns and with typed ones, and SQLite."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import ClassVar

import pytest

import cluster as postgres
import maria as mariadb
from helpers.support import write_sqlite
from openholder.testing import AMOUNTS, LISTS, MOMENTS, TRUTHS, SourceContract
from sources import make_source

DATES = ("creationDate", "issueDate", "statementDate")


class Maria(SourceContract):
    documents = True
    types: ClassVar = {}
    made: ClassVar = {}
    """The databases by their rows: tables are created once for all tests with the same rows."""

    @pytest.fixture(autouse=True)
    def _maria(self, maria):
        self.maria = maria

    def make_source(self, tmp_path, rows):
        key = type(self), repr(rows)
        if key not in self.made:
            self.made[key] = f"{type(self).__name__}-{len(self.made)}"
            self.maria.execute(mariadb.write_tables(self.made[key], rows, self.types))
        database = self.made[key]
        self.tables = [f"{mariadb.quote(database)}.{mariadb.quote(name.replace('.', '_'))}" for name in rows]
        return make_source(self.maria.settings(database, connections=4))

    @contextmanager
    def hanging(self, source):
        """Lock the tables, as a transaction that alters them does."""
        with self.maria.hold(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in self.tables)}"):
            yield


class TestMariaText(Maria):
    exact_types = True


class TestMariaTyped(Maria):
    typed = True
    any_text = False
    types: ClassVar = {
        **dict.fromkeys(AMOUNTS, "DECIMAL(30, 3)"),
        **dict.fromkeys(TRUTHS, "BOOLEAN"),
        **dict.fromkeys(LISTS, "JSON"),
        **dict.fromkeys(MOMENTS, "TIMESTAMP(6) NULL"),
        **dict.fromkeys(DATES, "DATE"),
    }


class Postgres(SourceContract):
    documents = True
    nul_text = False  # PostgreSQL has no such text
    types: ClassVar = {}
    made: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster):
        self.cluster = cluster

    def make_source(self, tmp_path, rows):
        key = type(self), repr(rows)
        if key not in self.made:
            self.made[key] = f"{type(self).__name__}-{len(self.made)}"
            asyncio.run(postgres.create_tables(self.cluster, self.made[key], rows, self.types))
        schema = self.made[key]
        self.tables = [f"{postgres.quote(schema)}.{postgres.quote(name.replace('.', '_'))}" for name in rows]
        url = f"postgresql+asyncpg://reader@127.0.0.1:{self.cluster.port}/postgres"
        settings = {"url": url, "password": postgres.PASSWORD, "tls": "disable", "schema_name": schema}
        return make_source(settings | {"connections": 4})

    @contextmanager
    def hanging(self, source):
        with self.cluster.lock_tables(*self.tables):
            yield


class TestPostgresTyped(Postgres):
    typed = True
    any_text = False
    types: ClassVar = {
        **dict.fromkeys(AMOUNTS, "numeric"),
        **dict.fromkeys(TRUTHS, "boolean"),
        **dict.fromkeys(LISTS, "jsonb"),
        **dict.fromkeys(MOMENTS, "timestamptz"),
        **dict.fromkeys(DATES, "date"),
    }


class TestSQLite(SourceContract):
    exact_types = True

    def make_source(self, tmp_path, rows):
        path = tmp_path / "bank.db"
        write_sqlite(path, rows)
        return make_source({"url": f"sqlite+aiosqlite:///{path}"})
