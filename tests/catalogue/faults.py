"""Group F: processes that die, clocks that jump, resources that run out, and settings that cannot be meant."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

import openholder.server.app
from catalogue.http import closed_by_server, get, head, post, talk, unknown_path
from catalogue.rows import Request, Row, invalid_token, mint, ok, send
from helpers.people import BALANCE, JANE
from helpers.support import World, sample_rows, start_with
from openholder.contract.operations import OPERATIONS


async def idle_at_the_end(world: World) -> None:
    """F03. Who has been idle may still send a request, and is cut off only after the grace."""
    await start_with(world, "sqlite", sample_rows())
    assert openholder.server.app.IDLE_GRACE >= 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openholder.server.app, "IDLE_GRACE", 1.5)
        pairs = [await asyncio.open_connection("127.0.0.1", world.holder.port) for _ in range(10)]
        for reader, writer in pairs:
            writer.write(head(mint(world)))
            await reader.readuntil(b"AUD")
            await reader.readexactly(2)
        started = time.monotonic()
        ending = asyncio.create_task(world.holder.drain())
        while not world.holder.stopping.is_set():
            await asyncio.sleep(0)
        late_reader, late_writer = pairs[0]
        late_writer.write(head(mint(world)))
        async with asyncio.timeout(10):
            late = await closed_by_server(late_reader)
            assert late.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close" in late
            assert time.monotonic() - started < 1.4
            assert not any(reader.at_eof() for reader, _ in pairs[1:])
            assert [await closed_by_server(reader) for reader, _ in pairs[1:]] == [b""] * 9
            assert time.monotonic() - started >= 1.4
            await ending
    for _, writer in pairs:
        writer.transport.abort()


async def jumping_clock(world: World) -> None:
    """F05. An hour ahead, an hour back, and right again: tokens are judged by the clock, and the step is an alarm."""
    await start_with(world, "sqlite", sample_rows())
    gate, ahead = world.holder.state.service._gate, [0]
    gate._clock = lambda: time.time() + ahead[0]
    heard: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = heard.append
    logger = logging.getLogger("openholder.gate")
    logger.addHandler(handler)
    try:
        used = mint(world).token()
        ok(await send(world, used))
        for ahead[0] in (3600, -3600):
            invalid_token(await send(world, mint(world).token()))
            now = mint(world).now + ahead[0]
            if ahead[0] > 0:
                ok(await send(world, mint(world).token(iat=now, exp=now + 300)))
        assert [record.levelno for record in heard] == [logging.CRITICAL]
        ahead[0] = 0
        invalid_token(await send(world, used))
        ok(await send(world, mint(world).token()))
        assert world.holder.keys.age is not None and world.holder.keys.age < 60
    finally:
        logger.removeHandler(handler)


async def looking_around(world: World) -> None:
    """F16. What is for the operator is on the operator's port, and says nothing of anybody."""
    rows = sample_rows()
    await start_with(world, "sqlite", rows)
    assert world.holder.admin_port != world.holder.port
    tokens = [mint(world).token() for _ in range(2)]
    ok(await send(world, tokens[0]))
    ok(await send(world, post(mint(world), JANE)))
    ok(await send(world, get(mint(world), "/auth/v1/customer/cust-1001")))
    invalid_token(await send(world, tokens[0]))
    for path in ("/healthz", "/readyz", "/live", "/ready", "/health", "/metrics", "/debug", "/admin", "/jwks.json"):
        unknown_path(await send(world, Request(path=path)))
        unknown_path(await send(world, get(mint(world), path)))
    somebody = {value for records in rows.values() for row in records for value in row.values() if value}
    paths = "".join(operation.path for operation in OPERATIONS)
    somebody = {value for value in somebody if len(value) > 6 and value not in paths}
    for path, wanted in (("/live", 200), ("/ready", 200), ("/metrics", 200), ("/", 200), (BALANCE, 404)):
        async with world.session.get(f"http://127.0.0.1:{world.holder.admin_port}{path}") as response:
            text = await response.text() + str(response.headers)
            assert response.status == wanted
        assert not [value for value in somebody if value in text]
        assert not any(part in text for token in tokens for part in token.split("."))
        assert "PRIVATE" not in text and "Tornado" not in text
    assert b"HTTP/1.1 404" in await talk(
        world, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )


async def clock_off(world: World) -> None:
    """F06. What is left of tokens' lives is a metric: its middle drifts with the clock before anybody is refused."""
    await start_with(world, "sqlite", sample_rows())
    for life in (290, 290, 20):
        ok(await send(world, mint(world).token(exp=mint(world).now + life)))
    registry = world.holder.state.journal.registry
    assert registry.get_sample_value("openholder_token_life_seconds_bucket", {"le": "30.0"}) == 1
    assert registry.get_sample_value("openholder_token_life_seconds_bucket", {"le": "300.0"}) == 3


async def one_busy_customer(world: World) -> None:
    """F15. There is no limit for each customer: all of its requests are answered, and others meanwhile."""
    await start_with(world, "sqlite", sample_rows())

    async def ask_again_and_again() -> None:
        for _ in range(20):
            ok(await send(world, mint(world).token()))

    busy = [asyncio.create_task(ask_again_and_again()) for _ in range(20)]
    others = 0
    while not all(task.done() for task in busy):
        ok(await send(world, get(mint(world), "/auth/v1/customer/cust-1003")))
        others += 1
    await asyncio.gather(*busy)
    assert others > 1


ROWS = (
    Row(
        "F01",
        shown_by="test_edge.py::test_a_killed_worker_fails_only_its_own_requests",
    ),
    Row(
        "F02",
        shown_by="test_edge.py::test_the_end_under_load_loses_no_answer "
        "test_process.py::test_a_running_request_is_answered_after_the_signal",
    ),
    Row("F03", scenario=idle_at_the_end),
    Row("F05", scenario=jumping_clock),
    Row(
        "F06",
        scenario=clock_off,
    ),
    Row(
        "F07",
        shown_by="test_edge.py::test_a_process_recovers_from_a_lack_of_file_descriptors",
    ),
    Row("F08", shown_by="test_edge.py::test_memory_does_not_grow_with_requests"),
    Row("F10", shown_by="test_edge.py::test_a_log_that_cannot_be_written_stops_nobody"),
    Row(
        "F11",
        shown_by="test_cli.py::test_all_mistakes_are_reported_at_once_without_secrets "
        "test_config.py::test_a_mistake_is_named_by_file_and_key_alone "
        "test_edge.py::test_an_impossible_configuration_ends_the_start_with_a_line",
    ),
    Row(
        "F12",
        shown_by="test_reload.py::test_a_failed_reload_keeps_the_configuration_and_logs_why",
    ),
    Row(
        "F13",
        shown_by="test_process.py::test_workers_share_the_port_and_the_record_of_used_tokens "
        "test_edge.py::test_workers_inherit_only_the_sockets",
    ),
    Row("F15", scenario=one_busy_customer),
    Row("F16", scenario=looking_around),
)
