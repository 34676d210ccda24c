"""Bodies in several packets and idle connections: careless servers are found, healthy ones of any taste are not."""

from __future__ import annotations

import asyncio

import pytest

from helpers.support import ISSUER
from openholder.contract.operations import OPERATIONS
from openholder.rehearsal import raw
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.phases import PHASES
from openholder.rehearsal.probes import connections
from openholder.rehearsal.results import Report
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan
from rehearsal.holder import JANE, Holder, serving
from rehearsal.relay import Relay, relaying
from rehearsal.test_healthy_servers import ACCOUNTS, LOGIN, Unsigned

WANTED = tuple(row for row in OPERATIONS if row.name in {*LOGIN, ACCOUNTS})
PHASES_OF_CONNECTIONS = tuple(
    phase
    for phase in PHASES
    if phase.name
    in ("Login, consent and data", "An idle connection", "Bodies in several packets", "The idle connection again")
)
FAULTS: dict[str, tuple[Relay, str]] = {
    "the first packet of a body is all of it": (Relay(packets=1), "body-in-packets"),
    "a body comes with the header or is empty": (Relay(packets=0), "body-in-packets"),
    "a body comes with the header or is waited for in vain": (Relay(only_with_header=True), "body-in-packets"),
    "connections are closed after half a second": (Relay(idle=0.5), "idle-connections"),
    "connections are closed at once": (Relay(idle=0.05), "idle-connections"),
    "a connection is forgotten after a while": (Relay(forgets=0.4), "idle-connections"),
}
HEALTHY = {
    "plain": Relay(),
    "closes each connection, and says so": Relay(is_polite=True),
    "closes connections after two seconds, as gunicorn does": Relay(idle=2.0),
}


async def rehearse(relay: Relay, seconds: float) -> Report:
    plan = Plan(WANTED, (JANE,), attacks=False)
    async with (
        serving(Holder()) as upstream,
        relaying(relay, upstream) as url,
        open_caller(url, url, ISSUER, Unsigned(), seconds=seconds) as caller,
    ):
        return await run_rehearsal(caller, plan, phases=PHASES_OF_CONNECTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_careless_server_is_found(name, monkeypatch, find_causes):
    relay, rule = FAULTS[name]
    monkeypatch.setattr(connections, "LONG_ENOUGH", 0.7)
    monkeypatch.setattr(raw, "RESPONSE_SECONDS", 1.0)
    report = asyncio.run(rehearse(relay, seconds=2.0))
    assert find_causes(report, rule) == [rule]
    assert all(failure.observed for row in report.failed_results for failure in row.failures)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_server_has_no_finding(name, monkeypatch):
    monkeypatch.setattr(connections, "LONG_ENOUGH", 2.2)
    report = asyncio.run(rehearse(HEALTHY[name], seconds=10.0))
    assert report.failed_results == []
    (idle,) = [row for row in report.results if row.rule.name == "idle-connections"]
    assert idle.verdict == ("passed" if name == "plain" else "skipped"), idle
    (note,) = {row.skipped for row in report.results if row.rule.name == "idle-connections"}
    assert ("2." in note) == ("two seconds" in name)
