"""Plugins that tests of the registry make up."""

from __future__ import annotations

import asyncio

from openholder import (
    Page,
    hookimpl,
    select,
)


class Rows:
    """A source as it should be: the same customers for everybody who asks."""

    ROWS = (
        {"id": "cust-1001", "name": "Jane", "customerId": "cust-1001"},
        {"id": "cust-1002", "name": "Sam", "customerId": "cust-1002"},
    )

    def __init__(self, name, settings):
        self.name = name
        self.settings = settings

    @hookimpl
    def collections(self):
        return ["customers", "accounts", "balances"]

    @hookimpl
    async def fetch(self, query):
        return select(self.ROWS, query)


class Doing(Rows):
    """A source that does in `fetch` whatever a test puts into its place."""

    does = staticmethod(lambda query: Page(records=(), total=0))

    @hookimpl
    async def fetch(self, query):
        found = self.does(query)
        return await found if asyncio.iscoroutine(found) else found
