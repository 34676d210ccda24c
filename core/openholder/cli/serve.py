"""``openholder serve``."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import click

from openholder.app import bind, run
from openholder.cli.development import development_keys
from openholder.cli.options import configuration_option
from openholder.cli.workers import supervise
from openholder.config import Configuration
from openholder.logs import configure_logging


@click.command()
@configuration_option
@click.option("--dev", is_flag=True, help="Play Fiskil's part: serve development keys at the JWKS URL (loopback only).")
@click.option("--worker", nargs=2, type=int, hidden=True, help="Number of this worker, and the socket it shares.")
def serve(path: Path | None, dev: bool, worker: tuple[int, int] | None) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    configuration = Configuration.load(path)
    configure_logging(configuration.settings.log)
    listen = configuration.settings.listen
    if listen.workers > 1 and worker is None:
        return supervise(configuration, bind(listen.address, listen.port), dev=dev)
    return asyncio.run(_serve(configuration, dev, worker))


async def _serve(configuration: Configuration, dev: bool, worker: tuple[int, int] | None) -> int:
    async with AsyncExitStack() as stack:
        if dev:
            await stack.enter_async_context(development_keys(configuration))
        if worker is None:
            await run(configuration)
        else:
            number, descriptor = worker
            shared = socket.socket(fileno=descriptor)
            shared.setblocking(False)
            await run(configuration, [shared], number)
    return 0
