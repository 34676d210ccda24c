"""Open a source, and send it queries."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from openholder import Filter, Query
from openholder_sqlalchemy import AlchemySettings, AlchemySource


def make_source(settings):
    return AlchemySource("bank", AlchemySettings.model_validate(settings))


@asynccontextmanager
async def open_bank(settings):
    """Open a source with these settings."""
    source = make_source(settings)
    try:
        await source.open()
        yield source
    finally:
        await source.close()


def build_query(collection, *filters, **members):
    """Build a query for the records with these members, which fulfil the filters too."""
    equal = (Filter(name, "eq", value) for name, value in members.items())
    return Query(collection=collection, filters=(*equal, *filters))


async def fetch_records(source, query):
    return (await source.fetch(query)).records


def fetch_once(open_source, query):
    """Open a source, fetch one page, and close it."""

    async def scenario():
        async with open_source() as source:
            return await source.fetch(query)

    return asyncio.run(scenario())
