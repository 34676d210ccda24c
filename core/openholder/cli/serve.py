"""``openholder serve``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import click

from openholder.cli.development import development_keys
from openholder.cli.options import configuration_option
from openholder.cli.workers import supervise
from openholder.config import Configuration
from openholder.server.app import run
from openholder.server.connections import bind
from openholder.server.logs import configure_logging


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
            watch = asyncio.create_task(_end_as_orphan(os.getppid()))
            await run(configuration, [shared], number)
            watch.cancel()
    return 0


async def _end_as_orphan(parent: int) -> None:
    """A parent that was killed cannot pass signals on, and nobody else would end its workers."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells a process that its parent has gone
        await asyncio.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
