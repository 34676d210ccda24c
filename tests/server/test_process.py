"""The life of the process: how it starts, what it logs, how it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.people import BALANCE
from helpers.processes import Server, configuration, openholder
from helpers.support import CSV, SQLITE, sample_rows, write_csv, write_sqlite

SEARCH = "/auth/v1/customer/search"


@pytest.fixture
def bank(tmp_path):
    """A folder with the sample data in it, as SQLite and as CSV."""
    write_sqlite(tmp_path / "bank.db", sample_rows())
    write_csv(tmp_path / "bank", sample_rows())
    return tmp_path


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("source", [SQLITE, CSV], ids=["sqlite", "csv"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_with_zero(bank, source, signum):
    configuration(bank, more=source)
    with Server(bank) as server:
        assert server.call(BALANCE)[0] == 200
        began = time.monotonic()
        assert server.stop(signum) == 0
        assert time.monotonic() - began < 10
    assert [json.loads(line)["event"] for line in server.lines[-2:]] == ["request", "stopping"]


UNUSED = (
    "cryptography.x509.",
    "jsonschema.",
    "jwt.",
    "openholder.fiskil.",
    "openholder.inspection.",
    "openholder.openapi.",
    "openholder.rehearsal.",
    "openholder.testing.",
    "openholder_audit.",
    "openholder_csv.",
    "openholder_rest.",
    "opentelemetry.",
    "redis.",
)
"""What a server of an SQLite file without TLS, tracing and ``--dev`` never uses."""


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_server_loads_only_what_it_uses(bank):
    configuration(bank, more=SQLITE)
    with Server(bank, arguments=(), environment={"PYTHONPROFILEIMPORTTIME": "1"}) as server:
        assert server.call("/nothing", token="a.b.c")[0] == 404
        assert server.stop() == 0
    loaded = re.findall(r"^import time:.*\| +([\w.]+)$", server.log, re.MULTILINE)
    assert "openholder_sqlite.database" in loaded
    assert [name for name in loaded if f"{name}.".startswith(UNUSED)] == []


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_failed_start_ends_although_a_source_is_open(bank):
    (bank / "broken.db").write_bytes(b"this is no database" * 100)
    configuration(bank, more=SQLITE + '[sources.other]\nkind = "sqlite"\npath = "broken.db"\n[serve]\n"*" = "bank"\n')
    ended = openholder("serve", "--dev", cwd=bank)
    assert ended.returncode == 4
    assert "source 'other' cannot be opened: not a readable SQLite database" in ended.stderr


class SlowBank(BaseHTTPRequestHandler):
    """An upstream that answers when it is let go."""

    asked, go = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        self.asked.set()
        self.go.wait(10)
        body = b'{"id": "cust-1", "name": "Somebody"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def slow_bank():
    SlowBank.asked.clear(), SlowBank.go.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowBank)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    SlowBank.go.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.usefixtures("transport")
def test_a_running_request_is_answered_after_the_signal(tmp_path, slow_bank):
    """And no new connection is accepted."""
    source = f'[sources.api]\nkind = "rest"\nbase_url = "{slow_bank}"\n[sources.api.collections]\n'
    configuration(tmp_path, more=source + 'customers = "/customers/{customerId}"\n')
    with Server(tmp_path) as server, ThreadPoolExecutor() as pool:
        running = pool.submit(server.call, "/auth/v1/customer/cust-1")
        assert SlowBank.asked.wait(10)
        server.process.send_signal(signal.SIGTERM)
        server.event("stopping")
        with pytest.raises((ConnectionRefusedError, ConnectionResetError)):  # reset: the queue was closed with it
            _until_refused(server)
        SlowBank.go.set()
        assert running.result(10) == (200, {"id": "cust-1", "name": "Somebody"})
        assert server.process.wait(20) == 0


def _until_refused(server: Server) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=1)
        with contextlib.suppress(TimeoutError):  # a queue that is full is silent, and says nothing yet
            connection.connect()
        connection.close()


@pytest.mark.slow
@pytest.mark.subprocess
def test_workers_share_the_port_and_the_record_of_used_tokens(bank):
    configuration(bank, listen="workers = 2", more=SQLITE)
    with Server(bank) as server, ThreadPoolExecutor(16) as pool:
        server.event("listening on")  # the second worker
        for _ in range(5):
            token = server.token(BALANCE)
            statuses = [status for status, _ in pool.map(lambda _, t=token: server.call(BALANCE, token=t), range(16))]
            assert sorted(statuses) == [200] + [401] * 15
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_used_token_stays_used_over_a_restart(bank):
    configuration(bank, more=SQLITE)
    with Server(bank) as server:
        token = server.token(BALANCE)
        assert server.call(BALANCE, token=token)[0] == 200
        server.stop()
    with Server(bank) as server:
        assert server.call(BALANCE, token=token)[0] == 401


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_log_has_one_line_a_request_and_nothing_of_anybody(bank):
    """Every token, address, name, phone number and id of the whole run is searched for in the whole log."""
    rows = sample_rows()
    rows["balances"][1]["available"] = "unreadable amount"
    (bank / "bank.db").unlink()
    write_sqlite(bank / "bank.db", rows)
    configuration(bank, more=SQLITE + '[log]\nlevel = "debug"\n')
    said: list[str] = []
    with Server(bank) as server:

        def call(path, body=None, token=None):
            token = token or server.token(path)
            said.extend([token, *(part for part in token.split(".") if len(part) > 20)])
            return server.call(path, body, token)[0]

        assert call(SEARCH, {"email": "jane.citizen@example.com"}) == 200
        assert call(SEARCH, {"email": 7}) == 400
        assert call("/auth/v1/customer/cust-1001") == 200
        assert call("/auth/v1/customer/cust-1001/accounts?email=jane.citizen@example.com") == 200
        assert call(BALANCE) == 200
        assert call(BALANCE, token=said[0]) == 401
        assert call(BALANCE, token="jane.citizen@example.com") == 401
        assert call("/customer/cust-1001/accounts/acc-2002/balances") == 500
        assert call("/customer/cust-1001/accounts/acc-2004/balances") == 404
        assert call("/customer/cust-1001/elsewhere") == 404
        assert server.stop() == 0
    lines = [json.loads(line) for line in server.lines]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) == 10
    assert requests[4]["route_pattern"] == "/customer/{customerId}/accounts/{accountId}/balances"
    assert {"fapi_interaction_id", "method", "status_code", "latency_ms", "response_body_size", "kid", "jti"} <= set(
        requests[4]
    )
    assert [line.get("error_reason") for line in requests[5:9]] == [
        "audience_wrong",
        "not_compact_jws",
        "source_fault",
        "account_refused",
    ]
    assert (
        requests[7]["fault"] == "collection 'balances': member 'available' does not fit (found text): "
        "expected an exact decimal such as 1234.56 (rowid 2)"
    )
    assert requests[4]["customer_id"] == requests[7]["customer_id"] != requests[4]["account_id"]
    for secret in {*said, *_everything(rows)}:
        assert secret not in server.log


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_log_over_text_not_in_utf8_has_nothing_of_anybody(bank):
    """Latin-1 is what a careless import of an old system leaves. Each fault says where it is, and not what."""
    rows = sample_rows()
    with closing(sqlite3.connect(bank / "bank.db")) as connection, connection:
        for table, column in BY_COLUMN:
            connection.execute(f"UPDATE {table} SET \"{column}\" = CAST(X'5A6FEB20534543524554' AS TEXT)")
    configuration(bank, more=SQLITE + '[log]\nlevel = "debug"\n')
    with Server(bank) as server:
        for path in BY_COLUMN.values():
            assert server.call(path)[0] == 500
        assert server.call(SEARCH, {"email": "jane.citizen@example.com"})[0] == 500
        assert server.stop() == 0
    lines = [line for line in map(json.loads, server.lines) if line["event"] == "request"]
    faults = [line["fault"] for line in lines]
    for fault, (table, column) in zip(faults, [*BY_COLUMN, ("customers", "name")], strict=True):
        assert fault.partition(" (rowid")[0].endswith(
            f"table '{table}': column '{column}' has text that is not UTF-8; convert it"
        )
    assert all(re.fullmatch("[0-9a-f]{16}", line["record_id"]) for line in lines if "record_id" in line)
    assert lines[0]["record_id"] == lines[0]["customer_id"] == lines[-1]["record_id"]
    assert lines[1]["record_id"] not in {lines[1]["customer_id"], lines[1]["account_id"]}
    for secret in {*_everything(rows), "SECRET", "Zo"}:
        assert secret not in server.log


BY_COLUMN = {
    ("customers", "name"): "/auth/v1/customer/cust-1001",
    ("banking_transactions", "description"): "/v1/banking/customer/cust-1001/accounts/acc-2001/transactions",
    ("banking_balances", "currentBalance"): "/v1/banking/customer/cust-1001/accounts/acc-2001/balance",
    ("energy_invoices", "issueDate"): "/v1/energy/customer/cust-3001/accounts/acc-3001/invoices",
    ("fdx_contacts", "emails"): "/fdx/v6/customer/cust-5001/accounts/acc-5001/contact",
}
"""A request that reads each column."""


def _everything(rows):
    """All values of the sample data that are somebody's: short words such as AUD or NSW are nobody's."""
    own = {"id", "customerId", "accountId", "email", "name", "familyName", "phoneNumber", "address.streetAddress"}
    values = {value for records in rows.values() for row in records for key, value in row.items() if key in own}
    return {value for value in values if value and len(value) > 6} | {"unreadable amount", "1200.50"}
