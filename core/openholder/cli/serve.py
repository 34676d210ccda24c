"""``openholder serve``: run the server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import nullcontext
from pathlib import Path

import click

from openholder.cli.options import configuration_option
from openholder.config import Configuration
from openholder.fiskil.development import development_keys
from openholder.server.app import run
from openholder.server.connections import bind
from openholder.server.logs import configure_logging
from openholder.server.workers import run_worker, supervise


@click.command()
@configuration_option
@click.option("--dev", is_flag=True, help="Serve development keys at the JWKS URL, in Fiskil's place (loopback only).")
@click.option(
    "--worker", nargs=2, type=int, hidden=True, help="Worker number and file descriptor of the shared socket."
)
def serve(path: Path | None, dev: bool, worker: tuple[int, int] | None) -> int:
    """Serve until SIGTERM or Ctrl-C. SIGHUP reloads the configuration."""
    configuration = Configuration.load(path)
    configure_logging(configuration.settings.log)
    if worker:
        number, descriptor = worker
        asyncio.run(run_worker(configuration, number, socket.socket(fileno=descriptor)))
        return 0
    return asyncio.run(_serve(configuration, dev))


async def _serve(configuration: Configuration, dev: bool) -> int:
    listen = configuration.settings.listen
    async with development_keys(configuration) if dev else nullcontext():
        if listen.workers > 1:
            return await supervise(configuration, bind(listen.address, listen.port)[0])
        await run(configuration)
        return 0
