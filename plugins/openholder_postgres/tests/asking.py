"""A source of the tests, and how it is asked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from openholder import Filter, Query
from openholder_postgres import PostgresSettings, PostgresSource


@asynccontextmanager
async def bank(cluster, **more):
    """A source over the schema that a test has made."""
    source = PostgresSource("bank", PostgresSettings.model_validate(cluster.settings(**more)))
    try:
        await source.open()
        yield source
    finally:
        await source.close()


def asking(collection, *filters, **members):
    equal = (Filter(name, "eq", value) for name, value in members.items())
    return Query(collection=collection, filters=(*equal, *filters))


async def records(source, query):
    return (await source.fetch(query)).records


def answer(opened, query):
    async def scenario():
        async with opened() as source:
            return await source.fetch(query)

    return asyncio.run(scenario())
