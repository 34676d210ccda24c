"""The source passes the contract kit, with text columns and with typed columns."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import ClassVar

import pytest

from cluster import create_tables, quote
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


class Contract(SourceContract):
    documents = True
    nul_text = False  # PostgreSQL has no such text
    types: ClassVar = {}
    made: ClassVar = {}
    """The schemas by their rows: tables are created once for all tests with the same rows."""

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster):
        self.cluster = cluster

    def make_source(self, tmp_path, rows):
        key = type(self), repr(rows)
        if key not in self.made:
            self.made[key] = f"{type(self).__name__}-{len(self.made)}"
            asyncio.run(create_tables(self.cluster, self.made[key], rows, self.types))
        self.schema = self.made[key]
        self.tables = [f"{quote(self.schema)}.{quote(name.replace('.', '_'))}" for name in rows]
        settings = self.cluster.settings(schema_name=self.schema, connections=4)
        return PostgresSource("bank", PostgresSettings.model_validate(settings))

    @contextmanager
    def hanging(self, source):
        """Lock the tables, as a transaction that alters them does."""
        with self.cluster.lock_tables(*self.tables):
            yield


class TestText(Contract):
    exact_types = True


class TestTyped(Contract):
    typed = True
    any_text = False
    types: ClassVar = TYPED
