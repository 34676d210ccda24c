"""Group S: sources that are locked, gone, broken, slow or lying. The answer is 500 in time, and others are served."""

from __future__ import annotations

import asyncio
import datetime
import io
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from catalogue.http import get
from catalogue.rows import Reply, Row, mint, ok, send, status
from helpers.people import BALANCE
from helpers.support import SQLITE, Upstream, World, rest, sample_rows, start_with, write_sqlite
from openholder import Page
from openholder.config import Configuration
from openholder.errors import ConfigurationError, Unreachable
from openholder.server import lag
from openholder.server.connections import bind
from openholder.server.generation import make_sources
from openholder_sqlite import Database

DETAILS = "/auth/v1/customer/cust-1001"
ACCOUNTS = "/auth/v1/customer/cust-1001/accounts"
QUICK = "timeout = 0.4\n"

broken = status(500, code="GeneralError/Unexpected", content_type="application/json; charset=UTF-8")
locked_now = status(503, code="Service/Unavailable", content_type="application/json; charset=UTF-8")


async def asked(world: World, path: str) -> Reply:
    return await send(world, get(mint(world), path))


async def timed(awaitable: Awaitable[Reply], limit: float) -> Reply:
    started = time.monotonic()
    reply = await awaitable
    assert time.monotonic() - started < limit
    return reply


def answering(does: Callable[[Any], Any]) -> pytest.MonkeyPatch:
    """The source of the sample data answers with what ``does`` gives, until this is undone. None: as ever."""
    fetch, patch = Database.fetch, pytest.MonkeyPatch()

    async def answer(self: Database, query: Any) -> Any:
        found = does(query)
        if asyncio.iscoroutine(found):
            found = await found
        return await fetch(self, query) if found is AS_EVER else found

    patch.setattr(Database, "fetch_now", lambda *_: None)
    patch.setattr(Database, "fetch", answer)
    return patch


AS_EVER = object()


async def locked(world: World) -> None:
    """S01. The question ends at its deadline, and the loop turns meanwhile."""
    write_sqlite(world.folder / "bank.db", sample_rows())
    await world.start(SQLITE + QUICK)
    with closing(sqlite3.connect(world.folder / "bank.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        questions = [asyncio.create_task(timed(asked(world, path), 3)) for path in [DETAILS, ACCOUNTS] * 5]
        pause = 0.0
        while not all(question.done() for question in questions):
            started = time.monotonic()
            async with world.session.get(f"http://127.0.0.1:{world.holder.admin_port}/live") as response:
                assert response.status == 200
            pause = max(pause, time.monotonic() - started)
            await asyncio.wait(questions, timeout=0.02)
        for question in questions:
            locked_now(question.result())
        assert pause < 0.3
        writer.execute("ROLLBACK")
    async with asyncio.timeout(10):  # SQLite's threads may still be waiting for the lock
        while (await asked(world, DETAILS)).status != 200:
            pass


async def missing_file(world: World) -> None:
    """S02. A file that is not there, or goes before it is opened, keeps the server from starting; none is made."""
    await start_with(world, "sqlite", sample_rows())
    await world.stop()
    database, configuration = world.folder / "bank.db", world.folder / "openholder.toml"
    sources = make_sources(Configuration.load(configuration))
    database.unlink()
    with pytest.raises(Unreachable):
        async with sources:
            pass
    assert not database.exists()
    with pytest.raises(ConfigurationError):
        Configuration.load(configuration)
    assert not database.exists()


async def vanished_file(world: World) -> None:
    """S02. A file that goes while it is served is a fault, not data of which nobody knows how old they are."""
    await start_with(world, "sqlite", sample_rows())
    (world.folder / "bank.db").unlink()
    async with asyncio.timeout(10):  # the file is looked at every 10 ms, not at every request
        while (reply := await send(world, mint(world).token())).status == 200:
            pass
    status(500, code="server_error")(reply)
    write_sqlite(world.folder / "bank.db", sample_rows())
    ok(await send(world, mint(world).token()))


async def databases_gone(world: World) -> None:
    """S02."""
    await missing_file(world)
    await vanished_file(world)


async def replaced_file(world: World) -> None:
    """S03. The nightly load puts a new file in place of the old one; requests meanwhile get one or the other whole."""
    rows = sample_rows()
    await start_with(world, "sqlite", rows)
    rows["balances"][0]["available"] = "77.00"
    write_sqlite(world.folder / "new.db", rows)
    (world.folder / "new.db").rename(world.folder / "bank.db")
    async with asyncio.timeout(10):
        while b'"available":77.00' not in (reply := await send(world, mint(world).token())).body:
            assert (reply.status, b'"available":1200.50' in reply.body) == (200, True)


async def holds_the_loop(world: World) -> None:
    """S13. Nobody can stop a plugin that blocks; it is named, and its time is a metric."""
    await start_with(world, "sqlite", sample_rows())
    await asyncio.sleep(0)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("openholder").addHandler(handler)
    try:
        ok(await send(world, mint(world).token()))
        time.sleep(lag.INTERVAL + 2 * lag.TOO_LONG)
        async with asyncio.timeout(5):
            while "sources active at that time: bank" not in stream.getvalue():
                await asyncio.sleep(0.01)
    finally:
        logging.getLogger("openholder").removeHandler(handler)


async def full_disk(world: World) -> None:
    """S05. A use that cannot be written down is none: nobody is let in, and afterwards the same tokens are good."""
    await start_with(world, "sqlite", sample_rows())
    file = world.holder.state.service._gate._store._file
    for connection in (file._patient, file._impatient):
        connection.execute("PRAGMA max_page_count = 1").fetchall()  # SQLite then takes the disk for full
    refused = []
    for _ in range(1000):
        token = mint(world).token()
        reply = await send(world, token)
        if reply.status != 200:
            status(503, code="Service/Unavailable")(reply)
            assert int(reply.headers["retry-after"]) >= 1
            refused.append(token)
        if len(refused) == 3:
            break
    assert len(refused) == 3
    for connection in (file._patient, file._impatient):
        connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    for token in refused:
        ok(await send(world, token))


async def rewritten_in_place(world: World) -> None:
    """S07. Somebody writes the same file again and again while it is read: every answer is of one version."""
    rows = sample_rows()

    def version(number: int) -> str:
        lines = [f"cust-1001,acc-{row},version-{number:09}\n" for row in range(900)]
        return "customerId,id,name\n" + "".join(lines)

    rows["accounts"] = [{"customerId": "cust-1001", "id": f"acc-{row}", "name": "version-old"} for row in range(900)]
    await start_with(world, "csv", rows)
    path, stop, written = world.folder / "bank" / "accounts.csv", threading.Event(), [0]

    def rewrite() -> None:
        while not stop.is_set():
            written[0] += 1
            with path.open("w", encoding="utf-8") as file:
                for line in version(written[0]).splitlines(keepends=True):
                    file.write(line)
                    if "0,version" in line:
                        file.flush()

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        started = time.monotonic()
        while time.monotonic() - started < 2:
            assert len(versions(await asked(world, ACCOUNTS))) == 1
    finally:
        stop.set()
        writer.join()
    async with asyncio.timeout(5):
        while versions(reply := await asked(world, ACCOUNTS)) != {f"version-{written[0]:09}"}:
            await asyncio.sleep(0.01)
    assert reply.body.count(b"version-") == 900


def versions(reply: Reply) -> set[str]:
    ok(reply)
    return {account["name"] for account in json.loads(reply.body)["accounts"]}


class Heard(logging.Handler):
    """What the CSV source says about the folder it watches."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    async def next(self) -> str:
        self.lines.clear()
        async with asyncio.timeout(5):
            while not self.lines:
                await asyncio.sleep(0.01)
        return self.lines[0]


BAD_FILES = {
    "a byte order mark": b"\xef\xbb\xbfid,name\ncust-1001,new\n",
    "a header twice": b"id,name,id\ncust-1001,new,cust-1002\n",
    "NUL": b"id,name\ncust-1001,n\0ew\n",
    "a short row": b"id,name\ncust-1001\n",
    "a long row": b"id,name\ncust-1001,new,more\n",
    "a cell of 200 kB": b"id,name\ncust-1001," + b"n" * 200_000 + b"\n",
    "a quote that stays open": b'id,name\ncust-1001,"new\n',
    "latin-1": b"id,name\ncust-1001,n\xe9w\n",
    "nothing": b"",
    "no column for the id": b"name\nnew\n",
}


async def bad_files(world: World) -> None:
    """S08. None of them replaces what was read before."""
    await start_with(world, "csv", sample_rows())
    path, heard = world.folder / "bank" / "customers.csv", Heard()
    good, logger = path.read_bytes(), logging.getLogger("openholder_sqlite")
    level = logger.level
    logger.addHandler(heard)
    logger.setLevel("INFO")
    try:
        failures = []
        for what, content in BAD_FILES.items():
            replace(path, content)
            said = await heard.next()
            reply = await asked(world, DETAILS)
            if "keeping the current version" not in said or reply.status != 200 or b'"Jane Citizen"' not in reply.body:
                failures.append((what, said, reply.status))
            replace(path, good)
            while "serving the new version" not in await heard.next():
                pass
        assert failures == []
    finally:
        logger.removeHandler(heard)
        logger.setLevel(level)


def replace(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    os.replace(beside, path)


def raising(exc: BaseException) -> Callable[[Any], Any]:
    def does(query: Any) -> Any:
        if query.collection == "balances":
            raise exc
        return AS_EVER

    return does


async def raises(world: World) -> None:
    """S10. What fails is the one endpoint that asks for it."""
    await start_with(world, "sqlite", sample_rows())
    for exc in (ValueError("SECRET"), KeyError("SECRET"), MemoryError("SECRET"), RecursionError(), TimeoutError()):
        patch = answering(raising(exc))
        try:
            reply = await asked(world, BALANCE)
            assert reply.status == 500
            assert b"SECRET" not in reply.body
            for path in (DETAILS, ACCOUNTS):
                ok(await asked(world, path))
        finally:
            patch.undo()
        ok(await asked(world, BALANCE))


async def hangs(world: World) -> None:
    """S11. More questions than the source has places for: all end in time, others are answered meanwhile."""
    write_sqlite(world.folder / "bank.db", sample_rows())
    await world.start(SQLITE + QUICK + "concurrency = 100\n")
    patch = answering(lambda query: asyncio.sleep(3600) if query.collection == "balances" else AS_EVER)
    try:
        hanging = [asyncio.create_task(timed(asked(world, BALANCE), 5)) for _ in range(80)]
        ok(await asked(world, DETAILS))
        for reply in await asyncio.gather(*hanging):
            assert reply.status == 500
    finally:
        patch.undo()
    assert not world.holder.state.running
    ok(await asked(world, BALANCE))


async def lies(world: World) -> None:
    """S12."""
    await start_with(world, "sqlite", sample_rows())
    jane = {"id": "cust-1001", "name": "Jane"}
    amount = {"accountId": "acc-2001", "currency": "AUD"}
    pages: list[tuple[str, Any]] = [
        (DETAILS, answer)
        for answer in (
            None,
            [jane],
            jane,
            "text",
            7,
            Page(records=None, total=0),
            Page(records=[None], total=1),
            Page(records=[jane, jane], total=2),
            Page(records=[{"name": "Jane"}], total=1),
            Page(records=[{**jane, "updatedAt": datetime.datetime(2026, 3, 14, 9, 26)}], total=1),
            Page(records=[{**jane, "updatedAt": "2026-03-14T09:26:53"}], total=1),
            Page(records=[{**jane, "name": b"Jane"}], total=1),
            Page(records=[{**jane, "name": object()}], total=1),
            Page(records=[{**jane, "name": "\ud800"}], total=1),
            Page(records=[{**jane, "emailVerified": "yes"}], total=1),
            Page(records=[{**jane, "address": "Newtown"}], total=1),
        )
    ]
    pages += [
        (BALANCE, Page(records=[{**amount, "available": value}], total=1))
        for value in (Decimal("NaN"), Decimal("Infinity"), float("nan"), float("inf"), 0.1 + 0.2, "NaN", "", "1e3", [])
    ]
    pages += [(BALANCE, Page(records=[{"available": "1.00", "currency": "AUD"}], total=1))]
    for path, answer in pages:
        name = "customers" if path == DETAILS else "balances"
        patch = answering(lambda query, a=answer, n=name: a if query.collection == n else AS_EVER)
        try:
            reply = await asked(world, path)
            assert reply.status == 500, (answer, reply)
            assert b"Jane" not in reply.body
        finally:
            patch.undo()
    patch = answering(
        lambda query: (
            Page(records=[{**amount, "available": Decimal("0.10")}], total=1)
            if query.collection == "balances"
            else AS_EVER
        )
    )
    try:
        reply = await asked(world, BALANCE)
        assert b'"available":0.10' in reply.body
    finally:
        patch.undo()


async def unreachable_upstreams(world: World) -> None:
    """S15. It does not answer, is not there, has no address, speaks no TLS."""
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    (closed,) = bind("127.0.0.1", 0)
    port = closed.getsockname()[1]
    closed.close()

    def source(url: str, seconds: float) -> str:
        return rest(url).replace('kind = "rest"\n', f'kind = "rest"\ntimeout = {seconds}\n')

    for url in (f"http://127.0.0.1:{port}", "http://upstream.invalid", upstream.url.replace("http:", "https:")):
        await world.stop()
        upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
        await world.start(source(upstream.url.replace("http:", "https:") if "https" in url else url, 2))
        for path in (DETAILS, ACCOUNTS):
            broken(await timed(asked(world, path), 4))
    await world.stop()
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    await world.start(source(upstream.url, 1.5))
    let_go = asyncio.Event()
    upstream.break_with = lambda handler: let_go.wait()
    broken(await timed(asked(world, DETAILS), 3))
    let_go.set()
    upstream.break_with = None
    ok(await asked(world, DETAILS))


async def redirected(world: World) -> None:
    """S17. Wherever it is sent, it does not go there."""
    upstream = await start_with(world, "rest", sample_rows())
    elsewhere = await world.stack.enter_async_context(Upstream(sample_rows()))
    for code in (301, 302, 303, 307, 308):
        for place in (
            f"{elsewhere.url}/customers/cust-1001",
            elsewhere.url.replace("http:", "") + "/customers/cust-1001",
            "file:///etc/passwd",
            f"{upstream.url}/customers/cust-1001",
            "/api/customers/cust-1001",
            "",
        ):

            def redirect(handler: Any, code: int = code, place: str = place) -> None:
                handler.set_status(code)
                handler.set_header("Location", place)
                handler.finish()

            upstream.requests.clear()
            upstream.break_with = redirect
            reply = await asked(world, DETAILS)
            broken(reply)
            assert "location" not in reply.headers
            assert len(upstream.requests) == 1
    assert elsewhere.requests == []
    upstream.break_with = None
    ok(await asked(world, DETAILS))


ROWS = (
    Row("S01", scenario=locked),
    Row("S02", scenario=databases_gone),
    Row("S03", scenario=replaced_file),
    Row("S05", scenario=full_disk),
    Row(
        "S06",
        shown_by="test_sqlite_source.py::test_a_query_that_takes_too_long_frees_its_connection "
        "test_sqlite_source.py::test_endless_queries_do_not_block_other_connections",
    ),
    Row("S07", scenario=rewritten_in_place),
    Row("S08", scenario=bad_files),
    Row("S10", scenario=raises),
    Row("S11", scenario=hangs),
    Row("S12", scenario=lies),
    Row("S13", scenario=holds_the_loop),
    Row("S15", scenario=unreachable_upstreams),
    Row(
        "S16",
        shown_by="test_rest_responses.py::test_a_bad_response_is_500_and_never_quoted",
    ),
    Row("S17", scenario=redirected),
    Row(
        "S18",
        shown_by="test_rest_source.py::test_an_endless_response_is_cancelled_with_its_connection",
    ),
)
