"""Make the screenshots and the recording of the documents: `make pictures` does. Needs chromium.

The drawings beside this file are written by hand. `report.png` is the report on a server with two faults,
`stand-in.png` the page of a running demo, `console.png` the console of a server with one faulty record, and `demo.cast`
the demo's terminal, as asciicast 2, which `asciinema play` shows.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import math
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from helpers.browser import Page, open_page, start_chromium
from helpers.support import ISSUER, SQLITE, UPSTREAM_TOKEN, World, sample_rows, start_with, write_sqlite
from openholder.contract.operations import OPERATIONS
from openholder.fiskil import sample
from openholder.fiskil.signer import Signer
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.report.html import render_html
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan
from openholder.server.logs import configure_logging
from openholder.settings import Log
from rehearsal.proxy import Call, proxying

HERE = Path(__file__).parent
COLUMNS, ROWS = 110, 30


def break_two_rules(call: Call) -> None:
    """Answer as a server with two frequent faults: amounts that are numbers, and an interaction id that is lost."""
    if call.name == "listBankingTransactions" and call.records:
        call.with_records([record | {"amount": float(record["amount"])} for record in call.records])
    if call.name == "getCustomerDetails":
        call.answer.pop("x-fapi-interaction-id", None)


async def write_report(path: Path) -> None:
    """Rehearse a server with two faults, and write the report as HTML."""
    world = World(path.parent, Signer.generate("k1"))
    write_sqlite(path.parent / "bank.db", sample_rows())
    await world.start(SQLITE)
    operations = [one for one in OPERATIONS if not one.deprecated]
    plan = Plan(operations, (sample.PEOPLE[0], sample.PEOPLE[-1]), attacks=False)
    async with (
        proxying(world.url, token=world.token, answer=break_two_rules) as url,
        open_caller(url, world.url, ISSUER, world.signer, seconds=10) as caller,
    ):
        report = await run_rehearsal(caller, plan)
    await world.stop()
    path.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8443", render_html(report)), encoding="utf-8")


@asynccontextmanager
async def record_demo(events: list[tuple[float, str]]) -> AsyncIterator[str]:
    """Run the demo on a terminal until it waits, and give the address of its page."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, "-P", "-m", "openholder", "demo"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    began, text = time.monotonic(), ""
    try:
        while "Ctrl-C stops the demo." not in text:
            part = (await asyncio.to_thread(os.read, master, 65_536)).decode()
            events.append((round(time.monotonic() - began, 3), part))
            text += part
        (page,) = set(re.findall(r"Stand-in for Fiskil (\S+)", text))
        yield page
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        os.close(master)


def write_cast(path: Path, events: list[tuple[float, str]]) -> None:
    """Write a terminal's output as asciicast 2: a line of facts, then one for each part of the output."""
    facts = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "openholder demo", "idle_time_limit": 1}
    lines: list[object] = [facts]
    lines += [[0.0, "o", "$ openholder demo\r\n"], *([seconds, "o", part] for seconds, part in events)]
    path.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")


async def call_on(world: World) -> None:
    """Request data again and again, some of which a server does not give."""
    bank = "/v1/banking/customer/cust-1001/accounts"
    usual = [f"{bank}/acc-2001/balance", f"{bank}/acc-2002/transactions", "/auth/v1/customer/cust-1001/accounts"]
    for number in itertools.count():
        for path in (*usual, "/auth/v1/customer/cust-1001", *(["/auth/v1/customer/nobody"] if number % 7 == 0 else [])):
            await world.call(path)
        if number % 100 == 20:
            await world.call(f"{bank}/acc-2001/transactions")
        await asyncio.sleep(0.05 + 0.04 * math.sin(number / 40))


async def take_console(page: Page, folder: Path) -> None:
    """Take a picture of the console of a server that has been busy for half a minute."""
    folder.mkdir()
    world = World(folder, Signer.generate("fiskil-2026"))
    rows = sample_rows()
    (spoiled, *_) = (row for row in rows["banking.transactions"] if row["accountId"] == "acc-2001")
    spoiled["amount"] = "many"
    await start_with(world, "mixed", rows)
    calls = asyncio.create_task(call_on(world))
    assert world.holder is not None
    await page.resize(1300, 1150)
    await page.open(f"http://127.0.0.1:{world.holder.admin_port}/")
    await asyncio.sleep(35)
    await page.take_screenshot(HERE / "console.png")
    calls.cancel()
    await asyncio.gather(calls, return_exceptions=True)
    await world.stop()


async def main() -> None:
    """Make all of them."""
    configure_logging(Log(level="error"), sys.stderr)
    os.environ["UPSTREAM_TOKEN"] = UPSTREAM_TOKEN
    events: list[tuple[float, str]] = []
    # The browser's helper processes may write for a moment after it has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, start_chromium(Path(name)) as debugger:
        async with open_page(debugger) as page:
            await write_report(Path(name) / "report.html")
            await page.resize(900, 640)
            await page.open(f"file://{name}/report.html")
            await page.take_screenshot(HERE / "report.png")
            await take_console(page, Path(name) / "console")
            async with record_demo(events) as url:
                await page.resize(1300, 900)
                await page.open(url)
                await page.wait_for("document.querySelector('[data-operation=listConsentAccounts]')")
                await page.evaluate("document.querySelector('[data-operation=listConsentAccounts]').click()")
                await page.wait_for("!document.getElementById('result').hidden")
                await page.take_screenshot(HERE / "stand-in.png")
    write_cast(HERE / "demo.cast", events)


asyncio.run(main())
