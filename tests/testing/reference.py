"""A correct source: `select` over rows in memory."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager

from openholder import Page, SourceFault, SourceUnavailable, hookimpl, select


class Reference:
    """Serves rows in memory, after a few turns of the event loop, like a source that waits for its backend."""

    def __init__(self, rows):
        self.replace_rows(rows)
        self.is_open = False
        self.is_gone = False
        self.free = None

    def replace_rows(self, rows):
        self.rows = {name: [self.write_row(row) for row in found] for name, found in rows.items()}

    def write_row(self, row):
        return {key: self.write_value(value) for key, value in row.items()}

    def write_value(self, value):
        """Write a value of a type as the text that records have."""
        if isinstance(value, bool | list):
            return json.dumps(value)
        if hasattr(value, "isoformat"):
            return value.isoformat()
        return value if value is None or isinstance(value, str | bytes) else str(value)

    @hookimpl
    async def open(self):
        self.free = asyncio.Event()
        self.free.set()
        self.is_open = True

    @hookimpl
    async def close(self):
        self.is_open = False

    @hookimpl
    def collections(self):
        return list(self.rows)

    @hookimpl
    async def health(self):
        self.check_open()
        self.check_backend()

    @hookimpl
    async def fetch(self, query):
        self.check_open()
        await self.free.wait()
        await asyncio.sleep(0)
        self.check_backend()
        return self.answer(query)

    def answer(self, query):
        if query.collection not in self.rows:
            raise SourceFault("no such collection")
        page = select(self.rows[query.collection], query)
        return Page(records=[self.return_record(record, query) for record in page.records], total=page.total)

    def return_record(self, record, query):
        return {name: value for name, value in record.items() if name != "document" or query.document}

    def check_open(self):
        if not self.is_open:
            raise SourceFault("not open")

    def check_backend(self):
        if self.is_gone:
            raise SourceUnavailable("the backend is gone")

    @contextmanager
    def failing(self):
        self.is_gone = True
        try:
            yield
        finally:
            self.is_gone = False

    @contextmanager
    def hanging(self):
        self.free.clear()
        try:
            yield
        finally:
            self.free.set()
