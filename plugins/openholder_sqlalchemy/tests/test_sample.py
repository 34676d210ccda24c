"""openholder serves its sample data from MariaDB, from token to response, as it does from SQLite."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from helpers.support import SQLITE, document, sample_rows
from maria import write_tables
from test_served import REQUESTS, fetch_responses

SOURCE = """
[sources.bank]
kind = "sqlalchemy"
url = "mysql+asyncmy://reader@127.0.0.1:{port}/sample"
password = {{ file = "password" }}
tls = "disable"
"""
TYPES = dict.fromkeys(("amount", "available", "current"), "DECIMAL(30, 3)")
TYPES |= dict.fromkeys(("postingDateTime", "executionDateTime", "valueDateTime"), "TIMESTAMP(6) NULL")


@pytest.fixture(autouse=True)
def quiet_logs():
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


def test_responses_equal_those_from_sqlite(tmp_path, maria):
    rows = sample_rows()
    for row in rows["fdx.statements"]:
        row["document"] = row["document"] and document(row["document"])
    maria.execute(write_tables("sample", rows, TYPES))

    async def scenario():
        ours = await fetch_responses(tmp_path / "maria", SOURCE.format(port=maria.port))
        return ours, await fetch_responses(tmp_path / "sqlite", SQLITE)

    ours, theirs = asyncio.run(scenario())
    assert ours == theirs
    assert [status for status, _ in ours] == [404 if "acc-3001/balances" in path else 200 for path, _ in REQUESTS]
