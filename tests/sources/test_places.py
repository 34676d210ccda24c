"""A fault of a record without an id says where the record stands. Nothing else does."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading

import pytest

from helpers.processes import configuration
from helpers.support import CSV, SQLITE, write_csv, write_sqlite
from openholder import PLACE
from openholder.config import Configuration
from openholder.contract.collections import find_collection
from openholder.contract.records.energy.payments import Concession
from openholder.contract.rows import read_records
from openholder.errors import SourceFault
from openholder.server.generation import make_sources
from openholder.serving.access import build_owner_query

GOOD = {"type": "FIXED_PERCENTAGE", "displayName": "One", "percentage": "0.1", "discountFrequency": "P3M"}
CONCESSIONS = [
    {"accountId": "a2", **GOOD},
    {"accountId": "a1", **GOOD},
    {"accountId": "a1", **GOOD, "percentage": "a secret"},
]
REST = """
[sources.api]
kind = "rest"
base_url = "{}"
[sources.api.collections]
"energy.concessions" = "/{{accountId}}"
"""


@pytest.fixture
def upstream():
    """An API that returns the concessions of any account."""

    class Upstream(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            account = self.path.split("/")[1]
            body = json.dumps([row for row in CONCESSIONS if row["accountId"] == account]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Upstream) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(folder, source, account):
    """Fetch the rows of an account from the configured source."""
    loaded = Configuration.load(configuration(folder, more=source, jwks_port=1))

    async def run():
        async with make_sources(loaded) as sources:
            query = build_owner_query("energy.concessions", {"customerId": "c1", "accountId": account})
            return (await sources.fetch(query)).records

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "place"),
    [("sqlite", "rowid 3"), ("csv", "record 3 of its file"), ("rest", "page 1, record 2 of the upstream")],
)
def test_a_fault_says_where_a_record_without_an_id_stands(tmp_path, upstream, kind, place):
    rows = {"energy.concessions": CONCESSIONS}
    if kind == "sqlite":
        write_sqlite(tmp_path / "bank.db", rows)
    elif kind == "csv":
        write_csv(tmp_path / "bank", rows)
    found = fetch(tmp_path, {"sqlite": SQLITE, "csv": CSV, "rest": REST.format(upstream)}[kind], "a1")
    hidden = find_collection("energy.concessions").hidden
    with pytest.raises(SourceFault) as fault:
        read_records("energy.concessions", found, Concession, hidden)
    assert (fault.value.record, fault.value.row) == ("a1", None)
    assert str(fault.value).endswith(f" ({place})")
    assert "secret" not in str(fault.value)
    assert PLACE in hidden


@pytest.mark.parametrize("write", [write_sqlite, write_csv])
def test_records_with_ids_have_no_place(tmp_path, write):
    write(tmp_path / ("bank.db" if write is write_sqlite else "bank"), {"customers": [{"id": "c1", "name": "Kim"}]})
    loaded = Configuration.load(configuration(tmp_path, more=SQLITE if write is write_sqlite else CSV, jwks_port=1))

    async def run():
        async with make_sources(loaded) as sources:
            return (await sources.fetch(build_owner_query("customers", {"customerId": "c1"}))).records

    assert [dict(row) for row in asyncio.run(run())] == [{"id": "c1", "name": "Kim"}]
