"""What is done before the first request: sources that answer at once prepare for each collection."""

from __future__ import annotations

import pytest

from openholder import Page
from openholder.contract.operations import OPERATIONS
from openholder.serving.answers import Context
from openholder.serving.cursors import Cursors
from openholder.serving.service import Service


class Source:
    """Notes what it is asked, and fails at every second query."""

    def __init__(self):
        self.queries = []

    def fetch_now(self, query):
        self.queries.append(query)
        if len(self.queries) % 2:
            raise ValueError("SECRET")
        return Page(records=(), total=0)


class Sources:
    """Serves some collections from one source."""

    def __init__(self, source, collections):
        self._source = source
        self._collections = collections

    def find_source(self, collection):
        return self._source if collection in self._collections else None


def prepare(source, collections):
    context = Context(Sources(source, collections), Cursors(""))
    Service(None, context, realm="", failure_status=401).prepare(OPERATIONS)


def test_each_served_collection_is_asked_for_once():
    source = Source()
    prepare(source, {"accounts", "banking.transactions", "customers"})
    assert sorted(query.collection for query in source.queries) == ["accounts", "banking.transactions", "customers"]
    assert all(query.filters and query.limit for query in source.queries)


@pytest.mark.parametrize("source", [None, type("Waiting", (), {"fetch_now": None})()], ids=["none", "waiting"])
def test_a_source_that_needs_to_wait_is_not_asked(source):
    prepare(source, {"accounts"})
