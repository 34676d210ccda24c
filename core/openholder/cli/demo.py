"""``openholder demo``: server, sample data and a substitute for Fiskil's keys, in one process on loopback."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from openholder.config import Configuration
from openholder.contract.operations import OPERATIONS
from openholder.fiskil import sample
from openholder.fiskil.signer import Signer
from openholder.fiskil.stand_in import Target, stand_in
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.phases import CONVERSATION, PHASES, Phase
from openholder.rehearsal.progress import progress_line
from openholder.rehearsal.report.terminal import render_for_stdout, render_text, render_verdict
from openholder.rehearsal.results import Report
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan
from openholder.server.app import serve
from openholder.server.connections import bind
from openholder.server.generation import list_operations
from openholder.server.logs import configure_logging, set_level
from openholder.settings import Log

ISSUER = "demo.cdr.fiskil.com"
CONFIGURATION = """
public_url = "{url}"
deprecated_lists = true
[fiskil]
issuer = "{issuer}"
jwks_url = "{jwks_url}"
[listen]
admin_port = 0
[replay]
path = "replay.db"
[sources.sample]
kind = "{kind}"
path = "{data}"
"""

SAMPLE_REQUESTS: tuple[tuple[str, str, Any], ...] = (
    ("log in", "/auth/v1/customer/search", {"email": sample.EMAIL}),
    ("consent", "/auth/v1/customer/cust-1001/accounts", None),
    ("a bank's data", "/v1/banking/customer/cust-1001/accounts/acc-2002/transactions?max-amount=-500", None),
    ("an energy retailer's", "/v1/energy/customer/cust-3001/accounts/acc-3001/concessions", None),
    ("a US bank's", "/fdx/v6/customer/cust-5001/accounts/acc-5001/statements", None),
)
"""Requests for people to try: what they are, the target, and the body, if any."""


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """A server that serves the sample data."""

    url: str
    admin_url: str
    page_url: str
    signer: Signer


@click.command()
@click.option("--check", "check_only", is_flag=True, help="Run the whole rehearsal with all attacks, then exit.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Port to listen on. Default: a free one.")
@click.option(
    "--source",
    type=click.Choice(["sqlite", "csv"]),
    default="sqlite",
    show_default=True,
    help="Kind of source that holds the sample data.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page of the stand-in for Fiskil in a browser.")
def demo(check_only: bool, port: int, source: str, open_page: bool) -> int:
    """Serve sample data on loopback with new keys. Needs neither a network nor a configuration.

    The demo first requests every operation as Fiskil would, and checks the responses. Then it keeps running with a
    stand-in for Fiskil, which signs and forwards requests of yours. See the command rehearse.
    """
    configure_logging(Log(level="error"), sys.stderr)
    return asyncio.run(_run(check_only, port, source, open_page))


async def _run(check_only: bool, port: int, kind: str, open_page: bool) -> int:
    async with _running_demo(port, kind) as running:
        report = await _rehearse(running, PHASES if check_only else CONVERSATION)
        is_brief = report.is_ready and not check_only  # what to paste matters then, not what was skipped
        click.echo(render_for_stdout(report, render_verdict if is_brief else render_text), nl=not is_brief)
        click.echo(f"{len(report.served)} of {len(OPERATIONS)} operations answered with data\n")
        if not check_only:
            click.echo(_format_invitation(running))
            set_level("info")
            if open_page:
                await asyncio.to_thread(webbrowser.open, running.page_url)
            await _wait_for_signal()
    return 0 if report.is_ready and len(report.served) == len(OPERATIONS) else 1


async def _rehearse(running: RunningDemo, phases: Sequence[Phase]) -> Report:
    plan = Plan(OPERATIONS, sample.PEOPLE, sectors=frozenset(operation.sector for operation in OPERATIONS))
    async with open_caller(running.url, running.url, ISSUER, running.signer, seconds=30) as caller:
        with progress_line() as progress:
            caller.observers.append(progress.count_request)
            return await run_rehearsal(caller, plan, progress.begin, progress.watch_phases(phases))


@asynccontextmanager
async def _running_demo(port: int, kind: str) -> AsyncIterator[RunningDemo]:
    with tempfile.TemporaryDirectory(prefix="openholder-demo-") as name:
        folder = Path(name)
        if kind == "sqlite":
            data = folder / "sample.db"
            sample.write_sqlite(data, date.today())
        else:
            data = folder / "sample"
            sample.write_csv(data, date.today())
        public, keys = bind("127.0.0.1", port), bind("127.0.0.1", 0)
        url, jwks_url = f"http://{_format_address(public)}", f"http://{_format_address(keys)}/jwks.json"
        text = CONFIGURATION.format(url=url, issuer=ISSUER, jwks_url=jwks_url, kind=kind, data=data.name)
        (folder / "openholder.toml").write_text(text, encoding="utf-8")
        configuration = Configuration.load(folder / "openholder.toml")
        signer = Signer.generate()
        target = Target(url, url, ISSUER)
        operations = list_operations(configuration.settings)
        async with (
            stand_in(jwks_url, signer, target, operations, keys) as page_url,
            serve(configuration, public) as server,
        ):
            yield RunningDemo(url, f"http://127.0.0.1:{server.admin_port}", page_url, signer)


def _format_address(sockets: list[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    return f"{host}:{port}"


def _format_invitation(running: RunningDemo) -> str:
    """Format the addresses and short commands: the stand-in signs, so that nobody has to paste tokens."""
    lines = [
        f"Server              {running.url} (admin: {running.admin_url})",
        f"Stand-in for Fiskil {running.page_url} (open it: each operation is one click)",
        "",
        "The stand-in signs a token for each request and forwards it. Paste:",
        "",
    ]
    for what, target, body in SAMPLE_REQUESTS:
        words = ["curl", *(["-d", json.dumps(body)] if body else []), running.page_url.rstrip("/") + target]
        lines += [f"  # {what}", f"  {shlex.join(words)}"]
    refused = f"{running.url}{SAMPLE_REQUESTS[1][1]}"
    lines += ["  # without a token, the server refuses", f"  curl {refused}", "", "Ctrl-C stops the demo."]
    return "\n".join(lines)


async def _wait_for_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    await stop.wait()
