"""openholder serves its sample data from PostgreSQL, from token to response, as it does from SQLite."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from cluster import PASSWORD, create_tables
from helpers.support import SQLITE, World, document, sample_rows, write_sqlite
from openholder import SourceFault, instant
from openholder.fiskil.signer import Signer

SOURCE = """
[sources.bank]
kind = "postgres"
host = "127.0.0.1"
port = {port}
database = "postgres"
user = "reader"
password = {{ file = "password" }}
schema_name = "{schema}"
tls = "disable"
"""
TYPED = dict.fromkeys(("amount", "available", "current"), "numeric")
TYPED |= dict.fromkeys(("postingDateTime", "executionDateTime", "valueDateTime"), "timestamptz")

IRRELEVANT = ("correlationId", "nextOffset", "nextPageKey", "row_number")
"""The last is the primary key of the test tables: FDX records are open, so they contain it."""
BANKING = "/v1/banking/customer/cust-1001/accounts"
ENERGY = "/v1/energy/customer/cust-3001/accounts"
FDX = "/fdx/v6/customer/cust-5001/accounts"
REQUESTS = (
    ("/auth/v1/customer/search", {"email": "JANE.CITIZEN@example.com"}),
    ("/auth/v1/customer/cust-1001", None),
    ("/auth/v1/customer/cust-1001/accounts", None),
    ("/customer/cust-1001/accounts/acc-2001/balances", None),
    ("/customer/cust-1001/accounts/acc-3001/balances", None),
    (f"{BANKING}/balances", {"data": {"accountIds": ["acc-2001", "acc-2002"]}}),
    (f"{BANKING}/acc-2002/transactions?page-size=2&page=2", None),
    (f"{BANKING}/acc-2002/transactions?max-amount=-100&text=e", None),
    (f"{BANKING}/acc-2002/transactions?oldest-time=2020-01-01T00:00:00Z", None),
    (f"{ENERGY}/invoices?page-size=1", {"data": {"accountIds": ["acc-3001", "acc-3002"]}}),
    (f"{FDX}/acc-5001/transactions?limit=2", None),
    (f"{FDX}/acc-5001/statements", None),
)


@pytest.fixture(autouse=True)
def quiet_logs():
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


async def fetch_responses(folder, sources):
    """Return the responses of a server with these sources to every request."""
    folder.mkdir()
    (folder / "password").write_text(PASSWORD)
    write_sqlite(folder / "bank.db", sample_rows())
    world = World(folder, Signer.generate("k1"))
    try:
        await world.start(sources)
        responses = [await world.call(path, body=body) for path, body in REQUESTS]
        return [(response.status, strip_differences(response.json, world.url)) for response in responses]
    finally:
        await world.stop()


def strip_differences(value, url):
    """Return JSON without what may differ between two servers: their addresses, and how a time is written."""
    if isinstance(value, dict):
        return {name: strip_differences(part, url) for name, part in value.items() if name not in IRRELEVANT}
    if isinstance(value, list):
        return [strip_differences(part, url) for part in value]
    try:
        return instant(value) if isinstance(value, str) else value
    except SourceFault:
        return value.replace(url, "")


@pytest.mark.parametrize("types", [{}, TYPED], ids=["text", "typed"])
def test_responses_equal_those_from_sqlite(tmp_path, cluster, types):
    schema = f"sample-{len(types)}"
    rows = sample_rows()
    for row in rows["fdx.statements"]:
        row["document"] = row["document"] and document(row["document"])

    async def scenario():
        await create_tables(cluster, schema, rows, types)
        ours = await fetch_responses(tmp_path / "postgres", SOURCE.format(port=cluster.port, schema=schema))
        return ours, await fetch_responses(tmp_path / "sqlite", SQLITE)

    ours, theirs = asyncio.run(scenario())
    assert ours == theirs
    assert [status for status, _ in ours] == [404 if "acc-3001/balances" in path else 200 for path, _ in REQUESTS]
