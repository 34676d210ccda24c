"""The source passes the contract kit, with text columns and with typed columns."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import contextmanager
from typing import ClassVar

import pytest

from cluster import create_tables, name_table, replace_rows
from openholder.testing import AMOUNTS, LISTS, MOMENTS, TRUTHS, SourceContract
from openholder_postgres import PostgresSettings, PostgresSource

DATES = ("creationDate", "issueDate", "statementDate")
TYPED = {
    **dict.fromkeys(AMOUNTS, "numeric"),
    **dict.fromkeys(TRUTHS, "boolean"),
    **dict.fromkeys(LISTS, "jsonb"),
    **dict.fromkeys(MOMENTS, "timestamptz"),
    **dict.fromkeys(DATES, "date"),
}
MADE: dict[tuple[str, str], str] = {}
"""The schemas by their rows: tables are created once for all tests with the same rows."""
NUMBERS = itertools.count()


class Contract(SourceContract):
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
            asyncio.run(create_tables(self.cluster, MADE[key], rows, self.types))
        self.schema = MADE[key]
        self.tables = [name_table(self.schema, name) for name in rows]
        settings = self.cluster.settings(schema_name=self.schema, connections=4)
        return PostgresSource("bank", PostgresSettings.model_validate(settings))

    def change_rows(self, source, rows):
        """Replace the rows in one transaction, and let no other test have these tables."""
        for key in [key for key, schema in MADE.items() if schema == self.schema]:
            del MADE[key]
        asyncio.run(replace_rows(self.cluster, self.schema, rows, self.types))

    @contextmanager
    def hanging(self, source):
        """Lock the tables, as a transaction that alters them does."""
        with self.cluster.lock_tables(*self.tables):
            yield

    def failing(self, source):
        return self.cluster.refuse_reader()


class TestText(Contract):
    exact_types = True


class TestTyped(Contract):
    typed = True
    any_text = False
    types: ClassVar = TYPED
