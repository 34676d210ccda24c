"""``openholder demo``: everything in one process on loopback, with sample data and a stand-in for Fiskil's keys."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from openholder.cli.progress import progress
from openholder.cli.rehearse import printed
from openholder.cli.token import curl
from openholder.config import Configuration
from openholder.contract.operations import OPERATIONS
from openholder.fiskil import sample
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import Signer
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.phases import CONVERSATION, PHASES, Phase
from openholder.rehearsal.results import Report
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan
from openholder.server.app import serve
from openholder.server.connections import bind
from openholder.server.logs import configure_logging
from openholder.settings import Log

ISSUER = "demo.cdr.fiskil.com"
TOKEN_LIFETIME = 3000
"""Seconds: long enough to read the output first, and below the longest lifetime that the gate accepts."""

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

_BANKING, _ENERGY, _FDX = (
    "/v1/banking/customer/cust-1001/accounts",
    "/v1/energy/customer/cust-3001/accounts",
    "/fdx/v6/customer/cust-5001/accounts",
)
INVITATIONS: tuple[tuple[str, Any], ...] = (
    ("/auth/v1/customer/search", {"email": sample.EMAIL}),
    ("/auth/v1/customer/cust-1001/accounts", None),
    ("/customer/cust-1001/accounts/acc-2001/balances", None),
    (f"{_BANKING}/balances", {"data": {"accountIds": ["acc-2001", "acc-2002"]}}),
    (f"{_BANKING}/acc-2002/transactions?page-size=2&max-amount=-100", None),
    (f"{_ENERGY}/invoices?page-size=1", {"data": {"accountIds": ["acc-3001", "acc-3002"]}}),
    (f"{_FDX}/acc-5001/transactions?limit=2", None),
    (f"{_FDX}/acc-5001/statements", None),
)
"""Requests to paste: paths, and what is posted to them."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that is running."""

    url: str
    admin_url: str
    signer: Signer


@click.command()
@click.option(
    "--check", "check_only", is_flag=True, help="Rehearse the demo with all attacks, print what came, and end."
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The port to listen on. Default: a free one.")
@click.option("--source", type=click.Choice(["sqlite", "csv"]), default="sqlite", show_default=True)
def demo(check_only: bool, port: int, source: str) -> int:
    """Serve sample data on loopback, with keys made on the spot. Needs no network and no configuration.

    Every operation is asked first, as Fiskil would, and every answer judged; see the command rehearse.
    """
    configure_logging(Log(level="error"), sys.stderr)
    return asyncio.run(_demo(check_only, port, source))


async def _demo(check_only: bool, port: int, kind: str) -> int:
    async with _running(port, kind) as running:
        report = await _rehearsal(running, PHASES if check_only else CONVERSATION)
        click.echo(printed(report))
        click.echo(f"{len(report.served)} of {len(OPERATIONS)} operations answered with data\n")
        if not check_only:
            click.echo(_invitation(running))
            logging.getLogger().setLevel(logging.INFO)
            await _until_interrupted()
    return 0 if report.is_ready and len(report.served) == len(OPERATIONS) else 1


async def _rehearsal(running: Demo, phases: Sequence[Phase]) -> Report:
    plan = Plan(OPERATIONS, sample.PEOPLE, sectors=frozenset(operation.sector for operation in OPERATIONS))
    async with open_caller(running.url, running.url, ISSUER, running.signer, seconds=30) as caller:
        with progress() as line:
            caller.observers.append(line.counted)
            return await run_rehearsal(caller, plan, line.told, line.phases(phases))


@asynccontextmanager
async def _running(port: int, kind: str) -> AsyncIterator[Demo]:
    with tempfile.TemporaryDirectory(prefix="openholder-demo-") as name:
        folder = Path(name)
        data = folder / ("sample.db" if kind == "sqlite" else "sample")
        (sample.write_sqlite if kind == "sqlite" else sample.write_csv)(data, date.today())
        public, keys = bind("127.0.0.1", port), bind("127.0.0.1", 0)
        url, jwks_url = f"http://{_at(public)}", f"http://{_at(keys)}/jwks.json"
        text = CONFIGURATION.format(url=url, issuer=ISSUER, jwks_url=jwks_url, kind=kind, data=data.name)
        (folder / "openholder.toml").write_text(text, encoding="utf-8")
        configuration = Configuration.load(folder / "openholder.toml")
        signer = Signer.generate()
        async with jwks_host(jwks_url, signer.jwks, keys), serve(configuration, public) as holder:
            yield Demo(url, f"http://127.0.0.1:{holder.admin_port}", signer)


def _at(sockets: list[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    return f"{host}:{port}"


def _invitation(running: Demo) -> str:
    """What is served, and requests to paste, each with a token of its own."""
    lines = [
        f"Serving {running.url} (admin: {running.admin_url}).",
        f"Each line works once, within {TOKEN_LIFETIME // 60} minutes:",
        *(_pasted(running, path, body) for path, body in INVITATIONS),
    ]
    return "\n\n".join([*lines, "Ctrl-C ends it."])


def _pasted(running: Demo, path: str, body: Any) -> str:
    url = running.url + path
    token = running.signer.token(ISSUER, url.partition("?")[0], lifetime=TOKEN_LIFETIME)
    return curl(url, token, body and json.dumps(body))


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    await stop.wait()
