"""A new configuration takes the place of the old one while requests go on, or the old one stays."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from helpers.people import BALANCE
from helpers.processes import PATIENCE, Server, configuration
from helpers.support import CSV, SQLITE, sample_rows, start_with, write_csv, write_sqlite

PAYEES = '[[endpoints]]\npath = "/v2/customer/{customerId}/payees"\ncollection = "banking.payees"\n'
OTHER = '[sources.other]\nkind = "sqlite"\npath = "other.db"\n'


def put_other(folder):
    """A second file, in which the balance is another."""
    write_sqlite(folder / "other.db", sample_rows())
    with closing(sqlite3.connect(folder / "other.db")) as connection, connection:
        connection.execute("UPDATE balances SET available = '77.00' WHERE accountId = 'acc-2001'")


def rewrite(world, old, new):
    path = world.folder / "openholder.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def available(world):
    return (await world.call(BALANCE)).json["available"]


async def start(world):
    await start_with(world, "sqlite", sample_rows())
    put_other(world.folder)
    assert await available(world) == 1200.5
    return world.holder.sources


@pytest.fixture
def hasty(monkeypatch):
    """What is on its way in gets no time: the old sources close at once."""
    monkeypatch.setattr("openholder.server.app.BODY_TIMEOUT", 0)


@pytest.mark.gen_test
async def test_a_reload_switches_to_another_source_and_closes_the_old(io_loop, world, hasty):
    old = await start(world)
    rewrite(world, SQLITE, OTHER)
    await world.holder.reload()
    assert await available(world) == 77
    assert world.holder.sources is not old
    await asyncio.gather(*world.holder.retiring)
    rewrite(world, OTHER, SQLITE)
    await world.holder.reload()
    assert await available(world) == 1200.5


@pytest.mark.gen_test
async def test_a_reload_adds_new_kinds_and_custom_endpoints(io_loop, world):
    await start(world)
    write_csv(world.folder / "bank", sample_rows())
    rewrite(world, SQLITE, CSV + PAYEES)
    assert (await world.call("/v2/customer/cust-1001/payees")).status == 404
    await world.holder.reload()
    assert len((await world.call("/v2/customer/cust-1001/payees")).json) == 9
    assert await available(world) == 1200.5


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (SQLITE, "[sources.bank\n", "not valid TOML"),
        (SQLITE, '[sources.bank]\nkind = "sqlite"\npath = "missing.db"\n', "file not found"),
        (SQLITE, '[sources.bank]\nkind = "oracle"\npath = "bank.db"\n', "sources.bank.kind"),
        (SQLITE, '[sources.bank]\nkind = "sqlite"\npath = "broken.db"\n', "cannot be opened"),
        (SQLITE, SQLITE + '[serve]\n"rewards" = "bank"\n', "has no collection 'rewards'"),
        ("admin_port = 0", "admin_port = 1", "listen: cannot change while the server runs"),
    ],
)
@pytest.mark.gen_test
async def test_a_failed_reload_keeps_the_configuration_and_logs_why(io_loop, world, caplog, old, new, reason):
    sources = await start(world)
    (world.folder / "broken.db").write_bytes(b"no database" * 100)
    rewrite(world, old, new)
    await world.holder.reload()
    assert world.holder.sources is sources
    assert await available(world) == 1200.5
    (line,) = [
        record.getMessage() for record in caplog.records if "keeping the current configuration" in record.getMessage()
    ]
    assert reason in line
    rewrite(world, new, old)
    await world.holder.reload()
    assert world.holder.sources is not sources
    assert await available(world) == 1200.5


@pytest.mark.gen_test
async def test_a_request_ends_on_the_source_on_which_it_began(io_loop, world, hasty):
    sources = await start(world)
    asked, go = asyncio.Event(), asyncio.Event()
    fetch = sources.fetch

    async def held(query):
        asked.set()
        await go.wait()
        return await fetch(query)

    sources.fetch = held
    running = asyncio.create_task(world.call(BALANCE))
    await asked.wait()
    rewrite(world, SQLITE, OTHER)
    await world.holder.reload()
    assert await available(world) == 77
    go.set()
    assert (await running).json["available"] == 1200.5


@pytest.mark.gen_test
async def test_after_a_reload_only_the_new_observers_are_called(io_loop, world):
    await start(world)
    told = []
    world.holder.state.journal.on_finished = told.append
    await available(world)
    await world.holder.reload()
    with capture_logs() as logs:
        await available(world)
    assert len(told) == 1 and len(logs) == 1


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_fails_while_reloads_switch_sources(tmp_path, workers):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    put_other(tmp_path)
    path = configuration(tmp_path, listen=f"workers = {workers}", more=SQLITE)
    with Server(tmp_path) as server, ThreadPoolExecutor(4) as pool:
        for _ in range(workers - 1):
            server.event("listening on")
        answers, ended = [], []

        def call():
            while not ended:
                answers.append(server.call(BALANCE))

        callers = [pool.submit(call) for _ in range(4)]
        try:
            for old, new in ((SQLITE, OTHER), (OTHER, SQLITE), (SQLITE, OTHER)):
                path.write_text(path.read_text().replace(old, new))
                server.process.send_signal(signal.SIGHUP)
                for _ in range(workers):
                    server.event("configuration reloaded")
            path.write_text("nonsense")
            server.process.send_signal(signal.SIGHUP)
            for _ in range(workers):
                assert "not valid TOML" in server.event("reload failed")["event"]
        finally:
            ended.append(True)
            for caller in callers:
                caller.result(PATIENCE)
        assert {status for status, _ in answers} == {200}
        assert {body["available"] for _, body in answers} == {1200.5, 77.0}
        assert server.call(BALANCE)[1]["available"] == 77
        assert server.stop() == 0
    assert json.loads(server.lines[-1])["event"] == "stopping"
