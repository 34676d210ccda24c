"""Tracing: the spans of a request, `traceparent` in and on, and no customer data in any of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import sample_rows, start_with
from openholder.config import Configuration, ConfigurationError

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

ON = "tracing = true"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "secret=1", "baggage": "name=jane"}
ROUTE = "/customer/{customerId}/accounts/{accountId}/balances"
TRAIL = '[observers.trail]\nkind = "audit"\nfolder = "trail"\nids = "plain"\n'


@pytest.fixture(scope="module")
def exporter():
    """What is exported, in memory. OpenTelemetry allows one provider for a process."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    return kept


@pytest.fixture
def spans(exporter):
    exporter.clear()
    return exporter.get_finished_spans


@pytest.mark.gen_test
@pytest.mark.parametrize("tables", ["", TRAIL], ids=["no trail", "trail"])
async def test_a_request_has_spans_for_the_gate_and_each_query(world, spans, tables):
    await start_with(world, "sqlite", sample_rows(), settings=ON, tables=tables)
    with capture_logs() as lines:
        for _ in range(2):  # the second one on the same connection, without the headers of the first
            assert (await world.call(BALANCE, headers=HEADERS)).status == 200
            assert (await world.call(BALANCE, token="forged")).status == 401
    traced = [line["trace_id"] for line in lines if line["event"] == "request"]
    assert traced[::2] == [TRACE, TRACE]
    assert len(set(traced)) == 3
    found = spans()
    for request in (span for span in found if span.parent and f"{span.parent.span_id:016x}" == PARENT):
        inner = [span for span in found if span.parent and span.parent.span_id == request.context.span_id]
        assert request.name == f"GET {ROUTE}"
        assert dict(request.attributes) == {
            "http.request.method": "GET",
            "http.route": ROUTE,
            "http.response.status_code": 200,
        }
        assert f"{request.context.trace_id:032x}" == TRACE
        assert [span.name for span in inner] == ["gate", "query accounts", "query balances"]
        assert dict(inner[1].attributes) == {"openholder.collection": "accounts", "openholder.source": "bank"}
    refused = [span for span in found if span.attributes.get("http.response.status_code") == 401]
    assert [span.parent for span in refused] == [None, None]
    assert len(found) == 2 * 4 + 2 * 2


@pytest.mark.gen_test
async def test_no_span_has_data_of_a_customer(world, spans):
    await start_with(world, "sqlite", sample_rows(), settings=ON)
    await world.call(SEARCH, body=JANE)
    await world.call(BALANCE)
    await world.call("/customer/cust-1001/accounts/acc-9999/balances")
    await world.call("/nowhere/cust-1001")
    await world.call(SEARCH, body=b"x" * 100_000)
    found = spans()
    statuses = [span.attributes.get("http.response.status_code") for span in found]
    assert sorted(filter(None, statuses)) == [200, 200, 404, 404]  # none for what is refused unread
    text = "".join(span.to_json() for span in found)
    assert json.loads(found[0].to_json())["name"]
    for secret in ("cust-1001", "acc-2001", "acc-9999", "jane", "citizen", "eyJ"):
        assert secret not in text.lower()
    assert all(not span.events and span.status.description is None for span in found)


@pytest.mark.slow
@pytest.mark.gen_test
async def test_traceparent_goes_on_to_rest_sources_alone(world, spans):
    upstream = await start_with(world, "rest", sample_rows(), settings=ON)
    upstream.requests.clear()
    assert (await world.call(BALANCE, headers=HEADERS)).status == 200
    queries = {f"{span.context.span_id:016x}" for span in spans() if span.name.startswith("query ")}
    assert upstream.requests
    for request in upstream.requests:
        _, trace, parent, flags = request.headers["traceparent"].split("-")
        assert (trace, flags) == (TRACE, "01")
        assert parent in queries
        assert not {"Tracestate", "Baggage"} & set(request.headers)


@pytest.mark.slow
@pytest.mark.gen_test
async def test_without_the_setting_nothing_is_sent_or_kept(world, spans):
    upstream = await start_with(world, "rest", sample_rows())
    assert (await world.call(BALANCE, headers=HEADERS)).status == 200
    assert spans() == ()
    assert all("traceparent" not in request.headers for request in upstream.requests)


@pytest.mark.slow
@pytest.mark.subprocess
def test_nothing_is_loaded_while_it_is_off():
    code = "import sys, openholder.server.app, openholder_rest; print([m for m in sys.modules if 'opentelemetry' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.subprocess
def test_an_exporter_that_is_not_installed_is_named():
    code = "from openholder.server.tracing import start_tracing; start_tracing()"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "nope"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert re.search(r"OTEL_TRACES_EXPORTER: names an exporter .*; allowed are .*console.*none.*otlp", ended.stderr)


def test_a_missing_library_is_a_mistake_of_the_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr("openholder.settings.find_spec", lambda name: None)
    (tmp_path / "bank.db").touch()
    (tmp_path / "openholder.toml").write_text(
        'public_url = "http://localhost:1"\ntracing = true\n[fiskil]\nissuer = "a.example.com"\n'
        'jwks_url = "http://localhost:1/jwks.json"\n[sources.bank]\nkind = "sqlite"\npath = "bank.db"\n'
    )
    with pytest.raises(ConfigurationError, match=r"tracing: needs the extra otel"):
        Configuration.load(tmp_path / "openholder.toml")
