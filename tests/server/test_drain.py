"""What callers and balancers see of a server that is stopping, and whose requests it logs behind a proxy."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from helpers.people import BALANCE
from helpers.support import sample_rows, start_with


async def ready(world):
    async with world.session.get(f"http://127.0.0.1:{world.holder.admin_port}/ready") as answer:
        return answer.status, await answer.text()


@pytest.mark.usefixtures("transport")
@pytest.mark.gen_test
async def test_a_balancer_sees_the_end_before_the_port_is_closed(io_loop, world, monkeypatch):
    """`/ready` fails first. Until the delay is over, new connections are taken, each for one answer."""
    await start_with(world, "sqlite", sample_rows())
    assert await ready(world) == (200, "ready\n")
    over, begun, sleep = asyncio.Event(), asyncio.Event(), asyncio.sleep

    async def wait(seconds):
        if seconds != 12.5:
            return await sleep(seconds)
        begun.set()
        return await over.wait()

    monkeypatch.setattr("openholder.server.app.asyncio.sleep", wait)
    stopping = asyncio.create_task(world.holder.drain(delay=12.5))
    await begun.wait()
    assert await ready(world) == (503, "stopping\n")
    answer = await world.call(BALANCE)
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert not stopping.done()
    over.set()
    await stopping
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", world.holder.port)


@pytest.mark.gen_test
async def test_the_delay_is_that_of_the_configuration(io_loop, world, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_LISTEN__DRAIN_DELAY", "0.125")
    await start_with(world, "sqlite", sample_rows())
    waits, sleep = [], asyncio.sleep

    async def note(seconds):
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr("openholder.server.app.asyncio.sleep", note)
    await world.stop()
    assert 0.125 in waits


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(("trusted", "logged"), [("127.0.0.1, 10.0.0.0/8", "192.0.2.1"), ("10.0.0.0/8", "127.0.0.1")])
@pytest.mark.gen_test
async def test_the_log_has_the_caller_of_a_trusted_proxy(io_loop, world, monkeypatch, trusted, logged):
    monkeypatch.setenv("OPENHOLDER_LISTEN__TRUSTED_PROXIES", trusted)
    await start_with(world, "sqlite", sample_rows())
    with capture_logs() as logs:
        await world.call(BALANCE, headers={"X-Forwarded-For": "192.0.2.1, 10.1.2.3"})
    assert [line["ip"] for line in logs if line["event"] == "request"] == [logged]
