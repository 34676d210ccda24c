"""The source passes the contract kit: MariaDB and PostgreSQL with text columns and with typed ones, and SQLite."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing, contextmanager
from typing import ClassVar

import pytest

import cluster as postgres
import maria as mariadb
from helpers.support import write_sqlite
from openholder.testing import AMOUNTS, LISTS, MOMENTS, TRUTHS, SourceContract
from sources import make_source

DATES = ("creationDate", "issueDate", "statementDate")
MADE: dict[tuple[str, str], str] = {}
"""The databases and schemas by their rows: tables are created once for all tests with the same rows."""
NUMBERS = itertools.count()


def forget_tables(place):
    """Let no further test have the tables of a database or schema, whose rows change."""
    for key in [key for key, found in MADE.items() if found == place]:
        del MADE[key]


class Maria(SourceContract):
    documents = True
    types: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _maria(self, maria):
        self.maria = maria

    def make_source(self, tmp_path, rows):
        key = type(self).__name__, repr(rows)
        if key not in MADE:
            MADE[key] = f"{type(self).__name__}-{next(NUMBERS)}"
            self.maria.execute(mariadb.write_tables(MADE[key], rows, self.types))
        self.database = MADE[key]
        self.tables = [mariadb.name_table(self.database, name) for name in rows]
        return make_source(self.maria.settings(self.database, connections=4))

    def change_rows(self, source, rows):
        """Replace the rows in one transaction."""
        forget_tables(self.database)
        self.maria.execute(mariadb.write_replacement(self.database, rows, self.types))

    @contextmanager
    def hanging(self, source):
        """Lock the tables, as a transaction that alters them does."""
        with self.maria.hold(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in self.tables)}"):
            yield

    def failing(self, source):
        return self.maria.refuse_reader()


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

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster):
        self.cluster = cluster

    def make_source(self, tmp_path, rows):
        key = type(self).__name__, repr(rows)
        if key not in MADE:
            MADE[key] = f"{type(self).__name__}-{next(NUMBERS)}"
            asyncio.run(postgres.create_tables(self.cluster, MADE[key], rows, self.types))
        self.schema = MADE[key]
        self.tables = [postgres.name_table(self.schema, name) for name in rows]
        url = f"postgresql+asyncpg://reader@127.0.0.1:{self.cluster.port}/postgres"
        settings = {"url": url, "password": postgres.PASSWORD, "tls": "disable", "schema_name": self.schema}
        return make_source(settings | {"connections": 4})

    def change_rows(self, source, rows):
        """Replace the rows in one transaction."""
        forget_tables(self.schema)
        asyncio.run(postgres.replace_rows(self.cluster, self.schema, rows, self.types))

    @contextmanager
    def hanging(self, source):
        with self.cluster.lock_tables(*self.tables):
            yield

    def failing(self, source):
        return self.cluster.refuse_reader()


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
        self.path = tmp_path / "bank.db"
        write_sqlite(self.path, rows)
        return make_source({"url": f"sqlite+aiosqlite:///{self.path}"})

    def change_rows(self, source, rows):
        """Replace the rows in one transaction."""
        write_sqlite(self.path.with_suffix(".new"), rows)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("ATTACH ? AS new", (str(self.path.with_suffix(".new")),))
            with connection:
                for name in (name.replace(".", "_") for name in rows):
                    connection.execute(f"DELETE FROM main.{name}")
                    connection.execute(f"INSERT INTO main.{name} SELECT * FROM new.{name}")

    @contextmanager
    def failing(self, source):
        """Damage the file: let its header be no header of a database."""
        content = self.path.read_bytes()
        self.path.write_bytes(b"x" * 100 + content[100:])
        yield
        self.path.write_bytes(content)
