"""An upstream with pages, for tests of the REST source."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

from helpers.support import Upstream
from openholder import Query
from openholder_rest import RESTSettings, RESTSource

ACCOUNTS = Query(collection="accounts")


def build_rows(count):
    return [{"id": f"a{number:03}"} for number in range(count)]


def build_ids(count):
    return [row["id"] for row in build_rows(count)]


@asynccontextmanager
async def open_source(answer, template="/accounts", records="data", **settings):
    """An upstream that answers with what ``answer`` makes of the query parameters, and a source that asks it."""

    def respond(handler):
        arguments = {name: values[0].decode() for name, values in handler.request.query_arguments.items()}
        body, headers = answer(arguments), {}
        if isinstance(body, tuple):
            body, headers = body
        if body is None:
            handler.set_status(404)
            return
        handler.set_header("Content-Type", "application/json")
        for name, value in headers.items():
            handler.add_header(name, value)
        handler.finish(json.dumps(body))

    async with Upstream({}) as upstream:
        upstream.break_with = respond
        own = RESTSettings(
            base_url=upstream.url, collections={"accounts": template, "customers": "/c"}, records=records, **settings
        )
        source = RESTSource("core", own)
        await source.open()
        try:
            yield upstream, source
        finally:
            await source.close()


async def fetch_ids(source, query=ACCOUNTS):
    return [record["id"] for record in (await source.fetch(query)).records]
