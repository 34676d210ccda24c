"""The contract of sources, over columns of text and over columns of proper types."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import ClassVar

import pytest

from cluster import quoted, write
from openholder.testing import AMOUNTS, LISTS, MOMENTS, TRUTHS, SourceContract
from openholder_postgres import PostgresSettings, PostgresSource

DATES = ("creationDate", "issueDate", "statementDate")
PROPER = {
    **dict.fromkeys(AMOUNTS, "numeric"),
    **dict.fromkeys(TRUTHS, "boolean"),
    **dict.fromkeys(LISTS, "jsonb"),
    **dict.fromkeys(MOMENTS, "timestamptz"),
    **dict.fromkeys(DATES, "date"),
}


class Contract(SourceContract):
    documents = True
    types: ClassVar = {}
    made: ClassVar = {}
    """The rows of each schema: tables are made once for all tests that ask for the same."""

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster):
        self.cluster = cluster

    def make_source(self, tmp_path, rows):
        self.schema = f"{type(self).__name__}-{len(rows)}"
        if self.schema not in self.made:
            asyncio.run(write(self.cluster, self.schema, rows, self.types))
            self.made[self.schema] = rows
        assert self.made[self.schema] == rows
        self.tables = [f"{quoted(self.schema)}.{quoted(name.replace('.', '_'))}" for name in rows]
        settings = self.cluster.settings(schema_name=self.schema, connections=4)
        return PostgresSource("bank", PostgresSettings.model_validate(settings))

    @contextmanager
    def hanging(self, source):
        """Another transaction that alters the tables."""
        with self.cluster.locked(*self.tables):
            yield


class TestText(Contract):
    exact_types = True


class TestTyped(Contract):
    types: ClassVar = PROPER
